"""The physical site on L1, L2 and L3, exactly as its site file describes it, and the devices that show it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from csms.clock import Clock
from csms.domain.site import BusAddress, MeterConfig, SiteConfig
from drivers.catalogue import meter_models, relay_models
from drivers.device import Framing, PhaseTriple
from simulation.appliances import NOTHING, PHASES, Battery, add, simulate_appliance
from simulation.charge_point import SimulatedChargePoint
from simulation.house import House
from simulation.modbus_devices import ModbusConverter, SimulatedDevice, SimulatedMeter, SimulatedRelayModule
from simulation.noise import chance
from simulation.outlet import ConnectorHardware
from simulation.photovoltaics import Photovoltaics
from simulation.shelly_devices import ShellyServer, SimulatedShelly
from simulation.station_model import StationModel
from simulation.weather import DayType, Weather

GRID_IMPEDANCE_OHM = 0.08


@dataclass(frozen=True, slots=True)
class Physics:
    """What a site file does not say. day_type None: drawn for each day. battery: if a meter has that role."""

    seed: int = 1
    pv: Photovoltaics = Photovoltaics(peak_kw=10.0)  # noqa: RUF009 (frozen)
    day_type: DayType | None = None
    house_scale: float = 1.0
    battery_wh: float = 10_000.0
    battery_w: float = 4_000.0


@dataclass(frozen=True, slots=True)
class WiringFaults:
    """What an installer did wrong.

    reversed_meters: ids whose direction is turned. meter_phases: id -> which of the site's phases (0, 1, 2)
    each of the meter's phases sees. relays: relay of the site file -> the contact its load really hangs on.
    """

    reversed_meters: frozenset[str] = frozenset()
    meter_phases: Mapping[str, tuple[int, int, int]] = field(default_factory=dict)
    relays: Mapping[str, str] = field(default_factory=dict)


class Building:
    """`step` moves everything on and shows it on the meters. Powers: + is consumed or drawn."""

    def __init__(
        self,
        site: SiteConfig,
        physics: Physics,
        clock: Clock,
        ocpp_url: str,
        tick_s: float = 5.0,
        meter_refresh_s: float = 0.0,
        faults: WiringFaults | None = None,
    ):
        self.site, self.physics, self.faults = site, physics, faults or WiringFaults()
        self._zone = ZoneInfo(site.site.timezone)
        self._weather = Weather(physics.seed, physics.day_type)
        self._house = House(physics.seed, site.site.timezone, physics.house_scale)
        self._shellys = _shellys(site, clock)
        self.meters: dict[str, SimulatedMeter | SimulatedShelly] = {
            m.id: self._shellys[_web_address(m)]
            if m.driver == "shelly"
            else SimulatedMeter(m.model, meter_refresh_s)
            for m in site.meter
        }
        self.relay_modules: dict[str, SimulatedRelayModule | SimulatedShelly] = {
            m.id: self._shellys[_web_address(m)]
            if m.driver == "shelly"
            else SimulatedRelayModule(m.model, clock.now)
            for m in site.relay_module
        }
        self.appliances = {
            a.id: simulate_appliance(a, 0.3 + 0.4 * chance(physics.seed, 50, i))
            for i, a in enumerate(site.appliance)
        }
        model = StationModel(voltage_v=site.site.voltage_v)
        self.charge_points = {
            p.id: SimulatedChargePoint(
                ocpp_url,
                p.id,
                [
                    ConnectorHardware(c.id, len(c.phases), c.max_a, c.step_a, c.phase_switching)
                    for c in p.connectors
                ],
                clock=clock,
                model=model,
                tick_s=tick_s,
            )
            for p in site.charge_point
        }
        has_battery = any(m.role == "battery" for m in site.meter)
        self.battery = Battery(physics.battery_wh, physics.battery_w if has_battery else 0.0)
        self.pv_w: PhaseTriple = NOTHING
        self.house_w: PhaseTriple = NOTHING
        self._wh = {m.id: [0.0, 0.0] for m in site.meter}
        self._stepped_at = clock.now()

    def step(self, now: datetime) -> None:
        dt_s = max(0.0, (now - self._stepped_at).total_seconds())
        self._stepped_at = max(now, self._stepped_at)
        local = now.astimezone(self._zone)
        hour = local.hour + local.minute / 60 + local.second / 3600
        self.pv_w = self.physics.pv.phase_power_w(now, self._weather.transmission(now))
        self.house_w = self._house.phase_power_w(now)
        for appliance in self.appliances.values():
            appliance.step(dt_s, hour, self.is_closed)
        for charge_point in self.charge_points.values():
            charge_point.step(now)
        self.battery.power_w = 0.0
        self.battery.step(dt_s, -sum(self.grid_w()))
        self._show_on_meters(dt_s)

    def is_closed(self, relay: str) -> bool:
        """relay: as in the site file, "io1/3", whatever contact the load really hangs on."""
        module, _, number = self.faults.relays.get(relay, relay).rpartition("/")
        return self.relay_modules[module].coils[int(number) - 1]

    def grid_w(self) -> PhaseTriple:
        """At the grid connection point: everything, less the sun."""
        return add(self.pv_w, self.house_w, self.battery_w(), *self._load_powers_w().values())

    def battery_w(self) -> PhaseTriple:
        third_w = self.battery.power_w / 3
        return third_w, third_w, third_w

    def connector_w(self, charge_point_id: str, connector_id: int) -> PhaseTriple:
        """On the site's phases: the station's first phase is the first of the connector's `phases`."""
        point = next(p for p in self.site.charge_point if p.id == charge_point_id)
        wired = next(c.phases for c in point.connectors if c.id == connector_id)
        outlet = self.charge_points[charge_point_id].outlets[connector_id]
        by_phase = dict(zip(wired, (a * outlet.voltage_v for a in outlet.current_a), strict=False))
        l1, l2, l3 = (by_phase.get(p, 0.0) for p in PHASES)
        return l1, l2, l3

    def circuit_w(self, circuit_id: str) -> PhaseTriple:
        """Through a circuit's fuse: its loads and those below it; in the first root the house too."""
        loads = self._load_powers_w()
        parents = {c.id: c.parent for c in self.site.circuit}
        through = [loads[c] for c in loads if _is_within(c, circuit_id, parents)]
        if circuit_id == next(c.id for c in self.site.circuit if c.parent is None):
            through += [self.pv_w, self.house_w, self.battery_w()]
        return add(*through)

    def _load_powers_w(self) -> dict[str, PhaseTriple]:
        """Circuit -> what hangs directly on it."""
        loads: dict[str, PhaseTriple] = defaultdict(lambda: NOTHING)
        for appliance in self.appliances.values():
            circuit = appliance.config.circuit
            loads[circuit] = add(loads[circuit], appliance.phase_power_w)
        for point in self.site.charge_point:
            for connector in point.connectors:
                drawn = self.connector_w(point.id, connector.id)
                loads[point.circuit] = add(loads[point.circuit], drawn)
        return loads

    def metered_w(self, meter: MeterConfig) -> PhaseTriple:
        """What flows through a meter. A load meter that no appliance names is taken to measure the house."""
        match meter.role:
            case "grid":
                return self.grid_w()
            case "pv":
                share = sum(m.role == "pv" for m in self.site.meter)
                l1, l2, l3 = (w / share for w in self.pv_w)
                return l1, l2, l3
            case "battery":
                return self.battery_w()
            case "zone":
                return self.circuit_w(meter.circuit or "")
            case "load":
                own = [a.phase_power_w for a in self.appliances.values() if a.config.meter == meter.id]
                return add(*own) if own else self.house_w

    def _show_on_meters(self, dt_s: float) -> None:
        for config in self.site.meter:
            sign = -1 if config.invert != (config.id in self.faults.reversed_meters) else 1
            seen = self.faults.meter_phases.get(config.id, (0, 1, 2))
            phases_w = self.metered_w(config)
            l1, l2, l3 = (sign * phases_w[phase] for phase in seen)
            total_w = l1 + l2 + l3
            energy = self._wh[config.id]
            energy[0] += max(total_w, 0.0) * dt_s / 3600
            energy[1] += max(-total_w, 0.0) * dt_s / 3600
            nominal_v = self.site.site.voltage_v
            v1, v2, v3 = (nominal_v - GRID_IMPEDANCE_OHM * w / nominal_v for w in self.grid_w())
            meter = self.meters[config.id]
            if isinstance(meter, SimulatedShelly) and config.unit is not None:
                meter.set_channel(config.unit, total_w)
                meter.set(voltage_v=(v1, v2, v3), import_wh=energy[0], export_wh=energy[1])
                continue
            is_single_phase = isinstance(meter, SimulatedMeter) and meter.model.phases("p") == 1
            meter.set(
                power_w=total_w,
                phase_power_w=(total_w, 0.0, 0.0) if is_single_phase else (l1, l2, l3),
                voltage_v=(v1, v2, v3),
                import_wh=energy[0],
                export_wh=energy[1],
            )

    def converters(self) -> list[ModbusConverter | ShellyServer]:
        """One for each address that the site file names, with the units behind it."""
        buses: dict[tuple[str, int, Framing], dict[int, SimulatedDevice]] = defaultdict(dict)
        for device in (*self.site.meter, *self.site.relay_module):
            kind = self.meters if isinstance(device, MeterConfig) else self.relay_modules
            if isinstance(simulated := kind[device.id], SimulatedDevice):
                address, unit = _address(device)
                buses[address][unit] = simulated
        return [
            *(ModbusConverter(*address, units) for address, units in buses.items()),
            *(ShellyServer(*address, shelly) for address, shelly in self._shellys.items()),
        ]


