"""Fuses hold on every phase, whoever asks."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from closed_loop import Car, House, connector, element, heater, limit_a, site, steps_on, triple, why
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer import (
    Circuit,
    ConnectorDemand,
    ConnectorState,
    Demands,
    Memory,
    Mode,
    PowerReading,
    Readings,
    decide,
)
from optimizer.electrical import heater_without_neutral

ZONE = (Circuit("main", None, (160.0, 160.0, 160.0)), Circuit("garage", "main", (63.0, 63.0, 63.0)))
MODES = (Mode.FULL, Mode.SOLAR_ONLY, Mode.MIN_AND_SOLAR)


def zone_of_thirty(modes: list[Mode]) -> House:
    stations, cars = [], {}
    for n, mode in enumerate(modes):
        phases = ((0, 1, 2), (0,), (1,), (2,), (1, 2, 0))[n % 5]
        id = f"CP{n}/1"
        stations.append(connector(id, phases=phases, mode=mode, circuit="garage", max_a=32.0))
        cars[id] = Car(phases=len(phases), delivered_wh=100.0 * n)
    return House(site(*stations, circuits=ZONE), cars)


def zone_current(house: House) -> list[float]:
    """What the decided limits could add up to in the garage."""
    assert house.decision is not None
    amps = [0.0, 0.0, 0.0]
    for station, part in zip(house.site.connectors, house.decision.connectors, strict=True):
        amps = [a + b for a, b in zip(amps, triple(part.limit_a, station.phases), strict=True)]
    return amps


@settings(max_examples=15, deadline=None)
@given(
    modes=st.lists(st.sampled_from(MODES), min_size=30, max_size=30),
    surpluses=st.lists(st.integers(-5000, 120_000), min_size=1, max_size=4),
)
def test_thirty_stations_never_exceed_63_a_on_any_phase(modes: list[Mode], surpluses: list[int]) -> None:
    house = zone_of_thirty(modes)
    for w in surpluses:
        house.minute(w)
        assert max(zone_current(house)) <= 63 + 1e-9


def test_full_stations_share_a_zone_evenly() -> None:
    stations = [
        connector(f"CP{n}/1", phases=(0,), circuit="garage", mode=Mode.FULL, max_a=32.0) for n in range(4)
    ]
    house = House(site(*stations, circuits=ZONE), {s.id: Car(phases=1) for s in stations})
    decision = house.minute(-3000)
    assert [part.limit_a for part in decision.connectors] == [16, 16, 16, 15]
    assert why(decision, "CP0/1") == "limited: garage fuse L1 63 A"


def test_more_full_stations_than_minima_fit() -> None:
    stations = [connector(f"CP{n}/1", phases=(0,), circuit="garage", mode=Mode.FULL) for n in range(12)]
    cars = {s.id: Car(phases=1, delivered_wh=-float(n)) for n, s in enumerate(stations)}
    house = House(site(*stations, circuits=ZONE), cars)
    decision = house.minute(-3000)
    assert [part.limit_a for part in decision.connectors] == [0, 0, 7, 7, 7, 6, 6, 6, 6, 6, 6, 6]
    again = house.minute(-3000)
    assert again.connectors == decision.connectors, "who charges goes on charging"


def test_the_uncontrolled_load_of_a_zone_is_left_room() -> None:
    station = connector(phases=(1,), circuit="garage", mode=Mode.FULL, max_a=32.0)
    house = House(site(station, circuits=ZONE), {"CP1/1": Car(phases=1)})
    got = []
    for other_a in (0.0, 40.0, 50.0, 60.0, 20.0):
        flows = triple(other_a + house.car_a(station), (1,))
        reading = PowerReading(0.0, flows, house.now)
        got.append(limit_a(house.step(Readings(reading, {"garage": reading}))))
    assert got == [32, 23, 13, 0, 32]


def test_the_grid_meter_speaks_for_the_main_fuse() -> None:
    main = (Circuit("main", None, (25.0, 25.0, 25.0)),)
    house = House(site(connector(mode=Mode.FULL, max_a=32.0), circuits=main), {"CP1/1": Car()})
    house.house_a = (4.0, 12.0, 2.0)
    assert [limit_a(house.minute(-4000)) for _ in range(2)] == [13, 13]
    assert why(house.decision, "CP1/1") == "limited: main fuse L2 25 A"


@pytest.mark.parametrize(("grid_w", "expected_a"), [(4600, 15), (-4600, 25), (0, 25)])
def test_a_meter_that_does_not_tell_phases_is_read_with_caution(grid_w: float, expected_a: float) -> None:
    main = (Circuit("main", None, (25.0, 25.0, 25.0)),)
    house = House(site(connector(mode=Mode.FULL, max_a=32.0), circuits=main), {"CP1/1": Car()})
    assert limit_a(house.step(Readings(PowerReading(grid_w, None, house.now)))) == expected_a


def test_a_breach_ends_the_minimum_on_time_and_what_a_person_switched_on_comes_last() -> None:
    main = (Circuit("main", None, (10.0, 10.0, 10.0)),)
    house = House(site(heater("sun", min_on_s=600.0), heater("hand", mode=Mode.ON), circuits=main))
    decision = house.minute(2000)
    assert (steps_on(decision, "sun"), steps_on(decision, "hand")) == ("1", "1")
    house.house_a = (3.0, 0.0, 0.0)
    decision = house.minute(2000)
    assert (steps_on(decision, "sun"), steps_on(decision, "hand")) == ("", "1")
    assert why(decision, "sun") == "limited: main fuse L1 10 A"
    assert decision.feasible
    house.house_a = (11.0, 0.0, 0.0)
    decision = house.minute(2000)
    assert (steps_on(decision, "sun"), steps_on(decision, "hand")) == ("", "")
    assert not decision.feasible, "the house alone is above the fuse"


def test_a_breach_sheds_one_element_of_three() -> None:
    main = (Circuit("main", None, (10.0, 10.0, 10.0)),)
    steps = (element("1"), element("2", phases=(1,)), element("3", phases=(2,)))
    house = House(site(heater(mode=Mode.ON, elements=steps), circuits=main))
    house.house_a = (0.0, 7.0, 0.0)
    assert steps_on(house.minute(0)) == "13"


def test_a_forced_heater_without_neutral_falls_back_to_half() -> None:
    main = (Circuit("main", None, (10.0, 10.0, 10.0)),)
    old = heater(
        mode=Mode.ON,
        elements=(element("a", 1500, (0, 1)), element("b", 1500, (0, 2))),
        joint_states=heater_without_neutral(3000, "a", "b"),
    )
    house = House(site(old, circuits=main))
    house.house_a = (0.0, 0.0, 7.0)
    assert steps_on(house.minute(0)) == "a"


def test_solar_stations_stay_below_a_fuse_that_the_sun_alone_would_not_mind() -> None:
    stations = [connector(f"CP{n}/1", phases=(0,), circuit="garage", max_a=32.0) for n in range(3)]
    house = House(site(*stations, circuits=ZONE), {s.id: Car(phases=1) for s in stations})
    decision = house.minute(30_000)
    assert sum(part.limit_a for part in decision.connectors) == 63
    assert "limited: garage fuse L1 63 A" in [part.reason.text for part in decision.connectors]


def test_a_station_that_lost_its_connection_while_charging_keeps_its_current_reserved() -> None:
    stations = [
        connector(f"CP{n}/1", phases=(0,), circuit="garage", mode=Mode.FULL, max_a=40.0) for n in range(2)
    ]
    house = House(site(*stations, circuits=ZONE), {s.id: Car(phases=1, takes_a=40.0) for s in stations})
    for _ in range(3):
        house.minute(0)
    assert [part.limit_a for part in house.decision.connectors] == [32, 31]  # type: ignore[union-attr]
    house.cars["CP0/1"].state = ConnectorState.OFFLINE
    for _ in range(2):
        decision = house.step(Readings(PowerReading(0, triple(63, (0,)), house.now - timedelta(seconds=300))))
        assert limit_a(decision, "CP0/1") == 0
        assert limit_a(decision, "CP1/1") == 31 or limit_a(decision, "CP1/1") == 6
        assert why(decision, "CP0/1") == "station not connected: 32 A reserved, as it was charging"


def test_a_boiler_behind_a_silent_relay_module_keeps_its_current_on_a_fuse_that_nobody_measures() -> None:
    """Most modules leave their relays as they are when their line breaks."""
    garage = (Circuit("main", None, (99.0, 99.0, 99.0)), Circuit("garage", "main", (20.0, 20.0, 20.0)))
    boiler = replace(heater(elements=(element("1", 2300),), mode=Mode.ON), circuit="garage")
    car = connector(phases=(0,), circuit="garage", mode=Mode.FULL, max_a=32.0)
    house = House(site(boiler, car, circuits=garage), {"CP1/1": Car(phases=1)})
    assert [limit_a(house.minute(0)) for _ in range(2)] == [10, 10]
    house.unreachable.add("boiler")
    assert [limit_a(house.minute(0)) for _ in range(3)] == [10, 10, 10]
    house.unreachable.clear()
    house.set_modes(boiler=Mode.OFF)
    assert [limit_a(house.minute(0)) for _ in range(2)] == [20, 20]


def test_on_a_fuse_that_is_measured_it_is_what_the_meter_says() -> None:
    car = connector(phases=(0,), mode=Mode.FULL, max_a=32.0)
    boiler = heater(elements=(element("1", 2300),), mode=Mode.ON)
    main = (Circuit("main", None, (20.0, 20.0, 20.0)),)
    house = House(site(boiler, car, circuits=main), {"CP1/1": Car(phases=1)})
    assert [limit_a(house.minute(0)) for _ in range(2)] == [10, 10]
    house.unreachable.add("boiler")
    assert limit_a(house.minute(0)) == 10
    house.on["boiler"] = frozenset()  # it opens by itself
    assert limit_a(house.minute(0)) == 20


@pytest.mark.parametrize("tells_phases", [True, False])
def test_empty_stations_out_of_reach_leave_the_boiler_on_where_a_meter_watches_the_fuse(
    tells_phases: bool,
) -> None:
    """The network of the garage is down: eight stations might begin at 6 A each, the meter sees none."""
    main = (Circuit("main", None, (40.0, 40.0, 40.0)),)
    house = House(site(heater(mode=Mode.ON), *(connector(f"CP{n}/1") for n in range(8)), circuits=main))
    away = ConnectorDemand(ConnectorState.OFFLINE, offered_a=6.0)
    demands = Demands(house.demands().appliances, {c.id: away for c in house.site.connectors})
    reading = PowerReading(300.0, (1.0, 0.0, 0.0) if tells_phases else None, house.now)
    decision, _ = decide(house.site, Readings(reading), demands, Memory(), house.now)
    assert steps_on(decision) == "1"
    assert decision.feasible
