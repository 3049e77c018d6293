"""One connection to an MQTT broker, made again after every loss, and what was heard on it last."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

import aiomqtt

from drivers.access import Access
from drivers.device import DeviceError, DeviceRefused, DeviceUnreachable, Now, Sleep

_PORT, _TLS_PORT = 1883, 8883
_FIRST_RETRY_S, _LAST_RETRY_S = 1.0, 30.0
_LOGIN_REFUSALS = ("not authori", "bad user name", "username or password")


@dataclass(frozen=True, slots=True)
class Heard:
    """The last message on a topic. is_retained: of unknown age, the broker had kept it."""

    payload: str
    at: datetime
    is_retained: bool


class MqttBroker:
    """Connects when first watched. After a loss what was heard is forgotten: who knows what came meanwhile.

    timeout_s is of the wall clock; pauses between attempts are slept with `sleep`.
    """

    def __init__(self, access: Access, now: Now, sleep: Sleep, timeout_s: float = 3.0) -> None:
        self.access = access
        self.now, self._sleep, self.timeout_s = now, sleep, timeout_s
        self.connections = 0
        self._topics: set[str] = set()
        self._heard: dict[str, Heard] = {}
        self._client: aiomqtt.Client | None = None
        self._fault: DeviceError | None = None
        self._task: asyncio.Task[None] | None = None
        self._settled = asyncio.Event()
        self._waiting: list[tuple[str, Callable[[str], bool], asyncio.Future[str | None]]] = []

    def __str__(self) -> str:
        return f"MQTT broker {self.access.host}"

    def heard(self, topic: str) -> Heard | None:
        return self._heard.get(topic)

    async def watch(self, topics: Iterable[str]) -> None:
        """Be connected and subscribed. Raises DeviceUnreachable, DeviceRefused (login), DeviceConfigError."""
        new = set(topics) - self._topics
        self._topics |= new
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=str(self))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._settled.wait(), self.timeout_s)
        client = self._connected()
        for topic in sorted(new):
            try:
                await client.subscribe(topic, qos=1)
            except aiomqtt.MqttError as fault:
                raise DeviceUnreachable(f"{self}: {fault}") from None

    async def publish(self, topic: str, payload: str) -> None:
        """Never retained: a kept command would be carried out again. Raises DeviceUnreachable."""
        try:
            await self._connected().publish(topic, payload, qos=1)
        except aiomqtt.MqttError as fault:
            raise DeviceUnreachable(f"{self}: {fault}") from None

    async def ask(
        self, topic: str, payload: str, answered_on: str, fits: Callable[[str], bool]
    ) -> str | None:
        """Publish, and wait for a fitting message that comes after it; None = none in time."""
        answer = self._next(answered_on, fits)
        await self.publish(topic, payload)
        return await self._in_time(answer)

    async def first(self, topic: str) -> Heard | None:
        """What was heard last on a watched topic; if nothing yet, what comes now; None = nothing in time."""
        if topic not in self._heard:
            await self._in_time(self._next(topic, lambda payload: True))
        return self._heard.get(topic)

    def _next(self, topic: str, fits: Callable[[str], bool]) -> asyncio.Future[str | None]:
        answer: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((topic, fits, answer))
        return answer

    async def _in_time(self, answer: asyncio.Future[str | None]) -> str | None:
        try:
            return await asyncio.wait_for(answer, self.timeout_s)
        except TimeoutError:
            return None
        finally:
            self._waiting = [entry for entry in self._waiting if entry[2] is not answer]

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _connected(self) -> aiomqtt.Client:
        if self._client is None:
            raise self._fault or DeviceUnreachable(f"{self}: no connection in time")
        return self._client

    async def _run(self) -> None:
        pause_s = _FIRST_RETRY_S
        while True:
            before = self.connections
            try:
                await self._listen()
            except (aiomqtt.MqttError, OSError) as fault:
                self._lost(self._told(fault))
            except DeviceError as fault:
                self._lost(fault)
            if self.connections > before:
                pause_s = _FIRST_RETRY_S
            await self._sleep(pause_s)
            pause_s = min(2 * pause_s, _LAST_RETRY_S)

    async def _listen(self) -> None:
        access = self.access
        async with aiomqtt.Client(
            access.host,
            access.port or (_TLS_PORT if access.tls else _PORT),
            username=access.user,
            password=access.secret(),
            tls_context=ssl.create_default_context() if access.tls else None,
            timeout=self.timeout_s,
        ) as client:
            for topic in sorted(self._topics):
                await client.subscribe(topic, qos=1)
            self._client, self._fault = client, None
            self.connections += 1
            self._settled.set()
            async for message in client.messages:
                self._take(message)

    def _take(self, message: aiomqtt.Message) -> None:
        raw = message.payload
        text = raw.decode("utf-8", "replace") if isinstance(raw, bytes | bytearray) else str(raw)
        topic = message.topic.value
        self._heard[topic] = Heard(text, self.now(), message.retain)
        for awaited, fits, answer in self._waiting:
            if awaited == topic and not answer.done() and fits(text):
                answer.set_result(text)

    def _lost(self, fault: DeviceError) -> None:
        self._client, self._fault = None, fault
        self._settled.set()
        self._heard.clear()
        for _, _, answer in self._waiting:
            if not answer.done():
                answer.set_result(None)

    def _told(self, fault: Exception) -> DeviceError:
        if any(words in str(fault).lower() for words in _LOGIN_REFUSALS):
            return DeviceRefused(f"{self}: login refused. Check user and password")
        return DeviceUnreachable(f"{self}: no connection ({fault}). Check host, port and that it runs")
