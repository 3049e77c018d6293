"""A contract's ceiling of import: kept by our loads, with one interval of patience."""

from __future__ import annotations

from closed_loop import Car, House, connector, heater, limit_a, site, steps_on, why
from hypothesis import given, settings
from hypothesis import strategies as st
from limited_house import LimitedHouse

from optimizer import Mode


def test_a_full_car_takes_what_the_ceiling_leaves() -> None:
    house = House(
        site(connector(mode=Mode.FULL, phases=(0,)), import_limit_w=4000.0), {"CP1/1": Car(phases=1)}
    )
    assert [limit_a(house.minute(-w)) for w in (0, 1000, 2500, 3000, 4200, 0)] == [16, 13, 6, 0, 0, 16]


def test_the_sentence_names_the_ceiling() -> None:
    house = House(
        site(connector(mode=Mode.FULL, phases=(0,)), import_limit_w=4000.0), {"CP1/1": Car(phases=1)}
    )
    house.minute(-1000)
    assert why(house.decision, "CP1/1") == "limited: at most 4000 W may be drawn from the grid"


def test_a_minimum_on_time_has_one_interval_of_grace() -> None:
    """A kettle does not end it, a stove does."""
    house = LimitedHouse(site(heater(min_on_s=600.0), import_limit_w=3000.0))
    assert steps_on(house.minute(1000)) == "1"
    assert steps_on(house.minute(-2500)) == "1", "3500 W are drawn for the first minute"
    assert steps_on(house.minute(-500)) == "1"
    assert steps_on(house.minute(-2500)) == "1"
    assert steps_on(house.minute(-2500)) == "", "the second minute running is one too many"
    assert why(house.decision, "boiler") == "limited: at most 3000 W may be drawn from the grid"


def test_nothing_is_switched_on_by_hand_above_the_ceiling() -> None:
    house = LimitedHouse(site(heater(mode=Mode.ON), import_limit_w=3000.0))
    assert steps_on(house.minute(-2500)) == ""
    assert steps_on(house.minute(-1900)) == "1"


def test_the_house_alone_above_the_ceiling_is_said() -> None:
    house = LimitedHouse(site(heater(mode=Mode.ON), import_limit_w=3000.0))
    assert not house.minute(-3500).feasible
    assert house.minute(-1000).feasible


def test_without_a_meter_nobody_rises_above_the_minimum() -> None:
    house = House(site(connector(mode=Mode.FULL), import_limit_w=9000.0), {"CP1/1": Car()})
    assert limit_a(house.minute(0, age_s=300.0)) == 6


@settings(max_examples=60, deadline=None)
@given(
    minutes=st.lists(st.integers(-6000, 8000), min_size=3, max_size=12),
    modes=st.tuples(*[st.sampled_from(list(Mode)[:6])] * 2, st.sampled_from(list(Mode))),
)
def test_the_import_is_above_the_ceiling_for_one_decision_at_most(
    minutes: list[int], modes: tuple[Mode, Mode, Mode]
) -> None:
    """With a steady house, what is decided keeps the ceiling, unless the house alone breaks it."""
    loads = (
        heater("a", modes[0], min_on_s=600.0, manual_on=frozenset("1")),
        heater("b", modes[1]),
        connector(mode=modes[2], phases=(0,), min_on_s=300.0, manual_a=9.0),
    )
    house = LimitedHouse(site(*loads, import_limit_w=3000.0), {"CP1/1": Car(phases=1)})
    for w in minutes:
        house.minute(w)
        house.minute(w)
        decision = house.minute(w)
        expected_w = sum(p.power_w for p in (*decision.appliances, *decision.connectors))
        assert expected_w - w <= max(3000.0, -w) + 1e-6
