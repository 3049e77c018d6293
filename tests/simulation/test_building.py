"""The physical site: sun, house, appliances and vehicles at the grid connection point."""

from __future__ import annotations

import asyncio
import socket
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from csms.domain.site import ApplianceConfig, SiteConfig
from csms.site_devices import SiteDevices
from drivers.catalogue import Buses, open_meter, open_relay_module
from simulation.appliances import Battery, HeatPump, SwitchedAppliance, no_neutral_power_w
from simulation.building import Building, Physics
from simulation.clock import VirtualClock
from simulation.photovoltaics import Photovoltaics
from simulation.vehicle import Vehicle, VehicleModel
from simulation.weather import DayType

NOON = datetime(2026, 6, 21, 10, 30, tzinfo=UTC)
CAR = VehicleModel("car", battery_wh=50_000, shortfall_a=0.0)
with socket.create_server(("127.0.0.1", 0)) as _free:
    PORT = _free.getsockname()[1]
BOX = {"driver": "modbus", "host": "127.0.0.1", "port": PORT, "framing": "rtu_over_tcp"}


def site(**more: Any) -> SiteConfig:
    described: dict[str, Any] = {
        "site": {"id": "home", "name": "Sonnenweg 4", "timezone": "Europe/Zurich"},
        "circuit": [
            {"id": "main", "limit_a": [63, 63, 63]},
            {"id": "garage", "parent": "main", "limit_a": [32, 32, 32]},
        ],
        "meter": [
            BOX | {"id": "grid", "role": "grid", "model": "eastron_sdm630", "unit": 1},
            BOX | {"id": "sun", "role": "pv", "model": "eastron_sdm630", "unit": 2, "invert": True},
            BOX | {"id": "zone", "role": "zone", "model": "eastron_sdm630", "unit": 3, "circuit": "garage"},
            BOX | {"id": "boiler-meter", "role": "load", "model": "eastron_sdm120_230", "unit": 4},
        ],
        "relay_module": [BOX | {"id": "io1", "model": "wellpro_wp8024adam", "unit": 9}],
        "appliance": [
            {"id": "boiler", "kind": "water_heater", "circuit": "main", "meter": "boiler-meter",
             "steps": [{"relays": ["io1/1"], "power_w": 1000, "phases": ["L2"]},
                       {"relays": ["io1/2"], "power_w": 2000, "phases": ["L3"]}]},
            {"id": "old-boiler", "kind": "water_heater_no_neutral", "circuit": "main", "rated_power_w": 3000,
             "relays": {"l1_l2": "io1/3", "l1_l3": "io1/4"}},
        ],
        "charge_point": [
            {"id": "CP1", "circuit": "garage",
             "connectors": [{"id": 1}, {"id": 2, "phases": ["L3"], "max_a": 13}]}
        ],
    }  # fmt: skip
    return SiteConfig.model_validate(described | more)


def building(config: SiteConfig | None = None, clock: VirtualClock | None = None, **physics: Any) -> Building:
    sun = Physics(pv=Photovoltaics(peak_kw=10), day_type=DayType.CLEAR, **physics)
    return Building(config or site(), sun, clock or VirtualClock(NOON), "ws://127.0.0.1:9")


async def close(place: Building, clock: VirtualClock, *relays: int) -> None:
    """Switch relays of io1 over its Modbus line."""
    (converter,) = place.converters()
    await converter.start()
    buses = Buses(clock.now, asyncio.sleep)
    try:
        module = open_relay_module(
            buses, id="io1", driver="modbus", model="wellpro_wp8024adam", host="127.0.0.1",
            port=PORT, unit=9, framing="rtu_over_tcp",
        )  # fmt: skip
        for number in relays:
            await module.relay(number).switch(True)
    finally:
        await buses.stop()
        await converter.stop()


def charge(place: Building, connector_id: int, vehicle: Vehicle) -> None:
    point = place.charge_points["CP1"]
    point.plug(connector_id, vehicle)
    point.begin(connector_id, "ANNA")


