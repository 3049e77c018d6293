"""What stations give by themselves while nobody speaks to them is kept free on their fuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from running_site import RunningSite, car, running, site, station, until

CIRCUITS = [
    {"id": "main", "limit_a": [100, 100, 100]},
    {"id": "garage", "parent": "main", "limit_a": [20, 20, 20]},
]


def place(id: str, **keys: Any) -> dict[str, Any]:
    return station(id, "garage", phases=["L1"], max_a=32, safe_a=6, **keys)


def garage_a(home: RunningSite) -> float:
    """What flows through the garage's fuse on L1, which nobody measures."""
    return sum(home.building.connector_w(id, 1)[0] for id in home.points) / 230


async def lost(home: RunningSite, id: str) -> None:
    """Its network is away for the rest of the story."""
    home.points[id].drop_link(away_s=36_000)
    await until(lambda: not home.app.charge_points.is_connected(id), "the server has noticed")


async def test_a_paused_session_that_falls_back_out_of_reach_has_room_on_the_fuse(folder: Path) -> None:
    """It waits for the sun at 0 A; when its limit is no longer renewed it charges at its safe current."""
    points = [place("CP1"), place("CP2", mode="full")]
    async with running(site(charge_points=points, circuits=CIRCUITS), folder) as home:
        await home.arrive("CP1", car(phases=1, max_a=32), "a")
        await home.arrive("CP2", car(phases=1, max_a=32), "b")
        await home.minute(3)
        assert [home.points[id].limit_a(1) for id in home.points] == [0, 20]
        await lost(home, "CP1")
        over = 0
        for _ in range(20):
            await home.minute()
            over += garage_a(home) > 20.1
        assert home.points["CP1"].limit_a(1) == 6
        assert home.points["CP2"].limit_a(1) == 14
        assert over <= 1
        assert home.load("CP1/1").reason == "station not connected: 6 A reserved, which it gives by itself"


async def test_a_car_that_comes_to_a_station_out_of_reach_has_room_on_the_fuse(folder: Path) -> None:
    points = [place("CP1"), place("CP2", mode="full")]
    async with running(site(charge_points=points, circuits=CIRCUITS), folder) as home:
        await home.arrive("CP2", car(phases=1, max_a=32), "b")
        await home.minute(3)
        assert home.points["CP2"].limit_a(1) == 20
        await lost(home, "CP1")
        await home.minute(4)
        home.points["CP1"].plug(1, car(phases=1, max_a=32))
        await home.pass_time(5)
        home.points["CP1"].configuration.store("AllowOfflineTxForUnknownId", "true")
        assert await home.points["CP1"].badge(1, "a")
        for _ in range(3):
            await home.minute()
            assert garage_a(home) <= 20.1
