"""An operator closes what never ends: of lost, swapped and reset stations, and those that come back."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest
from operated_station import House, Station

from tests.services_on_file import NOON

PATH = "/api/v1/transactions"
SWAPPED = {"reason": "the station was swapped"}


async def begin(station: Station) -> int:
    """A session from 1000 Wh on, whose register is read at 4500 Wh ten minutes later."""
    start = {"connectorId": 1, "idTag": "ANNA", "meterStart": 1000, "timestamp": "2026-06-01T12:00:00Z"}
    transaction_id = int((await station.say("StartTransaction", start))["transactionId"])
    await says(station, "Charging")
    await read(station, transaction_id, 4500, "2026-06-01T12:10:00Z")
    return transaction_id


async def says(station: Station, status: str) -> None:
    await station.say("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": status})


async def read(station: Station, transaction_id: int, register_wh: int, at: str) -> None:
    value = {"timestamp": at, "sampledValue": [{"value": str(register_wh)}]}
    told = {"connectorId": 1, "transactionId": transaction_id, "meterValue": [value]}
    await station.say("MeterValues", told)


def stop(transaction_id: int, register_wh: int = 6000) -> dict[str, Any]:
    ended = {"meterStop": register_wh, "timestamp": "2026-06-01T13:00:00Z", "reason": "EVDisconnected"}
    return {"transactionId": transaction_id, "idTag": "ANNA", **ended}


async def close(house: House, transaction_id: int, **more: Any) -> httpx.Response:
    return await house.operator.post(f"{PATH}/{transaction_id}/close", json={**SWAPPED, **more})


async def stored(house: House) -> dict[str, Any]:
    (record,) = (await house.operator.get(PATH)).json()
    return dict(record)


async def logged(house: House) -> list[str]:
    days = {"from": "2026-06-01T00:00:00Z", "to": "2026-07-01T00:00:00Z"}
    rows = (await house.operator.get("/api/v1/charge-points/CP1/messages", params=days)).json()
    return [row["text"] for row in rows if row["direction"] == "log" and "transaction" in row["text"]]


async def test_the_session_of_a_lost_station_is_closed_at_its_last_register(
    house: House, station: Station
) -> None:
    transaction_id = await begin(station)
    await house.is_left_by(station)
    house.clock.at = NOON + timedelta(days=20)
    async with house.services.events.subscribe("transaction.") as told:
        answer = await close(house, transaction_id)
        assert [told.get_nowait().kind for _ in range(2)] == ["transaction.stopped", "transaction.closed"]
    assert (answer.status_code, answer.json()) == (200, await stored(house))
    record = answer.json()
    assert (record["energy_wh"], record["stop_reason"]) == (3500, "Lost")
    assert record["stopped_at"] == "2026-06-01T12:10:00Z"
    assert record["close_note"] == "test: the station was swapped"
    assert house.services.charge_points.station("CP1").connectors[1].transaction is None
    assert await logged(house) == ["transaction 1 closed at 3.50 kWh by test: the station was swapped"]


async def test_without_any_reading_it_ends_when_its_station_was_last_heard(
    house: House, station: Station
) -> None:
    house.clock.at = NOON + timedelta(minutes=5)
    start = {"connectorId": 1, "idTag": "ANNA", "meterStart": 1000, "timestamp": "2026-06-01T12:00:00Z"}
    await station.say("StartTransaction", start)
    await house.is_left_by(station)
    house.clock.at = NOON + timedelta(days=20)
    await close(house, 1)
    record = await stored(house)
    assert (record["energy_wh"], record["stopped_at"]) == (0, "2026-06-01T12:05:00Z")


async def test_a_late_stop_puts_the_end_right_once(house: House, station: Station) -> None:
    """The station was only offline: it comes back and tells the stop out of its queue, twice."""
    transaction_id = await begin(station)
    await house.is_left_by(station)
    await close(house, transaction_id)
    back = await house.arrives()
    answers = [await back.say("StopTransaction", stop(transaction_id)) for _ in range(2)]
    assert answers == [{"idTagInfo": {"status": "Accepted"}}] * 2
    record = await stored(house)
    assert (record["energy_wh"], record["meter_stop_wh"], record["stop_reason"]) == (
        5000,
        6000,
        "EVDisconnected",
    )
    assert record["close_note"] == "test: the station was swapped"
    await back.say("StopTransaction", stop(transaction_id, 9000))
    assert (await stored(house))["energy_wh"] == 5000


async def test_a_station_that_goes_on_with_it_has_it_run_again(house: House, station: Station) -> None:
    transaction_id = await begin(station)
    await house.is_left_by(station)
    await close(house, transaction_id)
    back = await house.arrives()
    await says(back, "Charging")
    await read(back, transaction_id, 5000, "2026-06-01T12:20:00Z")
    record = await stored(house)
    assert (record["stopped_at"], record["close_note"], record["energy_wh"]) == (None, None, 4000)


async def test_a_station_that_charges_is_asked_to_stop_first(house: House, station: Station) -> None:
    """Unless the operator insists: a station reset meanwhile charges on and knows of no transaction."""
    transaction_id = await begin(station)
    refused = await close(house, transaction_id)
    assert refused.status_code == 409
    assert "connector 1 of CP1 says Charging" in refused.json()["detail"]
    assert (await stored(house))["stopped_at"] is None
    assert (await close(house, transaction_id, even_if_charging=True)).status_code == 200
    assert (await stored(house))["stop_reason"] == "Lost"


async def test_two_operators_close_it_once(house: House, station: Station) -> None:
    transaction_id = await begin(station)
    await house.is_left_by(station)
    answers = await asyncio.gather(*(close(house, transaction_id) for _ in range(3)))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409]
    assert len(await logged(house)) == 1


async def test_what_has_ended_stays_as_its_station_ended_it(house: House, station: Station) -> None:
    transaction_id = await begin(station)
    await station.say("StopTransaction", stop(transaction_id))
    refused = await close(house, transaction_id, even_if_charging=True)
    assert (refused.status_code, refused.json()["detail"]) == (
        409,
        "transaction 1 has ended already (EVDisconnected)",
    )
    assert (await stored(house))["close_note"] is None


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"reason": "   "}, 422, "1 to 150 characters"),
        ({"reason": "x" * 151}, 422, "150 characters"),
        ({}, 422, "Field required"),
        ({"reason": "lost", "energy_wh": 9}, 422, "Extra inputs"),
    ],
)
async def test_a_reason_is_needed(
    house: House, station: Station, body: dict[str, Any], status: int, said: str
) -> None:
    transaction_id = await begin(station)
    answer = await house.operator.post(f"{PATH}/{transaction_id}/close", json=body)
    assert answer.status_code == status
    assert said in answer.json()["detail"]


async def test_operators_close_and_viewers_do_not(house: House, station: Station) -> None:
    transaction_id = await begin(station)
    await house.is_left_by(station)
    viewer = {"Authorization": f"Bearer {await house.services.accounts.create_token('tv', 'viewer')}"}
    path = f"{PATH}/{transaction_id}/close"
    assert (await house.nobody.post(path, json=SWAPPED)).status_code == 401
    assert (await house.nobody.post(path, json=SWAPPED, headers=viewer)).status_code == 403
    assert (await stored(house))["stopped_at"] is None
    assert (await close(house, 77)).status_code == 404
