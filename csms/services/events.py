"""What happens, told to whoever listens: pages, server-sent events, later other nodes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

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

    def publish(self, kind: str, at: datetime, **data: Any) -> None:
        event = Event(kind, at, data)
        for queue, kinds in self._listeners.items():
            if kind.startswith(kinds):
                if queue.full():
                    queue.get_nowait()
                queue.put_nowait(event)

    def is_heard(self, kind: str) -> bool:
        return any(kind.startswith(kinds) for kinds in self._listeners.values())

    @asynccontextmanager
    async def subscribe(self, *kinds: str) -> AsyncIterator[asyncio.Queue[Event]]:
        """kinds: how those to be heard begin, e.g. "station."; none = all. The fewer, the fewer are lost."""
        queue: asyncio.Queue[Event] = asyncio.Queue(QUEUE_LIMIT)
        self._listeners[queue] = kinds or ("",)
        try:
            yield queue
        finally:
            del self._listeners[queue]
