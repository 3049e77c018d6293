"""The sun decides: what starts, what stops, what stays; each row is one minute of a small house."""

from __future__ import annotations

from dataclasses import replace

import pytest
from closed_loop import Car, House, connector, element, heater, limit_a, site, steps_on, why
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer import Circuit, JointState, Mode
from optimizer.electrical import heater_without_neutral

THREE_STEPS = (element("1"), element("2", phases=(1,)), element("3", phases=(2,)))


@pytest.mark.parametrize(
    ("surplus_w", "on", "sentence"),
    [
        (1000, "1", "on: 1000 W surplus covers 1000 W"),
        (1200, "1", "on: 1200 W surplus covers 1000 W"),
        (999, "", "waiting: 999 W surplus, needs 1000 W"),
        (640, "", "waiting: 640 W surplus, needs 1000 W"),
        (-500, "", "waiting: -500 W surplus, needs 1000 W"),
    ],
)
def test_a_heater_starts_on_its_whole_nominal_power(surplus_w: float, on: str, sentence: str) -> None:
    house = House(site(heater()))
    decision = house.minute(surplus_w)
    assert steps_on(decision) == on
    assert why(decision, "boiler") == sentence


@pytest.mark.parametrize(
    ("phases", "surplus_w", "expected_a"),
    [
        ((0, 1, 2), 4140, 6),
        ((0, 1, 2), 4139, 0),
        ((0, 1, 2), 4830, 7),
        ((1,), 1380, 6),
        ((1,), 1379, 0),
        ((1,), 9000, 16),
    ],
)
def test_a_station_starts_at_six_amperes_on_all_its_phases(
    phases: tuple[int, ...], surplus_w: float, expected_a: float
) -> None:
    house = House(site(connector(phases=phases)), {"CP1/1": Car(phases=len(phases))})
    assert limit_a(house.minute(surplus_w)) == expected_a


def test_a_vehicle_that_needs_eight_amperes_never_gets_less() -> None:
    house = House(site(connector(phases=(0,), min_a=8.0)), {"CP1/1": Car(phases=1)})
    assert [limit_a(house.minute(w)) for w in (1839, 1840, 2100, 1700)] == [0, 8, 9, 0]


def test_three_steps_follow_a_ramp_up_and_down() -> None:
    house = House(site(heater(elements=THREE_STEPS)))
    rows = [
        (0, 0),
        (900, 0),
        (1000, 1),
        (1900, 1),
        (2100, 2),
        (3000, 3),
        (5000, 3),
        (2900, 2),
        (1500, 1),
        (200, 0),
    ]
    got = [(surplus_w, len(steps_on(house.minute(surplus_w)))) for surplus_w, _ in rows]
    assert got == rows


def test_what_is_left_for_the_next_step_is_said() -> None:
    house = House(site(heater(elements=THREE_STEPS)))
    assert why(house.minute(2640), "boiler") == "2 of 3 steps on; next needs 1000 W, 640 W left"


def test_a_draw_switches_off_just_enough() -> None:
    house = House(
        site(heater("a"), heater("b"), heater("c"), connector(phases=(0,))), {"CP1/1": Car(phases=1)}
    )
    assert limit_a(house.minute(3000 + 3680)) == 16
    decision = house.minute(3000 + 3680 - 500)
    assert [steps_on(decision, id) for id in "abc"] == ["1", "1", "1"]
    assert limit_a(decision) == 13
    house.cars.clear()
    decision = house.minute(2500)
    assert sorted(steps_on(decision, id) for id in "abc") == ["", "1", "1"]


def test_small_and_large_loads_are_combined_to_use_the_most() -> None:
    loads = [
        heater(id, elements=(element("1", power_w),))
        for id, power_w in (("a", 600), ("b", 1200), ("c", 2000))
    ]
    decision = House(site(*loads)).minute(2650)
    assert [steps_on(decision, id) for id in "abc"] == ["1", "", "1"]