@pytest.mark.parametrize("minutes", [0.5, 3, 40])
async def test_on_each_phase_the_grid_gives_what_house_and_loads_take_less_the_sun(minutes: float):
    clock = VirtualClock(NOON)
    place = building(clock=clock)
    charge(place, 1, Vehicle(CAR, 0.3))
    charge(place, 2, Vehicle(CAR, 0.3))
    await close(place, clock, 1, 3)
    await clock.advance(minutes * 60)
    place.step(clock.now())

    boiler, old_boiler = (place.appliances[i].phase_power_w for i in ("boiler", "old-boiler"))
    three, one = place.charge_points["CP1"].current_a(1), place.charge_points["CP1"].current_a(2)
    cars = (230 * three[0], 230 * three[1], 230 * (three[2] + one[0]))
    expected = [place.house_w[i] + boiler[i] + old_boiler[i] + cars[i] + place.pv_w[i] for i in range(3)]
    assert boiler == (0, 1000, 0)
    assert old_boiler == (750, 750, 0)
    assert cars[2] - cars[0] == pytest.approx(230 * 13)
    assert place.grid_w() == pytest.approx(expected)
    assert place.circuit_w("garage") == pytest.approx(cars)
    assert place.circuit_w("main") == pytest.approx(expected)


@pytest.mark.parametrize(
    ("l1_l2", "l1_l3", "phases_w"),
    [(False, False, (0, 0, 0)), (True, False, (750, 750, 0)), (False, True, (750, 0, 750)),
     (True, True, (1000, 1000, 1000))],
)  # fmt: skip
def test_a_heater_without_neutral_takes_half_its_power_with_one_relay(
    l1_l2: bool, l1_l3: bool, phases_w: tuple[float, float, float]
):
    assert no_neutral_power_w(3000, l1_l2, l1_l3) == phases_w


def test_a_hot_boiler_takes_nothing_until_it_has_cooled():
    boiler = SwitchedAppliance(site().appliance[0], fill=0.97)
    assert boiler.tank is not None
    history = []
    for _ in range(36 * 60):
        boiler.step(60, 15.0, lambda relay: True)
        history.append(sum(boiler.phase_power_w))
    first_hot = history.index(0)
    assert set(history) == {0, 3000}
    assert 1 < first_hot < 60
    assert 3000 in history[first_hot:]
    assert boiler.tank.stored_wh <= boiler.tank.capacity_wh * 1.01


def test_people_use_hot_water_so_the_boiler_is_wanted_again_the_next_day():
    boiler = SwitchedAppliance(site().appliance[0], fill=1.0)
    for minute in range(24 * 60):
        boiler.step(60, minute / 60, lambda relay: False)
    assert boiler.tank is not None
    assert boiler.tank.stored_wh < 0.5 * boiler.tank.capacity_wh


def test_a_heat_pump_makes_more_heat_on_recommendation_and_keeps_its_minimum_run():
    config = ApplianceConfig(id="hp", kind="sg_ready", circuit="main", relays=["io1/1"], power_w=2000)
    pump = HeatPump(config, fill=0.6)
    seen = []
    for second in range(0, 3600, 5):
        pump.step(5, 13.0, lambda relay, on=second < 300: on)
        seen.append(sum(pump.phase_power_w))
    assert seen[5] == 0
    assert seen[20] == pytest.approx(2000)
    running = seen.count(pytest.approx(2000)) * 5
    assert 600 <= running <= 700
    assert seen[-1] == 0


def test_a_battery_takes_the_rest_of_the_sun_and_gives_it_back():
    battery = Battery(capacity_wh=1000, max_w=2000, fill=0.0)
    battery.step(3600, 500)
    assert (battery.power_w, battery.stored_wh) == (500, 500)
    battery.step(3600, 5000)
    assert (battery.power_w, battery.stored_wh) == (500, 1000)
    battery.step(900, -9000)
    assert (battery.power_w, battery.stored_wh) == (-2000, 500)
    battery.step(3600, -9000)
    assert battery.stored_wh == 0


