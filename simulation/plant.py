"""The site that is replayed: house and sun as measured, vehicles and relays that obey at once.

Plain floats and lists: a step must cost microseconds. Times inside are step numbers from the series' start.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from optimizer.model import (
    NO_CURRENT,
    Appliance,
    ApplianceDemand,
    BatteryReading,
    Connector,
    ConnectorDemand,
    ConnectorState,
    ContactReading,
    Demands,
    PhaseTriple,
    PowerReading,
    Readings,
    Site,
)
from simulation.appliances import Battery
from simulation.series import Series
from simulation.sessions import Session

FUSE_TOLERANCE_A = 1e-6


@dataclass(frozen=True, slots=True)
class Setpoints:
    """What a controller wants: closed elements per appliance, a current limit [A] per connector.

    phase_counts: of connectors that are told how many phases to use.
    """

    appliances: Mapping[str, frozenset[str]]
    connectors: Mapping[str, float]
    phase_counts: Mapping[str, int] = field(default_factory=dict)


class Controller(Protocol):
    """Sees the means of the interval that has just ended, acts for the next."""

    def __call__(self, readings: Readings, demands: Demands, now: datetime) -> Setpoints: ...


@dataclass(frozen=True, slots=True)
class DailyNeed:
    """What an appliance wants from one local midnight to the next; then its thermostat opens."""

    energy_wh: float = math.inf
    run_s: float = math.inf


NO_NEED = DailyNeed()
"""Takes whatever it is given."""


@dataclass(slots=True)
class LoadTrace:
    """What one load did. shortest_on_s: of the runs that its controller ended."""

    power_w: list[float] = field(default_factory=list)
    offered_a: list[float] | None = None
    switchings: Counter[date] = field(default_factory=Counter)
    shortest_on_s: float | None = None

    def ran(self, on_s: float) -> None:
        self.shortest_on_s = on_s if self.shortest_on_s is None else min(on_s, self.shortest_on_s)


@dataclass(frozen=True, slots=True)
class SessionOutcome:
    """departed: False for one that is still plugged in, or waiting, when the series ends."""

    session: Session
    delivered_wh: float
    waited: bool
    departed: bool = True


@dataclass(slots=True)
class Trace:
    """A whole run, step by step. days: local date and the number of its first step.

    battery_w: + is charging; empty without a battery.
    """

    series: Series
    days: list[tuple[date, int]]
    grid_w: list[float] = field(default_factory=list)
    battery_w: list[float] = field(default_factory=list)
    loads: dict[str, LoadTrace] = field(default_factory=dict)
    sessions: list[SessionOutcome] = field(default_factory=list)
    fuse_excess_s: float = 0.0


def local_days(start_at: datetime, end_at: datetime, step_s: float, timezone: str) -> list[tuple[date, int]]:
    """The local dates of a period, each with its first step; the first may begin at any hour."""
    zone = ZoneInfo(timezone)
    day = start_at.astimezone(zone).date()
    days = [(day, 0)]
    while True:
        day += timedelta(days=1)
        midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
        if midnight >= end_at:
            return days
        days.append((day, math.ceil((midnight - start_at).total_seconds() / step_s)))


class RelayLoad:
    """An appliance: draws what its closed elements draw, until its daily need is met."""

    def __init__(self, appliance: Appliance, meters: Sequence[list[float]], need: DailyNeed, metered: bool):
        self.id, self.trace = appliance.id, LoadTrace()
        self._appliance, self._meters, self._need, self._metered = appliance, meters, need, metered
        self._on: frozenset[str] = frozenset()
        self._closed_at: dict[str, int] = {}
        self._draw: tuple[float, PhaseTriple] = (0.0, NO_CURRENT)
        self._left = need
        self._sum_w = 0.0

    def start_day(self) -> None:
        self._left = self._need

    def obey(self, on: frozenset[str], step: int, step_s: float, day: date) -> None:
        changed = on ^ self._on
        if not changed:
            return
        self.trace.switchings[day] += len(changed)
        for element in changed:
            if element in on:
                self._closed_at[element] = step
            else:
                self.trace.ran((step - self._closed_at.pop(element)) * step_s)
        self._on, self._draw = on, appliance_draw(self._appliance, on)

    def advance(self, step_s: float) -> float:
        power_w, amps = self._draw
        if power_w > 0 and self._need is not NO_NEED:
            share = min(1.0, self._left.energy_wh * 3600 / step_s / power_w, self._left.run_s / step_s)
            power_w, amps = power_w * share, (amps[0] * share, amps[1] * share, amps[2] * share)
            self._left = DailyNeed(
                self._left.energy_wh - power_w * step_s / 3600, self._left.run_s - step_s * share
            )
        if power_w > 0:
            _add(self._meters, amps, power_w)
        self._sum_w += power_w
        self.trace.power_w.append(power_w)
        return power_w

    def demand(self, steps: int) -> ApplianceDemand:
        mean_w, self._sum_w = self._sum_w / max(steps, 1), 0.0
        return ApplianceDemand(self._on, mean_w if self._metered and steps else None)


@dataclass(frozen=True, slots=True)
class Stay:
    """A session in whole steps: plugged in from `arrives` up to but without `leaves`. id: its transaction."""

    session: Session
    arrives: int
    leaves: int
    id: str


class Outlet:
    """A connector and the vehicles that come to it, one after the other."""

    def __init__(
        self, connector: Connector, voltage_v: float, meters: Sequence[list[float]], stays: Sequence[Stay]
    ):
        self.id, self.trace, self.outcomes = connector.id, LoadTrace(offered_a=[]), list[SessionOutcome]()
        self._connector, self._voltage_v, self._meters = connector, voltage_v, meters
        self._queue = deque(stays)
        self._stay: Stay | None = None
        self._waited = False
        self._left_wh = self._delivered_wh = 0.0
        self._limit_a, self._phase_count = 0.0, len(connector.phases)
        self._taking_since: int | None = None
        self._sum_w, self._sum_a = 0.0, [0.0, 0.0, 0.0]

    def plug(self, step: int) -> None:
        """Let a vehicle leave whose time has come, and the next one in."""
        if self._stay is not None and step >= self._stay.leaves:
            self._close(self._stay)
        while self._stay is None and self._queue and self._queue[0].arrives <= step:
            stay = self._queue.popleft()
            self._waited = step > stay.arrives
            self._delivered_wh, self._left_wh = 0.0, stay.session.energy_wh
            if stay.leaves > step:
                self._stay = stay
            else:
                self._close(stay)

    def _close(self, stay: Stay) -> None:
        self.outcomes.append(SessionOutcome(stay.session, self._delivered_wh, self._waited))
        self._stay = None

    def finish(self, step: int) -> list[SessionOutcome]:
        """Close the books at the series' end."""
        self.plug(step)
        if self._stay is not None:
            self.outcomes.append(SessionOutcome(self._stay.session, self._delivered_wh, self._waited, False))
        for stay in self._queue:
            self.outcomes.append(SessionOutcome(stay.session, 0.0, True, stay.leaves <= step))
        return self.outcomes

    def obey(self, limit_a: float, phase_count: int) -> None:
        self._limit_a, self._phase_count = limit_a, phase_count

    def advance(self, step: int, step_s: float, day: date) -> float:
        amps = self._vehicle_a()
        power_w = 0.0
        if amps > 0 and self._stay is not None:
            phases = self._connector.phases[: min(self._stay.session.phases, self._phase_count)]
            full_w = amps * self._voltage_v * len(phases)
            power_w = min(full_w, self._left_wh * 3600 / step_s)
            amps *= power_w / full_w
            triple = (
                amps if 0 in phases else 0.0,
                amps if 1 in phases else 0.0,
                amps if 2 in phases else 0.0,
            )
            self._delivered_wh += power_w * step_s / 3600
            self._left_wh = self._left_wh - power_w * step_s / 3600 if power_w == full_w else 0.0
            self._sum_w += power_w
            for own_phase in range(len(phases)):  # a station names phases in its own order
                self._sum_a[own_phase] += amps
            _add(self._meters, triple, power_w)
        self._note(step, step_s, day, power_w > 0)
        self.trace.power_w.append(power_w)
        self.trace.offered_a.append(self._limit_a)  # type: ignore[union-attr]  # an outlet's trace has it
        return power_w

    def _vehicle_a(self) -> float:
        if self._stay is None or self._left_wh <= 0 or self._limit_a < self._connector.min_a:
            return 0.0
        return min(self._limit_a, self._connector.max_a, self._stay.session.max_a)

    def _note(self, step: int, step_s: float, day: date, taking: bool) -> None:
        if taking == (self._taking_since is not None):
            return
        self.trace.switchings[day] += 1
        if self._taking_since is None:
            self._taking_since = step
            return
        if self._stay is not None and self._left_wh > 0:
            self.trace.ran((step - self._taking_since) * step_s)
        self._taking_since = None

    def demand(self, steps: int) -> ConnectorDemand:
        power_w, current_a = 0.0, NO_CURRENT
        if self._sum_w:
            power_w = self._sum_w / steps
            current_a = (self._sum_a[0] / steps, self._sum_a[1] / steps, self._sum_a[2] / steps)
            self._sum_w, self._sum_a = 0.0, [0.0, 0.0, 0.0]
        if self._stay is None:
            return ConnectorDemand(ConnectorState.FREE, power_w, current_a, self._limit_a)
        taking = self._taking_since is not None and self._left_wh > 0 and self._delivered_wh > 0
        state = ConnectorState.CHARGING if taking else ConnectorState.READY
        session = self._stay.session
        return ConnectorDemand(
            state,
            power_w,
            current_a,
            self._limit_a,
            self._stay.id,
            self._delivered_wh,
            session.declared_departure_at,
            session.requested_wh,
            from_grid=False,
        )


