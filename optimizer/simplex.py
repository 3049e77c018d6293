"""A small linear programme, solved for its prices."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
NEGLIGIBLE = 1e-9


def shadow_prices(gains: Floats, usage: Floats, capacity: Floats) -> Floats:
    """Dual prices of: maximise gains·x with usage·x <= capacity (none negative), 0 <= x <= 1.

    Primal simplex with bounded variables, from the slack basis. A variable at its upper bound is
    replaced by its complement, so that all non-basic variables stand at 0.
    Source: Chvátal, Linear Programming, chapter 8.
    """
    rows, columns = usage.shape
    table = np.hstack([usage, np.eye(rows)])
    upper = np.concatenate([np.ones(columns), np.full(rows, np.inf)])
    reduced = np.concatenate([gains, np.zeros(rows)])
    basis = np.arange(columns, columns + rows)
    values = capacity.astype(np.float64)
    for _ in range(20 * (rows + columns)):
        entering = int(reduced.argmax())
        if reduced[entering] <= NEGLIGIBLE:
            break
        column = table[:, entering]
        leaving, step = _ratio_test(column, values, upper[basis])
        if upper[entering] <= step:
            values = values - column * upper[entering]
            table[:, entering] = -column
            reduced[entering] = -reduced[entering]
            continue
        if column[leaving] < 0:
            table[leaving] = -table[leaving]
            table[leaving, basis[leaving]] = 1.0
            values[leaving] = upper[basis[leaving]] - values[leaving]
        _pivot(table, values, reduced, leaving, entering)
        basis[leaving] = entering
    prices: Floats = np.maximum(-reduced[columns:], 0.0)
    return prices


def _ratio_test(column: Floats, values: Floats, upper: Floats) -> tuple[int, float]:
    """The basic variable that first meets one of its bounds, and how far the entering one can go."""
    steps = np.full(len(column), np.inf)
    falling, rising = column > NEGLIGIBLE, column < -NEGLIGIBLE
    steps[falling] = values[falling] / column[falling]
    steps[rising] = (upper[rising] - values[rising]) / -column[rising]
    leaving = int(steps.argmin())
    return leaving, float(steps[leaving])


def _pivot(table: Floats, values: Floats, reduced: Floats, row: int, column: int) -> None:
    pivot = table[row, column]
    table[row] /= pivot
    values[row] /= pivot
    factors = table[:, column].copy()
    factors[row] = 0.0
    table -= np.outer(factors, table[row])
    values -= factors * values[row]
    np.maximum(values, 0.0, out=values)
    reduced -= reduced[column] * table[row]