def test_a_battery_meter_brings_a_battery_that_takes_part_in_the_balance():
    described = site().model_dump()["meter"] + [
        BOX | {"id": "store", "role": "battery", "model": "eastron_sdm630", "unit": 5}
    ]
    place = building(site(meter=described), battery_w=1500.0)
    without = building()
    for now in (NOON, NOON + timedelta(seconds=5)):
        place.step(now)
        without.step(now)
    assert sum(without.grid_w()) < -1500
    assert sum(place.grid_w()) == pytest.approx(sum(without.grid_w()) + 1500)


async def test_the_same_seed_gives_the_same_day():
    async def day(seed: int) -> list[tuple[float, float, float]]:
        clock = VirtualClock(NOON)
        place = Building(site(), Physics(seed=seed), clock, "ws://127.0.0.1:9")
        charge(place, 1, Vehicle(CAR, 0.3))
        seen = []
        for _ in range(60):
            await clock.advance(60)
            place.step(clock.now())
            seen.append(place.grid_w())
        return seen

    assert await day(1) == await day(1) != await day(2)


async def test_a_building_with_shellys_only_is_measured_and_switched():
    """A three-phase meter at the fuse, a plug-in PV system and two boiler elements, all over WLAN."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        fuse = {"driver": "shelly", "host": "127.0.0.1", "port": one.getsockname()[1]}
        strip = {"driver": "shelly", "host": "127.0.0.1", "port": other.getsockname()[1]}
    config = site(
        meter=[
            fuse | {"id": "grid", "role": "grid", "phases": ["L1", "L2", "L3"]},
            strip | {"id": "sun", "role": "pv", "unit": 3},
            strip | {"id": "boiler-meter", "role": "load", "unit": 1},
        ],
        relay_module=[strip | {"id": "io1"}],
    )
    clock = VirtualClock(NOON)
    place = building(config, clock)
    devices = SiteDevices(config, clock.now, clock.sleep)
    async with AsyncExitStack() as running:
        running.push_async_callback(devices.stop)
        for server in place.converters():
            await server.start()
            running.push_async_callback(server.stop)
        await devices.poll()
        boiler = config.appliance[0]
        assert await devices.switch({"boiler": boiler}, {"boiler": frozenset({"1"})}, (), clock.now()) == []
        assert place.relay_modules["io1"].coils == (True, False, False, False)
        for _ in range(12):
            await clock.advance(5)
            place.step(clock.now())
        await devices.poll()
        measured = devices.measured(clock.now())
        assert measured.grid_w == pytest.approx(sum(place.grid_w()), abs=1)
        assert measured.pv_w == pytest.approx(sum(place.pv_w), abs=1)
        demand = devices.appliance(boiler, clock.now())
        assert (demand.on, demand.power_w) == (frozenset({"1"}), pytest.approx(1000, abs=1))
        await clock.advance(181)
        assert place.relay_modules["io1"].coils == (False,) * 4, "nobody repeated the command for 3 minutes"


async def test_the_meters_and_relays_of_the_site_file_answer_on_the_wire():
    clock = VirtualClock(NOON)
    place = building(clock=clock)
    (converter,) = place.converters()
    await converter.start()
    buses = Buses(clock.now, asyncio.sleep)
    wire = {"host": "127.0.0.1", "port": PORT, "framing": "rtu_over_tcp", "driver": "modbus"}
    try:
        module = open_relay_module(buses, id="io1", model="wellpro_wp8024adam", unit=9, **wire)
        await module.relay(2).switch(True)
        charge(place, 1, Vehicle(CAR, 0.3))
        for _ in range(12):
            await clock.advance(5)
            place.step(clock.now())
        readings = {
            m.id: await open_meter(buses, id=m.id, model=m.model, unit=m.unit, invert=m.invert, **wire).read()
            for m in place.site.meter
        }
    finally:
        await buses.stop()
        await converter.stop()
    assert readings["grid"].phase_power_w == pytest.approx(place.grid_w(), abs=1)
    assert readings["sun"].power_w == pytest.approx(sum(place.pv_w), abs=1)
    assert readings["sun"].power_w < -7000
    assert readings["zone"].power_w == pytest.approx(3 * 16 * 230, abs=1)
    assert readings["boiler-meter"].power_w == pytest.approx(2000, abs=1)
    assert readings["grid"].import_wh is not None
    assert readings["grid"].import_wh > 0
