"""A simulated station talking OCPP 1.6J to a real websocket server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from central_system import CentralSystem

from simulation.charge_point import SimulatedChargePoint, StationModel
from simulation.clock import VirtualClock
from simulation.vehicle import Vehicle, VehicleModel

NOON = datetime(2026, 6, 21, 12, tzinfo=UTC)
CAR = VehicleModel("car", battery_wh=50_000, reaction_s=2, shortfall_a=0.0)
BACK_OFF_S = 120


@pytest.fixture
async def make_station(
    central: CentralSystem, clock: VirtualClock
) -> AsyncIterator[Callable[..., SimulatedChargePoint]]:
    """Stations that are stopped, and show what went wrong inside, at the end."""
    async with AsyncExitStack() as stations:

        async def make(connectors: int = 1, **model: Any) -> SimulatedChargePoint:
            point = SimulatedChargePoint(
                central.url, "CP 1", connectors, clock=clock, model=StationModel(**model)
            )
            await point.start()
            stations.push_async_callback(point.stop)
            return point

        yield make


@pytest.fixture
async def station(make_station: Callable[..., Any], central: CentralSystem) -> SimulatedChargePoint:
    point: SimulatedChargePoint = await make_station()
    await central.next("StatusNotification", connectorId=1, status="Available")
    return point


@pytest.fixture
async def charging(
    station: SimulatedChargePoint, central: CentralSystem, clock: VirtualClock
) -> SimulatedChargePoint:
    """A car charges at connector 1, transaction 1."""
    station.plug(1, Vehicle(CAR, 0.3))
    assert await station.badge(1, "ANNA")
    await central.next("StartTransaction")
    await clock.advance(30)
    await central.next("StatusNotification", status="Charging")
    return station


def tx_profile(*rows: tuple[int, float], **more: Any) -> dict[str, Any]:
    periods = [{"startPeriod": s, "limit": a} for s, a in rows]
    schedule = {
        "chargingRateUnit": "A",
        "startSchedule": "2026-06-21T11:59:00Z",
        "chargingSchedulePeriod": periods,
    }
    return {
        "chargingProfileId": 5,
        "stackLevel": 1,
        "chargingProfilePurpose": "TxProfile",
        "chargingProfileKind": "Absolute",
        "chargingSchedule": schedule,
    } | more


async def set_profile(central: CentralSystem, profile: dict[str, Any], connector_id: int = 1) -> str:
    answer = await central.call(
        "SetChargingProfile", {"connectorId": connector_id, "csChargingProfiles": profile}
    )
    return str(answer["status"])


def sampled(payload: dict[str, Any]) -> dict[tuple[str, str | None], float]:
    (element,) = payload["meterValue"]
    return {(v["measurand"], v.get("phase")): float(v["value"]) for v in element["sampledValue"]}


async def test_a_visit_from_boot_to_the_last_message(make_station: Callable[..., Any], central, clock):
    point = await make_station(connectors=2)
    boot = await central.next("BootNotification")
    assert boot["chargePointVendor"] == "Helianthus"
    for connector_id in (0, 1, 2):
        await central.next("StatusNotification", connectorId=connector_id, status="Available")

    point.plug(1, Vehicle(CAR, 0.3))
    await central.next("StatusNotification", connectorId=1, status="Preparing")
    assert await point.badge(1, "ANNA")
    assert (await central.next("Authorize")) == {"idTag": "ANNA"}
    start = await central.next("StartTransaction")
    assert (start["connectorId"], start["idTag"], start["meterStart"]) == (1, "ANNA", 0)
    await clock.advance(61)
    await central.next("StatusNotification", connectorId=1, status="Charging")
    values = await central.next("MeterValues")
    assert values["transactionId"] == 1
    power = sampled(values)
    assert power["Current.Import", "L3"] == 16
    assert power["Power.Active.Import", None] == pytest.approx(11_040)
    assert power["Current.Offered", None] == 32
    assert 100 < power["Energy.Active.Import.Register", None] < 185
    assert power["Voltage", "L1-N"] == 230

    await clock.advance(3540)
    assert await point.badge(1, "ANNA")
    stop = await central.next("StopTransaction")
    assert (stop["transactionId"], stop["idTag"], stop["reason"]) == (1, "ANNA", "Local")
    assert stop["meterStop"] == pytest.approx(11_000, abs=60)
    await central.next("StatusNotification", connectorId=1, status="Finishing")
    point.unplug(1)
    await central.next("StatusNotification", connectorId=1, status="Available")


async def test_heartbeats_come_at_the_interval_of_the_boot_answer(station, central, clock):
    assert station.configuration.text("HeartbeatInterval") == "300"
    await clock.advance(301)
    await central.next("Heartbeat")


async def test_a_pending_station_boots_again_and_starts_nothing_meanwhile(make_station, central, clock):
    accepted = central.answers["BootNotification"]
    central.answers["BootNotification"] = {
        "status": "Pending",
        "currentTime": "2026-06-21T10:00:00Z",
        "interval": 90,
    }
    point = await make_station()
    await central.next("BootNotification")
    answer = await central.call("RemoteStartTransaction", {"idTag": "ANNA", "connectorId": 1})
    assert answer == {"status": "Rejected"}
    assert (await central.call("GetConfiguration", {"key": ["NumberOfConnectors"]}))["configurationKey"]
    assert not point.registered.is_set()
    central.answers["BootNotification"] = accepted
    await clock.advance(91)
    await central.next("BootNotification")
    await central.next("StatusNotification", connectorId=1)
    assert [a for a, _ in central.calls].index("StatusNotification") > 1


async def test_a_refused_badge_starts_nothing(station, central):
    central.answers["Authorize"] = {"idTagInfo": {"status": "Blocked"}}
    station.plug(1, Vehicle(CAR, 0.3))
    assert not await station.badge(1, "NOBODY")
    assert station.outlets[1].transaction is None


async def test_a_known_badge_need_not_be_asked_for_again(station, central):
    request = {"key": "LocalPreAuthorize", "value": "true"}
    assert await central.call("ChangeConfiguration", request) == {"status": "Accepted"}
    station.remember("ANNA", {"status": "Accepted"})
    station.plug(1, Vehicle(CAR, 0.3))
    assert await station.badge(1, "anna")
    await central.next("StartTransaction", idTag="anna")
    assert "Authorize" not in [action for action, _ in central.calls]


async def test_badge_first_then_cable_and_giving_up(station, central, clock):
    assert await station.badge(1, "ANNA")
    await central.next("StatusNotification", connectorId=1, status="Preparing")
    await clock.advance(121)
    await central.next("StatusNotification", connectorId=1, status="Available")
    assert await station.badge(1, "ANNA")
    station.plug(1, Vehicle(CAR, 0.3))
    await central.next("StartTransaction", idTag="ANNA")


async def test_another_badge_stops_only_within_the_group(charging, central):
    assert not await charging.badge(1, "STRANGER")
    family = {"idTagInfo": {"status": "Accepted", "parentIdTag": "FAMILY"}}
    central.answers["Authorize"] = family
    charging.remember("ANNA", family["idTagInfo"])
    assert await charging.badge(1, "BEAT")
    assert (await central.next("StopTransaction"))["idTag"] == "BEAT"


async def test_a_start_that_is_refused_afterwards_is_stopped(station, central):
    central.answers["StartTransaction"] = {"transactionId": 9, "idTagInfo": {"status": "Invalid"}}
    station.plug(1, Vehicle(CAR, 0.3))
    await station.badge(1, "ANNA")
    stop = await central.next("StopTransaction")
    assert (stop["transactionId"], stop["reason"]) == (9, "DeAuthorized")


async def test_pulling_the_cable_ends_the_transaction(charging, central):
    charging.unplug(1)
    assert (await central.next("StopTransaction"))["reason"] == "EVDisconnected"
    await central.next("StatusNotification", status="Available")


async def test_what_happens_offline_is_told_later_in_order(charging, central, clock):
    charging.drop_link(away_s=60)
    await clock.advance(4)
    assert not charging.is_connected
    assert await charging.badge(1, "ANNA")
    charging.unplug(1)
    charging.plug(1, Vehicle(CAR, 0.5))
    assert await charging.badge(1, "ANNA")  # known from before: allowed offline
    assert not await charging.badge(1, "STRANGER")
    assert [m.action for m in charging.unsent] == ["StopTransaction", "StartTransaction"]
    before = len(central.calls)
    await clock.advance(60)
    stop = await central.next("StopTransaction")
    assert stop["transactionId"] == 1
    assert stop["timestamp"].startswith("2026-06-21T12:00:34")
    await central.next("StartTransaction")
    await clock.advance(60)
    assert (await central.next("MeterValues"))["transactionId"] == 2
    assert "BootNotification" not in [a for a, _ in central.calls[before:]]


async def test_a_message_that_fails_is_repeated_then_given_up(charging, central, clock):
    central.refuse = {"StopTransaction"}
    charging.end(1, "Other")
    for wait_s in (30, 60):
        await central.next("StopTransaction")
        await clock.advance(wait_s + 1)
    await central.next("StopTransaction")
    charging.begin(1, "ANNA")
    await central.next("StartTransaction")


async def test_a_transaction_whose_start_was_never_taken_is_minus_one(station, central, clock):
    central.refuse = {"StartTransaction"}
    station.plug(1, Vehicle(CAR, 0.3))
    await station.badge(1, "ANNA")
    station.unplug(1)
    for wait_s in (30, 60):
        await central.next("StartTransaction")
        await clock.advance(wait_s + 1)
    assert (await central.next("StopTransaction"))["transactionId"] == -1


async def test_transaction_and_profiles_survive_a_power_cut(charging, central, clock):
    assert await set_profile(central, tx_profile((0, 10), transactionId=1)) == "Accepted"
    charging.power_cycle(off_s=30)
    assert charging.limit_a(1) == 0
    await clock.advance(31)
    await central.next("BootNotification")
    await central.next("StatusNotification", connectorId=1)
    dark = sampled(await central.next("MeterValues", transactionId=1))
    await clock.advance(60)
    values = sampled(await central.next("MeterValues", transactionId=1))
    assert dark["Current.Import", "L1"] == 0
    assert values["Current.Import", "L1"] == 10


async def test_the_car_follows_its_profiles(charging, central, clock):
    assert await set_profile(central, tx_profile((0, 10), (900, 6), transactionId=1)) == "Accepted"
    await clock.advance(1)
    assert charging.limit_a(1) == 10
    assert charging.current_a(1) == (10, 10, 10)
    await clock.advance(900)
    assert charging.current_a(1) == (6, 6, 6)
    await set_profile(central, tx_profile((0, 0), transactionId=1))
    await clock.advance(2)
    await central.next("StatusNotification", connectorId=1, status="SuspendedEVSE")
    assert charging.current_a(1) == (0, 0, 0)
    await set_profile(central, tx_profile((0, 5.9), transactionId=1))
    assert charging.limit_a(1) == 0
    assert await central.call("ClearChargingProfile", {"id": 5}) == {"status": "Accepted"}
    assert await central.call("ClearChargingProfile", {"id": 5}) == {"status": "Unknown"}
    assert charging.limit_a(1) == 32


async def test_a_tx_profile_ends_with_its_transaction_a_default_stays(charging, central):
    default = tx_profile((0, 8)) | {"chargingProfilePurpose": "TxDefaultProfile", "chargingProfileId": 1}
    assert await set_profile(central, default, connector_id=0) == "Accepted"
    assert await set_profile(central, tx_profile((0, 10), transactionId=1)) == "Accepted"
    assert charging.limit_a(1) == 10
    charging.end(1, "Local")
    assert [p.id for p in charging.profiles] == [1]
    charging.begin(1, "ANNA")
    assert charging.limit_a(1) == 8


async def test_the_stations_limit_is_shared(make_station, central, clock):
    point = await make_station(connectors=2)
    await central.next("StatusNotification", connectorId=2)
    for connector_id in (1, 2):
        point.plug(connector_id, Vehicle(CAR, 0.3))
        await point.badge(connector_id, f"TAG{connector_id}")
        await central.next("StartTransaction", connectorId=connector_id)
    cap = tx_profile((0, 20)) | {"chargingProfilePurpose": "ChargePointMaxProfile"}
    assert await set_profile(central, cap, connector_id=0) == "Accepted"
    assert (point.limit_a(1), point.limit_a(2)) == (10, 10)


@pytest.mark.parametrize(
    ("connector_id", "profile", "status"),
    [
        (1, tx_profile((0, 10), transactionId=1), "Accepted"),
        (1, tx_profile((0, 8.1), transactionId=1), "Accepted"),
        (1, tx_profile((0, 10), transactionId=2), "Rejected"),
        (0, tx_profile((0, 10)), "Rejected"),
        (1, tx_profile((0, 10)) | {"chargingProfilePurpose": "ChargePointMaxProfile"}, "Rejected"),
        (1, tx_profile((0, 10), transactionId=1, stackLevel=11), "Rejected"),
        (1, tx_profile((30, 10), transactionId=1), "Rejected"),
        (1, tx_profile(*((s, 10) for s in range(25)), transactionId=1), "Rejected"),
        (7, tx_profile((0, 10)), "PropertyConstraintViolation"),
        (1, tx_profile((0, 10)) | {"chargingProfilePurpose": "Whatever"}, "PropertyConstraintViolation"),
        (1, tx_profile((0, 10)) | {"stackLevel": "high"}, "TypeConstraintViolation"),
        (1, {"chargingProfileId": 1}, "ProtocolError"),
        (1, tx_profile((0, 10)) | {"colour": "red"}, "FormationViolation"),
    ],
    ids=["fits", "one decimal", "another transaction", "TxProfile on 0", "ChargePointMax on 1", "too high",
         "not from 0", "too many periods", "no such connector", "no such purpose", "wrong type", "incomplete",
         "unknown field"],
)  # fmt: skip
async def test_what_a_station_says_to_a_profile(charging, central, connector_id, profile, status):
    kind, *rest = await central.raw_call(
        "SetChargingProfile", {"connectorId": connector_id, "csChargingProfiles": profile}
    )
    assert (rest[0]["status"] if kind == 3 else rest[0]) == status


async def test_personalities_ampere_only_and_a_rule_of_its_own(make_station, central):
    await make_station(rate_units=("Current",), rejects=lambda profile: profile.stack_level > 0)
    await central.next("StatusNotification", connectorId=1)
    default = tx_profile((0, 6)) | {"chargingProfilePurpose": "TxDefaultProfile"}
    assert await set_profile(central, default) == "Rejected"
    assert await set_profile(central, default | {"stackLevel": 0}) == "Accepted"
    watts = default["chargingSchedule"] | {"chargingRateUnit": "W"}
    kind, code, *_ = await central.raw_call(
        "SetChargingProfile", {"connectorId": 1, "csChargingProfiles": default | {"chargingSchedule": watts}}
    )
    assert (kind, code) == (4, "PropertyConstraintViolation")


async def test_the_composite_schedule(charging, central, clock):
    await set_profile(central, tx_profile((0, 10), (900, 6), transactionId=1))
    answer = await central.call(
        "GetCompositeSchedule", {"connectorId": 1, "duration": 3600, "chargingRateUnit": "W"}
    )
    assert answer["status"] == "Accepted"
    assert answer["scheduleStart"] == "2026-06-21T12:00:30Z"
    assert answer["chargingSchedule"] == {
        "duration": 3600,
        "chargingRateUnit": "W",
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 6900}, {"startPeriod": 810, "limit": 4140}],
    }


async def test_remote_start_with_a_profile_and_remote_stop(station, central, clock):
    station.plug(1, Vehicle(CAR, 0.3))
    request = {"idTag": "ANNA", "connectorId": 1, "chargingProfile": tx_profile((0, 9))}
    assert await central.call("RemoteStartTransaction", request) == {"status": "Accepted"}
    await central.next("Authorize", idTag="ANNA")
    await central.next("StartTransaction", idTag="ANNA")
    assert station.limit_a(1) == 9
    assert await central.call("RemoteStartTransaction", request) == {"status": "Rejected"}
    assert await central.call("RemoteStopTransaction", {"transactionId": 77}) == {"status": "Rejected"}
    assert await central.call("RemoteStopTransaction", {"transactionId": 1}) == {"status": "Accepted"}
    assert (await central.next("StopTransaction"))["reason"] == "Remote"


async def test_a_remote_start_that_nobody_takes_up_leaves_nothing_behind(station, central, clock):
    request = {"idTag": "ANNA", "chargingProfile": tx_profile((0, 9))}
    assert await central.call("RemoteStartTransaction", request) == {"status": "Accepted"}
    await central.next("StatusNotification", status="Preparing")
    await clock.advance(121)
    await central.next("StatusNotification", status="Available")
    assert station.profiles == ()


@pytest.mark.parametrize("kind", ["Soft", "Hard"])
async def test_reset_ends_transactions_and_boots(charging, central, clock, kind):
    assert await central.call("Reset", {"type": kind}) == {"status": "Accepted"}
    if kind == "Soft":
        assert (await central.next("StopTransaction"))["reason"] == "SoftReset"
    async with asyncio.timeout(10):
        await central.gone.wait()
    await clock.advance(BACK_OFF_S)
    await central.next("BootNotification")
    if kind == "Hard":
        assert "HardReset" in [p.get("reason") for a, p in central.calls if a == "StopTransaction"]
    await central.next("StatusNotification", connectorId=1, status="Finishing")


async def test_availability_waits_for_the_transaction(charging, central, clock):
    request = {"connectorId": 1, "type": "Inoperative"}
    assert await central.call("ChangeAvailability", request) == {"status": "Scheduled"}
    charging.unplug(1)
    await central.next("StatusNotification", connectorId=1, status="Unavailable")
    assert not await charging.badge(1, "ANNA")
    request = {"connectorId": 0, "type": "Operative"}
    assert await central.call("ChangeAvailability", request) == {"status": "Accepted"}
    await central.next("StatusNotification", connectorId=1, status="Available")


async def test_unlocking_ends_the_transaction(charging, central):
    assert await central.call("UnlockConnector", {"connectorId": 3}) == {"status": "NotSupported"}
    assert await central.call("UnlockConnector", {"connectorId": 1}) == {"status": "Unlocked"}
    assert (await central.next("StopTransaction"))["reason"] == "UnlockCommand"


@pytest.mark.parametrize(
    ("key", "value", "status"),
    [
        ("MeterValueSampleInterval", "10", "Accepted"),
        ("metervaluesampleinterval", "10", "Accepted"),
        ("MeterValueSampleInterval", "-1", "Rejected"),
        ("MeterValuesSampledData", "Current.Import,SoC", "Accepted"),
        ("MeterValuesSampledData", "Current.Import,RPM", "Rejected"),
        ("NumberOfConnectors", "5", "Rejected"),
        ("WebSocketPingInterval", "10", "RebootRequired"),
        ("Colour", "red", "NotSupported"),
    ],
)
async def test_changing_the_configuration(station, central, key, value, status):
    assert await central.call("ChangeConfiguration", {"key": key, "value": value}) == {"status": status}


async def test_reading_the_configuration(station, central):
    everything = (await central.call("GetConfiguration", {}))["configurationKey"]
    assert len(everything) > 25
    answer = await central.call("GetConfiguration", {"key": ["SupportedFeatureProfiles", "Colour"]})
    assert answer == {
        "configurationKey": [
            {"key": "SupportedFeatureProfiles", "readonly": True, "value": "Core,SmartCharging,RemoteTrigger"}
        ],
        "unknownKey": ["Colour"],
    }


async def test_sample_interval_and_measurands_are_obeyed(charging, central, clock):
    for key, value in (("MeterValueSampleInterval", "10"), ("MeterValuesSampledData", "SoC,Power.Offered")):
        await central.call("ChangeConfiguration", {"key": key, "value": value})
    await clock.advance(60)
    values = sampled(await central.next("MeterValues"))
    assert values == {("SoC", None): 30, ("Power.Offered", None): 22_080}
    await clock.advance(10)
    await central.next("MeterValues")


async def test_clock_aligned_values_come_without_a_transaction(station, central, clock):
    await central.call("ChangeConfiguration", {"key": "ClockAlignedDataInterval", "value": "900"})
    await clock.advance(901)
    values = await central.next("MeterValues")
    assert "transactionId" not in values
    assert values["meterValue"][0]["timestamp"] == "2026-06-21T12:15:00.000Z"
    assert values["meterValue"][0]["sampledValue"][0]["context"] == "Sample.Clock"


async def test_stop_carries_the_values_asked_for(charging, central):
    await central.call(
        "ChangeConfiguration", {"key": "StopTxnSampledData", "value": "Energy.Active.Import.Register"}
    )
    charging.end(1, "Local")
    (data,) = (await central.next("StopTransaction"))["transactionData"]
    assert data["sampledValue"][0]["context"] == "Transaction.End"


@pytest.mark.parametrize(
    ("message", "status", "follows"),
    [
        ("StatusNotification", "Accepted", "StatusNotification"),
        ("MeterValues", "Accepted", "MeterValues"),
        ("Heartbeat", "Accepted", "Heartbeat"),
        ("BootNotification", "Rejected", None),
        ("FirmwareStatusNotification", "NotImplemented", None),
    ],
)
async def test_triggered_messages_follow_the_answer(station, central, message, status, follows):
    answer = await central.call("TriggerMessage", {"requestedMessage": message})
    assert answer == {"status": status}
    if follows:
        await central.next(follows)


async def test_the_rest_of_core_is_answered(station, central):
    assert await central.call("ClearCache", {}) == {"status": "Accepted"}
    assert await central.call("DataTransfer", {"vendorId": "acme"}) == {"status": "UnknownVendorId"}
    kind, code, *_ = await central.raw_call("GetLocalListVersion", {})
    assert (kind, code) == (4, "NotImplemented")


async def test_a_sleeping_car_is_offered_current_and_takes_none(station, central, clock):
    sleeper = Vehicle(VehicleModel("sleeper", battery_wh=40_000, sleep_after_s=600), 0.4)
    station.plug(1, sleeper)
    await clock.advance(601)
    await station.badge(1, "ANNA")
    await central.next("StartTransaction")
    await set_profile(central, tx_profile((0, 6)))
    await clock.advance(300)
    assert station.outlets[1].status == "SuspendedEV"
    assert station.outlets[1].register_wh == 0
    for limit, seconds in ((0, 60), (10, 90)):
        await set_profile(central, tx_profile((0, limit)))
        await clock.advance(seconds)
    await central.next("StatusNotification", status="Charging")
    assert station.outlets[1].register_wh > 0


async def test_the_identity_is_escaped_and_a_server_that_is_away_is_found_again(make_station, central, clock):
    await central.stop()
    point = await make_station()
    await clock.advance(30)
    assert not point.is_connected
    await central.start()
    await clock.advance(BACK_OFF_S)
    await central.next("BootNotification")
    assert central.path == "/CP%201"


async def test_nothing_is_drawn_without_a_transaction(station, clock):
    station.plug(1, Vehicle(CAR, 0.3))
    await clock.advance(600)
    assert station.limit_a(1) == 0
    assert station.outlets[1].register_wh == 0
    with pytest.raises(ValueError, match="taken"):
        station.plug(1, Vehicle(CAR, 0.3))
    assert clock.now() == NOON + timedelta(seconds=600)
