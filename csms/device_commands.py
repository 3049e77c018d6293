"""`csms device …`: one question to one device, without a server."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from csms.errors import CsmsError
from drivers.catalogue import Buses, confidence, meter_models, open_meter, open_relay_module
from drivers.device import DeviceError, Failsafe, Framing, RelayModule

# Of this module under a server; this command sets neither pulse nor watchdog.
FAILSAFE: dict[Failsafe, str] = {
    "pulse": "stays as it is after this command; under a server each ON opens by itself",
    "watchdog": "stays as it is, unless a watchdog is set; a server sets one",
    "pulse_short": "stays as it is; a pulse can be set in the device with its maker's tool",
    "watchdog_in_device": "stays as it is, unless a watchdog is set in the device with its maker's tool",
    "none": "stays as it is: this module has no fail-safe",
}


class DeviceFailed(CsmsError):
    """The device did not answer, or not as its model should."""


def _now() -> datetime:
    return datetime.now(UTC)


async def read_device(
    out: Console,
    host: str,
    model: str,
    port: int | None,
    unit: int | None,
    framing: Framing | None,
    as_json: bool = False,
) -> None:
    """Print what a meter or relay module says. Raises DeviceFailed."""
    buses = Buses(_now, asyncio.sleep)
    try:
        if model in meter_models():
            meter = open_meter(
                buses,
                id="meter",
                driver="modbus",
                model=model,
                host=host,
                port=port,
                unit=unit,
                framing=framing,
            )
            reading = await meter.read()
            told = {n: v for n in reading.__slots__ if (v := getattr(reading, n)) is not None}
            if not as_json and (sure := confidence("meter", "modbus", model)) != "A":
                out.print(f"confidence {sure}: compare this with the meter's display (docs/devices.md)")
        else:
            module = _open_module(buses, model, host, port, unit, framing)
            relays, inputs = await module.read_all(), await module.read_inputs()
            told = {f"relay {n}": "on" if closed else "off" for n, closed in enumerate(relays, 1)}
            told |= {f"input {n}": "active" if active else "not active" for n, active in enumerate(inputs, 1)}
        _print(out, told, as_json)
    except DeviceError as error:
        raise DeviceFailed(str(error)) from None
    finally:
        await buses.stop()


def _print(out: Console, told: dict[str, Any], as_json: bool) -> None:
    if as_json:
        out.print_json(data=told, default=str)
        return
    table = Table("quantity", "value", box=None)
    for name, value in told.items():
        table.add_row(name, str(value))
    out.print(table)


def _open_module(
    buses: Buses, model: str, host: str, port: int | None, unit: int | None, framing: Framing | None
) -> RelayModule:
    return open_relay_module(
        buses, id="module", driver="modbus", model=model, host=host, port=port, unit=unit, framing=framing
    )


async def switch_relay(
    out: Console,
    host: str,
    relay: int,
    on: bool,
    model: str,
    port: int | None,
    unit: int | None,
    framing: Framing | None,
) -> None:
    """Switch and read back. Raises DeviceFailed."""
    buses = Buses(_now, asyncio.sleep)
    try:
        module = _open_module(buses, model, host, port, unit, framing)
        await module.switch(relay, on)
        out.print(f"relay {relay} is {'on' if on else 'off'}, read back from the module")
        out.print(f"When nobody commands it any more: {FAILSAFE[module.failsafe]}", soft_wrap=True)
    except DeviceError as error:
        raise DeviceFailed(str(error)) from None
    finally:
        await buses.stop()
