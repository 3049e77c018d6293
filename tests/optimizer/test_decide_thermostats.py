"""Appliances that do not take what they should, told by their step in the grid meter alone."""

from __future__ import annotations

from itertools import cycle

import pytest
from closed_loop import Car, connector, element, heater, limit_a, load, site, steps_on, why
from hypothesis import given, settings
from hypothesis import strategies as st
from limited_house import LimitedHouse

from optimizer import Circuit, Mode

HOT = "on but takes nothing: its own thermostat is open"
CALM = [0.0, 20.0, -10.0, 15.0, -20.0]


def quiet_minutes(house: LimitedHouse, surplus_w: float, count: int) -> None:
    """The refrigerator runs, that is all."""
    for wobble_w, _ in zip(cycle(CALM), range(count), strict=False):
        house.minute(surplus_w + wobble_w)


def test_the_thermostat_opens_at_two_the_car_takes_the_watts_and_it_closes_at_twenty_past() -> None:
    house = LimitedHouse(
        site(heater(elements=(element("1", 2000.0),)), connector(phases=(1,))), {"CP1/1": Car(phases=1)}
    )
    house.cars["CP1/1"].session = None
    quiet_minutes(house, 4000, 8)
    house.cars["CP1/1"].session = "1"
    quiet_minutes(house, 4000, 8)
    assert (steps_on(house.decision), limit_a(house.decision)) == ("1", 8)
    house.cold["boiler"] = 0.0
    quiet_minutes(house, 4000, 4)
    assert why(house.decision, "boiler") == HOT
    assert (steps_on(house.decision), limit_a(house.decision)) == ("1", 16)
    assert load(house.decision, "boiler").power_w == 0
    quiet_minutes(house, 4000, 12)
    house.cold["boiler"] = 1.0
    imports = []
    for _ in range(5):
        house.minute(4000)
        imports.append(house.grid_w > 100)
    assert imports == [True, False, False, False, False], "one interval of draw, no more"
    assert steps_on(house.decision) == "1"
    assert why(house.decision, "boiler") != HOT


def test_a_boiler_that_is_hot_when_it_is_switched_on_is_noticed_at_once() -> None:
    house = LimitedHouse(site(heater(elements=(element("1", 2000.0),))), cold={"boiler": 0.0})
    quiet_minutes(house, 1970, 5)
    house.minute(2030)
    assert steps_on(house.decision) == "1"
    house.minute(2030)
    assert why(house.decision, "boiler") == HOT
    assert steps_on(house.minute(1800)) == "", "the sun would not cover its return"


def test_it_stays_closed_only_as_long_as_the_sun_covers_its_return() -> None:
    house = LimitedHouse(site(heater(elements=(element("1", 2000.0),))), cold={"boiler": 0.0})
    quiet_minutes(house, 1970, 5)
    for _ in range(3):
        house.minute(2030)
    assert steps_on(house.decision) == "1"
    assert steps_on(house.minute(1200)) == ""


def test_a_restless_house_hides_the_step_and_nothing_is_concluded() -> None:
    house = LimitedHouse(site(heater(elements=(element("1", 1000.0),))), cold={"boiler": 0.0})
    for w in (600, 100, 700, 200, 800, 1100):
        house.minute(w)
    assert steps_on(house.decision) == "1"
    house.minute(1100)
    assert why(house.decision, "boiler").startswith("on: ")


def test_two_switched_on_together_are_told_together_or_not_at_all() -> None:
    loads = (heater("a", elements=(element("1", 1000.0),)), heater("b", elements=(element("1", 1500.0),)))
    both_hot = LimitedHouse(site(*loads), cold={"a": 0.0, "b": 0.0})
    one_hot = LimitedHouse(site(*loads), cold={"a": 0.0})
    for house in (both_hot, one_hot):
        house.set_modes(a=Mode.OFF, b=Mode.OFF)
        quiet_minutes(house, 2600, 5)
        house.set_modes(a=Mode.SOLAR_ONLY, b=Mode.SOLAR_ONLY)
        house.minute(2600)
        house.minute(2600)
    assert (why(both_hot.decision, "a"), why(both_hot.decision, "b")) == (HOT, HOT)
    assert HOT not in (why(one_hot.decision, "a"), why(one_hot.decision, "b"))


def test_a_boiler_that_takes_more_than_its_plate_says_is_told() -> None:
    house = LimitedHouse(site(heater(elements=(element("1", 1000.0),))), cold={"boiler": 1.5})
    house.set_modes(boiler=Mode.OFF)
    quiet_minutes(house, 2000, 5)
    house.set_modes(boiler=Mode.SOLAR_ONLY)
    for _ in range(3):
        house.minute(2000)
    sentence = "on: takes 1500 W, more than the 1000 W of its description"
    assert why(house.decision, "boiler") == sentence
    assert load(house.decision, "boiler").power_w == 1500
    assert steps_on(house.minute(1300)) == "", "its true power counts"


