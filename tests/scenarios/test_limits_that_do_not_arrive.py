"""What a station still offers burdens its fuse until it has taken less, whatever keeps it from that."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from running_site import RunningSite, car, running, site, station

from simulation.charge_point import SimulatedChargePoint
from simulation.deviations import Deviation, Deviations, Payload
from simulation.station_link import Answer

CIRCUITS = [
    {"id": "main", "limit_a": [100, 100, 100]},
    {"id": "garage", "parent": "main", "limit_a": [25, 25, 25]},
]


def garage_a(home: RunningSite) -> float:
    """What flows through the garage's fuse on L1, which nobody measures."""
    return sum(home.building.connector_w(id, 1)[0] for id in home.points) / 230


def place(id: str, **keys: Any) -> dict[str, Any]:
    connector = {"phases": ["L1"], "max_a": 16, "safe_a": 6, **keys}
    return station(id, "garage", **connector)


async def test_a_reduction_that_makes_room_for_another_car_is_no_matter_of_the_write_budget(
    folder: Path,
) -> None:
    """A second car in a hurry takes the sun of the first, which is to have less then."""
    points = [{**place("CP1"), "max_profile_writes_per_day": 5}, place("CP2", mode="full")]
    async with running(site(charge_points=points, circuits=CIRCUITS), folder) as home:
        await home.arrive("CP1", car(phases=1), "a")
        home.sun_w = 4000
        await home.minute(3)
        assert home.points["CP1"].limit_a(1) == 16
        home.sun_w = (8 + 16) * 230 + 100
        await home.arrive("CP2", car(phases=1), "b")
        for _ in range(5):
            await home.minute()
            assert garage_a(home) <= 25.1
        assert home.points["CP2"].limit_a(1) == 16


class Mute(Deviation):
    """It measures and tells, but no longer answers to profiles, and takes none."""

    def answer(
        self, station: SimulatedChargePoint, action: str, payload: Payload, usual: Callable[[], Answer]
    ) -> Answer:
        if action == "SetChargingProfile":
            return Answer({"status": "Accepted"}, None, after_s=1e6)
        return usual()


async def test_what_a_mute_station_was_allowed_is_not_given_to_another(folder: Path) -> None:
    points = [place("CP1", mode="full"), place("CP2", mode="full")]
    async with running(site(charge_points=points, circuits=CIRCUITS), folder) as home:
        await home.arrive("CP1", car(phases=1), "a")
        await home.minute(3)
        assert home.points["CP1"].limit_a(1) == 16
        home.app.setpoints.writer.answered_within_s = 0.2
        home.points["CP1"].deviations = Deviations([Mute()])
        await home.arrive("CP2", car(phases=1), "b")
        await home.minute(2)  # in the first both are told what they may have
        for _ in range(4):
            await home.minute()
            assert garage_a(home) <= 25.1
        assert home.points["CP2"].limit_a(1) > 0
        home.points["CP1"].deviations = Deviations([])
        await home.minute(8)
        assert sorted(home.points[id].limit_a(1) for id in home.points) == [12, 13]


async def test_the_grid_operators_signal_is_no_matter_of_the_write_budget(folder: Path) -> None:
    point = {**place("CP1", mode="full"), "max_profile_writes_per_day": 5}
    shedding = {"input": "io1/1", "limit_a": 6}
    async with running(
        site(charge_points=[point], circuits=CIRCUITS, load_shedding=shedding), folder
    ) as home:
        await home.arrive(vehicle=car(phases=1))
        await home.minute(3)
        assert home.points["CP1"].limit_a(1) == 16
        home.building.relay_modules["io1"].set_input(1, True)
        await home.minute()
        assert home.points["CP1"].limit_a(1) == 6


async def test_the_import_limit_is_no_matter_of_the_write_budget(folder: Path) -> None:
    point = {**place("CP1", mode="full"), "max_profile_writes_per_day": 5}
    config = site(charge_points=[point], circuits=CIRCUITS)
    config = config.model_copy(update={"site": config.site.model_copy(update={"import_limit_w": 4000})})
    async with running(config, folder) as home:
        await home.arrive(vehicle=car(phases=1))
        await home.minute(3)
        assert home.points["CP1"].limit_a(1) == 16
        home.house_w = 2000
        await home.minute(2)
        assert home.points["CP1"].limit_a(1) == 8


async def test_a_driver_in_a_hurry_is_charged_though_the_days_writes_are_used_up(folder: Path) -> None:
    """Clouds have used them; what is kept for pauses would not let a car begin before midnight."""
    point = {**place("CP1"), "max_profile_writes_per_day": 5}
    async with running(site(charge_points=[point], circuits=CIRCUITS), folder) as home:
        await home.arrive(vehicle=car(phases=1))
        await home.minute(2)
        for _ in range(5):
            home.app.setpoints.writer._ladder.wrote("CP1")
        assert home.points["CP1"].limit_a(1) == 0
        await home.app.sites.set_connector_mode("CP1", 1, "full")
        await home.minute(2)
        assert home.points["CP1"].limit_a(1) == 16
        await home.app.sites.set_connector_mode("CP1", 1, "off")
        await home.minute()
        assert home.points["CP1"].limit_a(1) == 0


async def test_fewer_phases_that_make_room_for_another_car_are_no_matter_of_the_write_budget(
    folder: Path,
) -> None:
    """From three phases at 7 A to one at more: what that leaves of L2 the other car gets at once."""
    switching = station("CP1", "garage", phase_switching=True, max_a=16, safe_a=0, mode="min_and_solar")
    points = [
        {**switching, "max_profile_writes_per_day": 5},
        station("CP2", "garage", phases=["L2"], max_a=25, safe_a=0, mode="full"),
    ]
    async with running(site(charge_points=points, circuits=CIRCUITS), folder) as home:
        await home.arrive("CP1", car(), "a")
        home.sun_w = 5200
        await home.minute(10)
        flows = home.building.connector_w("CP1", 1)
        assert min(flows) > 6 * 230
        home.sun_w = 2500 + 25 * 230
        await home.arrive("CP2", car(phases=1, max_a=32), "b")
        for minute in range(6):
            await home.minute()
            l2_a = sum(home.building.connector_w(id, 1)[1] for id in home.points) / 230
            assert l2_a <= 25.1 or minute == 0
        assert home.load("CP1/1").phase_count == 1
