"""Minimum times, timers and the word of a person."""

from __future__ import annotations

from datetime import UTC, datetime, time

import pytest
from closed_loop import NOON, Car, House, connector, element, heater, limit_a, site, steps_on, why

from optimizer import JointState, Mode, Window

NIGHT = (Window(frozenset(range(7)), time(2), time(5)),)


def test_a_cloud_does_not_break_the_minimum_on_time() -> None:
    house = House(site(heater(min_on_s=600.0)))
    assert steps_on(house.minute(1000)) == "1"
    for minute in range(1, 10):
        assert steps_on(house.minute(-300)) == "1"
        assert why(house.decision, "boiler") == f"held on: {minute} of 10 min"
    assert steps_on(house.minute(-300)) == ""


def test_what_was_switched_off_stays_off_for_its_minimum() -> None:
    house = House(site(heater(min_off_s=120.0)))
    house.minute(1000)
    house.minute(0)
    assert steps_on(house.minute(5000)) == ""
    assert why(house.decision, "boiler") == "held off: 1 of 2 min"
    assert steps_on(house.minute(5000)) == "1"


def test_each_element_has_its_own_time() -> None:
    steps = (element("1"), element("2"))
    house = House(site(heater(elements=steps, min_on_s=180.0)))
    got = [len(steps_on(house.minute(w))) for w in (1000, 1000, 2000, 0, 0, 0)]
    assert got == [1, 1, 2, 1, 1, 0]


def test_a_station_holds_its_minimum_current() -> None:
    house = House(site(connector(min_on_s=300.0, min_off_s=180.0)), {"CP1/1": Car()})
    got = [limit_a(house.minute(w)) for w in (7000, 0, 0, 9000, 0, 0, 9000, 9000, 9000, 9000)]
    assert got == [10, 6, 6, 13, 6, 0, 0, 0, 13, 13]


def test_a_new_vehicle_need_not_wait_for_the_last_ones_minimum_time() -> None:
    house = House(site(connector(min_off_s=600.0)), {"CP1/1": Car()})
    house.minute(5000)
    assert limit_a(house.minute(0)) == 0
    house.cars["CP1/1"] = Car(session="2")
    assert limit_a(house.minute(5000)) == 7


def test_a_persons_off_beats_the_minimum_on_time_and_on_beats_the_minimum_off() -> None:
    house = House(site(heater(min_on_s=600.0, min_off_s=600.0)))
    house.minute(1000)
    house.set_modes(boiler=Mode.OFF)
    assert steps_on(house.minute(1000)) == ""
    assert why(house.decision, "boiler") == "off by hand"
    house.set_modes(boiler=Mode.ON)
    assert steps_on(house.minute(-5000)) == "1"
    assert why(house.decision, "boiler") == "on by hand"


def test_manual_closes_what_the_person_chose() -> None:
    steps = (element("1"), element("2"), element("3"))
    house = House(site(heater(mode=Mode.MANUAL, elements=steps, manual_on=frozenset({"1", "3"}))))
    assert steps_on(house.minute(-3000)) == "13"
    assert why(house.decision, "boiler") == "manual: 2 of 3 on"


@pytest.mark.parametrize(
    ("mode", "manual_a", "expected"),
    [(Mode.OFF, 0, 0), (Mode.ON, 0, 16), (Mode.FULL, 0, 16), (Mode.MANUAL, 9.7, 9), (Mode.MANUAL, 5.0, 0)],
)
def test_a_person_sets_a_station(mode: Mode, manual_a: float, expected: float) -> None:
    house = House(site(connector(mode=mode, manual_a=manual_a)), {"CP1/1": Car()})
    assert limit_a(house.minute(-2000)) == expected


@pytest.mark.parametrize("night", ["2026-03-29", "2026-06-10", "2026-10-25"])
def test_the_water_heater_is_forced_on_from_two_to_five_every_night(night: str) -> None:
    day = datetime.fromisoformat(night).replace(tzinfo=UTC)
    house = House(site(heater(mode=Mode.SOLAR_AND_TIMER, windows=NIGHT)))
    hours = {"2026-03-29": (1, 3), "2026-06-10": (0, 3), "2026-10-25": (0, 4)}[night]
    house.now = day
    for quarter in range(24):
        on = steps_on(house.minute(-400, seconds=900))
        assert on == ("1" if hours[0] * 4 <= quarter < hours[1] * 4 else "")
        if on:
            assert why(house.decision, "boiler") == "timer: forced on until 05:00"


def test_timer_only_leaves_the_sun_alone() -> None:
    house = House(
        site(
            heater(mode=Mode.TIMER_ONLY, windows=NIGHT),
            connector(mode=Mode.TIMER_ONLY, windows=NIGHT),
        ),
        {"CP1/1": Car()},
    )
    decision = house.minute(20000)
    assert (steps_on(decision), limit_a(decision)) == ("", 0)
    assert why(decision, "boiler") == why(decision, "CP1/1") == "timer: off outside its windows"
    house.now = datetime(2026, 6, 10, 1, 0, tzinfo=UTC)
    decision = house.minute(-300)
    assert (steps_on(decision), limit_a(decision)) == ("1", 16)
    assert why(decision, "CP1/1") == "timer: forced on until 05:00"


def test_what_a_timer_forces_on_is_not_offered_to_others_as_sun() -> None:
    timer = heater(
        "timer", mode=Mode.SOLAR_AND_TIMER, windows=(Window(frozenset(range(7)), time(12), time(13)),)
    )
    house = House(site(timer, heater("sun")))
    decision = house.minute(1500)
    assert (steps_on(decision, "timer"), steps_on(decision, "sun")) == ("1", "")
    assert decision.available_w == 500


def test_a_relay_switched_by_hand_is_left_as_it_is_for_its_minimum_time() -> None:
    house = House(site(heater(min_on_s=300.0, min_off_s=300.0)))
    for _ in range(8):
        house.minute(0)
    house.on["boiler"] = frozenset({"1"})
    got = [steps_on(house.minute(0)) for _ in range(6)]
    assert got == ["1"] * 5 + [""]


def test_a_relay_that_does_not_obey_is_told_again_at_once() -> None:
    house = House(site(heater(min_on_s=600.0)))
    for surplus_w in (1000, *[0] * 10):
        house.minute(surplus_w)
    assert steps_on(house.decision) == ""
    house.on["boiler"] = frozenset({"1"})
    assert steps_on(house.minute(0)) == ""


def test_after_a_restart_without_memory_what_is_on_keeps_its_minimum_time() -> None:
    house = House(site(heater(min_on_s=120.0)), on={"boiler": frozenset({"1"})})
    assert [steps_on(house.minute(0)) for _ in range(3)] == ["1", "1", ""]
    assert house.now > NOON


def test_a_heat_pump_found_in_a_forbidden_state_is_brought_out_of_it() -> None:
    """Somebody closed the second contact alone: f without r means lock."""
    pump = heater(
        "pump",
        elements=(element("f", 2000), element("r", 1000)),
        joint_states=(
            JointState(frozenset("r"), 1000, (1.5, 1.5, 1.5)),
            JointState(frozenset("rf"), 3000, (4.4, 4.4, 4.4)),
        ),
        min_on_s=40.0,
    )
    house = House(site(pump))
    house.minute(0)
    house.on["pump"] = frozenset("f")
    assert steps_on(house.minute(1500), "pump") == "r"
    assert why(house.minute(-500, seconds=20), "pump") == "waiting: -500 W surplus, needs 1000 W"
    house.minute(1200, seconds=20)
    house.minute(-500)
    assert why(house.decision, "pump") == "held on: 20 of 40 s"
