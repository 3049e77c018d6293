"""Which devices are supported, and how a site's entry becomes one."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from drivers.access import Access
from drivers.bus_load import BusLoad
from drivers.device import DeviceConfigError, Failsafe, Framing, Meter, Now, RelayModule, Sleep
from drivers.device_files import Tables, with_device_files
from drivers.extras import check_extra
from drivers.fitted_meter import FittedMeter
from drivers.links import Links
from drivers.mbus import MbusMeter
from drivers.modbus import ModbusMeter, ModbusRelayModule, check_number
from drivers.modbus_bus import BusPool, ModbusBus
from drivers.mqtt_meter import MqttMeter, MqttTopic
from drivers.mqtt_relays import MqttSwitch, SwitchRelays, TasmotaRelays, ZigbeeRelays
from drivers.p1 import check_specification
from drivers.registers import MeterModel, RelayModel, Wiring, parse_meters, parse_relays
from drivers.shelly import ShellyMeter, ShellyRelayModule
from drivers.speedwire import SpeedwireMeter
from drivers.sunspec import SunSpecMeter, check_choice

Kind = Literal["meter", "relay_module"]

DRIVERS: Mapping[Kind, tuple[str, ...]] = {
    "meter": ("modbus", "sunspec", "shelly", "mqtt", "sma_speedwire", "p1", "mbus"),
    "relay_module": ("modbus", "shelly", "tasmota", "zigbee2mqtt", "mqtt"),
}
_MOST_RELAYS = 32
_SUNSPEC = Wiring(("tcp", "rtu_over_tcp"), {"tcp": 502, "rtu_over_tcp": 4196}, 1)


@cache
def meter_models() -> Mapping[str, MeterModel]:
    return parse_meters(_tables()[0])


@cache
def relay_models() -> Mapping[str, RelayModel]:
    return parse_relays(_tables()[1])


_own_files: list[Path] = []


def use_device_files(folder: Path) -> None:
    """Take a site's own models from now on. Raises DeviceFileError, and what was known before stays."""
    taken = [folder] if folder.is_dir() else []
    if taken == _own_files == []:
        return
    with_device_files(folder, _table("meters.toml"), _table("relays.toml"))
    _own_files[:] = taken
    meter_models.cache_clear()
    relay_models.cache_clear()


def _tables() -> tuple[Tables, Tables]:
    own = _table("meters.toml"), _table("relays.toml")
    return with_device_files(_own_files[0], *own) if _own_files else own


def model_names(kind: Kind) -> dict[str, str]:
    """Model -> name, for a list to choose from, in the order of the names."""
    models = meter_models() if kind == "meter" else relay_models()
    return dict(sorted(((m.key, m.name) for m in models.values()), key=lambda entry: entry[1].lower()))


def _table(file: str) -> dict[str, Any]:
    return tomllib.loads((resources.files("drivers") / "data" / file).read_text(encoding="utf-8"))


class Buses:
    """One `ModbusBus` for each host and port, shared by all that hangs on it, and with the pool's others.

    links: what is not Modbus.
    """

    def __init__(self, now: Now, sleep: Sleep, pool: BusPool | None = None) -> None:
        self._pool = pool or BusPool(now, sleep)
        self._buses: dict[tuple[str, int], ModbusBus] = {}
        self.links = Links(now, sleep)

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
        await self.links.stop()
        buses, self._buses = list(self._buses.values()), {}
        for bus in buses:
            await self._pool.give_back(bus)


def open_meter(
    buses: Buses,
    *,
    id: str,
    driver: str,
    model: str = "",
    host: str,
    port: int | None = None,
    unit: int | None = None,
    framing: Framing | None = None,
    invert: bool = False,
    user: str | None = None,
    password: str | None = None,
    tls: bool = False,
    phases: Sequence[str] | None = None,
    topics: Mapping[str, MqttTopic] | None = None,
    max_age_s: float = 60.0,
    largest_w: float | None = None,
) -> FittedMeter:
    """Connects when first read. What is None is usual for the model or driver. Raises DeviceConfigError.

    password: where it is, see `Access`. unit: of a Shelly its channel. invert, phases: see `FittedMeter`.
    """
    check_config(kind="meter", driver=driver, model=model, framing=framing)
    access = Access(host, port, user, password, tls)
    if driver == "shelly":
        meter: Meter = ShellyMeter(buses.links.shelly(access), unit, id)
    elif driver == "sunspec":
        bus = buses.bus(host, port or _SUNSPEC.ports[framing or "tcp"], framing or "tcp")
        meter = SunSpecMeter(bus, _SUNSPEC.unit if unit is None else unit, model, id)
    elif driver == "sma_speedwire":
        meter = SpeedwireMeter(buses.links.speedwire, host, id)
    elif driver == "p1":
        meter = buses.links.p1(access, model, id)
    elif driver == "mbus":
        meter = MbusMeter(buses.links.mbus(access), 1 if unit is None else unit, id)
    elif driver == "mqtt":
        meter = MqttMeter(buses.links.broker(access), topics or {}, id, max_age_s)
    else:
        record = meter_models()[model]
        bus = _bus(buses, record.wiring, host, port, framing)
        meter = ModbusMeter(bus, record.wiring.unit if unit is None else unit, record, id)
    return FittedMeter(meter, invert, phases, largest_w)


