"""`csms device read` and `switch` with every kind of device, as an installer types them at the cabinet."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from csms.device_words import DeviceWords, described
from csms.errors import CsmsError, InvalidInput
from drivers.access import Access
from simulation.modbus_devices import ModbusConverter
from simulation.mqtt_devices import SimulatedTasmota, SimulatedZigbee
from simulation.serial_adapters import SimulatedMbus, SimulatedP1, mbus_records, telegram
from simulation.shelly_devices import ShellyServer, SimulatedShelly
from simulation.sunspec_devices import SimulatedSunSpec
from tests.drivers.mosquitto import Mosquitto


def now() -> datetime:
    return datetime.now(UTC)


class Cabinet:
    """What is started here is stopped with the test."""

    def __init__(self, folder: Path, stack: AsyncExitStack) -> None:
        self.folder, self._stack = folder, stack

    async def started(self, device: Any) -> Any:
        await device.start()
        self._stack.push_async_callback(device.stop)
        return device

    async def device(self, *words: object, **environment: str) -> str:
        """Raises AssertionError with what was said if the command fails."""
        done = await asyncio.to_thread(self._run, words, environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    async def refused(self, *words: object) -> str:
        done = await asyncio.to_thread(self._run, words, {})
        assert done.returncode == 1, done.stdout
        (line,) = done.stderr.strip().splitlines()
        return line

    async def read(self, *words: object, **environment: str) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(await self.device("read", *words, "--json", **environment))
        return told

    def _run(self, words: tuple[object, ...], more: dict[str, str]) -> subprocess.CompletedProcess[str]:
        own = {k: v for k, v in os.environ.items() if not k.startswith(("CSMS_", "DEVICE_"))}
        own |= {"CSMS_DATA_DIR": str(self.folder), "CSMS_WEB_PORT": "0", "NO_COLOR": "1", "COLUMNS": "200"}
        return subprocess.run(
            [sys.executable, "-m", "csms", "device", *map(str, words)],
            env=own | more,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture
async def cabinet(tmp_path: Path) -> AsyncIterator[Cabinet]:
    async with AsyncExitStack() as stack:
        yield Cabinet(tmp_path, stack)


async def test_a_shelly_with_a_password_tells_power_and_relays_and_switches(cabinet: Cabinet) -> None:
    """The word for the password is that of the site file: where it is, never itself."""
    shelly = SimulatedShelly("pro_4pm", now, password="hunter2")
    shelly.set_channel(1, 1234.0)
    server = await cabinet.started(ShellyServer("127.0.0.1", 0, shelly))
    place = ("127.0.0.1", "--driver", "shelly", "--port", server.port, "--password", "env:DEVICE_CELLAR")
    secret = {"DEVICE_CELLAR": "hunter2"}
    said = await cabinet.device("switch", "127.0.0.1", 2, "on", *place[1:], **secret)
    assert "relay 2 is on, read back from the module" in said
    assert "under a server each ON opens by itself" in said
    told = await cabinet.read(*place, "--unit", 1, **secret)
    assert told["power_w"] == 1234
    assert [told[f"relay {n}"] for n in (1, 2, 3, 4)] == ["off", "on", "off", "off"]
    assert "which of its channels is meant (0, 1, 2, 3)" in await cabinet.device("read", *place, **secret), (
        "which one is not guessed"
    )
    assert "a variable DEVICE_CELLAR" in await cabinet.refused("read", *place)


async def test_a_sunspec_meter_behind_an_inverter_is_read_by_its_part(cabinet: Cabinet) -> None:
    device = SimulatedSunSpec([103, 203])
    device.set_point("p_tot", -4200, 203)
    device.set_point("p_tot", 5100, 103)
    converter = await cabinet.started(ModbusConverter("127.0.0.1", 0, "tcp", {1: device}))
    place = ("127.0.0.1", "--driver", "sunspec", "--port", converter.port)
    assert (await cabinet.read(*place))["power_w"] == -4200
    assert (await cabinet.read(*place, "--model", "inverter"))["power_w"] == -5100
    table = " ".join((await cabinet.device("read", *place)).split())
    assert "power -4200 W" in table, "people get units, programs get numbers"
    assert "model: 'sun' given" in await cabinet.refused("read", *place, "--model", "sun")


async def test_adapters_of_p1_and_mbus(cabinet: Cabinet) -> None:
    smart_meter = SimulatedP1()
    smart_meter.last = telegram((500, 200, 100))
    await cabinet.started(smart_meter)
    told = await cabinet.read("127.0.0.1", "--driver", "p1", "--port", smart_meter.port)
    assert told["power_w"] == 800
    heat = await cabinet.started(SimulatedMbus({5: mbus_records(640, 1000, 0)}))
    told = await cabinet.read("127.0.0.1", "--driver", "mbus", "--port", heat.port, "--unit", 5)
    assert told["power_w"] == 640


async def test_relays_on_a_broker(cabinet: Cabinet) -> None:
    broker = await cabinet.started(Mosquitto(cabinet.folder))
    tasmota = await cabinet.started(SimulatedTasmota(Access("127.0.0.1", broker.port), "boiler", 2, now))
    at = ("--port", broker.port, "--driver")
    place = (*at, "tasmota", "--topic", "boiler", "--relays", 2)
    await cabinet.device("switch", "127.0.0.1", 2, "on", *place)
    assert tasmota.coils == (False, True)
    assert await cabinet.read("127.0.0.1", *place) == {"relay 1": "off", "relay 2": "on"}
    plug = await cabinet.started(
        SimulatedZigbee(Access("127.0.0.1", broker.port), "zigbee2mqtt/pool pump", 1, now)
    )
    await cabinet.device(
        "switch", "127.0.0.1", 1, "on", *at, "zigbee2mqtt", "--topic", "zigbee2mqtt/pool pump"
    )
    assert plug.coils == (True,)
    switches = """switches = [{command = "ha/set", state = "ha/state"}]"""
    async with aiomqtt.Client("127.0.0.1", broker.port) as client:
        await client.publish("ha/state", "ON", qos=1, retain=True)
    assert await cabinet.read("127.0.0.1", *at, "mqtt", "--set", switches) == {"relay 1": "on"}
    lost = await cabinet.refused("read", "127.0.0.1", *at, "tasmota", "--topic", "gone")
    assert "Tasmota gone: no answer" in lost


async def test_a_meter_on_a_topic_is_waited_for_and_one_of_the_site_file_is_named_by_its_id(
    cabinet: Cabinet,
) -> None:
    broker = await cabinet.started(Mosquitto(cabinet.folder))

    async def talk() -> None:
        async with aiomqtt.Client("127.0.0.1", broker.port) as client:
            while True:
                await client.publish("tele/grid", json.dumps({"ENERGY": {"Power": -321}}), qos=1)
                await asyncio.sleep(0.2)

    file = cabinet.folder / "site.toml"
    topics = """topics = {power = {topic = "tele/grid", path = "ENERGY.Power"}}"""
    file.write_text(
        f"""
        [site]
        id = "home"
        name = "Home"
        timezone = "Europe/Zurich"
        [[circuit]]
        id = "main"
        limit_a = [40, 40, 40]
        [[meter]]
        id = "grid"
        role = "grid"
        driver = "mqtt"
        host = "127.0.0.1"
        port = {broker.port}
        invert = true
        {topics}
        """
    )
    talking = asyncio.create_task(talk())
    place = ("127.0.0.1", "--driver", "mqtt", "--port", broker.port, "--set")
    try:
        assert (await cabinet.read(*place, topics))["power_w"] == -321
        assert (await cabinet.read("grid", "--site", file))["power_w"] == 321, "as the site file turns it"
    finally:
        talking.cancel()
        await asyncio.gather(talking, return_exceptions=True)
    silent = topics.replace("tele/grid", "tele/silent")
    assert "no message on tele/silent within 1 s" in await cabinet.refused(
        "read", *place, silent, "--wait", 1
    )
    assert "'gone' given, one of grid" in await cabinet.refused("read", "gone", "--site", file)


def words(**given: Any) -> DeviceWords:
    return DeviceWords(host="192.0.2.9", **given)


@pytest.mark.parametrize(
    ("given", "parts"),
    [
        pytest.param({"driver": "knx"}, ("--driver", "'knx'", "sunspec"), id="no such driver"),
        pytest.param({}, ("--model", "eastron_sdm630"), id="Modbus needs a model"),
        pytest.param({"model": "sdm"}, ("--model", "'sdm'", "eastron_sdm630"), id="no such model"),
        pytest.param({"driver": "p1"}, ("--driver p1", "needs port"), id="an adapter has no usual port"),
        pytest.param({"driver": "tasmota"}, ("--driver tasmota", "needs topic"), id="which Tasmota"),
        pytest.param(
            {"driver": "p1", "topic": "t"}, ("--topic", "none with driver p1"), id="P1 has no topic"
        ),
        pytest.param({"driver": "shelly", "port": 70000}, ("--port", "70000", "65535"), id="no port"),
        pytest.param({"driver": "mqtt"}, ("--driver mqtt", "needs topics = {power"), id="where is the power"),
        pytest.param({"driver": "shelly", "keys": ("invert = yes",)}, ("--set", "TOML"), id="no TOML"),
        pytest.param({"driver": "p1", "keys": ("turn = 1",)}, ("turn", "a key of the site file"), id="key"),
        pytest.param({"driver": "p1", "site": Path("x")}, ("--driver", "nothing beside --site"), id="both"),
    ],
)
def test_what_cannot_be_is_told_by_the_word_that_was_typed(given: dict[str, Any], parts: tuple[str]) -> None:
    with pytest.raises(CsmsError) as refusal:
        described(words(**given))
    for part in parts:
        assert part in str(refusal.value)


def test_a_password_typed_itself_is_refused_and_not_repeated() -> None:
    with pytest.raises(InvalidInput, match="env:DEVICE_NAME") as refusal:
        described(words(driver="shelly", password="hunter2"))
    assert "hunter2" not in str(refusal.value)


def test_only_what_has_relays_can_be_switched() -> None:
    with pytest.raises(InvalidInput, match=r"--model: 'eastron_sdm630' given, .*wellpro_wp8024adam"):
        described(words(model="eastron_sdm630"), only="relay_module")
    with pytest.raises(InvalidInput, match=r"--driver: 'p1' given, .*tasmota"):
        described(words(driver="p1", port=23), only="relay_module")
