"""The server's clock is corrected: what was remembered of a time to come must not hold anybody up."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from pathlib import Path

from running_site import NOON, RunningSite, car, heater, running, site, station, until
from test_measurements_of_the_past import SetBackClock

from simulation.clock import VirtualClock


def an_hour_back(home: RunningSite) -> None:
    clock = home.clock
    assert isinstance(clock, SetBackClock)
    clock.behind = timedelta(hours=1)


async def test_a_decision_comes_within_a_minute_although_a_relay_was_switched_in_the_future(
    folder: Path,
) -> None:
    async with running(site([heater(1000)]), folder, clock=SetBackClock(NOON)) as home:
        home.sun_w = 1100
        await home.minute()
        assert home.closed() == {"1"}
        an_hour_back(home)
        await home.minute()
        pause = asyncio.create_task(home.control.pause())
        await home.clock.advance(61)
        await until(pause.done, "decides again")


class ServersClock(SetBackClock):
    """Only the server's: stations and cars live by the other."""

    def __init__(self, worlds: VirtualClock) -> None:
        self._worlds = worlds

    def now(self) -> datetime:
        return self._worlds.now() - self.behind

    async def sleep(self, seconds: float) -> None:
        await self._worlds.sleep(seconds)

    async def advance(self, seconds: float) -> None:
        await self._worlds.advance(seconds)


async def test_a_fuse_is_looked_after_although_the_clock_was_set_back(folder: Path) -> None:
    """The oven comes on after the last change, by the new clock long before it."""
    config = site(
        charge_points=[station(phases=["L1", "L2", "L3"], mode="full", safe_a=0)],
        circuits=[{"id": "main", "limit_a": [25, 25, 25]}],
    )
    async with running(config, folder) as home:
        await home.stop_server()
        home.clock = ServersClock(home.clock)
        await home.start_server()
        await home.pass_time(60)
        await until(lambda: home.app.charge_points.is_connected("CP1"), "the station is back")
        await home.arrive()
        await home.minute(2)
        assert home.points["CP1"].limit_a(1) == 16
        an_hour_back(home)
        home.house_w = 15 * 230 * 3
        limits = []
        for _ in range(6):
            await home.minute()
            limits.append(home.points["CP1"].limit_a(1))
            assert max(home.flows_w()) <= 25 * 230 + 1 or len(limits) == 1
        assert limits[-1] == 10


async def test_minimum_times_last_no_longer_because_the_clock_was_set_back(folder: Path) -> None:
    boiler = heater(1000, min_on_min=10)
    async with running(site([boiler]), folder, clock=SetBackClock(NOON)) as home:
        home.sun_w = 1100
        await home.minute(3)
        assert home.closed() == {"1"}
        an_hour_back(home)
        home.sun_w = 0
        await home.minute(5)
        assert home.closed() == {"1"}
        await home.minute(5)
        assert home.closed() == set()


async def test_a_server_that_starts_with_the_right_clock_lives_with_what_a_wrong_one_left(
    folder: Path,
) -> None:
    async with running(
        site([heater(1000, min_on_min=10)], [station(phases=["L2"])]), folder, clock=SetBackClock(NOON)
    ) as home:
        await home.arrive(vehicle=car(phases=1))
        home.sun_w = 1100
        await home.minute(2)
        assert home.closed() == {"1"}
        await home.stop_server()
        an_hour_back(home)
        await home.start_server()
        home.sun_w = 0
        await home.minute(12)
        assert home.closed() == set()


async def test_a_car_is_not_paused_because_the_clock_was_set_forward(folder: Path) -> None:
    """A machine without a clock of its own gets the time a while after it has started."""
    config = site(charge_points=[station(phases=["L2"], safe_a=6)])
    async with running(config, folder) as home:
        await home.stop_server()
        clock = home.clock = ServersClock(home.clock)
        await home.start_server()
        await home.pass_time(60)
        await until(lambda: home.app.charge_points.is_connected("CP1"), "the station is back")
        await home.arrive(vehicle=car(phases=1))
        home.sun_w = 3000
        await home.minute(3)
        assert home.points["CP1"].limit_a(1) == 13
        first = asyncio.create_task(home.control.pause())  # ends at once: somebody has just arrived
        await clock.advance(60)
        await until(first.done, "woken")
        await home.minute()
        pause = asyncio.create_task(home.control.pause())
        await clock.advance(5)
        clock.behind = -timedelta(days=3)
        await clock.advance(10)
        await until(pause.done, "decides again")
        await home.control.tick()
        await home.app.setpoints.settle()
        assert (home.load("CP1/1").setpoint_a or 0) >= 6
