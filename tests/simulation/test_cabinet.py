"""A simulated building with whatever devices its site file names, read and switched by the real drivers."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from csms.domain.site import SiteConfig
from csms.site_devices import SiteDevices
from simulation.building import Building, Physics
from simulation.cabinet import NotSimulated
from simulation.clock import VirtualClock
from simulation.photovoltaics import Photovoltaics
from simulation.weather import DayType
from tests.drivers.mosquitto import Mosquitto

NOON = datetime(2026, 6, 21, 11, 0, tzinfo=UTC)
TELE = {
    "power": {"topic": "tele/accu", "path": "ENERGY.Power", "scale": -1},
    "soc": {"topic": "soc", "unit": "%"},
}
SWITCH = {"command": "ha/pump/set", "state": "ha/pump", "path": "on", "on": "true", "off": "false"}
SIGNAL = {"state": "dso/signal", "max_age_s": 60}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def site(meters: list[dict[str, Any]], modules: list[dict[str, Any]], **tables: Any) -> SiteConfig:
    relays = [f"{m['id']}/1" for m in modules if not m.get("inputs")]
    return SiteConfig.model_validate(
        {
            "site": {"id": "home", "name": "Home", "timezone": "Europe/Zurich"},
            "circuit": [{"id": "main", "limit_a": [200, 200, 200]}],
            "meter": [{"host": "127.0.0.1", **m} for m in meters],
            "relay_module": [{"host": "127.0.0.1", **m} for m in modules],
            "appliance": [
                {"id": f"load{n}", "kind": "water_heater", "circuit": "main",
                 "steps": [{"relays": [relay], "power_w": 1000, "phases": ["L1"]}]}
                for n, relay in enumerate(relays)
            ],
            **tables,
        }
    )  # fmt: skip


@contextlib.asynccontextmanager
async def living(config: SiteConfig) -> AsyncIterator[tuple[Building, SiteDevices]]:
    clock = VirtualClock(NOON)
    building = Building(
        config, Physics(pv=Photovoltaics(peak_kw=60), day_type=DayType.CLEAR), clock, "ws://x"
    )
    building.step(clock.now())
    async with contextlib.AsyncExitStack() as stack:
        for listener in building.listeners():
            await listener.start()
            stack.push_async_callback(listener.stop)
        devices = SiteDevices(config, clock.now, asyncio.sleep)
        stack.push_async_callback(devices.stop)
        yield building, devices


async def until_all_read(devices: SiteDevices, ids: list[str]) -> None:
    """Topics are told once a second."""
    async with asyncio.timeout(20):
        while True:
            await devices.poll()
            if not any(devices.problem(id) for id in ids):
                return


async def test_every_kind_of_device_shows_the_same_building_and_switches_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    broker = Mosquitto(tmp_path)
    await broker.start()
    sunspec = {"driver": "sunspec", "port": free_port()}
    on_broker = {"port": broker.port}
    meters = [
        {"id": "grid", "role": "grid", "driver": "shelly", "port": free_port()},
        {"id": "roof", "role": "pv", "model": "inverter", **sunspec},
        {"id": "flats", "role": "load", "model": "meter", **sunspec},
        {"id": "accu", "role": "battery", "driver": "mqtt", "topics": TELE, "invert": True, **on_broker},
        {"id": "clamp", "role": "load", "driver": "shelly", "unit": 2, "port": (plug := free_port())},
    ]
    modules = [
        {"id": "cellar", "driver": "shelly", "port": plug},
        {"id": "boiler", "driver": "tasmota", "topic": "boiler", "relays": 2, **on_broker},
        {"id": "pump", "driver": "zigbee2mqtt", "topic": "zigbee2mqtt/pump", **on_broker},
        {"id": "ha", "driver": "mqtt", "switches": [SWITCH], **on_broker},
        {"id": "dso", "driver": "mqtt", "inputs": [SIGNAL], **on_broker},
    ]
    config = site(meters, modules, load_shedding={"input": "dso/1"})
    try:
        async with living(config) as (building, devices):
            await until_all_read(devices, [d["id"] for d in meters + modules])
            shown = {m.id: await devices.read_meter(m.id) for m in config.meter}
            for meter in config.meter:
                reading = shown[meter.id]
                assert reading is not None, devices.problem(meter.id)
                assert reading.power_w == pytest.approx(sum(building.metered_w(meter)), abs=6)
            assert shown["roof"].power_w < -32_768, "more than 16 bits hold"
            assert shown["grid"].phase_power_w == pytest.approx(building.grid_w(), abs=2)
            assert shown["accu"].soc_pct == pytest.approx(40, abs=1)
            for appliance in config.appliance:
                (relay,) = appliance.relay_refs()
                assert not building.is_closed(relay)
                await devices.switch_relay(relay, True)
                assert building.is_closed(relay), relay
            assert devices.contact().active is False
            building.relay_modules["dso"].set_input(1, True)
            async with asyncio.timeout(10):
                while not devices.contact().active:
                    await devices.poll()
    finally:
        await broker.stop()
    assert not [r for r in caplog.records if r.name == "aiohttp.access"], "a log of every look at a device"


@pytest.mark.parametrize(
    ("meter", "said"),
    [
        ({"driver": "p1", "port": 23}, "meter m: driver 'p1' given, a P1 port is not simulated"),
        ({"driver": "mbus", "port": 23}, "M-Bus is not simulated"),
        ({"driver": "sma_speedwire"}, "modbus, sunspec, shelly or mqtt expected"),
        ({"driver": "mqtt", "topics": TELE, "tls": True}, "tls given, a broker without it expected"),
    ],
)
def test_what_is_not_simulated_is_told(meter: dict[str, Any], said: str) -> None:
    config = site([{"id": "m", "role": "load", **meter}], [])
    with pytest.raises(NotSimulated, match=said):
        Building(config, Physics(), VirtualClock(NOON), "ws://x")


async def test_without_the_broker_of_the_site_file_the_start_says_so() -> None:
    port = free_port()
    config = site([{"id": "m", "role": "load", "driver": "mqtt", "topics": TELE, "port": port}], [])
    building = Building(config, Physics(), VirtualClock(NOON), "ws://x")
    (listener,) = building.listeners()
    with pytest.raises(OSError, match=f"no MQTT broker at 127.0.0.1:{port}"):
        await listener.start()
