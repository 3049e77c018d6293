"""The log of a station's frames, and of what happens to its connection: never in the way of either.

`add` only queues. A task writes what has gathered, about once a second; if the database cannot
keep up, frames are dropped and counted rather than held.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from datetime import datetime
from typing import Any

import structlog

from csms.domain.ocpp_schemas import ACTIONS
from csms.storage import frames
from csms.storage.database import STORAGE_FAULTS, Database
from csms.storage.frames import Frame
from csms.storage.frames import Wanted as Wanted

log = structlog.get_logger()

QUEUE_LIMIT, QUEUE_CHARACTERS = 20_000, 16 * 2**20
WRITTEN_AT_ONCE = 1000
LONGEST_TEXT = 16_384
WRITE_EVERY_S = 1.0
EVERYTHING = Wanted()


class FrameLog:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: deque[Frame] = deque()
        self._characters = 0  # of the texts that wait
        self._task: asyncio.Task[None] | None = None
        self._writing = asyncio.Lock()
        self.dropped = 0
        self.counts: Counter[tuple[str, str]] = Counter()  # (direction, action)

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="frame log")

    async def stop(self) -> None:
        """Write what is still waiting."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        await self.flush()

    def add(
        self,
        identity: str,
        at: datetime,
        direction: str,
        action: str | None,
        message_id: str | None,
        text: str,
        note: str | None,
    ) -> None:
        """direction: "in" (from the station), "out", or "log": no frame, something happened to the connection
        and `text` says what. note: why it was refused or repaired, or why the connection ended."""
        if direction != "log":
            self.counts[direction, action if action in ACTIONS else "other"] += 1
        text = text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…"
        if len(self._waiting) >= QUEUE_LIMIT or self._characters + len(text) > QUEUE_CHARACTERS:
            self.dropped += 1
            return
        self._characters += len(text)
        action = action[:64] if action else None
        message_id = message_id[:64] if message_id else None
        self._waiting.append((identity, at, direction, action, message_id, text, note))

    async def messages(
        self, identity: str, wanted: Wanted = EVERYTHING, limit: int = 200
    ) -> list[dict[str, Any]]:
        """Newest first, with what is still waiting to be written."""
        await self.flush()
        async with self._database.read() as conn:
            return await frames.load(conn, identity, wanted, limit)

    async def flush(self) -> None:
        """Write all that waits; what cannot be written is lost, and counted. Returns when all is written."""
        async with self._writing:
            while self._waiting:
                rows = [self._waiting.popleft() for _ in range(min(WRITTEN_AT_ONCE, len(self._waiting)))]
                self._characters -= sum(len(text) for *_, text, _ in rows)
                try:
                    await self._database.write(lambda conn, rows=rows: frames.save(conn, rows))  # type: ignore[misc]
                except STORAGE_FAULTS as error:
                    self.dropped += len(rows)
                    log.warning("frames not logged", frames=len(rows), why=str(error))

    async def _run(self) -> None:
        while True:
            await self.flush()
            await asyncio.sleep(WRITE_EVERY_S)
