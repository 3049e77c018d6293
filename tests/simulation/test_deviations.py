"""Each way in which a simulated station departs from OCPP, as the central system sees it on a websocket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

import pytest
from central_system import CentralSystem

from simulation.charge_point import SimulatedChargePoint
from simulation.clock import VirtualClock
from simulation.outlet import ConnectorHardware
from simulation.personalities import stations
from simulation.station_model import StationModel
from simulation.vehicle import Vehicle, VehicleModel

NOON = datetime(2026, 6, 21, 12, tzinfo=UTC)
CAR = VehicleModel("car", battery_wh=50_000, reaction_s=2, shortfall_a=0.0, max_a=32)
ONE_PHASE = VehicleModel("small car", battery_wh=50_000, reaction_s=2, shortfall_a=0.0, phases=1)

Make = Callable[..., Awaitable[SimulatedChargePoint]]


@pytest.fixture
async def central() -> AsyncIterator[CentralSystem]:
    system = CentralSystem()
    await system.start()
    yield system
    await system.stop()


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(NOON)


@pytest.fixture
async def make(central: CentralSystem, clock: VirtualClock) -> AsyncIterator[Make]:
    """The station of a character, connected and registered."""
    async with AsyncExitStack() as running:

        async def build(character: str | StationModel) -> SimulatedChargePoint:
            model, phases = (
                (character, 3)
                if isinstance(character, StationModel)
                else (stations()[character].model, len(stations()[character].wiring))
            )
            hardware = ConnectorHardware(1, phases, 32.0)
            point = SimulatedChargePoint(central.url, "CP 1", [hardware], clock=clock, model=model)
            await point.start()
            running.push_async_callback(point.stop)
            await central.next("StatusNotification", connectorId=1, status="Available")
            return point

        yield build


@pytest.fixture
def drive_in(central: CentralSystem, clock: VirtualClock) -> Callable[..., Awaitable[int]]:
    async def plug_and_start(point: SimulatedChargePoint, car: VehicleModel = CAR) -> int:
        """The transaction's id, with the car charging if it is let."""
        point.plug(1, Vehicle(car, 0.3))
        if point.model.starts_by == "badge":
            assert await point.badge(1, "ANNA")
        elif point.model.starts_by == "remote":
            assert await status(central, "RemoteStartTransaction", {"connectorId": 1, "idTag": "ANNA"}) == (
                "Accepted"
            )
        await central.next("StartTransaction")
        await clock.advance(30)
        transaction = point.outlets[1].transaction
        assert transaction is not None
        assert transaction.id is not None
        return transaction.id

    return plug_and_start


async def status(central: CentralSystem, action: str, payload: dict[str, Any]) -> str:
    return str((await central.call(action, payload))["status"])


def profile(
    *rows: tuple[int, float] | tuple[int, float, int], purpose: str = "TxProfile", **more: Any
) -> dict[str, Any]:
    """From a minute ago on. more: level, kind, unit, transaction, connector, start."""
    periods = [dict(zip(("startPeriod", "limit", "numberPhases"), row, strict=False)) for row in rows]
    kind = more.get("kind", "Absolute")
    schedule: dict[str, Any] = {"chargingRateUnit": more.get("unit", "A"), "chargingSchedulePeriod": periods}
    if kind == "Absolute":
        schedule["startSchedule"] = more.get("start", "2026-06-21T11:59:00Z")
    described: dict[str, Any] = {
        "chargingProfileId": more.get("id", 5),
        "stackLevel": more.get("level", 0),
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": kind,
        "chargingSchedule": schedule,
    }
    if "transaction" in more:
        described["transactionId"] = more["transaction"]
    return {"connectorId": more.get("connector", 1), "csChargingProfiles": described}


async def write(central: CentralSystem, request: dict[str, Any]) -> str:
    return await status(central, "SetChargingProfile", request)


