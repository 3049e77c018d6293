"""A vehicle that must be ready by a time: what its driver told, or what holds for all at this connector."""

from __future__ import annotations

from dataclasses import replace
from datetime import time, timedelta

import pytest
from closed_loop import Car, connector, limit_a, load, site, why
from lived_day import EVERY_DAY, Day, at, minutes

from optimizer import Circuit, ConnectorState, Mode, Need, Site, Window

EVENING = at("20:00", day=9)
SEVEN = at("07:00")
CP = "CP1/1"


def one_phase(**fields: object) -> Site:
    return site(connector(phases=(0,), min_on_s=300.0, min_off_s=300.0, **fields))


def told(kwh: float | None, departs: object = SEVEN, **fields: object) -> Car:
    wh = None if kwh is None else kwh * 1000
    return Car(phases=1, departs_at=departs, requested_wh=wh, **fields)  # type: ignore[arg-type]


def test_by_night_it_charges_at_the_latest_sensible_time() -> None:
    """7.36 kWh at 16 A: two hours. A first short run shows what the unknown vehicle takes."""
    day = Day(one_phase(), {CP: told(7.36)}, now=EVENING).until(SEVEN)
    assert day.got_wh[CP] >= 7350
    assert day.starts(CP) == 2
    shown = [t for t in day.on_at[CP] if t < at("04:00")]
    assert len(shown) <= 6
    assert at("04:44") <= day.on_at[CP][len(shown)] <= at("04:52")


def test_it_says_why() -> None:
    day = Day(one_phase(), {CP: told(7.36)}, now=EVENING).until(at("06:00"))
    assert why(day.house.decision, CP).startswith("16 A: needs 2.")
    assert why(day.house.decision, CP).endswith(" kWh more by 07:00, not left to the sun any longer")


def test_on_a_sunny_day_it_takes_no_grid() -> None:
    car = told(10, departs=at("17:00"))
    day = Day(one_phase(), {CP: car}, now=at("08:00"))
    day.until(at("17:00"), lambda now: 4000.0 if now >= at("09:00") else 0.0)
    assert car.delivered_wh >= 10_000
    assert day.drawn_wh == 0


@pytest.mark.parametrize("mode", [Mode.OFF, Mode.TIMER_ONLY])
def test_modes_without_the_sun_force_nothing(mode: Mode) -> None:
    night = (Window(EVERY_DAY, time(12), time(13)),)
    day = Day(one_phase(mode=mode, windows=night), {CP: told(7.36)}, now=EVENING).until(SEVEN)
    assert day.on_at == {}


def test_a_driver_who_wants_sun_only_gets_none_from_the_grid() -> None:
    day = Day(one_phase(), {CP: told(7.36, from_grid=False)}, now=EVENING).until(SEVEN)
    assert day.on_at == {}


def test_but_where_the_mode_gives_more_than_sun_it_is_ready_in_time() -> None:
    car = told(12, from_grid=False)
    Day(one_phase(mode=Mode.MIN_AND_SOLAR), {CP: car}, now=at("00:00")).until(SEVEN)
    assert car.delivered_wh >= 11_990


def test_minimum_and_sun_raises_itself_in_time() -> None:
    """12 kWh by 07:00: 11 h at the minimum of 1380 W would give more, 7 h do not."""
    car = told(12)
    day = Day(one_phase(mode=Mode.MIN_AND_SOLAR), {CP: car}, now=at("00:00")).until(SEVEN)
    assert car.delivered_wh >= 12_000
    assert day.starts(CP) == 1
    assert day.codes[CP][60] == "minimum"


def test_a_departure_alone_and_an_energy_alone_force_nothing() -> None:
    for car in (told(None), told(7.36, departs=None)):
        day = Day(one_phase(), {CP: car}, now=EVENING).until(SEVEN)
        assert day.on_at == {}


def test_the_standing_target_of_a_connector() -> None:
    """20 kWh by 07:00, counted from plug-in, for whoever comes."""
    standing = (Need(time(7), EVERY_DAY, energy_wh=20_000),)
    day = Day(site(connector(min_on_s=300.0, min_off_s=300.0, needs=standing)), {CP: Car()}, now=EVENING)
    day.until(SEVEN)
    assert day.got_wh[CP] >= 20_000
    assert day.need(CP).is_over
    day.house.cars[CP] = Car(session="2")
    day.until(at("07:00", day=11))
    assert day.got_wh[CP] >= 40_000


def test_what_the_driver_told_wins_over_the_standing_target() -> None:
    standing = (Need(time(7), EVERY_DAY, energy_wh=20_000),)
    car = told(None, departs=at("05:00"))
    Day(one_phase(needs=standing), {CP: car}, now=at("21:00", day=9)).until(at("05:00"))
    assert car.delivered_wh >= 20_000
    car = told(4, departs=None)
    day = Day(one_phase(needs=standing), {CP: car}, now=EVENING).until(SEVEN)
    assert 4000 <= day.got_wh[CP] < 4200


def test_a_departure_told_late_runs_at_full_and_says_what_will_lack() -> None:
    car = told(None, departs=None)
    day = Day(one_phase(), {CP: car}, now=EVENING).until(at("06:00"))
    car.departs_at, car.requested_wh = SEVEN, 7000.0
    day.until(at("06:05"))
    assert limit_a(day.house.decision) == 16
    assert "kWh short by 07:00, runs at full" in why(day.house.decision, CP)
    day.until(at("07:10"))  # the driver is late: it goes on
    assert limit_a(day.house.decision) == 16
    day.until(at("08:02"))
    assert limit_a(day.house.decision) == 0


