"""The meters and relay modules of one site: opened as described, polled without end, read and switched.

What the optimizer is told about them comes from here; nothing here decides.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain
from typing import Literal

import structlog

from csms.control_model import element_relays
from csms.domain.site import ApplianceConfig, MeterConfig, RelayModuleConfig, SiteConfig
from csms.domain.snapshot import DeviceSnapshot, LineSnapshot, LineUnitSnapshot, MeasuredPower
from drivers.bus_load import BusLoad
from drivers.catalogue import Buses, check_config, confidence, failsafe, open_meter, open_relay_module
from drivers.device import DeviceConfigError, DeviceError, Failsafe, MeterReading, RelayModule
from drivers.fitted_meter import FittedMeter
from drivers.modbus import ModbusMeter, ModbusRelayModule
from drivers.modbus_bus import BusPool
from drivers.mqtt_meter import MqttTopic
from drivers.mqtt_relays import MqttSwitch
from drivers.polling import MeterPoller, RelayModulePoller
from drivers.sunspec import SunSpecMeter
from optimizer.model import ApplianceDemand, BatteryReading, ContactReading, PowerReading, Readings

log = structlog.get_logger()

POLL_INTERVAL_S = 2.0  # a line that cannot carry this for all serves each in its turn
STALE_S = 90.0
HAND_WINDOW_S = 60.0
HAND_LEAST_W, HAND_SHARE = (
    50.0,
    0.2,
)  # what an appliance must draw with open relays to be called switched by hand
BEYOND_FUSE = 3.0  # a fuse carries some times its rating for a while; more than this is no power but a fault
SHOWN_AFTER_S = 2.0  # what a relay or station was told shows on the meters so much later, at the earliest
FAILSAFE_INTERVALS = 3  # a relay that can fall off by itself does so after this many missed control intervals


RelayPlace = tuple[str, int | None, int | None, str]
"""Host, port and unit of the module, number of the relay."""


@dataclass(frozen=True, slots=True)
class RelayFault:
    """A relay that did not do what was decided."""

    appliance_id: str
    problem: str


class SiteDevices:
    """Raises DeviceConfigError when a model or framing is not known."""

    def __init__(
        self,
        config: SiteConfig,
        now: Callable[[], datetime],
        sleep: Callable[[float], Awaitable[None]],
        pool: BusPool | None = None,
    ) -> None:
        """pool: of the process; a line that two sites share is spoken on by one of its buses."""
        self._config = config
        self._buses = Buses(now, asyncio.sleep, pool)  # a wire has its own pace, whatever the site's clock
        failsafe_s = FAILSAFE_INTERVALS * max(config.site.control_interval_s, 60)
        try:
            self._fitted = {
                m.id: open_site_meter(self._buses, m, _largest_w(config, m)) for m in config.meter
            }
            self._modules = {m.id: open_site_module(self._buses, m, failsafe_s) for m in config.relay_module}
        except DeviceConfigError:
            self._buses.give_up()
            raise
        self._meters = {id: MeterPoller(m, POLL_INTERVAL_S, now, sleep) for id, m in self._fitted.items()}
        self._relays = {
            id: RelayModulePoller(module, POLL_INTERVAL_S, now, sleep, id == self._operators_input()[0])
            for id, module in self._modules.items()
        }
        self._open_since: dict[str, datetime] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Ask every device once, then poll without end."""
        await self.poll()
        pollers = [*self._meters.values(), *self._relays.values()]
        self._tasks = [asyncio.create_task(poller.run(), name=f"poll {poller.id}") for poller in pollers]

    async def poll(self) -> None:
        """Ask every device once. Those that do not answer say so in their snapshot."""
        await asyncio.gather(*(poller.poll() for poller in (*self._meters.values(), *self._relays.values())))

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._buses.stop()

    def readings(self, window_s: float, now: datetime, changed_at: datetime | None = None) -> Readings:
        """Means over the last `window_s`: of grid and battery meters, and of zone meters by their circuit.

        A sample older than the last change counts as late: it does not know what was switched since.
        """
        grid: PowerReading | None = None
        zones: dict[str, PowerReading] = {}
        for meter in self._config.meter:
            if meter.role not in ("grid", "zone"):
                continue
            reading = self._power_reading(meter, window_s, now, changed_at)
            if meter.role == "grid":
                grid = reading
            elif reading is not None and meter.circuit is not None:
                zones[meter.circuit] = reading
        battery = self._battery(window_s, now, changed_at)
        return Readings(grid=grid, zones=zones, battery=battery, load_shedding=self.contact())

    def _battery(self, window_s: float, now: datetime, changed_at: datetime | None) -> BatteryReading | None:
        """All battery meters together, as old as the oldest; None unless each has told something."""
        meters = [m for m in self._config.meter if m.role == "battery"]
        readings = [self._power_reading(m, window_s, now, changed_at) for m in meters]
        known = [reading for reading in readings if reading is not None]
        if not known or len(known) < len(meters):
            return None
        levels = [latest.soc_pct for m in meters if (latest := self._meters[m.id].latest) is not None]
        told = [level for level in levels if level is not None]
        return BatteryReading(
            power_w=sum(r.power_w for r in known),
            read_at=min(r.read_at for r in known),
            soc_pct=sum(told) / len(told) if len(told) == len(meters) else None,
        )

    def _operators_input(self) -> tuple[str, int]:
        """Module and number of the grid operator's input; ("", 0) = the site has none."""
        shedding = self._config.load_shedding
        module, _, number = (shedding.input if shedding else "/0").partition("/")
        return module, int(number)

    def contact(self) -> ContactReading | None:
        """The grid operator's signal as read last; None = never, or the site has no such input."""
        shedding, (module, number) = self._config.load_shedding, self._operators_input()
        if shedding is None:
            return None
        poller = self._relays[module]
        if poller.inputs_read_at is None or len(poller.inputs) < number:
            return None
        is_closed = poller.inputs[number - 1]
        return ContactReading(is_closed is (shedding.active == "closed"), poller.inputs_read_at)

    def _power_reading(
        self, meter: MeterConfig, window_s: float, now: datetime, changed_at: datetime | None
    ) -> PowerReading | None:
        poller = self._meters[meter.id]
        reading = poller.mean(window_s, now) or poller.latest
        if reading is None:
            return None
        read_at = reading.read_at
        if changed_at is not None and read_at < changed_at + timedelta(seconds=SHOWN_AFTER_S):
            read_at = min(read_at, now - timedelta(seconds=STALE_S + 1))
        return PowerReading(reading.power_w, reading.current_a, read_at)

    def measured(self, now: datetime, window_s: float | None = None) -> MeasuredPower:
        """Power by role: the latest samples, or their means over a window."""
        return MeasuredPower(*(self._role_power_w(role, now, window_s) for role in ("grid", "pv", "battery")))

    def _role_power_w(self, role: str, now: datetime, window_s: float | None) -> float | None:
        """Sum of the meters of a role; None when there is none or one is stale. [W]"""
        meters = [m.id for m in self._config.meter if m.role == role]
        readings = [self._fresh(id, now, window_s) for id in meters]
        if not meters or any(r is None for r in readings):
            return None
        return sum(r.power_w for r in readings if r is not None)

    def _fresh(self, meter_id: str, now: datetime, window_s: float | None = None) -> MeterReading | None:
        poller = self._meters[meter_id]
        reading = (poller.mean(window_s, now) if window_s else None) or poller.latest
        return reading if reading is not None and reading.age_s(now) <= STALE_S else None

    def appliance(self, appliance: ApplianceConfig, now: datetime) -> ApplianceDemand:
        """What the appliance's relays read back, and its sub-meter."""
        on: set[str] = set()
        for element, relays in element_relays(appliance).items():
            states = [self._relay_state(relay, now) for relay in relays]
            if any(state is None for state in states):
                return ApplianceDemand(on=None)
            if all(states):
                on.add(element)
        reading = self._fresh(appliance.meter, now) if appliance.meter else None
        return ApplianceDemand(frozenset(on), reading.power_w if reading else None)

    def _relay_state(self, relay: str, now: datetime) -> bool | None:
        module_id, number = relay.split("/")
        poller = self._relays[module_id]
        if (
            poller.states is None
            or poller.read_at is None
            or (now - poller.read_at).total_seconds() > STALE_S
        ):
            return None
        known = dict(enumerate(poller.states, 1))  # a module may have fewer relays than a site names
        return known.get(int(number))

    async def switch(
        self,
        appliances: Mapping[str, ApplianceConfig],
        wanted: Mapping[str, frozenset[str]],
        lost: Collection[str],
        now: datetime,
    ) -> list[RelayFault]:
        """Bring every appliance's relays to the wanted elements: first all that open, then all that close.

        Closing goes from the lowest element up and opening from the highest down, so that the two
        contacts of an SG-Ready heat pump never pass through its blocked state. Of appliances that are
        `lost`, because one of their modules is silent, relays that still answer are opened, none closed.
        """
        faults: list[RelayFault] = []
        for close in (False, True):  # at once on all lines: a dead one does not keep the others waiting
            switching = (
                self._switch_one(appliances[id], elements, close, now, id in lost)
                for id, elements in wanted.items()
                if id not in lost or not (close or appliances[id].kind == "sg_ready")
            )
            faults += chain.from_iterable(await asyncio.gather(*switching))
        return faults

    async def _switch_one(
        self,
        appliance: ApplianceConfig,
        elements: frozenset[str],
        close: bool,
        now: datetime,
        is_lost: bool,
    ) -> list[RelayFault]:
        relays = [entry for entry in element_relays(appliance).items() if (entry[0] in elements) is close]
        order = relays if close else relays[::-1]
        if close and appliance.kind == "sg_ready":
            # What is closed for a time opens in this order, too, when nobody repeats it: the highest first.
            order = [*(e for e in relays if not self._is_closed(e[1], now)), *reversed(relays)]
        for _, references in order:
            for reference in references:
                module_id, number = reference.split("/")
                module, state = self._modules[module_id], self._relay_state(reference, now)
                if state is None and is_lost:
                    continue
                if state is close and not (close and module.needs_rearming):
                    continue
                try:
                    await module.switch(int(number), close)
                    await self._relays[module_id].poll()
                except DeviceError as error:
                    log.warning("relay did not obey", relay=reference, on=close, why=str(error))
                    return [RelayFault(appliance.id, str(error))]
        return []

    def _is_closed(self, references: Collection[str], now: datetime) -> bool:
        return all(self._relay_state(reference, now) for reference in references)

    def runs_by_hand(self, now: datetime) -> dict[str, str]:
        """Load meters that show power although every relay of their appliance reads open -> what to look for.

        A heat pump on SG-Ready runs as it likes. The other way round, closed relays without power, is a
        thermostat's everyday life.
        """
        found = {}
        for appliance in self._config.appliance:
            if appliance.meter is None or appliance.kind == "sg_ready":
                continue
            if any(self._relay_state(r, now) is not False for r in appliance.relay_refs()):
                self._open_since.pop(appliance.id, None)
                continue
            since = self._open_since.setdefault(appliance.id, now)
            reading = self._fresh(appliance.meter, now, HAND_WINDOW_S)
            if reading is None or (now - since).total_seconds() < 2 * HAND_WINDOW_S:
                continue
            if reading.power_w > max(HAND_LEAST_W, HAND_SHARE * appliance.full_power_w()):
                found[appliance.meter] = (
                    f"{appliance.name or appliance.id} draws {reading.power_w:.0f} W although its relays are "
                    "open: look for a switch in the cabinet that stands on hand, or a contactor that sticks"
                )
        return found

    async def read_meter(self, id: str) -> MeterReading | None:
        """Ask now; None = no answer, `problem` tells why."""
        poller = self._meters[id]
        await poller.poll()
        return poller.latest if poller.problem is None else None

    async def read_relays(self, module_id: str) -> tuple[bool, ...] | None:
        """Ask now, from relay 1 on; None = no answer, `problem` tells why."""
        poller = self._relays[module_id]
        await poller.poll()
        return poller.states if poller.problem is None else None

    async def switch_relay(self, reference: str, on: bool) -> None:
        """reference: as in the site file, "io1/3". Writes and reads back. Raises DeviceError."""
        module_id, number = reference.split("/")
        await self._modules[module_id].switch(int(number), on)
        await self._relays[module_id].poll()

    def failsafe(self, module_id: str) -> Failsafe:
        """What opens the module's relays when nobody commands them any more."""
        return self._modules[module_id].failsafe

    def problem(self, id: str) -> str | None:
        """Why a meter or relay module gave no answer when last asked."""
        return (self._meters.get(id) or self._relays[id]).problem

    async def open_relays(self, references: Collection[str]) -> None:
        """Those that nobody is going to switch any more."""
        for reference in sorted(references, reverse=True):
            module_id, number = reference.split("/")
            try:
                await self._modules[module_id].switch(int(number), False)
            except DeviceError as error:
                log.error("relay given up, but not opened", relay=reference, why=str(error))

    def lines(self) -> list[LineSnapshot]:
        """How busy each Modbus line is, and how well its units answer."""
        return [_line(load) for load in self._buses.loads()]

    def snapshots(self, now: datetime) -> list[DeviceSnapshot]:
        """Is each device well, and how old is what it said last?"""
        devices = []
        by_hand = self.runs_by_hand(now)
        for meter in self._config.meter:
            latest = self._meters[meter.id].latest
            read_at, power_w = (latest.read_at, latest.power_w) if latest else (None, None)
            label = meter.name or f"{meter.role} meter"
            problem = self._meters[meter.id].problem
            warning = by_hand.get(meter.id) or self._fitted[meter.id].warning
            sure = confidence("meter", meter.driver, meter.model)
            devices.append(_device(meter.id, "meter", label, read_at, problem, now, sure, power_w, warning))
        for module in self._config.relay_module:
            poller = self._relays[module.id]
            label = module.name or module.id
            sure = confidence("relay_module", module.driver, module.model)
            devices.append(
                _device(module.id, "relay_module", label, poller.read_at, poller.problem, now, sure)
            )
        return devices


