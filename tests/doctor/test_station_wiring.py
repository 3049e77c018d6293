"""From what the grid meter shows, when a charging car is held back, to how its station is wired."""

from __future__ import annotations

import pytest

from csms.domain.station_wiring import HeldBack, diagnose_stations
from csms.domain.wiring import Diagnosis, Finding, Phases3

L123 = (0, 1, 2)
SEEN = Diagnosis(is_reversed=False, is_order_seen=True)


def held(
    own_a: tuple[float, ...], shown_w: Phases3 | None, wired: tuple[int, ...] = L123, limit_a: float = 6
) -> HeldBack:
    return HeldBack("CP1/1", wired, own_a, limit_a, 230, sum(shown_w or (2300,)), shown_w)


def told(one: HeldBack, loads: Diagnosis = SEEN) -> list[Finding]:
    return diagnose_stations([one], loads, "grid", False)


@pytest.mark.parametrize(
    ("own_a", "shown_w", "wired", "status", "said"),
    [
        pytest.param((16,), (2300, 0, 0), L123, "ok", "its L1 on L1", id="as described"),
        pytest.param((16, 0, 0), (0, 2250, 40), L123, "fault", "its L1 shows on L2", id="rotated by one"),
        pytest.param((16, 0, 0), (0, 0, 2300), (2, 0, 1), "ok", "on L3", id="rotated, and described so"),
        pytest.param((16, 16, 0), (2300, 0, 2300), L123, "fault", "show on L1 and L3", id="two phases"),
        pytest.param((16, 16, 0), (2300, 2300, 0), L123, "ok", "its L1 and L2 on L1 and L2", id="two, well"),
        pytest.param(
            (16, 16, 16), (2300, 2300, 2300), L123, "inconclusive", "in every order", id="all alike"
        ),
        pytest.param(
            (16, 16, 16),
            (2300, 0, 0),
            L123,
            "fault",
            "but at the grid meter it shows on L1",
            id="one is connected",
        ),
        pytest.param((16,), (0, 2300, 0), (0,), "fault", "shows on L2", id="a one-phase station on another"),
    ],
)
def test_phases_are_told_by_a_car_that_does_not_use_all(own_a, shown_w, wired, status, said):
    follows, phases = told(held(own_a, shown_w, wired))
    assert follows.status == "ok"
    assert (phases.subject, phases.check, phases.status) == ("station CP1/1", "phases", status)
    assert said in phases.text


@pytest.mark.parametrize(
    ("own_a", "shown_w", "advised"),
    [
        ((16, 0, 0), (0, 2300, 0), '["L2", "L3", "L1"]'),
        ((16, 0, 0), (0, 0, 2300), '["L3", "L1", "L2"]'),
        ((16, 16, 0), (2300, 0, 2300), '["L3", "L1", "L2"]'),
    ],
)
def test_the_way_out_is_a_line_for_the_site_file(own_a, shown_w, advised):
    fault = told(held(own_a, shown_w))[1]
    assert f"phases = {advised}" in fault.advice
    assert "grid meter's own phases" not in fault.advice


def test_without_loads_that_tell_the_meters_order_it_may_be_the_meter():
    fault = told(held((16, 0, 0), (0, 2300, 0)), Diagnosis())[1]
    assert "Or the grid meter's own phases are exchanged" in fault.advice


def test_a_meter_found_rotated_and_reversed_by_loads_accuses_no_station():
    """The loads told already that the meter's L2 sees the site's L1, the wrong way round."""
    meter = Diagnosis(is_reversed=True, order=(1, 2, 0), is_order_seen=True)
    assert [f.status for f in told(held((16, 0, 0), (0, -2300, 0)), meter)] == ["ok", "ok"]


def test_where_there_are_no_loads_cars_tell_that_the_meter_is_reversed():
    direction, follows, phases = told(held((16, 0, 0), (-2300, 0, 0)), Diagnosis())
    assert (direction.subject, direction.status) == ("meter grid", "fault")
    assert "set `invert = true`" in direction.advice
    assert (follows.status, phases.status) == ("ok", "ok")


def test_a_station_that_does_not_follow_is_told_and_its_phases_are_not_guessed():
    (fault,) = told(held((16, 16, 16), (100, 50, 80), limit_a=0))
    assert (fault.check, fault.status) == ("follows", "fault")
    assert "held to 0 A its car should take 11040 W less, but the grid meter shows 230 W" in fault.text


def test_a_grid_meter_without_phases_still_shows_that_the_limit_is_followed():
    assert [f.check for f in told(held((16, 0, 0), None))] == ["follows"]
