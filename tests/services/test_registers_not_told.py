"""Registers that a station does not tell, tells later, or begins anew: no energy is made up or taken away."""

from __future__ import annotations

import pytest
from central_backend import NOON, Backend, later, start, stop, values

from csms.storage import transactions


async def test_a_start_register_that_is_no_register_is_replaced_by_the_last_one_seen(
    backend: Backend,
) -> None:
    await backend.say("MeterValues", values(None, NOON, 40_000))
    unknown = start(later(minutes=1), 2**31 - 1)
    begun = await backend.say("StartTransaction", unknown, later(minutes=1))
    assert await backend.say("StartTransaction", unknown, later(minutes=2)) == begun
    await backend.say("StopTransaction", stop(begun["transactionId"], meter_wh=47_000), later(hours=1))
    assert (await backend.transactions())[0]["energy_wh"] == 7000


async def test_a_meter_that_starts_again_at_zero_takes_no_energy_away(backend: Backend) -> None:
    begun = await backend.say("StartTransaction", start())
    for minute, register_wh in enumerate((2000, 3000, 0, 50), 1):
        at = later(minutes=minute)
        await backend.say("MeterValues", values(begun["transactionId"], at, register_wh), at)
    live = backend.live().transaction
    assert live is not None
    assert live.energy_wh == 2000
    await backend.say("StopTransaction", stop(begun["transactionId"], meter_wh=60))
    assert (await backend.transactions())[0]["energy_wh"] == 2000


@pytest.mark.parametrize("meter_stop", [{}, {"meterStop": 2**31 - 1}, {"meterStop": -1}])
@pytest.mark.parametrize("id_is_known", [True, False])
async def test_a_stop_without_a_register_keeps_the_last_one_read(
    backend: Backend, meter_stop: dict[str, int], id_is_known: bool
) -> None:
    begun = await backend.say("StartTransaction", start())
    await backend.say("MeterValues", values(begun["transactionId"], later(minutes=10), 2500))
    message = {
        "transactionId": begun["transactionId"] if id_is_known else -1,
        "timestamp": "2026-06-01T13:00:00Z",
        **meter_stop,
    }
    first = await backend.say("StopTransaction", message, later(hours=1))
    following = await backend.say("StartTransaction", start(later(hours=2), 2500), later(hours=2))
    assert await backend.say("StopTransaction", message, later(hours=2)) == first
    stopped, running = await backend.transactions()
    assert (stopped["meter_stop_wh"], stopped["energy_wh"]) == (2500, 1500)
    assert (running["id"], running["stopped_at"]) == (following["transactionId"], None)


@pytest.mark.parametrize("meter_start", [{}, {"meterStart": 2**31 - 1}])
@pytest.mark.parametrize("restarts", [False, True])
async def test_a_new_stations_first_start_without_a_register_begins_at_the_first_one_read(
    backend: Backend, meter_start: dict[str, int], restarts: bool
) -> None:
    message = {"connectorId": 1, "idTag": "BADGE1", "timestamp": "2026-06-01T12:00:00Z", **meter_start}
    begun = await backend.say("StartTransaction", message)
    assert await backend.say("StartTransaction", message) == begun
    assert (await backend.transactions())[0]["energy_wh"] == 0
    for minute, register_wh in ((1, 5_000_000), (10, 5_001_500)):
        at = later(minutes=minute)
        await backend.say("MeterValues", values(begun["transactionId"], at, register_wh), at)
        if restarts:
            await backend.restart()
    live = backend.live().transaction
    assert live is not None
    assert live.energy_wh == 1500
    await backend.say("StopTransaction", stop(begun["transactionId"], meter_wh=5_002_000), later(hours=1))
    assert (await backend.transactions())[0]["energy_wh"] == 2000


async def test_a_transaction_of_which_only_the_stop_register_is_known_has_no_energy(backend: Backend) -> None:
    begun = await backend.say("StartTransaction", start(meter_wh=2**31 - 1))
    await backend.say("StopTransaction", stop(begun["transactionId"], meter_wh=5_002_000), later(hours=1))
    (row,) = await backend.transactions()
    assert (row["meter_start_wh"], row["energy_wh"]) == (5_002_000, 0)


async def test_a_start_told_again_with_the_register_it_did_not_know(backend: Backend) -> None:
    first = await backend.say("StartTransaction", start(NOON, -1), NOON)
    again = await backend.say("StartTransaction", start(NOON, 0), later(minutes=1))
    assert again == first
    ended = await backend.say("StopTransaction", stop(first["transactionId"], later(minutes=2), 0))
    assert "idTagInfo" not in ended or ended["idTagInfo"]["status"] == "Accepted"
    assert len(await backend.transactions()) == 1


async def test_a_register_that_would_make_two_starts_the_same(backend: Backend) -> None:
    unknown = (await backend.say("StartTransaction", start(NOON, -1), NOON))["transactionId"]
    async with backend.database.read() as conn:
        row = await transactions.by_id(conn, "CP1", unknown)
    assert row is not None
    other = {name: item for name, item in row.items() if name not in ("min_a", "usual_phases")}
    other |= {"id": unknown + 1, "meter_start_wh": 0.0}
    await backend.database.write(lambda conn: transactions.start(conn, **other))
    await backend.say("StopTransaction", stop(unknown, later(minutes=2), 0), later(minutes=2))
    rows = {row["id"]: row for row in backend.rows("transactions")}
    assert rows[unknown]["stop_reason"] is not None