def open_relay_module(
    buses: Buses,
    *,
    id: str,
    driver: str,
    model: str = "",
    host: str,
    port: int | None = None,
    unit: int | None = None,
    framing: Framing | None = None,
    pulse_s: float | None = None,
    watchdog_s: float | None = None,
    user: str | None = None,
    password: str | None = None,
    tls: bool = False,
    topic: str | None = None,
    relays: int | None = None,
    switches: Sequence[MqttSwitch] = (),
) -> RelayModule:
    """Connects when first used. What is None is usual for the model or driver. Raises DeviceConfigError.

    topic, relays: of a Tasmota or Zigbee device. switches: of driver mqtt.
    """
    check_config(kind="relay_module", driver=driver, model=model, framing=framing)
    access = Access(host, port, user, password, tls)
    match driver:
        case "shelly":
            return ShellyRelayModule(buses.links.shelly(access), id, pulse_s)
        case "tasmota":
            return TasmotaRelays(buses.links.broker(access), topic or "", id, relays or 1, pulse_s)
        case "zigbee2mqtt":
            return ZigbeeRelays(buses.links.broker(access), topic or "", id, relays or 1, pulse_s)
        case "mqtt":
            return SwitchRelays(buses.links.broker(access), switches, id)
    record = relay_models()[model]
    bus = _bus(buses, record.wiring, host, port, framing)
    address = record.wiring.unit if unit is None else unit
    return ModbusRelayModule(bus, address, record, id, pulse_s=pulse_s, watchdog_s=watchdog_s)


def _bus(buses: Buses, wiring: Wiring, host: str, port: int | None, framing: Framing | None) -> ModbusBus:
    chosen = framing or wiring.framings[0]
    return buses.bus(host, port or wiring.ports[chosen], chosen)


def check_config(*, kind: Kind, driver: str, model: str = "", framing: str | None = None) -> None:
    """Refuse what `open_meter` or `open_relay_module` would, opening nothing. Raises DeviceConfigError."""
    if driver not in DRIVERS[kind]:
        raise DeviceConfigError("driver", driver, " or ".join(f'"{name}"' for name in DRIVERS[kind]))
    check_extra(driver)
    if driver == "sunspec":
        check_choice(model)
        return
    if driver == "p1":
        check_specification(model)
        return
    if driver != "modbus":
        if model:
            raise DeviceConfigError("model", model, f"none, since driver {driver} finds it out itself,")
        if framing is not None:
            raise DeviceConfigError("framing", framing, f"none, since driver {driver} has none,")
        return
    models: Mapping[str, MeterModel | RelayModel] = meter_models() if kind == "meter" else relay_models()
    if model not in models:
        raise DeviceConfigError("model", model, f"one of {', '.join(sorted(models))}")
    offered = models[model].wiring.framings
    if framing is not None and framing not in offered:
        raise DeviceConfigError("framing", framing, f"{' or '.join(offered)} for {model}")


def confidence(kind: Kind, driver: str, model: str) -> str:
    """How sure the model's facts are: A, B or C, see docs/devices.md."""
    if driver != "modbus":
        return "B"
    return (meter_models() if kind == "meter" else relay_models())[model].confidence


def modbus_address(
    *, kind: Kind, driver: str, model: str, port: int | None, framing: Framing | None
) -> tuple[int, Framing] | None:
    """Port and framing of a device that hangs on a Modbus line; None = it does not. The model is known."""
    if driver not in ("modbus", "sunspec"):
        return None
    wiring = _SUNSPEC
    if driver == "modbus":
        wiring = (meter_models() if kind == "meter" else relay_models())[model].wiring
    chosen = framing or wiring.framings[0]
    return port or wiring.ports[chosen], chosen


def failsafe(driver: str, model: str = "") -> Failsafe:
    """What opens the relays of such a module when nobody commands them any more."""
    if driver == "modbus":
        return relay_models()[model].failsafe
    return "none" if driver == "mqtt" else "pulse"


def check_relay_number(model: str, number: int, driver: str = "modbus", relays: int | None = None) -> None:
    """number: 1 is the first relay of the module. relays: as the site tells. Raises DeviceConfigError."""
    count = relay_models()[model].relays if driver == "modbus" else relays or _MOST_RELAYS
    check_number("relay", number, count)


def check_input_number(model: str, number: int, driver: str = "modbus") -> None:
    """number: 1 is the first digital input of the module. Raises DeviceConfigError."""
    if driver == "modbus":
        inputs = relay_models()[model].inputs
        check_number("input", number, inputs.count if inputs else 0)
    else:  # only a Shelly has inputs, and tells itself how many
        check_number("input", number, _MOST_RELAYS if driver == "shelly" else 0)
