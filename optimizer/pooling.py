"""Stations that share circuit and phases, seen as: which are on, and how many steps they have together.

How further steps are dealt out among the stations that are on changes neither watts nor amperes, so
that one pool per kind of station replaces the levels of each. A station that is off takes its steps
out of the pool: that is one more row, like a circuit's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise

import numpy as np

from optimizer.levels import POWER, Levels, levels_from
from optimizer.options import Floats, Ints
from optimizer.rows import Row

POOL_PHASE = 3
FEWEST_LEVELS = 3
Kind = tuple[tuple[int, ...], int, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class PooledProblem:
    """loads: the problem's, stations reduced to off or minimum, then a load per pool. stages: when to decide.

    members: the stations of each pool. first_on, steps: of each of the problem's loads, the option of its
    minimum and the steps above it.
    """

    loads: list[Levels]
    rows: list[Row]
    stages: list[int]
    members: list[list[int]]
    first_on: list[int]
    steps: list[int]

    def unpooled(self, chosen: Ints) -> Ints:
        """Deal each pool's steps out, to the last stations first. chosen: a row of options per load."""
        options = chosen[: len(self.steps)].copy()
        first_on, most = np.array(self.first_on)[:, None], np.array(self.steps)[:, None]
        for members, steps in zip(self.members, chosen[len(self.steps) :], strict=True):
            room = np.where(options[members] >= first_on[members], most[members], 0)
            later = np.cumsum(room[::-1], axis=0)[::-1] - room
            options[members] += np.minimum(np.maximum(steps - later, 0), room)
        return options

    def prices(self, prices: Floats) -> Floats:
        """With what a step of each pool is worth at these prices of sun and of the problem's rows."""
        first = len(self.steps)
        worth = []
        for n, pool in enumerate(self.loads[first:], first):
            takes = pool.amounts[:, 1]
            costs = [
                price * takes[1 + row.phase]
                for price, row in zip(prices[1:], self.rows, strict=False)
                if n in row.members
            ]
            worth.append(max(0.0, prices[0] * takes[POWER] - sum(costs)))
        return np.append(prices, worth)


def pooled(loads: Sequence[Levels], rows: Sequence[Row]) -> PooledProblem:
    touched: list[tuple[int, ...]] = [()] * len(loads)
    for r, row in enumerate(rows):
        for i in row.members:
            touched[i] += (r,)
    kinds: dict[Kind, list[int]] = {}
    for i, load in enumerate(loads):
        step = _step(load)
        if step is not None:
            kinds.setdefault((touched[i], *step), []).append(i)
    members = list(kinds.values())
    stations = {i for pool in members for i in pool}
    reduced = [_off_or_minimum(load) if i in stations else load for i, load in enumerate(loads)]
    through = [list(row.members) for row in rows]
    pool_rows = []
    for n, ((_, power, amps), pool) in enumerate(kinds.items()):
        for row_members in through:
            if pool[0] in row_members:
                row_members.append(len(loads) + n)
        steps = sum(_steps(loads[i]) for i in pool)
        reduced.append(_pool(power, amps, steps))
        users = [i for i in pool if _first_on(loads[i])]
        pool_rows.append(Row(steps, POOL_PHASE, [*users, len(loads) + n]))
    kept = [replace(row, members=row_members) for row, row_members in zip(rows, through, strict=True)]
    stages = [0 if i in stations else 1 for i in range(len(loads))] + [2] * len(members)
    first_on, steps_of = [_first_on(load) for load in loads], [_steps(load) for load in loads]
    return PooledProblem(reduced, kept + pool_rows, stages, members, first_on, steps_of)


def _first_on(load: Levels) -> int:
    return 1 if load.answers[0] == 0.0 else 0


def _steps(load: Levels) -> int:
    return len(load.powers) - _first_on(load) - 1


@lru_cache(maxsize=8192)
def _step(load: Levels) -> tuple[int, tuple[int, ...]] | None:
    """What each step above the minimum adds: power, currents.

    None unless it is a modulated load whose steps are all alike, which odd voltages may spoil by a rounding.
    """
    if isinstance(load.answers[0], str) or len(load.powers) < FEWEST_LEVELS:
        return None
    k = _first_on(load)
    if len({b - a for a, b in pairwise(load.powers[k:])}) != 1:
        return None
    amps = tuple(b - a for a, b in zip(load.currents[k], load.currents[k + 1], strict=True))
    return load.powers[k + 1] - load.powers[k], amps


@lru_cache(maxsize=8192)
def _off_or_minimum(load: Levels) -> Levels:
    on = _first_on(load)
    steps = _steps(load)
    kept = range(on + 1)
    return levels_from(
        load.answers[: on + 1],
        load.powers[: on + 1],
        load.costs[: on + 1],
        tuple([(*load.currents[k], 0 if k == on else steps) for k in kept]),
        tuple(kept),
    )


def _pool(power: int, amps: tuple[int, ...], steps: int) -> Levels:
    """Its amounts say it all: the currents are left out."""
    return Levels(
        answers=tuple(range(steps + 1)),
        powers=tuple([k * power for k in range(steps + 1)]),
        costs=(0,) * (steps + 1),
        currents=(),
        least_power=0,
        most_power=steps * power,
        least_cost=0,
        most_cost=0,
        least_current=(),
        most_current=(),
        amounts=np.array([[power], *[[a] for a in amps], [1], [0]], dtype=np.int64) * np.arange(steps + 1),
        start=0,
        segments=((0.0, steps * power, steps),),
    )
