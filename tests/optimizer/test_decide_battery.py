"""The battery in the balance: its own regulator hides the sun, and must never feed a load."""

from __future__ import annotations

import pytest
from closed_loop import Car, connector, element, heater, limit_a, site, steps_on, why
from hypothesis import given, settings
from hypothesis import strategies as st
from limited_house import Battery, LimitedHouse

from optimizer import BatteryPolicy, BatteryRule, Mode

ONE_KW = (element("1"),)


def house(policy: str, battery: Battery | None = None, **heater_fields: object) -> LimitedHouse:
    rule = BatteryRule(BatteryPolicy(policy), 80.0)
    return LimitedHouse(site(heater(**heater_fields), battery=rule), battery=battery or Battery())


def test_cloud_passes_and_the_boiler_is_not_fed_from_the_battery() -> None:
    """The battery steps in within seconds, so that the grid meter never shows the cloud."""
    home = house("loads_first")
    assert steps_on(home.minute(2500)) == "1"
    assert steps_on(home.minute(2500)) == "1"
    assert steps_on(home.minute(300)) == "", "the cloud: 700 W came from the battery for one minute"
    assert home.grid_w == 0
    assert why(home.decision, "boiler") == "waiting: 300 W surplus, needs 1000 W (the battery gives 700 W)"
    assert steps_on(home.minute(2500)) == "1"


def test_loads_first_start_from_what_the_battery_charges_with() -> None:
    home = house("loads_first")
    assert steps_on(home.minute(1000)) == "1", "nothing is exported: the battery takes it all"
    assert steps_on(home.minute(1000)) == "1"
    assert steps_on(home.minute(990)) == "1", "ten watts of the battery are its regulator's ripple"


def test_battery_first_loads_start_only_from_what_it_leaves_over() -> None:
    home = house("battery_first")
    assert [steps_on(home.minute(w)) for w in (2500, 3900, 4100, 4100, 4100)] == ["", "", "1", "1", "1"]
    assert steps_on(home.minute(3600)) == "", "400 W short of all it can take: the boiler gives way"
    sentence = "waiting: 0 W surplus, needs 1000 W (battery first: it charges with 3000 W)"
    home.minute(3100)
    assert why(home.decision, "boiler").startswith("waiting: 100 W surplus, needs 1000 W (battery first")
    home.minute(3000)
    assert why(home.decision, "boiler") == sentence


def test_a_full_battery_leaves_everything() -> None:
    home = house("battery_first", Battery(stored_wh=10_000))
    assert [steps_on(home.minute(w)) for w in (900, 1000, 1500, 1000, 1100)] == ["", "1", "1", "1", "1"]


def test_a_battery_that_takes_less_when_it_is_nearly_full_ends_nothing() -> None:
    """Above 95 % its charger slows down: what it then leaves over is the loads'."""
    home = house("battery_first")
    for _ in range(4):
        home.minute(4200)
    assert home.battery is not None
    home.battery.most_w = 800.0
    assert [steps_on(home.minute(4200)) for _ in range(6)] == ["1"] * 6


@pytest.mark.parametrize("bias_w", [-50.0, 50.0])
@pytest.mark.parametrize("policy", ["loads_first", "battery_first"])
def test_what_the_regulator_leaves_at_the_grid_starts_and_stops_nothing(policy: str, bias_w: float) -> None:
    home = house(policy, Battery(most_w=3000))
    w = 1040.0 if policy == "loads_first" else 4040.0
    for _ in range(4):
        home.minute(w)
    assert steps_on(home.decision) == "1"
    assert home.battery is not None
    for n in range(8):
        home.battery.bias_w = bias_w if n % 2 else -bias_w
        assert steps_on(home.minute(w)) == "1"


def test_by_state_of_charge_the_battery_first_then_the_loads() -> None:
    home = house("by_soc", Battery(stored_wh=7900))
    assert steps_on(home.minute(1500)) == ""
    assert why(home.decision, "boiler") == (
        "waiting: 0 W surplus, needs 1000 W (battery first: it charges with 1500 W, at 79 of 80 %)"
    )
    for _ in range(6):
        home.minute(1500)
    assert steps_on(home.decision) == "1"
    assert home.battery is not None
    home.battery.stored_wh = 7800.0
    assert steps_on(home.minute(1500)) == "1", "just below the threshold it stays with the loads"
    home.battery.stored_wh = 7600.0
    assert steps_on(home.minute(1500)) == "", "the battery could take more than the 500 W it gets"


