"""Sites that lack what most have, and sites that are changed while they run."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from running_site import RunningSite, car, heater, running, site, station, until

from csms.domain.site import SiteConfig

ONE_PHASE = station(phases=["L2"], safe_a=0)
TWO_ROOTS = [{"id": "main", "limit_a": [40, 40, 40]}, {"id": "annex", "limit_a": [20, 20, 20]}]
PUMP = {
    "id": "pump",
    "kind": "pool_pump",
    "circuit": "main",
    "mode": "timer_only",
    "windows": [{"from": "00:00", "to": "24:00"}],
    "steps": [{"relays": ["io1/4"], "power_w": 500}],
}


@pytest.mark.parametrize("circuits", [None, TWO_ROOTS])
async def test_without_any_meter_timers_and_people_still_switch(
    folder: Path, circuits: list[dict[str, Any]] | None
) -> None:
    config = site([heater(1000), PUMP], [ONE_PHASE], circuits, has_grid_meter=False)
    async with running(config, folder) as home:
        await home.arrive(vehicle=car(phases=1))
        await home.minute(2)
        assert home.closed("pump") == {"1"}
        assert home.closed() == set()
        assert home.points["CP1"].limit_a(1) == 0
        await home.app.sites.set_connector_mode("CP1", 1, "full", None)
        await home.minute(6)
        assert home.points["CP1"].limit_a(1) == 16
        assert home.snapshot.grid_w is None


async def test_with_two_roots_the_sun_is_still_followed(folder: Path) -> None:
    async with running(site([heater(1000)], [ONE_PHASE], TWO_ROOTS), folder) as home:
        home.sun_w = 1100
        await home.minute()
        assert home.closed() == {"1"}


async def test_half_an_appliance_is_not_left_on_when_the_module_of_the_other_half_dies(folder: Path) -> None:
    steps = [{"relays": [relay], "power_w": 1000} for relay in ("io1/1", "io2/1")]
    boiler = {"id": "boiler", "kind": "water_heater", "circuit": "main", "steps": steps, "min_on_min": 0}
    async with running(site([boiler], modules=[{"id": "io2", "unit": 11}]), folder) as home:
        home.sun_w = 2200
        await home.minute()
        assert home.closed() == {"1", "2"}
        home.building.relay_modules["io2"].unreachable = True
        home.sun_w = 0
        await home.minute(3)
        assert "1" not in home.closed()
        assert home.load().state == "fault"


# --- with the loops of the server, which follow events ---


@contextlib.asynccontextmanager
async def controlled(config: SiteConfig, folder: Path) -> AsyncIterator[RunningSite]:
    async with running(config, folder) as home:
        await home.app.control.start()
        try:
            yield home
        finally:
            await home.app.control.stop()


async def live_on(home: RunningSite, seconds: float) -> None:
    """With a little real time for the sockets in each step."""
    for _ in range(int(seconds / 5)):
        await home.clock.advance(5)
        await asyncio.sleep(0.01)


async def test_a_relay_that_the_site_no_longer_has_is_opened(folder: Path) -> None:
    config = site([heater(1000, 1000, mode="on")])
    async with controlled(config, folder) as home:
        coils = home.building.relay_modules["io1"]
        await until(lambda: coils.coils[:2] == (True, True), "on")
        switched: list[tuple[int, bool]] = []
        coils.on_change = lambda number, on: switched.append((number, on))
        smaller = config.model_copy(
            update={"appliance": SiteConfig.model_validate(_dump(config, heater(1000, mode="on"))).appliance}
        )
        await home.app.sites.apply(smaller)
        await until(lambda: coils.coils[:2] == (True, False), "the second is off")
        await home.app.sites.remove("home")
        await until(lambda: coils.coils[:2] == (False, False), "all are off")
        assert switched == [(2, False), (1, False)]  # and the first has never moved in between


def _dump(config: SiteConfig, *appliances: dict[str, Any]) -> dict[str, Any]:
    return {**config.model_dump(by_alias=True), "appliance": list(appliances)}


async def test_a_server_that_stops_leaves_the_relays_as_they_are(folder: Path) -> None:
    async with controlled(site([heater(1000, mode="on")]), folder) as home:
        await until(lambda: home.closed() == {"1"}, "on")
        await home.app.control.stop()
        assert home.closed() == {"1"}


async def test_control_begins_anew_after_a_fault_of_our_own(folder: Path) -> None:
    async with controlled(site([heater(1000)]), folder) as home:
        await until(lambda: home.app.live.get("home") is not None, "decided")
        description = home.app.sites._sites.pop("home")  # a fault that cannot happen
        await live_on(home, 90)
        home.app.sites._sites["home"] = description
        await home.app.sites.set_appliance_mode("boiler", "on")
        for _ in range(200):
            if home.closed():
                break
            await live_on(home, 5)
        assert home.closed() == {"1"}


async def test_a_memory_that_cannot_be_read_does_not_stop_control(folder: Path) -> None:
    async with running(site([heater(1000, mode="on")]), folder) as home:
        nonsense = {"elements": 7}
        await home.app.reporting.record_minute("home", home.clock.now(), {}, {}, {}, nonsense)
        await home.app.control.start()
        try:
            await until(lambda: home.closed() == {"1"}, "on")
        finally:
            await home.app.control.stop()


async def test_a_station_nobody_knows_does_not_end_provisioning(folder: Path) -> None:
    async with running(site(charge_points=[ONE_PHASE]), folder) as home:
        home.app.events.publish("station.connected", home.clock.now(), identity="nobody")
        configuration = home.app.charge_points.station("CP1").configuration
        home.points["CP1"].power_cycle(off_s=1)
        await home.clock.advance(120)
        await until(
            lambda: home.app.charge_points.station("CP1").configuration is not configuration, "asked anew"
        )