async def sampled(central: CentralSystem) -> list[dict[str, Any]]:
    payload = await central.next("MeterValues")
    return list(payload["meterValue"][0]["sampledValue"])


# --- profiles that are refused ---

TAKEN, REFUSED = "Accepted", "Rejected"


@pytest.mark.parametrize(
    ("character", "request_", "answer"),
    [
        ("ABB Terra AC", {"level": 0, "names": True}, TAKEN),
        ("ABB Terra AC", {"level": 1, "names": True}, REFUSED),
        ("ABB Terra AC", {"level": 0}, REFUSED),
        ("Wallbox", {"kind": "Absolute"}, REFUSED),
        ("Wallbox", {"kind": "Relative"}, TAKEN),
        ("Wallbox, firmware 5", {"level": 1}, REFUSED),
        ("Wallbox, firmware 5", {"level": 0}, TAKEN),
        ("Schneider EVlink Pro AC", {"purpose": "ChargePointMaxProfile", "connector": 0}, REFUSED),
        ("Schneider EVlink Pro AC", {"purpose": "TxDefaultProfile"}, REFUSED),
        ("Schneider EVlink Pro AC", {}, TAKEN),
        ("Easee Charge", {"purpose": "TxDefaultProfile"}, REFUSED),
        ("Easee Charge", {"kind": "Relative"}, REFUSED),
        ("Easee Charge", {"level": 1}, REFUSED),
        ("Easee Charge", {}, TAKEN),
        ("EVBox Elvi", {"purpose": "ChargePointMaxProfile", "connector": 0}, REFUSED),
        ("EVBox Elvi", {"purpose": "TxDefaultProfile"}, TAKEN),
        ("Timxon", {}, REFUSED),
        ("Timxon", {"purpose": "ChargePointMaxProfile", "connector": 0}, REFUSED),
        ("Timxon", {"purpose": "TxDefaultProfile"}, TAKEN),
        ("myenergi Zappi", {"purpose": "TxDefaultProfile", "connector": 0}, REFUSED),
        ("myenergi Zappi", {"purpose": "TxDefaultProfile"}, TAKEN),
        ("One period only", {"rows": [(0, 16), (600, 6)]}, REFUSED),
        ("One period only", {"rows": [(0, 16)]}, TAKEN),
        ("Autel MaxiCharger", {"purpose": "ChargePointMaxProfile", "connector": 0}, TAKEN),
    ],
)
async def test_profiles_that_a_character_refuses(
    make: Make, drive_in, central, character: str, request_: dict[str, Any], answer: str
):
    wanted = dict(request_)
    transaction = await drive_in(await make(character))
    if wanted.pop("names", False):
        wanted["transaction"] = transaction
    rows = wanted.pop("rows", [(0, 10)])
    assert await write(central, profile(*rows, **wanted)) == answer


@pytest.mark.parametrize(
    ("character", "request_"),
    [
        ("Huawei FusionCharge", profile((0, 10), unit="A")),
        ("go-e", profile((0, 4000), unit="W")),
        (
            "Autel MaxiCharger",
            profile((0, 10), purpose="ChargePointMaxProfile", connector=0, kind="Relative"),
        ),
    ],
)
async def test_profiles_that_are_an_error_to_a_character(
    make: Make, drive_in, central, character: str, request_: dict[str, Any]
):
    await drive_in(await make(character))
    kind, code, *_ = await central.raw_call("SetChargingProfile", request_)
    assert (kind, code) == (4, "PropertyConstraintViolation")


async def test_wallbox_takes_a_default_only_with_a_vehicle(make: Make, drive_in, central):
    point = await make("Wallbox")
    default = profile((0, 10), purpose="TxDefaultProfile", kind="Relative")
    assert await write(central, default) == REFUSED
    await drive_in(point)
    assert await write(central, default) == TAKEN


