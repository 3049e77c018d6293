"""The log of a station's frames, and of what happens to its connection: never in the way of either.

`add` only queues. A task writes what has gathered, about once a second; if the database cannot
keep up, frames are dropped and counted rather than held.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from datetime import datetime
from operator import itemgetter
from typing import Any

import structlog

from csms.domain.ocpp_schemas import ACTIONS
from csms.storage import frames
from csms.storage.database import STORAGE_FAULTS, Database
from csms.storage.frames import Frame
from csms.storage.frames import Wanted as Wanted

log = structlog.get_logger()

QUEUE_LIMIT, QUEUE_CHARACTERS = 20_000, 16 * 2**20
WRITTEN_AT_ONCE, SHARE_AT_ONCE = 1000, 1 / 8  # of what waits, if that is more
LONGEST_TEXT = 16_384
WRITE_EVERY_S, PAUSE_S = 1.0, 0.04  # the pause: where much waits
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
            async with self._writing:  # what it has taken is written
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
        """Write all that waits now; what cannot be written is lost, and counted. What comes meanwhile waits
        for the next time. Whoever stops to wait does not take the frames along."""
        await asyncio.shield(self._flush(len(self._waiting)))

    async def _flush(self, left: int) -> None:
        async with self._writing:
            while (left := min(left, len(self._waiting))) > 0:
                left -= await self._write_some(left)

    async def _write_some(self, waiting: int) -> int:
        """Each costs half as much among many as among few, but who waits for the commit waits for all."""
        count = min(max(WRITTEN_AT_ONCE, int(waiting * SHARE_AT_ONCE)), waiting)
        rows = [self._waiting.popleft() for _ in range(count)]
        self._characters -= sum(len(text) for *_, text, _ in rows)
        rows.sort(key=itemgetter(0))  # a station's side by side: its page of the index is found once
        try:
            await self._database.write_rows(lambda: [frames.new(rows)])
        except STORAGE_FAULTS as error:
            self.dropped += count
            log.warning("frames not logged", frames=count, why=str(error))
        return count

    async def _run(self) -> None:
        while True:
            async with self._writing:
                if self._waiting:
                    await self._write_some(len(self._waiting))
            await asyncio.sleep(PAUSE_S if len(self._waiting) > WRITTEN_AT_ONCE else WRITE_EVERY_S)