def _line(load: BusLoad) -> LineSnapshot:
    return LineSnapshot(
        address=load.bus,
        connected=load.connected,
        requests_per_s=load.requests_per_s,
        errors_per_min=load.errors_per_min,
        share=load.line_share,
        requests=load.requests,
        errors=load.errors,
        unasked_bytes=load.unasked_bytes,
        units=tuple(
            LineUnitSnapshot(u.unit, u.age_s, u.answer_s, u.requests, u.errors, u.is_absent)
            for u in load.units
        ),
    )


def _device(
    id: str,
    kind: Literal["meter", "relay_module"],
    label: str,
    read_at: datetime | None,
    problem: str | None,
    now: datetime,
    confidence: str,
    power_w: float | None = None,
    warning: str | None = None,
) -> DeviceSnapshot:
    """warning: shown although it answers."""
    age_s = (now - read_at).total_seconds() if read_at else None
    ok = age_s is not None and age_s <= STALE_S
    # One lost answer is the wire's everyday life: only silence is a problem.
    told = warning if ok else problem or "no answer"
    return DeviceSnapshot(id, kind, label, ok, age_s, told, power_w, confidence)


def relay_places(config: SiteConfig) -> dict[str, RelayPlace]:
    """Every relay that an appliance names ("io1/3"), and where it is."""
    modules = {m.id: (m.host, m.port, m.unit) for m in config.relay_module}
    named = (relay for appliance in config.appliance for relay in appliance.relay_refs())
    return {relay: (*modules[relay.split("/")[0]], relay.split("/")[1]) for relay in named}


