"""The apartment building with two more boilers, on sockets of this machine, its clock running fast."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

from csms.domain.site import SiteConfig
from csms.site_file import read_site
from simulation.building import Building, Physics, WiringFaults
from simulation.clock import ScaledClock
from simulation.photovoltaics import Photovoltaics
from simulation.weather import DayType

APARTMENTS = Path(__file__).parents[2] / "examples" / "apartment_building.toml"
FORENOON = datetime(2026, 6, 21, 8, 30, tzinfo=UTC)
SPEED = 120.0
STEP_S = 1.0

TWO_BOILERS = """
[[relay_module]]
id = "io2"
driver = "modbus"
model = "waveshare_modbus_relay"
host = "127.0.0.1"
port = 15030
framing = "rtu_over_tcp"
unit = 11

[[appliance]]
id = "boiler-west"
name = "Boiler west"
kind = "water_heater"
circuit = "main"
mode = "solar_only"
steps = [{relays = ["io2/1"], power_w = 2000, phases = ["L1"]}]

[[appliance]]
id = "boiler-east"
name = "Boiler east"
kind = "water_heater"
circuit = "main"
mode = "solar_only"
steps = [{relays = ["io2/2"], power_w = 3000, phases = ["L3"]}]
"""


def apartments() -> SiteConfig:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    text = APARTMENTS.read_text(encoding="utf-8") + TWO_BOILERS
    return read_site(text.replace("port = 15030", f"port = {port}"))


@contextlib.asynccontextmanager
async def living(
    config: SiteConfig, faults: WiringFaults | None = None, day: DayType = DayType.CLEAR
) -> AsyncIterator[tuple[Building, ScaledClock]]:
    """The building answers at the addresses of its site file while time goes on."""
    clock = ScaledClock(FORENOON, SPEED)
    physics = Physics(seed=3, pv=Photovoltaics(peak_kw=30), day_type=day)
    building = Building(config, physics, clock, "ws://127.0.0.1:9", faults=faults)
    building.step(clock.now())
    converters = building.converters()
    for converter in converters:
        await converter.start()

    async def live() -> None:
        while True:
            await clock.sleep(STEP_S)
            building.step(clock.now())

    task = asyncio.create_task(live())
    try:
        yield building, clock
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        for converter in converters:
            await converter.stop()
