"""The server dies with a boiler on: whatever its relay hangs on, it opens by itself if it can at all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from running_site import RunningSite, free_port, heater, running, site

from csms.domain.site import SiteConfig
from tests.drivers.mosquitto import Mosquitto

MODBUS = {"driver": "modbus", "host": "127.0.0.1", "framing": "rtu_over_tcp", "unit": 1}
WITH_FAILSAFE = {
    "Waveshare, pulse": MODBUS | {"model": "waveshare_modbus_relay"},
    "Wiren Board, watchdog": MODBUS | {"model": "wirenboard_wbmr6"},
    "WAGO, watchdog": MODBUS | {"model": "wago_750", "framing": "tcp"},
    "Shelly": {"driver": "shelly", "host": "127.0.0.1"},
    "Tasmota": {"driver": "tasmota", "host": "127.0.0.1", "topic": "boiler"},
    "Zigbee2MQTT": {"driver": "zigbee2mqtt", "host": "127.0.0.1", "topic": "zigbee2mqtt/boiler"},
}
WITHOUT = {
    "Wellpro": MODBUS | {"model": "wellpro_wp8024adam"},
    "Home Assistant": {
        "driver": "mqtt", "host": "127.0.0.1", "switches": [{"command": "b/set", "state": "b"}],
    },
}  # fmt: skip


@pytest.fixture
async def home(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[RunningSite]:
    """A boiler of 1000 W on relay 1 of this module, and a surplus that covers it."""
    module: dict[str, Any] = request.param
    async with AsyncExitStack() as stack:
        port = free_port()
        if module["driver"] in ("tasmota", "zigbee2mqtt", "mqtt"):
            broker = Mosquitto(folder.parent)
            await broker.start()
            stack.push_async_callback(broker.stop)
            port = broker.port
        described = site([heater(1000)]).model_dump(exclude_unset=True)
        described["relay_module"] = [{"id": "io1", "port": port, **module}]
        home = await stack.enter_async_context(running(SiteConfig.model_validate(described), folder))
        home.sun_w = 3000
        yield home


def of(modules: dict[str, dict[str, Any]]) -> Any:
    return pytest.mark.parametrize("home", modules.values(), ids=modules.keys(), indirect=True)


@of(WITH_FAILSAFE)
async def test_a_relay_that_can_is_kept_closed_without_a_blink_and_opens_when_nobody_speaks(
    home: RunningSite,
) -> None:
    await home.minute(3)
    assert home.closed() == {"1"}
    moves: list[bool] = []
    home.building.relay_modules["io1"].on_change = lambda number, on: moves.append(on)
    await home.minute(12)
    assert moves == [], "re-armed in time, every time"
    await home.kill_server()
    await home.clock.advance(150)
    assert home.closed() == {"1"}, "a restart of the server is not noticed"
    await home.clock.advance(60)
    assert home.closed() == set()


@of(WITHOUT)
async def test_a_relay_that_cannot_stays_as_it_is_and_the_snapshot_has_said_so(home: RunningSite) -> None:
    await home.minute(3)
    assert {d.id: d.failsafe for d in home.snapshot.devices}["io1"] == "none"
    await home.kill_server()
    await home.clock.advance(3600)
    assert home.closed() == {"1"}
