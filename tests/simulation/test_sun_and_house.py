"""The sky, the roof and the household: plausible, and the same for the same seed."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest

from simulation.house import FRIDGE_W, House
from simulation.photovoltaics import Photovoltaics, sun_position
from simulation.weather import DayType, Weather

MIDSUMMER = datetime(2026, 6, 21, tzinfo=UTC)
MIDWINTER = datetime(2026, 12, 21, tzinfo=UTC)
ZURICH = (47.37, 8.54)


def at(day: datetime, hour: float) -> datetime:
    return day + timedelta(hours=hour)


@pytest.mark.parametrize(
    ("day", "elevation"), [(MIDSUMMER, 66.1), (MIDWINTER, 19.2)], ids=["midsummer", "midwinter"]
)
def test_the_sun_stands_highest_in_the_south(day: datetime, elevation: float):
    # 90° − latitude ± 23.4°
    sun = max((sun_position(at(day, h / 10), *ZURICH) for h in range(240)), key=lambda s: s.elevation)
    assert math.degrees(sun.elevation) == pytest.approx(elevation, abs=0.3)
    assert math.degrees(sun.azimuth) == pytest.approx(180, abs=3)


def test_the_morning_sun_stands_in_the_east():
    assert 60 < math.degrees(sun_position(at(MIDSUMMER, 6), *ZURICH).azimuth) < 100


@pytest.mark.parametrize("hour", [20.5, 23, 1, 2.5])
def test_nothing_is_produced_at_night(hour: float):
    assert Photovoltaics(10).phase_power_w(at(MIDSUMMER, hour), 1.0) == (0, 0, 0)


def test_noon_gives_more_than_morning_and_summer_more_than_winter():
    roof = Photovoltaics(10)

    def power_w(when: datetime) -> float:
        return -sum(roof.phase_power_w(when, 1.0))

    assert power_w(at(MIDSUMMER, 11)) > 2 * power_w(at(MIDSUMMER, 6)) > 0
    assert 7500 < power_w(at(MIDSUMMER, 11)) < 10_000
    assert power_w(at(MIDWINTER, 11)) < 0.7 * power_w(at(MIDSUMMER, 11))


def test_an_east_roof_earns_in_the_morning_and_a_west_roof_in_the_evening():
    east, west = (Photovoltaics(10, tilt=35, azimuth=a) for a in (90, 270))
    morning, evening = at(MIDSUMMER, 6.5), at(MIDSUMMER, 16.5)
    assert sum(east.phase_power_w(morning, 1)) < sum(west.phase_power_w(morning, 1))
    assert sum(east.phase_power_w(evening, 1)) > sum(west.phase_power_w(evening, 1))


def test_the_inverter_caps_and_feeds_its_phases():
    large = Photovoltaics(10, inverter_w=6000).phase_power_w(at(MIDSUMMER, 11), 1)
    small = Photovoltaics(3).phase_power_w(at(MIDSUMMER, 11), 1)
    on_l2 = Photovoltaics(3, phases=(1,)).phase_power_w(at(MIDSUMMER, 11), 1)
    assert large == pytest.approx((-2000, -2000, -2000))
    assert small[0] < -2000
    assert small[1:] == (0, 0)
    assert on_l2 == (0, small[0], 0)


def test_passing_clouds_take_most_of_the_light_for_minutes():
    weather = Weather(1, DayType.MIXED)
    seen = [weather.transmission(at(MIDSUMMER, 8) + timedelta(seconds=30 * i)) for i in range(960)]
    dark = [t < 0.4 for t in seen]
    assert min(seen) == pytest.approx(0.2, abs=0.06)
    assert max(seen) > 0.94
    assert 0.1 < sum(dark) / len(dark) < 0.5
    longest = max(len(run) for run in "".join("d" if d else " " for d in dark).split())
    assert longest * 30 >= 180


def test_a_clear_day_is_bright_and_an_overcast_one_dark_throughout():
    instants = [at(MIDSUMMER, h / 4) for h in range(96)]
    clear, overcast = Weather(3, DayType.CLEAR), Weather(3, DayType.OVERCAST)
    assert min(clear.transmission(i) for i in instants) >= 0.95
    assert max(overcast.transmission(i) for i in instants) <= 0.3


def test_days_differ_in_type():
    weather = Weather(5)
    assert {weather.day_type(MIDSUMMER + timedelta(days=n)) for n in range(30)} == set(DayType)


def test_any_instant_can_be_asked_alone_and_another_seed_is_another_day():
    instants = [at(MIDSUMMER, h / 4) for h in range(96)]
    forwards = [(Weather(1).transmission(i), House(1, "Europe/Zurich").phase_power_w(i)) for i in instants]
    weather, house = Weather(1), House(1, "Europe/Zurich")
    backwards = [(weather.transmission(i), house.phase_power_w(i)) for i in reversed(instants)]
    other = [(Weather(2).transmission(i), House(2, "Europe/Zurich").phase_power_w(i)) for i in instants]
    assert forwards == backwards[::-1]
    assert forwards != other


def test_a_household_draws_most_when_people_are_up():
    house = House(1, "Europe/Zurich")

    def mean_w(local_hour: float) -> float:
        days = [at(MIDSUMMER + timedelta(days=d), local_hour - 2) for d in range(40)]
        return (
            sum(sum(house.phase_power_w(d + timedelta(minutes=m))) for d in days for m in range(0, 60, 5))
            / 480
        )

    night, morning, evening = mean_w(3), mean_w(7), mean_w(18.5)
    assert 120 < night < 350
    assert morning > 1.8 * night
    assert evening > morning


def test_the_kettle_boils_on_l1_the_stove_on_two_phases_and_the_fridge_cycles_on_l2():
    house = House(1, "Europe/Zurich")
    week = [house.phase_power_w(MIDSUMMER + timedelta(seconds=30 * i)) for i in range(7 * 2880)]
    assert any(l1 > 1900 and l2 < 600 for l1, l2, _ in week)
    assert any(l2 > 1900 and l3 > 1900 for _, l2, l3 in week)
    night = [house.phase_power_w(at(MIDSUMMER, 0) + timedelta(minutes=m))[1] for m in range(120)]
    assert max(night) - min(night) > 0.9 * FRIDGE_W
