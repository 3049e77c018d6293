"""The log of frames: never in the way of the frames themselves.

`add` only queues. A task writes what has gathered, about once a second; if the database cannot
keep up, frames are dropped and counted rather than held. Frames older than the retention go.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError

from csms.clock import Clock
from csms.domain.ocpp_schemas import ACTIONS
from csms.storage import frames
from csms.storage.database import Database, DatabaseStopped

log = structlog.get_logger()

QUEUE_LIMIT = 20_000
WRITTEN_AT_ONCE = 1000
REMOVED_AT_ONCE = 5000
LONGEST_TEXT = 16_384
WRITE_EVERY_S = 1.0
TIDY_EVERY = timedelta(hours=1)
STORAGE_FAULTS = (SQLAlchemyError, OSError, DatabaseStopped)


class FrameLog:
    """retention_days: how long frames are kept."""

    def __init__(self, database: Database, clock: Clock, retention_days: float = 30) -> None:
        self._database, self._clock = database, clock
        self._retention = timedelta(days=retention_days)
        self._waiting: deque[dict[str, Any]] = deque()
        self._tidied_at: datetime | None = None
        self._task: asyncio.Task[None] | None = None
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
        """direction: "in" (from the station) or "out". note: why it was refused or repaired."""
        self.counts[direction, action if action in ACTIONS else "other"] += 1
        if len(self._waiting) >= QUEUE_LIMIT:
            self.dropped += 1
            return
        self._waiting.append(
            {
                "identity": identity,
                "at": at,
                "direction": direction,
                "action": action[:64] if action else None,
                "message_id": message_id[:64] if message_id else None,
                "text": text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…",
                "note": note,
            }
        )

    async def messages(
        self,
        identity: str,
        start: datetime | None = None,
        end: datetime | None = None,
        action: str | None = None,
        limit: int = 200,
    ) -> list[dict[str, Any]]:
        """Newest first, with what is still waiting to be written."""
        await self.flush()
        async with self._database.read() as conn:
            return await frames.load(conn, identity, start, end, action, limit)

    async def flush(self) -> None:
        """Write all that waits. What cannot be written is lost, and counted."""
        while self._waiting:
            rows = [self._waiting.popleft() for _ in range(min(WRITTEN_AT_ONCE, len(self._waiting)))]
            try:
                await self._database.write(lambda conn, rows=rows: frames.save(conn, rows))  # type: ignore[misc]
            except STORAGE_FAULTS as error:
                self.dropped += len(rows)
                log.warning("frames not logged", frames=len(rows), why=str(error))

    async def _run(self) -> None:
        while True:
            await self.flush()
            await self.tidy()
            await asyncio.sleep(WRITE_EVERY_S)

    async def tidy(self) -> None:
        """Remove frames older than the retention; at most once an hour."""
        now = self._clock.now()
        if self._tidied_at is not None and now - self._tidied_at < TIDY_EVERY:
            return
        self._tidied_at = now
        oldest_kept = now - self._retention
        removed = REMOVED_AT_ONCE
        try:
            while removed == REMOVED_AT_ONCE:
                removed = await self._database.write(
                    lambda conn: frames.remove_before(conn, oldest_kept, REMOVED_AT_ONCE)
                )
        except STORAGE_FAULTS as error:
            log.warning("old frames not removed", why=str(error))
