"""The demo's day: who comes and goes, and a site that lives in accelerated time."""

from __future__ import annotations

import asyncio
import socket
from datetime import UTC, date, datetime, timedelta
from itertools import islice, pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from central_system import CentralSystem

from csms.domain.site import SiteConfig
from drivers.catalogue import Buses, open_meter
from simulation.clock import ScaledClock, VirtualClock
from simulation.demo import DemoWorld, demo_start
from simulation.drivers_day import BADGES, OLD_CAR, SLEEPER, Visit, visits

DAY = date(2026, 6, 21)


def site(port: int = 502, connectors: int = 3, **connector: Any) -> SiteConfig:
    wire = {"driver": "modbus", "host": "127.0.0.1", "port": port}
    return SiteConfig.model_validate(
        {
            "site": {"id": "home", "name": "Sonnenweg 4", "timezone": "Europe/Zurich"},
            "circuit": [{"id": "main", "limit_a": [63, 63, 63]}],
            "meter": [wire | {"id": "grid", "role": "grid", "model": "eastron_sdm630"}],
            "charge_point": [
                {"id": f"CP{n + 1}", "circuit": "main", "connectors": [{"id": 1, **connector}]}
                for n in range(connectors)
            ],
        }
    )


def week(config: SiteConfig, index: int, seed: int = 1) -> list[Visit]:
    connector = config.charge_point[index].connectors[0]
    return list(islice(visits(config, index, connector, DAY, seed), 14))


@pytest.mark.parametrize("today", [date(2026, 11, 22), date(2027, 6, 20), datetime(2026, 6, 21, tzinfo=UTC)])
def test_the_demo_begins_late_in_a_midsummer_morning(today: date):
    assert demo_start(today) == datetime(2026, 6, 21, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize("connectors", [1, 2, 5])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_nobody_arrives_at_a_connector_that_is_taken(connectors: int, seed: int):
    config = site(connectors=connectors)
    for index in range(connectors):
        stays = week(config, index, seed)
        assert all(v.arrive_at < v.leave_at and v.soc < v.target_soc for v in stays)
        assert all(a.leave_at < b.arrive_at for a, b in pairwise(stays))
        assert all(v.id_tag in BADGES.values() for v in stays)


def test_people_are_the_same_for_the_same_seed_only():
    assert week(site(), 0) == week(site(), 0) != week(site(), 0, seed=2)


def test_the_last_connector_has_a_car_that_waits_over_night_and_sleeps():
    first = week(site(), 2)[0]
    zone = ZoneInfo("Europe/Zurich")
    assert first.vehicle is SLEEPER
    assert first.arrive_at.astimezone(zone).date() == DAY
    assert first.leave_at.astimezone(zone) > datetime(2026, 6, 22, 15, tzinfo=zone)


def test_a_choosy_car_comes_only_where_its_minimum_is_set_and_an_old_one_where_nothing_modulates():
    everyone = {v.vehicle.min_a for n in range(6) for v in week(site(connectors=7), n)}
    with_8_a = {v.vehicle.min_a for n in range(6) for v in week(site(connectors=7, min_a=8), n)}
    assert everyone == {6}
    assert 8 in with_8_a
    assert {v.vehicle for v in week(site(modulates=False), 0)} == {OLD_CAR}


@pytest.fixture
async def central():
    system = CentralSystem()
    await system.start()
    yield system
    await system.stop()


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


async def test_the_world_measures_calls_in_and_charges(central: CentralSystem, free_port: int):
    config = site(free_port, connectors=2)
    clock = ScaledClock(demo_start(DAY), speed=300)
    world = DemoWorld(config, clock, central.url)
    await world.start()
    buses = Buses(clock.now, asyncio.sleep)
    try:
        await central.next("BootNotification")
        await central.next("StartTransaction")
        await central.next("StatusNotification", status="Charging")
        await central.next("MeterValues")
        meter = open_meter(
            buses, id="grid", driver="modbus", model="eastron_sdm630", host="127.0.0.1", port=free_port
        )
        assert (await meter.read()).power_w != 0
        assert any(p.current_a(1)[0] > 5 for p in world.building.charge_points.values())
    finally:
        await buses.stop()
        await world.stop()


async def test_the_car_that_waited_over_night_is_asleep_in_the_morning(
    central: CentralSystem, free_port: int
):
    clock = VirtualClock(demo_start(DAY))
    world = DemoWorld(site(free_port, connectors=2), clock, central.url)
    await world.start()
    try:
        await central.next("StatusNotification", status="Preparing")
        await clock.advance(60)
        sleeper = world.building.charge_points["CP2"].outlets[1].vehicle
        assert sleeper is not None
        assert sleeper.model is SLEEPER
        assert sleeper.is_asleep
    finally:
        await world.stop()


async def test_a_site_whose_address_is_taken_leaves_nothing_running(central: CentralSystem, free_port: int):
    world = DemoWorld(site(free_port), VirtualClock(demo_start(DAY)), central.url)
    with socket.create_server(("127.0.0.1", free_port)), pytest.raises(OSError, match=str(free_port)):
        await world.start()
    await world.stop()
    assert [t.get_name() for t in asyncio.all_tasks() if "simulated" in t.get_name()] == []


async def test_a_whole_day_passes_and_people_leave(central: CentralSystem, free_port: int):
    clock = VirtualClock(demo_start(DAY))
    world = DemoWorld(site(free_port, connectors=1), clock, central.url)
    await world.start()
    try:
        await central.next("StatusNotification", status="Preparing")
        await clock.advance(60)
        await central.next("StartTransaction")
        while clock.now() < demo_start(DAY) + timedelta(hours=10):
            await clock.advance(600)
        stop = await central.next("StopTransaction")
    finally:
        await world.stop()
    assert stop["meterStop"] > 3000
    assert stop["reason"] == "EVDisconnected"
