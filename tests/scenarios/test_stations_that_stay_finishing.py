"""Some stations do not leave Finishing by themselves: the next driver would find a dead connector."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from running_site import RunningSite, car, running, site, until

from csms.services.frame_log import Wanted
from simulation.deviations import Deviations
from simulation.session_deviations import FinishingNeedsReset

TWO = {"id": "CP1", "circuit": "main", "connectors": [{"id": 1}, {"id": 2}]}


async def resets(home: RunningSite) -> int:
    frames = await home.app.frame_log.messages("CP1", Wanted(action="Reset"), 100)
    return sum(frame["direction"] == "out" for frame in frames)


async def make_it_an_autel(home: RunningSite) -> None:
    point = home.points["CP1"]
    point.model = replace(point.model, vendor="Autel", model="MaxiCharger AC")
    point.deviations = Deviations([FinishingNeedsReset()])
    for outlet in point.outlets.values():
        outlet._deviations = point.deviations
    point.power_cycle(off_s=1)
    await home.pass_time(30)
    station = home.app.charge_points.station("CP1")
    await until(lambda: station.vendor == "Autel", "it has booted as what it is")
    await home.provisioned()


async def test_it_is_restarted_a_minute_after_the_session_but_not_while_another_is_in_one(
    folder: Path,
) -> None:
    async with running(site(charge_points=[TWO]), folder) as home:
        await make_it_an_autel(home)
        point, station = home.points["CP1"], home.app.charge_points.station("CP1")
        await home.arrive()
        point.plug(2, car())
        await home.pass_time(5)
        assert await point.badge(2, "other")
        await home.pass_time(5)
        await until(lambda: station.connector(2).transaction is not None, "both charge")
        point.unplug(1)
        await home.minute(3)
        assert (station.connector(1).status, await resets(home)) == ("Finishing", 0)
        point.end(2, "Local")
        await home.minute(3)
        await home.provisioned()
        assert await resets(home) == 1
        assert station.connector(1).status == "Available"
        await home.minute(5)
        point.unplug(2)
        await home.minute()
        assert (station.connector(2).status, await resets(home)) == ("Available", 1)


async def test_a_station_of_another_make_is_not_restarted_for_it(folder: Path) -> None:
    async with running(site(charge_points=[TWO]), folder) as home:
        await home.arrive()
        home.points["CP1"].end(1, "Local")
        await home.minute(5)
        assert home.app.charge_points.station("CP1").connector(1).status == "Finishing"
        assert await resets(home) == 0
