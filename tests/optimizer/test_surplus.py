"""How old a meter may be, and adding back what the loads take themselves."""

from __future__ import annotations

from datetime import timedelta

import pytest
from closed_loop import NOON

from optimizer import NO_CURRENT, PowerReading
from optimizer.surplus import Draw, Freshness, available_of, freshness, surplus_of


@pytest.mark.parametrize(
    ("age_s", "expected"),
    [
        (0, Freshness.FRESH),
        (-3, Freshness.FRESH),
        (90, Freshness.FRESH),
        (91, Freshness.LATE),
        (180, Freshness.LATE),
        (181, Freshness.LOST),
    ],
)
def test_a_meter_is_trusted_by_its_age(age_s: float, expected: Freshness) -> None:
    assert freshness(PowerReading(0.0, None, NOON - timedelta(seconds=age_s)), NOON) is expected


def test_no_reading_and_no_number_are_a_lost_meter() -> None:
    assert freshness(None, NOON) is Freshness.LOST
    assert freshness(PowerReading(float("nan"), None, NOON), NOON) is Freshness.LOST


def test_what_the_loads_take_is_added_back() -> None:
    grid = PowerReading(300.0, None, NOON)
    draws = [Draw("main", 2000.0, NO_CURRENT), Draw("main", 700.0, NO_CURRENT, controlled=False)]
    assert surplus_of(grid) == -300.0
    assert available_of(grid, draws, spoken_for_w=500.0) == 1200.0
