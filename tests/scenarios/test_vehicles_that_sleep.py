"""Vehicles that take nothing although the sun shines: woken, left alone, or a person is told."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from running_site import car, running, site, station

from csms.domain.id_tag import IdTag
from csms.services.events import Event, EventBus
from simulation.vehicle import Vehicle, VehicleModel

ONE_PHASE = {"phases": ["L1"], "safe_a": 0}


def sleeper(sleep_after_s: float = 900.0) -> Vehicle:
    model = VehicleModel("sleeper", phases=1, battery_wh=60_000, sleep_after_s=sleep_after_s)
    return Vehicle(model, soc=0.3)


def full() -> Vehicle:
    return Vehicle(VehicleModel("full", phases=1, battery_wh=60_000), soc=0.8, target_soc=0.8)


def home_of(**keys: Any) -> Any:
    point = station(**{**ONE_PHASE, **keys.pop("connector", {})})
    return site(charge_points=[{**point, **keys}])


@contextlib.asynccontextmanager
async def heard(events: EventBus, *kinds: str) -> AsyncIterator[list[Event]]:
    """All that is told meanwhile."""
    found: list[Event] = []
    async with events.subscribe(*kinds) as queue:
        yield found
        while not queue.empty():
            found.append(queue.get_nowait())


async def test_a_car_that_fell_asleep_under_a_cloud_is_woken_by_ten_ampere(folder: Path) -> None:
    async with running(home_of(), folder) as home:
        await home.arrive(vehicle=sleeper())
        home.sun_w = 1600
        await home.minute(12)
        assert home.load("CP1/1").state == "charging"
        home.sun_w = 0
        await home.minute(25)
        assert home.load("CP1/1").state == "paused"
        home.sun_w = 1600
        await home.minute(4)
        assert home.load("CP1/1").state in ("offered", "asleep")
        await home.minute(10)
        assert home.load("CP1/1").state == "charging"
        assert home.points["CP1"].limit_a(1) in (6, 7)
        assert 10 in home.limits_seen["CP1"][-11:]
        assert len(await home.app.reporting.transactions()) == 1


async def test_a_car_that_is_full_when_it_comes_needs_a_hand_and_people_are_told_once(folder: Path) -> None:
    async with running(home_of(), folder) as home:
        await home.arrive(vehicle=full())
        home.sun_w = 1600
        async with heard(home.app.events, "connector.needs_hand") as told:
            await home.minute(80)
        load = home.load("CP1/1")
        assert (load.state, load.reason_code) == ("needs_hand", "needs_hand")
        assert "needs a hand" in load.reason
        assert [limit for limit in home.limits_seen["CP1"] if limit > 6] == [10, 10, 13, 13, 16, 16]
        assert [event.data["connector_id"] for event in told] == [1]
        assert any("needs a hand" in warning for warning in home.snapshot.warnings)


async def test_a_car_that_has_had_enough_is_full_and_is_left_in_peace(folder: Path) -> None:
    async with running(home_of(), folder) as home:
        nearly = car(phases=1, battery_kwh=60)
        nearly.target_soc = nearly.soc + 0.01
        await home.arrive(vehicle=nearly)
        home.sun_w = 1600
        await home.minute(70)
        assert home.load("CP1/1").state == "full"
        assert max(home.limits_seen["CP1"]) < 8


@pytest.mark.parametrize(
    ("step", "stop_reason"), [("restart", "Remote"), ("availability", "Remote"), ("reset", "SoftReset")]
)
async def test_its_owner_lets_the_station_begin_the_session_anew(
    folder: Path, step: str, stop_reason: str
) -> None:
    async with running(home_of(wake_by=[step]), folder) as home:
        await home.arrive(vehicle=full())
        home.sun_w = 1600
        async with heard(home.app.events, "connector.wo", "connector.wake_failed") as told:
            while not home.app.wake_up.is_at_work("CP1", 1):
                await home.minute()
            while home.app.wake_up.is_at_work("CP1", 1):
                await home.pass_time(1)
                await asyncio.sleep(0.01)  # sockets are real
        begun = await home.app.reporting.transactions()
        assert [(t["id_tag"], t["stop_reason"]) for t in begun] == [("badge", None), ("badge", stop_reason)]
        assert [(event.kind, event.data["step"]) for event in told] == [("connector.woken", step)]
        assert home.points["CP1"].outlets[1].is_operative
        await home.minute(20)
        assert home.load("CP1/1").state == "needs_hand"
        assert len(await home.app.reporting.transactions()) == 2


async def test_a_badge_that_is_refused_is_told(folder: Path) -> None:
    async with running(home_of(), folder) as home:
        await home.app.accounts.save_id_tag(IdTag("known"))
        home.points["CP1"].plug(1, car())
        await home.pass_time(5)
        assert not await home.points["CP1"].badge(1, "stranger")
        await home.minute()
        assert home.load("CP1/1").state == "refused"
        await home.minute(3)
        assert home.load("CP1/1").state == "plugged"


async def test_the_first_minutes_of_a_car_that_falls_asleep_without_them(folder: Path) -> None:
    async with running(home_of(connector={"start_at_plug_in_min": 2}), folder) as home:
        await home.minute()
        await home.arrive(vehicle=sleeper())
        await home.minute(6)
        assert home.limits_seen["CP1"][1:] == [6, 6, 6, 0, 0, 0]
        assert home.load("CP1/1").session_wh == pytest.approx(60, abs=15)
