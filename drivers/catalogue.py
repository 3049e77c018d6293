"""Which devices are supported, and how a site's entry becomes one."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any, Literal

from drivers.bus_load import BusLoad
from drivers.device import DeviceConfigError, Framing, Now, Sleep
from drivers.modbus import ModbusMeter, ModbusRelayModule, check_number
from drivers.modbus_bus import BusPool, ModbusBus
from drivers.registers import MeterModel, RelayModel, Wiring, parse_meters, parse_relays

Kind = Literal["meter", "relay_module"]


@cache
def meter_models() -> Mapping[str, MeterModel]:
    return parse_meters(_table("meters.toml"))


@cache
def relay_models() -> Mapping[str, RelayModel]:
    return parse_relays(_table("relays.toml"))


def model_names(kind: Kind) -> dict[str, str]:
    """Model -> name, for a list to choose from, in the order of the names."""
    models = meter_models() if kind == "meter" else relay_models()
    return dict(sorted(((m.key, m.name) for m in models.values()), key=lambda entry: entry[1].lower()))


def _table(file: str) -> dict[str, Any]:
    return tomllib.loads((resources.files("drivers") / "data" / file).read_text(encoding="utf-8"))


class Buses:
    """One `ModbusBus` for each host and port, shared by all that hangs on it, and with the pool's others."""

    def __init__(self, now: Now, sleep: Sleep, pool: BusPool | None = None) -> None:
        self._pool = pool or BusPool(now, sleep)
        self._buses: dict[tuple[str, int], ModbusBus] = {}

    def bus(self, host: str, port: int, framing: Framing) -> ModbusBus:
        """Raises DeviceConfigError if another device uses the same address with another framing."""
        bus = self._buses.get((host, port))
        if bus is None:
            bus = self._buses[host, port] = self._pool.take(host, port, framing)
        if bus.framing != framing:
            raise DeviceConfigError("framing", framing, f"{bus.framing}, as other devices at {bus},")
        return bus

    def loads(self) -> list[BusLoad]:
        return [bus.load() for _, bus in sorted(self._buses.items())]

    def give_up(self) -> None:
        """Instead of `stop`, where a fault in the description came before anything was asked."""
        for bus in self._buses.values():
            self._pool.take_back(bus)
        self._buses.clear()

    async def stop(self) -> None:
        buses, self._buses = list(self._buses.values()), {}
        for bus in buses:
            await self._pool.give_back(bus)


def open_meter(
    buses: Buses,
    *,
    id: str,
    driver: str,
    model: str,
    host: str,
    port: int | None = None,
    unit: int | None = None,
    framing: Framing | None = None,
    invert: bool = False,
) -> ModbusMeter:
    """Connects when first read. What is None is taken from the model. Raises DeviceConfigError."""
    check_config(kind="meter", driver=driver, model=model, framing=framing)
    record = meter_models()[model]
    bus = _bus(buses, record.wiring, host, port, framing)
    return ModbusMeter(bus, record.wiring.unit if unit is None else unit, record, id, invert)


def open_relay_module(
    buses: Buses,
    *,
    id: str,
    driver: str,
    model: str,
    host: str,
    port: int | None = None,
    unit: int | None = None,
    framing: Framing | None = None,
    pulse_s: float | None = None,
    watchdog_s: float | None = None,
) -> ModbusRelayModule:
    """Connects when first used. What is None is taken from the model. Raises DeviceConfigError."""
    check_config(kind="relay_module", driver=driver, model=model, framing=framing)
    record = relay_models()[model]
    bus = _bus(buses, record.wiring, host, port, framing)
    address = record.wiring.unit if unit is None else unit
    return ModbusRelayModule(bus, address, record, id, pulse_s=pulse_s, watchdog_s=watchdog_s)


def _bus(buses: Buses, wiring: Wiring, host: str, port: int | None, framing: Framing | None) -> ModbusBus:
    chosen = framing or wiring.framings[0]
    return buses.bus(host, port or wiring.ports[chosen], chosen)


def check_config(*, kind: Kind, driver: str, model: str, framing: str | None = None) -> None:
    """Refuse what `open_meter` or `open_relay_module` would, opening nothing. Raises DeviceConfigError."""
    if driver != "modbus":
        raise DeviceConfigError("driver", driver, '"modbus"')
    models: Mapping[str, MeterModel | RelayModel] = meter_models() if kind == "meter" else relay_models()
    if model not in models:
        raise DeviceConfigError("model", model, f"one of {', '.join(sorted(models))}")
    offered = models[model].wiring.framings
    if framing is not None and framing not in offered:
        raise DeviceConfigError("framing", framing, f"{' or '.join(offered)} for {model}")


def check_relay_number(model: str, number: int) -> None:
    """number: 1 is the first relay of the module. Raises DeviceConfigError."""
    check_number("relay", number, relay_models()[model].relays)


def check_input_number(model: str, number: int) -> None:
    """number: 1 is the first digital input of the module. Raises DeviceConfigError."""
    inputs = relay_models()[model].inputs
    check_number("input", number, inputs.count if inputs else 0)
