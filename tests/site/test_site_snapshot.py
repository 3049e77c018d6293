"""What people are shown must add up."""

from __future__ import annotations

import pytest

from csms.domain.snapshot import LoadSnapshot, MeasuredPower
from csms.site_snapshot import _power_w, _without_idle_watts
from optimizer import Appliance, ApplianceDecision, ApplianceDemand, Element, Mode, Reason


def load(id: str, power_w: float, measured: bool = False) -> LoadSnapshot:
    return LoadSnapshot(id, id, "generic", "solar_only", (), "on", power_w, measured, "", "")


@pytest.mark.parametrize(
    ("story", "grid_w", "pv_w", "boiler_w", "shown_w"),
    [
        ("the boiler heats", -1000, -5000, 3000, 3000),
        ("the boiler is hot and draws nothing", -4700, -5000, 3000, 300),
        ("it is hot and the house runs", -4000, -5000, 3000, 1000),
        ("without a meter on the roof nothing can be told", -4700, None, 3000, 3000),
        ("without a grid meter neither", None, -5000, 3000, 3000),
    ],
)
def test_a_load_does_not_take_more_than_the_meters_allow(
    story: str, grid_w: float | None, pv_w: float | None, boiler_w: float, shown_w: float
) -> None:
    loads = _without_idle_watts([load("boiler", boiler_w)], MeasuredPower(grid_w, pv_w, None))
    assert loads[0].power_w == pytest.approx(shown_w), story


def test_what_is_measured_is_not_corrected() -> None:
    loads = [load("boiler", 2000), load("CP1/1", 2000, measured=True)]
    boiler, car = _without_idle_watts(loads, MeasuredPower(-2000, -4000, None))
    assert (boiler.power_w, car.power_w) == (pytest.approx(0), 2000)


@pytest.mark.parametrize(
    ("story", "demand", "shown_w"),
    [
        ("it was learnt that it takes nothing", ApplianceDemand(frozenset("1")), 0),
        ("it has just been switched on", ApplianceDemand(frozenset("12")), 3000),
        ("its own meter knows better", ApplianceDemand(frozenset("1"), 1950.0), 1950),
        ("nobody knows what is on", ApplianceDemand(None), 0),
    ],
)
def test_an_appliance_is_shown_with_what_was_learnt_of_it(
    story: str, demand: ApplianceDemand, shown_w: float
) -> None:
    elements = (Element("1", 2000, (8.7, 0, 0)), Element("2", 1000, (0, 4.3, 0)))
    boiler = Appliance("boiler", "main", Mode.SOLAR_ONLY, elements)
    decision = ApplianceDecision("boiler", frozenset("1"), 0.0, Reason("idle", "on but takes nothing"))
    assert _power_w(boiler, demand, decision) == shown_w, story
