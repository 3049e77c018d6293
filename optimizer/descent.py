"""Among the answers with a wanted sum of powers and costs, the first in list order that keeps the circuits.

A depth-first walk through the tables of `optimizer.budget`, so that every step can still reach the
wanted sum. It looks ahead at what the circuits leave for the remaining loads together, and it gives up
after a number of steps: then circuits bind too much for this path.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from optimizer.budget import Sums
from optimizer.levels import Levels
from optimizer.rows import Row, row_uses

STEPS_PER_LOAD = 6
MOST_LOADS = 400  # one level of recursion each


class TooManySteps(Exception):
    """Circuits bind too much for this path."""


@dataclass(slots=True)
class _Walk:
    """uses[i][k]: (row, amperes) of option k of load i. prices: volts per row, a list per way to look ahead.

    ahead[n][i]: the power the loads from the i-th on could add beyond the n-th prices' worth of their
    amperes. left[i]: the most they can use of each row.
    """

    loads: Sequence[Levels]
    sums: Sums
    uses: list[list[list[tuple[int, int]]]]
    prices: list[list[float]]
    ahead: list[list[float]]
    left: list[list[int]]
    steps: int = 0

    def descend(self, i: int, slacks: list[int], cost: int, powers: int) -> list[int] | None:
        if i == len(self.loads):
            return []
        if not self._enough_left(i, slacks, ((powers & -powers).bit_length() - 1) * self.sums.unit):
            return None
        self.steps += 1
        if self.steps > STEPS_PER_LOAD * len(self.loads):
            raise TooManySteps
        rest = self.sums.tables[i + 1]
        for k, extra_power, extra_cost in self.sums.options[i]:
            uses = self.uses[i][k]
            if any(slacks[r] < amps for r, amps in uses):
                continue
            open_powers = powers >> extra_power & rest.get(cost - extra_cost, 0)
            if not open_powers:
                continue
            left = slacks.copy()
            for r, amps in uses:
                left[r] -= amps
            found = self.descend(i + 1, left, cost - extra_cost, open_powers)
            if found is not None:
                return [k, *found]
        return None

    def _enough_left(self, i: int, slacks: list[int], needed: int) -> bool:
        usable = [min(pair) for pair in zip(slacks, self.left[i], strict=True)]
        for prices, ahead in zip(self.prices, self.ahead, strict=True):
            room = ahead[i] + sum([price * amps for price, amps in zip(prices, usable, strict=True)])
            if needed > room * (1 + 1e-9) + 1:
                return False
        return True


def first_within_rows(
    loads: Sequence[Levels], sums: Sums, rows: Sequence[Row], least_loss: float
) -> list[int] | None:
    """The best answer within the rows, None if it is not among the sums or not found soon.

    least_loss [nW]: no answer within the rows loses less.
    """
    if least_loss > sums.limit + sums.booked or len(loads) > MOST_LOADS:
        return None
    uses = row_uses(loads, rows)
    prices = _lookahead_prices(loads, rows)
    ahead = [_ahead(sums, uses, p) for p in prices]
    walk = _Walk(loads, sums, uses, prices, ahead, _left(sums, uses, len(rows)))
    slacks = [row.slack for row in rows]
    try:
        for loss, cost, powers in sums.targets():
            if loss + sums.booked >= least_loss:
                found = walk.descend(0, slacks, cost, powers)
                if found is not None:
                    return found
    except TooManySteps:
        pass
    return None


def _lookahead_prices(loads: Sequence[Levels], rows: Sequence[Row]) -> list[list[float]]:
    """The site's voltage on the innermost rows, and on the outermost: a load passes one of them per phase."""
    volts = [load.most_power / sum(load.most_current) for load in loads if sum(load.most_current) > 0]
    voltage = median(volts) if volts else 0.0
    ranked = sorted(range(len(rows)), key=lambda r: len(rows[r].phase_of))
    return [_spread(voltage, rows, ranked), _spread(voltage, rows, ranked[::-1])]


def _spread(voltage: float, rows: Sequence[Row], ranked: Sequence[int]) -> list[float]:
    prices, taken = [0.0] * len(rows), set[tuple[int, int]]()
    for r in ranked:
        members = set(rows[r].phase_of.items())
        if not members & taken:
            prices[r] = voltage
            taken |= members
    return prices


def _ahead(sums: Sums, uses: list[list[list[tuple[int, int]]]], prices: list[float]) -> list[float]:
    total = 0.0
    ahead = [total]
    for options, used in zip(reversed(sums.options), reversed(uses), strict=True):
        total += max(
            [power * sums.unit - sum([prices[r] * amps for r, amps in used[k]]) for k, power, _ in options]
        )
        ahead.append(total)
    return ahead[::-1]


def _left(sums: Sums, uses: list[list[list[tuple[int, int]]]], row_count: int) -> list[list[int]]:
    most = [0] * row_count
    left = [most.copy()]
    for options, used in zip(reversed(sums.options), reversed(uses), strict=True):
        largest: dict[int, int] = {}
        for k, _, _ in options:
            for r, amps in used[k]:
                largest[r] = max(largest.get(r, 0), amps)
        for r, amps in largest.items():
            most[r] += amps
        left.append(most.copy())
    return left[::-1]