class Plant:
    """House, sun and loads behind one grid meter."""

    def __init__(
        self,
        site: Site,
        series: Series,
        sessions: Sequence[Session],
        needs: Mapping[str, DailyNeed],
        metered: frozenset[str],
        zones: frozenset[str],
        battery: Battery | None = None,
        is_shedding: Callable[[datetime], bool] | None = None,
    ):
        self.series = series
        self.trace = Trace(series, local_days(series.start_at, series.end_at, series.step_s, site.timezone))
        self._voltage_v = site.voltage_v
        self._battery, self._battery_sum_w = battery, 0.0
        self._is_shedding = is_shedding
        self._total = [0.0, 0.0, 0.0, 0.0]
        self._meters = {c.id: [0.0, 0.0, 0.0, 0.0] for c in site.circuits}
        self._home = next(c.id for c in site.circuits if c.parent is None)
        self._fuses = [(self._meters[c.id], c.limit_a, c.id == self._home) for c in site.circuits]
        self._zone_sums = {zone: [0.0, 0.0, 0.0, 0.0] for zone in zones}
        self._grid_sum = [0.0, 0.0, 0.0, 0.0]
        self._steps = 0
        self._next_day = 0
        self._day = self.trace.days[0][0]
        parents = {c.id: c.parent for c in site.circuits}
        self._appliances = [
            RelayLoad(a, self._path(a.circuit, parents), needs.get(a.id, NO_NEED), a.id in metered)
            for a in site.appliances
        ]
        self._outlets = [
            Outlet(c, site.voltage_v, self._path(c.circuit, parents), stays_of(series, sessions, c.id))
            for c in site.connectors
        ]
        self.trace.loads = {a.id: a.trace for a in self._appliances} | {o.id: o.trace for o in self._outlets}

    def _path(self, circuit: str | None, parents: Mapping[str, str | None]) -> list[list[float]]:
        """The running totals that a load on this circuit adds to."""
        path = [self._total]
        while circuit is not None:
            path.append(self._meters[circuit])
            circuit = parents[circuit]
        return path

    def begin_step(self, step: int) -> None:
        """Turn the day over and let vehicles leave and arrive."""
        while self._next_day < len(self.trace.days) and self.trace.days[self._next_day][1] <= step:
            self._day = self.trace.days[self._next_day][0]
            self._next_day += 1
            for load in self._appliances:
                load.start_day()
        for outlet in self._outlets:
            outlet.plug(step)

    def observe(self, now: datetime) -> tuple[Readings, Demands]:
        """The means since the last call, as the site's meters show them. Nothing is known at the first."""
        steps, self._steps = self._steps, 0
        demands = Demands(
            {load.id: load.demand(steps) for load in self._appliances},
            {outlet.id: outlet.demand(steps) for outlet in self._outlets},
        )
        if not steps:
            return Readings(None), demands
        zones = {zone: _reading(z, steps, now) for zone, z in self._zone_sums.items()}
        return Readings(
            _reading(self._grid_sum, steps, now), zones, self._battery_reading(steps, now), self._contact(now)
        ), demands

    def _battery_reading(self, steps: int, now: datetime) -> BatteryReading | None:
        if self._battery is None:
            return None
        mean_w, self._battery_sum_w = self._battery_sum_w / steps, 0.0
        return BatteryReading(mean_w, now, 100 * self._battery.stored_wh / self._battery.capacity_wh)

    def _contact(self, now: datetime) -> ContactReading | None:
        return None if self._is_shedding is None else ContactReading(self._is_shedding(now), now)

    def obey(self, setpoints: Setpoints, step: int) -> None:
        for load in self._appliances:
            load.obey(setpoints.appliances.get(load.id, frozenset()), step, self.series.step_s, self._day)
        for outlet in self._outlets:
            limit_a = setpoints.connectors.get(outlet.id, 0.0)
            outlet.obey(limit_a, setpoints.phase_counts.get(outlet.id, 3))

    def advance(self, step: int) -> None:
        """Live through one step."""
        step_s = self.series.step_s
        for totals in (self._total, *self._meters.values()):
            totals[0] = totals[1] = totals[2] = totals[3] = 0.0
        controlled_w = 0.0
        for load in self._appliances:
            controlled_w += load.advance(step_s)
        for outlet in self._outlets:
            controlled_w += outlet.advance(step, step_s, self._day)
        house_w = self.series.load_w[step] - self.series.pv_w[step]
        house_a = self._house_a(step)
        if self._battery is not None:
            self._battery.step(step_s, -(house_w + controlled_w))
            battery_w = self._battery.power_w
            self.trace.battery_w.append(battery_w)
            self._battery_sum_w += battery_w
            house_w += battery_w
            l1, l2, l3 = house_a
            amps = battery_w / 3 / self._voltage_v
            house_a = (l1 + amps, l2 + amps, l3 + amps)
        self.trace.grid_w.append(house_w + controlled_w)
        self._check_fuses(house_a)
        _accumulate(self._grid_sum, self._total, house_a, house_w)
        for zone, sums in self._zone_sums.items():
            if zone == self._home:
                _accumulate(sums, self._meters[zone], house_a, house_w)
            else:
                _accumulate(sums, self._meters[zone], NO_CURRENT, 0.0)
        self._steps += 1

    def finish(self) -> Trace:
        self.trace.sessions = sorted(
            (outcome for outlet in self._outlets for outcome in outlet.finish(len(self.trace.grid_w))),
            key=lambda outcome: outcome.session.arrival_at,
        )
        return self.trace

    def _house_a(self, step: int) -> PhaseTriple:
        l1, l2, l3 = self.series.load_phases_w
        pv_w, voltage_v = self.series.pv_w[step] / 3, self._voltage_v
        return (l1[step] - pv_w) / voltage_v, (l2[step] - pv_w) / voltage_v, (l3[step] - pv_w) / voltage_v

    def _check_fuses(self, house_a: PhaseTriple) -> None:
        for totals, limit_a, is_home in self._fuses:
            for phase in (0, 1, 2):
                own_a = totals[phase]
                total_a = own_a + house_a[phase] if is_home else own_a
                if own_a > 0 and total_a > limit_a[phase] + FUSE_TOLERANCE_A:
                    self.trace.fuse_excess_s += self.series.step_s
                    return


