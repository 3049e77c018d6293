"""Needs through the real path: described, told, counted, forced in time, remembered and forgotten."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from running_site import car, heater, running, site, station, until


def zurich(hour: int, minute: int = 0) -> datetime:
    """In June, as UTC."""
    return datetime(2026, 6, 1, hour - 2, minute, tzinfo=UTC)


BY_SIX = {"until": "18:00", "energy_kwh": 0.5}


async def test_on_a_grey_afternoon_the_boiler_is_hot_by_six(folder: Path) -> None:
    """Half a kilowatt-hour at 1 kW: half an hour, and the margin."""
    home_site = site([heater(1000, need=BY_SIX)])
    async with running(home_site, folder, start=zurich(17, 10)) as home:
        await home.minute(7)
        assert home.closed() == set()
        assert home.load().need is not None
        assert home.load().need.text == "0 of 0.5 kWh until 18:00"
        await home.minute(4)
        assert home.closed() == {"1"}
        assert "more by 18:00, not left to the sun any longer" in home.load().reason
        await home.minute(10)
        await home.stop_server()
        await home.start_server()
        await home.minute(15)
        assert home.closed() == {"1"}
        await home.minute(6)
        assert home.closed() == set()
        assert home.load().need.text == "0.5 of 0.5 kWh until 18:00"


async def test_a_car_told_to_be_ready_is_ready_and_forgotten_when_it_leaves(folder: Path) -> None:
    """Told before plugging in, on a grey day; then the next car waits for the sun again."""
    one_phase = station(phases=["L1"], safe_a=0)
    async with running(site(charge_points=[one_phase]), folder, start=zurich(16)) as home:
        await home.app.sites.set_target("CP1", 1, zurich(16, 50), 1.5)
        await home.arrive(vehicle=car(phases=1))
        await home.minute(46)
        delivered_wh = home.load("CP1/1").session_wh or 0.0
        assert delivered_wh >= 1480
        assert home.points["CP1"].limit_a(1) == 0
        wishes = home.app.sites.wishes
        assert wishes.of("home", "CP1/1").was_plugged
        home.points["CP1"].unplug(1)
        await home.minute()
        await until(lambda: wishes.of("home", "CP1/1").is_empty(), "the target is forgotten")
        await home.arrive(vehicle=car(phases=1), id_tag="next")
        await home.minute(3)
        assert home.points["CP1"].limit_a(1) == 0
        assert home.load("CP1/1").need is None


async def test_full_until_unplugged(folder: Path) -> None:
    one_phase = station(phases=["L1"], safe_a=0)
    async with running(site(charge_points=[one_phase]), folder) as home:
        await home.arrive(vehicle=car(phases=1))
        await home.app.sites.set_connector_mode("CP1", 1, "full", until_unplugged=True)
        await home.minute(2)
        assert home.points["CP1"].limit_a(1) == 16
        home.points["CP1"].unplug(1)
        await home.minute()
        wishes = home.app.sites.wishes
        await until(lambda: wishes.of("home", "CP1/1").is_empty(), "the vehicle is gone")
        await home.arrive(vehicle=car(phases=1), id_tag="next")
        await home.minute(2)
        assert home.points["CP1"].limit_a(1) == 0


async def test_a_restart_does_not_forget_what_the_driver_told(folder: Path) -> None:
    one_phase = station(phases=["L1"], safe_a=0)
    async with running(site(charge_points=[one_phase]), folder, start=zurich(16)) as home:
        await home.arrive(vehicle=car(phases=1))
        await home.app.sites.set_target("CP1", 1, home.clock.now() + timedelta(hours=2), 5)
        await home.minute(2)
        await home.stop_server()
        await home.start_server()
        await home.clock.advance(90)
        await until(lambda: home.app.charge_points.is_connected("CP1"), "the station is back")
        await home.minute(2)
        need = home.load("CP1/1").need
        assert need is not None
        assert (need.wanted, need.unit) == (5, "kWh")
