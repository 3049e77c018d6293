"""Our answer beside HiGHS's, both worked out again in rational numbers, so that no tolerance has a say."""

from __future__ import annotations

from exhaustive_oracle import chosen_levels, excess, utility
from milp_oracle import milp_answer

from optimizer.problem import Allocation, AllocationProblem

TOLERANCE_W = 1e-6
TOLERANCE_A = 1e-6


def difference(problem: AllocationProblem, allocation: Allocation) -> str | None:
    """What is wrong with the answer, None if nothing is.

    Exactly: it must claim what its choices are worth, exceed the circuits no more and be worth no less
    than HiGHS's choices. By HiGHS's proof: nothing is worth more, or exceeds less.

    Raises:
        TimeoutError: HiGHS found no proof.
    """
    highs = milp_answer(problem)
    ours, theirs = (chosen_levels(problem, choices) for choices in (allocation.choices, highs.choices))
    our_a, their_a = excess(problem, ours), excess(problem, theirs)
    our_w, their_w = utility(problem, ours), utility(problem, theirs)
    if allocation.feasible != (our_a == 0):
        return f"says feasible {allocation.feasible} with {float(our_a)} A too much"
    if abs(float(our_w) - allocation.utility_w) > TOLERANCE_W:
        return f"says it is worth {allocation.utility_w} W, not {float(our_w)} W"
    if (our_a, -our_w) > (their_a, -their_w):
        possible = f"{float(their_w)} W with {float(their_a)} A"
        return f"{float(our_w)} W with {float(our_a)} A too much; {possible} is possible"
    if float(our_a) > highs.excess_a + TOLERANCE_A:
        return f"{float(our_a)} A too much; {highs.excess_a} A may be possible"
    if highs.bound_w > float(our_w) + TOLERANCE_W:
        return f"{float(our_w)} W; nothing is proved above {highs.bound_w} W"
    return None
