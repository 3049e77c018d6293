"""evcc's solar control, for comparison, written from a description of its behaviour, with its defaults.

Every 30 s the grid meter is read and one load point has its turn, round robin. Its target is what it takes
now, more or less what the grid meter shows, in whole amperes at 230 V. It starts at its minimum once the
target has reached that for 60 s, and stops after 180 s below it while the site does not export; until then
it is held at the minimum. One sample to the contrary begins either delay anew. A vehicle that has just come
does not wait for the first one. Each relay is a load point of one phase whose minimum and maximum are its
nominal current. Circuits have the last word: one current each, the highest of its phases.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from optimizer.model import (
    Appliance,
    ApplianceDemand,
    Connector,
    ConnectorDemand,
    ConnectorState,
    Demands,
    Element,
    Mode,
    Readings,
    Site,
)
from optimizer.schedule import open_until
from simulation.plant import Setpoints

LOOP_INTERVAL_S = 30.0
ENABLE_DELAY = timedelta(seconds=60)
DISABLE_DELAY = timedelta(seconds=180)
VOLTAGE_V = 230.0
VEHICLE_SLACK_A = 2.0  # a vehicle that takes a little less than it is offered is not held down by that
PHASE_IN_USE_A = 1.0


@dataclass(frozen=True, slots=True)
class Measured:
    """What a load point knows of its load. taken_a: on its highest phase. phases: in use, 0 = not known."""

    plugged: bool
    charging: bool
    taken_a: float = 0.0
    phases: int = 0
    session: str | None = None


NOTHING = Measured(plugged=False, charging=False)


class LoadPoint:
    """What evcc controls, one at a time. step_a, slack_a: 0 for a relay, which is only on or off. [A]"""

    def __init__(self, phases: int, min_a: float, max_a: float, step_a: float = 0.0, slack_a: float = 0.0):
        self.min_a, self.max_a, self.set_a = min_a, max_a, 0.0
        self._wired_phases = self._phases = phases
        self._step_a, self._slack_a = step_a, slack_a
        self._session: str | None = None
        self._timer_at: datetime | None = None

    def wanted_a(self, mode: str, site_w: float, measured: Measured, now: datetime) -> float:
        """The current before circuits have their say. mode: off, now, pv or minpv. site_w: + drawn."""
        self._notice(measured, now)
        if mode == "off" or not measured.plugged:
            return 0.0
        if mode == "now":
            self._timer_at = None
            return self.max_a
        effective_a = min(measured.taken_a + self._slack_a, self.set_a) if measured.charging else 0.0
        target_a = max(0.0, effective_a - site_w / (VOLTAGE_V * self._phases))
        if mode == "minpv":
            return min(max(target_a, self.min_a), self.max_a)
        return self._follow_sun(target_a, site_w, now)

    def set(self, allowed_a: float) -> None:
        """In whole steps; off below the minimum."""
        if self._step_a:
            allowed_a = math.floor(allowed_a / self._step_a + 1e-9) * self._step_a
        self.set_a = allowed_a if allowed_a >= self.min_a - 1e-9 else 0.0

    def _notice(self, measured: Measured, now: datetime) -> None:
        if measured.session != self._session:
            self._session, self._phases = measured.session, self._wired_phases
            self._timer_at = None if measured.session is None else now - ENABLE_DELAY
        if measured.charging and measured.phases:
            self._phases = measured.phases

    def _follow_sun(self, target_a: float, site_w: float, now: datetime) -> float:
        if self.set_a == 0:
            return self.min_a if self._has_held(target_a >= self.min_a - 1e-9, ENABLE_DELAY, now) else 0.0
        if target_a < self.min_a - 1e-9:
            return 0.0 if self._has_held(site_w >= 0, DISABLE_DELAY, now) else self.min_a
        self._timer_at = None
        return min(target_a, self.max_a)

    def _has_held(self, condition: bool, delay: timedelta, now: datetime) -> bool:
        """Whether it held at each turn for the delay. The first turn at which it holds begins the delay."""
        if not condition:
            self._timer_at = None
            return False
        self._timer_at = self._timer_at or now
        if now - self._timer_at < delay:
            return False
        self._timer_at = None
        return True


@dataclass(frozen=True, slots=True)
class Place:
    """Where a load point is: a connector, or one element of an appliance."""

    point: LoadPoint
    load: Appliance | Connector
    element: Element | None = None


class EvccRule:
    """The whole loop. To be called every `LOOP_INTERVAL_S`."""

    def __init__(self, site: Site):
        self._site = site
        self._circuits = {c.id: c for c in site.circuits}
        self._home = next((c.id for c in site.circuits if c.parent is None), None)
        self._places = [
            Place(LoadPoint(1, e.power_w / VOLTAGE_V, e.power_w / VOLTAGE_V), appliance, e)
            for appliance in site.appliances
            for e in appliance.elements
            if e.power_w > 0
        ]
        self._places += [Place(_station(connector), connector) for connector in site.connectors]
        self._turn = 0

    def __call__(self, readings: Readings, demands: Demands, now: datetime) -> Setpoints:
        if readings.grid is not None and self._places:  # without a grid meter nothing is controlled
            self._control(self._places[self._turn % len(self._places)], readings, demands, now)
            self._turn += 1
        on: dict[str, set[str]] = {a.id: set() for a in self._site.appliances}
        limits_a = {}
        for place in self._places:
            if place.element is None:
                limits_a[place.load.id] = place.point.set_a
            elif place.point.set_a > 0:
                on[place.load.id].add(place.element.id)
        return Setpoints({name: frozenset(closed) for name, closed in on.items()}, limits_a)

    def _control(self, place: Place, readings: Readings, demands: Demands, now: datetime) -> None:
        assert readings.grid is not None
        measured = _measured(place, demands)
        mode = _mode(place, open_until(place.load.windows, self._site.timezone, now) is not None)
        wanted_a = place.point.wanted_a(mode, readings.grid.power_w, measured, now)
        circuit = self._circuits.get(place.load.circuit)
        while circuit is not None:
            free_a = min(circuit.limit_a) - self._load_a(circuit.id, readings, demands)
            wanted_a = min(wanted_a, measured.taken_a + free_a)
            circuit = self._circuits[circuit.parent] if circuit.parent else None
        place.point.set(wanted_a)

    def _load_a(self, circuit: str, readings: Readings, demands: Demands) -> float:
        """The highest phase of the circuit's meter; without one, all load points' as if on one phase."""
        meter = readings.grid if circuit == self._home else readings.zones.get(circuit)
        if meter is not None and meter.current_a is not None:
            return max(meter.current_a)
        return sum(
            _measured(place, demands).taken_a
            for place in self._places
            if self._is_below(place.load.circuit, circuit)
        )

    def _is_below(self, circuit: str | None, above: str) -> bool:
        while circuit is not None and circuit != above:
            circuit = self._circuits[circuit].parent
        return circuit == above


def _station(connector: Connector) -> LoadPoint:
    max_a = connector.manual_a if connector.mode is Mode.MANUAL else connector.max_a
    min_a = connector.min_a if connector.modulates else connector.max_a
    return LoadPoint(len(connector.phases), min_a, max_a, min(connector.step_a, 1.0), VEHICLE_SLACK_A)


def _mode(place: Place, timer_on: bool) -> str:
    """evcc's own mode. It has no time windows: its users switch to "now" by a program of their own."""
    mode = place.load.mode
    if mode is Mode.MANUAL:
        load = place.load
        by_hand = load.manual_a > 0 if isinstance(load, Connector) else _is_closed(place, load.manual_on)
        return "now" if by_hand else "off"
    if mode in (Mode.ON, Mode.FULL) or (timer_on and mode in (Mode.TIMER_ONLY, Mode.SOLAR_AND_TIMER)):
        return "now"
    if mode is Mode.MIN_AND_SOLAR:
        return "minpv"
    return "pv" if mode in (Mode.SOLAR_ONLY, Mode.SOLAR_AND_TIMER) else "off"


