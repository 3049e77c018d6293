"""The exact choice for one minute: which relays close, how many amperes each station may take.

Three paths, cheapest first, all exact; the answer's `method` names the one taken:

- "budget": only the total power matters; sums of powers as bit sets (`optimizer.budget`). Tried if the loads,
  run cheapest watts first, keep every circuit; the answer stands if it does so, too.
- "search": circuits bind; partial choices side by side (`optimizer.search`).
- "pools": the same for many loads, with alike stations taken together (`optimizer.pooling`).

Both begin with a good choice (`optimizer.descent`), so that options which cannot be part of a better one are
left out from the start.

"least excess" means that no choice keeps the circuits (`optimizer.excess`).

Ties: highest utility, then lowest total cost, then the first in list order: comparing load by load
in the order of the list, the lower option wins (options as listed; for a modulated load 0 A, then
min_a upwards). The same input always gets the same answer.

Where an answer may be less than that, `method` says so: "…, ties as found" (worth the most, but not
proven to be the first of its equals), "…, stopped after n states: at most x W short of the best",
"…, up to x A more than need be", "…, but a choice within the circuits may exist". The limits behind
it count states, not time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from optimizer.budget import filled_up, first_of_the_best, loss_of, separable_choice
from optimizer.electrical import NANO, nano
from optimizer.excess import least_excess
from optimizer.levels import Levels, levels_of
from optimizer.problem import Allocation, AllocationProblem
from optimizer.rows import Row, binding_rows, keeps_rows
from optimizer.search import MOST_STATES, Found, best_within_rows, search_within_excess


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
    if not feasible:
        rows = [replace(row, slack=max(row.slack, 0)) for row in rows]
    found = _choose(loads, available, penalty, rows)
    if found.options is None:
        feasible, found = False, _least_excess(loads, available, penalty, rows, found)
    return _answer(problem, loads, found, available, penalty, feasible)


def _choose(loads: Sequence[Levels], available: int, penalty: Fraction, rows: Sequence[Row]) -> Found:
    chosen = separable_choice(loads, available, penalty)
    if chosen is None:
        filled = filled_up(loads, available, penalty)
        if keeps_rows(rows, loads, filled.options):
            chosen = first_of_the_best(loads, filled, penalty)
    if chosen is not None and keeps_rows(rows, loads, chosen):
        return Found("budget", chosen)
    gap = available - sum([load.least_power for load in loads])
    spare = max(gap - sum([load.most_power - load.least_power for load in loads]), 0)
    found = best_within_rows(loads, gap - spare, penalty, rows)
    return found if found.open_loss is None else replace(found, open_loss=found.open_loss + spare)


def _least_excess(
    loads: Sequence[Levels], available: int, penalty: Fraction, rows: Sequence[Row], searched: Found
) -> Found:
    excess, chosen, bound = least_excess(loads, rows)
    gap = available - sum(load.least_power for load in loads)
    found = search_within_excess(loads, gap, penalty, rows, excess)
    method = found.method
    if searched.open_loss is not None:
        method += ", but a choice within the circuits may exist"
    elif bound < excess:
        method += f", up to {(excess - bound) / NANO:g} A more than need be"
    return Found(method, chosen if found.options is None else found.options, found.open_loss)


def _answer(
    problem: AllocationProblem,
    loads: Sequence[Levels],
    found: Found,
    available: int,
    penalty: Fraction,
    feasible: bool,
) -> Allocation:
    assert found.options is not None
    chosen = list(zip(loads, found.options, strict=True))
    power, cost = sum([x.powers[k] for x, k in chosen]), sum([x.costs[k] for x, k in chosen])
    method = found.method
    if found.open_loss is not None:
        least_cost = sum([x.least_cost for x in loads])
        short = float(loss_of(power, cost - least_cost, available, penalty)) - found.open_loss
        method += f", stopped after {MOST_STATES} states: at most {short / NANO:.3f} W short of the best"
    return Allocation(
        feasible=feasible,
        choices={p.id: x.answers[k] for p, (x, k) in zip(problem.loads, chosen, strict=True)},
        power_w=power / NANO,
        utility_w=float((min(power, available) - penalty * max(power - available, 0) - cost) / NANO),
        method=method,
    )
