"""The options of all loads side by side, as arrays, and the best of them at given prices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optimizer.levels import COST, POWER, Levels
from optimizer.rows import Row

Ints = NDArray[np.integer[Any]]
Floats = NDArray[np.float64]
Numbers = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Options:
    """A column per option, load by load; those of load i begin at starts[i].

    takes: power and the amperes of each row, costs: both beyond the least of the load. load: its index.
    """

    takes: Ints
    costs: Ints
    load: Ints
    starts: Ints

    def priced(self, prices: Floats) -> tuple[Floats, Floats]:
        """prices: what a unit of power is worth, then what a unit of each row costs.

        Answers the least priced cost of each load, and what each option is dearer than that.
        """
        priced = self.costs - prices[0] * self.takes[0]
        if len(prices) > 1:
            priced += prices[1:] @ self.takes[1:]
        least = np.minimum.reduceat(priced, self.starts)
        return least, priced - least[self.load]


def options_of(loads: Sequence[Levels], rows: Sequence[Row] = ()) -> Options:
    counts = [len(load.powers) for load in loads]
    load = np.repeat(np.arange(len(loads)), counts)
    starts = np.array([0, *accumulate(counts[:-1])])
    amounts = np.concatenate([load.amounts for load in loads], axis=1)
    if not rows:
        return Options(amounts[:1], amounts[COST], load, starts)
    member = np.zeros((1 + len(rows), len(loads)), dtype=np.int64)
    member[0] = 1
    for r, row in enumerate(rows, 1):
        member[r, row.members] = 1
    takes = amounts[[POWER, *[1 + row.phase for row in rows]]] * member[:, load]
    return Options(takes, amounts[COST], load, starts)
