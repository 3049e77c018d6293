"""A connector kept for somebody: asked for, used, let go, expired."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from operated_station import CP1, NO_ANSWER, CallError, House, Station, running_house
from sqlalchemy import event
from sqlalchemy.engine import Engine

from csms.storage.database import STORAGE_FAULTS
from tests.services_on_file import NOON, SetClock

RESERVATIONS = f"{CP1}/reservations"
ACCEPTED = {"status": "Accepted"}


def for_an_hour(id_tag: str = "ANNA", connector_id: int = 1) -> dict[str, Any]:
    return {"connector_id": connector_id, "id_tag": id_tag, "expires_in_s": 3600}


async def reserve(house: House, station: Station, **what: Any) -> dict[str, Any]:
    station.will_answer("ReserveNow", ACCEPTED)
    made = await house.operator.post(RESERVATIONS, json=for_an_hour(**what))
    assert (made.status_code, made.json()["status"]) == (201, "Accepted"), made.text
    record: dict[str, Any] = made.json()
    return record


async def begin(station: Station, id_tag: str, connector_id: int = 1, **more: Any) -> int:
    start = {
        "connectorId": connector_id,
        "idTag": id_tag,
        "meterStart": 0,
        "timestamp": "2026-06-01T12:00:30Z",
    }
    return int((await station.say("StartTransaction", {**start, **more}))["transactionId"])


async def only(house: House) -> dict[str, Any]:
    (record,) = (await house.operator.get(RESERVATIONS)).json()
    return dict(record)


async def test_a_reservation_is_used_by_the_start_that_names_it(house: House, station: Station) -> None:
    made = await reserve(house, station)
    (request,) = station.asked("ReserveNow")
    assert request == {
        "connectorId": 1,
        "expiryDate": "2026-06-01T13:00:00Z",
        "idTag": "ANNA",
        "reservationId": made["reservation_id"],
    }
    transaction_id = await begin(station, "SOMEBODY", 2, reservationId=made["reservation_id"])
    used = await only(house)
    assert (used["status"], used["transaction_id"]) == ("Used", transaction_id)


async def test_the_group_of_a_badge_may_use_it_on_any_connector(house: House, station: Station) -> None:
    await house.add_tag("ANNA", parent_id_tag="FAMILY")
    await house.add_tag("BERT", parent_id_tag="family")
    await house.add_tag("CARL")
    await reserve(house, station, connector_id=0)
    assert station.asked("ReserveNow")[0]["parentIdTag"] == "FAMILY"
    await begin(station, "CARL", 1)
    assert (await only(house))["status"] == "Accepted"
    transaction_id = await begin(station, "BERT", 2, reservationId=0)  # as some say for none
    assert (await only(house))["transaction_id"] == transaction_id


async def test_a_repeated_start_uses_no_second_reservation(house: House, station: Station) -> None:
    await reserve(house, station)
    await begin(station, "anna")
    await reserve(house, station)
    await begin(station, "anna")
    statuses = [record["status"] for record in (await house.operator.get(RESERVATIONS)).json()]
    assert statuses == ["Accepted", "Used"]


async def test_a_badge_that_may_not_charge_uses_nobodys_reservation(house: House, station: Station) -> None:
    await house.add_tag("ANNA", blocked=True)
    await reserve(house, station)
    await begin(station, "ANNA")
    assert (await only(house))["status"] == "Accepted"


async def test_a_reservation_expires_by_the_clock_also_over_a_restart(tmp_path: Path) -> None:
    clock = SetClock()
    async with running_house(tmp_path, clock) as house:
        await reserve(house, await house.arrives())
        clock.at = NOON + timedelta(minutes=59)
        await house.services.reservations.expire()
        assert (await only(house))["status"] == "Accepted"
    clock.at = NOON + timedelta(minutes=61)
    async with (
        running_house(tmp_path, clock) as house,
        house.services.events.subscribe("reservation.") as events,
    ):
        await house.services.reservations.expire()
        expired = await only(house)
        assert (expired["status"], expired["ended_at"]) == ("Expired", "2026-06-01T13:00:00Z")
        event = events.get_nowait()
        assert (event.kind, event.data["id_tag"]) == ("reservation.expired", "ANNA")


@asynccontextmanager
async def reads_of(house: House) -> AsyncIterator[list[str]]:
    """What is asked of the database's reservations."""
    asked: list[str] = []

    def note(_conn: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        if "FROM reservations" in statement:
            asked.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    yield asked
    event.remove(Engine, "before_cursor_execute", note)


async def test_the_database_is_not_asked_while_nothing_can_be_over(house: House, station: Station) -> None:
    expire, clock = house.services.reservations.expire, house.clock
    async with reads_of(house) as asked:
        for _ in range(3):
            await expire()
        assert len(asked) == 1  # after the start
    await reserve(house, station, connector_id=1)
    async with reads_of(house) as asked:
        for minute in (0, 30, 59):
            clock.at = NOON + timedelta(minutes=minute)
            await expire()
        assert asked == []
    clock.at = NOON + timedelta(minutes=60)
    await expire()
    assert (await only(house))["status"] == "Expired"
    async with reads_of(house) as asked:
        await expire()
        assert asked == []


@pytest.mark.parametrize(
    ("minutes", "statuses"),
    [
        ([30, 90], [["Accepted", "Accepted"], ["Expired", "Accepted"]]),
        ([-600, 59, 60], [["Accepted", "Accepted"], ["Accepted", "Accepted"], ["Expired", "Accepted"]]),
        ([10_000], [["Expired", "Expired"]]),
        ([61, -600, 121], [["Expired", "Accepted"], ["Expired", "Accepted"], ["Expired", "Expired"]]),
    ],
    ids=["as usual", "set back", "set forward", "forward and back"],
)
async def test_reservations_expire_by_a_clock_that_is_set(
    house: House, station: Station, minutes: list[int], statuses: list[list[str]]
) -> None:
    """A raw one for an hour, then one for two hours; told in this order."""
    station.will_answer("ReserveNow", ACCEPTED)
    raw = {"connectorId": 1, "expiryDate": "2026-06-01T13:00:00Z", "idTag": "ANNA", "reservationId": 77}
    await house.services.reservations.expire()
    await house.operator.post(f"{CP1}/ocpp/ReserveNow", json=raw)
    later = {"connector_id": 2, "id_tag": "BERT", "expires_in_s": 7200}
    assert (await house.operator.post(RESERVATIONS, json=later)).status_code == 201
    seen = []
    for minute in minutes:
        house.clock.at = NOON + timedelta(minutes=minute)
        await house.services.reservations.expire()
        rows = await house.services.reservations.of_station("CP1")
        seen.append([row["status"] for row in reversed(rows)])
    assert seen == statuses


async def test_reservations_are_looked_for_again_when_the_database_has_failed(
    house: House, station: Station
) -> None:
    await reserve(house, station)
    house.clock.at = NOON + timedelta(minutes=61)
    await house.services.database.stop()
    with pytest.raises(STORAGE_FAULTS):
        await house.services.reservations.expire()
    await house.services.database.start()
    await house.services.reservations.expire()
    assert (await only(house))["status"] == "Expired"


async def test_cancelling_counts_when_the_station_agrees(house: House, station: Station) -> None:
    made = await reserve(house, station)
    address = f"{RESERVATIONS}/{made['reservation_id']}"
    station.will_answer("CancelReservation", {"status": "Rejected"}, ACCEPTED)
    kept = (await house.operator.delete(address)).json()
    assert (kept["status"], kept["answer"]) == ("Accepted", "Rejected")
    assert (await house.operator.delete(address)).json()["status"] == "Cancelled"
    assert station.asked("CancelReservation") == [{"reservationId": made["reservation_id"]}] * 2
    assert (await house.operator.delete(f"{RESERVATIONS}/999")).status_code == 404


@pytest.mark.parametrize("answer", ["Faulted", "Occupied", "Unavailable", "Rejected"])
async def test_what_the_station_refuses_is_in_the_record(house: House, station: Station, answer: str) -> None:
    station.will_answer("ReserveNow", {"status": answer})
    record = (await house.operator.post(RESERVATIONS, json=for_an_hour())).json()
    assert (record["status"], record["answer"]) == ("Refused", answer)


async def test_a_callerror_refuses_and_silence_leaves_it_open(house: House, station: Station) -> None:
    station.will_answer("ReserveNow", CallError("NotSupported"), NO_ANSWER)
    assert (await house.operator.post(RESERVATIONS, json=for_an_hour())).status_code == 502
    raw = {"connectorId": 1, "expiryDate": "2026-06-01T13:00:00Z", "idTag": "ANNA", "reservationId": 77}
    silent = await house.operator.post(f"{CP1}/ocpp/ReserveNow?timeout_s=0.05", json=raw)
    assert silent.status_code == 504
    unknown, refused = (await house.operator.get(RESERVATIONS)).json()
    assert (unknown["reservation_id"], unknown["status"]) == (77, "Asked")
    assert (refused["status"], refused["answer"]) == ("Refused", "NotSupported")
    await begin(station, "ANNA")  # it had taken it after all
    assert (await house.operator.get(RESERVATIONS)).json()[0]["status"] == "Used"


async def test_a_raw_reservation_of_the_same_number_takes_the_place_of_the_first(
    house: House, station: Station
) -> None:
    station.will_answer("ReserveNow", ACCEPTED)
    raw = {"connectorId": 1, "expiryDate": "2026-06-01T13:00:00Z", "idTag": "ANNA", "reservationId": 3}
    for id_tag in ("ANNA", "BERT"):
        await house.operator.post(f"{CP1}/ocpp/ReserveNow", json={**raw, "idTag": id_tag})
    records = (await house.operator.get(RESERVATIONS)).json()
    assert [(r["id_tag"], r["status"]) for r in records] == [("BERT", "Accepted"), ("ANNA", "Cancelled")]
    third = await reserve(house, station, id_tag="CARL")
    assert third["reservation_id"] == 4  # and not the number that BERT has


async def test_any_connector_is_not_asked_for_where_the_station_cannot(
    house: House, station: Station
) -> None:
    told = [{"key": "ReserveConnectorZeroSupported", "readonly": True, "value": "False"}]
    station.will_answer("GetConfiguration", {"configurationKey": told})
    await house.operator.post(f"{CP1}/ocpp/GetConfiguration", json={})
    refused = await house.operator.post(RESERVATIONS, json=for_an_hour(connector_id=0))
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "connector_id")
    assert station.asked("ReserveNow") == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"expires_in_s": None},
        {"expires_at": "2026-06-01T13:00:00Z"},
        {"expires_in_s": None, "expires_at": "2026-06-01T11:00:00Z"},
        {"expires_in_s": None, "expires_at": "2026-06-01T13:00:00"},
        {"connector_id": -1},
        {"id_tag": "x" * 21},
    ],
)
async def test_a_reservation_must_make_sense(house: House, station: Station, wrong: dict[str, Any]) -> None:
    assert (await house.operator.post(RESERVATIONS, json={**for_an_hour(), **wrong})).status_code == 422
    assert (await house.operator.get(RESERVATIONS)).json() == []
