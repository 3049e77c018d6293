"""The allocation problem as a mixed-integer programme for HiGHS, written from the contract alone."""

from __future__ import annotations

from collections.abc import Iterator

import highspy
import numpy as np

from optimizer.problem import AllocationProblem, ModulatedLoad, SwitchedLoad


class Programme:
    """Columns and rows being collected; column 0 is the power drawn beyond the surplus."""

    def __init__(self, problem: AllocationProblem) -> None:
        self.sun_w = max(problem.available_w, 0.0)
        self.cost = [-(1.0 + problem.draw_penalty)]
        self.upper = [np.inf]
        self.power = {0: -1.0}
        self.rows: list[tuple[float, float, dict[int, float]]] = []
        self.usage: dict[tuple[str, int], dict[int, float]] = {}
        self.constant = 0.0

    def column(self, worth: float, upper: float) -> int:
        self.cost.append(worth)
        self.upper.append(upper)
        return len(self.cost) - 1


def _path(problem: AllocationProblem, circuit: str) -> Iterator[str]:
    parents = {c.id: c.parent for c in problem.circuits}
    above: str | None = circuit
    while above is not None:
        yield above
        above = parents[above]


def _add_switched(programme: Programme, problem: AllocationProblem, load: SwitchedLoad) -> None:
    picks = []
    for option in load.options:
        x = programme.column(option.power_w - option.cost_w, 1.0)
        picks.append(x)
        programme.power[x] = option.power_w
        for circuit in _path(problem, load.circuit):
            for phase in range(3):
                programme.usage.setdefault((circuit, phase), {})[x] = option.current_a[phase]
    programme.rows.append((1.0, 1.0, dict.fromkeys(picks, 1.0)))


def _add_modulated(programme: Programme, problem: AllocationProblem, load: ModulatedLoad) -> None:
    steps = int(np.floor((load.max_a - load.min_a) / load.step_a + 1e-9))
    watts = load.voltage_v * len(load.phases)
    off_cost = 0.0 if load.off_cost_w is None else load.off_cost_w
    on = programme.column(load.min_a * watts - load.on_cost_w + off_cost, 1.0)
    extra = programme.column(load.step_a * watts, float(steps))
    programme.constant -= off_cost
    programme.power |= {on: load.min_a * watts, extra: load.step_a * watts}
    programme.rows.append((-np.inf, 0.0, {extra: 1.0, on: -float(steps)}))
    if load.off_cost_w is None:
        programme.rows.append((1.0, 1.0, {on: 1.0}))
    for circuit in _path(problem, load.circuit):
        for phase in load.phases:
            programme.usage.setdefault((circuit, phase), {}).update({on: load.min_a, extra: load.step_a})


def milp_model(problem: AllocationProblem) -> tuple[highspy.Highs, float]:
    """A loaded solver and the constant to add to its objective."""
    programme = Programme(problem)
    for load in problem.loads:
        if isinstance(load, SwitchedLoad):
            _add_switched(programme, problem, load)
        else:
            _add_modulated(programme, problem, load)
    headroom = {c.id: c.headroom_a for c in problem.circuits}
    rows = [*programme.rows, (-np.inf, programme.sun_w, programme.power)]
    rows += [(-np.inf, headroom[c][phase], use) for (c, phase), use in programme.usage.items()]
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = len(programme.cost), len(rows)
    lp.sense_ = highspy.ObjSense.kMaximize
    lp.col_cost_ = np.array(programme.cost)
    lp.col_lower_, lp.col_upper_ = np.zeros(len(programme.cost)), np.array(programme.upper)
    lp.row_lower_, lp.row_upper_ = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_ = np.cumsum([0, *(len(r[2]) for r in rows)])
    lp.a_matrix_.index_ = np.array([k for r in rows for k in r[2]])
    lp.a_matrix_.value_ = np.array([v for r in rows for v in r[2].values()])
    lp.integrality_ = [highspy.HighsVarType.kContinuous] + [highspy.HighsVarType.kInteger] * (lp.num_col_ - 1)
    solver = highspy.Highs()
    solver.silent()
    for name in ("mip_rel_gap", "mip_abs_gap"):
        solver.setOptionValue(name, 0.0)
    solver.setOptionValue("mip_feasibility_tolerance", 1e-9)
    solver.setOptionValue("primal_feasibility_tolerance", 1e-9)
    solver.setOptionValue("threads", 1)
    solver.passModel(lp)
    return solver, programme.constant


def milp_utility(problem: AllocationProblem, time_limit_s: float = 60.0) -> float | None:
    """The optimum, None if no choice keeps the circuits. Raises TimeoutError if there is no proof in time."""
    solver, constant = milp_model(problem)
    solver.setOptionValue("time_limit", time_limit_s)
    solver.run()
    status = solver.getModelStatus()
    if status == highspy.HighsModelStatus.kInfeasible:
        return None
    if status != highspy.HighsModelStatus.kOptimal:
        raise TimeoutError(str(status))
    return float(solver.getInfo().objective_function_value) + constant