def test_an_unknown_state_of_charge_means_battery_first() -> None:
    home = house("by_soc", Battery(stored_wh=9900, tells_soc=False))
    assert steps_on(home.minute(1500)) == ""
    assert why(home.decision, "boiler") == (
        "waiting: 0 W surplus, needs 1000 W "
        "(battery first: it charges with 1500 W, how full it is is not known)"
    )


def test_a_silent_battery_meter_counts_as_a_silent_grid_meter() -> None:
    """Nobody could tell any more whether the battery feeds the boiler."""
    home = house("loads_first")
    home.minute(1500)
    home.battery_age_s = 100.0
    assert steps_on(home.minute(1500)) == "1"
    assert why(home.decision, "boiler") == "battery meter stale for 100 s: no increase"
    home.battery_age_s = 200.0
    assert steps_on(home.minute(1500)) == ""
    assert why(home.decision, "boiler") == "battery meter stale for 200 s: off"
    home.battery_age_s = None
    assert why(home.minute(1500), "boiler") == "no battery meter: off"
    home.set_modes(boiler=Mode.ON)
    assert steps_on(home.minute(1500)) == "1", "a person's word needs no meter"


def test_a_site_without_a_battery_needs_no_battery_meter() -> None:
    home = LimitedHouse(site(heater()))
    assert steps_on(home.minute(1000)) == "1"


def test_a_car_follows_the_sun_beside_a_battery_without_being_fed_by_it() -> None:
    rule = BatteryRule(BatteryPolicy.LOADS_FIRST)
    home = LimitedHouse(
        site(connector(phases=(0,)), battery=rule), {"CP1/1": Car(phases=1)}, battery=Battery()
    )
    limits = [limit_a(home.minute(w)) for w in (1300, 1400, 2300, 3000, 2000, 1380, 1000)]
    assert limits == [0, 6, 10, 13, 8, 6, 0]


@settings(max_examples=60, deadline=None)
@given(
    policy=st.sampled_from(["battery_first", "loads_first", "by_soc"]),
    surpluses=st.lists(st.integers(-3000, 9000), min_size=2, max_size=14),
    most_w=st.sampled_from([0.0, 1500.0, 3000.0, 6000.0]),
    stored_wh=st.sampled_from([0.0, 5000.0, 7990.0, 10_000.0]),
)
def test_the_battery_feeds_a_load_for_one_minute_at_most(
    policy: str, surpluses: list[int], most_w: float, stored_wh: float
) -> None:
    """What is on after a decision was covered by the sun of the minute the decision saw."""
    rule = BatteryRule(BatteryPolicy(policy))
    home = LimitedHouse(
        site(heater(elements=(element("1"), element("2", 600))), connector(phases=(0,)), battery=rule),
        {"CP1/1": Car(phases=1)},
        battery=Battery(most_w, stored_wh),
    )
    for w in surpluses:
        decision = home.minute(w)
        expected_w = sum(p.power_w for p in (*decision.appliances, *decision.connectors))
        assert expected_w * 11 / 12 <= max(w, 0) + 150 + 1e-6, "150: what the regulator leaves unseen"


@settings(max_examples=40, deadline=None)
@given(
    policy=st.sampled_from(["battery_first", "loads_first"]),
    surplus_w=st.integers(-2000, 9000),
    most_w=st.sampled_from([1000.0, 3000.0]),
)
def test_a_constant_sun_beside_a_battery_settles(policy: str, surplus_w: int, most_w: float) -> None:
    rule = BatteryRule(BatteryPolicy(policy))
    home = LimitedHouse(
        site(heater(elements=(element("1"), element("2", 600))), connector(phases=(0,)), battery=rule),
        {"CP1/1": Car(phases=1)},
        battery=Battery(most_w, capacity_wh=1e9),
    )
    for _ in range(6):
        home.minute(surplus_w)
    settled = home.minute(surplus_w)
    for _ in range(5):
        again = home.minute(surplus_w)
        assert [a.on for a in again.appliances] == [a.on for a in settled.appliances]
        assert [c.limit_a for c in again.connectors] == [c.limit_a for c in settled.connectors]
