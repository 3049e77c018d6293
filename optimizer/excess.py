"""The least amperes beyond the circuits, where no choice keeps them all.

Only loads that cannot take their least on all rows at once have a say. Their partial choices are
kept side by side, amperes that are exceeded or that nobody can use any more booked at once, equal
ones merged. Exact unless more than MOST_PARTIAL are left after a load; what is given up then is known.
"""

from __future__ import annotations

from collections.abc import Sequence

from optimizer.levels import Levels
from optimizer.rows import Row, row_uses

MOST_PARTIAL = 20_000
Take = tuple[tuple[int, int], ...]


def least_excess(loads: Sequence[Levels], rows: Sequence[Row]) -> tuple[int, list[int], int]:
    """(the least excess found [nA], a choice with it, what no choice is below [nA])."""
    takes = [_least_takes(uses) for uses in row_uses(loads, rows)]
    chosen = [next(iter(options.values())) for options in takes]
    undecided = [i for i, options in enumerate(takes) if () not in options]
    left = [0] * len(rows)
    lefts = []
    for i in reversed(undecided):
        lefts.append(tuple(left))
        most = _most(takes[i])
        left = [amps + most.get(r, 0) for r, amps in enumerate(left)]
    partial: dict[tuple[int, ...], tuple[int, tuple[int, ...]]] = {tuple(row.slack for row in rows): (0, ())}
    given_up: int | None = None
    for i, usable in zip(undecided, reversed(lefts), strict=True):
        partial = _extended(partial, takes[i], usable)
        if len(partial) > MOST_PARTIAL:
            ranked = sorted(partial.items(), key=lambda item: item[1])
            dropped = ranked[MOST_PARTIAL][1][0]
            given_up = dropped if given_up is None else min(given_up, dropped)
            partial = dict(ranked[:MOST_PARTIAL])
    excess, options = min(partial.values())
    for i, k in zip(undecided, options, strict=True):
        chosen[i] = k
    return excess, chosen, excess if given_up is None else min(excess, given_up)


def _least_takes(uses: Sequence[Sequence[tuple[int, int]]]) -> dict[Take, int]:
    """What the options take from the rows, without those that take at least as much as another."""
    takes: dict[Take, int] = {}
    for k, used in enumerate(uses):
        takes.setdefault(tuple(used), k)
    kept: dict[Take, int] = {}
    for take, k in sorted(takes.items(), key=lambda item: (sum(a for _, a in item[0]), item[1])):
        if not any(all(dict(take).get(r, 0) >= amps for r, amps in other) for other in kept):
            kept[take] = k
    return kept


def _most(takes: dict[Take, int]) -> dict[int, int]:
    most: dict[int, int] = {}
    for take in takes:
        for r, amps in take:
            most[r] = max(most.get(r, 0), amps)
    return most


def _extended(
    partial: dict[tuple[int, ...], tuple[int, tuple[int, ...]]],
    takes: dict[Take, int],
    usable: tuple[int, ...],
) -> dict[tuple[int, ...], tuple[int, tuple[int, ...]]]:
    extended: dict[tuple[int, ...], tuple[int, tuple[int, ...]]] = {}
    for slacks, (excess, options) in partial.items():
        for take, k in takes.items():
            left = list(slacks)
            for r, amps in take:
                left[r] -= amps
            value = excess - sum([s for s in left if s < 0]), (*options, k)
            key = tuple([min(max(s, 0), most) for s, most in zip(left, usable, strict=True)])
            if key not in extended or value < extended[key]:
                extended[key] = value
    return extended
