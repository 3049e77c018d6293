"""The grid operator's contact: what it does to cars and appliances, and what its silence does."""

from __future__ import annotations

from closed_loop import Car, connector, heater, limit_a, site, steps_on, why
from hypothesis import given, settings
from hypothesis import strategies as st
from limited_house import LimitedHouse

from optimizer import LoadShedding, Mode


def house(limit: float = 6.0, mode: Mode = Mode.FULL, **connector_fields: object) -> LimitedHouse:
    loads = (
        heater("boiler", Mode.ON, min_on_s=600.0),
        heater("pump", Mode.ON),
        connector(mode=mode, **connector_fields),
    )
    rule = LoadShedding(limit, frozenset({"boiler"}))
    return LimitedHouse(site(*loads, load_shedding=rule), {"CP1/1": Car()}, contact=False)


def test_ripple_control_at_five_limits_cars_within_the_minute_and_gives_back_after() -> None:
    home = house()
    decision = home.minute(0)
    assert (limit_a(decision), steps_on(decision), decision.load_shedding) == (16, "1", False)
    home.contact = True
    decision = home.minute(0)
    assert (limit_a(decision), steps_on(decision), steps_on(decision, "pump")) == (6, "", "1")
    assert decision.load_shedding
    assert why(decision, "CP1/1") == "limited to 6 A: load shedding by the grid operator"
    assert why(decision, "boiler") == "off: load shedding by the grid operator"
    assert why(decision, "pump") == "on by hand"
    home.contact = False
    decision = home.minute(0)
    assert (limit_a(decision), steps_on(decision)) == (16, "1")


def test_a_limit_below_the_minimum_pauses() -> None:
    home = house(limit=0.0)
    home.minute(0)
    home.contact = True
    assert limit_a(home.minute(0)) == 0
    assert why(home.decision, "CP1/1") == "paused: load shedding by the grid operator"


def test_a_car_that_cannot_be_modulated_is_paused() -> None:
    home = house(limit=10.0, modulates=False)
    home.contact = True
    assert limit_a(home.minute(0)) == 0


def test_the_sun_may_still_be_used_up_to_the_limit() -> None:
    home = house(limit=8.0, mode=Mode.SOLAR_ONLY)
    home.set_modes(boiler=Mode.OFF, pump=Mode.OFF)
    home.contact = True
    assert [limit_a(home.minute(w)) for w in (3000, 4200, 9000)] == [0, 6, 8]
    assert why(home.decision, "CP1/1") == "limited to 8 A: load shedding by the grid operator"
    assert why(home.decision, "boiler") == "off by hand"


def test_an_unreadable_contact_keeps_its_word_for_five_minutes_then_it_counts_as_given() -> None:
    home = house()
    home.minute(0)
    limits = []
    for _ in range(8):
        home.contact_read_s_ago += 60
        limits.append(limit_a(home.minute(0)))
    assert limits == [16, 16, 16, 16, 16, 6, 6, 6]
    assert why(home.decision, "CP1/1") == ("limited to 6 A: load shedding assumed, its input is not readable")
    home.contact_read_s_ago = 0.0
    assert limit_a(home.minute(0)) == 16


def test_a_contact_that_was_given_and_falls_silent_stays_given() -> None:
    home = house()
    home.contact = True
    home.minute(0)
    home.contact = None
    assert [limit_a(home.minute(0)) for _ in range(8)] == [6] * 8


def test_a_contact_never_read_is_waited_for() -> None:
    home = house()
    home.contact = None
    assert [limit_a(home.minute(0)) for _ in range(8)] == [16] * 6 + [6] * 2


@settings(max_examples=50, deadline=None)
@given(
    limit=st.sampled_from([0.0, 6.0, 7.5, 10.0, 32.0]),
    mode=st.sampled_from(list(Mode)),
    minutes=st.lists(st.tuples(st.booleans(), st.integers(-4000, 15_000)), min_size=1, max_size=10),
)
def test_while_load_is_shed_nobody_takes_more(
    limit: float, mode: Mode, minutes: list[tuple[bool, int]]
) -> None:
    home = house(limit, mode, min_on_s=300.0, min_off_s=300.0, manual_a=12.0)
    for contact, w in minutes:
        home.contact = contact
        decision = home.minute(w)
        assert decision.load_shedding is contact
        if contact:
            assert limit_a(decision) <= limit
            assert steps_on(decision) == ""
        assert limit_a(decision) == 0 or limit_a(decision) >= 6
