"""Watts and amperes as an installer works them out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.electrical import (
    amps_from_watts,
    current_levels,
    heater_without_neutral,
    legal_current,
    phase_currents,
    watts_from_amps,
)


@pytest.mark.parametrize(
    ("current_a", "phase_count", "power_w"), [(6, 1, 1380), (6, 3, 4140), (16, 3, 11040), (0, 3, 0)]
)
def test_six_amperes_are_1380_w_on_one_phase_and_4140_w_on_three(
    current_a: float, phase_count: int, power_w: float
) -> None:
    assert watts_from_amps(current_a, phase_count) == power_w
    assert amps_from_watts(power_w, phase_count) == current_a


@pytest.mark.parametrize(
    ("wanted_a", "limits", "legal_a"),
    [
        (5.9, (6, 16, 1), 0),
        (6, (6, 16, 1), 6),
        (9.99, (6, 16, 1), 9),
        (99, (6, 16, 1), 16),
        (6.3, (6, 16, 0.1), 6.3),
        (7.1, (6, 16, 0.1), 7.1),
        (15.9, (6, 15.5, 2), 14),
        (-1, (6, 16, 1), 0),
        (8, (10, 8, 1), 0),
    ],
)
def test_legal_currents(wanted_a: float, limits: tuple[float, float, float], legal_a: float) -> None:
    assert legal_current(wanted_a, *limits) == legal_a


def test_tenths_of_amperes_reach_the_maximum() -> None:
    levels = current_levels(6, 16, 0.1)
    assert len(levels) == 101
    assert levels[:3] == (6.0, 6.1, 6.2)
    assert levels[-1] == 16.0


@given(
    st.integers(0, 400),
    st.integers(60, 100),
    st.integers(0, 300),
    st.sampled_from([0.1, 0.2, 0.25, 0.5, 1, 1.5]),
)
def test_legal_is_nothing_or_at_least_the_minimum_and_never_above_what_is_wanted(
    wanted: int, least: int, span: int, step_a: float
) -> None:
    wanted_a, min_a, max_a = wanted / 10, least / 10, (least + span) / 10
    legal_a = legal_current(wanted_a, min_a, max_a, step_a)
    if wanted_a < min_a:
        assert legal_a == 0
    else:
        assert min_a <= legal_a <= min(wanted_a, max_a)
        assert legal_a > min(wanted_a, max_a) - step_a - 1e-9
        assert legal_a in current_levels(min_a, max_a, step_a)


def test_currents_stand_on_the_wired_phases() -> None:
    assert phase_currents(6, (2, 0)) == (6, 0, 6)


def test_a_3000_w_heater_without_neutral() -> None:
    states = {s.elements: s for s in heater_without_neutral(3000, "io/3", "io/4")}
    half, full = states[frozenset({"io/3"})], states[frozenset({"io/3", "io/4"})]
    assert states[frozenset()].power_w == 0
    assert half.power_w == 1500
    assert half.current_a == pytest.approx((3.765, 3.765, 0), abs=1e-3)
    assert states[frozenset({"io/4"})].current_a == pytest.approx((3.765, 0, 3.765), abs=1e-3)
    assert full.power_w == 3000
    assert full.current_a == pytest.approx((4.348, 4.348, 4.348), abs=1e-3)


@pytest.mark.parametrize("shape", ["star", "delta"])
def test_half_power_follows_from_the_arms(shape: str) -> None:
    """One line open: star arms in series, or one delta arm beside the two others in series."""
    voltage, arm = 230.0, 50.0
    line_to_line = voltage * 3**0.5
    full_w = 3 * (voltage if shape == "star" else line_to_line) ** 2 / arm
    between_lines = 2 * arm if shape == "star" else arm * 2 * arm / (3 * arm)
    states = heater_without_neutral(full_w, "a", "b", voltage)
    assert states[1].power_w == pytest.approx(line_to_line**2 / between_lines)
    assert states[1].current_a[0] == pytest.approx(line_to_line / between_lines)
