"""Simulated Tasmota and Zigbee devices that speak with a real MQTT broker."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import aiomqtt


class SimulatedMqttDevice:
    """relays, each with the time at which it opens by itself. deaf: commands are not carried out.

    A contact that opens by time is noticed when next looked at.
    """

    subscriptions: tuple[str, ...] = ()

    def __init__(self, host: str, port: int, topic: str, relays: int, now: Callable[[], datetime]) -> None:
        self.topic = topic
        self.deaf = False
        self.commands: list[tuple[str, str]] = []
        self._host, self._port, self._now = host, port, now
        self._coils = [False] * relays
        self._opens_at: dict[int, datetime] = {}
        self._task: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()

    @property
    def coils(self) -> tuple[bool, ...]:
        for number in [n for n, at in self._opens_at.items() if at <= self._now()]:
            self.press(number, False)
        return tuple(self._coils)

    def press(self, number: int, on: bool, for_s: float | None = None) -> None:
        """By a hand at the device, or by a command."""
        self._opens_at.pop(number, None)
        self._coils[number - 1] = on
        if on and for_s:
            self._opens_at[number] = self._now() + timedelta(seconds=for_s)

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=f"simulated {self.topic}")
        await asyncio.wait_for(self._ready.wait(), 5)

    async def stop(self) -> None:
        """Without goodbye, as when its supply fails: the broker publishes its last will."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
            self._ready.clear()

    async def _run(self) -> None:
        while True:
            try:
                async with aiomqtt.Client(self._host, self._port, will=self._will()) as client:
                    for topic in self.subscriptions:
                        await client.subscribe(topic.format(self.topic), qos=1)
                    await self._greet(client)
                    self._ready.set()
                    async for message in client.messages:
                        payload = bytes(message.payload).decode()
                        self.commands.append((message.topic.value, payload))
                        await self._obey(client, message.topic.value, payload)
            except aiomqtt.MqttError:
                await asyncio.sleep(0.1)

    def _will(self) -> aiomqtt.Will:
        raise NotImplementedError

    async def _greet(self, client: aiomqtt.Client) -> None:
        raise NotImplementedError

    async def _obey(self, client: aiomqtt.Client, topic: str, payload: str) -> None:
        raise NotImplementedError


class SimulatedTasmota(SimulatedMqttDevice):
    """pulse_times: PulseTime of each relay, as Tasmota counts it; kept over a restart."""

    subscriptions = ("cmnd/{}/+",)

    def __init__(self, host: str, port: int, topic: str, relays: int, now: Callable[[], datetime]) -> None:
        super().__init__(host, port, topic, relays, now)
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
        key = "POWER" if len(self._coils) == 1 else f"POWER{number}"
        return {key: "ON" if self.coils[number - 1] else "OFF"}

    def _pulse(self, number: int, payload: str) -> dict[str, Any]:
        if payload:
            self.pulse_times[number - 1] = int(payload)
        return {f"PulseTime{number}": {"Set": self.pulse_times[number - 1], "Remaining": 0}}


class SimulatedZigbee(SimulatedMqttDevice):
    """topic: "zigbee2mqtt/NAME". knows_on_time: its firmware can switch off by itself."""

    subscriptions = ("{}/set", "{}/get", "{}/+/set")

    def __init__(self, host: str, port: int, topic: str, relays: int, now: Callable[[], datetime]) -> None:
        super().__init__(host, port, topic, relays, now)
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
