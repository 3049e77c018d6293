"""Prices of sun and of fuse amperes, from the problem without integrality.

Any prices give a valid bound; those of the optimal linear programme give the best one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optimizer.options import Floats, Ints
from optimizer.simplex import solved


@dataclass(frozen=True, slots=True)
class Segments:
    """Columns of a linear programme, 0 <= x <= 1. takes: power and amperes of rows; costs."""

    takes: Floats
    costs: Floats

    def solved(self, amounts: Floats, over: float, under: float) -> tuple[Floats, Floats]:
        """(x, prices) with these amounts of sun and amperes; `over`, `under`: loss per unit of sun.

        The prices as `Options.priced` takes them: sun between −over and under, amperes not below 0.
        """
        gains, usage = under * self.takes[0] - self.costs, np.maximum(self.takes, 0.0)
        capacity = np.maximum(amounts, 0.0)
        scale = np.maximum(usage.max(axis=1, initial=1.0), 1.0)
        most_overdraw = usage[0].sum() + max(-float(amounts[0]), 0.0)
        overdraw = np.zeros((len(usage), 1))
        overdraw[0] = -most_overdraw / scale[0]
        unit_gain = max(scale[0] * under, 1.0)
        x, duals = solved(
            np.append(gains, -(over + under) * most_overdraw) / unit_gain,
            np.hstack([usage / scale[:, None], overdraw]),
            capacity / scale,
        )
        prices = duals * unit_gain / scale
        prices[0] = min(max(under - prices[0], -over), under)
        return x[:-1], prices
