"""Exact choice by sums of powers: sets of reachable powers as the bits of integers.

First the loads that do not compete are settled: at the price of the last watt of sun, an option
that costs more than a margin beyond its load's best cannot belong to an answer within that margin
of the bound; few loads are left with a choice. For those from the i-th to the last, `tables[i]`
holds, per cost, an integer whose bit k says that the power k can be reached at that cost. One shift
and one "or" add an option of a load to thousands of sums at once. Sums that cannot belong to an
answer within the margin are masked out, by linear bounds on what the loads before the i-th can still
contribute; the margin is raised until an answer lies within it. Read forwards from a (cost, power),
the tables give the choice that is first in list order.

Loss is what an answer lacks of the surplus, or overdraws times the penalty, plus its cost above the
least. Source: fixing by reduced costs as in Martello and Toth, Knapsack Problems (1990), 2.2.3.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import gcd, inf

from optimizer.electrical import NANO
from optimizer.levels import Levels

MOST_BITS = 400_000
MOST_COST_LEVELS = 300
MARGINS = (60 * NANO, 240 * NANO, 960 * NANO)
Exact = Fraction | int | float  # float only where it is infinite
Target = tuple[Exact, int, int]  # loss, cost, powers as bits
_ByCost = list[tuple[int, list[int], int]]


@dataclass(frozen=True, slots=True)
class Sums:
    """tables as above; powers in `unit`, powers and costs beyond the least of the options left.

    options[i]: (option, power, cost) of those that load i is left with. available, limit: the sun left
    over and the loss allowed beyond those least; every answer within the limit is in the tables.
    booked: the least costs of the options left.
    """

    options: list[list[tuple[int, int, int]]]
    tables: list[dict[int, int]]
    unit: int
    available: int
    penalty: Fraction
    limit: float
    booked: int

    def targets(self) -> Iterator[Target]:
        """From the best loss and lowest cost upwards."""
        found: dict[tuple[Exact, int], int] = {}
        for cost, bits in self.tables[0].items():
            while bits:
                bit = bits & -bits
                bits ^= bit
                loss = self._loss(bit.bit_length() - 1, cost)
                if loss <= self.limit:
                    found[loss, cost] = found.get((loss, cost), 0) | bit
        for loss, cost in sorted(found):
            yield loss, cost, found[loss, cost]

    def best(self) -> Target:
        """The first of `targets`, without listing the others, whatever its loss; none: infinite loss."""
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


def reachable_sums(loads: Sequence[Levels], available: int, penalty: Fraction) -> Sums | None:
    """The sums of all answers with nearly the best loss; None if they are too many to list."""
    available -= sum([load.least_power for load in loads])
    price = _clearing_price(loads, available, float(penalty))
    dearer = [_reduced_costs(load, price) for load in loads]
    bound = price * available + sum([least for least, _ in dearer])
    size = abs(available) + sum(
        [load.most_power - load.least_power + load.most_cost - load.least_cost for load in loads]
    )
    rounding = 1.0 + 1e-14 * size * max(1.0, float(penalty))
    margin = _first_margin([more for _, more in dearer])
    limit = bound + margin
    while True:
        left = [
            _Left.of(load, [k for k, more in enumerate(extra) if more <= limit - bound + rounding])
            for load, (_, extra) in zip(loads, dearer, strict=True)
        ]
        sums = _sums(left, available, penalty, price, limit)
        if sums is None:
            return None
        best = sums.best()
        if best[0] <= sums.limit:
            return sums
        margin *= 4
        limit = bound + margin
        limit = min(limit, float(best[0] + sums.booked) * (1 + 1e-12) + 1)


def _first_margin(dearer: Sequence[Sequence[float]]) -> float:
    """The widest that leaves hardly more loads free than the narrowest does, as where all are alike."""
    seconds = sorted([sorted(extra)[1] for extra in dearer if len(extra) > 1])
    free = [bisect_right(seconds, margin) for margin in MARGINS]
    return max([m for m, count in zip(MARGINS, free, strict=True) if count <= free[0] * 1.25 + 2])


def _clearing_price(loads: Sequence[Levels], available: int, penalty: float) -> float:
    """The cost of the last watt if loads could be run in part, cheapest watts first."""
    segments = []
    for load in loads:
        hull = _lower_hull([(load.powers[k] - load.least_power, load.costs[k]) for k in load.corners])
        segments += [((c2 - c1) / (p2 - p1), p2 - p1) for (p1, c1), (p2, c2) in pairwise(hull)]
    for price, power in sorted(segments):
        available -= power
        if available < 0:
            return min(max(price, -penalty), 1.0)
    return 1.0


def _lower_hull(points: list[tuple[int, int]]) -> list[tuple[int, int]]:
    hull: list[tuple[int, int]] = []
    for power, cost in sorted(points):
        if hull and hull[-1][0] == power:
            continue
        while len(hull) > 1:
            (p1, c1), (p2, c2) = hull[-2:]
            if (c2 - c1) * (power - p1) < (cost - c1) * (p2 - p1):
                break
            hull.pop()
        hull.append((power, cost))
    return hull


def _reduced_costs(load: Levels, price: float) -> tuple[float, list[float]]:
    """The least cost of the load's options with their power at this price, and what each is above it."""
    p0, c0 = load.least_power, load.least_cost
    priced = [c - c0 - price * (p - p0) for p, c in zip(load.powers, load.costs, strict=True)]
    least = min(priced)
    return least, [cost - least for cost in priced]


