"""An allocation problem laid out for `optimizer.search`: loads in a good order, small integers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import gcd
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optimizer.levels import Levels
from optimizer.relaxation import Draft, Field, Ints, Numbers, Relaxation
from optimizer.rows import Row

WORD_BITS = 62
MOST_JOINT_OPTIONS = 8
LARGEST_EXACT = 1 << 61
ROUNDING = 1e-13  # of bounds: sums of about a hundred products in floating point


@dataclass(frozen=True, slots=True)
class Step:
    """One or several loads, decided together, and what the loads after them can still do.

    left: the most they can use of each resource. power_step: greatest common divisor of the power they can
    use, 0 if none; current_steps: of the amperes, at least 1 (and 1 in the place of power).
    """

    draft: Draft
    left: Ints
    power_step: int
    current_steps: Ints


@dataclass(slots=True)
class States:
    """Partial choices as columns. resources: gap, slacks, and, if excess is allowed, what is left of it.

    ties: cost, then the choice as bit fields. Losses are in the plan's unit times its `under`.
    """

    resources: Ints
    loss: Numbers
    ties: Ints

    def take(self, which: NDArray[Any]) -> States:
        return States(self.resources[:, which], self.loss[which], self.ties[:, which])


@dataclass(frozen=True, slots=True)
class Plan:
    """over, under: loss per unit of power beyond or short of the surplus.

    unit, spare: nanowatts, of power and of sun that nobody can use. tolerance: what rounding may do to
    bounds, and to losses if these are too large for integers.
    """

    start: States
    left: Ints
    steps: tuple[Step, ...]
    relaxation: Relaxation
    over: int
    under: int
    unit: int
    spare: int
    fields: tuple[Field, ...]
    tolerance: float
    allows_excess: bool
    hash_factors: Ints


def plan_search(
    loads: Sequence[Levels],
    gap: int,
    penalty: Fraction,
    rows: Sequence[Row],
    stages: Sequence[int],
    excess: int | None = None,
) -> Plan:
    """gap: sun left if each load takes its least power. stages: the loads' rough order.

    excess: amperes allowed beyond the rows in all.
    """
    over, under = penalty.numerator, penalty.denominator
    total_power = sum(load.most_power - load.least_power for load in loads)
    spare = max(gap - total_power, 0)
    gap -= spare
    unit = _unit(loads, gap)
    most_cost = sum(load.most_cost - load.least_cost for load in loads)
    largest = (total_power + abs(gap)) // unit * max(over, under) + most_cost // unit * under
    number: type = np.int64 if largest < LARGEST_EXACT else np.float64
    scales = [_scale(loads, row) for row in rows]
    amounts = [gap // unit]
    if excess is not None:
        scales = [gcd(excess, *scales, *(row.slack for row in rows)) or 1] * len(rows)
    amounts += [row.slack // scale for row, scale in zip(rows, scales, strict=True)]
    if excess is not None:
        amounts.append(excess // scales[0])
    fields = _fields(loads)
    words = 1 + fields[-1].word
    order = _order(loads, rows, stages)
    drafts = [_draft(loads[i], i, unit, under, number, rows, scales, len(amounts)) for i in order]
    drafts = [_with_ties(draft, fields[i], words) for draft, i in zip(drafts, order, strict=True)]
    groups = _groups(drafts, [stages[i] for i in order])
    steps = _steps(groups, len(amounts), excess is not None)
    return Plan(
        start=_start(amounts, number, words),
        left=np.sum([_most_of(draft, excess is not None) for draft in drafts], axis=0),
        steps=steps,
        relaxation=Relaxation.of(groups, [step.draft for step in steps], over, under, excess is not None),
        over=over,
        under=under,
        unit=unit,
        spare=spare,
        fields=tuple(fields),
        tolerance=ROUNDING * float(largest) + 1e-6,
        allows_excess=excess is not None,
        hash_factors=_hash_factors(len(amounts)),
    )


def _unit(loads: Sequence[Levels], gap: int) -> int:
    """The largest unit in which powers and costs are whole."""
    extra_costs = [cost - load.least_cost for load in loads for cost in load.costs]
    return gcd(gap, *(load.power_step for load in loads), *extra_costs) or 1


def _start(amounts: Sequence[int], number: type, words: int) -> States:
    return States(
        np.array(amounts, dtype=np.int64)[:, None],
        np.zeros(1, dtype=number),
        np.zeros((1 + words, 1), dtype=np.int64),
    )


def _hash_factors(size: int) -> Ints:
    """Odd numbers that look random, so that sums of different resources seldom meet (modulo 2**64)."""
    factors = [pow(6364136223846793005, 3 + r, 1 << 64) | 1 for r in range(size)]
    return np.array(factors, dtype=np.uint64).astype(np.int64)


def _scale(loads: Sequence[Levels], row: Row) -> int:
    currents = (
        c[phase] - loads[i].least_current[phase]
        for i, phase in row.phase_of.items()
        for c in loads[i].currents
    )
    return gcd(*currents) or 1


def _fields(loads: Sequence[Levels]) -> list[Field]:
    fields, word, free = [], 0, WORD_BITS
    for load in loads:
        bits = (len(load.costs) - 1).bit_length()
        if bits > free:
            word, free = word + 1, WORD_BITS
        free -= bits
        fields.append(Field(word, free, (1 << bits) - 1))
    return fields


def _order(loads: Sequence[Levels], rows: Sequence[Row], stages: Sequence[int]) -> list[int]:
    """Stage by stage; within one, several phases before one, then phase by phase: rows close early."""
    touched = [[r for r, row in enumerate(rows) if i in row.phase_of] for i in range(len(loads))]

    def rank(i: int) -> tuple[Any, ...]:
        phases = sorted({rows[r].phase_of[i] for r in touched[i]})
        shape = (-len(phases), phases, -len(touched[i]), touched[i])
        return (stages[i], *shape, -loads[i].most_power, loads[i].costs, i)

    return sorted(range(len(loads)), key=rank)


def _draft(
    load: Levels,
    i: int,
    unit: int,
    under: int,
    number: type,
    rows: Sequence[Row],
    scales: Sequence[int],
    size: int,
) -> Draft:
    """Without ties."""
    needs = np.zeros((len(load.powers), size), dtype=np.int64)
    needs[:, 0] = [(p - load.least_power) // unit for p in load.powers]
    for r, (row, scale) in enumerate(zip(rows, scales, strict=True)):
        phase = row.phase_of.get(i)
        if phase is not None:
            least = load.least_current[phase]
            needs[:, 1 + r] = [(c[phase] - least) // scale for c in load.currents]
    costs = np.array([(c - load.least_cost) // unit for c in load.costs], dtype=np.int64)
    return Draft(needs, costs.astype(number) * under, costs[None, :])


def _with_ties(draft: Draft, field: Field, words: int) -> Draft:
    ties = np.zeros((1 + words, len(draft.needs)), dtype=np.int64)
    ties[0] = draft.ties
    ties[1 + field.word] = np.arange(len(draft.needs)) << field.shift
    return Draft(draft.needs, draft.losses, ties)


def _groups(drafts: Sequence[Draft], stages: Sequence[int]) -> list[list[Draft]]:
    """Neighbours of one stage that have few options together."""
    groups: list[list[Draft]] = []
    count, last_stage = MOST_JOINT_OPTIONS, -1
    for draft, stage in zip(drafts, stages, strict=True):
        count *= len(draft.needs)
        if stage != last_stage or count > MOST_JOINT_OPTIONS:
            groups.append([])
            count, last_stage = len(draft.needs), stage
        groups[-1].append(draft)
    return groups


def _joint(group: Sequence[Draft]) -> Draft:
    """All combinations; of those that take the same only the best."""
    needs, losses, ties = group[0].needs, group[0].losses, group[0].ties
    for draft in group[1:]:
        needs = (needs[:, None] + draft.needs).reshape(-1, needs.shape[1])
        losses = (losses[:, None] + draft.losses).ravel()
        ties = (ties[:, :, None] + draft.ties[:, None, :]).reshape(len(ties), -1)
    order = np.lexsort((*ties[::-1], losses)).tolist()
    best: dict[bytes, int] = {}
    for k in order:
        best.setdefault(needs[k].tobytes(), k)
    kept = sorted(best.values())
    return Draft(needs[kept], losses[kept], ties[:, kept])


def _most_of(draft: Draft, allows_excess: bool) -> Ints:
    most: Ints = draft.needs.max(axis=0)
    if allows_excess:
        most[-1] = most[1:-1].sum()
    return most


def _steps(groups: Sequence[Sequence[Draft]], size: int, allows_excess: bool) -> tuple[Step, ...]:
    left, units = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64)
    steps: list[Step] = []
    for group in reversed(groups):
        draft = group[0] if len(group) == 1 else _joint(group)
        steps.append(Step(draft, left.copy(), int(units[0]), np.maximum([1, *units[1:].tolist()], 1)))
        for single in group:
            left += _most_of(single, allows_excess)
            units = np.gcd(units, np.gcd.reduce(single.needs, axis=0))
    return tuple(reversed(steps))
