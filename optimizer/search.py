"""Exact choice where circuits bind: all partial choices side by side, without those that cannot win.

A good choice is found first: what the linear relaxation runs in whole, improved by changes of one load or two
(`optimizer.descent`). Options that cost more at the relaxation's prices than that choice allows are left out.
Then the loads are taken one after the other. A partial choice is a column of numbers that simply add
up: the sun left (gap), the amperes left on each circuit and phase (slack), what was lost so far,
and the choice itself. Four things keep the columns few:

- a gap or slack beyond all that remaining loads could use is cut to that, its worth booked at once,
  and amperes that the remaining loads cannot compose are forgotten;
- of columns with the same gap and slacks only the best stays (identical loads thus cost nothing);
- a column whose loss plus the least further loss (linear relaxation; powers that the remaining
  loads cannot compose) exceeds a known answer's is dropped;
- quick passes with few columns are proof by themselves if they dropped nothing as good as the answer; else a
  pass goes through all columns, in portions of bounded size, and another through those as good as the
  answer, for the first in order.

Passes that try more than MOST_STATES columns are stopped. What was left is known to be at least as
bad as its bound, and the answer says so. Counting columns, not time, keeps replays alike.

Source: beam-stack search, Zhou and Hansen (ICAPS 2005), with the bounds above.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import inf

import numpy as np
from numpy.typing import NDArray

from optimizer.descent import NO_CHOICE, GoodChoice, good_choice
from optimizer.electrical import NANO
from optimizer.levels import Levels
from optimizer.options import Floats, Ints
from optimizer.pooling import PooledProblem, pooled
from optimizer.rows import Row
from optimizer.steps import Bound, Plan, States, Task, plan_search

QUICK_WIDTHS = (60, 600)
PORTION = 500
MOST_STATES = 1_000_000
MOST_TIED_STATES = 50_000
FEW_LOADS = 24
REFINE_ABOVE = 100
MOST_PRICINGS = 40
NEGLIGIBLE = 1000  # nW
MOST_BOUNDS = 16


@dataclass(frozen=True, slots=True)
class Found:
    """options: of each load, None if there is none (or none was found, if open_loss is set).

    open_loss [nW]: set if the search was stopped: what was left may lose as little as that.
    """

    method: str
    options: list[int] | None
    open_loss: float | None = None


def best_within_rows(loads: Sequence[Levels], gap: int, penalty: Fraction, rows: Sequence[Row]) -> Found:
    """The best choice that keeps the rows. gap: the sun left if each takes its least power.

    It may be negative; it is at most what the loads can use.
    """
    task = Task.of(loads, rows, _stages(loads), gap, penalty)
    prices, good = good_choice(loads, task.options, [gap, *[row.slack for row in rows]], float(penalty))
    if len(loads) <= FEW_LOADS:
        passes = _Passes.of(task.without_dearer(prices, good.loss), prices, good)
        if any(passes.quickly(width) for width in QUICK_WIDTHS):
            return passes.found("search")
    pools = pooled(loads, rows)
    prices = pools.prices(prices)
    task = Task.of(pools.loads, pools.rows, pools.stages, gap, penalty).without_dearer(prices, good.loss)
    task.kept[task.options.load >= len(loads)] = True  # how full a pool is decides among equals
    return _Passes.of(task, prices, good, pools).complete("pools")


def search_within_excess(
    loads: Sequence[Levels], gap: int, penalty: Fraction, rows: Sequence[Row], excess: int
) -> Found:
    """The best of the choices whose amperes beyond the rows are at most `excess` in all."""
    return _Passes.of(Task.of(loads, rows, _stages(loads), gap, penalty, excess)).complete("least excess")


def _stages(loads: Sequence[Levels]) -> list[int]:
    """The odd currents of relays first, so that the whole amperes of stations round off what they leave."""
    return [0 if isinstance(load.answers[0], str) else 1 for load in loads]


@dataclass(slots=True)
class _Passes:
    """bounds: prices learnt so far, from the linear programmes of promising states.

    best_dropped: the best bound among the states dropped for width, or left when states_left ran out.
    """

    plan: Plan
    bounds: list[Bound]
    good: GoodChoice
    pools: PooledProblem | None
    known: States | None = None
    best_dropped: float = inf
    states_left: int = MOST_STATES

    @classmethod
    def of(
        cls,
        task: Task,
        prices: Floats | None = None,
        good: GoodChoice = NO_CHOICE,
        pools: PooledProblem | None = None,
    ) -> _Passes:
        """prices: of the linear relaxation, if they are known."""
        plan = plan_search(task)
        if prices is None:
            scaled = plan.prices(np.clip(plan.start.resources[:, 0], 0, plan.left), 0)
        else:
            scaled = plan.scaled_prices(prices)
        nothing = np.zeros(len(plan.left))
        whole_sun = nothing.copy()
        whole_sun[0] = plan.under
        return cls(plan, [plan.bound(vector) for vector in (scaled, whole_sun, nothing)], good, pools)

    def complete(self, method: str) -> Found:
        """The best choice, and of equal ones the first in order, as far as the states allowed reach."""
        for width in QUICK_WIDTHS:
            if self.quickly(width):
                return self.found(method)
            if self.known is not None and self.best_dropped >= self._limit(strictly=True):
                break
        else:
            self._exhaustively(MOST_STATES, strictly=True)
            if self.best_dropped < inf:
                return self.found(method, self.plan.nanowatts(self.best_dropped))
        if self.known is not None:
            self._exhaustively(MOST_TIED_STATES, strictly=False)
            if self.best_dropped < inf:
                method += ", ties as found" + self._within()
        return self.found(method)

    def quickly(self, width: int) -> bool:
        """Find a good choice; tells if it is proven the best and the first, or that there is none."""
        self.best_dropped = inf
        self._descend(self._start(), 0, width)
        return self.best_dropped > self._limit()

    def found(self, method: str, open_loss: float | None = None) -> Found:
        if self.good.options is not None and self._good_is_best():
            return Found(method, self.good.options, open_loss)
        if self.known is None:
            return Found(method, None, open_loss)
        return Found(method, _options(self.plan, self.pools, self.known.ties)[:, 0].tolist(), open_loss)

    def _good_is_best(self) -> bool:
        """As may be where the search was stopped."""
        if self.known is None:
            return True
        return self.plan.nanowatts(float(self.known.loss[0])) > self.good.loss + NEGLIGIBLE

    def _exhaustively(self, most_states: int, *, strictly: bool) -> None:
        """Go through all that could be better (strictly), or as good and before what is known."""
        self.states_left, self.best_dropped = most_states, inf
        self._descend(self._start(), 0, PORTION, exhaustive=True, strictly=strictly)

    def _within(self) -> str:
        """States better by less than rounding are found among the ties only; whole losses leave none."""
        if self.plan.tolerance < 1 and self.plan.start.loss.dtype == np.int64:
            return ""
        tolerance = self.plan.tolerance * self.plan.unit / self.plan.under
        return f" within {tolerance / NANO:.1g} W" if tolerance > NEGLIGIBLE else ""

    def _start(self) -> States:
        start = self.plan.start
        states = States(start.resources.copy(), start.loss.copy(), start.ties)
        _cut(self.plan, states, self.plan.left)
        return states

    def _limit(self, *, strictly: bool = False) -> float:
        tolerance = self.plan.tolerance
        limit = self.plan.scaled_loss(self.good.loss) + tolerance
        if self.known is None:
            return limit
        return min(limit, float(self.known.loss[0]) + (-tolerance if strictly else tolerance))

    def _descend(
        self, states: States, first: int, width: int, *, exhaustive: bool = False, strictly: bool = False
    ) -> None:
        """Take the loads from `first` on; beyond the width, exhaustive passes go portion by portion."""
        for i in range(first, len(self.plan.steps)):
            limit = self._limit(strictly=strictly)
            self.states_left -= len(states.loss) * len(self.plan.steps[i].draft.losses)
            states = _extended(self.plan, states, i, self.bounds[0], limit)
            bounds = self._bounds(states, i)
            states, bounds = _only(states, bounds, bounds <= limit)
            if len(bounds) == 0:
                return
            states, bounds = _merged(self.plan, self.pools, states, bounds)
            if len(bounds) > REFINE_ABOVE and i % (1 + len(self.plan.steps) // MOST_PRICINGS) == 0:
                states, bounds = self._refined(states, bounds, i, limit)
                if len(bounds) == 0:
                    return
            if len(bounds) > width:
                ranked = np.argsort(bounds, kind="stable")
                if exhaustive:
                    for k in range(0, len(ranked), width):
                        if self._exhausted(float(bounds[ranked[k]])):
                            return
                        portion = states.take(ranked[k : k + width])
                        self._descend(portion, i + 1, width, exhaustive=True, strictly=strictly)
                    return
                self.best_dropped = min(self.best_dropped, float(bounds[ranked[width]]))
                states = states.take(ranked[:width])
            if exhaustive and self._exhausted(float(bounds.min())):
                return
        if self.known is None or self._rank(states) < self._rank(self.known):
            self.known = states

    def _exhausted(self, bound: float) -> bool:
        """Whether to stop, with a state of this bound left."""
        if self.states_left > 0:
            return False
        self.best_dropped = min(self.best_dropped, bound)
        return True

    def _rank(self, states: States) -> tuple[float, ...]:
        """After the last load all resources are 0 and merging has left one state."""
        return (states.loss[0].item(), *_order_keys(self.plan, self.pools, states.ties)[:, 0].tolist())

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
        learnt = self.plan.bound(self.plan.prices(states.resources[:, best], i + 1))
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


def _options(plan: Plan, pools: PooledProblem | None, ties: Ints) -> Ints:
    """A row of option indices per load."""
    options = np.repeat(plan.settled[:, None], ties.shape[1], axis=1)
    for f in plan.fields:
        options[f.load] = ties[1 + f.word] >> f.shift & f.mask
    return options if pools is None else pools.unpooled(options)


def _order_keys(plan: Plan, pools: PooledProblem | None, ties: Ints) -> Ints:
    """Rows by which equal states are ordered: cost, then the options in list order.

    While no pool has steps, the bit fields are in that order already.
    """
    pool_fields = [] if pools is None else [f for f in plan.fields if f.load >= len(pools.steps)]
    if not any((ties[1 + f.word] >> f.shift & f.mask).any() for f in pool_fields):
        return ties
    return np.vstack([ties[:1], _options(plan, pools, ties)])


def _extended(plan: Plan, states: States, i: int, bound: Bound, limit: float) -> States:
    """Each state with each option that the slacks allow and that is not hopeless at first sight."""
    step = plan.steps[i]
    draft = step.draft
    least = states.loss + bound.signs @ states.resources + bound.least_after[i + 1]
    reduced = bound.reduced[plan.starts[i] : plan.starts[i + 1]]
    parents, options = (least[:, None] + reduced <= limit).nonzero()
    resources = states.resources[:, parents]
    resources -= draft.needs[:, options]
    if plan.allows_excess:
        resources[-1] += np.minimum(resources[1:-1], 0).sum(axis=0)
        fits = resources[-1] >= 0
    else:
        fits = resources[1:].min(axis=0, initial=0) >= 0
    if not fits.all():
        parents, options, resources = parents[fits], options[fits], resources[:, fits]
    extended = States(
        resources,
        states.loss[parents] + draft.losses[options],
        states.ties[:, parents] + draft.ties[:, options],
    )
    _cut(plan, extended, step.left)
    if not plan.allows_excess and step.current_steps is not None:
        resources -= resources % step.current_steps[:, None]
    return extended


def _cut(plan: Plan, states: States, left: Ints) -> None:
    """Book overshoot and sun that nobody can use any more; forget amperes nobody can use."""
    gap = states.resources[0]
    states.loss += np.maximum(-gap, 0) * plan.over + np.maximum(gap - left[0], 0) * plan.under
    np.maximum(states.resources, 0, out=states.resources)
    np.minimum(states.resources, left[:, None], out=states.resources)


def _merged(plan: Plan, pools: PooledProblem | None, states: States, bounds: Floats) -> tuple[States, Floats]:
    """Of the states with equal resources the one with least loss, then least cost, then first in order."""
    keys = plan.hash_factors @ states.resources
    order = keys.argsort(kind="stable")
    sorted_keys = keys[order]
    again = sorted_keys[1:] == sorted_keys[:-1]
    if not again.any():
        return states, bounds
    shared = np.append(again, False) | np.append(False, again)
    subset = order[shared]
    subset = subset[np.lexsort((states.loss[subset], keys[subset]))]
    resources, loss = states.resources[:, subset], states.loss[subset]
    same = (resources[:, 1:] == resources[:, :-1]).all(axis=0)
    tied = same & (loss[1:] == loss[:-1])
    if tied.any():
        involved = np.append(tied, False) | np.append(False, tied)
        equals = subset[involved]
        ranks = _order_keys(plan, pools, states.ties[:, equals])
        subset[involved] = equals[np.lexsort((*ranks[::-1], states.loss[equals], keys[equals]))]
    winners = np.append(order[~shared], subset[np.append(True, ~same)])
    return states.take(winners), bounds[winners]
