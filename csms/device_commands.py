"""`csms device …`: one question to one device, without a server."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table

from csms.errors import CsmsError
from drivers.catalogue import Buses, confidence, meter_models, open_meter, open_relay_module
from drivers.device import DeviceError, Framing, RelayModule


class DeviceFailed(CsmsError):
    """The device did not answer, or not as its model should."""


def _now() -> datetime:
    return datetime.now(UTC)


async def read_device(
    out: Console, host: str, model: str, port: int | None, unit: int | None, framing: Framing | None
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
            table = Table("quantity", "value", box=None)
            for name in reading.__slots__:
                if (value := getattr(reading, name)) is not None:
                    table.add_row(name, str(value))
            out.print(table)
            if (sure := confidence("meter", "modbus", model)) != "A":
                out.print(f"confidence {sure}: compare this with the meter's display (docs/devices.md)")
        else:
            module = _open_module(buses, model, host, port, unit, framing)
            for number, closed in enumerate(await module.read_all(), 1):
                out.print(f"relay {number}: {'on' if closed else 'off'}")
    except DeviceError as error:
        raise DeviceFailed(str(error)) from None
    finally:
        await buses.stop()


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
    except DeviceError as error:
        raise DeviceFailed(str(error)) from None
    finally:
        await buses.stop()
