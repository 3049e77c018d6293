"""Each way in which a simulated station departs from OCPP, as the central system sees it on a websocket.

Profiles: test_profile_deviations.py."""

from __future__ import annotations

import pytest
from odd_station import CAR, REFUSED, TAKEN, Make, profile, sampled, status, write

from simulation.personalities import stations
from simulation.vehicle import Vehicle, VehicleModel

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
