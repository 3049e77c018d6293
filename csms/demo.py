"""`csms demo`: an ordinary server and site file, with a simulated building at the other end of the wires.

The server is built as for `csms serve`; only its clock runs faster and its page needs no login.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import structlog

from csms.app import App, read_site_file
from csms.errors import StartupError
from csms.settings import Settings
from csms.site_check import SETTLE_S

log = structlog.get_logger()
EXAMPLE = "house.toml"
SEED = 5  # a quarter of an hour of sun, then clouds


def example_site() -> Path:
    """The example site file: beside the packages in a checkout, under share/ when installed."""
    places = (
        Path(__file__).parent.parent / "examples" / EXAMPLE,
        Path(sys.prefix) / "share" / "helianthus" / "examples" / EXAMPLE,
    )
    for place in places:
        if place.is_file():
            return place
    raise StartupError(f"the example site {EXAMPLE} is not installed: name one with --site")


async def run_demo(settings: Settings, site_file: Path | None, speed: float, seed: int) -> None:
    """Run until SIGINT or SIGTERM. The demo keeps its data in DATA_DIR/demo and begins anew each time."""
    from simulation.clock import ScaledClock
    from simulation.demo import METER_REFRESH_S, DemoWorld, demo_start

    path = site_file or example_site()
    site = read_site_file(path)
    folder = settings.data_dir / "demo"
    only_here = {} if "web_host" in settings.model_fields_set else {"web_host": "127.0.0.1"}
    own = settings.model_copy(
        update={
            "data_dir": folder,
            "database_url": None,
            "site_file": path,
            "web_login": "open",
            **only_here,
        }
    )
    clock = ScaledClock(demo_start(datetime.now(UTC)), speed)
    app = App(own, clock)
    app.control.check_settle_s = max(SETTLE_S, 2 * METER_REFRESH_S * speed)
    world = DemoWorld(site, clock, f"ws://127.0.0.1:{own.ocpp_port}", seed=seed)
    try:
        await world.start()
    except OSError as error:
        raise StartupError(f"the demo's simulated devices: {error}") from None
    try:
        _begin_anew(folder)
        await app.run()
    finally:
        await world.stop()


def _begin_anew(folder: Path) -> None:
    """Only once the devices' ports are ours: another demo that runs keeps its data."""
    try:
        for old in folder.glob("csms.db*"):
            old.unlink()
    except OSError as error:
        raise StartupError(f"the demo's data in {folder}: {error}") from None
