"""Simulated devices that speak with a real MQTT broker: Tasmota, Zigbee, switches and meters on topics."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import aiomqtt

from drivers.access import Access
from drivers.mqtt_meter import MqttTopic
from drivers.mqtt_relays import MqttInput, MqttSwitch
from drivers.mqtt_values import UNITS
from simulation.contacts import Contacts
from simulation.meter_face import MeterFace

DEFAULT_PORT = 1883
TELLS_EVERY_S = 1.0


class SimulatedMqttClient:
    """Connected to a broker until it is stopped; connects again after every loss."""

    subscriptions: tuple[str, ...] = ()

    def __init__(self, broker: Access) -> None:
        self.commands: list[tuple[str, str]] = []
        self._broker = broker
        self._task: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()

    async def start(self) -> None:
        """Raises OSError: there is no broker."""
        self._task = asyncio.create_task(self._run(), name=f"simulated {type(self).__name__}")
        try:
            await asyncio.wait_for(self._ready.wait(), 5)
        except TimeoutError:
            await self.stop()
            at = f"{self._broker.host}:{self._broker.port or DEFAULT_PORT}"
            raise OSError(
                f"no MQTT broker at {at}: simulated devices need the one of the site file"
            ) from None

    async def stop(self) -> None:
        """Without goodbye, as when its supply fails: the broker publishes its last will."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
            self._ready.clear()

    async def _run(self) -> None:
        broker = self._broker
        while True:
            try:
                async with aiomqtt.Client(
                    broker.host,
                    broker.port or DEFAULT_PORT,
                    username=broker.user,
                    password=broker.secret(),
                    will=self._will(),
                ) as client:
                    for topic in self.subscriptions:
                        await client.subscribe(topic, qos=1)
                    await self._greet(client)
                    self._ready.set()
                    await self._live(client)
            except aiomqtt.MqttError:
                await asyncio.sleep(0.1)

    async def _live(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            payload = bytes(message.payload).decode()
            self.commands.append((message.topic.value, payload))
            await self._obey(client, message.topic.value, payload)

    def _will(self) -> aiomqtt.Will | None:
        return None

    async def _greet(self, client: aiomqtt.Client) -> None:
        pass

    async def _obey(self, client: aiomqtt.Client, topic: str, payload: str) -> None:
        pass


class SimulatedMqttDevice(SimulatedMqttClient, Contacts):
    """deaf: commands are not carried out."""

    def __init__(self, broker: Access, topic: str, relays: int, now: Callable[[], datetime]) -> None:
        SimulatedMqttClient.__init__(self, broker)
        Contacts.__init__(self, relays, now)
        self.topic = topic
        self.deaf = False

    def press(self, number: int, on: bool, for_s: float | None = None) -> None:
        """By a hand at the device, or by a command."""
        self.move(number, on, for_s if on and for_s else None)


class SimulatedTasmota(SimulatedMqttDevice):
    """pulse_times: PulseTime of each relay, as Tasmota counts it; kept over a restart."""

    def __init__(self, broker: Access, topic: str, relays: int, now: Callable[[], datetime]) -> None:
        super().__init__(broker, topic, relays, now)
        self.subscriptions = (f"cmnd/{topic}/+",)
        self.pulse_times = [0] * relays

    def _will(self) -> aiomqtt.Will:
        return aiomqtt.Will(f"tele/{self.topic}/LWT", "Offline", qos=1, retain=True)

    async def _greet(self, client: aiomqtt.Client) -> None:
        await client.publish(f"tele/{self.topic}/LWT", "Online", qos=1, retain=True)

    async def _obey(self, client: aiomqtt.Client, topic: str, payload: str) -> None:
        command = topic.rpartition("/")[2]
        for word in ("POWER", "PulseTime"):
            if command.startswith(word):
                number = int(command.removeprefix(word) or 1)
                answer = self._power(number, payload) if word == "POWER" else self._pulse(number, payload)
                await client.publish(f"stat/{self.topic}/RESULT", json.dumps(answer), qos=1)

    def _power(self, number: int, payload: str) -> dict[str, Any]:
        if payload and not self.deaf:
            raw = self.pulse_times[number - 1]
            self.press(number, payload == "ON", raw / 10 if raw <= 111 else raw - 100)
        key = "POWER" if len(self.coils) == 1 else f"POWER{number}"
        return {key: "ON" if self.coils[number - 1] else "OFF"}

    def _pulse(self, number: int, payload: str) -> dict[str, Any]:
        if payload:
            self.pulse_times[number - 1] = int(payload)
        return {f"PulseTime{number}": {"Set": self.pulse_times[number - 1], "Remaining": 0}}


class SimulatedZigbee(SimulatedMqttDevice):
    """topic: "zigbee2mqtt/NAME". knows_on_time: its firmware can switch off by itself."""

    def __init__(self, broker: Access, topic: str, relays: int, now: Callable[[], datetime]) -> None:
        super().__init__(broker, topic, relays, now)
        self.subscriptions = (f"{topic}/set", f"{topic}/get", f"{topic}/+/set")
        self.knows_on_time = True

    def _will(self) -> aiomqtt.Will:
        return aiomqtt.Will("zigbee2mqtt/bridge/state", json.dumps({"state": "offline"}), qos=1, retain=True)

    async def _greet(self, client: aiomqtt.Client) -> None:
        await client.publish("zigbee2mqtt/bridge/state", json.dumps({"state": "online"}), qos=1, retain=True)
        await client.publish(
            f"{self.topic}/availability", json.dumps({"state": "online"}), qos=1, retain=True
        )

    async def _obey(self, client: aiomqtt.Client, topic: str, payload: str) -> None:
        wish, endpoint = json.loads(payload), topic.removeprefix(f"{self.topic}/").rpartition("/")[0]
        if topic.endswith("/set") and not self.deaf:
            number = int(endpoint.removeprefix("l") or 1)
            self.press(number, wish["state"] == "ON", wish.get("on_time") if self.knows_on_time else None)
        words = ["ON" if on else "OFF" for on in self.coils]
        state = {"state": words[0]} if len(words) == 1 else {f"state_l{n}": w for n, w in enumerate(words, 1)}
        await client.publish(self.topic, json.dumps({"linkquality": 130, **state}), qos=1)


class SimulatedSwitches(SimulatedMqttClient, Contacts):
    """Switches and contacts of another program: it obeys at once, and keeps its states at the broker."""

    def __init__(
        self,
        broker: Access,
        switches: Sequence[MqttSwitch],
        inputs: Sequence[MqttInput],
        now: Callable[[], datetime],
    ) -> None:
        SimulatedMqttClient.__init__(self, broker)
        Contacts.__init__(self, len(switches), now)
        self.subscriptions = tuple(switch.command for switch in switches)
        self._switches, self._inputs = switches, inputs
        self._active = [False] * len(inputs)
        self._client: aiomqtt.Client | None = None

    def set_input(self, number: int, active: bool) -> None:
        """number: 1 is the first. Told with the next look of `_live`."""
        self._active[number - 1] = active

    async def _greet(self, client: aiomqtt.Client) -> None:
        for switch, closed in zip(self._switches, self.coils, strict=True):
            await self._tell(client, switch, closed)

    async def _live(self, client: aiomqtt.Client) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(super()._live(client))
            tasks.create_task(self._tell_inputs(client))

    async def _tell_inputs(self, client: aiomqtt.Client) -> None:
        while True:
            for told, active in zip(self._inputs, self._active, strict=True):
                await self._tell(client, told, active)
            await asyncio.sleep(TELLS_EVERY_S)

    async def _obey(self, client: aiomqtt.Client, topic: str, payload: str) -> None:
        for number, switch in enumerate(self._switches, 1):
            if switch.command == topic and payload in (switch.on, switch.off):
                self.move(number, payload == switch.on)
                await self._tell(client, switch, self.coils[number - 1])

    async def _tell(self, client: aiomqtt.Client, told: MqttSwitch | MqttInput, closed: bool) -> None:
        word = told.on if closed else told.off
        payload = message({told.path: _as_json(word)}) if told.path else word
        await client.publish(told.state, payload, qos=1, retain=True)


class SimulatedTopicMeter(MeterFace, SimulatedMqttClient):
    """Tells its values on the topics of a site file, over and over."""

    def __init__(self, broker: Access, topics: Mapping[str, MqttTopic]) -> None:
        MeterFace.__init__(self)
        SimulatedMqttClient.__init__(self, broker)
        self._topics = topics

    def show(self) -> None:
        """Told with the next message."""

    async def _live(self, client: aiomqtt.Client) -> None:
        while True:
            for topic, payload in self._messages().items():
                await client.publish(topic, payload, qos=1)
            await asyncio.sleep(TELLS_EVERY_S)

    def _messages(self) -> dict[str, str]:
        values = self._values()
        by_topic: dict[str, dict[str, Any]] = defaultdict(dict)
        for name, told in self._topics.items():
            by_topic[told.topic][told.path] = round(values[name] / UNITS[told.unit] / told.scale, 6)
        return {topic: message(paths) for topic, paths in by_topic.items()}

    def _values(self) -> dict[str, float]:
        phases_w = self.shares_w()
        values = {
            "power": self.power_w,
            "power_import": max(self.power_w, 0.0),
            "power_export": max(-self.power_w, 0.0),
            "frequency": 50.0,
            "import": self.import_wh,
            "export": self.export_wh,
            "soc": 50.0 if self.soc_pct is None else self.soc_pct,
        }
        for n, (power_w, volt) in enumerate(zip(phases_w, self.voltage_v, strict=True), 1):
            values |= {f"power_l{n}": power_w, f"voltage_l{n}": volt, f"current_l{n}": abs(power_w / volt)}
        return values


def message(values: Mapping[str, Any]) -> str:
    """{"ENERGY.Power": 5, "ENERGY.Phases.0": 1} as nested JSON; {"": 5} is the bare number."""
    if set(values) == {""}:
        return str(values[""])
    tree: dict[str, Any] = {}
    for path, value in values.items():
        *above, last = path.split(".")
        place = tree
        for step in above:
            place = place.setdefault(step, {})
        place[last] = value
    return json.dumps(_with_lists(tree))


def _with_lists(value: Any) -> Any:
    """Tables whose keys are 0, 1, … are lists."""
    if not isinstance(value, dict):
        return value
    inside = {key: _with_lists(child) for key, child in value.items()}
    if inside and all(key.isdigit() for key in inside):
        length = max(map(int, inside)) + 1
        return [inside.get(str(n)) for n in range(length)]
    return inside


def _as_json(word: str) -> Any:
    """ "true" is JSON's true, "ON" a text."""
    try:
        return json.loads(word)
    except ValueError:
        return word
