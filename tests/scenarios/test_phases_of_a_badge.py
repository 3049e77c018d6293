"""A badge's vehicle is known by the phases it used: on a small roof that decides whether it charges."""

from __future__ import annotations

from pathlib import Path

from running_site import car, running, site, station, until

THREE_PHASES = station(phases=["L1", "L2", "L3"], safe_a=0)


async def test_the_second_visit_starts_with_a_third_of_the_sun(folder: Path) -> None:
    async with running(site(charge_points=[THREE_PHASES]), folder) as home:
        await home.minute()
        await home.arrive(vehicle=car(phases=1), id_tag="Leaf")
        home.sun_w = 4300
        await home.minute(6)
        home.points["CP1"].end(1, "Local")
        home.points["CP1"].unplug(1)
        live = home.app.charge_points.station("CP1").connector(1)
        await until(lambda: live.status == "Available", "it has gone")
        await home.kill_server()
        await home.start_server()
        await home.pass_time(90)
        await until(lambda: home.app.charge_points.is_connected("CP1"), "online again")
        home.sun_w = 1500
        await home.arrive(vehicle=car(phases=1), id_tag="LEAF")
        await home.minute()
        assert home.points["CP1"].limit_a(1) == 6
        home.points["CP1"].end(1, "Local")
        home.points["CP1"].unplug(1)
        live = home.app.charge_points.station("CP1").connector(1)
        await until(lambda: live.status == "Available", "it has gone")
        await home.arrive(vehicle=car(phases=1), id_tag="stranger")
        await home.minute()
        assert home.points["CP1"].limit_a(1) == 0


async def test_a_station_that_tells_its_rotation_is_understood(folder: Path) -> None:
    """Its L1 is the grid's L2: the current of a one-phase car is booked there."""
    async with running(site(charge_points=[THREE_PHASES]), folder) as home:
        home.app.charge_points.station("CP1").configuration["ConnectorPhaseRotation"] = "0.RST,1.STR"
        await home.minute()
        await home.arrive(vehicle=car(phases=1))
        home.sun_w = 4300
        await home.minute(3)
        l1, l2, l3 = home.load("CP1/1").current_a or (0.0, 0.0, 0.0)
        assert (l1, l2 > 5, l3) == (0.0, True, 0.0)