def _largest_w(config: SiteConfig, meter: MeterConfig) -> float:
    """What cannot flow at a meter: far more than the fuses of its circuit, else of the whole site, carry."""
    circuits = [c for c in config.circuit if c.id == meter.circuit] or [
        c for c in config.circuit if c.parent is None
    ]
    return BEYOND_FUSE * sum(sum(c.limit_a) for c in circuits) * config.site.voltage_v


def open_site_meter(buses: Buses, meter: MeterConfig, largest_w: float | None = None) -> FittedMeter:
    """Raises DeviceConfigError."""
    device = open_meter(
        buses,
        id=meter.id,
        driver=meter.driver,
        model=meter.model,
        host=meter.host,
        port=meter.port,
        unit=meter.unit,
        framing=meter.framing,
        user=meter.user,
        password=meter.password,
        tls=meter.tls,
        invert=meter.invert,
        phases=meter.phases,
        topics={name: MqttTopic(t.topic, t.path, t.unit, t.scale) for name, t in meter.topics.items()},
        max_age_s=meter.max_age_s,
        largest_w=largest_w,
    )
    if meter.baud is not None and isinstance(device.inner, ModbusMeter | SunSpecMeter):
        device.inner.bus.run_at(meter.baud)
    return device


def open_site_module(buses: Buses, module: RelayModuleConfig, failsafe_s: float) -> RelayModule:
    """With whatever the model has to open its relays by itself when nobody commands it any more."""
    check_config(kind="relay_module", driver=module.driver, model=module.model, framing=module.framing)
    kind = failsafe(module.driver, module.model)
    device = open_relay_module(
        buses,
        id=module.id,
        driver=module.driver,
        model=module.model,
        host=module.host,
        port=module.port,
        unit=module.unit,
        framing=module.framing,
        pulse_s=failsafe_s if kind == "pulse" else None,
        watchdog_s=failsafe_s if kind == "watchdog" else None,
        user=module.user,
        password=module.password,
        tls=module.tls,
        topic=module.topic,
        relays=module.relays,
        switches=[MqttSwitch(s.command, s.state, s.on, s.off, s.path) for s in module.switches],
    )
    if module.baud is not None and isinstance(device, ModbusRelayModule):
        device.bus.run_at(module.baud)
    return device
