"""A whole site that lives: Modbus devices that answer, stations that call in, sun, house and people."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from csms.clock import Clock
from csms.domain.site import SiteConfig
from simulation.building import Building, Physics
from simulation.drivers_day import come_and_go, visits
from simulation.modbus_devices import ModbusConverter
from simulation.photovoltaics import Photovoltaics
from simulation.shelly_devices import ShellyServer
from simulation.weather import DayType

PHYSICS_STEP_S = 5.0
METER_REFRESH_S = 1.0


def demo_start(today: date, timezone: str = "Europe/Zurich") -> datetime:
    """Late in the morning of the latest midsummer day that is not after today."""
    has_been = (today.month, today.day) >= (6, 21)
    midsummer = date(today.year if has_been else today.year - 1, 6, 21)
    return datetime.combine(midsummer, time(11, 30), ZoneInfo(timezone)).astimezone(UTC)


def demo_physics(site: SiteConfig, seed: int) -> Physics:
    """Sun with passing clouds, on a roof that is worth the site's loads."""
    connectors = sum(len(p.connectors) for p in site.charge_point)
    return Physics(seed, Photovoltaics(peak_kw=4.0 + 3.0 * connectors), DayType.MIXED)


class DemoWorld:
    """ocpp_url: the central system's address without an identity, e.g. "ws://127.0.0.1:9000"."""

    def __init__(
        self, site: SiteConfig, clock: Clock, ocpp_url: str, seed: int = 1, physics: Physics | None = None
    ) -> None:
        self.site, self.clock, self.seed = site, clock, seed
        physics = physics or demo_physics(site, seed)
        self.building = Building(
            site, physics, clock, ocpp_url, tick_s=PHYSICS_STEP_S, meter_refresh_s=METER_REFRESH_S
        )
        self._running = contextlib.AsyncExitStack()

    async def start(self) -> None:
        """Raises OSError when an address of the site file cannot be listened on."""
        self.building.step(self.clock.now())
        async with contextlib.AsyncExitStack() as started:
            for converter in self.building.converters():
                await _listen(converter)
                started.push_async_callback(converter.stop)
            for charge_point in self.building.charge_points.values():
                await charge_point.start()
                started.push_async_callback(charge_point.stop)
            living = asyncio.create_task(self._live(), name="demo world")
            started.push_async_callback(_end, living)
            self._running = started.pop_all()

    async def stop(self) -> None:
        """Raises whatever went wrong inside meanwhile."""
        await self._running.aclose()

    async def _live(self) -> None:
        yesterday = self.clock.now().astimezone(ZoneInfo(self.site.site.timezone)).date() - timedelta(days=1)
        connectors = [(p.id, c) for p in self.site.charge_point for c in p.connectors]
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._run_physics())
            for index, (point_id, connector) in enumerate(connectors):
                point = self.building.charge_points[point_id]
                stays = visits(self.site, index, connector, yesterday, self.seed)
                tasks.create_task(come_and_go(point, connector.id, stays, self.clock))

    async def _run_physics(self) -> None:
        while True:
            await self.clock.sleep(PHYSICS_STEP_S)
            self.building.step(self.clock.now())


async def _listen(converter: ModbusConverter | ShellyServer) -> None:
    try:
        await converter.start()
    except RuntimeError as fault:
        raise OSError(f"{converter.host}:{converter.port} cannot be listened on: {fault}") from fault


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
