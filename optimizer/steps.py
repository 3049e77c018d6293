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


@dataclass(frozen=True, slots=True)
class Step:
    """One or several loads, decided together, and what the loads after them can still do.

    left: the most they can use of each resource. power_step, current_steps: greatest common divisors of
    what they can use.
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

    unit, spare: nanowatts, of power and of sun that nobody can use.
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
    total_cost = sum(load.most_cost - load.least_cost for load in loads)
    spare = max(gap - total_power, 0)
    gap -= spare
    extra_costs = [cost - load.least_cost for load in loads for cost in load.costs]
    unit = gcd(gap, *(load.power_step for load in loads), *extra_costs) or 1
    largest = (total_power + abs(gap)) // unit * max(over, under) + total_cost // unit * under
    number: type = np.int64 if largest < LARGEST_EXACT else np.float64
    scales = [_scale(loads, row) for row in rows]
    if excess is not None:
        scales = [gcd(excess, *scales, *(row.slack for row in rows)) or 1] * len(rows)
    fields = _fields(loads)
    words = 1 + fields[-1].word
    order = _order(loads, rows, stages)
    drafts = [_draft(loads[i], i, unit, under, number, rows, scales, fields[i], words) for i in order]
    groups = _groups(drafts, [stages[i] for i in order])
    amounts = [gap // unit] + [row.slack // scale for row, scale in zip(rows, scales, strict=True)]
    if excess is not None:
        amounts.append(excess // scales[0])
    start = States(
        np.array(amounts, dtype=np.int64)[:, None],
        np.zeros(1, dtype=number),
        np.zeros((1 + words, 1), dtype=np.int64),
    )
    left = _most(drafts, len(amounts), excess is not None)
    steps = _steps(groups, len(amounts), excess is not None)
    tolerance = 1e-11 * float(largest) + 1e-6
    joint = [step.draft for step in steps]
    relaxation = Relaxation.of(groups, joint, len(amounts), over, under, excess is not None)
    return Plan(
        start, left, steps, relaxation, over, under, unit, spare, tuple(fields), tolerance, excess is not None
    )


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
    field: Field,
    words: int,
) -> Draft:
    uses = []
    for r, (row, scale) in enumerate(zip(rows, scales, strict=True)):
        if i in row.phase_of:
            phase = row.phase_of[i]
            amps = [(c[phase] - load.least_current[phase]) // scale for c in load.currents]
            uses.append((1 + r, np.array(amps, dtype=np.int64)))
    powers = np.array([(p - load.least_power) // unit for p in load.powers], dtype=np.int64)
    costs = np.array([(c - load.least_cost) // unit for c in load.costs], dtype=np.int64)
    ties = np.zeros((1 + words, len(costs)), dtype=np.int64)
    ties[0] = costs
    ties[1 + field.word] = np.arange(len(costs)) << field.shift
    return Draft(powers, costs.astype(number) * under, tuple(uses), ties)


def _groups(drafts: Sequence[Draft], stages: Sequence[int]) -> list[list[Draft]]:
    """Neighbours of one stage that have few options together."""
    groups: list[list[Draft]] = []
    count, last_stage = MOST_JOINT_OPTIONS, -1
    for draft, stage in zip(drafts, stages, strict=True):
        count *= len(draft.powers)
        if stage != last_stage or count > MOST_JOINT_OPTIONS:
            groups.append([])
            count, last_stage = len(draft.powers), stage
        groups[-1].append(draft)
    return groups


def _joint(group: Sequence[Draft]) -> Draft:
    """All combinations; of those that take the same only the best."""
    picks = np.indices([len(draft.powers) for draft in group]).reshape(len(group), -1)
    powers, losses, ties = [
        np.sum([value[..., k] for value, k in zip(values, picks, strict=True)], axis=0)
        for values in zip(*[(draft.powers, draft.losses, draft.ties) for draft in group], strict=True)
    ]
    uses: dict[int, Ints] = {}
    for draft, k in zip(group, picks, strict=True):
        for r, amps in draft.uses:
            uses[r] = uses.get(r, 0) + amps[k]
    takes = list(zip(powers.tolist(), *(amps.tolist() for amps in uses.values()), strict=True))
    best: dict[tuple[int, ...], int] = {}
    for k in np.lexsort((*ties[::-1], losses)).tolist():
        best.setdefault(takes[k], k)
    kept = sorted(best.values())
    return Draft(
        powers[kept], losses[kept], tuple((r, amps[kept]) for r, amps in uses.items()), ties[:, kept]
    )


def _most(drafts: Sequence[Draft], size: int, allows_excess: bool) -> Ints:
    most = np.zeros(size, dtype=np.int64)
    for draft in drafts:
        most += _most_of(draft, size, allows_excess)
    return most


def _most_of(draft: Draft, size: int, allows_excess: bool) -> Ints:
    most = np.zeros(size, dtype=np.int64)
    most[0] = draft.powers.max()
    for r, amps in draft.uses:
        most[r] += amps.max()
        if allows_excess:
            most[-1] += amps.max()
    return most


def _steps(groups: Sequence[Sequence[Draft]], size: int, allows_excess: bool) -> tuple[Step, ...]:
    left, current_steps = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64)
    power_step = 0
    steps: list[Step] = []
    for group in reversed(groups):
        draft = group[0] if len(group) == 1 else _joint(group)
        steps.append(Step(draft, left.copy(), power_step, current_steps.copy()))
        for single in group:
            left += _most_of(single, size, allows_excess)
            power_step = gcd(power_step, *single.powers.tolist())
            for r, amps in single.uses:
                current_steps[r] = gcd(int(current_steps[r]), *amps.tolist())
    return tuple(reversed(steps))
