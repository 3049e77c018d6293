"""The allocation problem solved by trying everything, in rational numbers, written from the contract."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from functools import cache
from itertools import product

from optimizer.problem import AllocationProblem, ModulatedLoad, SwitchedLoad

Level = tuple[str | float, Fraction, tuple[Fraction, ...], Fraction]


@cache
def exact(value: float) -> Fraction:
    """The decimal number that a person wrote."""
    return Fraction(repr(value))


def total(values: Iterable[Fraction]) -> Fraction:
    """Most are 0, and to add that takes a rational as long as to add anything."""
    return sum((value for value in values if value), Fraction(0))


def levels(load: SwitchedLoad | ModulatedLoad) -> Iterator[Level]:
    if isinstance(load, SwitchedLoad):
        for option in load.options:
            yield option.id, exact(option.power_w), tuple(map(exact, option.current_a)), exact(option.cost_w)
        return
    if load.off_cost_w is not None:
        yield 0, Fraction(0), (Fraction(0),) * 3, exact(load.off_cost_w)
    amps = exact(load.min_a)
    while amps <= exact(load.max_a):
        if amps > 0:
            current = tuple(amps if phase in load.phases else Fraction(0) for phase in range(3))
            power = amps * exact(load.voltage_v) * len(load.phases)
            yield float(amps), power, current, exact(load.on_cost_w)
        amps += exact(load.step_a)


def excess(problem: AllocationProblem, chosen: tuple[Level, ...]) -> Fraction:
    """Amperes over headroom, summed over circuits and phases."""
    parents = {c.id: c.parent for c in problem.circuits}
    usage = {(c.id, phase): Fraction(0) for c in problem.circuits for phase in range(3)}
    for load, level in zip(problem.loads, chosen, strict=True):
        drawn = [(phase, amps) for phase, amps in enumerate(level[2]) if amps]
        circuit: str | None = load.circuit if drawn else None
        while circuit is not None:
            for phase, amps in drawn:
                usage[circuit, phase] += amps
            circuit = parents[circuit]
    return total(
        max(usage[c.id, phase] - exact(c.headroom_a[phase]), Fraction(0))
        for c in problem.circuits
        for phase in range(3)
    )


def utility(problem: AllocationProblem, chosen: tuple[Level, ...]) -> Fraction:
    sun = max(exact(problem.available_w), Fraction(0))
    power = total(level[1] for level in chosen)
    drawn = max(power - sun, Fraction(0))
    return min(power, sun) - exact(problem.draw_penalty) * drawn - total(level[3] for level in chosen)


def best_choice(problem: AllocationProblem) -> tuple[bool, dict[str, str | float], Fraction]:
    """(feasible, choices, utility); `product` runs in list order and `max` keeps the first."""
    choices = product(*(tuple(levels(load)) for load in problem.loads))
    ranked = ((-excess(problem, c), utility(problem, c), -total(level[3] for level in c), c) for c in choices)
    over, worth, _, chosen = max(ranked, key=lambda r: r[:3])
    ids = (load.id for load in problem.loads)
    return over == 0, {id: level[0] for id, level in zip(ids, chosen, strict=True)}, Fraction(worth)


def chosen_levels(problem: AllocationProblem, choices: dict[str, str | float]) -> tuple[Level, ...]:
    """The levels that an answer names. Raises StopIteration if it names one that a load has not."""
    return tuple(next(x for x in levels(load) if x[0] == choices[load.id]) for load in problem.loads)
