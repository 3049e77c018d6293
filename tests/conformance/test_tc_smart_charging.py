"""Smart charging: cases 056, 057, 059, 066 and 067. Times and limits must arrive as given."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from octt_station import VALID_TAG, OcttStation, Operator, Payload, wire_time

ONE_HOUR_S = 3600


async def test_tc_056_default_profile(station: OcttStation, operator: Operator) -> None:
    for unit, limit in (("A", 6.0), ("W", 6000.0)):
        profile = absolute_profile(1, "TxDefaultProfile", unit=unit, limit=limit)
        await set_profile(station, operator, 1, profile)


async def test_tc_057_profile_of_the_running_transaction(station: OcttStation, operator: Operator) -> None:
    transaction_id = await station.charge()
    shown = (await operator.connector(station.identity))["transaction"]["id"]
    assert shown == transaction_id
    await set_profile(station, operator, 1, absolute_profile(1, "TxProfile", transactionId=shown))
    await station.meter_values(transaction_id, 1500)
    await station.stop(transaction_id, "Local")
    await station.unplug()


async def test_tc_059_remote_start_with_a_profile(station: OcttStation, operator: Operator) -> None:
    profile = absolute_profile(1, "TxProfile")
    asked: Payload = {"idTag": VALID_TAG, "connectorId": 1, "chargingProfile": profile}
    assert "transactionId" not in profile
    await station.status("Preparing")
    await operator.command(station, "RemoteStartTransaction", asked, {"status": "Accepted"})
    await station.authorize(asked["idTag"])
    await station.start(asked["idTag"])
    await station.status("Charging")


async def test_tc_066_composite_schedule(station: OcttStation, operator: Operator) -> None:
    await set_profile(station, operator, 1, absolute_profile(1, "TxDefaultProfile", limit=6.0))
    asked = {"connectorId": 1, "duration": 300, "chargingRateUnit": "A"}
    answer = {
        "status": "Accepted",
        "connectorId": 1,
        "scheduleStart": wire_time(),
        "chargingSchedule": {
            "duration": 300,
            "chargingRateUnit": "A",
            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 6.0}],
        },
    }
    await operator.command(station, "GetCompositeSchedule", asked, answer)


async def test_tc_067_clear_profiles(station: OcttStation, operator: Operator) -> None:
    transaction_id = await station.charge()
    profiles = {
        101: (0, absolute_profile(101, "ChargePointMaxProfile")),
        102: (1, absolute_profile(102, "TxDefaultProfile")),
        103: (1, absolute_profile(103, "TxProfile", transactionId=transaction_id)),
    }
    for connector_id, profile in profiles.values():
        await set_profile(station, operator, connector_id, profile)

    await clear(station, operator, {"id": 103})
    by_criteria = {"connectorId": 1, "chargingProfilePurpose": "TxDefaultProfile", "stackLevel": 0}
    await clear(station, operator, by_criteria)
    await clear(station, operator, {})
    await clear(station, operator, {"id": 103}, status="Unknown")


def absolute_profile(id: int, purpose: str, *, unit: str = "A", limit: float = 6.0, **more: Any) -> Payload:
    """As the tool's own exports have them: Absolute with all dates and a duration, nothing recurring."""
    now = datetime.now(UTC)
    return {
        "chargingProfileId": id,
        "stackLevel": 0,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": "Absolute",
        "validFrom": wire_time(now - timedelta(hours=1)),
        "validTo": wire_time(now + timedelta(days=1)),
        "chargingSchedule": {
            "duration": ONE_HOUR_S,
            "startSchedule": wire_time(now),
            "chargingRateUnit": unit,
            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit}],
        },
        **more,
    }


async def set_profile(station: OcttStation, operator: Operator, connector_id: int, profile: Payload) -> None:
    asked = {"connectorId": connector_id, "csChargingProfiles": profile}
    await operator.command(station, "SetChargingProfile", asked, {"status": "Accepted"})


async def clear(station: OcttStation, operator: Operator, asked: Payload, status: str = "Accepted") -> None:
    await operator.command(station, "ClearChargingProfile", asked, {"status": status})
