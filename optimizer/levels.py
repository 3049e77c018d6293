"""What each load can do, as integers: nanowatts, nanoamperes.

Integers make sums exact, so that equal answers compare equal whatever the order of addition.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from math import gcd

from optimizer.electrical import NANO, level_count, nano
from optimizer.problem import ModulatedLoad, SwitchedLoad

Currents = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Levels:
    """A load's options in list order; for a modulated load 0 A first (if allowed), then min_a upwards.

    answers: option ids, or amperes. `least_cost` is the lowest of costs, `fullest` the option that is
    best while sun is left over. power_step: greatest common divisor of all differences of power.
    by_cost: (cost above the least, powers above the least, their common difference or 0).
    hull: the corners (power, cost) above the least that no mixture of others undercuts, by power.
    """

    answers: tuple[str | float, ...]
    powers: tuple[int, ...]
    costs: tuple[int, ...]
    currents: tuple[Currents, ...]
    least_power: int
    most_power: int
    least_cost: int
    least_current: Currents
    most_current: Currents
    power_step: int
    fullest: int
    by_cost: tuple[tuple[int, tuple[int, ...], int], ...]
    hull: tuple[tuple[int, int], ...]


@lru_cache(maxsize=8192)
def levels_of(load: SwitchedLoad | ModulatedLoad) -> Levels:
    """Raises ValueError if the load has no option at all."""
    if isinstance(load, SwitchedLoad):
        return levels_from(
            tuple(o.id for o in load.options),
            tuple(nano(o.power_w) for o in load.options),
            tuple(nano(o.cost_w) for o in load.options),
            tuple((nano(o.current_a[0]), nano(o.current_a[1]), nano(o.current_a[2])) for o in load.options),
        )
    first, step = nano(load.min_a), nano(load.step_a)
    count = level_count(load.min_a, load.max_a, load.step_a)
    amps = [a for k in range(count) if (a := first + k * step) > 0]
    costs = [nano(load.on_cost_w)] * len(amps)
    if load.off_cost_w is not None:
        amps.insert(0, 0)
        costs.insert(0, nano(load.off_cost_w))
    volts = nano(load.voltage_v) * len(load.phases)
    on1, on2, on3 = (int(phase in load.phases) for phase in range(3))
    if not amps:
        raise ValueError(f"load {load.id!r} may not be switched off and has no current to run at")
    return levels_from(
        tuple(a / NANO for a in amps),
        tuple(_rounded_quotient(a * volts, NANO) for a in amps),
        tuple(costs),
        tuple((a * on1, a * on2, a * on3) for a in amps),
    )


def levels_from(
    answers: tuple[str | float, ...],
    powers: tuple[int, ...],
    costs: tuple[int, ...],
    currents: tuple[Currents, ...],
) -> Levels:
    if not answers:
        raise ValueError("a load without any option")
    least_power, least_cost = min(powers), min(costs)
    per_phase = list(zip(*currents, strict=True))
    cost_classes: dict[int, list[int]] = {}
    for power, cost in zip(powers, costs, strict=True):
        cost_classes.setdefault(cost - least_cost, []).append(power - least_power)
    return Levels(
        answers=answers,
        powers=powers,
        costs=costs,
        currents=currents,
        least_power=least_power,
        most_power=max(powers),
        least_cost=least_cost,
        least_current=tuple([min(amps) for amps in per_phase]),
        most_current=tuple([max(amps) for amps in per_phase]),
        power_step=gcd(*(power - least_power for power in powers)),
        fullest=min(range(len(powers)), key=lambda k: (costs[k] - powers[k], costs[k], k)),
        by_cost=tuple(
            (cost, tuple(sorted(set(found))), _common_difference(sorted(set(found))))
            for cost, found in sorted(cost_classes.items())
        ),
        hull=_lower_hull([(p - least_power, c - least_cost) for p, c in zip(powers, costs, strict=True)]),
    )


def _lower_hull(points: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    hull: list[tuple[int, int]] = []
    for power, cost in sorted(points):
        if hull and hull[-1][0] == power:
            continue
        while len(hull) > 1:
            (p1, c1), (p2, c2) = hull[-2:]
            if (c2 - c1) * (power - p1) < (cost - c1) * (p2 - p1):
                break
            hull.pop()
        hull.append((power, cost))
    return tuple(hull)


def _common_difference(powers: list[int]) -> int:
    differences = {b - a for a, b in pairwise(powers)}
    return differences.pop() if len(differences) == 1 else 0


def _rounded_quotient(value: int, divisor: int) -> int:
    return (2 * value + divisor) // (2 * divisor)
