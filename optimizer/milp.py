"""The problem handed to HiGHS, where it is installed (extra "milp"): the last resort before a long search."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from optimizer.electrical import NANO
from optimizer.levels import Levels
from optimizer.rows import Row, row_uses

FEW_OPTIONS = 4
INFINITY = float("inf")
Column = tuple[int, dict[int, int]]


class _Programme:
    """Columns with bounds 0..upper; row 0 is the power beyond the surplus, then the circuits' rows."""

    def __init__(self, row_count: int) -> None:
        self.gains: list[float] = []
        self.upper: list[float] = []
        self.entries: list[dict[int, float]] = [{} for _ in range(1 + row_count)]
        self.lower_bounds = [-INFINITY] * (1 + row_count)

    def column(self, power: int, cost: int, uses: Sequence[tuple[int, int]], upper: float = 1.0) -> int:
        k = len(self.gains)
        self.gains.append((power - cost) / NANO)
        self.upper.append(upper)
        self.entries[0][k] = power / NANO
        for r, amps in uses:
            self.entries[1 + r][k] = amps / NANO
        return k

    def row(self, entries: dict[int, float], lower: float) -> None:
        self.entries.append(entries)
        self.lower_bounds.append(lower)


def solve_milp(
    loads: Sequence[Levels], gap: int, penalty: Fraction, rows: Sequence[Row], time_limit_s: float
) -> list[int] | None:
    """The best option of each load; None if HiGHS is missing, finds none, or has no proof in time."""
    try:
        import highspy
    except ImportError:
        return None
    programme = _Programme(len(rows))
    picks = [_add(programme, load, uses) for load, uses in zip(loads, row_uses(loads, rows), strict=True)]
    overdraw = programme.column(0, 0, ())
    programme.gains[overdraw], programme.upper[overdraw] = -(1.0 + float(penalty)), INFINITY
    programme.entries[0][overdraw] = -1.0
    limits = [gap / NANO, *(row.slack / NANO for row in rows)]
    limits += [1.0 if lower == 1.0 else 0.0 for lower in programme.lower_bounds[len(limits) :]]
    solver = _solver(highspy, programme, limits, time_limit_s)
    solver.run()
    if solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        return None
    values = solver.getSolution().col_value
    return [_picked(values, pick) for pick in picks]


def _add(programme: _Programme, load: Levels, uses: Sequence[Sequence[tuple[int, int]]]) -> list[int]:
    """One column per option; for long ladders one for "above the first" and one that counts further steps."""
    powers = [power - load.least_power for power in load.powers]
    costs = [cost - load.least_cost for cost in load.costs]
    if len(powers) <= FEW_OPTIONS:
        picks = [programme.column(*option) for option in zip(powers, costs, uses, strict=True)]
        programme.row(dict.fromkeys(picks, 1.0), 1.0)
        return picks
    first = 1 if load.answers[0] == 0.0 else 0
    on = programme.column(powers[first], costs[first] - costs[0], uses[first])
    amps = dict(uses[first])
    step = [(r, a - amps.get(r, 0)) for r, a in uses[first + 1]]
    steps = len(powers) - first - 1
    further = programme.column(powers[first + 1] - powers[first], 0, step, steps)
    programme.row({further: 1.0, on: -float(steps)}, -INFINITY)
    if first == 0:
        programme.row({on: 1.0}, 1.0)
    return [-1 if first else -2, on, further]


def _picked(values: Sequence[float], picks: Sequence[int]) -> int:
    if picks[0] >= 0:
        return max(range(len(picks)), key=lambda k: values[picks[k]])
    first = 1 if picks[0] == -1 else 0
    return first + round(values[picks[2]]) if values[picks[1]] > 0.5 else 0


def _solver(highspy: Any, programme: _Programme, limits: Sequence[float], time_limit_s: float) -> Any:
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = len(programme.gains), len(programme.entries)
    lp.sense_ = highspy.ObjSense.kMaximize
    lp.col_cost_ = np.array(programme.gains)
    lp.col_lower_, lp.col_upper_ = np.zeros(lp.num_col_), np.array(programme.upper)
    lp.row_lower_, lp.row_upper_ = np.array(programme.lower_bounds), np.array(limits)
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_ = np.cumsum([0, *(len(entries) for entries in programme.entries)])
    lp.a_matrix_.index_ = np.array([k for entries in programme.entries for k in entries])
    lp.a_matrix_.value_ = np.array([v for entries in programme.entries for v in entries.values()])
    integer, continuous = highspy.HighsVarType.kInteger, highspy.HighsVarType.kContinuous
    lp.integrality_ = [continuous if upper == INFINITY else integer for upper in programme.upper]
    solver = highspy.Highs()
    solver.silent()
    for option, value in (
        ("mip_rel_gap", 0.0),
        ("mip_abs_gap", 0.0),
        ("mip_feasibility_tolerance", 1e-9),
        ("primal_feasibility_tolerance", 1e-9),
        ("threads", 1),
        ("time_limit", time_limit_s),
    ):
        solver.setOptionValue(option, value)
    solver.passModel(lp)
    return solver
