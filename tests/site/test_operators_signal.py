"""The grid operator's load-shedding signal, wherever it comes in: a module's input, a Shelly's, a topic."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from csms.domain.site import SiteConfig
from csms.site_check import SiteCheck
from csms.site_devices import SiteDevices
from simulation.shelly_devices import ShellyServer, SimulatedShelly
from tests.drivers.mosquitto import Mosquitto


def now() -> datetime:
    return datetime.now(UTC)


def site(module: dict[str, Any], **signal: Any) -> SiteConfig:
    return SiteConfig.model_validate(
        {
            "site": {"id": "home", "name": "Home", "timezone": "Europe/Zurich"},
            "circuit": [{"id": "main", "limit_a": [40, 40, 40]}],
            "relay_module": [{"id": "io1", "host": "127.0.0.1", **module}],
            "load_shedding": {"input": "io1/1", **signal},
        }
    )


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


async def opened(stack: AsyncExitStack, config: SiteConfig, clock=now) -> SiteDevices:
    devices = SiteDevices(config, clock, asyncio.sleep)
    stack.push_async_callback(devices.stop)
    return devices


@pytest.mark.parametrize("build", ["pro_4pm", "1pm"])
async def test_a_shellys_input_carries_the_signal(stack: AsyncExitStack, build: str) -> None:
    shelly = SimulatedShelly(build, now)
    server = ShellyServer("127.0.0.1", 0, shelly)
    await server.start()
    stack.push_async_callback(server.stop)
    devices = await opened(stack, site({"driver": "shelly", "port": server.port}, active="open"))
    for is_closed in (True, False):
        shelly.set_input(1, is_closed)
        await devices.poll()
        contact = devices.contact()
        assert contact is not None
        assert contact.active is not is_closed, "it is given while the contact is open"


class Topic:
    """The signal as another program tells it on a broker."""

    def __init__(self, broker: Mosquitto) -> None:
        self.broker = broker

    async def tell(self, payload: Any, retain: bool = True) -> None:
        async with aiomqtt.Client("127.0.0.1", self.broker.port) as client:
            await client.publish("dso/signal", json.dumps(payload), qos=1, retain=retain)

    def module(self, **told: Any) -> dict[str, Any]:
        limited = {"state": "dso/signal", "path": "limited", "on": "true", "off": "false", **told}
        return {"driver": "mqtt", "port": self.broker.port, "inputs": [limited]}


@pytest.fixture
async def topic(stack: AsyncExitStack, tmp_path: Path) -> Topic:
    broker = Mosquitto(tmp_path)
    await broker.start()
    stack.push_async_callback(broker.stop)
    return Topic(broker)


async def until_heard(devices: SiteDevices, active: bool | None) -> None:
    async with asyncio.timeout(10):
        while True:
            await devices.poll()
            contact = devices.contact()
            if (contact.active if contact else None) is active:
                return


async def test_a_signal_kept_by_the_broker_is_known_at_once_and_followed(
    stack: AsyncExitStack, topic: Topic
) -> None:
    await topic.tell({"limited": True})
    devices = await opened(stack, site(topic.module()))
    await until_heard(devices, True)
    await topic.tell({"limited": False})
    await until_heard(devices, False)


async def test_a_word_that_is_neither_is_no_signal_and_the_input_counts_as_unread(
    stack: AsyncExitStack, topic: Topic
) -> None:
    """What was read last stays with its time, so that the optimizer sees it grow old."""
    await topic.tell({"limited": "unavailable"})
    devices = await opened(stack, site(topic.module()))
    await devices.poll()
    assert devices.contact() is None
    assert "unavailable" in (devices.problem("io1") or "")
    (shown,) = devices.snapshots(now())
    assert (shown.ok, "true or false expected" in (shown.problem or "")) == (False, True)


async def test_a_signal_that_is_repeated_is_not_believed_when_it_falls_silent(
    stack: AsyncExitStack, topic: Topic
) -> None:
    later = timedelta(0)
    devices = await opened(stack, site(topic.module(max_age_s=60)), lambda: now() + later)
    await topic.tell({"limited": False})
    await devices.poll()
    assert devices.contact() is None, "kept by the broker, nobody knows how old it is"
    await topic.tell({"limited": False}, retain=False)
    await until_heard(devices, False)
    read_at = devices.contact()
    later = timedelta(seconds=61)
    await devices.poll()
    assert devices.contact() == read_at, "no newer word"
    assert "no message on dso/signal for 61 s" in (devices.problem("io1") or "")


async def test_the_check_tells_what_the_input_says(stack: AsyncExitStack, topic: Topic) -> None:
    config = site(topic.module())
    devices = await opened(stack, config)
    check = SiteCheck(config, devices, now, asyncio.sleep, lambda step: None)
    found = {f.subject: f for f in await check.run(switching=False)}
    assert "no message on dso/signal" in found["input io1/1"].text
    await topic.tell({"limited": True})
    await until_heard(devices, True)
    found = {f.subject: f for f in await check.run(switching=False)}
    assert found["input io1/1"].text == "the grid operator's signal is given: charging is limited"
