"""What happens, told to whoever listens: pages, server-sent events, later other nodes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog

from csms.storage.database import STORAGE_FAULTS

log = structlog.get_logger()

QUEUE_LIMIT = 1000


@dataclass(frozen=True, slots=True)
class Event:
    """kind: dotted, e.g. "site.decided", "connector.status", "transaction.started", "station.connected"."""

    kind: str
    at: datetime
    data: dict[str, Any]


class EventBus:
    """In-process fan-out. A listener too slow to keep up loses its oldest events, never blocks the sender."""

    def __init__(self) -> None:
        self._listeners: dict[asyncio.Queue[Event], tuple[str, ...]] = {}
        self._heard: dict[str, bool] = {}  # by kind; asked for with each message of a station

    def publish(self, kind: str, at: datetime, **data: Any) -> None:
        event = Event(kind, at, data)
        for queue, kinds in self._listeners.items():
            if kind.startswith(kinds):
                if queue.full():
                    queue.get_nowait()
                    queue.task_done()
                queue.put_nowait(event)

    def is_heard(self, kind: str) -> bool:
        if (is_heard := self._heard.get(kind)) is None:
            is_heard = any(kind.startswith(kinds) for kinds in self._listeners.values())
            self._heard[kind] = is_heard
        return is_heard

    @asynccontextmanager
    async def subscribe(self, *kinds: str) -> AsyncIterator[asyncio.Queue[Event]]:
        """kinds: how those to be heard begin, e.g. "station."; none = all. The fewer, the fewer are lost."""
        queue = self.open(*kinds)
        try:
            yield queue
        finally:
            self.close(queue)

    def open(self, *kinds: str) -> asyncio.Queue[Event]:
        queue: asyncio.Queue[Event] = asyncio.Queue(QUEUE_LIMIT)
        self._listeners[queue] = kinds or ("",)
        self._heard.clear()
        return queue

    def close(self, queue: asyncio.Queue[Event]) -> None:
        self._listeners.pop(queue, None)
        self._heard.clear()


class Listener:
    """Gives each event to `hear`, one after the other, until stopped. Trouble with one is logged."""

    def __init__(
        self, events: EventBus, name: str, kinds: tuple[str, ...], hear: Callable[[Event], Awaitable[None]]
    ) -> None:
        self._events, self._name, self._kinds, self._hear = events, name, kinds, hear
        self._queue: asyncio.Queue[Event] | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """From here on nothing is missed."""
        self._queue = self._events.open(*self._kinds)
        self._task = asyncio.create_task(self._listen(self._queue), name=self._name)

    async def stop(self) -> None:
        if self._queue is None or self._task is None:
            return
        self._events.close(self._queue)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def settle(self) -> None:
        """Wait until all that has happened so far was heard."""
        if self._queue is not None:
            await self._queue.join()

    async def _listen(self, queue: asyncio.Queue[Event]) -> None:
        while True:
            event = await queue.get()
            try:
                await self._hear(event)
            except STORAGE_FAULTS as error:
                log.error(
                    "event not followed", by=self._name, kind=event.kind, data=event.data, why=str(error)
                )
            except Exception:  # supervisor: trouble with one station must not leave the others unheard
                log.exception("event not followed", by=self._name, kind=event.kind, data=event.data)
            finally:
                queue.task_done()
