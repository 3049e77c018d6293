"""The allocation problem as a mixed-integer programme for HiGHS, written from the contract alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import highspy
import numpy as np
from exhaustive_oracle import exact

from optimizer.problem import AllocationProblem, ModulatedLoad, SwitchedLoad

TIME_LIMIT_S = 20.0
EXCESS_TOLERANCE_A = 1e-7


class Programme:
    """Columns and rows being collected; column 0 is the power drawn beyond the surplus."""

    def __init__(self, problem: AllocationProblem) -> None:
        self.sun_w = max(problem.available_w, 0.0)
        self.cost = [-(1.0 + problem.draw_penalty)]
        self.upper = [np.inf]
        self.power = {0: -1.0}
        self.rows: list[tuple[float, float, dict[int, float]]] = []
        self.usage: dict[tuple[str, int], dict[int, float]] = {
            (circuit.id, phase): {} for circuit in problem.circuits for phase in range(3)
        }
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
                programme.usage[circuit, phase][x] = option.current_a[phase]
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
    if load.min_a == 0.0:
        programme.rows.append((0.0, np.inf, {extra: 1.0, on: -1.0}))
    if load.off_cost_w is None:
        programme.rows.append((1.0, 1.0, {on: 1.0}))
    for circuit in _path(problem, load.circuit):
        for phase in load.phases:
            programme.usage[circuit, phase].update({on: load.min_a, extra: load.step_a})


def _programme(problem: AllocationProblem) -> Programme:
    programme = Programme(problem)
    for load in problem.loads:
        if isinstance(load, SwitchedLoad):
            _add_switched(programme, problem, load)
        else:
            _add_modulated(programme, problem, load)
    return programme


def milp_model(problem: AllocationProblem, excess_a: float | None = 0.0) -> tuple[highspy.Highs, float]:
    """A loaded solver and the constant to add to its objective.

    excess_a: amperes allowed beyond the headroom in all; None: as few as possible are the objective.
    """
    programme = _programme(problem)
    headroom = {c.id: c.headroom_a for c in problem.circuits}
    rows = [*programme.rows, (-np.inf, programme.sun_w, programme.power)]
    if excess_a is None:
        programme.cost, programme.constant = [0.0] * len(programme.cost), 0.0
    excess: dict[int, float] = {}
    for (circuit, phase), use in programme.usage.items():
        if excess_a != 0.0:
            beyond = programme.column(-1.0 if excess_a is None else 0.0, np.inf)
            use, excess[beyond] = use | {beyond: -1.0}, 1.0
        rows.append((-np.inf, headroom[circuit][phase], use))
    if excess and excess_a is not None:
        rows.append((-np.inf, excess_a, excess))
    continuous = {0, *excess}
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
    kinds = highspy.HighsVarType
    lp.integrality_ = [kinds.kContinuous if k in continuous else kinds.kInteger for k in range(lp.num_col_)]
    solver = highspy.Highs()
    solver.silent()
    for name in ("mip_rel_gap", "mip_abs_gap"):
        solver.setOptionValue(name, 0.0)
    solver.setOptionValue("mip_feasibility_tolerance", 1e-9)
    solver.setOptionValue("primal_feasibility_tolerance", 1e-9)
    solver.setOptionValue("threads", 1)
    solver.passModel(lp)
    return solver, programme.constant


def as_users_do(solver: highspy.Highs) -> None:
    """Tolerances as HiGHS has them by default; the gap stays 0, and one thread."""
    solver.setOptionValue("mip_feasibility_tolerance", 1e-6)
    solver.setOptionValue("primal_feasibility_tolerance", 1e-7)


def milp_utility(problem: AllocationProblem) -> float | None:
    """The optimum, None if no choice keeps the circuits. Raises TimeoutError if there is no proof in time."""
    return milp_optimum(*milp_model(problem))


def milp_optimum(solver: highspy.Highs, constant: float) -> float | None:
    return float(solver.getInfo().objective_function_value) + constant if _solved(solver) else None


@dataclass(frozen=True)
class MilpAnswer:
    """excess_a: as the solver has it, 0 if the circuits can be kept. bound_w: no utility is above it."""

    choices: dict[str, str | float]
    excess_a: float
    bound_w: float


def milp_answer(problem: AllocationProblem) -> MilpAnswer:
    """The best choice within the circuits, else the best of those that exceed them least."""
    least_a = 0.0
    solver, constant = milp_model(problem)
    if not _solved(solver):
        solver, _ = milp_model(problem, None)
        assert _solved(solver), "any excess is allowed"
        least_a = -float(solver.getInfo().objective_function_value)
        solver, constant = milp_model(problem, least_a + EXCESS_TOLERANCE_A)
        assert _solved(solver), "the least excess is possible"
    bound = float(solver.getInfo().mip_dual_bound) + constant
    return MilpAnswer(_choices(problem, list(solver.getSolution().col_value)), least_a, bound)


def _solved(solver: highspy.Highs) -> bool:
    """Whether there is a solution."""
    solver.setOptionValue("time_limit", TIME_LIMIT_S)
    solver.run()
    status = solver.getModelStatus()
    if status not in (highspy.HighsModelStatus.kInfeasible, highspy.HighsModelStatus.kOptimal):
        raise TimeoutError(str(status))
    return status == highspy.HighsModelStatus.kOptimal


def _choices(problem: AllocationProblem, values: Sequence[float]) -> dict[str, str | float]:
    """The columns read back in the order in which `_programme` made them."""
    chosen: dict[str, str | float] = {}
    column = 1
    for load in problem.loads:
        if isinstance(load, SwitchedLoad):
            picks = values[column : column + len(load.options)]
            chosen[load.id] = load.options[int(np.argmax(picks))].id
            column += len(load.options)
        else:
            on, extra = round(values[column]), round(values[column + 1])
            chosen[load.id] = float(on * exact(load.min_a) + extra * exact(load.step_a))
            column += 2
    return chosen
