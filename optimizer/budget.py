"""Exact choice by sums of powers: sets of reachable powers as the bits of integers.

First the loads that do not compete are settled. At the price of the last watt of sun, an option that costs
more than a margin beyond its load's best cannot belong to an answer within that margin of the bound; the
margin is that of a good answer, and few loads are left free. For those from the i-th free one to the last,
`tables[i]` holds, per cost, an integer whose bit k says that the power k can be reached at that cost and no
lower one. One shift and one "or" add an option of a load to thousands of sums at once. Where the costs become
many, sums that cannot belong to an answer within the margin are masked out, by linear bounds on what the free
loads before the i-th can still contribute. Read forwards from a (cost, power), the tables give the choice
that is first in list order.

Loss is what an answer lacks of the surplus, or overdraws times the penalty, plus its cost above the
least. Source: fixing by reduced costs as in Martello and Toth, Knapsack Problems (1990), 2.2.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from math import gcd, inf

import numpy as np
from numpy.typing import NDArray

from optimizer.descent import descended
from optimizer.electrical import NANO
from optimizer.levels import Levels
from optimizer.options import Options, options_of

MOST_BITS = 400_000
MOST_COST_LEVELS = 300
MARGIN = 500 * NANO
NARROW_MARGIN = 60 * NANO
MANY_FREE = 60
FEW_LOADS = 24
FEW_COSTS = 30
FEW_BITS = 150_000
Exact = Fraction | int | float  # float only where it is infinite
Target = tuple[Exact, int, int]  # loss, cost, powers as bits
_ByCost = list[tuple[int, list[int], int]]


@dataclass(frozen=True, slots=True)
class Sums:
    """tables as above; powers in `unit`, powers and costs beyond the least of the options left.

    options: those that each load is left with. free: the loads with several. available, limit: the sun left
    over and the loss allowed beyond the least of those. Every answer within the limit that no other with the
    same power undercuts is in the tables. booked: the least costs of the options left.
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
    size = abs(filled.available) + sum(
        [load.most_power - load.least_power + load.most_cost - load.least_cost for load in loads]
    )
    rounding = 1.0 + 1e-13 * size * max(1.0, float(penalty))
    if len(loads) > FEW_LOADS:
        return _sums_of_many(loads, filled, penalty, rounding)
    kept, limit = _options_of_few(loads, filled, float(penalty), rounding)
    return _sums(loads, kept, filled, penalty, limit)


def _options_of_few(
    loads: Sequence[Levels], filled: Filled, penalty: float, rounding: float
) -> tuple[list[list[int]], float]:
    """Those that an answer may contain that loses no more than the filled one after its best single change;
    and that loss."""
    least, dearer = [], []
    for load in loads:
        offset = filled.price * load.least_power - load.least_cost
        priced = [c - filled.price * p + offset for p, c in zip(load.powers, load.costs, strict=True)]
        least.append(min(priced))
        dearer.append([cost - least[-1] for cost in priced])
    chosen = [(load, load.powers[k], load.costs[k]) for load, k in zip(loads, filled.options, strict=True)]
    gap = filled.available - sum([power - load.least_power for load, power, _ in chosen])
    cost = sum([cost - load.least_cost for load, _, cost in chosen])
    changed = [
        (gap + power - p, cost - paid + c)
        for load, power, paid in chosen
        for p, c in zip(load.powers, load.costs, strict=True)
    ]
    limit = rounding + min([max(left, -penalty * left) + paid for left, paid in changed])
    margin = limit - filled.price * filled.available - sum(least) + rounding
    return [[k for k, cost in enumerate(costs) if cost <= margin] for costs in dearer], limit


def _sums_of_many(loads: Sequence[Levels], filled: Filled, penalty: Fraction, rounding: float) -> Sums | None:
    """The same after changes of one load or two, for as long as they gain.

    Of very many loads that would leave too many free: answers close to the bound are looked for first.
    """
    options = options_of(loads)
    least, dearer = options.priced(np.array([filled.price]))
    bound = filled.price * filled.available + float(least.sum())
    chosen, enough = options.starts + filled.options, bound + MARGIN
    good = descended(options, chosen, dearer, [filled.available], float(penalty), enough)
    limit = good.loss + rounding
    kept = _kept_options(options, dearer <= limit - bound + rounding)
    if _free_count(kept) > MANY_FREE:
        fewer = _kept_options(options, dearer <= NARROW_MARGIN + rounding)
        sums = None
        if 2 * _free_count(fewer) < _free_count(kept):
            sums = _sums(loads, fewer, filled, penalty, bound + NARROW_MARGIN)
        if sums is not None:
            if sums.best()[0] <= sums.limit:
                return sums
            limit = min(limit, float(sums.best()[0] + sums.booked) + rounding)
            kept = _kept_options(options, dearer <= limit - bound + rounding)
    return _sums(loads, kept, filled, penalty, limit)


def _kept_options(options: Options, kept: NDArray[np.bool_]) -> list[list[int]]:
    which = (kept.nonzero()[0] - options.starts[options.load[kept]]).tolist()
    ends = [0, *np.cumsum(np.add.reduceat(kept, options.starts, dtype=np.int64)).tolist()]
    return [which[a:b] for a, b in pairwise(ends)]


