"""The exact choice for one minute: which relays close, how many amperes each station may take.

Four paths, cheapest first, all exact in utility:

- "budget": only the total power matters; sums of powers as bit sets (`optimizer.budget`).
  The answer stands if it happens to keep every circuit.
- "descent": another choice of the same sums that keeps every circuit (`optimizer.descent`).
- "search": circuits bind; partial choices side by side (`optimizer.search`).
- "pools": the same for many loads, with alike stations taken together (`optimizer.pooling`).

Ties: highest utility, then lowest total cost, then the first in list order: comparing load by load
in the order of the list, the lower option wins (options as listed; for a modulated load 0 A, then
min_a upwards). Where circuits bind, ties among more than some hundred partial choices are left as
found, and "pools" decides on and off before amperes. The same input always gets the same answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from optimizer.budget import first_in_order, reachable_sums, separable_choice
from optimizer.descent import first_within_rows
from optimizer.electrical import NANO, nano
from optimizer.levels import Levels, levels_of
from optimizer.problem import Allocation, AllocationProblem
from optimizer.rows import Row, binding_rows, keeps_rows
from optimizer.search import search, search_least_excess


def allocate(problem: AllocationProblem) -> Allocation:
    """Maximise min(P, S) − draw_penalty·max(P − S, 0) − costs, S = max(available_w, 0), within the circuits.

    Quantities are taken to 1e-9 W and 1e-9 A. If no choice keeps the circuits, the answer has
    `feasible` False and the least total excess.
    """
    loads = [levels_of(load) for load in problem.loads]
    available = max(nano(problem.available_w), 0)
    penalty = Fraction(nano(problem.draw_penalty), NANO)
    rows = binding_rows(problem, loads)
    feasible = all(row.slack >= 0 for row in rows)
    rows = [Row(max(row.slack, 0), row.phase_of) for row in rows]
    method, chosen = _choose(loads, available, penalty, rows)
    if chosen is None:
        gap = available - sum(load.least_power for load in loads)
        feasible, method = False, "least excess"
        chosen = search_least_excess(loads, gap, penalty, rows)
    return _answer(problem, loads, chosen, available, penalty, feasible, method)


def _choose(
    loads: Sequence[Levels], available: int, penalty: Fraction, rows: Sequence[Row]
) -> tuple[str, list[int] | None]:
    chosen = separable_choice(loads, available, penalty)
    if chosen is not None and keeps_rows(rows, loads, chosen):
        return "budget", chosen
    if chosen is None:
        sums = reachable_sums(loads, available, penalty)
        if sums is not None:
            chosen = first_in_order(sums, sums.best())
            if keeps_rows(rows, loads, chosen):
                return "budget", chosen
            chosen = first_within_rows(loads, sums, rows)
            if chosen is not None:
                return "descent", chosen
    return search(loads, available - sum(load.least_power for load in loads), penalty, rows)


def _answer(
    problem: AllocationProblem,
    loads: Sequence[Levels],
    chosen: Sequence[int],
    available: int,
    penalty: Fraction,
    feasible: bool,
    method: str,
) -> Allocation:
    power = sum(load.powers[k] for load, k in zip(loads, chosen, strict=True))
    cost = sum(load.costs[k] for load, k in zip(loads, chosen, strict=True))
    return Allocation(
        feasible=feasible,
        choices={p.id: load.answers[k] for p, load, k in zip(problem.loads, loads, chosen, strict=True)},
        power_w=power / NANO,
        utility_w=float((min(power, available) - penalty * max(power - available, 0) - cost) / NANO),
        method=method,
    )
