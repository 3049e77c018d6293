"""Exact choice by sums of powers: sets of reachable powers as the bits of integers.

For the loads from the i-th to the last, `tables[i]` holds, per cost, an integer whose bit k says that
the power k can be reached at that cost. One shift and one "or" add an option of a load to thousands
of sums at once. Sums that cannot belong to an answer within a loss limit are masked out, by
linear bounds on what the loads before the i-th can still contribute; the limit is raised until an
answer lies within it. Read forwards from a (cost, power), the tables give the choice that is first
in list order.

Loss is what an answer lacks of the surplus, or overdraws times the penalty, plus its cost.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import gcd

from optimizer.electrical import NANO
from optimizer.levels import Levels

MOST_BITS = 200_000
MOST_COST_LEVELS = 300
FIRST_MARGIN = 100 * NANO
Exact = Fraction | int
Target = tuple[Exact, int, int]


@dataclass(frozen=True, slots=True)
class Sums:
    """tables as above, powers in `unit`. limit: every answer with at most this loss is in the tables.

    available: sun left over if each load takes its least power.
    """

    tables: list[dict[int, int]]
    unit: int
    available: int
    penalty: Fraction
    limit: float

    def targets(self) -> Iterator[list[Target]]:
        """(loss, cost, power) from the best loss and lowest cost upwards, equals together."""
        found: list[Target] = []
        for cost, bits in self.tables[0].items():
            while bits:
                power = bits.bit_length() - 1
                bits ^= 1 << power
                loss = loss_of(power * self.unit, cost, self.available, self.penalty)
                if loss <= self.limit:
                    found.append((loss, cost, power))
        found.sort()
        while found:
            count = sum(t[:2] == found[0][:2] for t in found)
            yield found[:count]
            found = found[count:]

    def best(self) -> list[Target]:
        """The first of `targets`, without listing the others."""
        found: list[Target] = []
        for cost, bits in self.tables[0].items():
            for power in _neighbours(bits, self.available // self.unit):
                target = (loss_of(power * self.unit, cost, self.available, self.penalty), cost, power)
                if not found or target[:2] < found[0][:2]:
                    found = [target]
                elif target[:2] == found[0][:2]:
                    found.append(target)
        return found


def loss_of(power: int, cost: int, available: int, penalty: Fraction) -> Exact:
    if power <= available:
        return available - power + cost
    if penalty.denominator == 1:
        return penalty.numerator * (power - available) + cost
    return penalty * (power - available) + cost


def separable_choice(loads: Sequence[Levels], available: int, penalty: Fraction) -> list[int] | None:
    """The best options where all sun or none suffices: the loads do not compete. Else None."""
    if sum(load.most_power for load in loads) <= available:
        return [load.fullest for load in loads]
    if sum(load.least_power for load in loads) < available:
        return None
    a, b = penalty.numerator, penalty.denominator
    return [
        min(range(len(x.powers)), key=lambda k: (a * x.powers[k] + b * x.costs[k], x.costs[k], k))
        for x in loads
    ]


def reachable_sums(loads: Sequence[Levels], available: int, penalty: Fraction) -> Sums | None:
    """The sums of all answers with nearly the best loss; None if they are too many to list."""
    available -= sum(load.least_power for load in loads)
    unit = gcd(*(load.power_step for load in loads))
    if sum(load.most_power - load.least_power for load in loads) // unit > MOST_BITS:
        return None
    bounds = _LinearBounds.of(loads, available, float(penalty))
    dearest = max(load.by_cost[-1][0] for load in loads)
    margin = FIRST_MARGIN + dearest / 2
    limit = bounds.least_loss + margin
    while True:
        tables = _tables(loads, unit, bounds, limit)
        if tables is None:
            return None
        sums = Sums(tables, unit, available, penalty, limit)
        best = sums.best()
        if best and best[0][0] <= limit:
            return sums
        margin *= 4
        limit = bounds.least_loss + margin
        if best:
            limit = min(limit, float(best[0][0]) * (1 + 1e-12) + 1)


@dataclass(frozen=True, slots=True)
class _LinearBounds:
    """For a price v of sun between −penalty and 1, loss >= v·gap: a bound that is a sum over loads.

    before[i][v]: the least loss of the loads before the i-th, with the whole gap priced at v.
    """

    prices: tuple[float, ...]
    before: list[tuple[float, ...]]
    least_loss: float

    @classmethod
    def of(cls, loads: Sequence[Levels], available: int, penalty: float) -> _LinearBounds:
        middle = _clearing_price(loads, available, penalty)
        prices = tuple(
            dict.fromkeys((1.0, middle, -penalty, 0.0, (1 + middle) / 2, (middle - min(penalty, 1.0)) / 2))
        )
        so_far = tuple(p * available for p in prices)
        before = [so_far]
        for load in loads:
            hull = load.hull
            so_far = tuple(
                [
                    total + min([c - price * p for p, c in hull])
                    for price, total in zip(prices, so_far, strict=True)
                ]
            )
            before.append(so_far)
        return cls(prices, before, max(so_far))

    def band(self, i: int) -> tuple[float, list[tuple[float, float]], list[tuple[float, float]]]:
        """What the powers of the loads from the i-th on must keep to; see `_masked`."""
        pairs = list(zip(self.prices, self.before[i], strict=True))
        lower = [(before / price, 1 / price) for price, before in pairs if price > 0]
        upper = [(-before / -price, 1 / -price) for price, before in pairs if price < 0]
        return max((before for price, before in pairs if price == 0), default=0.0), lower, upper


def _clearing_price(loads: Sequence[Levels], available: int, penalty: float) -> float:
    """The cost of the last watt if loads could be run in part, cheapest watts first."""
    segments = sorted(
        ((c2 - c1) / (p2 - p1), p2 - p1)
        for load in loads
        for (p1, c1), (p2, c2) in zip(load.hull, load.hull[1:], strict=False)
    )
    for price, power in segments:
        available -= power
        if available < 0:
            return min(max(price, -penalty), 1.0)
    return 1.0


def _tables(
    loads: Sequence[Levels], unit: int, bounds: _LinearBounds, limit: float
) -> list[dict[int, int]] | None:
    table = {0: 1}
    tables = [table]
    for i in range(len(loads) - 1, -1, -1):
        table = _masked(_added(loads[i], table, unit), i, unit, bounds, limit)
        if len(table) > MOST_COST_LEVELS:
            return None
        tables.append(table)
    tables.reverse()
    return tables


def _added(load: Levels, table: dict[int, int], unit: int) -> dict[int, int]:
    """The table with one more load."""
    result: dict[int, int] = {}
    for extra_cost, powers, step in load.by_cost:
        for cost, bits in table.items():
            if step:
                moved = _shifted_series(bits << powers[0] // unit, len(powers), step // unit)
            else:
                moved = 0
                for power in powers:
                    moved |= bits << power // unit
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


def _neighbours(bits: int, target: int) -> list[int]:
    """The highest reachable power up to the target and the lowest above it."""
    if target < 0:
        return [(bits & -bits).bit_length() - 1] if bits else []
    found = []
    below = bits & ((1 << target + 1) - 1)
    above = bits >> target + 1
    if below:
        found.append(below.bit_length() - 1)
    if above:
        found.append(target + (above & -above).bit_length())
    return found


def first_in_order(loads: Sequence[Levels], sums: Sums, targets: Sequence[Target]) -> list[int]:
    """The choice, lowest options first, whose (cost, power) is one of the targets."""
    open_targets = [(cost, power) for _, cost, power in targets]
    chosen = []
    for load, rest in zip(loads, sums.tables[1:], strict=True):
        for k, (power, cost) in enumerate(zip(load.powers, load.costs, strict=True)):
            extra_power, extra_cost = (power - load.least_power) // sums.unit, cost - load.least_cost
            left = [
                (c - extra_cost, p - extra_power)
                for c, p in open_targets
                if p >= extra_power and rest.get(c - extra_cost, 0) >> (p - extra_power) & 1
            ]
            if left:
                chosen.append(k)
                open_targets = left
                break
    return chosen
