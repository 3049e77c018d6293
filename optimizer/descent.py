"""A good choice, quickly: what the linear relaxation runs in whole, then one load or two changed at a time
for as long as that gains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from optimizer.levels import Levels
from optimizer.options import Floats, Ints, Options
from optimizer.relaxation import relaxed

MOST_CHANGES = 40
NEGLIGIBLE = 1000.0  # nW


@dataclass(frozen=True, slots=True)
class GoodChoice:
    """options: of each load, None if none was found within the rows. loss [nW]: infinite then."""

    loss: float
    options: list[int] | None


NO_CHOICE = GoodChoice(np.inf, None)


def good_choice(
    loads: Sequence[Levels], options: Options, amounts: Sequence[int], penalty: float
) -> tuple[Floats, GoodChoice]:
    """(prices of the linear relaxation, choice). amounts: sun and amperes left if all take their least."""
    lower, upper = [], []
    for load, first in zip(loads, options.starts.tolist(), strict=True):
        reached = [first + load.start, *[first + k for _, _, k in load.segments]]
        lower += reached[:-1]
        upper += reached[1:]
    chosen = options.starts + np.array([load.start for load in loads])
    x, prices = relaxed(
        options.takes[:, upper] - options.takes[:, lower],
        options.costs[upper] - options.costs[lower],
        np.array(amounts) - options.takes[:, chosen].sum(axis=1),
        penalty,
    )
    for share, a, b in zip(x.tolist(), lower, upper, strict=True):
        if share > 0:
            load = loads[options.load[a]]
            chosen[options.load[a]] = _reached(options, share, a, b, isinstance(load.answers[0], float))
    return prices, descended(options, chosen, options.priced(prices)[1], amounts, penalty)


def _reached(options: Options, share: float, a: int, b: int, has_levels: bool) -> int:
    """The option that a share of the way from a to b leads to."""
    if share > 1 - 1e-9:
        return b
    if not has_levels:
        return a
    powers = options.takes[0, a : b + 1]
    return a + int(np.searchsorted(powers, powers[0] + share * (powers[-1] - powers[0]), "right")) - 1


def descended(
    options: Options,
    chosen: Ints,
    dearer: Floats,
    amounts: Sequence[int],
    penalty: float,
    enough: float = -np.inf,
) -> GoodChoice:
    """chosen: of each load, as a column of the options. dearer: see `Options.priced`.

    enough: a loss that need not be improved. Of changes in pairs only those to the cheapest options are
    looked at, two of a kind.
    """
    given, chosen = np.array(amounts), chosen.copy()
    ranked = _two_of_a_kind(options, dearer)
    best, before = np.inf, np.nan
    while best != before and best > enough:
        before = best
        changed, best = _best_pair(options, chosen, ranked, given, penalty, best)
        chosen[options.load[changed]] = changed
        changed, best = _best_single(options, chosen, given, penalty, best)
        while changed:
            chosen[options.load[changed]] = changed
            changed, best = _best_single(options, chosen, given, penalty, best)
    return GoodChoice(best, (chosen - options.starts).tolist()) if best < np.inf else NO_CHOICE


def _two_of_a_kind(options: Options, dearer: Floats) -> Ints:
    ranked: Ints = np.argsort(dearer, kind="stable")
    kind = (np.arange(1, 1 + len(options.takes)) @ options.takes + dearer)[ranked]
    kept: Ints = ranked[np.append([True, True], kind[2:] != kind[:-2])[: len(kind)]][:MOST_CHANGES]
    return kept


def _best_single(
    options: Options, chosen: Ints, amounts: Ints, penalty: float, best: float
) -> tuple[list[int], float]:
    """The option to change to, none if no change gains; what is lost then."""
    replaced = chosen[options.load]
    left = options.takes[:, replaced] - options.takes
    left += (amounts - options.takes[:, chosen].sum(axis=1))[:, None]
    losses = np.maximum(left[0], -penalty * left[0])
    losses += options.costs - options.costs[replaced] + options.costs[chosen].sum()
    if len(left) > 1:
        losses[left[1:].min(axis=0) < 0] = np.inf
    k = int(losses.argmin())
    return ([k], float(losses[k])) if losses[k] < best - NEGLIGIBLE else ([], best)


def _best_pair(
    options: Options, chosen: Ints, ranked: Ints, amounts: Ints, penalty: float, best: float
) -> tuple[list[int], float]:
    """The same of two loads."""
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
    if losses[a, b] < best - NEGLIGIBLE:
        return [int(ranked[a]), int(ranked[b])], float(losses[a, b])
    return [], best