def _shellys(site: SiteConfig, clock: Clock) -> dict[tuple[str, int], SimulatedShelly]:
    """Three phases where a meter names no channel, else relays and channels.

    Raises:
        ValueError: a driver that is not simulated.
    """
    devices: list[BusAddress] = [*site.meter, *site.relay_module]
    for device in devices:
        if device.driver not in ("modbus", "shelly"):
            raise ValueError(f"{device.id}: driver {device.driver!r} given, one that is simulated expected")
    shellys = [device for device in devices if device.driver == "shelly"]
    three_phase = {_web_address(d) for d in shellys if isinstance(d, MeterConfig) and d.unit is None}
    return {
        at: SimulatedShelly("pro_3em" if at in three_phase else "pro_4pm", clock.now)
        for at in map(_web_address, shellys)
    }


def _web_address(device: BusAddress) -> tuple[str, int]:
    return device.host, device.port or 80


def _address(device: BusAddress) -> tuple[tuple[str, int, Framing], int]:
    """Host, port and framing, and the unit behind it; what the site file leaves out is the model's own."""
    models = meter_models() if isinstance(device, MeterConfig) else relay_models()
    wiring = models[device.model].wiring
    framing = device.framing or wiring.framings[0]
    unit = wiring.unit if device.unit is None else device.unit
    return (device.host, device.port or wiring.ports[framing], framing), unit


def _is_within(circuit_id: str, above: str, parents: dict[str, str | None]) -> bool:
    step: str | None = circuit_id
    while step is not None and step != above:
        step = parents[step]
    return step == above
