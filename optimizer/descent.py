"""A good choice, quickly: from a given one, change one load or two at a time for as long as that gains."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optimizer.options import Floats, Ints, Options

MOST_CHANGES = 60
NEGLIGIBLE = 1000.0  # nW


@dataclass(frozen=True, slots=True)
class GoodChoice:
    """options: of each load. loss [nW]: infinite if rows are exceeded."""

    loss: float
    options: list[int]


def descended(
    options: Options,
    chosen: Ints,
    dearer: Floats,
    gap: int,
    penalty: float,
    slacks: Ints | None = None,
) -> GoodChoice:
    """gap, slacks: sun and amperes left if all loads take their least. dearer: see `Options.priced`.

    Of changes in pairs only those to the cheapest options are looked at, two of a kind.
    """
    slacks = np.zeros(0, dtype=np.int64) if slacks is None else slacks
    chosen, best = chosen.copy(), np.inf
    ranked = _two_of_a_kind(options, dearer)
    while True:
        single, best = _best_single(options, chosen, gap, penalty, slacks, best)
        if single is not None:
            chosen[options.load[single]] = single
            continue
        pair, best = _best_pair(options, chosen, ranked, gap, penalty, slacks, best)
        if pair is None:
            return GoodChoice(best, (chosen - options.starts).tolist())
        for change in pair:
            chosen[options.load[change]] = change


def _two_of_a_kind(options: Options, dearer: Floats) -> Ints:
    ranked = np.argsort(dearer, kind="stable")
    kind = (options.takes @ np.arange(1, 1 + options.takes.shape[1]) + dearer)[ranked]
    return ranked[np.append([True, True], kind[2:] != kind[:-2])[: len(kind)]][:MOST_CHANGES]


def _best_single(
    options: Options, chosen: Ints, gap: int, penalty: float, slacks: Ints, best: float
) -> tuple[int | None, float]:
    replaced = chosen[options.load]
    takes = options.takes - options.takes[replaced] + options.takes[chosen].sum(axis=0)
    costs = options.costs - options.costs[replaced] + options.costs[chosen].sum()
    left = gap - takes[:, 0]
    losses = np.maximum(left, -penalty * left) + costs
    losses[(takes[:, 1:] > slacks).any(axis=1)] = np.inf
    k = int(losses.argmin())
    return (k, float(losses[k])) if losses[k] < best - NEGLIGIBLE else (None, best)


def _best_pair(
    options: Options, chosen: Ints, ranked: Ints, gap: int, penalty: float, slacks: Ints, best: float
) -> tuple[tuple[int, int] | None, float]:
    load = options.load[ranked]
    takes = options.takes[ranked] - options.takes[chosen[load]]
    costs = options.costs[ranked] - options.costs[chosen[load]]
    both = takes[:, None] + (takes + options.takes[chosen].sum(axis=0))
    left = gap - both[..., 0]
    losses = np.maximum(left, -penalty * left) + costs[:, None] + (costs + options.costs[chosen].sum())
    losses[(both[..., 1:] > slacks).any(axis=2) | (load[:, None] == load)] = np.inf
    a, b = divmod(int(losses.argmin()), len(ranked))
    if losses[a, b] < best - NEGLIGIBLE:
        return (int(ranked[a]), int(ranked[b])), float(losses[a, b])
    return None, best
