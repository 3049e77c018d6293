"""What happens when a meter falls silent or a relay module does not answer."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from closed_loop import NOON, Car, House, connector, heater, limit_a, site, steps_on, triple, why

from optimizer import Circuit, ConnectorState, Decision, Memory, Mode, PowerReading, Readings, decide

LOADS = (
    heater("sun", min_on_s=600.0),
    heater("on", mode=Mode.ON),
    connector("CP1/1", phases=(0,)),
    connector("CP2/1", phases=(1,), mode=Mode.MIN_AND_SOLAR),
    connector("CP3/1", phases=(2,), mode=Mode.FULL),
)


def running_house() -> House:
    house = House(site(*LOADS), {f"CP{n}/1": Car(phases=1) for n in (1, 2, 3)})
    for _ in range(3):
        house.minute(12_400)
    return house


def states(decision: Decision) -> tuple[str, str, float, float, float]:
    limits = [limit_a(decision, f"CP{n}/1") for n in (1, 2, 3)]
    return (steps_on(decision, "sun"), steps_on(decision, "on"), limits[0], limits[1], limits[2])


@pytest.mark.parametrize(
    ("age_s", "surplus_w", "expected", "sentence"),
    [
        (0, 12_400, ("1", "1", 13, 16, 16), "on: 1050 W surplus covers 1000 W"),
        (60, 12_400, ("1", "1", 13, 16, 16), "on: 1050 W surplus covers 1000 W"),
        (60, 30_000, ("1", "1", 16, 16, 16), "on: 17960 W surplus covers 1000 W"),
        (91, 30_000, ("1", "1", 13, 16, 16), "meter stale for 91 s: no increase"),
        (91, -9_000, ("1", "1", 13, 16, 16), "meter stale for 91 s: no increase"),
        (181, 30_000, ("", "1", 0, 6, 6), "meter stale for 181 s: off"),
    ],
)
def test_an_old_reading(age_s: float, surplus_w: float, expected: tuple[object, ...], sentence: str) -> None:
    decision = running_house().minute(surplus_w, age_s=age_s)
    assert states(decision)[:2] == expected[:2]
    assert sum(states(decision)[2:4]) == sum(expected[2:4])  # type: ignore[arg-type]
    assert states(decision)[4] == expected[4]
    assert why(decision, "sun") == sentence
    assert why(decision, "on") == "on by hand"


def test_with_a_late_meter_nothing_starts() -> None:
    house = House(site(heater(), connector()), {"CP1/1": Car()})
    decision = house.minute(20_000, age_s=120)
    assert (steps_on(decision), limit_a(decision)) == ("", 0)
    assert why(decision, "CP1/1") == "meter stale for 120 s: no increase"


def test_with_no_meter_at_all_the_sun_is_unknown_and_people_still_are_obeyed() -> None:
    house = House(site(*LOADS), {f"CP{n}/1": Car(phases=1) for n in (1, 2, 3)})
    decision = house.step(Readings(None))
    assert states(decision) == ("", "1", 0, 6, 16)
    assert (decision.surplus_w, decision.available_w) == (None, None)
    assert why(decision, "sun") == "no grid meter: off"
    assert why(decision, "CP2/1") == "no grid meter: minimum of 6 A"


def test_a_circuit_whose_meter_never_answered_gives_no_more_than_the_minimum() -> None:
    circuits = (Circuit("main", None, (100.0, 100.0, 100.0), metered=True),)
    house = House(site(*LOADS, circuits=circuits), {"CP3/1": Car(phases=1)})
    decision = house.step(Readings(None))
    assert limit_a(decision, "CP3/1") == 6
    assert why(decision, "CP3/1") == "6 A: the meter at its fuse is silent, no more than the minimum"


def test_a_zone_meter_is_believed_for_three_minutes_then_its_circuit_gets_minima() -> None:
    circuits = (Circuit("main", None, (99.0, 99.0, 99.0)), Circuit("garage", "main", (20.0, 20.0, 20.0)))
    station = connector(phases=(0,), circuit="garage", mode=Mode.FULL, max_a=32.0)
    house = House(site(station, circuits=circuits), {"CP1/1": Car(phases=1)})

    def minute(zone_age_s: float) -> float:
        own_a = house.car_a(station)
        zone = PowerReading(0, triple(own_a + 8.0, (0,)), house.now - timedelta(seconds=zone_age_s))
        grid = PowerReading(0, triple(own_a + 8.0, (0,)), house.now)
        return limit_a(house.step(Readings(grid, {"garage": zone})))

    assert [minute(age_s) for age_s in (0, 0, 91, 150, 181, 0)] == [12, 12, 12, 12, 6, 12]


def test_a_relay_module_that_does_not_answer_is_house_load() -> None:
    house = House(site(heater("a"), heater("b")))
    house.minute(2000)
    house.unreachable.add("a")
    decision = house.minute(1500)
    assert decision.available_w == 500
    assert (steps_on(decision, "a"), steps_on(decision, "b")) == ("1", "")
    assert why(decision, "a") == "relay module unreachable"
    house.unreachable.clear()
    assert steps_on(house.minute(2000), "a") == "1"


def test_a_load_without_any_word_from_it_is_treated_as_unreachable() -> None:
    house = House(site(heater(), connector()))
    bare = replace(house.demands(), appliances={}, connectors={})
    decision, memory = decide(house.site, Readings(PowerReading(-9000, None, NOON)), bare, Memory(), NOON)
    assert why(decision, "boiler") == "relay module unreachable"
    assert why(decision, "CP1/1") == "station not connected"
    assert memory.elements == {}
    assert memory.connectors == {}


def test_with_a_late_meter_a_fuse_still_lowers_what_charges() -> None:
    circuits = (Circuit("main", None, (99.0, 99.0, 99.0)), Circuit("garage", "main", (40.0, 40.0, 40.0)))
    sun, full = (connector(f"CP{n}/1", phases=(0,), circuit="garage", max_a=32.0) for n in (1, 2))
    full = replace(full, mode=Mode.FULL)
    house = House(site(sun, full, circuits=circuits), {"CP1/1": Car(phases=1)})
    assert limit_a(house.minute(20_000)) == 32
    house.cars["CP2/1"] = Car(phases=1)
    decision = house.minute(20_000, age_s=120)
    assert (limit_a(decision, "CP1/1"), limit_a(decision, "CP2/1")) == (8, 32)


def test_a_late_meter_gives_a_station_that_was_away_no_more_than_it_offers_now() -> None:
    house = House(site(connector()), {"CP1/1": Car(phases=1, takes_a=0.0)})
    house.minute(0)
    assert limit_a(house.minute(4140)) == 6
    house.cars["CP1/1"].state = ConnectorState.OFFLINE
    house.minute(0)
    house.minute(0)
    house.cars["CP1/1"].state = None
    assert limit_a(house.minute(0, age_s=100)) == 0
