"""What each load can do, as integers: nanowatts, nanoamperes.

Integers make sums exact, so that equal answers compare equal whatever the order of addition.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from optimizer.electrical import NANO, level_count, nano
from optimizer.problem import ModulatedLoad, Option, SwitchedLoad

POWER, COST = 0, 5  # rows of amounts; in between the currents, of three phases and of a pool
Currents = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Levels:
    """A load's options in list order; for a modulated load 0 A first (if allowed), then min_a upwards.

    answers: option ids, or amperes. amounts: power, currents and cost beyond the least, a column per option.
    start, segments: the cheapest option of least power, and (price, power, option reached) of the steps
    from there by which each watt comes as cheaply as can be.
    """

    answers: tuple[str | float, ...]
    powers: tuple[int, ...]
    costs: tuple[int, ...]
    currents: tuple[Currents, ...]
    least_power: int
    most_power: int
    least_cost: int
    most_cost: int
    least_current: Currents
    most_current: Currents
    amounts: NDArray[np.int64] = field(compare=False)
    start: int
    segments: tuple[tuple[float, int, int], ...]


def levels_of(load: SwitchedLoad | ModulatedLoad) -> Levels:
    """Raises ValueError if the load has no option at all."""
    if isinstance(load, SwitchedLoad):
        if not load.options:
            raise ValueError(f"load {load.id!r} has no option")
        return _switched(load.options)
    levels = _modulated(
        load.min_a, load.max_a, load.step_a, load.phases, load.voltage_v, load.on_cost_w, load.off_cost_w
    )
    if levels is None:
        raise ValueError(f"load {load.id!r} may not be switched off and has no current to run at")
    return levels


@lru_cache(maxsize=8192)
def _switched(options: tuple[Option, ...]) -> Levels:
    return levels_from(
        tuple([o.id for o in options]),
        tuple([nano(o.power_w) for o in options]),
        tuple([nano(o.cost_w) for o in options]),
        tuple([(nano(l1), nano(l2), nano(l3)) for l1, l2, l3 in [o.current_a for o in options]]),
        tuple(range(len(options))),
    )


@lru_cache(maxsize=8192)
def _modulated(
    min_a: float,
    max_a: float,
    step_a: float,
    phases: tuple[int, ...],
    voltage_v: float,
    on_cost_w: float,
    off_cost_w: float | None,
) -> Levels | None:
    first, step = nano(min_a), nano(step_a)
    amps = [a for k in range(level_count(min_a, max_a, step_a)) if (a := first + k * step) > 0]
    costs = [nano(on_cost_w)] * len(amps)
    corners = {0, len(amps) - 1}
    if off_cost_w is not None:
        amps.insert(0, 0)
        costs.insert(0, nano(off_cost_w))
        corners = {0, min(1, len(amps) - 1), len(amps) - 1}
    if not amps:
        return None
    volts = nano(voltage_v) * len(phases)
    on1, on2, on3 = (int(phase in phases) for phase in range(3))
    return levels_from(
        tuple([a / NANO for a in amps]),
        tuple([(2 * a * volts + NANO) // (2 * NANO) for a in amps]),
        tuple(costs),
        tuple([(a * on1, a * on2, a * on3) for a in amps]),
        tuple(sorted(corners)),
    )


def levels_from(
    answers: tuple[str | float, ...],
    powers: tuple[int, ...],
    costs: tuple[int, ...],
    currents: tuple[Currents, ...],
    corners: tuple[int, ...],
) -> Levels:
    """All of one length, not empty. corners: options with, among them, the cheapest of every mixture."""
    per_phase = list(zip(*currents, strict=True))
    least_power, least_cost, least_current = min(powers), min(costs), tuple(map(min, per_phase))
    above = [[amps - least for amps in phase] for phase, least in zip(per_phase, least_current, strict=True)]
    above += [[0] * len(powers)] * (COST - 1 - len(above))
    hull = _lower_hull([(powers[k], costs[k], k) for k in corners])
    return Levels(
        answers=answers,
        powers=powers,
        costs=costs,
        currents=currents,
        least_power=least_power,
        most_power=max(powers),
        least_cost=least_cost,
        most_cost=max(costs),
        least_current=least_current,
        most_current=tuple(map(max, per_phase)),
        amounts=np.array(
            [[power - least_power for power in powers], *above, [cost - least_cost for cost in costs]],
            dtype=np.int64,
        ),
        start=hull[0][2],
        segments=tuple([((c2 - c1) / (p2 - p1), p2 - p1, k) for (p1, c1, _), (p2, c2, k) in pairwise(hull)]),
    )


def _lower_hull(points: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """points: (power, cost, option)."""
    hull: list[tuple[int, int, int]] = []
    for power, cost, option in sorted(points):
        if hull and hull[-1][0] == power:
            continue
        while len(hull) > 1:
            (p1, c1, _), (p2, c2, _) = hull[-2:]
            if (c2 - c1) * (power - p1) < (cost - c1) * (p2 - p1):
                break
            hull.pop()
        hull.append((power, cost, option))
    return hull
