"""Exact choice where circuits bind: all partial choices side by side, without those that cannot win.

The loads are taken one after the other. A partial choice is a column of numbers that simply add
up: the sun left (gap), the amperes left on each circuit and phase (slack), what was lost so far,
and the choice itself. Four things keep the columns few:

- a gap or slack beyond all that remaining loads could use is cut to that, its worth booked at once,
  and amperes that the remaining loads cannot compose are forgotten;
- of columns with the same gap and slacks only the best stays (identical loads thus cost nothing);
- a column whose loss plus the least further loss (linear relaxation; powers that the remaining
  loads cannot compose) exceeds a known answer's is dropped;
- quick passes with few columns find that known answer. They are proof by themselves if they dropped
  nothing as good; else the last pass goes through all columns, in portions of bounded size.

Source: beam-stack search, Zhou and Hansen (ICAPS 2005), with the bounds above.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import inf

import numpy as np
from numpy.typing import NDArray

from optimizer.levels import Levels
from optimizer.pooling import pooled
from optimizer.relaxation import Bound, Floats, Ints
from optimizer.rows import Row
from optimizer.steps import Plan, States, plan_search

QUICK_WIDTHS = (40, 400)
PORTION = 10_000
FEW_LOADS = 24
REFINE_ABOVE = 200
MOST_BOUNDS = 16


def search(
    loads: Sequence[Levels], gap: int, penalty: Fraction, rows: Sequence[Row]
) -> tuple[str, list[int] | None]:
    """(method, the best option of each load); the options are None if no choice keeps the rows.

    gap: the sun left if each load takes its least power (may be negative).
    """
    if not loads:
        return "search", []
    if len(loads) <= FEW_LOADS:
        passes = _Passes.of(plan_search(loads, gap, penalty, rows, _stages(loads)))
        if passes.quickly():
            return "search", passes.answer()
    pools = pooled(loads, rows)
    passes = _Passes.of(plan_search(pools.loads, gap, penalty, pools.rows, pools.stages))
    if not passes.quickly():
        passes.exhaustively()
    answer = passes.answer()
    return "pools", None if answer is None else pools.unpooled(loads, answer)


def search_least_excess(
    loads: Sequence[Levels], gap: int, penalty: Fraction, rows: Sequence[Row]
) -> list[int]:
    """The choice whose amperes beyond the rows are fewest in all, and best among those."""
    least_excess = _least_excess(loads, rows)
    passes = _Passes.of(plan_search(loads, gap, penalty, rows, _stages(loads), least_excess))
    if not passes.quickly():
        passes.exhaustively()
    found = passes.answer()
    assert found is not None, "the least excess is some choice's"
    return found


def _stages(loads: Sequence[Levels]) -> list[int]:
    """The odd currents of relays first, so that the whole amperes of stations round off what they leave."""
    return [0 if isinstance(load.answers[0], str) else 1 for load in loads]


def _least_excess(loads: Sequence[Levels], rows: Sequence[Row]) -> int:
    """Only loads that cannot take their least on all rows at once have a say; they are few."""
    slacks = {tuple(row.slack for row in rows)}
    for i, load in enumerate(loads):
        touched = [(r, row.phase_of[i]) for r, row in enumerate(rows) if i in row.phase_of]
        takes = {
            tuple((r, c[phase] - load.least_current[phase]) for r, phase in touched) for c in load.currents
        }
        if not any(all(amps == 0 for _, amps in take) for take in takes):
            slacks = {_after(slack, take) for slack in slacks for take in takes}
    return min(sum(-min(s, 0) for s in slack) for slack in slacks)


def _after(slack: tuple[int, ...], take: tuple[tuple[int, int], ...]) -> tuple[int, ...]:
    left = list(slack)
    for r, amps in take:
        left[r] -= amps
    return tuple(left)


@dataclass(slots=True)
class _Passes:
    """bounds: prices learnt so far, from the linear programmes of promising states.

    best_dropped: the best bound among the states dropped for width.
    """

    plan: Plan
    bounds: list[Bound]
    known: States | None = None
    best_dropped: float = inf

    @classmethod
    def of(cls, plan: Plan) -> _Passes:
        size = len(plan.left)
        whole_sun = np.eye(size)[0] * plan.under
        start = np.clip(plan.start.resources[:, 0], 0, plan.left)
        vectors = (plan.relaxation.prices(start, 0), whole_sun, np.zeros(size))
        return cls(plan, [plan.relaxation.bound(prices) for prices in vectors])

    def quickly(self) -> bool:
        """Find a good choice; tells whether it is proven to be the best, or that there is none."""
        for width in QUICK_WIDTHS:
            self.best_dropped = inf
            self._descend(self._start(), 0, width, exhaustive=False)
            if self.best_dropped > self._limit():
                return True
        return self.known is not None and self.best_dropped >= self._limit(strictly=True)

    def exhaustively(self) -> None:
        """Go through all that could be better."""
        self._descend(self._start(), 0, PORTION, exhaustive=True)

    def answer(self) -> list[int] | None:
        if self.known is None:
            return None
        return [int(self.known.ties[1 + f.word, 0] >> f.shift & f.mask) for f in self.plan.fields]

    def _start(self) -> States:
        start = self.plan.start
        states = States(start.resources.copy(), start.loss.copy(), start.ties)
        _cut(self.plan, states, self.plan.left)
        return states

    def _limit(self, *, strictly: bool = False) -> float:
        if self.known is None:
            return inf
        return float(self.known.loss[0]) + (-self.plan.tolerance if strictly else self.plan.tolerance)

    def _descend(self, states: States, first: int, width: int, *, exhaustive: bool) -> None:
        """Take the loads from `first` on. Exhaustive passes look for strictly less loss only."""
        for i in range(first, len(self.plan.steps)):
            limit = self._limit(strictly=exhaustive)
            states = _extended(self.plan, states, i, self.bounds[0], limit)
            bounds = self._bounds(states, i)
            states, bounds = _only(states, bounds, bounds <= limit)
            if len(bounds) == 0:
                return
            states, bounds = _merged(states, bounds)
            if len(bounds) > REFINE_ABOVE:
                states, bounds = self._refined(states, bounds, i, limit)
                if len(bounds) == 0:
                    return
            if len(bounds) > width:
                ranked = np.argsort(bounds, kind="stable")
                if exhaustive:
                    for k in range(0, len(ranked), width):
                        self._descend(states.take(ranked[k : k + width]), i + 1, width, exhaustive=True)
                    return
                self.best_dropped = min(self.best_dropped, float(bounds[ranked[width]]))
                states = states.take(ranked[:width])
        if self.known is None or _rank(states) < _rank(self.known):
            self.known = states

    def _bounds(self, states: States, i: int) -> Floats:
        """The least final loss of each state."""
        step, under, over = self.plan.steps[i], self.plan.under, self.plan.over
        signs = np.array([b.signs for b in self.bounds])
        after = np.array([b.least_after[i + 1] for b in self.bounds])
        further = (signs @ states.resources + after[:, None]).max(axis=0)
        if step.power_step:
            rest = states.resources[0] % step.power_step
            further = np.maximum(further, np.minimum(rest * under, (step.power_step - rest) * over))
        bounds: Floats = states.loss + np.maximum(further, 0.0)
        return bounds

    def _refined(self, states: States, bounds: Floats, i: int, limit: float) -> tuple[States, Floats]:
        """Price the most promising state by its own linear programme, so that its bound is true."""
        best = int(bounds.argmin())
        learnt = self.plan.relaxation.bound(self.plan.relaxation.prices(states.resources[:, best], i + 1))
        better = states.loss + learnt.signs @ states.resources + learnt.least_after[i + 1]
        if better[best] <= bounds[best] + self.plan.tolerance:
            return states, bounds
        self.bounds.append(learnt)
        if len(self.bounds) > MOST_BOUNDS:
            del self.bounds[3]
        bounds = np.maximum(bounds, better)
        return _only(states, bounds, bounds <= limit)


def _only(states: States, bounds: Floats, which: NDArray[np.bool_]) -> tuple[States, Floats]:
    return (states, bounds) if which.all() else (states.take(which), bounds[which])


def _rank(states: States) -> tuple[float, ...]:
    """After the last load all resources are 0 and merging has left one state."""
    return (states.loss[0].item(), *states.ties[:, 0].tolist())


def _extended(plan: Plan, states: States, i: int, bound: Bound, limit: float) -> States:
    """Each state with each option that the slacks allow and that is not hopeless at first sight."""
    step = plan.steps[i]
    draft = step.draft
    least = states.loss + bound.signs @ states.resources + bound.least_after[i + 1]
    starts = plan.relaxation.starts
    reduced = bound.reduced[starts[i] : starts[i + 1]]
    possible = least[:, None] + reduced[None, :] <= limit
    if not plan.allows_excess:
        for r, amps in draft.uses:
            possible &= states.resources[r][:, None] >= amps[None, :]
    parents, options = possible.nonzero()
    resources = states.resources[:, parents]
    resources[0] -= draft.powers[options]
    for r, amps in draft.uses:
        resources[r] -= amps[options]
    ties = states.ties[:, parents] + draft.ties[:, options]
    extended = States(resources, states.loss[parents] + draft.losses[options], ties)
    if plan.allows_excess:
        resources[-1] += np.minimum(resources[1:-1], 0).sum(axis=0)
        extended = extended.take(resources[-1] >= 0)
    _cut(plan, extended, step.left)
    if not plan.allows_excess:
        _round_off(extended, step.current_steps)
    return extended


def _cut(plan: Plan, states: States, left: Ints) -> None:
    """Book overshoot and sun that nobody can use any more; forget amperes nobody can use."""
    gap = states.resources[0]
    states.loss += np.maximum(-gap, 0) * plan.over + np.maximum(gap - left[0], 0) * plan.under
    np.clip(states.resources, 0, left[:, None], out=states.resources)


def _round_off(states: States, current_steps: Ints) -> None:
    for r in (current_steps > 1).nonzero()[0]:
        states.resources[r] -= states.resources[r] % current_steps[r]


def _merged(states: States, bounds: Floats) -> tuple[States, Floats]:
    """Of the states with equal resources the one with least loss, then least cost, then first in order."""
    keys = np.zeros(len(bounds), dtype=np.int64)
    for r, resource in enumerate(states.resources):
        keys = keys * np.int64(6364136223846793005) + resource * np.int64(2 * r + 1442695040888963407)
    order = np.lexsort((states.loss, keys))
    sorted_keys = keys[order]
    if not (sorted_keys[1:] == sorted_keys[:-1]).any():
        return states, bounds
    resources, loss = states.resources[:, order], states.loss[order]
    same = (resources[:, 1:] == resources[:, :-1]).all(axis=0)
    tied = same & (loss[1:] == loss[:-1])
    if tied.any():
        involved = np.append(tied, False) | np.append(False, tied)
        subset = order[involved]
        order[involved] = subset[np.lexsort((*states.ties[::-1, subset], states.loss[subset], keys[subset]))]
    winners = order[np.append(True, ~same)]
    return states.take(winners), bounds[winners]
