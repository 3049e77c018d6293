"""What happens between plug-in and unplugging, when messages are repeated, reordered, late or lost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from central_backend import NOON, Backend, later, start, status, stop, values

Between = Callable[[Backend], Awaitable[None]]


async def nothing(backend: Backend) -> None:
    pass


async def the_server_restarts(backend: Backend) -> None:
    await backend.restart()


async def some_values_arrive(backend: Backend) -> None:
    transaction_id = (await backend.transactions())[-1]["id"]
    await backend.say("MeterValues", values(transaction_id, later(minutes=5), 1500), later(minutes=5))


async def badge_is_limited_to_one_transaction(backend: Backend) -> None:
    await backend.add_tag("badge1", max_transactions=1)


async def badge_is_blocked_meanwhile(backend: Backend) -> None:
    await backend.add_tag("BADGE1", blocked=True)


async def the_connector_says_charging(backend: Backend) -> None:
    await backend.say("StatusNotification", status("Charging", later(seconds=5)))


BETWEEN = [
    nothing,
    the_server_restarts,
    some_values_arrive,
    badge_is_limited_to_one_transaction,
    badge_is_blocked_meanwhile,
    the_connector_says_charging,
]


@pytest.mark.parametrize("between", BETWEEN)
async def test_a_repeated_start_gets_the_same_answer(backend: Backend, between: Between) -> None:
    first = await backend.say("StartTransaction", start())
    await between(backend)
    again = await backend.say("StartTransaction", start(), later(minutes=20))
    assert again == first
    assert first["idTagInfo"] == {"status": "Accepted"}
    assert [row["id"] for row in await backend.transactions()] == [first["transactionId"]]
    running = backend.live().transaction
    assert running is not None
    assert running.id == first["transactionId"]


@pytest.mark.parametrize("between", [nothing, the_server_restarts, badge_is_blocked_meanwhile])
async def test_a_repeated_stop_gets_the_same_answer_and_counts_once(
    backend: Backend, between: Between
) -> None:
    begun = await backend.say("StartTransaction", start())
    message = stop(begun["transactionId"], idTag="BADGE1")
    first = await backend.say("StopTransaction", message, later(hours=1))
    await between(backend)
    again = await backend.say("StopTransaction", message, later(hours=2))
    assert again == first == {"idTagInfo": {"status": "Accepted"}}
    (row,) = await backend.transactions()
    assert (row["energy_kwh"], row["stop_reason"], row["stopped_at"]) == (7.0, "Local", later(hours=1))
    assert backend.live().transaction is None


@pytest.mark.parametrize("between", [nothing, the_server_restarts])
async def test_repeated_meter_values_are_kept_once(backend: Backend, between: Between) -> None:
    begun = await backend.say("StartTransaction", start())
    message = values(begun["transactionId"], later(minutes=10), 2500, power_w=6900)
    await backend.say("MeterValues", message, later(minutes=10))
    await between(backend)
    assert await backend.say("MeterValues", message, later(minutes=11)) == {}
    (row,) = backend.rows("meter_values")
    assert (row["energy_wh"], row["power_w"], row["transaction_id"]) == (2500, 6900, begun["transactionId"])
    running = backend.live().transaction
    assert running is not None
    assert running.energy_wh == 1500


async def test_a_badge_used_twice_gets_concurrent_only_for_the_other_connector(backend: Backend) -> None:
    await backend.add_tag("BADGE1", max_transactions=1)
    first = await backend.say("StartTransaction", start())
    second = await backend.say("StartTransaction", start(tag="badge1", connector_id=2))
    assert first["idTagInfo"]["status"] == "Accepted"
    assert second["idTagInfo"]["status"] == "ConcurrentTx"
    assert second["transactionId"] > first["transactionId"]
    assert [row["start_status"] for row in await backend.transactions()] == ["Accepted", "ConcurrentTx"]


async def test_after_a_lost_stop_the_same_badge_starts_again(backend: Backend) -> None:
    await backend.add_tag("BADGE1", max_transactions=1)
    await backend.say("StartTransaction", start())
    again = await backend.say("StartTransaction", start(later(hours=2), 5000), later(hours=2))
    assert again["idTagInfo"]["status"] == "Accepted"


@pytest.mark.parametrize(
    ("tag", "told"),
    [
        ({"blocked": True}, "Blocked"),
        ({"expires_at": NOON - timedelta(days=1)}, "Expired"),
        (None, "Invalid"),
    ],
)
async def test_a_start_with_a_bad_badge_is_recorded_all_the_same(
    backend: Backend, tag: dict[str, Any] | None, told: str
) -> None:
    await backend.add_tag("OTHER")
    if tag is not None:
        await backend.add_tag("BADGE1", **tag)
    answer = await backend.say("StartTransaction", start())
    assert answer["idTagInfo"]["status"] == told
    assert answer["transactionId"] > 0
    assert await backend.say("StopTransaction", stop(answer["transactionId"], reason="DeAuthorized")) == {}
    (row,) = await backend.transactions()
    assert (row["start_status"], row["stop_reason"], row["energy_wh"]) == (told, "DeAuthorized", 7000)


async def test_authorize_tells_what_is_known_of_a_badge(backend: Backend) -> None:
    async def ask(tag: str) -> dict[str, Any]:
        info: dict[str, Any] = (await backend.say("Authorize", {"idTag": tag}))["idTagInfo"]
        return info

    assert await ask("anybody") == {"status": "Accepted"}  # no badge is stored: everybody may charge
    await backend.add_tag("Anna", parent_id_tag="FAMILY", expires_at=later(days=9), max_transactions=1)
    await backend.say("StartTransaction", start(tag="anna"))
    assert await ask("ANNA") == {
        "status": "Accepted",
        "parentIdTag": "FAMILY",
        "expiryDate": "2026-06-10T12:00:00Z",
    }
    assert await ask("anybody") == {"status": "Invalid"}


async def test_a_new_start_closes_what_was_left_open_with_its_best_register(backend: Backend) -> None:
    first = await backend.say("StartTransaction", start())
    await backend.say("MeterValues", values(first["transactionId"], later(minutes=10), 2500))
    second = await backend.say("StartTransaction", start(later(hours=3), 9000), later(hours=3))
    lost, running = await backend.transactions()
    assert (lost["stop_reason"], lost["stopped_at"]) == ("Lost", later(minutes=10))
    assert lost["energy_wh"] == 1500
    assert running["stopped_at"] is None
    live = backend.live().transaction
    assert live is not None
    assert live.id == second["transactionId"]


@pytest.mark.parametrize("between", [nothing, the_server_restarts])
async def test_after_a_power_loss_the_late_stop_corrects_what_was_closed_as_lost(
    backend: Backend, between: Between
) -> None:
    begun = await backend.say("StartTransaction", start())
    await backend.say("MeterValues", values(begun["transactionId"], later(minutes=10), 2500))
    await backend.say("BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"})
    await backend.say("StatusNotification", status("Available", later(hours=1)), later(hours=1))
    (lost,) = await backend.transactions()
    assert (lost["stop_reason"], lost["energy_wh"]) == ("Lost", 1500)
    assert backend.live().transaction is None
    await between(backend)
    message = stop(begun["transactionId"], later(minutes=30), 4000, reason="PowerLoss")
    assert await backend.say("StopTransaction", message, later(hours=1)) == {}
    (row,) = await backend.transactions()
    assert (row["stop_reason"], row["energy_wh"]) == ("PowerLoss", 3000)
    assert row["stopped_at"] == later(minutes=30)


async def test_a_late_stop_leaves_the_next_transaction_alone(backend: Backend) -> None:
    first = await backend.say("StartTransaction", start())
    second = await backend.say("StartTransaction", start(later(hours=3), 9000), later(hours=3))
    await backend.say("StopTransaction", stop(first["transactionId"], later(hours=2), 8800), later(hours=4))
    ended, running = await backend.transactions()
    assert (ended["energy_wh"], running["stopped_at"]) == (7800, None)
    live = backend.live().transaction
    assert live is not None
    assert live.id == second["transactionId"]


async def test_an_old_available_status_does_not_end_what_began_after_it(backend: Backend) -> None:
    await backend.say("StartTransaction", start())
    await backend.say("StatusNotification", status("Available", NOON - timedelta(minutes=2)))
    assert (await backend.transactions())[0]["stopped_at"] is None
    assert backend.live().transaction is not None


async def test_a_station_that_charges_on_after_being_free_goes_on_with_its_transaction(
    backend: Backend,
) -> None:
    begun = await backend.say("StartTransaction", start())
    await backend.say("StatusNotification", status("Available"), later(minutes=1))
    await backend.say("StatusNotification", status("Charging"), later(minutes=2))
    await backend.say("MeterValues", values(begun["transactionId"], later(minutes=3), 1800), later(minutes=3))
    (row,) = await backend.transactions()
    assert (row["stopped_at"], row["energy_wh"]) == (None, 800)
    live = backend.live().transaction
    assert live is not None
    assert (live.id, live.energy_wh) == (begun["transactionId"], 800)


# --- stops whose transaction id says nothing ---


@pytest.mark.parametrize("sent_id", [-1, 0, -16, 77, 2**62])
@pytest.mark.parametrize("between", [nothing, the_server_restarts])
async def test_a_stop_without_a_usable_id_finds_its_transaction(
    backend: Backend, sent_id: int, between: Between
) -> None:
    """Two cars charge; the station never learnt the ids of their transactions."""
    await backend.say("StartTransaction", start())
    await backend.say("StartTransaction", start(meter_wh=500_000, tag="BADGE2", connector_id=2))
    message = stop(sent_id, meter_wh=507_000)
    assert await backend.say("StopTransaction", message, later(hours=1)) == {}
    await between(backend)
    assert await backend.say("StopTransaction", message, later(hours=2)) == {}
    first, second = await backend.transactions()
    assert (first["stopped_at"], second["stopped_at"]) == (None, later(hours=1))
    assert second["energy_wh"] == 7000
    assert backend.live(1).transaction is not None
    assert backend.live(2).transaction is None


async def test_a_stop_without_a_usable_id_goes_by_the_badge_where_registers_do_not_tell(
    backend: Backend,
) -> None:
    await backend.say("StartTransaction", start(tag="ANNA1234"))
    await backend.say("StartTransaction", start(tag="BERTA123", connector_id=2))
    await backend.say("StopTransaction", stop(-1, idTag="berta123\x00"))
    assert [row["stopped_at"] for row in await backend.transactions()] == [None, later(hours=1)]


async def test_a_stop_by_another_badge_of_the_family_finds_its_transaction(backend: Backend) -> None:
    for tag in ("ANNA", "BERTA"):
        await backend.add_tag(tag, parent_id_tag="FAMILY")
    await backend.add_tag("CARL")
    await backend.say("StartTransaction", start(tag="ANNA"))
    await backend.say("StopTransaction", stop(-1, idTag="CARL"))
    assert (await backend.transactions())[0]["stopped_at"] is None
    answer = await backend.say("StopTransaction", stop(-1, idTag="BERTA"))
    assert answer["idTagInfo"]["status"] == "Accepted"
    assert (await backend.transactions())[0]["stop_id_tag"] == "BERTA"


async def test_a_stop_of_nothing_we_know_is_kept_once_and_answered(backend: Backend) -> None:
    await backend.add_tag("BADGE1")
    message = stop(77, idTag="BADGE1")
    answers = [await backend.say("StopTransaction", message) for _ in range(2)]
    await backend.restart()
    answers.append(await backend.say("StopTransaction", message, later(hours=5)))
    assert answers == [{"idTagInfo": {"status": "Accepted"}}] * 3
    assert len(backend.rows("unmatched_stops")) == 1
    assert await backend.transactions() == []


async def test_a_stop_of_another_stations_transaction_does_not_end_it(backend: Backend) -> None:
    begun = await backend.say("StartTransaction", start(), identity="CP2")
    assert await backend.say("StopTransaction", stop(begun["transactionId"]), identity="CP1") == {}
    assert (await backend.transactions())[0]["stopped_at"] is None


async def test_a_stop_by_an_unknown_badge_is_not_answered_with_invalid(backend: Backend) -> None:
    await backend.add_tag("BADGE1")
    begun = await backend.say("StartTransaction", start())
    answer = await backend.say("StopTransaction", stop(begun["transactionId"], idTag="MASTERKEY"))
    assert answer == {}
    assert (await backend.transactions())[0]["energy_wh"] == 7000


# --- a station comes back with what it has queued ---


async def test_a_whole_transaction_from_the_queue_never_looks_alive(backend: Backend) -> None:
    tomorrow = later(days=1)
    await backend.say("StatusNotification", status("Available"), tomorrow)
    async with backend.events.subscribe() as heard:
        begun = await backend.say("StartTransaction", start(), tomorrow)
        assert backend.live().transaction is None
        await backend.say("MeterValues", values(begun["transactionId"], later(minutes=10), 2500), tomorrow)
        await backend.say("StopTransaction", stop(begun["transactionId"]), tomorrow)
        kinds = {heard.get_nowait().kind for _ in range(heard.qsize())}
    assert not kinds & {"transaction.started", "transaction.stopped"}
    (row,) = await backend.transactions()
    assert (row["energy_wh"], row["started_at"], row["stopped_at"]) == (7000, NOON, later(hours=1))
    assert [value["transaction_id"] for value in backend.rows("meter_values")] == [begun["transactionId"]]


async def test_an_old_start_whose_car_still_charges_is_alive(backend: Backend) -> None:
    await backend.say("StatusNotification", status("Charging"), later(hours=2))
    begun = await backend.say("StartTransaction", start(), later(hours=2))
    live = backend.live().transaction
    assert live is not None
    assert live.id == begun["transactionId"]


async def test_an_old_start_that_comes_after_a_newer_one_does_not_end_it(backend: Backend) -> None:
    newer = await backend.say("StartTransaction", start(later(hours=5), 9000), later(hours=5))
    older = await backend.say("StartTransaction", start(), later(hours=5, minutes=1))
    live = backend.live().transaction
    assert live is not None
    assert live.id == newer["transactionId"]
    await backend.say("StopTransaction", stop(older["transactionId"]), later(hours=5, minutes=2))
    rows = {row["id"]: row for row in await backend.transactions()}
    assert rows[newer["transactionId"]]["stopped_at"] is None
    assert rows[older["transactionId"]]["energy_wh"] == 7000


async def test_a_stop_that_came_before_its_start_is_applied_to_it(backend: Backend) -> None:
    data = values(None, later(minutes=30), 4000)["meterValue"]
    await backend.say("StopTransaction", stop(-1, transactionData=data), later(hours=6))
    begun = await backend.say("StartTransaction", start(), later(hours=6))
    (row,) = await backend.transactions()
    assert (row["id"], row["energy_wh"], row["stopped_at"]) == (begun["transactionId"], 7000, later(hours=1))
    assert backend.live().transaction is None
    assert [value["transaction_id"] for value in backend.rows("meter_values")] == [row["id"]]


async def test_values_that_come_after_the_stop_belong_to_their_transaction(backend: Backend) -> None:
    begun = await backend.say("StartTransaction", start())
    await backend.say("StopTransaction", stop(begun["transactionId"]), later(hours=1))
    late = values(begun["transactionId"], later(minutes=40), 5000)
    assert await backend.say("MeterValues", late, later(hours=1, minutes=1)) == {}
    without_id = values(None, later(minutes=41), 5100)
    await backend.say("MeterValues", without_id, later(hours=1, minutes=1))
    found = [value["transaction_id"] for value in backend.rows("meter_values")]
    assert found == [begun["transactionId"]] * 2
    assert (await backend.transactions())[0]["energy_wh"] == 7000


async def test_values_named_after_an_ended_transaction_add_nothing_to_it(backend: Backend) -> None:
    begun = await backend.say("StartTransaction", start())
    await backend.say("StopTransaction", stop(begun["transactionId"]), later(hours=1))
    await backend.say("MeterValues", values(begun["transactionId"], later(hours=2), 9999), later(hours=2))
    assert (await backend.transactions())[0]["energy_wh"] == 7000


async def test_values_without_a_known_id_belong_to_what_runs_on_the_connector(backend: Backend) -> None:
    begun = await backend.say("StartTransaction", start())
    for minute, sent_id in enumerate((None, -1, 4711), 1):
        at = later(minutes=minute)
        await backend.say("MeterValues", values(sent_id, at, 1000 + 100 * minute), at)
    found = [value["transaction_id"] for value in backend.rows("meter_values")]
    assert found == [begun["transactionId"]] * 3
    live = backend.live().transaction
    assert live is not None
    assert live.energy_wh == 300
    assert (await backend.transactions())[0]["energy_wh"] == 300


async def test_a_session_begun_under_another_central_system_is_taken_over(backend: Backend) -> None:
    await backend.say("StatusNotification", status("Charging"))
    await backend.say("MeterValues", values(4711, later(minutes=1), 20_000), later(minutes=1))
    await backend.say("MeterValues", values(4711, later(minutes=2), 20_100), later(minutes=2))
    live = backend.live().transaction
    assert live is not None
    assert (live.id, live.energy_wh) == (4711, 100)
    await backend.restart()
    live = backend.live().transaction
    assert live is not None
    assert (live.id, live.energy_wh) == (4711, 100)
    await backend.say("StopTransaction", stop(4711, meter_wh=21_000), later(hours=1))
    (row,) = await backend.transactions()
    assert (row["id"], row["energy_wh"]) == (4711, 1000)
    following = await backend.say("StartTransaction", start(later(hours=2)), later(hours=2))
    assert following["transactionId"] > 4711


@pytest.mark.parametrize("said", ["Available", "Preparing", "Finishing"])
async def test_ids_that_stations_send_between_sessions_make_no_transaction(
    backend: Backend, said: str
) -> None:
    await backend.say("StatusNotification", status(said))
    await backend.say("MeterValues", values(4711, later(minutes=1), 20_000), later(minutes=1))
    assert await backend.transactions() == []
    assert [value["energy_wh"] for value in backend.rows("meter_values")] == [20_000]


async def test_data_of_the_stop_is_kept_as_meter_values(backend: Backend) -> None:
    begun = await backend.say("StartTransaction", start())
    data = [
        values(None, later(minutes=minute), 1000 + 100 * minute)["meterValue"][0] for minute in (0, 30, 60)
    ]
    message = stop(begun["transactionId"], transactionData=data)
    for _ in range(2):
        await backend.say("StopTransaction", message, later(hours=1))
    rows = backend.rows("meter_values")
    assert [(row["energy_wh"], row["connector_id"]) for row in rows] == [(1000, 1), (4000, 1), (7000, 1)]


# --- odd stations ---


async def test_a_start_without_a_time_is_begun_once(backend: Backend) -> None:
    message = {"connectorId": 1, "idTag": "BADGE1", "meterStart": 1000}
    first = await backend.say("StartTransaction", message)
    again = await backend.say("StartTransaction", message, later(seconds=40))
    assert again == first
    await backend.say("StopTransaction", stop(first["transactionId"], later(minutes=5), 1000))
    following = await backend.say("StartTransaction", message, later(minutes=10))
    assert following["transactionId"] != first["transactionId"]


async def test_a_station_whose_clock_was_never_set_can_charge(backend: Backend) -> None:
    in_1970 = NOON.replace(year=1970, month=1, day=1)
    await backend.say("StatusNotification", status("Available", in_1970))
    begun = await backend.say("StartTransaction", start(in_1970 + timedelta(minutes=1)))
    live = backend.live().transaction
    assert live is not None
    assert live.id == begun["transactionId"]
    await backend.say("StatusNotification", status("Available", in_1970), later(hours=1))
    assert backend.live().transaction is None


async def test_readings_of_a_station_with_local_time_are_taken_as_of_now(backend: Backend) -> None:
    """It marks its local time (two hours ahead) as UTC."""
    ahead = timedelta(hours=2)
    for n in range(3):
        at = later(seconds=10 * n)
        await backend.say("MeterValues", values(None, at + ahead, 1000, power_w=1000 + n), at)
    reading = backend.live().reading
    assert reading is not None
    assert (reading.power_w, reading.at) == (1002, later(seconds=20))


async def test_replayed_readings_do_not_overwrite_the_present(backend: Backend) -> None:
    await backend.say("MeterValues", values(None, later(hours=2), None, power_w=7000), later(hours=2))
    for n in range(5):
        await backend.say(
            "MeterValues", values(None, later(minutes=n), None, power_w=100 + n), later(hours=2)
        )
    reading = backend.live().reading
    assert reading is not None
    assert reading.power_w == 7000
    assert len(backend.rows("meter_values")) == 6
