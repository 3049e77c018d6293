"""Connectors that charge whoever plugs in, and those that wait for a badge all the same."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from running_site import RunningSite, car, running, site, station, until

from csms.domain.id_tag import IdTag
from csms.services.frame_log import Wanted

FREE = {"phases": ["L1"], "safe_a": 0, "free_start": True}


async def sent(home: RunningSite, action: str = "RemoteStartTransaction") -> list[str]:
    frames = await home.app.frame_log.messages("CP1", Wanted(action=action))
    return [frame["text"] for frame in frames if frame["direction"] == "out" and frame["text"][1] == "2"]


async def begun(home: RunningSite) -> None:
    """Let what has been asked for happen on the real sockets, second by second, however slow they are."""
    live = home.app.charge_points.station("CP1").connector(1)
    for _ in range(80):
        if live.transaction is not None:
            return
        await home.pass_time(1)
        await asyncio.sleep(0.01)
    raise AssertionError("no session has begun")


async def test_who_plugs_in_charges(folder: Path) -> None:
    async with running(site(charge_points=[station(**FREE)]), folder) as home:
        await home.app.accounts.save_id_tag(IdTag("resident"))
        home.points["CP1"].plug(1, car(phases=1))
        await begun(home)
        home.sun_w = 3000
        await home.minute(2)
        load = home.load("CP1/1")
        assert (load.state, load.id_tag) == ("charging", "SITE")
        assert len(await sent(home)) == 1


async def test_others_wait_for_their_badge(folder: Path) -> None:
    config = site(charge_points=[station(**{**FREE, "free_start": False})])
    async with running(config, folder) as home:
        home.points["CP1"].plug(1, car(phases=1))
        await home.minute(10)
        assert home.load("CP1/1").state == "plugged"
        assert await sent(home) == []


@pytest.mark.parametrize("key", ["start_tag", "PlugAndChargeIdentifier"])
async def test_the_tag_is_the_owners_or_the_stations_own(folder: Path, key: str) -> None:
    point: dict[str, Any] = station(**FREE)
    if key == "start_tag":
        point["start_tag"] = "GARAGE-7"
    async with running(site(charge_points=[point]), folder) as home:
        if key != "start_tag":
            home.app.charge_points.station("CP1").configuration[key] = "GARAGE-7"
        home.points["CP1"].plug(1, car(phases=1))
        await begun(home)
        await home.minute()
        assert home.load("CP1/1").id_tag == "GARAGE-7"


async def test_a_session_that_was_stopped_is_not_started_again_until_the_cable_was_out(folder: Path) -> None:
    async with running(site(charge_points=[station(**FREE)]), folder) as home:
        home.points["CP1"].plug(1, car(phases=1))
        await begun(home)
        live = home.app.charge_points.station("CP1").connector(1)
        home.points["CP1"].end(1, "Local")
        await home.minute(15)
        assert (live.transaction, len(await sent(home))) == (None, 1)
        home.points["CP1"].unplug(1)
        await home.pass_time(10)
        await until(lambda: live.status == "Available", "the cable is out")
        home.points["CP1"].plug(1, car(phases=1))
        await begun(home)
        assert len(await sent(home)) == 2


async def test_charge_now_starts_one_that_was_stopped(folder: Path) -> None:
    async with running(site(charge_points=[station(**FREE)]), folder) as home:
        home.points["CP1"].plug(1, car(phases=1))
        await begun(home)
        live = home.app.charge_points.station("CP1").connector(1)
        home.points["CP1"].end(1, "Local")
        await home.minute(2)
        assert live.transaction is None
        await home.app.sites.set_connector_mode("CP1", 1, "full", until_unplugged=True)
        await begun(home)
        await home.minute(2)
        assert home.load("CP1/1").setpoint_a == 16


async def test_one_that_is_switched_off_starts_nothing(folder: Path) -> None:
    async with running(site(charge_points=[station(**{**FREE, "mode": "off"})]), folder) as home:
        home.points["CP1"].plug(1, car(phases=1))
        await home.minute(5)
        assert await sent(home) == []


async def test_a_car_that_came_while_the_station_was_offline(folder: Path) -> None:
    async with running(site(charge_points=[station(**FREE)]), folder) as home:
        home.points["CP1"].drop_link(30)
        await until(lambda: not home.app.charge_points.station("CP1").connected, "offline")
        home.points["CP1"].plug(1, car(phases=1))
        await home.pass_time(35)
        await until(lambda: home.app.charge_points.station("CP1").connected, "online again")
        await begun(home)


async def test_a_station_that_refuses_is_asked_four_times_and_then_people_are_told(folder: Path) -> None:
    async with running(site(charge_points=[station(**FREE)]), folder) as home:
        home.points["CP1"].offer_start = lambda *_: False  # type: ignore[method-assign]
        home.points["CP1"].plug(1, car(phases=1))
        await home.minute(10)
        load = home.load("CP1/1")
        assert load.state == "needs_hand"
        assert "did not start without a badge" in load.reason
        assert len(await sent(home)) == 4
        assert any("needs a hand" in warning for warning in home.snapshot.warnings)


async def test_a_restart_of_the_server_changes_nothing_for_a_car_that_charges(folder: Path) -> None:
    """The transaction and the profiles are taken up as they are: no second start, no second profile."""
    async with running(site(charge_points=[station(**FREE)]), folder) as home:
        home.points["CP1"].plug(1, car(phases=1))
        await begun(home)
        home.sun_w = 2000
        await home.minute(5)
        before = home.app.charge_points.station("CP1").connector(1).transaction
        profiles, limit_a = home.points["CP1"].profiles, home.points["CP1"].limit_a(1)
        await home.kill_server()
        await home.start_server()
        await home.pass_time(20)
        await until(lambda: home.app.charge_points.is_connected("CP1"), "online again")
        await home.pass_time(20)
        after = home.app.charge_points.station("CP1").connector(1).transaction
        assert before is not None
        assert after is not None
        assert (after.id, after.energy_wh > 0) == (before.id, True)
        assert home.points["CP1"].profiles == profiles
        await home.minute(2)
        assert home.points["CP1"].limit_a(1) == limit_a
        assert len(await home.app.reporting.transactions()) == 1
        assert len(await sent(home)) == 1
