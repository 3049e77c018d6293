"""Prices of sun and of fuse amperes, from the problem without integrality.

Any prices give a valid bound; those of the optimal linear programme give the best one.
"""

from __future__ import annotations

import numpy as np

from optimizer.options import Floats, Numbers
from optimizer.simplex import solved


def relaxed(
    takes: Numbers, costs: Numbers, amounts: Numbers, over: float, under: float = 1.0
) -> tuple[Floats, Floats]:
    """(x, prices) of steps that may be taken in part, 0 <= x <= 1.

    takes: power and the amperes of each row, a column per step. amounts: of sun and of each row. over, under:
    loss per unit of sun. The prices as `Options.priced` takes them: sun between −over and under, amperes
    not below 0.
    """
    gains, usage = under * takes[0] - costs, np.maximum(takes, 0.0)
    scale = np.maximum(usage.max(axis=1, initial=1.0), 1.0)
    most_overdraw = usage[0].sum() + max(-float(amounts[0]), 0.0)
    overdraw = np.zeros((len(usage), 1))
    overdraw[0] = -most_overdraw / scale[0]
    unit_gain = max(scale[0] * under, 1.0)
    x, duals = solved(
        np.append(gains, -(over + under) * most_overdraw) / unit_gain,
        np.hstack([usage / scale[:, None], overdraw]),
        np.maximum(amounts, 0.0) / scale,
    )
    prices = duals * unit_gain / scale
    prices[0] = min(max(under - prices[0], -over), under)
    return x[:-1], prices
