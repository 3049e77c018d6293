"""`csms demo` in one process: the ordinary server on an accelerated clock against a building that lives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from running_site import free_port

from csms.app import App
from csms.demo import SEED, example_site
from csms.settings import Settings
from csms.site_file import read_site_file
from simulation.clock import ScaledClock
from simulation.demo import DemoWorld, demo_start

SPEED = 120
SIMULATED_LIMIT = timedelta(minutes=10)
REAL_LIMIT_S = 60


@asynccontextmanager
async def demo(folder: Path) -> AsyncIterator[tuple[App, DemoWorld, ScaledClock]]:
    """As `run_demo` builds it, on ports that are free."""
    file = folder.with_name("house.toml")
    text = example_site().read_text(encoding="utf-8")
    for port in ("15020", "15021", "15022"):
        text = text.replace(port, str(free_port()))
    file.write_text(text, encoding="utf-8")
    settings = Settings(
        _env_file=None,  # type: ignore[call-arg]
        data_dir=folder,
        site_file=file,
        ocpp_host="127.0.0.1",
        ocpp_port=free_port(),
    )
    clock = ScaledClock(demo_start(datetime.now(UTC)), SPEED)
    app = App(settings, clock)
    world = DemoWorld(read_site_file(file), clock, f"ws://127.0.0.1:{settings.ocpp_port}", SEED)
    await world.start()
    try:
        await app.start(web=False)
        try:
            yield app, world, clock
        finally:
            await app.stop()
    finally:
        await world.stop()


async def test_within_ten_minutes_of_sun_it_heats_water_and_charges_a_car(folder: Path) -> None:
    async with demo(folder) as (app, world, clock):
        ready_at = clock.now()
        coils = world.building.relay_modules["io1"]
        point = world.building.charge_points["CP1"]
        heated = charged = False
        async with asyncio.timeout(REAL_LIMIT_S):
            while not (heated and charged):
                heated = heated or any(coils.coils)
                decided = app.live.get("home")
                setpoints = [load.setpoint_a or 0 for load in decided.loads] if decided else []
                charged = charged or (max(setpoints, default=0) >= 6 and point.limit_a(1) >= 6)
                await asyncio.sleep(0.05)
        assert clock.now() - ready_at <= SIMULATED_LIMIT
        loads = {load.id: load for load in app.live.get("home").loads}  # type: ignore[union-attr]
        assert loads["CP1/1"].transaction_id is not None
        assert loads["boiler"].state != "fault"
