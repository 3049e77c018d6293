"""Relay appliances through the real path: Modbus meter, decision, Modbus coil."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from running_site import heater, running, site


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc, arg-type]


@pytest.mark.parametrize(("surplus_w", "is_on"), [(1000, True), (999, False), (0, False), (-500, False)])
async def test_a_1000_w_heater_needs_1000_w_of_surplus(folder: Path, surplus_w: float, is_on: bool) -> None:
    async with running(site([heater(1000)]), folder) as home:
        home.sun_w, home.house_w = max(surplus_w, 0), max(-surplus_w, 0)
        await home.minute()
        assert home.closed() == ({"1"} if is_on else set())
        await home.minute(2)
        assert home.closed() == ({"1"} if is_on else set())


async def test_three_1000_w_steps_follow_a_ramp(folder: Path) -> None:
    async with running(site([heater(1000, 1000, 1000, min_on_min=0, min_off_min=0)]), folder) as home:
        steps_on = []
        for sun_w in (500, 1100, 1900, 2100, 3200, 3900, 2500, 1500, 600, 0):
            home.sun_w = sun_w
            await home.minute()
            steps_on.append(len(home.closed()))
    assert steps_on == [0, 1, 1, 2, 3, 3, 2, 1, 0, 0]


async def test_draw_switches_off_just_enough(folder: Path) -> None:
    async with running(site([heater(500, 1000, 2000, min_on_min=0)]), folder) as home:
        home.sun_w = 3600
        await home.minute()
        assert home.closed() == {"1", "2", "3"}
        home.house_w = 600  # 500 W are drawn now: the 500 W step ends it
        await home.minute()
        assert home.closed() == {"2", "3"}


async def test_the_minimum_on_time_holds_through_a_cloud(folder: Path) -> None:
    async with running(site([heater(1000, min_on_min=10)]), folder) as home:
        home.sun_w = 1500
        await home.minute()
        home.sun_w = 100  # the cloud
        states = []
        for _ in range(11):
            await home.minute()
            states.append(home.closed() == {"1"})
        assert states == [True] * 9 + [False] * 2
        assert "on" not in home.load().state


async def test_the_reason_says_how_long_it_is_held(folder: Path) -> None:
    async with running(site([heater(1000, min_on_min=10)]), folder) as home:
        home.sun_w = 1500
        await home.minute()
        home.sun_w = 0
        await home.minute(6)
        assert "6 of 10 min" in home.load().reason


@pytest.mark.parametrize(
    ("start", "on_at", "off_at"),
    [
        # Clocks go forward at 02:00: the window is 03:00 to 05:00 summer time, two hours.
        pytest.param(utc(2026, 3, 28, 23, 30), utc(2026, 3, 29, 1), utc(2026, 3, 29, 3), id="spring"),
        # Clocks go back at 03:00: 02:00 comes twice, the window lasts four hours.
        pytest.param(utc(2026, 10, 24, 22, 30), utc(2026, 10, 25, 0), utc(2026, 10, 25, 4), id="autumn"),
        pytest.param(utc(2026, 6, 20, 22, 30), utc(2026, 6, 21, 0), utc(2026, 6, 21, 3), id="ordinary"),
    ],
)
async def test_the_timer_forces_on_at_night(
    folder: Path, start: datetime, on_at: datetime, off_at: datetime
) -> None:
    windows = [{"days": "mon-sun", "from": "02:00", "to": "05:00"}]
    boiler = heater(1000, mode="solar_and_timer", windows=windows, min_on_min=0)
    minute, hour = timedelta(minutes=1), timedelta(hours=1)
    edges = {edge + n * minute for edge in (on_at, off_at) for n in (-1, 0, 1)}
    between = {start + n * hour for n in range(1, 7)}  # at half past
    async with running(site([boiler]), folder, start) as home:
        home.house_w = 300
        for moment in sorted(edges | between):
            await home.clock.advance((moment - minute - home.clock.now()).total_seconds())
            await home.minute()
            assert home.closed() == ({"1"} if on_at <= moment < off_at else set()), moment


async def test_a_person_switches_and_the_sun_has_no_say(folder: Path) -> None:
    async with running(site([heater(1000, 1000)]), folder) as home:
        home.sun_w = 5000
        await home.app.sites.set_appliance_mode("boiler", "manual", ["2"])
        await home.minute()
        assert home.closed() == {"2"}
        await home.app.sites.set_appliance_mode("boiler", "off", None)
        await home.minute()
        assert home.closed() == set()
        await home.app.sites.set_appliance_mode("boiler", "on", None)
        home.sun_w = 0
        await home.minute()
        assert home.closed() == {"1", "2"}
