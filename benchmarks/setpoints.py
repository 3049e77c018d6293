"""From a change at the grid meter to the last station's new limit on the wire: compute and I/O.

The whole server, a Modbus meter and the stations, over real sockets in one process, so what is measured
includes the work of the stations too. Time is virtual: the minute that the control waits for is not counted.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import monotonic

import structlog

from benchmarks.figures import Figure, at_most
from benchmarks.server_process import free_port
from csms.app import App
from csms.control_loop import SiteControl
from csms.domain.site import SiteConfig
from csms.settings import Settings
from simulation.building import Building, Physics
from simulation.clock import VirtualClock
from simulation.photovoltaics import Photovoltaics
from simulation.vehicle import Vehicle, VehicleModel

NOON = datetime(2026, 6, 21, 10, 0, tzinfo=UTC)
STATIONS = 50
ROUNDS = 7
TARGET_S = 2.0
VOLTAGE_V = 230.0
LOOK_EVERY_S, GIVE_UP_AFTER_S = 0.001, 60.0
SUNS_A = (0.0, 17.0)
"""What the sun is enough for at each station, in turn: all go down to their minimum, and up again."""


def run(stations: int = STATIONS) -> list[Figure]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    with TemporaryDirectory(prefix="csms-bench-") as name:
        rounds = asyncio.run(_measure(_site(stations), Path(name)))
    print("  ".join(f"{seconds * 1000:.0f} ms" for seconds in rounds))
    return [
        at_most(
            f"meter change to {stations} limits on the wire, worst of {ROUNDS}",
            max(rounds),
            TARGET_S,
            " s",
            2,
        ),
        Figure("the same, median", f"{median(rounds):.2f} s"),
    ]


def _site(stations: int) -> SiteConfig:
    meter = {"driver": "modbus", "model": "cg_em24_ethernet", "host": "127.0.0.1", "port": free_port()}
    return SiteConfig.model_validate(
        {
            "site": {"id": "garage", "name": "Garage", "timezone": "Europe/Zurich"},
            "circuit": [{"id": "main", "limit_a": [2000, 2000, 2000]}],
            "meter": [{"id": "grid", "role": "grid", "unit": 1, **meter}],
            "charge_point": [
                {"id": f"CP{n:02}", "circuit": "main", "connectors": [{"id": 1, "mode": "min_and_solar"}]}
                for n in range(stations)
            ],
        }
    )


class _Garage:
    """All stations charge; `shine` sets the sun by the amperes that it gives to each."""

    def __init__(self, config: SiteConfig, folder: Path) -> None:
        self.clock, port = VirtualClock(NOON), free_port()
        self.building = Building(
            config, Physics(pv=Photovoltaics(peak_kw=0.001)), self.clock, f"ws://127.0.0.1:{port}"
        )
        self.points = list(self.building.charge_points.values())
        settings = Settings(data_dir=folder, ocpp_host="127.0.0.1", ocpp_port=port, site_file=None)
        self.app = App(settings, self.clock)
        self.config = config
        self.control: SiteControl

    async def open(self) -> None:
        for listener in self.building.listeners():
            await listener.start()
        await self.app.start(control=False, web=False)
        await self.app.sites.apply(self.config)
        self.control = self.app.control._control(self.config)
        for point in self.points:
            await point.start()
        await asyncio.gather(*(point.registered.wait() for point in self.points))
        await self.pass_time(10)
        await self.app.provisioning.settle()
        car = VehicleModel("car", battery_wh=80_000)
        for n, point in enumerate(self.points):
            point.plug(1, Vehicle(car, 0.1))
            assert await point.badge(1, f"BADGE{n:02}")
        await self.pass_time(30)

    async def close(self) -> None:
        for point in self.points:
            await point.stop()
        await self.control.devices.stop()
        await self.app.stop()
        for listener in self.building.listeners():
            await listener.stop()

    async def pass_time(self, seconds: int) -> None:
        for _ in range(seconds // 5):
            await self.clock.advance(5)
            while any(point.unsent for point in self.points):
                await asyncio.sleep(LOOK_EVERY_S)

    def shine(self, amps: float) -> None:
        drawn_w = sum(sum(point.current_a(1)) * VOLTAGE_V for point in self.points)
        self.building.meters["grid"].set(power_w=drawn_w - amps * 3 * VOLTAGE_V * len(self.points))

    async def minute(self) -> None:
        await self.control.devices.poll()
        await self.control.tick()

    async def until_written(self, written: list[int]) -> None:
        async with asyncio.timeout(GIVE_UP_AFTER_S):
            while any(len(p.profile_writes) == n for p, n in zip(self.points, written, strict=True)):
                await asyncio.sleep(LOOK_EVERY_S)

    async def react(self, amps: float) -> float:
        """Real seconds until every station has been told another limit."""
        written = [len(point.profile_writes) for point in self.points]
        self.shine(amps)
        began_s = monotonic()
        await self.minute()
        await self.until_written(written)
        return monotonic() - began_s


async def _measure(config: SiteConfig, folder: Path) -> list[float]:
    garage = _Garage(config, folder)
    await garage.open()
    try:
        for _ in range(5):  # all have begun
            garage.shine(SUNS_A[-1])
            await garage.minute()
            await garage.pass_time(60)
        seconds = []
        for n in range(ROUNDS):
            seconds.append(await garage.react(SUNS_A[n % 2]))
            await garage.app.setpoints.settle()
            for _ in range(2):
                await garage.pass_time(60)
                garage.shine(SUNS_A[n % 2])
                await garage.minute()
                await garage.app.setpoints.settle()
            await garage.pass_time(60)
        return seconds
    finally:
        await garage.close()