async def test_easee_takes_25_schedules_a_day(make: Make, drive_in, central, clock):
    point = await make("Easee Charge")
    await drive_in(point)
    answers = [await write(central, profile((0, 6 + n % 3))) for n in range(26)]
    assert answers == [TAKEN] * 25 + [REFUSED]
    assert [w.accepted for w in point.profile_writes].count(True) == 25
    await clock.advance(12.5 * 3600)
    assert await write(central, profile((0, 10))) == TAKEN


async def test_zappi_rejects_what_comes_too_soon(make: Make, drive_in, central, clock):
    await drive_in(await make("myenergi Zappi"))
    default = profile((0, 10), purpose="TxDefaultProfile")
    assert await write(central, default) == TAKEN
    await clock.advance(20)
    assert await write(central, default) == REFUSED
    await clock.advance(10)
    assert await write(central, default) == TAKEN


# --- profiles that are taken, and what becomes of them ---


async def test_a_profile_is_accepted_and_ignored(make: Make, drive_in, central, clock):
    point = await make("Heidelberg connect.business")
    await drive_in(point)
    assert await write(central, profile((0, 8))) == TAKEN
    await clock.advance(60)
    assert point.limit_a(1) == 32
    assert point.profiles == ()


async def test_a_write_makes_the_current_leap_for_a_moment(make: Make, drive_in, central, clock):
    point = await make("Wallbox")
    await drive_in(point)
    await write(central, profile((0, 8), kind="Relative"))
    assert point.limit_a(1) == 32
    await clock.advance(10)
    assert point.limit_a(1) == 8


@pytest.mark.parametrize(
    ("asked_a", "shown_a"), [(7.9, 6), (8, 8), (12.9, 10), (13, 13), (16, 16), (5, 0), (0, 0)]
)
async def test_steps_are_rounded_down(make: Make, drive_in, central, asked_a: float, shown_a: float):
    point = await make("NEcharge")
    await drive_in(point)
    await write(central, profile((0, asked_a)))
    assert point.limit_a(1) == shown_a


async def test_0_a_is_no_pause(make: Make, drive_in, central, clock):
    point = await make("EVBox Elvi")
    await drive_in(point)
    await write(central, profile((0, 0)))
    await clock.advance(60)
    assert point.current_a(1)[0] == 6


async def test_of_a_default_and_the_limit_above_it_the_lower_one_holds(make: Make, drive_in, central):
    point = await make("KEBA P30")
    await drive_in(point)
    for default_a, limit_a in ((8, 16), (16, 10), (0, 10)):
        await write(central, profile((0, default_a), purpose="TxDefaultProfile", id=1))
        await write(central, profile((0, limit_a)))
        assert point.limit_a(1) == min(default_a, limit_a)


async def test_0_w_ends_the_transaction_and_it_is_stuck_until_unplugged(make: Make, drive_in, central, clock):
    point = await make("Huawei FusionCharge")
    await drive_in(point)
    assert await write(central, profile((0, 6900), unit="W")) == TAKEN
    await clock.advance(10)
    assert point.limit_a(1) == 10
    await write(central, profile((0, 0), unit="W"))
    await clock.advance(5)
    await central.next("StopTransaction", reason="Other")
    await central.next("StatusNotification", connectorId=1, status="Preparing")
    assert await status(central, "RemoteStartTransaction", {"connectorId": 1, "idTag": "ANNA"}) == REFUSED
    point.unplug(1)
    await drive_in(point)


async def test_the_limit_after_a_pause_is_forgotten_once(make: Make, drive_in, central, clock):
    point = await make("go-e")
    await drive_in(point)
    for limit_a in (0, 10):
        await write(central, profile((0, limit_a)))
        await clock.advance(10)
    assert point.limit_a(1) == 32
    await write(central, profile((0, 10)))
    await clock.advance(10)
    assert point.limit_a(1) == 10
    for limit_a in (0, 10):
        await write(central, profile((0, limit_a)))
        await clock.advance(10)
    assert point.limit_a(1) == 10


