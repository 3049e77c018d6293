"""One set of measured days on one site, and the controllers that can be let loose on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from optimizer.decide import decide
from optimizer.model import Demands, Memory, Readings, Site
from simulation.appliances import Battery
from simulation.evcc_rule import LOOP_INTERVAL_S, EvccRule
from simulation.plain_rule import PlainRule
from simulation.plant import Controller, DailyNeed, Plant, Setpoints, Trace
from simulation.series import Series
from simulation.sessions import Session

PROGRESS_EVERY = 360


@dataclass(frozen=True, slots=True)
class Scenario:
    """What every controller meets alike. needs: appliance id -> what it takes a day. metered: appliances with
    a sub-meter. zones: circuits with a meter. interval_s: how often the site's own controller decides, a
    multiple of the series' step. battery: its capacity and power [Wh, W], None = there is none. is_shedding:
    whether the grid operator sheds load at a time; None = the site has no input for it.
    """

    site: Site
    series: Series
    sessions: Sequence[Session] = ()
    needs: Mapping[str, DailyNeed] = field(default_factory=dict)
    metered: frozenset[str] = frozenset()
    zones: frozenset[str] = frozenset()
    interval_s: float = 60.0
    battery: tuple[float, float] | None = None
    is_shedding: Callable[[datetime], bool] | None = None

    def plant(self) -> Plant:
        battery = None if self.battery is None else Battery(*self.battery)
        return Plant(
            self.site,
            self.series,
            self.sessions,
            self.needs,
            self.metered,
            self.zones,
            battery,
            self.is_shedding,
        )


class OptimizerControl:
    """The server's own decision path with the memory it keeps from minute to minute."""

    def __init__(self, site: Site):
        self._site, self._memory = site, Memory()

    def __call__(self, readings: Readings, demands: Demands, now: datetime) -> Setpoints:
        decision, self._memory = decide(self._site, readings, demands, self._memory, now)
        return Setpoints(
            {a.id: a.on for a in decision.appliances},
            {c.id: c.limit_a for c in decision.connectors},
            {c.id: c.phase_count for c in decision.connectors if c.phase_count is not None},
        )


def uncontrolled(site: Site) -> Controller:
    """Vehicles charge at once at full current, appliances stay off."""
    everything = Setpoints({}, {c.id: c.max_a for c in site.connectors})
    return lambda readings, demands, now: everything


CONTROLLERS: Mapping[str, Callable[[Site], Controller]] = {
    "helianthus": OptimizerControl,
    "none": uncontrolled,
    "rule": PlainRule,
    "evcc": EvccRule,
}


def run_controller(scenario: Scenario, name: str, progress: Callable[[float], None] | None = None) -> Trace:
    """Let one of `CONTROLLERS` run through the whole scenario. progress: told the share done, 0 to 1."""
    if name == "evcc":
        scenario = at_interval(scenario, LOOP_INTERVAL_S)
    return replay(scenario, CONTROLLERS[name](scenario.site), progress)


def at_interval(scenario: Scenario, interval_s: float) -> Scenario:
    """The same days for a controller with a loop of its own.

    Steps that are longer than its interval are cut into equal parts with the same means; where the interval
    is no multiple of the step, the nearest one is taken.
    """
    parts = max(1, round(scenario.series.step_s / interval_s))
    series = scenario.series.cut(parts)
    return replace(
        scenario, series=series, interval_s=series.step_s * max(1, round(interval_s / series.step_s))
    )


def replay(
    scenario: Scenario, controller: Controller, progress: Callable[[float], None] | None = None
) -> Trace:
    """Run any controller through the whole scenario."""
    plant, series = scenario.plant(), scenario.series
    every = round(scenario.interval_s / series.step_s)
    step, steps = timedelta(seconds=series.step_s), len(series.pv_w)
    for index in range(steps):
        plant.begin_step(index)
        if index % every == 0:
            now = series.start_at + index * step
            readings, demands = plant.observe(now)
            plant.obey(controller(readings, demands, now), index)
        plant.advance(index)
        if progress and index % PROGRESS_EVERY == 0:
            progress(index / steps)
    return plant.finish()
