"""A garage whose cars sleep, fill up or take less than they are offered."""

from __future__ import annotations

from pathlib import Path

from running_site import car, running, site, station

from simulation.vehicle import Vehicle, VehicleModel

GARAGE = [station("CP1", phases=["L1"], safe_a=0), station("CP2", phases=["L2"], safe_a=0)]


async def test_a_sleeper_keeps_its_offer_and_its_watts_go_to_the_other(folder: Path) -> None:
    async with running(site(charge_points=GARAGE), folder) as garage:
        sleeper = Vehicle(VehicleModel("sleeper", phases=1, battery_wh=40_000, sleep_after_s=60), soc=0.1)
        await garage.arrive("CP1", sleeper)
        await garage.minute(3)
        garage.sun_w = 1500
        await garage.minute()
        assert garage.points["CP1"].limit_a(1) == 6
        await garage.arrive("CP2", car(phases=1))
        await garage.minute(5)
        assert (garage.points["CP1"].limit_a(1), garage.points["CP2"].limit_a(1)) == (6, 6)
        assert garage.load("CP1/1").reason.startswith("asleep: offered 6 A for")
        garage.sun_w = 0
        await garage.minute(6)
        assert garage.points["CP2"].limit_a(1) == 0


async def test_a_car_of_ten_amperes_leaves_the_rest_to_its_neighbour(folder: Path) -> None:
    async with running(site(charge_points=GARAGE), folder) as garage:
        await garage.arrive("CP1", car(phases=1, max_a=10))
        garage.sun_w = 5300
        await garage.minute()
        await garage.arrive("CP2", car(phases=1))
        await garage.minute(5)
        limits = (garage.points["CP1"].limit_a(1), garage.points["CP2"].limit_a(1))
        assert limits[0] <= 11
        assert limits[1] >= 12


async def test_a_full_car_gives_all_but_its_minimum_away(folder: Path) -> None:
    async with running(site(charge_points=GARAGE), folder) as garage:
        nearly_full = Vehicle(VehicleModel("full", phases=1, battery_wh=40_000), soc=0.77, target_soc=0.8)
        await garage.arrive("CP1", nearly_full)
        garage.sun_w = 3700
        await garage.minute(26)
        await garage.arrive("CP2", car(phases=1))
        await garage.minute(5)
        assert garage.points["CP2"].limit_a(1) == 16
        assert garage.points["CP1"].limit_a(1) in (0, 6)