async def test_it_waits_before_each_start(make: Make, drive_in, central, clock):
    point = await make("Random start delay")
    await drive_in(point)
    assert point.outlets[1].status == "SuspendedEVSE"
    await clock.advance(300)
    assert point.current_a(1)[0] == 32
    await write(central, profile((0, 0)))
    await clock.advance(10)
    await write(central, profile((0, 10)))
    await clock.advance(290)
    assert point.current_a(1)[0] == 0
    await clock.advance(30)
    assert point.current_a(1)[0] == 10


@pytest.mark.parametrize(
    ("character", "expected"), [("Alfen Eve", (10, 0, 0)), ("Well-behaved", (10, 10, 10))]
)
async def test_number_phases_switches_or_does_nothing(
    make: Make, drive_in, central, clock, character: str, expected: tuple[float, float, float]
):
    point = await make(character)
    transaction = await drive_in(point)
    await write(central, profile((0, 10, 1), transaction=transaction))
    await clock.advance(60)
    assert point.current_a(1) == expected
    await write(central, profile((0, 10, 3), transaction=transaction))
    await clock.advance(60)
    assert point.current_a(1) == (10, 10, 10)


@pytest.mark.parametrize(("character", "shown_a"), [("Ignores numberPhases", 6), ("Well-behaved", 18)])
async def test_watts_are_divided_by_three_whatever_number_phases_says(
    make: Make, drive_in, central, character: str, shown_a: float
):
    point = await make(character)
    await drive_in(point)
    await write(central, profile((0, 4140, 1), unit="W"))
    assert point.limit_a(1) == shown_a


@pytest.mark.parametrize(
    ("character", "limits"),
    [
        # seconds after noon -> A: a schedule that begins at noon, and changes ten minutes later
        ("Clock two minutes slow", {60: 32, 150: 10, 690: 10, 750: 6}),
        ("Clock two minutes fast", {0: 10, 470: 10, 490: 6}),
        ("Well-behaved", {0: 10, 590: 10, 610: 6}),
    ],
)
async def test_a_schedule_is_followed_by_the_stations_own_clock(
    make: Make, drive_in, central, clock, character: str, limits: dict[int, float]
):
    point = await make(character)
    point.plug(1, Vehicle(CAR, 0.3))
    assert await point.badge(1, "ANNA")
    await central.next("StartTransaction")
    assert await write(central, profile((0, 10), (600, 6), start="2026-06-21T12:00:00Z")) == TAKEN
    for at_s, limit_a in limits.items():
        await clock.advance(at_s - (clock.now() - NOON).total_seconds())
        assert point.limit_a(1) == limit_a, at_s


# --- what stations say ---


@pytest.mark.parametrize(
    ("character", "begins"),
    [
        ("Clock two minutes slow", "2026-06-21T11:58:00.000Z"),
        ("Clock two minutes fast", "2026-06-21T12:02:00.000Z"),
        ("Times without zone", "2026-06-21T12:00:00.000"),
    ],
)
async def test_times_are_those_of_its_own_clock(make: Make, central, character: str, begins: str):
    point = await make(character)
    point.plug(1, Vehicle(CAR, 0.3))
    assert (await central.next("StatusNotification", status="Preparing"))["timestamp"] == begins
    assert await point.badge(1, "ANNA")
    assert (await central.next("StartTransaction"))["timestamp"] == begins


async def test_power_of_each_phase_beside_the_total(make: Make, drive_in, central, clock):
    await drive_in(await make("ABB Terra AC"))
    await clock.advance(31)
    power = [v for v in await sampled(central) if v["measurand"] == "Power.Active.Import"]
    assert [v.get("phase") for v in power] == [None, "L1", "L2", "L3"]
    assert float(power[0]["value"]) == sum(float(v["value"]) for v in power[1:])