def test_the_sun_breaking_through_is_no_thermostat() -> None:
    """It rises on all phases, the heater hangs on one."""
    house = LimitedHouse(site(heater(elements=(element("1", 2000.0),))))
    quiet_minutes(house, 2200, 12)
    house.house_a = (-2.9, -2.9, -2.9)
    house.minute(4200)
    house.minute(4200)
    assert why(house.decision, "boiler").startswith("on: ")


def test_one_thermostat_for_two_elements() -> None:
    steps = (element("1", 1000.0), element("2", 1000.0, (1,)))
    house = LimitedHouse(site(heater(elements=steps)))
    quiet_minutes(house, 2400, 10)
    assert steps_on(house.decision) == "12"
    house.cold["boiler"] = 0.0
    quiet_minutes(house, 2400, 3)
    assert why(house.decision, "boiler") == HOT
    house.cold["boiler"] = 1.0
    quiet_minutes(house, 2400, 9)
    house.cold["boiler"] = 0.0
    quiet_minutes(house, 2400, 1)
    assert house.decision is not None
    assert not any(share == 0.5 for share in {e.share for e in house.memory.elements.values()})


def test_watts_held_by_a_minimum_time_are_not_kept_from_others_when_nothing_is_taken() -> None:
    house = LimitedHouse(
        site(
            heater("boiler", elements=(element("1", 2000.0),), min_on_s=1200.0),
            heater("pump", elements=(element("1", 1500.0),)),
        ),
        cold={"boiler": 0.0},
    )
    house.set_modes(pump=Mode.OFF)
    quiet_minutes(house, 1970, 5)
    house.minute(2030)
    house.minute(2030)
    assert why(house.decision, "boiler") == HOT
    house.set_modes(pump=Mode.SOLAR_ONLY)
    decision = house.minute(2100)
    assert (steps_on(decision, "boiler"), steps_on(decision, "pump")) == ("1", "1")


def test_a_hot_boiler_that_is_swapped_for_another_is_found_out_within_minutes() -> None:
    """Its missing watts look like sun for a larger one, which then draws: the two would take turns."""
    loads = (heater("a", elements=(element("1", 1000.0),)), heater("b", elements=(element("1", 1500.0),)))
    house = LimitedHouse(site(*loads), cold={"a": 0.0})
    for _ in range(4):
        house.minute(0)
    on = []
    for _ in range(14):
        house.minute(1000)
        on.append((steps_on(house.decision, "a"), steps_on(house.decision, "b")))
    assert on[-5:] == [("1", "")] * 5, "until then the jump of the sun was within the last minutes"
    assert why(house.decision, "a") == HOT


@pytest.mark.parametrize("returns", [True, False])
def test_a_fuse_bears_the_return_of_what_takes_nothing(returns: bool) -> None:
    main = (Circuit("main", None, (16.0, 16.0, 16.0)),)
    loads = (
        heater(elements=(element("1", 2300.0),)),
        connector(phases=(0,), mode=Mode.FULL),
    )
    house = LimitedHouse(site(*loads, circuits=main), {"CP1/1": Car(phases=1, session=None)})
    house.cold["boiler"] = 0.0
    quiet_minutes(house, 2270, 5)
    house.minute(2330)
    house.minute(2330)
    assert why(house.decision, "boiler") == HOT
    house.cars["CP1/1"].session = "1"
    house.cold["boiler"] = 1.0 if returns else 0.0
    for _ in range(4):
        house.minute(2400)
        assert max(house.grid_a()) <= 16 + 1e-6


@settings(max_examples=60, deadline=None)
@given(
    minutes=st.lists(
        st.tuples(st.integers(-2000, 9000), st.sampled_from([0.0, 0.0, 1.0, 1.0, 1.6])),
        min_size=6,
        max_size=25,
    )
)
def test_whatever_thermostats_do_fuses_hold_and_the_draw_ends(minutes: list[tuple[int, float]]) -> None:
    """A steady sun ends any draw within minutes, whatever was believed before."""
    main = (Circuit("main", None, (20.0, 20.0, 20.0)),)
    loads = (
        heater("a", elements=(element("1", 2000.0), element("2", 1000.0, (1,)))),
        heater("b", elements=(element("1", 1500.0, (2,)),)),
        connector(phases=(1,)),
    )
    house = LimitedHouse(site(*loads, circuits=main), {"CP1/1": Car(phases=1)})
    for w, share in minutes:
        house.cold["a"] = min(share, 1.0)
        house.minute(w)
        assert max(house.grid_a()) <= 20 + 1e-6
    for _ in range(15):
        house.minute(minutes[-1][0])
    assert house.controlled_w() <= max(minutes[-1][0], 0) * 12 / 11 + 1e-6
