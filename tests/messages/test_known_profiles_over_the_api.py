"""Which charging profiles a station is known to have, whoever had them written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from operated_station import CP1, NO_ANSWER, House, Station, running_house

ACCEPTED = {"status": "Accepted"}


def profile(number: int, purpose: str, stack_level: int = 0) -> dict[str, Any]:
    return {
        "chargingProfileId": number,
        "stackLevel": stack_level,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": "Relative",
        "chargingSchedule": {
            "chargingRateUnit": "A",
            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 8.1}],
        },
    }


async def write(house: House, connector_id: int, number: int, purpose: str, stack_level: int = 0) -> int:
    request = {
        "connectorId": connector_id,
        "csChargingProfiles": profile(number, purpose, stack_level),
    }
    answer = await house.operator.post(f"{CP1}/ocpp/SetChargingProfile?timeout_s=0.5", json=request)
    return answer.status_code


async def known(house: House) -> list[tuple[int, int]]:
    listed = (await house.operator.get(f"{CP1}/charging-profiles")).json()
    return [(one["connector_id"], one["profile"]["chargingProfileId"]) for one in listed]


async def clear(house: House, **request: Any) -> None:
    assert (await house.operator.post(f"{CP1}/ocpp/ClearChargingProfile", json=request)).is_success


async def test_what_is_accepted_replaced_and_cleared_is_known_also_after_a_restart(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        station = await house.arrives()
        station.will_answer("SetChargingProfile", ACCEPTED)
        station.will_answer("ClearChargingProfile", ACCEPTED)
        await write(house, 0, 1, "ChargePointMaxProfile")
        await write(house, 1, 2, "TxDefaultProfile")
        await write(house, 1, 3, "TxDefaultProfile", stack_level=1)
        await write(house, 2, 4, "TxDefaultProfile")
        await write(house, 1, 5, "TxDefaultProfile")  # where 2 was
        assert await known(house) == [(0, 1), (1, 5), (1, 3), (2, 4)]
        await clear(house, connectorId=1, stackLevel=1)
        await clear(house, id=4, connectorId=1)
        assert await known(house) == [(0, 1), (1, 5)]
    async with running_house(tmp_path) as house:
        assert await known(house) == [(0, 1), (1, 5)]


async def test_a_refused_profile_is_not_known_and_silence_forgets_what_it_may_have_replaced(
    house: House, station: Station
) -> None:
    station.will_answer("SetChargingProfile", ACCEPTED, ACCEPTED, {"status": "Rejected"}, NO_ANSWER)
    await write(house, 1, 1, "TxDefaultProfile")
    await write(house, 2, 2, "TxDefaultProfile")
    await write(house, 1, 3, "TxDefaultProfile")
    assert await known(house) == [(1, 1), (2, 2)]
    assert await write(house, 1, 4, "TxDefaultProfile") == 504
    assert await known(house) == [(2, 2)]


async def test_a_profile_for_a_remote_start_is_there_as_long_as_its_session(
    house: House, station: Station
) -> None:
    station.will_answer("RemoteStartTransaction", ACCEPTED)
    request = {"connectorId": 1, "idTag": "ANNA", "chargingProfile": profile(7, "TxProfile")}
    await house.operator.post(f"{CP1}/ocpp/RemoteStartTransaction", json=request)
    start = {"connectorId": 1, "idTag": "ANNA", "meterStart": 0, "timestamp": "2026-06-01T12:00:00Z"}
    transaction_id = (await station.say("StartTransaction", start))["transactionId"]
    assert await known(house) == [(1, 7)]
    station.will_answer("SetChargingProfile", ACCEPTED)
    await write(house, 1, 8, "TxProfile", stack_level=2)
    listed = (await house.operator.get(f"{CP1}/charging-profiles")).json()
    assert listed[1]["profile"]["transactionId"] == transaction_id
    end = {"transactionId": transaction_id, "meterStop": 9, "timestamp": "2026-06-01T12:30:00Z"}
    await station.say("StopTransaction", end)
    await house.services.profiles.settle()
    assert await known(house) == []
