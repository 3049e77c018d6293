"""Battery, grid operator and phases through the real path: Modbus meters and inputs, OCPP profiles."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from running_site import car, heater, running, site, station

BATTERY = {"id": "accu", "role": "battery", "unit": 2}
SHEDDING = {"input": "io1/1", "limit_a": 6, "off": ["water_heater"]}


async def test_cloud_passes_battery_steps_in_the_boiler_is_not_fed_from_it(folder: Path) -> None:
    described = site([heater(1000, min_on_min=0)], meters=[BATTERY], battery={"policy": "loads_first"})
    async with running(described, folder) as home:
        home.battery_max_w, home.sun_w = 5000, 2500
        await home.minute(2)
        assert home.closed() == {"1"}
        home.sun_w = 300
        await home.minute()
        assert home.closed() == set()
        assert home.load().reason == "waiting: 300 W surplus, needs 1000 W (the battery gives 700 W)"


async def test_a_battery_that_comes_first_leaves_the_boiler_what_it_cannot_take(folder: Path) -> None:
    async with running(site([heater(1000, min_on_min=0)], meters=[BATTERY]), folder) as home:
        home.battery_max_w, home.sun_w = 3000, 2500
        await home.minute(2)
        assert home.closed() == set()
        home.sun_w = 4100
        await home.minute(3)
        assert home.closed() == {"1"}


async def test_ripple_control_at_five_cars_at_six_amperes_within_the_minute_back_after(folder: Path) -> None:
    cp = station(mode="full", max_a=16, safe_a=0)
    boiler = heater(1000, mode="on")
    async with running(site([boiler], [cp], load_shedding=SHEDDING), folder) as home:
        await home.arrive()
        await home.minute(2)
        assert (home.points["CP1"].limit_a(1), home.closed()) == (16, {"1"})
        assert home.snapshot.load_shedding is False
        async with home.app.events.subscribe("site.load_shedding") as told:
            home.building.relay_modules["io1"].set_input(1, True)
            await home.minute()
            assert (home.points["CP1"].limit_a(1), home.closed()) == (6, set())
            assert home.load("CP1/1").reason == "limited to 6 A: load shedding by the grid operator"
            assert home.snapshot.warnings == ("Load shedding: charging is limited to 6 A",)
            home.building.relay_modules["io1"].set_input(1, False)
            await home.minute()
            assert (home.points["CP1"].limit_a(1), home.closed()) == (16, {"1"})
            assert [told.get_nowait().data["active"] for _ in range(2)] == [True, False]


async def test_a_contact_that_opens_as_its_signal(folder: Path) -> None:
    cp = station(mode="full", max_a=16, safe_a=0)
    shedding = {"input": "io1/2", "active": "open", "limit_a": 0}
    async with running(site(charge_points=[cp], load_shedding=shedding), folder) as home:
        home.building.relay_modules["io1"].set_input(2, True)
        await home.arrive()
        await home.minute(2)
        assert home.points["CP1"].limit_a(1) == 16
        home.building.relay_modules["io1"].set_input(2, False)
        await home.minute()
        assert home.points["CP1"].limit_a(1) == 0


async def test_the_operators_input_on_a_silent_module_counts_as_given_in_the_end(folder: Path) -> None:
    cp = station(mode="full", max_a=16, safe_a=0)
    async with running(site(charge_points=[cp], load_shedding=SHEDDING), folder) as home:
        await home.arrive()
        await home.minute(2)
        home.building.relay_modules["io1"].unreachable = True
        await home.minute(4)
        assert home.points["CP1"].limit_a(1) == 16
        await home.minute(3)
        assert home.points["CP1"].limit_a(1) == 6
        assert "its input is not readable" in home.load("CP1/1").reason


async def test_a_car_goes_from_three_phases_to_one_in_the_evening(folder: Path) -> None:
    cp = station(phases=["L2", "L3", "L1"], phase_switching=True, safe_a=0)
    async with running(site(charge_points=[cp]), folder) as home:
        await home.arrive(vehicle=car(phases=3))
        home.sun_w = 7000
        await home.minute(3)
        assert home.points["CP1"].limit_a(1) == 10
        assert home.building.connector_w("CP1", 1) == pytest.approx((2300, 2300, 2300), abs=100)
        home.sun_w = 2500
        await home.minute(8)
        assert home.points["CP1"].limit_a(1) == 10
        assert home.building.connector_w("CP1", 1) == pytest.approx((0, 2300, 0), abs=100)
        assert home.load("CP1/1").phase_count == 1
        periods = home.points["CP1"].profiles
        assert {
            p.phases for profile in periods if profile.purpose == "TxProfile" for p in profile.periods
        } == {1}


async def test_the_same_current_on_other_phases_is_written_too(folder: Path) -> None:
    cp = station(phase_switching=True, safe_a=0)
    async with running(site(charge_points=[cp]), folder) as home:
        await home.arrive(vehicle=car(phases=3))
        home.sun_w = 6900
        await home.minute(9)
        home.sun_w = 2300
        await home.minute(2)
        assert home.points["CP1"].limit_a(1) == 10
        assert home.building.connector_w("CP1", 1) == pytest.approx((2300, 0, 0), abs=100)


async def test_no_current_flows_while_the_phases_change(folder: Path) -> None:
    """Ten seconds without an offer, then the other number of phases; the session goes on."""
    cp = station(phase_switching=True, safe_a=6)
    async with running(site(charge_points=[cp]), folder) as home:
        await home.arrive(vehicle=car(phases=3))
        home.sun_w = 6900
        await home.minute(9)
        before = home.app.charge_points.station("CP1").connector(1).transaction
        home.sun_w, sent = 2300, len(home.points["CP1"].profile_writes)
        while home.load("CP1/1").phase_count == 3:
            await home.minute()
        seen = [home.points["CP1"].limit_a(1)]
        for _ in range(3):
            await home.pass_time(5)
            await home.app.setpoints.settle()
            seen.append(home.points["CP1"].limit_a(1))
        assert seen == [0, 0, 10, 10]
        rows = [
            write.request["csChargingProfiles"]["chargingSchedule"]["chargingSchedulePeriod"][0]
            for write in list(home.points["CP1"].profile_writes)[sent:]
        ]
        assert [(row["limit"], row["numberPhases"]) for row in rows[-2:]] == [(0, 3), (10, 1)]
        assert home.app.charge_points.station("CP1").connector(1).transaction is before


async def test_an_import_limit_holds_a_full_car_down(folder: Path) -> None:
    described = site(charge_points=[station(mode="full", max_a=16, safe_a=0, phases=["L1"])])
    limited = described.model_copy(
        update={"site": described.site.model_copy(update={"import_limit_w": 4000.0})}
    )
    async with running(limited, folder) as home:
        await home.arrive(vehicle=car(phases=1))
        home.house_w = 1500
        await home.minute(2)
        assert home.points["CP1"].limit_a(1) == 10
        assert home.load("CP1/1").reason == "limited: at most 4000 W may be drawn from the grid"


async def test_the_operator_does_not_wait_for_the_full_minute(folder: Path) -> None:
    cp = station(mode="full", max_a=16, safe_a=0)
    async with running(site(charge_points=[cp], load_shedding=SHEDDING), folder) as home:
        await home.arrive()
        await home.minute(2)
        await home.pass_time(10)
        home.building.relay_modules["io1"].set_input(1, True)
        await home.control.devices.poll()
        waiting = asyncio.create_task(home.control.pause())
        begun_at = home.clock.now()
        while not waiting.done():
            await home.clock.advance(1)
        assert (home.clock.now() - begun_at).total_seconds() <= 12