def _measured(place: Place, demands: Demands) -> Measured:
    if isinstance(place.load, Connector):
        return _measured_vehicle(demands.connectors.get(place.load.id))
    demand = demands.appliances.get(place.load.id)
    return NOTHING if demand is None else _measured_relay(place, place.load, demand)


def _measured_vehicle(demand: ConnectorDemand | None) -> Measured:
    if demand is None or demand.session is None:
        return NOTHING
    amps = demand.current_a or (0.0, 0.0, 0.0)
    in_use = sum(phase_a >= PHASE_IN_USE_A for phase_a in amps)
    charging = demand.state is ConnectorState.CHARGING
    return Measured(True, charging, max(amps), in_use, demand.session)


def _measured_relay(place: Place, appliance: Appliance, demand: ApplianceDemand) -> Measured:
    """Behind a sub-meter what is measured, shared by nominal power; else the nominal power is assumed."""
    on = demand.on or frozenset()
    if place.element is None or not _is_closed(place, on):
        return Measured(plugged=True, charging=False)
    power_w = place.element.power_w
    if demand.power_w is not None:
        nominal_w = sum(e.power_w for e in appliance.elements if e.id in on)
        power_w *= demand.power_w / nominal_w
    return Measured(True, power_w > 0, power_w / VOLTAGE_V)


def _is_closed(place: Place, elements: frozenset[str]) -> bool:
    return place.element is not None and place.element.id in elements
