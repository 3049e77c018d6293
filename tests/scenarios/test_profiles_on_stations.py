"""Floors and limits reach the station, and come back when it has lost them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from running_site import RunningSite, car, running, site, station, until
from sqlalchemy import text

from simulation.charging_schedule import Profile
from simulation.station_link import CallRefused

ONE_PHASE = station(phases=["L2"], safe_a=6)


def floors(home: RunningSite, id: str = "CP1") -> list[float]:
    return [p.periods[0].limit for p in home.points[id].profiles if p.purpose == "TxDefaultProfile"]


def replace_model(home: RunningSite, **changes: Any) -> None:
    home.points["CP1"].model = replace(home.points["CP1"].model, **changes)


async def become(home: RunningSite, **changes: Any) -> None:
    """It is such a station from its next boot on, and knows nothing of what it was sent before."""
    replace_model(home, **changes)
    home.points["CP1"].power_cycle(off_s=1)
    home.points["CP1"].profiles = ()
    booted = home.points["CP1"].registered
    await home.clock.advance(30)
    await until(booted.is_set, "it has booted")
    await home.provisioned()


def is_floor(profile: Profile) -> bool:
    return profile.purpose == "TxDefaultProfile"


def knows_no_floor(profile: Profile) -> bool:
    if is_floor(profile):
        raise CallRefused("NotSupported")
    return False


async def test_the_floor_is_there_before_anybody_comes(folder: Path) -> None:
    async with running(site(charge_points=[ONE_PHASE]), folder) as home:
        await home.minute()
        assert floors(home) == [6]


async def test_cleared_profiles_are_written_again_at_once(folder: Path) -> None:
    async with running(site(charge_points=[ONE_PHASE]), folder) as home:
        await home.arrive(vehicle=car(phases=1))
        home.sun_w = 2400
        await home.minute(2)
        assert home.points["CP1"].limit_a(1) == 10
        await home.app.commands.send("CP1", "ClearChargingProfile", {})
        await until(lambda: floors(home) == [6], "the floor is back")
        await until(lambda: home.points["CP1"].limit_a(1) == 10, "the limit is back")


async def test_cleared_profiles_stay_forgotten_over_a_restart(folder: Path) -> None:
    async with running(site(charge_points=[ONE_PHASE]), folder) as home:
        await home.minute()
        await home.app.setpoints.booted("CP1")  # and the station is gone before it can be written again
        home.points["CP1"].profiles = ()
        await home.stop_server()
        await home.start_server()
        await home.clock.advance(90)
        await until(lambda: home.app.charge_points.is_connected("CP1"), "the station is back")
        await home.minute()
        assert floors(home) == [6]


async def test_a_station_that_restarts_and_forgets_has_its_floor_before_the_next_minute(folder: Path) -> None:
    async with running(site(charge_points=[ONE_PHASE]), folder) as home:
        await home.minute()
        home.points["CP1"].power_cycle(off_s=1)
        home.points["CP1"].profiles = ()
        await home.clock.advance(30)
        await until(lambda: floors(home) == [6], "the floor is back")


@pytest.mark.parametrize("refuses", [is_floor, knows_no_floor])
async def test_a_station_that_refuses_the_floor_is_limited_all_the_same(
    folder: Path, refuses: Callable[[Profile], bool]
) -> None:
    async with running(site(charge_points=[ONE_PHASE]), folder) as home:
        await become(home, rejects=refuses)
        await home.arrive(vehicle=car(phases=1))
        home.sun_w = 2400
        await home.minute(2)
        assert home.points["CP1"].limit_a(1) == 10
        assert "TxDefaultProfile" in home.load("CP1/1").reason


async def test_a_station_that_refused_is_asked_again_with_the_next_minute(folder: Path) -> None:
    async with running(site(charge_points=[ONE_PHASE]), folder) as home:
        await become(home, rejects=lambda profile: True)
        await home.arrive(vehicle=car(phases=1))
        home.sun_w = 2400
        await home.minute()
        assert home.points["CP1"].limit_a(1) == 16
        replace_model(home, rejects=lambda profile: False)
        await home.minute()
        assert home.points["CP1"].limit_a(1) == 10


async def test_a_station_that_was_away_is_limited_as_soon_as_it_is_back(folder: Path) -> None:
    async with running(site(charge_points=[ONE_PHASE]), folder) as home:
        await home.arrive(vehicle=car(phases=1))
        home.sun_w = 3700
        await home.minute(2)
        home.sun_w = 1500
        home.show()
        home.points["CP1"].drop_link(away_s=20)
        await (
            home.control.tick()
        )  # its limit cannot be written any more, or is on its way when the link breaks
        await until(lambda: not home.app.charge_points.is_connected("CP1"), "the server has noticed")
        await home.clock.advance(25)
        await until(lambda: home.app.charge_points.is_connected("CP1"), "the station is back")
        await home.decide()
        assert home.points["CP1"].limit_a(1) == home.load("CP1/1").setpoint_a


async def test_limits_reach_every_connector_while_the_database_is_broken(folder: Path) -> None:
    twin = {"id": "CP1", "circuit": "main", "connectors": [{"id": n, "phases": ["L1"]} for n in (1, 2)]}
    async with running(site(charge_points=[twin]), folder) as home:
        async with home.app.database._writer.begin() as conn:  # type: ignore[union-attr]
            await conn.execute(text("DROP TABLE charging_profiles"))
        await home.minute()
        held = {p.connector_id for p in home.points["CP1"].profiles if is_floor(p)}
        assert held == {1, 2}


async def test_letter_case_of_an_identity_does_not_matter(folder: Path) -> None:
    async with running(site(charge_points=[station("cp1", phases=["L2"], safe_a=6)]), folder) as home:
        await home.arrive("cp1", car(phases=1))
        home.sun_w = 2400
        await home.minute()
        await home.app.commands.send("CP1", "ClearChargingProfile", {})
        await until(lambda: home.points["cp1"].limit_a(1) == 10, "the limit is back")
