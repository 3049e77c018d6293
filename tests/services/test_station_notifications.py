"""What stations say about themselves: boots, heartbeats, statuses, firmware."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import pytest
from central_backend import NOON, Backend, later, status

from csms.storage import stations


async def test_a_boot_is_answered_with_whole_seconds_and_remembered(backend: Backend) -> None:
    backend.clock.at = NOON + timedelta(microseconds=123_456)
    boot = {
        "chargePointVendor": "Wallbox",
        "chargePointModel": "Pulsar",
        "chargeBoxSerialNumber": "SN7",
        "firmwareVersion": "5.1",
        "iccid": "89410",
    }
    answer = await backend.say("BootNotification", boot)
    assert answer == {"status": "Accepted", "currentTime": "2026-06-01T12:00:00Z", "interval": 60}
    await backend.restart()
    station = backend.charge_points.station("CP1")
    assert (station.vendor, station.model, station.serial_number) == ("Wallbox", "Pulsar", "SN7")
    assert station.firmware_version == "5.1"
    (row,) = backend.rows("charge_points")
    assert json.loads(row["boot_info"])["iccid"] == "89410"


@pytest.mark.parametrize("registration", ["Pending", "Rejected"])
async def test_a_station_not_let_in_yet_is_told_so(backend: Backend, registration: str) -> None:
    await backend.database.write(lambda conn: stations.ensure(conn, "CP1", registration, NOON))
    await backend.restart()
    answer = await backend.messages.handle(
        "CP1", "BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"}, NOON
    )
    assert answer["status"] == registration


async def test_a_later_boot_that_says_less_forgets_nothing(backend: Backend) -> None:
    await backend.say(
        "BootNotification", {"chargePointVendor": "V", "chargePointModel": "M", "firmwareVersion": "1"}
    )
    await backend.say("BootNotification", {"chargePointVendor": "V", "chargePointModel": "M2"})
    (row,) = backend.rows("charge_points")
    assert (row["model"], row["firmware_version"]) == ("M2", "1")


async def test_a_heartbeat_gets_the_time_and_shows_that_the_station_lives(backend: Backend) -> None:
    answer = await backend.say("Heartbeat", {}, later(minutes=3))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", answer["currentTime"])
    assert backend.charge_points.station("CP1").last_seen_at == later(minutes=3)


async def test_the_status_that_arrived_last_counts_whatever_its_time(backend: Backend) -> None:
    await backend.say("StatusNotification", status("Preparing", later(days=300)))
    faulted = {
        **status("Faulted", later(minutes=-5), error_code="GroundFailure"),
        "info": "cable",
        "vendorErrorCode": "E7",
    }
    assert await backend.say("StatusNotification", faulted, later(minutes=1)) == {}
    await backend.restart()
    assert (backend.live().status, backend.live().error_code) == ("Faulted", "GroundFailure")
    (row,) = backend.rows("connector_status")
    assert (row["info"], row["vendor_error_code"]) == ("cable", "E7")
    assert row["status_at"] < row["received_at"]


async def test_connector_zero_does_not_end_what_runs_on_the_others(backend: Backend) -> None:
    started = {"connectorId": 1, "idTag": "A", "meterStart": 0, "timestamp": "2026-06-01T12:00:00Z"}
    await backend.say("StartTransaction", started)
    await backend.say("StatusNotification", status("Available", connector_id=0))
    assert backend.live().transaction is not None
    assert (await backend.transactions())[0]["stopped_at"] is None


async def test_a_vendors_own_message_is_declined_politely(backend: Backend) -> None:
    assert await backend.say("DataTransfer", {"vendorId": "com.acme"}) == {"status": "UnknownVendorId"}


async def test_firmware_and_diagnostics_progress_is_recorded(backend: Backend) -> None:
    assert await backend.say("FirmwareStatusNotification", {"status": "Installing"}) == {}
    assert await backend.say("DiagnosticsStatusNotification", {"status": "Uploaded"}) == {}
    (row,) = backend.rows("charge_points")
    assert (row["firmware_status"], row["diagnostics_status"]) == ("Installing", "Uploaded")