async def test_one_phase_is_told_of_three(make: Make, drive_in, central, clock):
    point = await make("One phase told")
    await drive_in(point)
    await clock.advance(31)
    currents = [v["phase"] for v in await sampled(central) if v["measurand"] == "Current.Import"]
    assert currents == ["L1"]
    assert point.current_a(1) == (32, 32, 32)


async def test_kilowatts_padded_with_blanks(make: Make, drive_in, central, clock):
    await drive_in(await make("Kilowatts"))
    await clock.advance(31)
    by_unit = {v["unit"]: v["value"] for v in await sampled(central)}
    assert by_unit["kW"] == " 22.080 "
    assert by_unit.keys() >= {"kWh", "A"}
    assert not by_unit.keys() & {"W", "Wh"}


async def test_some_values_are_empty(make: Make, drive_in, central, clock):
    await drive_in(await make("Heidelberg connect.business"))
    await clock.advance(31)
    empty = {v["measurand"] for v in await sampled(central) if v["value"] == ""}
    assert empty == {"Voltage", "Current.Offered"}


async def test_meter_values_tell_the_session_start_and_stop_the_lifetime(
    make: Make, drive_in, central, clock
):
    point = await make("Session register")
    point.plug(1, Vehicle(CAR, 0.3))
    assert await point.badge(1, "ANNA")
    assert (await central.next("StartTransaction"))["meterStart"] == 1_234_567
    await clock.advance(61)
    (energy,) = [v for v in await sampled(central) if v["measurand"] == "Energy.Active.Import.Register"]
    assert 200 < float(energy["value"]) < 400
    assert await point.badge(1, "ANNA")
    assert (await central.next("StopTransaction"))["meterStop"] > 1_234_567


async def test_the_offered_current_that_it_tells_is_stale(make: Make, drive_in, central, clock):
    point = await make("Wallbox, firmware 5")
    await drive_in(point)
    await clock.advance(31)
    await write(central, profile((0, 8)))
    await clock.advance(60)
    await sampled(central)
    (offered,) = [v for v in await sampled(central) if v["measurand"] == "Current.Offered"]
    assert (float(offered["value"]), point.limit_a(1)) == (32, 8)


async def test_it_reports_charging_at_0_a(make: Make, drive_in, central, clock):
    point = await make("Charging at 0 A")
    await drive_in(point)
    await write(central, profile((0, 0)))
    await clock.advance(10)
    assert (point.current_a(1)[0], point.outlets[1].status) == (0, "Charging")


async def test_an_error_code_while_all_is_well_and_a_register_not_known(make: Make, drive_in, central):
    point = await make("Zaptec Pro")
    assert point.configuration.text("MeterValueSampleInterval") == "0"
    point.plug(1, Vehicle(CAR, 0.3))
    preparing = await central.next("StatusNotification", status="Preparing")
    assert preparing["errorCode"] == "ReaderFailure"
    assert await point.badge(1, "ANNA")
    assert (await central.next("StartTransaction"))["meterStart"] == 2147483647


async def test_it_samples_nothing_until_the_interval_is_set(make: Make, drive_in, central, clock):
    await drive_in(await make("Zaptec Pro"))
    await clock.advance(600)
    assert not [action for action, _ in central.calls if action == "MeterValues"]
    change = {"key": "MeterValueSampleInterval", "value": "30"}
    assert await status(central, "ChangeConfiguration", change) == TAKEN
    await clock.advance(70)
    assert (await sampled(central))[0]["context"] == "Sample.Periodic"


async def test_settings_and_keys_of_its_own(make: Make, drive_in, central):
    await make("Easee Charge")
    too_fine = {"key": "MeterValueSampleInterval", "value": "10"}
    assert await status(central, "ChangeConfiguration", too_fine) == REFUSED
    assert await status(central, "ChangeConfiguration", too_fine | {"value": "30"}) == TAKEN


