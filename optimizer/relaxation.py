"""Bounds and prices of sun and of fuse amperes from the problem without integrality.

Any prices give a valid bound; those of the optimal linear programme give the best one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optimizer.simplex import shadow_prices

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Numbers = NDArray[Any]
MANY_OPTIONS = 8


@dataclass(frozen=True, slots=True)
class Field:
    """Where a load's option index stands among the ties: earlier loads in higher bits of earlier words."""

    word: int
    shift: int
    mask: int


@dataclass(frozen=True, slots=True)
class Draft:
    """The options of a load, or of several together, in the plan's units.

    needs: of each option, what it takes of each resource above the least: power, amperes of each row.
    ties: what it adds to the ties of a state, as a column.
    """

    needs: Ints
    losses: Numbers
    ties: Ints


@dataclass(frozen=True, slots=True)
class Bound:
    """A price of each resource. least_after[i]: the least priced loss of the steps from the i-th on.

    signs: what a unit of resource left adds to the bound (sun left is lost, amperes left are spared).
    reduced: the priced loss of each option of all steps.
    """

    signs: Floats
    reduced: Floats
    least_after: Floats


@dataclass(frozen=True, slots=True)
class Relaxation:
    """needs, losses: one row per option of all steps in order, those of step i from starts[i] on.

    gains, usage, groups: columns of the linear programme, those of step i from column_starts[i] on;
    columns of one group (not −1) exclude each other.
    """

    needs: Floats
    losses: Floats
    starts: Ints
    gains: Floats
    usage: Floats
    groups: Ints
    column_starts: Ints
    over: int
    under: int
    allows_excess: bool

    @classmethod
    def of(
        cls,
        groups: Sequence[Sequence[Draft]],
        joint: Sequence[Draft],
        over: int,
        under: int,
        allows_excess: bool,
    ) -> Relaxation:
        """groups: the loads of each step; joint: their options together."""
        singles = [draft for group in groups for draft in group]
        columns = [_columns(draft) for draft in singles]
        return cls(
            needs=np.vstack([draft.needs for draft in joint]).astype(np.float64),
            losses=np.concatenate([draft.losses for draft in joint]).astype(np.float64),
            starts=_starts([len(draft.needs) for draft in joint]),
            gains=np.concatenate(
                [_gains(draft, *picked, under) for draft, picked in zip(singles, columns, strict=True)]
            ),
            usage=np.vstack([d.needs[picks] for d, (_, picks) in zip(singles, columns, strict=True)]).astype(
                np.float64
            ),
            groups=np.concatenate(
                [np.full(len(p), i if len(p) > 1 else -1) for i, (_, p) in enumerate(columns)]
            ),
            column_starts=_starts([len(picks) for _, picks in columns])[_starts([len(g) for g in groups])],
            over=over,
            under=under,
            allows_excess=allows_excess,
        )

    def bound(self, prices: Floats) -> Bound:
        """prices: loss per unit; sun between −over and under, amperes not below 0."""
        if self.allows_excess:
            prices = np.append(prices[:-1], prices[1:-1].max(initial=0.0))
        signs = -prices
        signs[0] = prices[0]
        priced = self.losses - self.needs @ signs
        least = np.minimum.reduceat(priced, self.starts[:-1])
        least_after = np.append(np.cumsum(least[::-1])[::-1], 0.0)
        return Bound(signs, priced, least_after)

    def prices(self, amounts: Ints, first: int) -> Floats:
        """Of the linear programme of the steps from `first` on with these amounts left."""
        at = self.column_starts[first]
        gains, usage, groups = self.gains[at:], self.usage[at:], self.groups[at:]
        prices = np.zeros(len(amounts))
        prices[0] = self.under
        if len(gains) == 0:
            return prices
        exclusive = (groups == np.unique(groups[groups >= 0])[:, None]).astype(np.float64)
        matrix = np.vstack([usage.T, exclusive])
        capacity = np.concatenate([amounts.astype(np.float64), np.ones(len(exclusive))])
        scale = np.maximum(matrix.max(axis=1), 1.0)
        most_overdraw = matrix[0].sum()
        overdraw = np.zeros((len(matrix), 1))
        overdraw[0] = -most_overdraw / scale[0]
        unit_gain = max(scale[0] * self.under, 1.0)
        duals = shadow_prices(
            np.append(gains, -(self.over + self.under) * most_overdraw) / unit_gain,
            np.hstack([matrix / scale[:, None], overdraw]),
            capacity / scale,
        )[: len(amounts)]
        duals = duals * unit_gain / scale[: len(amounts)]
        prices[1:] = duals[1:]
        prices[0] = min(max(self.under - duals[0], -self.over), self.under)
        return prices


def _starts(lengths: Sequence[int]) -> Ints:
    return np.cumsum([0, *lengths])


def _columns(draft: Draft) -> tuple[int, list[int]]:
    """The smallest option, and those that become columns 0 <= x <= 1 beside it."""
    powers, losses = draft.needs[:, 0].tolist(), draft.losses.tolist()
    ranked = sorted(range(len(powers)), key=lambda k: (powers[k], losses[k]))
    base, options = ranked[0], set(ranked[1:])
    if len(options) > MANY_OPTIONS:
        options = {max(options, key=powers.__getitem__), min(ranked, key=losses.__getitem__)} - {base}
    return base, sorted(options)


def _gains(draft: Draft, base: int, picks: list[int], under: int) -> Floats:
    """What an option is worth more than the smallest one while sun is left over."""
    worth = under * draft.needs[:, 0].astype(np.float64) - draft.losses
    gains: Floats = worth[picks] - worth[base]
    return gains
