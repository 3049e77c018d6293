"""How often what starts, and which of equal loads is next."""

from __future__ import annotations

from datetime import UTC, datetime, time

import pytest
from closed_loop import Car, House, connector, element, heater, limit_a, site, steps_on, why
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer import Circuit, Mode, Window

MORNING = datetime(2026, 6, 10, 6, 0, tzinfo=UTC)
SUN_AND_CLOUD = (1200, 0)


def test_a_compressor_is_not_started_a_fourth_time_within_an_hour() -> None:
    house = House(site(heater("pump", max_starts_per_hour=3)))
    got = [steps_on(house.minute(w), "pump") for w in SUN_AND_CLOUD * 4]
    assert got == ["1", "", "1", "", "1", "", "", ""]
    assert house.minute(1200).appliances[0].reason.text == "no more starts this hour: 3 of 3 used"
    for _ in range(60):
        house.minute(0)
    assert steps_on(house.minute(1200), "pump") == "1"


def test_a_day_ends_at_midnight_of_the_site() -> None:
    """22:00 UTC is midnight in Zurich in summer."""
    house = House(site(heater("pump", max_starts_per_day=1)), now=datetime(2026, 6, 10, 21, 56, tzinfo=UTC))
    assert [steps_on(house.minute(w), "pump") for w in (1200, 0, 1200, 1200)] == ["1", "", "", ""]
    assert why(house.decision, "pump") == "no more starts today: 1 of 1 used"
    assert steps_on(house.minute(1200), "pump") == "1"


@pytest.mark.parametrize(("mode", "on"), [(Mode.ON, "1"), (Mode.TIMER_ONLY, ""), (Mode.SOLAR_AND_TIMER, "")])
def test_a_person_may_start_what_a_timer_may_not(mode: Mode, on: str) -> None:
    all_day = (Window(frozenset(range(7)), time(0), time(0)),)
    house = House(site(heater("pump", max_starts_per_day=1, windows=all_day)))
    for w in SUN_AND_CLOUD:
        house.minute(w)
    house.set_modes(pump=mode)
    assert steps_on(house.minute(3000), "pump") == on


def test_what_runs_is_not_stopped_for_having_used_its_starts() -> None:
    house = House(site(heater("pump", max_starts_per_hour=1)))
    assert {steps_on(house.minute(1200), "pump") for _ in range(90)} == {"1"}


def test_a_fuse_stops_what_has_no_start_left() -> None:
    circuits = (Circuit("main", None, (20.0, 20.0, 20.0)),)
    house = House(site(heater("pump", max_starts_per_hour=1), circuits=circuits))
    house.minute(1200)
    house.house_a = (19.0, 0.0, 0.0)
    assert steps_on(house.minute(1200), "pump") == ""


def test_a_connector_counts_its_starts_over_all_vehicles() -> None:
    house = House(site(connector(phases=(0,), max_starts_per_day=2)), {"CP1/1": Car(phases=1)})
    assert [limit_a(house.minute(w)) for w in (1500, 0)] == [6, 0]
    house.cars["CP1/1"] = Car(phases=1, session="2")
    assert [limit_a(house.minute(w)) for w in (1500, 0, 1500)] == [6, 0, 0]
    assert why(house.decision, "CP1/1") == "no more starts today: 2 of 2 used"
    house.set_modes(CP1_1=Mode.FULL)
    assert limit_a(house.minute(1500)) == 16


@settings(max_examples=60, deadline=None)
@given(
    surpluses=st.lists(st.integers(-500, 4000), min_size=5, max_size=40),
    per_hour=st.integers(1, 3),
)
def test_nothing_starts_more_often_than_it_may(surpluses: list[int], per_hour: int) -> None:
    steps = (element("1"), element("2", phases=(1,)))
    house = House(site(heater(elements=steps, max_starts_per_hour=per_hour)))
    before, starts = "", {"1": 0, "2": 0}
    for w in surpluses:
        on = steps_on(house.minute(w))
        for step in set(on) - set(before):
            starts[step] += 1
        before = on
    assert max(starts.values()) <= per_hour


def test_equal_heaters_take_turns_at_being_switched_on() -> None:
    """Least run today first, at each new sun; never a swap while one runs."""
    house = House(site(heater("a"), heater("b"), heater("c")), now=MORNING)
    order = []
    for _ in range(4):
        for w in (1000, 1000, 1000, 0):
            decision = house.minute(w)
            order.append("".join(id for id in "abc" if steps_on(decision, id)))
    assert order == ["a", "a", "a", "", "b", "b", "b", "", "c", "c", "c", "", "a", "a", "a", ""]


def test_the_longest_runner_of_equals_stops_first() -> None:
    house = House(site(heater("a"), heater("b")), now=MORNING)
    for w in (1000, 1000, 2000):
        house.minute(w)
    decision = house.minute(1000)
    assert (steps_on(decision, "a"), steps_on(decision, "b")) == ("", "1")


def test_a_new_day_begins_with_the_first_again() -> None:
    house = House(site(heater("a"), heater("b")), now=datetime(2026, 6, 10, 21, 56, tzinfo=UTC))
    assert steps_on(house.minute(1000), "a") == "1"
    for w in (0, 0, 0):
        house.minute(w)
    assert steps_on(house.minute(1000), "a") == "1"
