"""`csms device …`: one question to one device, without a server."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from csms.device_words import Described
from csms.domain.device_config import MeterConfig, RelayModuleConfig
from csms.errors import CsmsError
from csms.site_devices import open_site_meter, open_site_module
from drivers.catalogue import Buses, confidence
from drivers.device import DeviceConfigError, DeviceError, Failsafe, Meter, MeterReading, NothingToldYet

# Of this module under a server; this command sets neither pulse nor watchdog.
FAILSAFE: dict[Failsafe, str] = {
    "pulse": "stays as it is after this command; under a server each ON opens by itself",
    "watchdog": "stays as it is, unless a watchdog is set; a server sets one",
    "pulse_short": "stays as it is; a pulse can be set in the device with its maker's tool",
    "watchdog_in_device": "stays as it is, unless a watchdog is set in the device with its maker's tool",
    "none": "stays as it is: this module has no fail-safe",
}
LOOK_AGAIN_S = 0.2
UNITS = {"w": ("W", 0), "a": ("A", 2), "v": ("V", 1), "hz": ("Hz", 2), "wh": ("Wh", 0), "pct": ("%", 1)}
"""By the end of a reading's name: unit and decimals."""


class DeviceFailed(CsmsError):
    """The device did not answer, or not as its model should."""


def _now() -> datetime:
    return datetime.now(UTC)


async def read_device(
    out: Console, described: Sequence[Described], wait_s: float, as_json: bool = False
) -> None:
    """Print what it says, as a meter, as relays, or as both. Raises DeviceFailed.

    wait_s: for what a device tells by itself, over MQTT.
    """
    buses = Buses(_now, asyncio.sleep)
    told: dict[str, Any] = {}
    notes: list[str] = []
    try:
        for device in described:
            try:
                told |= await _read(buses, device, wait_s)
            except DeviceConfigError as fault:
                if len(described) == 1:
                    raise
                notes.append(str(fault))
            else:
                notes += _doubts(device)
    except DeviceError as error:
        raise DeviceFailed(str(error)) from None
    finally:
        await buses.stop()
    if not told:
        raise DeviceFailed("; ".join(notes) or "answers, but has neither a meter nor relays")
    _print(out, told, notes, as_json)


async def _read(buses: Buses, device: Described, wait_s: float) -> dict[str, Any]:
    if isinstance(device, MeterConfig):
        reading = await _read_in_time(open_site_meter(buses, device), wait_s)
        return {n: v for n in reading.__slots__ if (v := getattr(reading, n)) is not None}
    module = open_site_module(buses, device, failsafe_s=None)
    relays, inputs = await module.read_all(), await module.read_inputs()
    told = {f"relay {n}": "on" if closed else "off" for n, closed in enumerate(relays, 1)}
    return told | {f"input {n}": "active" if active else "not active" for n, active in enumerate(inputs, 1)}


async def _read_in_time(meter: Meter, wait_s: float) -> MeterReading:
    """Raises DeviceError."""
    clock = asyncio.get_running_loop().time
    until_s = clock() + wait_s
    while True:
        try:
            return await meter.read()
        except NothingToldYet as fault:
            if clock() >= until_s:
                heard = str(fault).removesuffix(" yet")
                raise NothingToldYet(f"{heard} within {wait_s:g} s: --wait listens longer") from None
        await asyncio.sleep(LOOK_AGAIN_S)


def _doubts(device: Described) -> list[str]:
    if not isinstance(device, MeterConfig):
        return []
    sure = confidence("meter", device.driver, device.model)
    return [] if sure == "A" else [f"confidence {sure}: compare this with its display (docs/devices.md)"]


def _print(out: Console, told: dict[str, Any], notes: Sequence[str], as_json: bool) -> None:
    if as_json:
        out.print_json(data=told, default=str)
        return
    for note in notes:
        out.print(note, soft_wrap=True)
    table = Table("quantity", "value", box=None)
    for name, value in told.items():
        table.add_row(*_in_words(name, value))
    out.print(table)


def _in_words(name: str, value: Any) -> tuple[str, str]:
    """phase_power_w: (-1.2, …) as "phase power", "-1, … W": whole watts are enough for a look."""
    stem, _, suffix = name.rpartition("_")
    if isinstance(value, datetime):
        return name.replace("_", " "), f"{value.astimezone():%Y-%m-%d %H:%M:%S}"
    if suffix not in UNITS:
        return name.replace("_", " "), str(value)
    unit, decimals = UNITS[suffix]
    values = value if isinstance(value, tuple) else (value,)
    return stem.replace("_", " "), f"{', '.join(f'{v:.{decimals}f}' for v in values)} {unit}"


async def switch_relay(out: Console, device: Described, relay: int, on: bool) -> None:
    """Switch and read back. Raises DeviceFailed."""
    buses = Buses(_now, asyncio.sleep)
    try:
        assert isinstance(device, RelayModuleConfig)
        module = open_site_module(buses, device, failsafe_s=None)
        await module.switch(relay, on)
        out.print(f"relay {relay} is {'on' if on else 'off'}, read back from the module")
        out.print(f"When nobody commands it any more: {FAILSAFE[module.failsafe]}", soft_wrap=True)
    except DeviceError as error:
        raise DeviceFailed(str(error)) from None
    finally:
        await buses.stop()