def test_equal_loads_never_swap() -> None:
    house = House(site(heater("a"), heater("b")))
    house.minute(1000)
    assert (steps_on(house.decision, "a"), steps_on(house.decision, "b")) == ("1", "")
    house.site = replace(house.site, appliances=house.site.appliances[::-1])
    decision = house.minute(1000)
    assert (steps_on(decision, "a"), steps_on(decision, "b")) == ("1", "")


def test_a_load_that_runs_is_not_stopped_for_a_few_watts_of_draw() -> None:
    house = House(site(heater()))
    house.minute(1000)
    decision = house.minute(990)
    assert steps_on(decision) == "1"
    assert why(decision, "boiler") == "kept on: 990 W surplus for 1000 W"
    assert steps_on(house.minute(900)) == ""


def test_minimum_and_solar_never_falls_below_its_minimum() -> None:
    house = House(site(connector(mode=Mode.MIN_AND_SOLAR)), {"CP1/1": Car()})
    assert [limit_a(house.minute(w)) for w in (-800, 300, 4500, 4900, 20000, 0)] == [6, 6, 6, 7, 16, 6]
    assert why(house.decision, "CP1/1") == "minimum of 6 A: 0 W surplus"


def test_an_old_vehicle_is_switched_at_its_fixed_current() -> None:
    house = House(site(connector(phases=(0,), modulates=False)), {"CP1/1": Car(takes_a=13.0, phases=1)})
    assert [limit_a(house.minute(w)) for w in (3600, 3700, 3050, 2500)] == [0, 16, 16, 0]


def test_the_neutral_less_heater_knows_nothing_but_none_half_and_all() -> None:
    old = heater(
        elements=(element("a", 1500, (0, 1)), element("b", 1500, (0, 2))),
        joint_states=heater_without_neutral(3000, "a", "b"),
    )
    house = House(site(old))
    powers = [house.minute(w).appliances[0].power_w for w in range(0, 4000, 125)]
    assert powers == [0.0] * 12 + [1500.0] * 12 + [3000.0] * 8
    powers = [house.minute(w).appliances[0].power_w for w in (2900, 1400, 3000)]
    assert powers == [1500.0, 0.0, 3000.0]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-2000, 9000), min_size=2, max_size=25))
def test_sg_ready_contacts_never_show_lock(surpluses: list[int]) -> None:
    """Contact f without r would tell the heat pump to stop."""
    pump = heater(
        "pump",
        elements=(element("f", 2000, (0, 1, 2)), element("r", 1000, (0, 1, 2))),
        joint_states=(
            JointState(frozenset(), 0, (0, 0, 0)),
            JointState(frozenset("r"), 1000, (1.5, 1.5, 1.5)),
            JointState(frozenset("rf"), 3000, (4.4, 4.4, 4.4)),
        ),
        min_on_s=180.0,
        min_off_s=120.0,
    )
    house = House(site(pump))
    assert {steps_on(house.minute(w), "pump") for w in surpluses} <= {"", "r", "fr"}


@settings(max_examples=60, deadline=None)
@given(
    surplus_w=st.integers(-3000, 20000),
    before_w=st.integers(-3000, 20000),
    three_phase=st.booleans(),
)
def test_constant_sun_causes_no_toggles_after_two_steps(
    surplus_w: int, before_w: int, three_phase: bool
) -> None:
    phases = (0, 1, 2) if three_phase else (1,)
    house = House(
        site(
            heater("a", elements=THREE_STEPS),
            heater("b", elements=(element("1", 750),)),
            connector(phases=phases),
            connector("CP2/1", phases=(2,), min_a=8.0),
        ),
        {"CP1/1": Car(phases=len(phases)), "CP2/1": Car(phases=1)},
    )
    for w in (before_w, surplus_w, surplus_w):
        settled = house.minute(w)
    for _ in range(3):
        again = house.minute(surplus_w)
        assert [a.on for a in again.appliances] == [a.on for a in settled.appliances]
        assert [c.limit_a for c in again.connectors] == [c.limit_a for c in settled.connectors]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-4000, 25000), min_size=1, max_size=20), st.sampled_from(list(Mode)))