@dataclass(frozen=True, slots=True)
class _Left:
    """The options that a load is left with. (base_power, base_cost): their least, beyond the load's.

    options: (option, power, cost) beyond the base. power_step: greatest common divisor of those powers.
    """

    options: list[tuple[int, int, int]]
    base_power: int
    base_cost: int
    power_step: int

    @classmethod
    def of(cls, load: Levels, kept: list[int]) -> _Left:
        if len(kept) == 1:
            k = kept[0]
            return cls([(k, 0, 0)], load.powers[k] - load.least_power, load.costs[k] - load.least_cost, 0)
        power, cost = min([load.powers[k] for k in kept]), min([load.costs[k] for k in kept])
        options = [(k, load.powers[k] - power, load.costs[k] - cost) for k in kept]
        step = gcd(*[p for _, p, _ in options])
        return cls(options, power - load.least_power, cost - load.least_cost, step)

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
    left: Sequence[_Left], available: int, penalty: Fraction, price: float, limit: float
) -> Sums | None:
    available -= sum([x.base_power for x in left])
    booked = sum([x.base_cost for x in left])
    unit = gcd(*[x.power_step for x in left]) or 1
    free = [x for x in left if len(x.options) > 1]
    most: float = sum([max([p for _, p, _ in x.options]) for x in free])
    if penalty > 0:
        most = min(most, available + max(limit - booked, 0) / float(penalty))
    if most / unit > MOST_BITS:
        return None
    bounds = _LinearBounds.of(free, available, price, float(penalty))
    found = _tables([x.by_cost(unit) for x in free], unit, bounds, limit - booked)
    if found is None:
        return None
    tables, at = [found[0]], 0
    for x in left:
        at += len(x.options) > 1
        tables.append(found[at])
    options = [[(k, p // unit, c) for k, p, c in x.options] for x in left]
    return Sums(options, tables, unit, available, penalty, limit - booked, booked)


@dataclass(frozen=True, slots=True)
class _LinearBounds:
    """For a price v of sun between −penalty and 1, loss >= v·gap: a bound that is a sum over loads.

    before[i][v]: the least loss of the loads before the i-th, with the whole gap priced at v.
    """

    prices: tuple[float, ...]
    before: list[list[float]]

    @classmethod
    def of(cls, free: Sequence[_Left], available: int, middle: float, penalty: float) -> _LinearBounds:
        prices = tuple(dict.fromkeys((1.0, middle, -penalty, 0.0)))
        so_far = [p * available for p in prices]
        before = [so_far]
        for x in free:
            so_far = [
                total + min([c - price * p for _, p, c in x.options])
                for price, total in zip(prices, so_far, strict=True)
            ]
            before.append(so_far)
        return cls(prices, before)

    def band(self, i: int) -> tuple[float, list[tuple[float, float]], list[tuple[float, float]]]:
        """What the powers of the loads from the i-th on must keep to; see `_masked`."""
        pairs = list(zip(self.prices, self.before[i], strict=True))
        lower = [(before / price, 1 / price) for price, before in pairs if price > 0]
        upper = [(-before / -price, 1 / -price) for price, before in pairs if price < 0]
        return max((before for price, before in pairs if price == 0), default=0.0), lower, upper


def _tables(
    loads: Sequence[_ByCost], unit: int, bounds: _LinearBounds, limit: float
) -> list[dict[int, int]] | None:
    table = {0: 1}
    tables = [table]
    for i in range(len(loads) - 1, -1, -1):
        table = _masked(_added(loads[i], table), i, unit, bounds, limit)
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


def _masked(table: dict[int, int], i: int, unit: int, bounds: _LinearBounds, limit: float) -> dict[int, int]:
    """Without the sums that no choice of the loads before the i-th can bring within the limit."""
    least_cost, lower, upper = bounds.band(i)
    result = {}
    for cost, bits in table.items():
        spare = limit - cost
        if spare < least_cost:
            continue
        lowest = max([base - spare * slope for base, slope in lower])
        low = int(lowest / unit * (1 - 1e-12)) - 1
        if low > 0:
            bits = bits >> low << low
        if upper:
            high = int(min([base + spare * slope for base, slope in upper]) / unit * (1 + 1e-12)) + 2
            if high < bits.bit_length():
                bits &= (1 << max(high, 0)) - 1
        if bits:
            result[cost] = bits
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


def first_in_order(sums: Sums, target: Target) -> list[int]:
    """The choice, lowest options first, that reaches the target."""
    _, cost, powers = target
    chosen = []
    for options, rest in zip(sums.options, sums.tables[1:], strict=True):
        for k, extra_power, extra_cost in options:
            left = powers >> extra_power & rest.get(cost - extra_cost, 0)
            if left:
                chosen.append(k)
                cost, powers = cost - extra_cost, left
                break
    return chosen
