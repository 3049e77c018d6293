"""The most sun that the controlled loads could have taken, had somebody known all days in advance: an LP.

Each vehicle and appliance takes any power from nothing to its maximum in any step in which it is there, of
the sun that the house leaves, until its energy is in and as long as the fuses hold. There is no minimum
current, no step, no switching, no delay and no window. What a real controller gave, cut down to its share of
sun, is one solution of this programme: only by going above a fuse limit can it be above the optimum.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from csms.errors import InvalidInput
from optimizer.model import Appliance, Circuit, Connector, Mode, PhaseTriple
from simulation.plant import NO_NEED, Stay, appliance_draw, local_days, stays_of
from simulation.scenario import Scenario

Steps = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]

FUSE_TOLERANCE_A = 1e-6


@dataclass(frozen=True, slots=True)
class Way:
    """What a load takes at full power in one of its states. [W, A]"""

    power_w: float
    current_a: PhaseTriple


@dataclass(frozen=True, slots=True)
class Taker:
    """A vehicle's stay, or an appliance's local day. steps: when it may take. energy_wh: at most, in all.

    Each of its ways may be followed in part; `exclusive` ones add up to one whole at most.
    """

    load: str
    circuit: str
    steps: Steps
    energy_wh: float
    ways: tuple[Way, ...]
    exclusive: bool = False
    leaves: bool = False

    @property
    def most_w(self) -> float:
        powers = [way.power_w for way in self.ways]
        return max(powers, default=0.0) if self.exclusive else sum(powers)

    def most_a(self, phase: int) -> float:
        amps = [way.current_a[phase] for way in self.ways]
        return max(amps, default=0.0) if self.exclusive else sum(amps)


@dataclass(frozen=True, slots=True)
class Bound:
    """The optimum. taken_w: by all loads, step by step. solar_wh: load id -> sun taken. missing_wh: what
    departed vehicles lack by sun alone.
    """

    taken_w: Values
    solar_wh: dict[str, float]
    missing_wh: float


def perfect_foresight(scenario: Scenario) -> Bound:
    """Solve the programme, in parts where no vehicle's stay and no appliance's day spans two of them.

    Raises:
        InvalidInput: the solver is not installed.
    """
    highspy = load_solver()
    series, site = scenario.series, scenario.site
    sun_w = np.maximum(np.array(series.pv_w) - np.array(series.load_w), 0.0)
    solar_wh = dict.fromkeys([*(a.id for a in site.appliances), *(c.id for c in site.connectors)], 0.0)
    takers = [*_appliance_days(scenario, sun_w), *_stays(scenario, sun_w)]
    missing_wh = sum(taker.energy_wh for taker in takers if taker.leaves)
    taken_w, step_h = np.zeros_like(sun_w), series.step_s / 3600
    fuses = _Fuses(scenario)
    for part in _parts([t for t in takers if t.most_w > 0 and t.energy_wh > 0 and len(t.steps)]):
        programme = _Programme(part, sun_w, fuses, step_h)
        for taker, power_w in zip(part, programme.solve(highspy), strict=True):
            taken_w[taker.steps] += power_w
            taken_wh = float(power_w.sum()) * step_h
            solar_wh[taker.load] += taken_wh
            missing_wh -= taken_wh if taker.leaves else 0.0
    return Bound(taken_w, solar_wh, max(missing_wh, 0.0))


def load_solver() -> Any:
    """HiGHS, an optional extra.

    Raises:
        InvalidInput: it is not installed.
    """
    try:
        import highspy
    except ImportError:
        raise InvalidInput(
            "--compare", "bound", "the solver HiGHS (install it with: pip install 'helianthus[bound]')"
        ) from None
    return highspy


def _stays(scenario: Scenario, sun_w: Values) -> Iterator[Taker]:
    for connector in scenario.site.connectors:
        free_from = 0
        for stay in stays_of(scenario.series, scenario.sessions, connector.id):
            first, last = max(stay.arrives, free_from), min(stay.leaves, len(sun_w))
            free_from = max(free_from, stay.leaves)
            yield Taker(
                connector.id,
                connector.circuit,
                _sunny(sun_w, first, last),
                stay.session.energy_wh,
                _vehicle_ways(connector, stay, scenario.site.voltage_v),
                leaves=stay.leaves <= len(sun_w),
            )


def _vehicle_ways(connector: Connector, stay: Stay, voltage_v: float) -> tuple[Way, ...]:
    if connector.mode is Mode.OFF or (connector.mode is Mode.MANUAL and not connector.manual_a):
        return ()
    phases = connector.phases[: stay.session.phases]
    amps = min(connector.max_a, stay.session.max_a)
    l1, l2, l3 = (amps if phase in phases else 0.0 for phase in range(3))
    return (Way(amps * voltage_v * len(phases), (l1, l2, l3)),)


def _appliance_days(scenario: Scenario, sun_w: Values) -> Iterator[Taker]:
    series = scenario.series
    days = local_days(series.start_at, series.end_at, series.step_s, scenario.site.timezone)
    firsts = [first for _, first in days]
    for appliance in scenario.site.appliances:
        ways = _appliance_ways(appliance)
        exclusive = bool(appliance.joint_states)
        need = scenario.needs.get(appliance.id, NO_NEED)
        for first, last in zip(firsts, [*firsts[1:], len(sun_w)], strict=True):
            taker = Taker(
                appliance.id, appliance.circuit, _sunny(sun_w, first, last), math.inf, ways, exclusive
            )
            most_wh = taker.most_w * need.run_s / 3600 if taker.most_w else 0.0
            yield Taker(taker.load, taker.circuit, taker.steps, min(need.energy_wh, most_wh), ways, exclusive)


def _appliance_ways(appliance: Appliance) -> tuple[Way, ...]:
    if appliance.mode is Mode.OFF or (appliance.mode is Mode.MANUAL and not appliance.manual_on):
        return ()
    if appliance.joint_states:
        states = [appliance_draw(appliance, state.elements) for state in appliance.joint_states]
    else:
        states = [(e.power_w, e.current_a) for e in appliance.elements]
    return tuple(Way(power_w, current_a) for power_w, current_a in states if power_w > 0)


def _sunny(sun_w: Values, first: int, last: int) -> Steps:
    return first + np.flatnonzero(sun_w[first:last] > 0)


def _parts(takers: Sequence[Taker]) -> Iterator[list[Taker]]:
    """Takers that share no step with those of another part, directly or through others."""
    part: list[Taker] = []
    end = -1
    for taker in sorted(takers, key=lambda t: int(t.steps[0])):
        if part and taker.steps[0] > end:
            yield part
            part = []
        part.append(taker)
        end = max(end, int(taker.steps[-1]))
    if part:
        yield part


class _Fuses:
    """What each circuit leaves for controlled loads, per phase and step. [A]"""

    def __init__(self, scenario: Scenario):
        series, site = scenario.series, scenario.site
        self._circuits: dict[str, Circuit] = {c.id: c for c in site.circuits}
        self._home = next((c.id for c in site.circuits if c.parent is None), None)
        pv_w = np.array(series.pv_w) / 3
        self._house_a = [(np.array(load_w) - pv_w) / site.voltage_v for load_w in series.load_phases_w]

    def path(self, circuit: str) -> Iterator[str]:
        above: str | None = circuit
        while above is not None:
            yield above
            above = self._circuits[above].parent

    def headroom_a(self, circuit: str, phase: int, steps: Steps) -> Values:
        limit_a = self._circuits[circuit].limit_a[phase]
        if circuit != self._home:
            return np.full(len(steps), float(limit_a))
        return np.maximum(limit_a - self._house_a[phase][steps], 0.0)


class _Programme:
    """One part: a column per taker, way and step [W]; rows for the sun, energies, states and fuses."""

    def __init__(self, takers: Sequence[Taker], sun_w: Values, fuses: _Fuses, step_h: float):
        self._takers, self._step_h = takers, step_h
        self._steps: Steps = np.unique(np.concatenate([taker.steps for taker in takers]))
        self._places = [np.searchsorted(self._steps, taker.steps) for taker in takers]
        self._limits: list[Values] = []
        self._entries: list[tuple[Steps, Steps, Values]] = []
        self._rows = self._columns = 0
        tight = self._tight_fuses(fuses)
        self._ways = [
            taker.ways if any(c in fuses.path(taker.circuit) for c, _ in tight) else (_plain(taker),)
            for taker in takers
        ]
        self._first_column = []
        self._upper: list[Values] = []
        for taker, ways in zip(takers, self._ways, strict=True):
            self._first_column.append(self._columns)
            self._upper += [np.full(len(taker.steps), way.power_w) for way in ways]
            self._columns += len(taker.steps) * len(ways)
        self._add_sun(sun_w)
        self._add_energies()
        self._add_states()
        for (circuit, phase), headroom_a in tight.items():
            self._add_fuse(circuit, phase, headroom_a, fuses)

    def solve(self, highspy: Any) -> list[Values]:
        """What each taker takes in its steps. [W]"""
        solver = highspy.Highs()
        solver.setOptionValue("output_flag", False)
        solver.setOptionValue("threads", 1)
        solver.passModel(self._model(highspy))
        for method in ("ipm", "simplex"):  # the first is ten times faster where dozens of loads compete
            solver.setOptionValue("solver", method)
            solver.run()
            if solver.getModelStatus() == highspy.HighsModelStatus.kOptimal:
                break
        else:
            raise RuntimeError(f"HiGHS: {solver.modelStatusToString(solver.getModelStatus())}")
        taken_w = np.array(solver.getSolution().col_value)
        return [
            taken_w[first : first + len(taker.steps) * len(ways)].reshape(len(ways), -1).sum(axis=0)
            for first, taker, ways in zip(self._first_column, self._takers, self._ways, strict=True)
        ]

    def _model(self, highspy: Any) -> Any:
        rows, columns, values = (np.concatenate(part) for part in zip(*self._entries, strict=True))
        order = np.argsort(rows, kind="stable")
        lp = highspy.HighsLp()
        lp.num_col_, lp.num_row_ = self._columns, self._rows
        lp.sense_ = highspy.ObjSense.kMaximize
        lp.col_cost_ = np.full(self._columns, self._step_h)
        lp.col_lower_, lp.col_upper_ = np.zeros(self._columns), np.concatenate(self._upper)
        lp.row_lower_ = np.full(self._rows, -highspy.kHighsInf)
        lp.row_upper_ = np.concatenate(self._limits)
        lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        lp.a_matrix_.start_ = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=self._rows))])
        lp.a_matrix_.index_, lp.a_matrix_.value_ = columns[order], values[order]
        return lp

    def _columns_of(self, number: int) -> Iterator[tuple[Way, Steps]]:
        """A taker's columns by way, in the order of its steps."""
        first, length = self._first_column[number], len(self._takers[number].steps)
        for at, way in enumerate(self._ways[number]):
            yield way, first + at * length + np.arange(length)

    def _add(self, limits: Values, entries: Sequence[tuple[Steps, Steps, float]]) -> None:
        """Rows that are at most `limits`. entries: rows counted from the first new one, columns, factor."""
        for rows, columns, factor in entries:
            self._entries.append((self._rows + rows, columns, np.full(len(columns), factor)))
        self._limits.append(limits)
        self._rows += len(limits)

    def _add_sun(self, sun_w: Values) -> None:
        entries = [
            (self._places[number], columns, 1.0)
            for number in range(len(self._takers))
            for _, columns in self._columns_of(number)
        ]
        self._add(sun_w[self._steps], entries)

    def _add_energies(self) -> None:
        for number, taker in enumerate(self._takers):
            if math.isfinite(taker.energy_wh):
                zeros = np.zeros(len(taker.steps), dtype=np.int64)
                entries = [(zeros, columns, self._step_h) for _, columns in self._columns_of(number)]
                self._add(np.array([taker.energy_wh]), entries)

    def _add_states(self) -> None:
        for number, taker in enumerate(self._takers):
            if taker.exclusive and len(self._ways[number]) > 1:
                rows = np.arange(len(taker.steps))
                entries = [(rows, columns, 1 / way.power_w) for way, columns in self._columns_of(number)]
                self._add(np.ones(len(taker.steps)), entries)

    def _add_fuse(self, circuit: str, phase: int, headroom_a: Values, fuses: _Fuses) -> None:
        """headroom_a: per step of the programme, infinite where all loads together are below it."""
        row_of = np.cumsum(np.isfinite(headroom_a)) - 1
        entries = []
        for number, taker in enumerate(self._takers):
            if circuit not in fuses.path(taker.circuit):
                continue
            places = self._places[number]
            inside = np.isfinite(headroom_a[places])
            entries += [
                (row_of[places[inside]], columns[inside], way.current_a[phase] / way.power_w)
                for way, columns in self._columns_of(number)
                if way.current_a[phase] > 0
            ]
        self._add(headroom_a[np.isfinite(headroom_a)], entries)

    def _tight_fuses(self, fuses: _Fuses) -> dict[tuple[str, int], Values]:
        """Fuses that all takers at full power would exceed: headroom per step, infinite where they fit."""
        most_a: dict[tuple[str, int], Values] = {}
        for taker, places in zip(self._takers, self._places, strict=True):
            for circuit in fuses.path(taker.circuit):
                for phase in range(3):
                    total_a = most_a.setdefault((circuit, phase), np.zeros(len(self._steps)))
                    total_a[places] += taker.most_a(phase)
        tight = {}
        for (circuit, phase), total_a in most_a.items():
            headroom_a = fuses.headroom_a(circuit, phase, self._steps)
            headroom_a[total_a <= headroom_a + FUSE_TOLERANCE_A] = math.inf
            if np.isfinite(headroom_a).any():
                tight[circuit, phase] = headroom_a
        return tight


def _plain(taker: Taker) -> Way:
    """All its ways as one, where no fuse asks how."""
    return Way(taker.most_w, (0.0, 0.0, 0.0))
