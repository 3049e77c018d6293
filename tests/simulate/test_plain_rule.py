"""The plain rule of the field, minute by minute: it is what the controller is measured against."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from replay_builders import NOON, boiler, make_site, station

from csms.control_model import control_site
from optimizer.model import (
    NO_CURRENT,
    ApplianceDemand,
    ConnectorDemand,
    ConnectorState,
    Demands,
    PowerReading,
    Readings,
)
from simulation.plain_rule import PlainRule
from simulation.plant import Setpoints

PUMP = {
    "id": "pump",
    "kind": "pool_pump",
    "circuit": "main",
    "steps": [{"relays": ["io1/4"], "power_w": 700, "phases": ["L2"]}],
}
CHARGING = ConnectorState.CHARGING
READY = ConnectorState.READY


def car(state: ConnectorState, offered_a: float, power_w: float = 0.0, phases: int = 1) -> ConnectorDemand:
    amps = power_w / 230 / phases
    current_a = (amps, amps if phases > 1 else 0.0, amps if phases > 2 else 0.0)
    return ConnectorDemand(state, power_w, current_a, offered_a, "session" if state != "free" else None)


def minute(
    grid_w: float,
    on: dict[str, set[str]] | None = None,
    cars: dict[str, ConnectorDemand] | None = None,
    at: datetime = NOON,
    **site: Any,
) -> Setpoints:
    """One decision of the rule. grid_w: the last minute's mean."""
    config = make_site(site.get("appliances", ()), site.get("charge_points", ()))
    demands = Demands(
        {a.id: ApplianceDemand(frozenset((on or {}).get(a.id, ()))) for a in config.appliance}, cars or {}
    )
    readings = Readings(PowerReading(grid_w, NO_CURRENT, at))
    return PlainRule(control_site(config))(readings, demands, at)


@pytest.mark.parametrize(
    ("grid_w", "on", "expected"),
    [
        (-999, set(), 0),  # does not cover the nominal power
        (-1000, set(), 1),  # 1000 W of surplus switches the 1000 W element
        (-2500, set(), 2),  # small steps are used well
        (-3500, set(), 3),
        (0, {"1", "2"}, 2),  # neither surplus nor draw: nothing changes
        (1, {"1", "2"}, 1),  # any draw: what is necessary to end it
        (1000, {"1", "2", "3"}, 2),
        (1001, {"1", "2", "3"}, 1),
        (5000, {"1", "2"}, 0),  # the house alone draws
    ],
)
def test_a_boiler_with_three_elements_follows_surplus_and_draw(
    grid_w: float, on: set[str], expected: int
) -> None:
    setpoints = minute(grid_w, {"boiler": on}, appliances=[boiler()])
    assert len(setpoints.appliances["boiler"]) == expected


def test_the_largest_that_fits_comes_first_and_the_rest_gets_what_is_left() -> None:
    appliances = [PUMP, boiler()]
    assert minute(-1699, appliances=appliances).appliances == {
        "pump": frozenset(),
        "boiler": frozenset({"1"}),
    }
    assert minute(-1700, appliances=appliances).appliances["pump"] == {"1"}
    assert minute(-800, appliances=appliances).appliances == {"pump": frozenset({"1"}), "boiler": frozenset()}


def test_on_draw_the_smallest_that_is_enough_goes() -> None:
    on = {"pump": {"1"}, "boiler": {"1"}}
    assert minute(600, on, appliances=[boiler(), PUMP]).appliances == {"pump": frozenset(), "boiler": {"1"}}
    assert minute(900, on, appliances=[boiler(), PUMP]).appliances == {"pump": {"1"}, "boiler": frozenset()}


def test_a_heater_without_neutral_takes_one_line_pair_then_all() -> None:
    heater = {
        "id": "heater",
        "kind": "water_heater_no_neutral",
        "circuit": "main",
        "rated_power_w": 3000,
        "relays": {"l1_l2": "io1/1", "l1_l3": "io1/2"},
    }
    assert minute(-1499, appliances=[heater]).appliances["heater"] == frozenset()
    assert minute(-1500, appliances=[heater]).appliances["heater"] == {"l1_l2"}
    assert minute(-3000, appliances=[heater]).appliances["heater"] == {"l1_l2", "l1_l3"}


