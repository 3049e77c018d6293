"""The check of a running site steps the limits of cars that charge: real OCPP, a station wired wrongly."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from csms.domain.id_tag import IdTag
from csms.domain.wiring import Finding
from simulation.building import WiringFaults
from tests.scenarios.running_site import RunningSite, car, heater, running, site, station

ROTATED = WiringFaults(stations={"CP1": ("L2", "L3", "L1")})


async def checked(
    home: RunningSite, look: Callable[[], None] = lambda: None
) -> dict[tuple[str, str], Finding]:
    """The check runs while control goes on and time passes."""
    checking = asyncio.create_task(home.control.check(True, lambda step: None))
    seconds = 0
    while not checking.done():
        home.show()
        await home.pass_time(1)
        await home.app.setpoints.settle()
        look()
        seconds += 1
        if seconds % 60 == 0:
            await home.decide()
    return {(f.subject, f.check): f for f in checking.result()}


async def charging(home: RunningSite, phases: int, id: str = "CP1") -> None:
    await home.arrive(id, car(phases=phases))
    await home.minute(4)
    assert home.points[id].limit_a(1) == pytest.approx(16, abs=0.1)


def garage(**connector) -> list:
    return [station("CP1", mode="full", **connector), station("CP2", mode="full")]


async def test_a_station_with_rotated_phases_is_found_and_named(tmp_path: Path) -> None:
    config = site([heater(2000, 3000, mode="off")], garage())
    async with running(config, tmp_path, faults=ROTATED) as home:
        await charging(home, 1)
        found = await checked(home)
        assert found["meter grid", "phases"].status == "ok", "the boiler's steps told the meter's order"
        assert found["station CP1/1", "follows"].status == "ok"
        fault = found["station CP1/1", "phases"]
        assert fault.status == "fault"
        assert "rotated: its L1 shows on L2, the site file has L1" in fault.text
        assert 'phases = ["L2", "L3", "L1"]' in fault.advice
        unchecked = found["station CP2/1", "phases"]
        assert (unchecked.status, unchecked.text) == ("inconclusive", "not checked: no car is charging")
        assert unchecked.advice.startswith("Plug in a car and press again")
        assert min(home.limits_seen["CP1"]) >= 6, "a car that takes 16 A is not paused"
        await home.minute(2)
        assert home.points["CP1"].limit_a(1) == pytest.approx(16, abs=0.1), "the limit was given back"


async def test_described_as_it_is_wired_the_same_station_is_well(tmp_path: Path) -> None:
    config = site([heater(2000, 3000, mode="off")], garage(phases=["L2", "L3", "L1"]))
    async with running(config, tmp_path, faults=ROTATED) as home:
        await charging(home, 1)
        found = await checked(home)
        assert found["station CP1/1", "phases"].status == "ok"


async def test_a_car_at_its_minimum_is_paused_and_charges_again(tmp_path: Path) -> None:
    config = site(charge_points=[station("CP1", mode="full", max_a=6)])
    async with running(config, tmp_path, faults=ROTATED) as home:
        await home.arrive("CP1", car(phases=2))
        await home.minute(4)
        found = await checked(home)
        assert "its L1 and L2 show on L2 and L3" in found["station CP1/1", "phases"].text
        await home.minute(2)
        assert home.building.connector_w("CP1", 1) == pytest.approx((0, 1300, 1300), abs=100)


async def test_a_car_that_needs_more_than_the_station_is_not_held_below_that(tmp_path: Path) -> None:
    """Its badge says that it needs 10 A: at 6 A it would report an error."""
    async with running(site(charge_points=[station("CP1", mode="full")]), tmp_path, faults=ROTATED) as home:
        await home.app.accounts.save_id_tag(IdTag("picky", min_a=10))
        await home.arrive("CP1", car(phases=1), "picky")
        await home.minute(4)
        seen: set[float] = set()
        found = await checked(home, lambda: seen.add(round(home.points["CP1"].limit_a(1))))
        assert found["station CP1/1", "phases"].status == "fault"
        assert seen == {10, 16}


async def test_a_battery_that_takes_what_the_car_leaves_accuses_no_station(tmp_path: Path) -> None:
    config = site(
        charge_points=[station("CP1", mode="full")], meters=[{"id": "accu", "role": "battery", "unit": 2}]
    )
    async with running(config, tmp_path, faults=ROTATED) as home:
        home.battery_max_w = 20_000
        await charging(home, 1)
        unclear = (await checked(home))["station CP1/1", "phases"]
        assert (unclear.status, "put it on standby" in unclear.text) == ("inconclusive", True)


async def test_broken_off_the_car_gets_its_limit_back(tmp_path: Path) -> None:
    config = site(charge_points=[station("CP1", mode="full")])
    async with running(config, tmp_path) as home:
        await charging(home, 3)
        checking = asyncio.create_task(home.control.check(True, lambda step: None))
        async with asyncio.timeout(30):
            while home.points["CP1"].limit_a(1) > 6:
                home.show()
                await home.pass_time(1)
                await home.app.setpoints.settle()
        checking.cancel()
        await asyncio.gather(checking, return_exceptions=True)
        await home.minute(2)
        assert home.points["CP1"].limit_a(1) == pytest.approx(16, abs=0.1)
