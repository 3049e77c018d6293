"""What was measured before a change must not be taken for sun, nor for room on a fuse."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from running_site import NOON, car, heater, running, site, station, until

from simulation.clock import VirtualClock

ONE_PHASE = station(phases=["L2"], safe_a=0)


async def test_a_car_that_has_left_is_no_sun(folder: Path) -> None:
    async with running(site([heater(3000, min_on_min=0)], [ONE_PHASE]), folder) as home:
        await home.app.sites.set_appliance_mode("boiler", "off")
        await home.arrive(vehicle=car(phases=1))
        home.sun_w = 3700
        await home.minute(3)
        assert home.load("CP1/1").state == "charging"
        await home.app.sites.set_appliance_mode("boiler", "solar_only")
        home.points["CP1"].unplug(1)
        await home.pass_time(10)
        live = home.app.charge_points.station("CP1").connector(1)
        await until(lambda: live.transaction is None, "the transaction is over")
        home.sun_w = 1500
        await home.minute(2)
        assert home.load("CP1/1").state == "free"
        assert home.snapshot.available_w == pytest.approx(1500, abs=5)
        assert home.closed() == set()
        assert home.load("CP1/1").power_w == 0


async def test_a_car_that_is_full_while_its_station_measures_nothing_is_no_sun(folder: Path) -> None:
    async with running(site([heater(3000, min_on_min=0)], [ONE_PHASE]), folder) as home:
        await home.app.sites.set_appliance_mode("boiler", "off")
        full = car(phases=1)
        await home.arrive(vehicle=full)
        home.sun_w = 3700
        await home.minute(3)
        assert home.load("CP1/1").state == "charging"
        await home.app.sites.set_appliance_mode("boiler", "solar_only")
        home.points["CP1"].configuration.store("MeterValueSampleInterval", "0")
        full.soc = 1.0
        home.sun_w = 1500
        await home.minute(8)
        assert home.load("CP1/1").state != "charging"
        assert home.snapshot.available_w == pytest.approx(1500, abs=5)
        assert home.closed() == set()


async def test_a_meter_silent_since_the_last_change_starts_nothing_more(folder: Path) -> None:
    async with running(site([heater(1000, 1000)]), folder) as home:
        home.sun_w = 1100
        await home.minute()
        assert home.closed() == {"1"}
        home.building.meters["grid"].refuse(4)  # its last word, 1100 W of surplus, is older than the boiler
        await home.minute()
        assert home.closed() == {"1"}
        home.building.meters["grid"].refuse(None)
        home.sun_w = 2100
        await home.minute()
        assert home.closed() == {"1", "2"}


async def test_a_minute_that_ends_right_after_a_change_waits_until_meters_show_it(folder: Path) -> None:
    start = NOON + timedelta(seconds=59)
    async with running(site([heater(1000)]), folder, start) as home:
        home.sun_w = 1100
        await home.minute()
        assert home.closed() == {"1"}
        pause = asyncio.create_task(home.control.pause())
        await home.clock.advance(5)  # the full minute was four seconds ago
        assert not pause.done()
        await home.clock.advance(5)
        await until(pause.done, "settled")


class SetBackClock(VirtualClock):
    """A wall clock that somebody corrects: sleeping goes on as before."""

    behind = timedelta(0)

    def now(self) -> datetime:
        return super().now() - self.behind


async def test_a_clock_that_is_set_back_does_not_stop_control(folder: Path) -> None:
    clock = SetBackClock(NOON)
    async with running(site([heater(1000)]), folder, clock=clock) as home:
        await home.minute()
        pause = asyncio.create_task(home.control.pause())
        await clock.advance(5)
        clock.behind = timedelta(hours=1)
        await clock.advance(65)
        await until(pause.done, "decides again")


async def test_a_limit_just_lowered_is_not_given_away_twice(folder: Path) -> None:
    """A station tells its current now and then; the next decision may come ten seconds after a change."""
    circuits = [
        {"id": "main", "limit_a": [100, 100, 100]},
        {"id": "garage", "parent": "main", "limit_a": [20, 20, 20]},
    ]
    points = [station(id, "garage", phases=["L1"], mode="full", max_a=32, safe_a=0) for id in ("CP1", "CP2")]
    meters = [{"id": "zone", "role": "zone", "circuit": "garage", "unit": 2}]
    async with running(site(charge_points=points, circuits=circuits, meters=meters), folder) as home:
        await home.arrive("CP1", car(phases=1, max_a=32), "a")
        await home.minute(4)
        assert home.points["CP1"].limit_a(1) == 20
        home.points["CP1"].configuration.store("MeterValueSampleInterval", "900")
        await home.app.sites.set_connector_mode("CP1", 1, "manual", 6)
        await home.decide()
        assert home.points["CP1"].limit_a(1) == 6
        await home.arrive("CP2", car(phases=1, max_a=32), "b")
        await home.decide()
        assert 6 <= home.points["CP2"].limit_a(1) <= 14
        await home.minute(3)
        assert home.points["CP2"].limit_a(1) == 14
