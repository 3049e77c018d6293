"""What is recorded minute by minute goes when it is old; transactions and means of a site's powers stay."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from csms.clock import Clock
from csms.services.files import Files
from csms.storage import frames, history, security_events, transactions
from csms.storage.database import STORAGE_FAULTS, Database

log = structlog.get_logger()

KEPT_FRAMES_DAYS = 30
KEPT_DECISIONS_DAYS = 90
KEPT_METER_VALUES_DAYS = 400
KEPT_UNMATCHED_STOPS_DAYS = 400
KEPT_SECURITY_EVENTS_DAYS = 400
KEPT_UPLOADS_DAYS = 90
REMOVED_AT_ONCE = 1000
TIDY_EVERY_S = 3600.0

Remove = Callable[[AsyncConnection, datetime, int], Awaitable[int]]


class Retention:
    """Removes what is too old once an hour, a few rows at a time, so that no other writer waits for long."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        files: Files,
        frames_days: float = KEPT_FRAMES_DAYS,
        decisions_days: float = KEPT_DECISIONS_DAYS,
        meter_values_days: float = KEPT_METER_VALUES_DAYS,
        unmatched_stops_days: float = KEPT_UNMATCHED_STOPS_DAYS,
        security_events_days: float = KEPT_SECURITY_EVENTS_DAYS,
        uploads_days: float = KEPT_UPLOADS_DAYS,
    ) -> None:
        self._database, self._clock, self._files = database, clock, files
        self._uploads_kept_for = timedelta(days=uploads_days)
        self._rules: list[tuple[Remove, timedelta]] = [
            (frames.remove_before, timedelta(days=frames_days)),
            (history.remove_decisions_before, timedelta(days=decisions_days)),
            (transactions.remove_meter_values_before, timedelta(days=meter_values_days)),
            (transactions.remove_unmatched_stops_before, timedelta(days=unmatched_stops_days)),
            (security_events.remove_before, timedelta(days=security_events_days)),
        ]
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="retention")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def tidy(self) -> None:
        for remove, kept_for in self._rules:
            await self._remove(remove, self._clock.now() - kept_for)
        await asyncio.to_thread(self._files.remove_left_before, self._clock.now() - self._uploads_kept_for)

    async def _run(self) -> None:
        while True:
            try:
                await self.tidy()
            except STORAGE_FAULTS as error:
                log.warning("old records not removed", why=str(error))
            await asyncio.sleep(TIDY_EVERY_S)

    async def _remove(self, remove: Remove, oldest_kept: datetime) -> None:
        removed = REMOVED_AT_ONCE
        while removed == REMOVED_AT_ONCE:
            removed = await self._database.write(lambda conn: remove(conn, oldest_kept, REMOVED_AT_ONCE))
