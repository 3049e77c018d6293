"""The choice that the exact search starts from: nothing may be left out because of one that is not there."""

from __future__ import annotations

from fractions import Fraction
from random import Random

import numpy as np
import pytest
from allocation_instances import anything, two_zones

from optimizer.budget import loss_of
from optimizer.descent import good_choice
from optimizer.electrical import NANO, nano
from optimizer.levels import levels_of
from optimizer.options import options_of
from optimizer.problem import AllocationProblem
from optimizer.rows import binding_rows, keeps_rows
from optimizer.simplex import solved


def full_house(seed: int) -> AllocationProblem:
    rng = Random(seed)
    return two_zones(rng, 12, 6, rng.uniform(0, 30_000), 25.0)


@pytest.mark.parametrize("seed", range(60))
@pytest.mark.parametrize("make", [full_house, lambda seed: anything(Random(seed))], ids=["house", "anything"])
def test_a_good_choice_keeps_the_fuses_and_loses_what_it_says(make, seed: int) -> None:
    problem = make(seed)
    loads = [levels_of(load) for load in problem.loads]
    rows = binding_rows(problem, loads)
    available = nano(max(problem.available_w, 0.0)) - sum(load.least_power for load in loads)
    penalty = Fraction(nano(problem.draw_penalty), NANO)
    amounts = [available, *[row.slack for row in rows]]
    _, good = good_choice(loads, options_of(loads, rows), amounts, float(penalty))
    if good.options is None:
        assert good.loss == float("inf")
        return
    assert keeps_rows(rows, loads, good.options)
    chosen = list(zip(loads, good.options, strict=True))
    power = sum(load.powers[k] - load.least_power for load, k in chosen)
    cost = sum(load.costs[k] - load.least_cost for load, k in chosen)
    assert good.loss == pytest.approx(float(loss_of(power, cost, available, penalty)), rel=1e-12, abs=1.0)


def test_what_is_left_of_a_fuse_goes_to_whoever_gains_most() -> None:
    """Three loads want 10, 6 and 5 A of 12 A: the first in whole, a third of the second."""
    x, prices = solved(np.array([30.0, 12.0, 5.0]), np.array([[10.0, 6.0, 5.0]]), np.array([12.0]))
    assert x == pytest.approx([1.0, 1 / 3, 0.0])
    assert prices == pytest.approx([2.0])


@pytest.mark.parametrize("seed", range(40))
def test_prices_and_shares_of_a_linear_programme_prove_each_other(seed: int) -> None:
    """Strong duality: what the shares gain is what fuses and upper limits are worth at the prices."""
    rng = np.random.default_rng(seed)
    usage = rng.integers(0, 9, (4, 12)) * (rng.random((4, 12)) < 0.6)
    gains, capacity = rng.integers(-3, 20, 12).astype(float), rng.integers(0, 30, 4).astype(float)
    x, prices = solved(gains, usage.astype(float), capacity)
    assert ((x > -1e-7) & (x < 1 + 1e-7)).all()
    assert (usage @ x <= capacity + 1e-7).all()
    worth = prices @ capacity + np.maximum(gains - prices @ usage, 0.0).sum()
    assert gains @ x == pytest.approx(worth, abs=1e-7)