def test_an_unknown_vehicle_that_takes_little_is_ready_all_the_same() -> None:
    """A hybrid at a three-phase outlet: one phase, 10 A. By the outlet's 11 kW two hours would be plenty."""
    car = told(9, takes_a=10.0)
    day = Day(site(connector(min_on_s=300.0, min_off_s=300.0)), {CP: car}, now=EVENING).until(SEVEN)
    assert car.delivered_wh >= 8990
    assert day.starts(CP) <= 2


def test_a_vehicle_that_shows_what_it_takes_is_not_begun_early() -> None:
    """Three phases, 16 A: after a short run at the cautious time it waits again."""
    car = replace(told(22), phases=3)
    day = Day(site(connector(min_on_s=300.0, min_off_s=300.0)), {CP: car}, now=EVENING).until(SEVEN)
    assert car.delivered_wh >= 22_000
    late = [t for t in day.on_at[CP] if t > at("03:00")]
    assert minutes(late[0], SEVEN) < 140
    assert day.starts(CP) <= 3


def test_a_station_that_tells_no_current_shows_its_phases_by_its_power() -> None:
    car = replace(told(22), phases=3)
    day = Day(site(connector(min_on_s=300.0, min_off_s=300.0)), {CP: car}, now=EVENING)
    seen = day.house.connector_demand
    day.house.connector_demand = lambda c: replace(seen(c), current_a=None)  # type: ignore[method-assign]
    day.until(SEVEN)
    assert car.delivered_wh >= 22_000
    assert day.starts(CP) <= 3


def test_a_restart_in_the_night() -> None:
    car = told(7.36)
    day = Day(one_phase(), {CP: car}, now=EVENING).until(at("06:00"))
    day.restart()
    day.until(SEVEN)
    assert car.delivered_wh >= 7350
    assert day.starts(CP) == 2


def test_a_vehicle_that_is_asleep_is_offered_its_minimum_and_does_not_hold_up_the_others() -> None:
    home = site(
        connector("CP1/1", phases=(0,)),
        connector("CP2/1", phases=(0,)),
        circuits=(Circuit("main", None, (22.0, 22.0, 22.0)),),
    )
    cars = {"CP1/1": told(7.36, takes_a=0.0), "CP2/1": told(7.36)}
    day = Day(home, cars, now=EVENING).until(SEVEN)
    assert cars["CP2/1"].delivered_wh >= 7350
    assert "needs a hand" in why(day.house.decision, "CP1/1")


def garage(count: int, limit: float) -> Site:
    return site(
        *(connector(f"CP{n}/1", phases=(0,), min_on_s=300.0, min_off_s=300.0) for n in range(count)),
        circuits=(Circuit("main", None, (limit, limit, limit)),),
    )


def test_four_cars_under_one_fuse_all_leave_full() -> None:
    """Each could charge in two hours alone; together they need the fuse for five."""
    cars = {f"CP{n}/1": told(7.36, session=str(n)) for n in range(4)}
    day = Day(garage(4, limit=25.0), cars, now=EVENING).until(SEVEN)
    assert min(car.delivered_wh for car in cars.values()) >= 7340
    assert all(day.starts(id) <= 4 for id in cars)


def test_who_leaves_first_is_served_first() -> None:
    cars = {
        "CP0/1": told(7.36, session="0", departs=at("07:00")),
        "CP1/1": told(7.36, session="1", departs=at("05:00")),
        "CP2/1": told(7.36, session="2", departs=at("06:00")),
    }
    Day(garage(3, limit=16.0), cars, now=EVENING).until(SEVEN)
    assert min(car.delivered_wh for car in cars.values()) >= 7340


def test_a_car_at_full_by_hand_leaves_the_fuse_to_one_that_must_go() -> None:
    home = garage(2, limit=22.0)
    home = replace(home, connectors=(replace(home.connectors[0], mode=Mode.FULL), home.connectors[1]))
    cars = {"CP0/1": Car(phases=1, session="0"), "CP1/1": told(7.0, session="1")}
    day = Day(home, cars, now=at("04:00")).until(at("05:30"))
    assert (limit_a(day.house.decision, "CP0/1"), limit_a(day.house.decision, "CP1/1")) == (6, 16)
    day.until(SEVEN)
    assert cars["CP1/1"].delivered_wh >= 6990


def test_a_new_session_begins_anew() -> None:
    day = Day(one_phase(), {CP: told(7.36)}, now=EVENING).until(at("06:00"))
    day.house.cars[CP] = Car(phases=1, session="2")
    day.until(at("06:01"))
    assert limit_a(day.house.decision) == 0
    assert CP not in day.house.memory.needs


def test_a_vehicle_behind_an_unreachable_station_has_no_target_now() -> None:
    car = told(7.36, state=ConnectorState.OFFLINE)
    day = Day(one_phase(), {CP: car}, now=EVENING).until(EVENING + timedelta(minutes=2))
    part = load(day.house.decision, CP)
    assert part.reason.code == "offline"
    assert part.need is None
