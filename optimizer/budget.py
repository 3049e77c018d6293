"""Exact choice by sums of powers: sets of reachable powers as the bits of integers.

First the loads that do not compete are settled: at the price of the last watt of sun, an option
that costs more than a margin beyond its load's best cannot belong to an answer within that margin
of the bound, that of a good answer; few loads are left free. For those from the i-th free one to the last, `tables[i]`
holds, per cost, an integer whose bit k says that the power k can be reached at that cost and no lower
one. One shift and one "or" add an option of a load to thousands of sums at once. Sums that cannot
belong to an answer within the margin are masked out, by linear bounds on what the free loads before the
i-th can still contribute. Read forwards from a (cost, power), the tables give the choice that is first
in list order.

Loss is what an answer lacks of the surplus, or overdraws times the penalty, plus its cost above the
least. Source: fixing by reduced costs as in Martello and Toth, Knapsack Problems (1990), 2.2.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import gcd, inf

import numpy as np

from optimizer.descent import descended
from optimizer.electrical import NANO
from optimizer.levels import Levels
from optimizer.options import options_of

MOST_BITS = 400_000
MOST_COST_LEVELS = 300
MARGIN = 30 * NANO
FEW_LOADS = 12
Exact = Fraction | int | float  # float only where it is infinite
Target = tuple[Exact, int, int]  # loss, cost, powers as bits
_ByCost = list[tuple[int, list[int], int]]


@dataclass(frozen=True, slots=True)
class Sums:
    """tables as above; powers in `unit`, powers and costs beyond the least of the options left.

    options: those that each load is left with. free: the loads with several. available, limit: the sun left
    over and the loss allowed beyond those least; every answer within the limit that no other with the same
    power undercuts is in the tables.
    booked: the least costs of the options left.
    """

    options: list[list[int]]
    free: list[_Free]
    tables: list[dict[int, int]]
    unit: int
    available: int
    penalty: Fraction
    limit: float
    booked: int

    def best(self) -> Target:
        """The best loss and lowest cost, whatever the loss; none: infinite loss."""
        best: Target = (inf, 0, 0)
        for cost, bits in self.tables[0].items():
            below, above = _neighbours(bits, self.available // self.unit)
            if above and self.penalty != 0:
                above &= -above
            for powers in (below, above):
                if powers:
                    loss = self._loss(powers.bit_length() - 1, cost)
                    if (loss, cost) < best[:2]:
                        best = loss, cost, powers
                    elif (loss, cost) == best[:2]:
                        best = loss, cost, best[2] | powers
        return best

    def _loss(self, power: int, cost: int) -> Exact:
        return loss_of(power * self.unit, cost, self.available, self.penalty)


def loss_of(power: int, cost: int, available: int, penalty: Fraction) -> Exact:
    if power <= available:
        return available - power + cost
    if penalty.denominator == 1:
        return penalty.numerator * (power - available) + cost
    return penalty * (power - available) + cost


def separable_choice(loads: Sequence[Levels], available: int, penalty: Fraction) -> list[int] | None:
    """The best options where all sun or none suffices: the loads do not compete. Else None."""
    if sum([load.most_power for load in loads]) <= available:
        a, b = -1, 1
    elif sum([load.least_power for load in loads]) < available:
        return None
    else:
        a, b = penalty.numerator, penalty.denominator
    return [
        min(
            range(len(x.powers)),
            key=[(a * p + b * c, c) for p, c in zip(x.powers, x.costs, strict=True)].__getitem__,
        )
        for x in loads
    ]


@dataclass(frozen=True, slots=True)
class Filled:
    """Loads run in part, cheapest watts first, until the sun is used. price: the cost of the last watt.

    options: what is run in whole. available: the sun beyond the least powers.
    """

    price: float
    options: list[int]
    available: int


def filled_up(loads: Sequence[Levels], available: int, penalty: Fraction) -> Filled:
    available -= sum([load.least_power for load in loads])
    options, left = [load.start for load in loads], available
    segments = [(*segment, i) for i, load in enumerate(loads) for segment in load.segments]
    for price, power, option, i in sorted(segments):
        left -= power
        if left < 0:
            return Filled(min(max(price, -float(penalty)), 1.0), options, available)
        options[i] = option
    return Filled(1.0, options, available)


def first_of_the_best(loads: Sequence[Levels], filled: Filled, penalty: Fraction) -> list[int] | None:
    """Of the answers with the best loss and lowest cost the first in order; None: too many sums to list."""
    sums = _reachable_sums(loads, filled, penalty)
    return None if sums is None else _first_in_order(sums, sums.best())


def _reachable_sums(loads: Sequence[Levels], filled: Filled, penalty: Fraction) -> Sums | None:
    """The sums of all answers that lose no more than a good one."""
    price, available = filled.price, filled.available
    priced = [
        [c - load.least_cost - price * (p - load.least_power) for p, c in zip(load.powers, load.costs, strict=True)]
        for load in loads
    ]
    least = [min(options) for options in priced]
    bound = price * available + sum(least)
    loss = _good_loss(loads, filled, bound, float(penalty))
    size = abs(available) + sum(
        [load.most_power - load.least_power + load.most_cost - load.least_cost for load in loads]
    )
    rounding = 1.0 + 1e-13 * size * max(1.0, float(penalty))
    margin = loss - bound + rounding
    kept = [
        [k for k, cost in enumerate(options) if cost - best <= margin]
        for options, best in zip(priced, least, strict=True)
    ]
    return _sums(loads, kept, available, penalty, price, loss + rounding)


def _good_loss(loads: Sequence[Levels], filled: Filled, bound: float, penalty: float) -> float:
    """Of what is filled up after the best single change; where many loads are, after the best few."""
    if len(loads) > FEW_LOADS:
        options = options_of(loads)
        _, dearer = options.priced(np.array([filled.price]))
        chosen = options.starts + filled.options
        return descended(options, chosen, dearer, filled.available, penalty, enough=bound + MARGIN).loss
    base = [(load, load.powers[k], load.costs[k]) for load, k in zip(loads, filled.options, strict=True)]
    gap = filled.available - sum([power - load.least_power for load, power, _ in base])
    cost = sum([cost - load.least_cost for load, _, cost in base])
    gaps = [(gap + power - p, cost - c_0 + c) for load, power, c_0 in base for p, c in zip(load.powers, load.costs, strict=True)]
    return float(min([max(left, -penalty * left) + extra for left, extra in gaps]))


@dataclass(frozen=True, slots=True)
class _Free:
    """A load with several options left. options: (option, power, cost) beyond the least of them.

    base_power, base_cost: that least, beyond the load's. by_cost: (cost, powers, their common difference or
    0), all powers in the unit.
    """

    options: list[tuple[int, int, int]]
    base_power: int
    base_cost: int

    @classmethod
    def of(cls, load: Levels, kept: Sequence[int]) -> _Free:
        power, cost = min([load.powers[k] for k in kept]), min([load.costs[k] for k in kept])
        options = [(k, load.powers[k] - power, load.costs[k] - cost) for k in kept]
        return cls(options, power - load.least_power, cost - load.least_cost)

    def by_cost(self, unit: int) -> _ByCost:
        """(cost, powers in the unit, their common difference or 0)."""
        classes: dict[int, set[int]] = {}
        for _, power, cost in self.options:
            classes.setdefault(cost, set()).add(power // unit)
        return [
            (cost, (found := sorted(powers)), _common_difference(found)) for cost, powers in classes.items()
        ]


def _common_difference(powers: list[int]) -> int:
    differences = {b - a for a, b in pairwise(powers)}
    return differences.pop() if len(differences) == 1 else 0


def _sums(
    loads: Sequence[Levels],
    options: list[list[int]],
    available: int,
    penalty: Fraction,
    price: float,
    limit: float,
) -> Sums | None:
    free = [_Free.of(load, kept) for load, kept in zip(loads, options, strict=True) if len(kept) > 1]
    settled = [(load, kept[0]) for load, kept in zip(loads, options, strict=True) if len(kept) == 1]
    available -= sum([x.powers[k] - x.least_power for x, k in settled]) + sum([x.base_power for x in free])
    booked = sum([x.costs[k] - x.least_cost for x, k in settled]) + sum([x.base_cost for x in free])
    unit = gcd(*[power for x in free for _, power, _ in x.options]) or 1
    most: float = sum([max([power for _, power, _ in x.options]) for x in free])
    if penalty > 0:
        most = min(most, available + max(limit - booked, 0) / float(penalty))
    if most / unit > MOST_BITS:
        return None
    bands = _bands(free, available, price, float(penalty))
    tables = _tables([x.by_cost(unit) for x in free], unit, bands, limit - booked)
    if tables is None:
        return None
    return Sums(options, free, tables, unit, available, penalty, limit - booked, booked)


@dataclass(frozen=True, slots=True)
class _Band:
    """What the powers of the loads from the i-th on must keep to, so that those before can make up for it.

    For a price of sun between −penalty and 1, loss >= price · gap: a bound that is a sum over loads.
    least_cost: by the price 0. lower, upper: (base, slope) of the other prices: the power is at least
    base − spare · slope, or at most base + spare · slope, where spare is what may still be lost.
    """

    least_cost: float
    lower: list[tuple[float, float]]
    upper: list[tuple[float, float]]


def _bands(free: Sequence[_Free], available: int, middle: float, penalty: float) -> list[_Band]:
    prices = tuple(dict.fromkeys((1.0, middle, -penalty, 0.0)))
    before = [price * available for price in prices]
    bands = [_band(prices, before)]
    for load in free:
        before = [
            so_far + min([cost - price * power for _, power, cost in load.options])
            for price, so_far in zip(prices, before, strict=True)
        ]
        bands.append(_band(prices, before))
    return bands


def _band(prices: Sequence[float], before: Sequence[float]) -> _Band:
    """before: by each price, the least loss of the loads before."""
    pairs = list(zip(prices, before, strict=True))
    lower = [(least / price, 1 / price) for price, least in pairs if price > 0]
    upper = [(least / price, -1 / price) for price, least in pairs if price < 0]
    return _Band(max([least for price, least in pairs if price == 0]), lower, upper)


def _tables(
    loads: Sequence[_ByCost], unit: int, bands: Sequence[_Band], limit: float
) -> list[dict[int, int]] | None:
    table = {0: 1}
    tables = [table]
    for i in range(len(loads) - 1, -1, -1):
        table = _useful(_added(loads[i], table), unit, bands[i], limit)
        if len(table) > MOST_COST_LEVELS:
            return None
        tables.append(table)
    tables.reverse()
    return tables


def _added(load: _ByCost, table: dict[int, int]) -> dict[int, int]:
    """The table with one more load."""
    result: dict[int, int] = {}
    for extra_cost, powers, step in load:
        for cost, bits in table.items():
            if step:
                moved = _shifted_series(bits << powers[0], len(powers), step)
            else:
                moved = 0
                for power in powers:
                    moved |= bits << power
            total = cost + extra_cost
            result[total] = result.get(total, 0) | moved
    return result


def _useful(table: dict[int, int], unit: int, band: _Band, limit: float) -> dict[int, int]:
    """Without the sums that a lower cost reaches, or that the loads before cannot bring within the limit."""
    result, cheaper = {}, 0
    for cost in sorted(table):
        spare = limit - cost
        if spare < band.least_cost:
            break
        bits = table[cost]
        low = int(max([base - spare * slope for base, slope in band.lower]) / unit * (1 - 1e-12)) - 1
        if low > 0:
            bits = bits >> low << low
        if band.upper:
            high = int(min([base + spare * slope for base, slope in band.upper]) / unit * (1 + 1e-12)) + 2
            if high < bits.bit_length():
                bits &= (1 << max(high, 0)) - 1
        bits ^= bits & cheaper
        if bits:
            result[cost] = bits
            cheaper |= bits
    return result


def _shifted_series(bits: int, count: int, step: int) -> int:
    """bits, or-ed with itself moved by 1, 2, … count − 1 steps; doubling needs log2(count) shifts."""
    done = 1
    while done < count:
        move = min(done, count - done)
        bits |= bits << move * step
        done += move
    return bits


def _neighbours(bits: int, target: int) -> tuple[int, int]:
    """Of the reachable powers, as bits: the highest up to the target, and all above it."""
    if target < 0:
        return 0, bits
    if target >= bits.bit_length():
        return 1 << bits.bit_length() - 1, 0
    above = bits >> target + 1 << target + 1
    below = bits ^ above
    return (1 << below.bit_length() - 1 if below else 0), above


def _first_in_order(sums: Sums, target: Target) -> list[int]:
    """The choice, lowest options first, that reaches the target."""
    _, cost, powers = target
    chosen = []
    free = zip(sums.free, sums.tables[1:], strict=True)
    for kept in sums.options:
        if len(kept) == 1:
            chosen += kept
            continue
        load, rest = next(free)
        for k, extra_power, extra_cost in load.options:
            left = powers >> extra_power // sums.unit & rest.get(cost - extra_cost, 0)
            if left:
                chosen.append(k)
                cost, powers = cost - extra_cost, left
                break
    return chosen
