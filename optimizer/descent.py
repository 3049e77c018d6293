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
    enough: float = -np.inf,
) -> GoodChoice:
    """gap, slacks: sun and amperes left if all loads take their least. dearer: see `Options.priced`.

    enough: a loss that need not be improved. Of changes in pairs only those to the cheapest options are
    looked at, two of a kind.
    """
    amounts = np.array([gap, *([] if slacks is None else slacks)])
    chosen, best, ranked = chosen.copy(), np.inf, None
    while True:
        single, best = _best_single(options, chosen, amounts, penalty, best)
        if single is not None:
            chosen[options.load[single]] = single
            continue
        if best <= enough:
            break
        ranked = _two_of_a_kind(options, dearer) if ranked is None else ranked
        pair, best = _best_pair(options, chosen, ranked, amounts, penalty, best)
        if pair is None:
            break
        chosen[options.load[ranked[pair[0]]]], chosen[options.load[ranked[pair[1]]]] = ranked[list(pair)]
    return GoodChoice(best, (chosen - options.starts).tolist())


def _two_of_a_kind(options: Options, dearer: Floats) -> Ints:
    ranked = np.argsort(dearer, kind="stable")
    kind = (np.arange(1, 1 + len(options.takes)) @ options.takes + dearer)[ranked]
    return ranked[np.append([True, True], kind[2:] != kind[:-2])[: len(kind)]][:MOST_CHANGES]


def _best_single(
    options: Options, chosen: Ints, amounts: Ints, penalty: float, best: float
) -> tuple[int | None, float]:
    replaced = chosen[options.load]
    left = options.takes[:, replaced] - options.takes
    left += (amounts - options.takes[:, chosen].sum(axis=1))[:, None]
    losses = np.maximum(left[0], -penalty * left[0])
    losses += options.costs - options.costs[replaced] + options.costs[chosen].sum()
    if len(left) > 1:
        losses[left[1:].min(axis=0) < 0] = np.inf
    k = int(losses.argmin())
    return (k, float(losses[k])) if losses[k] < best - NEGLIGIBLE else (None, best)


def _best_pair(
    options: Options, chosen: Ints, ranked: Ints, amounts: Ints, penalty: float, best: float
) -> tuple[tuple[int, int] | None, float]:
    """Places among the ranked."""
    load = options.load[ranked]
    freed = options.takes[:, chosen[load]] - options.takes[:, ranked]
    costs = options.costs[ranked] - options.costs[chosen[load]]
    left = freed + (amounts - options.takes[:, chosen].sum(axis=1))[:, None]
    gaps = left[0][:, None] + freed[0]
    losses = np.maximum(gaps, -penalty * gaps) + (costs[:, None] + (costs + options.costs[chosen].sum()))
    for row, row_freed in zip(left[1:], freed[1:], strict=True):
        losses[row[:, None] + row_freed < 0] = np.inf
    losses[load[:, None] == load] = np.inf
    a, b = divmod(int(losses.argmin()), len(ranked))
    return ((a, b), float(losses[a, b])) if losses[a, b] < best - NEGLIGIBLE else (None, best)