@pytest.mark.parametrize(
    ("grid_w", "demand", "expected_a"),
    [
        (-1379, car(READY, 0), 0),  # 6 A on one phase are 1380 W
        (-1380, car(READY, 0), 6),
        (-460, car(CHARGING, 6, 1380), 8),  # follows in whole amperes
        (-100, car(CHARGING, 6, 1380), 6),
        (-9000, car(CHARGING, 6, 1380), 16),
        (231, car(CHARGING, 10, 2300), 8),
        (920, car(CHARGING, 10, 2300), 6),
        (921, car(CHARGING, 10, 2300), 0),  # draws even at the minimum
        (500, car(READY, 6), 6),  # takes nothing, so stopping it would end no draw
        (-9000, car(ConnectorState.FREE, 0), 0),
    ],
)
def test_a_single_phase_station_starts_follows_and_stops(
    grid_w: float, demand: ConnectorDemand, expected_a: float
) -> None:
    setpoints = minute(grid_w, cars={"CP1/1": demand}, charge_points=[station()])
    assert setpoints.connectors == {"CP1/1": expected_a}


def test_a_three_phase_station_needs_4140_w() -> None:
    point = station(phases=["L1", "L2", "L3"])
    assert minute(-4139, cars={"CP1/1": car(READY, 0)}, charge_points=[point]).connectors["CP1/1"] == 0
    assert minute(-4140, cars={"CP1/1": car(READY, 0)}, charge_points=[point]).connectors["CP1/1"] == 6


def test_a_vehicle_on_one_of_three_phases_is_followed_by_what_it_really_takes() -> None:
    point = station(phases=["L1", "L2", "L3"])
    setpoints = minute(-460, cars={"CP1/1": car(CHARGING, 6, 1380)}, charge_points=[point])
    assert setpoints.connectors["CP1/1"] == 8


def test_a_vehicle_that_cannot_vary_is_switched_at_full_current() -> None:
    point = station(modulates=False)
    assert minute(-3679, cars={"CP1/1": car(READY, 0)}, charge_points=[point]).connectors["CP1/1"] == 0
    assert minute(-3680, cars={"CP1/1": car(READY, 0)}, charge_points=[point]).connectors["CP1/1"] == 16
    assert minute(1, cars={"CP1/1": car(CHARGING, 16, 3680)}, charge_points=[point]).connectors["CP1/1"] == 0


def test_stations_give_way_before_relays_are_switched() -> None:
    setpoints = minute(
        230,
        {"boiler": {"1"}},
        {"CP1/1": car(CHARGING, 7, 1610)},
        appliances=[boiler()],
        charge_points=[station()],
    )
    assert setpoints == Setpoints({"boiler": frozenset({"1"})}, {"CP1/1": 6})


@pytest.mark.parametrize(
    ("mode", "at_night", "by_day"),
    [("solar_and_timer", 3, 0), ("timer_only", 3, 0), ("on", 3, 3), ("off", 0, 0), ("manual", 0, 0)],
)
def test_modes_and_timers_hold_against_the_meter(mode: str, at_night: int, by_day: int) -> None:
    windows = [{"from": "02:00", "to": "03:00"}]
    timed = boiler(mode=mode, windows=windows)
    night = datetime.fromisoformat("2024-06-03T00:30:00Z")  # 02:30 in Zurich
    assert len(minute(400, appliances=[timed], at=night).appliances["boiler"]) == at_night
    day = minute(400, appliances=[timed], at=night + timedelta(hours=10))
    assert len(day.appliances["boiler"]) == by_day


@pytest.mark.parametrize(("mode", "expected_a"), [("min_and_solar", 6), ("full", 16), ("off", 0)])
def test_a_stations_mode_holds_against_the_meter(mode: str, expected_a: float) -> None:
    setpoints = minute(5000, cars={"CP1/1": car(CHARGING, 10, 2300)}, charge_points=[station(mode=mode)])
    assert setpoints.connectors["CP1/1"] == expected_a


def test_power_that_a_timer_takes_is_not_given_to_the_sun_loads_as_well() -> None:
    timed = boiler(mode="on")
    setpoints = minute(-3500, appliances=[timed, PUMP])
    assert setpoints.appliances == {"boiler": {"1", "2", "3"}, "pump": frozenset()}