@pytest.mark.parametrize(
    ("character", "key", "value"),
    [
        ("EVBox Elvi", "evb_SupportedMeasurands", "Current.Import"),
        ("EVBox Elvi", "ConnectorPhaseRotation", ""),
        ("Alfen Eve", "PlugAndChargeIdentifier", "ALFEN-PNC"),
        ("Alfen Eve", "ConnectorSwitch3to1PhaseSupported", "true"),
        ("Phases rotated", "ConnectorPhaseRotation", "0.RST,1.STR"),
        ("ABB Terra AC", "ChargeProfileMaxStackLevel", "3"),
        ("Huawei FusionCharge", "ChargingScheduleAllowedChargingRateUnit", "Power"),
    ],
)
async def test_keys_that_tell_a_character(make: Make, central, character: str, key: str, value: str):
    await make(character)
    (entry,) = (await central.call("GetConfiguration", {"key": [key]}))["configurationKey"]
    assert entry["value"].startswith(value)


# --- starting and ending ---


async def test_it_begins_by_itself_with_its_own_tag(make: Make, central):
    point = await make("Alfen Eve")
    point.plug(1, Vehicle(CAR, 0.3))
    assert (await central.next("StartTransaction"))["idTag"] == "ALFEN-PNC"


@pytest.mark.parametrize("character", ["Wallbox", "Easee Charge", "Autel MaxiCharger"])
async def test_a_badge_is_nothing_to_it_only_a_remote_start(make: Make, drive_in, character: str):
    point = await make(character)
    point.plug(1, Vehicle(CAR, 0.3))
    assert not await point.badge(1, "ANNA")
    point.unplug(1)
    await drive_in(point)


async def test_free_charging_has_no_transaction_and_only_the_maximum_holds(make: Make, central, clock):
    point = await make("Free charging")
    point.plug(1, Vehicle(CAR, 0.3))
    await clock.advance(65)
    await central.next("StatusNotification", connectorId=1, status="Charging")
    assert "transactionId" not in await central.next("MeterValues")
    assert not [action for action, _ in central.calls if action == "StartTransaction"]
    assert await write(central, profile((0, 8), purpose="TxDefaultProfile")) == TAKEN
    assert point.limit_a(1) == 32
    assert await write(central, profile((0, 10), purpose="ChargePointMaxProfile", connector=0, id=6)) == TAKEN
    assert point.limit_a(1) == 10


async def test_beny_begins_no_other_transaction_until_unplugged(make: Make, drive_in, central, clock):
    point = await make("ZJ Beny")
    transaction = await drive_in(point)
    assert await status(central, "RemoteStopTransaction", {"transactionId": transaction}) == TAKEN
    await central.next("StopTransaction")
    assert not await point.badge(1, "ANNA")
    assert await status(central, "RemoteStartTransaction", {"connectorId": 1, "idTag": "ANNA"}) == REFUSED
    point.unplug(1)
    await drive_in(point)


async def test_autel_is_in_finishing_until_it_is_reset(make: Make, drive_in, central, clock):
    point = await make("Autel MaxiCharger")
    transaction = await drive_in(point)
    await status(central, "RemoteStopTransaction", {"transactionId": transaction})
    await central.next("StatusNotification", connectorId=1, status="Finishing")
    point.unplug(1)
    await clock.advance(60)
    assert point.outlets[1].status == "Finishing"
    assert await status(central, "Reset", {"type": "Soft"}) == TAKEN
    await central.gone.wait()
    await clock.advance(30)
    await central.next("StatusNotification", connectorId=1, status="Available")
    await drive_in(point)