def test_a_limit_is_nothing_or_at_least_the_minimum(surpluses: list[int], mode: Mode) -> None:
    house = House(
        site(connector(mode=mode, manual_a=11.0), connector("CP2/1", phases=(1,), min_a=8.0), heater()),
        {"CP1/1": Car(takes_a=11.3), "CP2/1": Car(phases=1)},
    )
    for w in surpluses:
        for outlet, part in zip(house.site.connectors, house.minute(w).connectors, strict=True):
            assert part.limit_a == 0 or outlet.min_a <= part.limit_a <= outlet.max_a
            assert part.limit_a == round(part.limit_a)


@settings(max_examples=40, deadline=None)
@given(st.permutations(range(4)), st.lists(st.integers(0, 9000), min_size=1, max_size=6))
def test_the_order_of_the_site_file_does_not_matter(order: list[int], surpluses: list[int]) -> None:
    loads = [
        heater("a", elements=(element("1", 610),)),
        heater("b", elements=(element("1", 1130),)),
        connector("CP1/1", phases=(0,)),
        connector("CP2/1", phases=(0, 1, 2), min_a=7.0),
    ]
    straight, shuffled = (
        House(site(*some), {"CP1/1": Car(phases=1), "CP2/1": Car()})
        for some in (loads, [loads[i] for i in order])
    )
    for w in surpluses:
        one, other = straight.minute(w), shuffled.minute(w)
        assert sum(p.power_w for p in (*one.appliances, *one.connectors)) == sum(
            p.power_w for p in (*other.appliances, *other.connectors)
        )


def test_the_vehicle_served_least_starts_first() -> None:
    cars = {"CP1/1": Car(phases=1, delivered_wh=9000), "CP2/1": Car(phases=1, delivered_wh=500)}
    house = House(site(connector(phases=(0,)), connector("CP2/1", phases=(0,))), cars)
    decision = house.minute(1500)
    assert (limit_a(decision, "CP1/1"), limit_a(decision, "CP2/1")) == (0, 6)
    assert why(decision, "CP1/1") == "waiting: 120 W surplus, needs 1380 W"
    house.cars["CP2/1"].delivered_wh = 20000
    assert limit_a(house.minute(1500), "CP2/1") == 6, "who charges is not swapped out"


def test_with_nothing_to_choose_nothing_is_solved() -> None:
    decision = House(site(connector(), heater(mode=Mode.OFF)), {"CP1/1": Car(session=None)}).minute(9000)
    assert decision.method == "nothing to choose"
    assert why(decision, "CP1/1") == "plugged in, waiting for a badge"
    assert why(decision, "boiler") == "off by hand"
    assert decision.available_w == 9000


@pytest.mark.parametrize("mode", [Mode.SOLAR_ONLY, Mode.SOLAR_AND_TIMER, Mode.TIMER_ONLY])
def test_a_station_that_cannot_pause_keeps_its_minimum_without_sun(mode: Mode) -> None:
    house = House(site(connector(mode=mode, pauses=False)), {"CP1/1": Car()})
    for surplus_w in (0.0, 9000.0, -3000.0):
        for _ in range(6):
            decision = house.minute(surplus_w)
            assert limit_a(decision) >= 6
    assert limit_a(decision) == 6
    assert why(decision, "CP1/1") == "this station cannot pause: minimum of 6 A kept"


def test_only_a_fuse_a_person_or_the_operator_stops_a_station_that_cannot_pause() -> None:
    house = House(
        site(connector(pauses=False), circuits=(Circuit("main", None, (5.0, 5.0, 5.0)),)), {"CP1/1": Car()}
    )
    assert limit_a(house.minute(9000)) == 0
    by_hand = House(site(connector(mode=Mode.OFF, pauses=False)), {"CP1/1": Car()})
    assert limit_a(by_hand.minute(9000)) == 0


def test_a_vehicle_that_sleeps_at_a_station_that_cannot_pause_is_not_woken_by_a_pause() -> None:
    house = House(site(connector(pauses=False)), {"CP1/1": Car(takes_a=0.0)})
    assert min(limit_a(house.minute(9000)) for _ in range(30)) >= 6