def _free_count(kept: Sequence[Sequence[int]]) -> int:
    return sum([len(options) > 1 for options in kept])


@dataclass(frozen=True, slots=True)
class _Free:
    """A load with several options left. options: (option, power, cost) beyond the least of them.

    base_power, base_cost: that least, beyond the load's.
    """

    options: list[tuple[int, int, int]]
    base_power: int
    base_cost: int

    @classmethod
    def of(cls, load: Levels, kept: Sequence[int]) -> _Free:
        powers, costs = [load.powers[k] for k in kept], [load.costs[k] for k in kept]
        power, cost = min(powers), min(costs)
        options = [(k, p - power, c - cost) for k, p, c in zip(kept, powers, costs, strict=True)]
        return cls(options, power - load.least_power, cost - load.least_cost)

    def by_cost(self, unit: int) -> _ByCost:
        """(cost, powers in the unit, their common difference or 0)."""
        classes: dict[int, list[int]] = {}
        for _, power, cost in self.options:
            classes.setdefault(cost, []).append(power // unit)
        return [(cost, sorted(powers), _common_difference(powers)) for cost, powers in classes.items()]


def _common_difference(powers: list[int]) -> int:
    """Of two powers at least, in ascending order."""
    if len(powers) < 2 or powers[1] <= powers[0]:
        return 0
    step = powers[1] - powers[0]
    return step if powers == list(range(powers[0], powers[-1] + 1, step)) else 0


def _sums(
    loads: Sequence[Levels], options: list[list[int]], filled: Filled, penalty: Fraction, limit: float
) -> Sums | None:
    free = [_Free.of(load, kept) for load, kept in zip(loads, options, strict=True) if len(kept) > 1]
    settled = [(load, kept[0]) for load, kept in zip(loads, options, strict=True) if len(kept) == 1]
    available = filled.available - sum([x.powers[k] - x.least_power for x, k in settled])
    available -= sum([x.base_power for x in free])
    booked = sum([x.costs[k] - x.least_cost for x, k in settled]) + sum([x.base_cost for x in free])
    unit = gcd(*[power for x in free for _, power, _ in x.options]) or 1
    most: float = sum([max([power for _, power, _ in x.options]) for x in free])
    if penalty > 0:
        most = min(most, available + max(limit - booked, 0) / float(penalty))
    if most / unit > MOST_BITS:
        return None
    by_cost = [x.by_cost(unit) for x in free]
    tables = _tables(by_cost, _Bands(by_cost, unit, available, filled.price, float(penalty)), limit - booked)
    if tables is None:
        return None
    return Sums(options, free, tables, unit, available, penalty, limit - booked, booked)


class _Bands:
    """Where the powers of the loads from the i-th on must lie, so that those before can make up for the rest.

    For a price of sun between −penalty and 1, loss >= price · gap: a bound that is a sum over loads.
    """

    def __init__(
        self, loads: Sequence[_ByCost], unit: int, available: int, middle: float, penalty: float
    ) -> None:
        self.loads, self.unit, self.available = loads, unit, available
        self.prices = [price for price in dict.fromkeys((1.0, middle, -penalty)) if price]

    @cached_property
    def _before(self) -> list[list[float]]:
        """By each price, the least loss of the loads before the i-th."""
        before = [[price * self.available for price in self.prices]]
        for load in self.loads:
            ends = [(cost, powers[0] * self.unit, powers[-1] * self.unit) for cost, powers, _ in load]
            before.append(
                [
                    so_far + min([cost - max(price * low, price * high) for cost, low, high in ends])
                    for price, so_far in zip(self.prices, before[-1], strict=True)
                ]
            )
        return before

    def masked(self, table: dict[int, int], i: int, limit: float) -> dict[int, int]:
        """Without the sums of the loads from the i-th on that cannot be brought within the limit."""
        pairs = list(zip(self.prices, self._before[i], strict=True))
        lower = [(least / price, 1 / price) for price, least in pairs if price > 0]
        upper = [(least / price, -1 / price) for price, least in pairs if price < 0]
        result = {}
        for cost, bits in table.items():
            low = (
                int(max([base - (limit - cost) * slope for base, slope in lower]) / self.unit * (1 - 1e-12))
                - 1
            )
            if low > 0:
                bits = bits >> low << low
            if upper:
                highest = min([base + (limit - cost) * slope for base, slope in upper])
                bits &= (1 << max(int(highest / self.unit * (1 + 1e-12)) + 2, 0)) - 1
            if bits:
                result[cost] = bits
        return result


def _tables(loads: Sequence[_ByCost], bands: _Bands, limit: float) -> list[dict[int, int]] | None:
    table = {0: 1}
    tables = [table]
    for i in range(len(loads) - 1, -1, -1):
        table = _without_dearer(_added(loads[i], table), limit)
        if len(table) > FEW_COSTS or sum([bits.bit_length() for bits in table.values()]) > FEW_BITS:
            table = bands.masked(table, i, limit)
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


def _without_dearer(table: dict[int, int], limit: float) -> dict[int, int]:
    """Without the sums that a lower cost reaches."""
    result, cheaper = {}, 0
    for cost in sorted(table):
        if cost > limit:
            break
        bits = table[cost]
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
