"""What a station tells late: its past is recorded, and never mistaken for the present."""

from __future__ import annotations

from datetime import timedelta

import pytest
from central_backend import NOON, Backend, later, start, status, stop, values


@pytest.mark.parametrize("restarts", [False, True])
async def test_an_old_start_told_twice_or_before_a_restart_stays_in_the_past(
    backend: Backend, restarts: bool
) -> None:
    await backend.say("StatusNotification", status("Available", later(hours=2)), later(hours=2))
    begun = await backend.say("StartTransaction", start(), later(hours=2))
    if restarts:
        await backend.restart()
    assert await backend.say("StartTransaction", start(), later(hours=2)) == begun
    assert backend.live().transaction is None


async def test_a_short_charge_just_before_the_link_came_back_is_over(backend: Backend) -> None:
    """Not old enough to be history, but the connector says that it is free since."""
    now = later(minutes=4)
    await backend.say("StatusNotification", status("Available", now), now)
    begun = await backend.say("StartTransaction", start(), now)
    assert backend.live().transaction is None
    await backend.say("StopTransaction", stop(begun["transactionId"], later(minutes=3), 1200), now)
    assert (await backend.transactions())[0]["energy_wh"] == 200


async def test_a_station_that_never_says_preparing_charges_all_the_same(backend: Backend) -> None:
    await backend.say("StatusNotification", status("Available", NOON - timedelta(hours=1)))
    await backend.say("StartTransaction", start())
    assert backend.live().transaction is not None
    await backend.restart()
    assert backend.live().transaction is not None


async def test_an_old_start_runs_once_its_connector_charges(backend: Backend) -> None:
    await backend.say("StatusNotification", status("Available", later(hours=1)), later(hours=1))
    begun = await backend.say("StartTransaction", start(), later(hours=1))
    assert backend.live().transaction is None
    await backend.say("StatusNotification", status("Charging"), later(hours=1, minutes=1))
    live = backend.live().transaction
    assert live is not None
    assert live.id == begun["transactionId"]


async def test_a_stop_just_before_its_start_is_applied_to_it(backend: Backend) -> None:
    at = later(minutes=6)
    first = await backend.say("StopTransaction", stop(-1, later(minutes=5), 1300), at)
    begun = await backend.say("StartTransaction", start(), at)
    assert await backend.say("StopTransaction", stop(-1, later(minutes=5), 1300), at) == first
    (row,) = await backend.transactions()
    assert (row["id"], row["energy_wh"]) == (begun["transactionId"], 300)
    assert backend.live().transaction is None


async def test_the_stop_of_something_unknown_does_not_end_what_begins_in_the_same_second(
    backend: Backend,
) -> None:
    await backend.say("StopTransaction", stop(77, NOON, 1000))
    await backend.say("StartTransaction", start())
    assert (await backend.transactions())[0]["stopped_at"] is None


@pytest.mark.parametrize("sent_id", [None, -1])
async def test_values_that_overtake_their_start_are_counted_if_the_stop_is_lost(
    backend: Backend, sent_id: int | None
) -> None:
    at = later(hours=2)
    await backend.say("MeterValues", values(sent_id, later(minutes=30), 4000), at)
    begun = await backend.say("StartTransaction", start(), at)
    await backend.say("StartTransaction", start(later(hours=3), 9000), later(hours=3))
    lost, _ = await backend.transactions()
    assert (lost["id"], lost["energy_wh"], lost["stop_reason"]) == (begun["transactionId"], 3000, "Lost")
    (value,) = backend.rows("meter_values")
    assert value["transaction_id"] == begun["transactionId"]


async def test_values_told_first_without_and_then_with_an_id_are_kept_once(backend: Backend) -> None:
    begun = await backend.say("StartTransaction", start())
    for sent_id in (-1, None, begun["transactionId"]):
        await backend.say("MeterValues", values(sent_id, later(minutes=1), 1100), later(minutes=2))
    assert len(backend.rows("meter_values")) == 1


async def test_two_cars_that_stop_in_the_same_second_at_one_meter_are_both_stopped(backend: Backend) -> None:
    for number, tag in ((1, "ANNA"), (2, "BERTA")):
        await backend.say("StartTransaction", start(tag=tag, connector_id=number))
    for tag in ("ANNA", "BERTA", "ANNA", "BERTA"):
        await backend.say("StopTransaction", stop(-1, idTag=tag, reason="PowerLoss"), later(hours=1))
    assert [row["stop_id_tag"] for row in await backend.transactions()] == ["ANNA", "BERTA"]
    assert backend.rows("unmatched_stops") == []


async def test_a_stop_without_id_and_time_told_again_leaves_the_next_car_alone(backend: Backend) -> None:
    await backend.say("StartTransaction", start())
    message = {"transactionId": -1, "meterStop": 8000}
    first = await backend.say("StopTransaction", message, later(hours=1))
    await backend.say("StartTransaction", start(later(hours=2), 8000), later(hours=2))
    assert await backend.say("StopTransaction", message, later(hours=2, seconds=40)) == first
    assert [row["stopped_at"] for row in await backend.transactions()] == [later(hours=1), None]


async def test_a_start_told_again_once_the_station_knows_the_time_is_the_same(backend: Backend) -> None:
    in_1970 = NOON.replace(year=1970, month=1, day=1)
    first = await backend.say("StartTransaction", start(in_1970 + timedelta(minutes=1)))
    again = await backend.say("StartTransaction", start(NOON), later(minutes=1))
    assert again == first
    assert len(await backend.transactions()) == 1


async def test_a_transaction_begun_in_1970_claims_no_values_of_others(backend: Backend) -> None:
    await backend.say("MeterValues", values(None, NOON, 900))
    in_1970 = NOON.replace(year=1970, month=1, day=1)
    begun = await backend.say("StartTransaction", start(in_1970), later(minutes=1))
    await backend.say("StopTransaction", stop(begun["transactionId"]), later(hours=1))
    assert [value["transaction_id"] for value in backend.rows("meter_values")] == [None]


async def test_a_late_reading_is_not_counted_to_a_session_that_was_only_found_lost_afterwards(
    backend: Backend,
) -> None:
    """The first session lost its stop; its connector was next heard of, free, while the second was over, too.

    By its record the first one lasts beyond the begin of the second, which was told later.
    """
    first = await backend.say("StartTransaction", start())
    await backend.say("StatusNotification", status("Available", later(minutes=30)), later(minutes=30))
    now = later(hours=50)
    second = await backend.say("StartTransaction", start(later(minutes=15), 1100), now)
    await backend.say("MeterValues", values(-1, later(minutes=16), 1150), now)
    await backend.say("StatusNotification", status("Available", now), now)
    await backend.say("MeterValues", values(-1, later(minutes=17), 1200), now)
    await backend.say("StopTransaction", stop(-1, later(minutes=18), 1250), now)
    stored = {row["energy_wh"]: row["transaction_id"] for row in backend.rows("meter_values")}
    assert stored == {1150: second["transactionId"], 1200: second["transactionId"]}
    energies = {row["id"]: row["energy_wh"] for row in await backend.transactions()}
    assert energies == {first["transactionId"]: 0, second["transactionId"]: 150}
