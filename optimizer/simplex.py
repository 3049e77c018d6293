"""A small linear programme."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
NEGLIGIBLE = 1e-9


def solved(gains: Floats, usage: Floats, capacity: Floats) -> tuple[Floats, Floats]:
    """(x, dual prices) of: maximise gains·x with usage·x <= capacity (none negative), 0 <= x <= 1.

    Primal simplex with bounded variables, from the slack basis and what can be had in whole at once; the
    table's last row and column are the reduced costs and the values. A variable at its upper bound is
    replaced by its complement, so that all non-basic variables stand at 0.
    Source: Chvátal, Linear Programming, chapter 8.
    """
    rows, columns = usage.shape
    table, complement = _slack_basis(gains, usage, capacity)
    values, reduced = table[:rows, -1], table[rows, :-1]
    upper = np.concatenate([np.ones(columns), np.full(rows, np.inf)])
    basis = np.arange(columns, columns + rows)
    for _ in range(20 * (rows + columns)):
        entering = int(reduced.argmax())
        if reduced[entering] <= NEGLIGIBLE:
            break
        column = table[:rows, entering]
        leaving, step = _ratio_test(column, values, upper[basis])
        if upper[entering] <= step:
            values -= column * upper[entering]
            table[:, entering] *= -1
            complement[entering] ^= True
            continue
        if column[leaving] < 0:
            table[leaving, :-1] *= -1
            table[leaving, basis[leaving]] = 1.0
            values[leaving] = upper[basis[leaving]] - values[leaving]
            complement[basis[leaving]] ^= True
        _pivot(table, leaving, entering)
        np.maximum(values, 0.0, out=values)
        basis[leaving] = entering
    x = np.zeros(columns + rows)
    x[basis] = values
    return np.where(complement, 1.0 - x, x)[:columns], np.maximum(-reduced[columns:], 0.0)


def _slack_basis(gains: Floats, usage: Floats, capacity: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """(table, which variables stand for their complements)."""
    rows, columns = usage.shape
    table = np.zeros((rows + 1, columns + rows + 1))
    table[:rows, :columns] = usage
    table[:rows, columns:-1] = np.eye(rows)
    table[rows, :columns] = gains
    complement = np.zeros(columns + rows, dtype=np.bool_)
    whole = _first_that_fit(gains, usage, capacity)
    complement[whole] = True
    table[:rows, -1] = capacity - usage[:, whole].sum(axis=1)
    table[:, whole] *= -1
    return table, complement


def _pivot(table: Floats, leaving: int, entering: int) -> None:
    table[leaving] /= table[leaving, entering]
    factors = table[:, entering].copy()
    factors[leaving] = 0.0
    table -= factors[:, None] * table[leaving]


def _first_that_fit(gains: Floats, usage: Floats, capacity: Floats) -> NDArray[np.intp]:
    """The columns that gain most for what they use, for as long as all fit."""
    ranked = np.argsort(-gains / np.maximum(usage.sum(axis=0), NEGLIGIBLE), kind="stable")
    ranked = ranked[: int((gains > NEGLIGIBLE).sum())]
    fits = (np.cumsum(usage[:, ranked], axis=1) <= capacity[:, None]).all(axis=0)
    return ranked[: int(fits.sum())]


def _ratio_test(column: Floats, values: Floats, upper: Floats) -> tuple[int, float]:
    """The basic variable that first meets one of its bounds, and how far the entering one can go."""
    size = np.abs(column)
    room = np.where(column > 0, values, upper - values)
    steps = np.where(size > NEGLIGIBLE, room / np.maximum(size, NEGLIGIBLE), np.inf)
    leaving = int(steps.argmin())
    return leaving, float(steps[leaving])