async def test_go_e_does_not_know_some_calls(make: Make, drive_in, central):
    point = await make("go-e")
    asked = {
        "ChangeAvailability": {"connectorId": 1, "type": "Operative"},
        "GetCompositeSchedule": {"connectorId": 1, "duration": 60},
    }
    for action, payload in asked.items():
        kind, code, *_ = await central.raw_call(action, payload)
        assert (kind, code) == (4, "NotImplemented")
    point.plug(1, Vehicle(CAR, 0.3))
    described = profile((0, 10))["csChargingProfiles"]
    start = {"connectorId": 1, "idTag": "ANNA"}
    with_profile = start | {"chargingProfile": described}
    assert await status(central, "RemoteStartTransaction", with_profile) == REFUSED
    assert await status(central, "RemoteStartTransaction", start) == TAKEN


# --- links and restarts ---


async def test_abb_restarts_when_asked_for_all_keys(make: Make, central, clock):
    await make("ABB Terra AC")
    one = await central.call("GetConfiguration", {"key": ["HeartbeatInterval"]})
    assert len(one["configurationKey"]) == 1
    boots = len([action for action, _ in central.calls if action == "BootNotification"])
    await central.send("GetConfiguration", {})
    await central.gone.wait()
    await clock.advance(15)
    await central.next("BootNotification")
    assert len([action for action, _ in central.calls if action == "BootNotification"]) == boots + 1


async def test_abb_restarts_without_end_on_a_measurand_that_it_does_not_know(make: Make, central, clock):
    await make("ABB Terra AC")
    key = {"key": "MeterValuesSampledData"}
    assert await status(central, "ChangeConfiguration", key | {"value": "Power.Active.Import"}) == TAKEN
    await clock.advance(120)
    assert not central.gone.is_set()
    assert await status(central, "ChangeConfiguration", key | {"value": "Power.Active.Import,SoC"}) == TAKEN
    for _ in range(2):
        await clock.advance(46)  # it restarts every 45 s, and is away for ten
        await clock.advance(10)
        await central.next("BootNotification")
        await clock.advance(0)


async def test_wallbox_does_not_boot_unasked_and_loses_its_link(make: Make, central, clock):
    await make("Wallbox")
    assert not [action for action, _ in central.calls if action == "BootNotification"]
    assert await status(central, "TriggerMessage", {"requestedMessage": "BootNotification"}) == TAKEN
    await central.next("BootNotification", chargePointVendor="Wall Box Chargers")
    await clock.advance(275)
    await central.gone.wait()
    await clock.advance(12)
    await central.connected.wait()


async def test_it_answers_40_s_later_and_has_done_it_by_then(make: Make, drive_in, central, clock):
    point = await make("Answers late")
    await drive_in(point)
    asking = await central.send("SetChargingProfile", profile((0, 8)))
    await clock.advance(1)
    while not point.profile_writes:
        await clock.advance(0)
    await clock.advance(38)
    assert not asking.done()
    assert point.limit_a(1) == 8
    await clock.advance(2)
    assert (await asking)[1] == {"status": "Accepted"}


async def test_a_vehicle_in_error_is_reported_and_the_transaction_goes_on(
    make: Make, drive_in, central, clock
):
    """The driver's car refuses 6 A and shows an error; the station says so."""
    point = await make("Well-behaved")
    point.plug(1, Vehicle(VehicleModel("choosy", 50_000, min_a=10, faults_below_min=True), 0.3))
    assert await point.badge(1, "ANNA")
    await central.next("StartTransaction")
    await write(central, profile((0, 6)))
    await clock.advance(40)
    told = await central.next("StatusNotification", errorCode="EVCommunicationError")
    assert told["status"] == "SuspendedEV"
    assert point.outlets[1].transaction is not None


@pytest.mark.parametrize("character", [name for name, c in stations().items() if c.model.starts_by != "free"])
async def test_every_character_charges_when_nobody_limits_it_and_lets_go(
    make: Make, drive_in, central, clock, character: str
):
    point = await make(character)
    await drive_in(point)
    await clock.advance(320)  # one of them waits for five minutes
    assert point.current_a(1)[0] > 10
    point.unplug(1)
    await central.next("StopTransaction", reason="EVDisconnected")
    assert point.current_a(1) == (0, 0, 0)
