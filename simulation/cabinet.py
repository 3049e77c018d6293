"""The simulated devices of a site, at the addresses and on the brokers that its site file names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from csms.domain.device_config import BusAddress, MeterConfig, RelayModuleConfig
from csms.domain.site import SiteConfig
from csms.site_devices import mqtt_inputs, mqtt_switches, mqtt_topics
from drivers.access import Access
from drivers.catalogue import Kind, meter_models, modbus_address, relay_models
from drivers.device import Framing
from drivers.sunspec import parse_choice
from simulation.contacts import Contacts
from simulation.meter_face import MeterFace
from simulation.modbus_devices import ModbusConverter, SimulatedDevice, SimulatedMeter, SimulatedRelayModule
from simulation.mqtt_devices import SimulatedSwitches, SimulatedTasmota, SimulatedTopicMeter, SimulatedZigbee
from simulation.shelly_devices import ShellyChannel, ShellyServer, SimulatedShelly
from simulation.sunspec_devices import SimulatedSunSpec, SunSpecFace

NOT_SIMULATED = {
    "p1": "a P1 port",
    "mbus": "M-Bus",
    "sma_speedwire": "SMA's multicast",
}
SUNSPEC_NUMBERS = {"meter": 203, "inverter": 103, "dc": 160}
BusPlace = tuple[str, int, Framing]


class NotSimulated(ValueError):
    pass


class Listener(Protocol):
    """What answers at an address, or on a broker. `start` raises OSError."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


class Cabinet:
    """Raises NotSimulated: a device of a kind that only exists in hardware."""

    def __init__(self, site: SiteConfig, now: Callable[[], datetime], meter_refresh_s: float = 0.0) -> None:
        self._site, self._now, self._refresh_s = site, now, meter_refresh_s
        self._units: dict[BusPlace, dict[int, SimulatedDevice]] = defaultdict(dict)
        self._listeners: list[Listener] = []
        self._shellys = self._build_shellys()
        self._sunspecs = self._build_sunspecs()
        self.meters: dict[str, MeterFace] = {m.id: self._meter(m) for m in site.meter}
        self.relay_modules: dict[str, Contacts] = {m.id: self._module(m) for m in site.relay_module}

    def listeners(self) -> list[Listener]:
        """One for each address, with the units behind it, and one for each device on a broker."""
        converters = [ModbusConverter(*place, units) for place, units in self._units.items()]
        servers = [ShellyServer(*place, shelly) for place, shelly in self._shellys.items()]
        return [*converters, *servers, *self._listeners]

    def _meter(self, config: MeterConfig) -> MeterFace:
        match config.driver:
            case "modbus":
                meter = SimulatedMeter(config.model, self._refresh_s)
                self._put_on_bus(config, meter, meter_models()[config.model].wiring.unit)
                return meter
            case "sunspec":
                return self._sunspec_face(config)
            case "shelly":
                shelly = self._shellys[_web_place(config)]
                return shelly if config.unit is None else ShellyChannel(shelly, config.unit)
            case "mqtt":
                told = SimulatedTopicMeter(_broker(config), mqtt_topics(config))
                self._listeners.append(told)
                return told
        raise NotSimulated(
            f"meter {config.id}: driver {config.driver!r} given, {NOT_SIMULATED[config.driver]} is not "
            "simulated: modbus, sunspec, shelly or mqtt expected"
        )

    def _module(self, config: RelayModuleConfig) -> Contacts:
        match config.driver:
            case "modbus":
                module = SimulatedRelayModule(config.model, self._now)
                self._put_on_bus(config, module, relay_models()[config.model].wiring.unit)
                return module
            case "shelly":
                return self._shellys[_web_place(config)]
            case "mqtt":
                on_broker: SimulatedSwitches | SimulatedTasmota | SimulatedZigbee = SimulatedSwitches(
                    _broker(config), mqtt_switches(config), mqtt_inputs(config), self._now
                )
            case "tasmota" | "zigbee2mqtt":
                kind = SimulatedTasmota if config.driver == "tasmota" else SimulatedZigbee
                on_broker = kind(_broker(config), config.topic or "", config.relays or 1, self._now)
        self._listeners.append(on_broker)
        return on_broker

    def _put_on_bus(self, config: BusAddress, device: SimulatedDevice, usual_unit: int) -> None:
        place, unit = _bus_place(config, usual_unit)
        self._units[place][unit] = device

    def _build_shellys(self) -> dict[tuple[str, int], SimulatedShelly]:
        """Three phases where a meter names no channel, else relays and channels."""
        shellys = [d for d in (*self._site.meter, *self._site.relay_module) if d.driver == "shelly"]
        three_phase = {_web_place(d) for d in shellys if isinstance(d, MeterConfig) and d.unit is None}
        secrets = {_web_place(d): _access(d).secret() for d in shellys}
        return {
            at: SimulatedShelly("pro_3em" if at in three_phase else "pro_4pm", self._now, secrets[at])
            for at in map(_web_place, shellys)
        }

    def _build_sunspecs(self) -> dict[tuple[BusPlace, int], SimulatedSunSpec]:
        """Entries of one unit are models of one device."""
        models: dict[tuple[BusPlace, int], list[int]] = defaultdict(list)
        for config in self._site.meter:
            if config.driver == "sunspec":
                number, nth = _sunspec_model(config)
                chain = models[_bus_place(config, 1)]
                chain += [number] * (nth - chain.count(number))
        found = {}
        for (place, unit), chain in models.items():
            found[place, unit] = self._units[place][unit] = SimulatedSunSpec(chain)
        return found

    def _sunspec_face(self, config: MeterConfig) -> SunSpecFace:
        return SunSpecFace(self._sunspecs[_bus_place(config, 1)], *_sunspec_model(config))


def _sunspec_model(config: MeterConfig) -> tuple[int, int]:
    """Number, and which of that number."""
    wanted, nth = parse_choice(config.model) if config.model else ("", 1)
    if not wanted:
        wanted = "inverter" if config.role == "pv" else "meter"
    return SUNSPEC_NUMBERS.get(wanted) or int(wanted), nth


def _bus_place(device: BusAddress, usual_unit: int) -> tuple[BusPlace, int]:
    """Host, port and framing, and the unit behind it; what the site file leaves out is the model's own."""
    kind: Kind = "meter" if isinstance(device, MeterConfig) else "relay_module"
    address = modbus_address(
        kind=kind, driver=device.driver, model=device.model, port=device.port, framing=device.framing
    )
    assert address is not None
    port, framing = address
    return (device.host, port, framing), usual_unit if device.unit is None else device.unit


def _web_place(device: BusAddress) -> tuple[str, int]:
    return device.host, device.port or 80


def _access(device: BusAddress) -> Access:
    return Access(device.host, device.port, device.user, device.password, device.tls)


def _broker(device: BusAddress) -> Access:
    """Raises NotSimulated."""
    if device.tls:
        raise NotSimulated(
            f"{device.id}: tls given, a broker without it expected where devices are simulated"
        )
    return _access(device)
