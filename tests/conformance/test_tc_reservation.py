"""Reservation: cases 046 to 053."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from octt_station import (
    COLLEAGUE_TAG,
    GROUP_TAG,
    VALID_TAG,
    OcttStation,
    Operator,
)

TEN_MINUTES_S = 600
WHOLE_SECONDS = timedelta(seconds=1)  # what is lost on the wire


async def test_tc_046_reserve_then_charge(station: OcttStation, operator: Operator) -> None:
    asked = await reserve(station, operator)
    assert (asked["connectorId"], asked["idTag"]) == (1, VALID_TAG)
    await station.status("Reserved")
    await station.authorize()
    await station.status("Preparing")
    transaction_id = await station.start(reservationId=asked["reservationId"])
    await station.status("Charging")
    reservation = await newest(station, operator)
    assert (reservation["status"], reservation["transaction_id"]) == ("Used", transaction_id)


async def test_tc_047_reservation_expires(station: OcttStation, operator: Operator) -> None:
    offset = timedelta(seconds=2)
    before = datetime.now(UTC)
    async with operator.event("reservation.expired", station.identity) as expired:
        asked = await reserve(station, operator, connector_id=2, expires_in_s=int(offset.total_seconds()))
        assert (asked["connectorId"], asked["idTag"]) == (2, VALID_TAG)
        expires_at = datetime.fromisoformat(asked["expiryDate"])
        assert before + offset - WHOLE_SECONDS <= expires_at <= datetime.now(UTC) + offset + WHOLE_SECONDS
        await station.status("Reserved", 2)
        await expired
    await station.status("Available", 2)
    assert (await newest(station, operator))["status"] == "Expired"


async def test_tc_048_1_reservation_answered_faulted(station: OcttStation, operator: Operator) -> None:
    await station.status("Faulted", error_code="GroundFailure")
    await is_refused(station, operator, "Faulted")


async def test_tc_048_2_reservation_answered_occupied(station: OcttStation, operator: Operator) -> None:
    await station.status("Preparing")
    await is_refused(station, operator, "Occupied")


async def test_tc_048_3_reservation_answered_unavailable(station: OcttStation, operator: Operator) -> None:
    closed = {"connectorId": 1, "type": "Inoperative"}
    await operator.command(station, "ChangeAvailability", closed, {"status": "Accepted"})
    await station.status("Unavailable")
    await is_refused(station, operator, "Unavailable")


async def test_tc_048_4_reservation_answered_rejected(station: OcttStation, operator: Operator) -> None:
    await is_refused(station, operator, "Rejected")


async def test_tc_049_reservation_of_any_connector(station: OcttStation, operator: Operator) -> None:
    asked = await reserve(station, operator, connector_id=0)
    assert asked["connectorId"] == 0
    await station.authorize()
    await station.status("Preparing", 2)
    transaction_id = await station.start(connector_id=2, reservationId=asked["reservationId"])
    await station.status("Charging", 2)
    assert (await newest(station, operator))["transaction_id"] == transaction_id


async def test_tc_051_cancel_a_reservation(station: OcttStation, operator: Operator) -> None:
    asked = await reserve(station, operator)
    await station.status("Reserved")
    cancelled = await cancel(station, operator, asked["reservationId"], "Accepted")
    assert cancelled["status"] == "Cancelled"
    await station.status("Available")


async def test_tc_052_cancelling_is_rejected(station: OcttStation, operator: Operator) -> None:
    asked = await reserve(station, operator)
    await station.status("Reserved")
    kept = await cancel(station, operator, asked["reservationId"], "Rejected")
    assert kept["status"] == "Accepted"


async def test_tc_053_another_tag_of_the_group_uses_it(station: OcttStation, operator: Operator) -> None:
    asked = await reserve(station, operator)
    assert asked["parentIdTag"] == GROUP_TAG
    await station.status("Reserved")
    info = await station.authorize(COLLEAGUE_TAG)
    assert info["parentIdTag"] == asked["parentIdTag"]
    await station.status("Preparing")
    transaction_id = await station.start(COLLEAGUE_TAG, reservationId=asked["reservationId"])
    await station.status("Charging")
    reservation = await newest(station, operator)
    assert (reservation["status"], reservation["transaction_id"]) == ("Used", transaction_id)


async def reserve(
    station: OcttStation,
    operator: Operator,
    *,
    connector_id: int = 1,
    expires_in_s: int = TEN_MINUTES_S,
    answer: str = "Accepted",
) -> dict[str, Any]:
    """The ReserveNow request that the station got."""
    response, commands = await operator.act(
        station,
        "POST",
        f"/charge-points/{station.identity}/reservations",
        {"connector_id": connector_id, "id_tag": VALID_TAG, "expires_in_s": expires_in_s},
        {"ReserveNow": {"status": answer}},
    )
    assert response.status_code == 201, response.text
    (command,) = commands
    assert response.json()["reservation_id"] == command.payload["reservationId"]
    assert response.json()["answer"] == answer
    return command.payload


async def is_refused(station: OcttStation, operator: Operator, answer: str) -> None:
    await reserve(station, operator, answer=answer)
    assert (await newest(station, operator))["status"] == "Refused"


async def cancel(
    station: OcttStation, operator: Operator, reservation_id: int, answer: str
) -> dict[str, Any]:
    """What the operator is told of the reservation."""
    path = f"/charge-points/{station.identity}/reservations/{reservation_id}"
    response, commands = await operator.act(
        station, "DELETE", path, None, {"CancelReservation": {"status": answer}}
    )
    assert response.status_code == 200, response.text
    (command,) = commands
    assert command.payload == {"reservationId": reservation_id}
    told: dict[str, Any] = response.json()
    assert told["answer"] == answer
    return told


async def newest(station: OcttStation, operator: Operator) -> dict[str, Any]:
    listed: list[dict[str, Any]] = await operator.get(f"/charge-points/{station.identity}/reservations")
    return listed[0]
