"""Lost links, silent devices, restarts: each has a defined outcome."""

from __future__ import annotations

from pathlib import Path

from running_site import car, heater, running, site, station, until

ONE_PHASE = station(phases=["L2"], safe_a=6)


async def test_a_station_reconnects_in_the_middle_of_a_transaction_and_keeps_its_limit(folder: Path) -> None:
    async with running(site(charge_points=[ONE_PHASE]), folder) as home:
        await home.arrive()
        home.sun_w = 3000
        await home.minute(2)
        assert home.points["CP1"].limit_a(1) == 13
        transaction_id = home.load("CP1/1").transaction_id
        home.points["CP1"].drop_link(away_s=30)
        await until(lambda: not home.app.charge_points.is_connected("CP1"), "the server has noticed")
        await home.control.tick()
        assert home.load("CP1/1").state == "offline"
        assert home.points["CP1"].limit_a(1) == 13
        await home.clock.advance(60)
        await until(lambda: home.app.charge_points.is_connected("CP1"), "the station is back")
        await home.minute(2)
        assert home.limits_seen["CP1"] == [13, 13, 13, 13]
        assert home.load("CP1/1").transaction_id == transaction_id


async def test_the_server_restarts_and_nothing_flaps(folder: Path) -> None:
    async with running(site([heater(1000, 1000)], [ONE_PHASE]), folder) as home:
        await home.arrive(vehicle=car(phases=1))
        home.sun_w = 4400
        await home.minute(4)
        coils, limit = home.closed(), home.points["CP1"].limit_a(1)
        assert coils
        assert limit >= 6
        before = len(home.limits_seen["CP1"])
        await home.stop_server()
        await home.start_server()
        await home.clock.advance(90)
        await until(lambda: home.app.charge_points.is_connected("CP1"), "the station is back")
        for _ in range(3):
            await home.minute()
            assert home.closed() == coils
        assert set(home.limits_seen["CP1"][before:]) == {limit}
        assert len(await home.app.reporting.transactions()) == 1


async def test_a_dead_server_leaves_the_station_at_its_floor(folder: Path) -> None:
    async with running(site(charge_points=[ONE_PHASE]), folder) as home:
        await home.arrive()
        home.sun_w = 4000
        await home.minute(2)
        assert home.points["CP1"].limit_a(1) == 16
        await home.kill_server()
        await home.clock.advance(13 * 60)  # written a minute ago: 15 minutes are not over yet
        assert home.points["CP1"].limit_a(1) == 16
        await home.clock.advance(2 * 60)
        assert home.points["CP1"].limit_a(1) == 6
        await home.start_server()


async def test_a_silent_grid_meter_stops_what_follows_the_sun_but_not_the_timer(folder: Path) -> None:
    always = {"from": "00:00", "to": "24:00"}
    timer = {
        "id": "pump",
        "kind": "pool_pump",
        "circuit": "main",
        "mode": "timer_only",
        "windows": [always],
        "steps": [{"relays": ["io1/4"], "power_w": 500}],
    }
    config = site([heater(1000, min_on_min=0), timer], [ONE_PHASE])
    async with running(config, folder) as home:
        await home.arrive(vehicle=car(phases=1))
        home.sun_w = 5000
        await home.minute(2)
        assert home.closed("boiler") == {"1"}
        home.building.meters["grid"].refuse(4)
        for _ in range(4):
            await home.clock.advance(60)
            await home.drained()
            await home.control.devices.poll()
            await home.control.tick()
            await home.app.setpoints.settle()
        assert home.closed("boiler") == set()
        assert home.closed("pump") == {"1"}
        assert home.points["CP1"].limit_a(1) == 0
        assert any("grid meter" in warning for warning in home.snapshot.warnings)
        home.building.meters["grid"].refuse(None)
        await home.minute(6)
        assert home.closed("boiler") == {"1"}


async def test_a_silent_relay_module_does_not_stop_the_rest(folder: Path) -> None:
    async with running(site([heater(1000)], [ONE_PHASE]), folder) as home:
        await home.arrive(vehicle=car(phases=1))
        home.building.relay_modules["io1"].unreachable = True
        home.sun_w = 3500
        await home.minute(3)
        assert home.load("boiler").state == "fault"
        assert home.points["CP1"].limit_a(1) >= 6
        assert any("io1" in warning for warning in home.snapshot.warnings)


async def test_a_relay_that_is_stuck_is_told(folder: Path) -> None:
    async with running(site([heater(1000)]), folder) as home:
        home.building.relay_modules["io1"].stuck = {1}
        home.sun_w = 3500
        await home.minute()
        assert home.load("boiler").state == "fault"
        assert "reads off" in home.load("boiler").reason