def appliance_draw(appliance: Appliance, on: frozenset[str]) -> tuple[float, PhaseTriple]:
    """What flows with exactly these elements closed. [W, A]

    Raises:
        ValueError: the combination is not one that the appliance may be in.
    """
    if appliance.joint_states:
        for state in appliance.joint_states:
            if state.elements == on:
                return state.power_w, state.current_a
        raise ValueError(f"{appliance.id}: elements {sorted(on)} may not be closed together")
    chosen = [e for e in appliance.elements if e.id in on]
    l1, l2, l3 = (sum(e.current_a[phase] for e in chosen) for phase in (0, 1, 2))
    return sum(e.power_w for e in chosen), (l1, l2, l3)


def stays_of(series: Series, sessions: Sequence[Session], connector: str) -> list[Stay]:
    """By arrival. Whole steps only: a vehicle takes nothing in the step in which it comes or goes."""
    return [
        Stay(
            session,
            math.ceil((session.arrival_at - series.start_at).total_seconds() / series.step_s),
            math.floor((session.departure_at - series.start_at).total_seconds() / series.step_s),
            f"{session.station_id} {session.arrival_at.isoformat()}",
        )
        for session in sessions
        if session.connector == connector
    ]


def _add(meters: Sequence[list[float]], amps: PhaseTriple, power_w: float) -> None:
    for totals in meters:
        totals[0] += amps[0]
        totals[1] += amps[1]
        totals[2] += amps[2]
        totals[3] += power_w


def _accumulate(sums: list[float], totals: list[float], house_a: PhaseTriple, house_w: float) -> None:
    sums[0] += totals[0] + house_a[0]
    sums[1] += totals[1] + house_a[1]
    sums[2] += totals[2] + house_a[2]
    sums[3] += totals[3] + house_w


def _reading(sums: list[float], steps: int, now: datetime) -> PowerReading:
    reading = PowerReading(sums[3] / steps, (sums[0] / steps, sums[1] / steps, sums[2] / steps), now)
    sums[0] = sums[1] = sums[2] = sums[3] = 0.0
    return reading
