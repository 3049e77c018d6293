"""The whole way: frames in, committed by the real handler, seen in the live record, and over restarts."""

import json

from central_system_under_test import BOOT, HEARTBEAT, central_system

from csms.services.station_messages import StationMessages


def with_real_messages(system):
    clock = system.server.clock
    system.server.messages = StationMessages(system.database, system.charge_points, clock)
    return clock


def sample(value, measurand, unit=None, phase=None):
    fields = {"value": value, "measurand": measurand, "unit": unit, "phase": phase}
    return {k: v for k, v in fields.items() if v is not None}


async def begin_charging(system, station):
    now = with_real_messages(system).now
    stamp = now().strftime("%Y-%m-%dT%H:%M:%S")  # no zone, as Growatt sends it
    await station.ask([2, "1", "BootNotification", BOOT | {"firmwareVersion": "1.2"}])
    start = {"connectorId": 1, "idTag": "A", "meterStart": 1000, "timestamp": stamp}
    answer = await station.ask([2, "2", "StartTransaction", start])
    assert answer[2]["idTagInfo"]["status"] == "Accepted"
    await station.ask(
        [2, "3", "StatusNotification", {"connectorId": 1, "errorCode": "Error", "status": "charging"}]
    )
    return answer[2]["transactionId"], stamp, start


async def test_a_charge_by_a_station_with_quirks_is_in_the_live_record(system):
    station = await system.station()
    transaction_id, stamp, _ = await begin_charging(system, station)
    values = [
        sample(" 2.3", "Power.Active.Import", "KW"),
        sample(10, "Current.Import", "Amp", "L1"),
        sample("", "Voltage", "V"),
        sample("1.5", "Energy.Active.Import.Register", "kwh"),
        sample("50", "Frequency", "Hz"),
    ]
    meter = {
        "connectorId": 1,
        "transactionId": transaction_id,
        "meterValue": {"timestamp": stamp, "sampledValue": values},
    }
    async with system.event("connector.metered") as metered:
        assert await station.ask([2, "4", "metervalues", meter]) == [3, "4", {}]
        await metered
    live = system.charge_points.station("CP1")
    connector = live.connectors[1]
    assert (live.vendor, live.firmware_version) == ("Vendor", "1.2")
    assert (connector.status, connector.error_code) == ("Charging", "OtherError")
    assert (connector.transaction.id, connector.transaction.energy_wh) == (transaction_id, 500.0)
    assert (connector.reading.power_w, connector.reading.current_a[0]) == (2300.0, 10.0)
    assert live.connector_state(1, system.server.clock.now()) == "charging"
    assert sum(live.quirks.values()) >= 8


async def test_a_start_repeated_on_a_new_connection_is_the_same_transaction(system):
    station = await system.station()
    transaction_id, _, start = await begin_charging(system, station)
    again = await system.station()
    assert (await again.ask([2, "99", "StartTransaction", start]))[2]["transactionId"] == transaction_id


async def test_after_a_restart_the_session_is_known_and_can_be_stopped(tmp_path):
    async with central_system(tmp_path) as system:
        station = await system.station()
        transaction_id, stamp, _ = await begin_charging(system, station)
    async with central_system(tmp_path, known=()) as system:
        clock = with_real_messages(system)
        live = system.charge_points.station("CP1").connectors[1]
        assert (live.status, live.transaction.id, live.transaction.id_tag) == (
            "Charging",
            transaction_id,
            "A",
        )
        assert live.state(clock.now(), system.charge_points.is_connected("CP1")) == "offline"
        station = await system.station()
        stop = {
            "transactionId": str(transaction_id),
            "meterStop": "3000",
            "timestamp": stamp,
            "reason": "Bored",
        }
        async with system.event("transaction.stopped") as stopped:
            assert (await station.ask([2, "1", "StopTransaction", stop]))[:2] == [3, "1"]
            assert (await stopped).data["transaction_id"] == transaction_id
        assert live.transaction is None


async def test_every_core_message_is_handled_by_the_real_handler(system):
    station = await system.station()
    with_real_messages(system)
    messages = {
        "BootNotification": BOOT,
        "Authorize": {},
        "DataTransfer": {"vendorId": "V"},
        "DiagnosticsStatusNotification": {"status": "idle"},
        "FirmwareStatusNotification": {"status": "Installed"},
        "Heartbeat": {},
        "MeterValues": {},
        "StartTransaction": {},
        "StatusNotification": {"connectorId": 0, "errorCode": "NoError", "status": "Available"},
        "StopTransaction": {},
    }
    for action, payload in messages.items():
        answer = await station.ask([2, action, action, payload])
        assert answer[:2] == [3, action], json.dumps(answer)
    for action in ("SecurityEventNotification", "SignCertificate"):
        assert (await station.ask([2, "s", action, {}]))[:3] == [4, "s", "NotSupported"]
    assert (await station.ask(HEARTBEAT))[0] == 3
