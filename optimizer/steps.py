"""An allocation problem laid out for `optimizer.search`: loads in a good order, small integers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from math import gcd
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optimizer.levels import Levels
from optimizer.options import Floats, Ints, Numbers, Options, options_of
from optimizer.relaxation import relaxed
from optimizer.rows import Row

WORD_BITS = 62
MOST_JOINT_OPTIONS = 16
LARGEST_EXACT = 1 << 61
ROUNDING = 1e-13  # of bounds: sums of about a hundred products in floating point


@dataclass(frozen=True, slots=True)
class Task:
    """What is searched: loads, their options, and which of them may belong to an answer.

    stages: the loads' rough order. gap: the sun left if each load takes its least power. excess: amperes
    allowed beyond the rows in all, if any are.
    """

    loads: Sequence[Levels]
    rows: Sequence[Row]
    stages: Sequence[int]
    gap: int
    penalty: Fraction
    options: Options
    kept: NDArray[np.bool_]
    excess: int | None

    @classmethod
    def of(
        cls,
        loads: Sequence[Levels],
        rows: Sequence[Row],
        stages: Sequence[int],
        gap: int,
        penalty: Fraction,
        excess: int | None = None,
    ) -> Task:
        options = options_of(loads, rows)
        return cls(loads, rows, stages, gap, penalty, options, np.ones(len(options.costs), np.bool_), excess)

    def without_dearer(self, prices: Floats, loss: float) -> Task:
        """Without the options that by these prices cannot belong to an answer that loses no more."""
        least, dearer = self.options.priced(prices)
        spared = sum([price * row.slack for price, row in zip(prices[1:].tolist(), self.rows, strict=True)])
        bound = prices[0] * self.gap - spared + least.sum()
        size = float(self.options.takes[0].sum() + self.options.costs.sum()) + abs(self.gap)
        rounding = 1.0 + 1e-13 * size * max(1.0, float(self.penalty))
        return replace(self, kept=dearer <= loss - bound + rounding)


@dataclass(frozen=True, slots=True)
class Field:
    """Where the option of a load stands among the ties: earlier loads in higher bits of earlier words."""

    load: int
    word: int
    shift: int
    mask: int


@dataclass(frozen=True, slots=True)
class Draft:
    """The options of a load, or of several together, in the plan's units, a column each.

    needs: what it takes of each resource above the least: power, amperes of each row. ties: what it adds to
    those of a state.
    """

    needs: Ints
    losses: Numbers
    ties: Ints


@dataclass(frozen=True, slots=True)
class Step:
    """One or several loads, decided together, and what the loads after them can still do.

    left: the most they can use of each resource. power_step: greatest common divisor of the power they can
    use, 0 if none; current_steps: of the amperes, at least 1 (and 1 in the place of power), None if all 1.
    """

    draft: Draft
    left: Ints
    power_step: int
    current_steps: Ints | None


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
class Bound:
    """A price of each resource. least_after[i]: the least priced loss of the steps from the i-th on.

    signs: what a unit of resource left adds to the bound (sun left is lost, amperes left are spared).
    reduced: the priced loss of each option of all steps.
    """

    signs: Floats
    reduced: Floats
    least_after: Floats


@dataclass(frozen=True, slots=True)
class Plan:
    """over, under: loss per unit of power beyond or short of the surplus.

    unit, booked: nanowatts, of power and of what is lost in any case. scales: nanoamperes of each row.
    tolerance: what rounding may do to bounds, and to losses if these are too large for integers.
    settled: options of the loads; those in `fields` are still open.
    needs, losses: of all options of all steps, those of step i from starts[i] on.
    whole_takes, whole_costs: of each open load, in order, from its least power to its most; those of step i
    from first_loads[i] on.
    """

    start: States
    left: Ints
    steps: tuple[Step, ...]
    needs: Floats
    losses: Floats
    starts: Ints
    whole_takes: Ints
    whole_costs: Numbers
    first_loads: list[int]
    over: int
    under: int
    unit: int
    scales: list[int]
    booked: int
    settled: Ints
    fields: tuple[Field, ...]
    tolerance: float
    allows_excess: bool
    hash_factors: Ints

    def bound(self, prices: Floats) -> Bound:
        """prices: loss per unit; sun between −over and under, amperes not below 0."""
        if self.allows_excess:
            prices = np.append(prices[:-1], prices[1:-1].max(initial=0.0))
        signs = -prices
        signs[0] = prices[0]
        priced = self.losses - self.needs @ signs
        least = np.minimum.reduceat(priced, self.starts[:-1])
        return Bound(signs, priced, np.append(np.cumsum(least[::-1])[::-1], 0.0))

    def prices(self, amounts: Ints, first: int) -> Floats:
        """Those of the linear programme of the steps from `first` on with these amounts left."""
        at = self.first_loads[first]
        return relaxed(self.whole_takes[:, at:], self.whole_costs[at:], amounts, self.over, self.under)[1]

    def scaled_prices(self, prices: Floats) -> Floats:
        """From losses per nanowatt and nanoampere."""
        units = np.array([1.0, *[scale / self.unit for scale in self.scales]])
        return np.asarray(prices * self.under * units)

    def scaled_loss(self, loss: float) -> float:
        """From nanowatts."""
        return (loss - self.booked) / self.unit * self.under

    def nanowatts(self, loss: float) -> float:
        return loss * self.unit / self.under + self.booked


@dataclass(frozen=True, slots=True)
class _Kept:
    """The options kept, a column each, load by load; takes and costs beyond the least of them [nW, nA].

    load, option: whose and which; those of load i begin at starts[i]. amounts: what is left of sun and rows
    after the least. booked: lost in any case.
    """

    load: Ints
    option: Ints
    takes: Ints
    costs: Ints
    starts: Ints
    amounts: list[int]
    booked: int

    @classmethod
    def of(cls, task: Task) -> _Kept:
        kept = task.kept.nonzero()[0]
        load, takes, costs = task.options.load[kept], task.options.takes[:, kept], task.options.costs[kept]
        starts = _starts(np.bincount(load))
        base = np.minimum.reduceat(takes, starts[:-1], axis=1)
        base_costs = np.minimum.reduceat(costs, starts[:-1])
        takes, costs = takes - base[:, load], costs - base_costs[load]
        most = int(np.maximum.reduceat(takes[0], starts[:-1]).sum())
        given = [task.gap, *[row.slack for row in task.rows]]
        amounts = [amount - taken for amount, taken in zip(given, base.sum(axis=1).tolist(), strict=True)]
        spare = max(amounts[0] - most, 0)
        amounts[0] -= spare
        option = kept - task.options.starts[load]
        return cls(load, option, takes, costs, starts, amounts, spare + int(base_costs.sum()))

    def scales(self, excess: int | None) -> list[int]:
        """The largest units in which powers and costs, and the amperes of each row, are whole."""
        steps = np.gcd.reduce(self.takes, axis=1).tolist()
        unit = gcd(self.amounts[0], steps[0], int(np.gcd.reduce(self.costs))) or 1
        if excess is None:
            return [unit, *[step or 1 for step in steps[1:]]]
        return [unit, *[gcd(excess, *steps[1:], *self.amounts[1:]) or 1] * len(steps[1:])]


@dataclass(frozen=True, slots=True)
class _Scaled:
    """What is kept, in whole units as small as can be. amounts: of sun, rows and, if allowed, excess.

    most: what each load can use of them. scales: nanowatts and nanoamperes. largest: no loss is larger.
    """

    amounts: list[int]
    needs: Ints
    losses: Numbers
    most: Ints
    scales: list[int]
    largest: int

    @classmethod
    def of(cls, kept: _Kept, over: int, under: int, excess: int | None) -> _Scaled:
        scales = kept.scales(excess)
        amounts = [amount // scale for amount, scale in zip(kept.amounts, scales, strict=True)]
        needs = kept.takes // np.array(scales)[:, None]
        most = np.maximum.reduceat(needs, kept.starts[:-1], axis=1)
        if excess is not None:
            amounts.append(excess // scales[-1])
            needs = np.vstack([needs, np.zeros_like(needs[:1])])
            most = np.vstack([most, most[1:].sum(axis=0)])
        costs = kept.costs // scales[0]
        largest = (int(most[0].sum()) + abs(amounts[0])) * max(over, under)
        largest += int(np.maximum.reduceat(costs, kept.starts[:-1]).sum()) * under
        losses = costs.astype(np.int64 if largest < LARGEST_EXACT else np.float64) * under
        return cls(amounts, needs, losses, most, scales, largest)


def plan_search(task: Task) -> Plan:
    kept = _Kept.of(task)
    over, under = task.penalty.numerator, task.penalty.denominator
    scaled = _Scaled.of(kept, over, under, task.excess)
    order = _order(task, kept, scaled.most)
    fields = _fields(task.loads, sorted(order))
    options = Draft(scaled.needs, scaled.losses, _ties(kept, fields))
    groups = _groups(np.diff(kept.starts)[order].tolist(), [task.stages[i] for i in order])
    steps = _steps(options, kept.starts, order, groups, scaled.most)
    whole_takes, whole_costs = _whole_loads(options, kept, order)
    return Plan(
        start=_start(scaled, options),
        left=scaled.most.sum(axis=1),
        steps=steps,
        needs=np.hstack([step.draft.needs for step in steps]).T.astype(np.float64),
        losses=np.concatenate([step.draft.losses for step in steps]).astype(np.float64),
        starts=_starts([len(step.draft.losses) for step in steps]),
        whole_takes=whole_takes,
        whole_costs=whole_costs,
        first_loads=[first for first, _ in groups],
        over=over,
        under=under,
        unit=scaled.scales[0],
        scales=scaled.scales[1:],
        booked=kept.booked,
        settled=kept.option[kept.starts[:-1]],
        fields=tuple(fields),
        tolerance=ROUNDING * float(scaled.largest) + 1e-6,
        allows_excess=task.excess is not None,
        hash_factors=_hash_factors(len(scaled.amounts)),
    )


def _start(scaled: _Scaled, options: Draft) -> States:
    return States(
        np.array(scaled.amounts, dtype=np.int64)[:, None],
        np.zeros(1, dtype=options.losses.dtype),
        np.zeros((len(options.ties), 1), dtype=np.int64),
    )


def _starts(lengths: Sequence[int] | Ints) -> Ints:
    return np.cumsum([0, *lengths])


@lru_cache
def _hash_factors(size: int) -> Ints:
    """Odd numbers that look random, so that sums of different resources seldom meet (modulo 2**64)."""
    factors = [pow(6364136223846793005, 3 + r, 1 << 64) | 1 for r in range(size)]
    return np.array(factors, dtype=np.uint64).astype(np.int64)


def _order(task: Task, kept: _Kept, most: Ints) -> list[int]:
    """The open loads (one at least), stage by stage; within one, several phases before one, then phase by
    phase: rows close early."""
    touched = (most[1 : 1 + len(task.rows)] > 0).T.tolist()
    powers = most[0].tolist()
    phases = [row.phase for row in task.rows]

    def rank(i: int) -> tuple[Any, ...]:
        rows = [r for r, touches in enumerate(touched[i]) if touches]
        through = sorted({phases[r] for r in rows})
        return (task.stages[i], -len(through), through, -len(rows), rows, -powers[i], task.loads[i].costs, i)

    open_loads = (np.diff(kept.starts) > 1).nonzero()[0].tolist()
    return sorted(open_loads or [0], key=rank)


def _fields(loads: Sequence[Levels], open_loads: Sequence[int]) -> list[Field]:
    fields, word, free = [], 0, WORD_BITS
    for i in open_loads:
        bits = (len(loads[i].costs) - 1).bit_length()
        if bits > free:
            word, free = word + 1, WORD_BITS
        free -= bits
        fields.append(Field(i, word, free, (1 << bits) - 1))
    return fields


def _ties(kept: _Kept, fields: Sequence[Field]) -> Ints:
    """Of each option a column: its cost, and where it stands in the words."""
    ties = np.zeros((2 + fields[-1].word, len(kept.option)), dtype=np.int64)
    ties[0] = kept.costs
    for field in fields:
        first, end = kept.starts[field.load], kept.starts[field.load + 1]
        ties[1 + field.word, first:end] = kept.option[first:end] << field.shift
    return ties


def _groups(counts: Sequence[int], stages: Sequence[int]) -> list[tuple[int, int]]:
    """Neighbours of one stage that have few options together, as (first, end)."""
    groups: list[tuple[int, int]] = []
    first, together = 0, 1
    for n, (count, stage) in enumerate(zip(counts, stages, strict=True)):
        if n > first and (together * count > MOST_JOINT_OPTIONS or stage != stages[first]):
            groups.append((first, n))
            first, together = n, 1
        together *= count
    return [*groups, (first, len(counts))]


def _steps(
    options: Draft, starts: Ints, order: Sequence[int], groups: Sequence[tuple[int, int]], most: Ints
) -> tuple[Step, ...]:
    """most: what the loads can use of each resource."""
    units = np.gcd.reduceat(options.needs, starts[:-1], axis=1)[:, order].T
    none = np.zeros((1, len(most)), dtype=np.int64)
    left = np.vstack([np.cumsum(most[:, order].T[::-1], axis=0)[::-1], none])
    units = np.vstack([np.gcd.accumulate(units[::-1], axis=0)[::-1], none])
    firsts = starts[:-1][order]
    counts, kinds = np.diff(starts)[order].tolist(), most[:, order].T.tolist()
    steps = []
    for first, end in groups:
        alike = len({tuple(kind) for kind in kinds[first:end]}) < end - first
        draft = _joint(options, firsts[first:end], tuple(counts[first:end]), alike)
        amperes = np.maximum(units[end], 1)
        amperes[0] = 1
        coarse = amperes if amperes.max() > 1 else None
        steps.append(Step(draft, left[end], int(units[end][0]), coarse))
    return tuple(steps)


def _joint(options: Draft, firsts: Ints, counts: tuple[int, ...], alike: bool) -> Draft:
    """All combinations; where loads are alike, of those that take the same only the best."""
    at = firsts[:, None] + _combinations(counts)
    needs, ties = options.needs[:, at].sum(axis=1), options.ties[:, at].sum(axis=1)
    losses = options.losses[at].sum(axis=0)
    if not alike:
        return Draft(needs, losses, ties)
    takes = [tuple(need) for need in needs.T.tolist()]
    best: dict[tuple[int, ...], int] = {}
    for k in np.lexsort((*ties[::-1], losses)).tolist():
        best.setdefault(takes[k], k)
    kept = sorted(best.values())
    return Draft(needs[:, kept], losses[kept], ties[:, kept])


@lru_cache(maxsize=1024)
def _combinations(counts: tuple[int, ...]) -> Ints:
    """A column of indices for each combination."""
    return np.indices(counts).reshape(len(counts), -1)


def _whole_loads(options: Draft, kept: _Kept, order: Sequence[int]) -> tuple[Ints, Numbers]:
    """What each load takes and costs from its least power to its most, each at its cheapest."""
    least = np.lexsort((options.losses, options.needs[0], kept.load))[kept.starts[:-1]][order]
    most = np.lexsort((-options.losses, options.needs[0], kept.load))[kept.starts[1:] - 1][order]
    return options.needs[:, most] - options.needs[:, least], options.losses[most] - options.losses[least]
