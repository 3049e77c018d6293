"""Remote trigger: cases 054 and 055."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from octt_station import OcttStation, Operator


async def test_tc_054_each_message_is_triggered(station: OcttStation, operator: Operator) -> None:
    messages: dict[str, Callable[[], Awaitable[None]]] = {
        "MeterValues": lambda: station.meter_values(None, 1234),
        "Heartbeat": station.heartbeat,
        "StatusNotification": lambda: station.status("Available"),
        "DiagnosticsStatusNotification": lambda: station.diagnostics_status("Idle"),
        "FirmwareStatusNotification": lambda: station.firmware_status("Idle"),
    }
    for message, send in messages.items():
        asked = {"requestedMessage": message}
        asked |= {"connectorId": 1} if message in ("MeterValues", "StatusNotification") else {}
        await operator.command(station, "TriggerMessage", asked, {"status": "Accepted"})
        await send()
    assert (await operator.connector(station.identity))["reading"]["energy_wh"] == 1234


async def test_tc_055_trigger_rejected(station: OcttStation, operator: Operator) -> None:
    asked = {"requestedMessage": "MeterValues", "connectorId": 7}
    await operator.command(station, "TriggerMessage", asked, {"status": "Rejected"})
