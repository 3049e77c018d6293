"""Clocks that do not follow the wall: accelerated for the demo, stepped by hand for tests.

Both satisfy csms.clock.Clock.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from datetime import datetime, timedelta

SETTLE_TURNS = 25


class ScaledClock:
    """Runs `speed` simulated seconds for each real one, beginning at `start` when it is built."""

    def __init__(self, start: datetime, speed: float) -> None:
        if start.tzinfo is None:
            raise ValueError("an aware start expected")
        if not speed > 0:
            raise ValueError(f"a speed above 0 expected, not {speed}")
        self._start, self._speed = start, speed
        self._origin_s = time.monotonic()

    def now(self) -> datetime:
        return self._start + timedelta(seconds=(time.monotonic() - self._origin_s) * self._speed)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self._speed)


class VirtualClock:
    """Stands still until advanced. Sleepers wake in the order of their time, then of their going to sleep."""

    def __init__(self, start: datetime) -> None:
        if start.tzinfo is None:
            raise ValueError("an aware start expected")
        self._now = start
        self._order = itertools.count()
        self._sleepers: list[tuple[datetime, int, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        return self._now

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken = asyncio.get_running_loop().create_future()
        due_at = self._now + timedelta(seconds=seconds)
        heapq.heappush(self._sleepers, (due_at, next(self._order), woken))
        await woken

    async def advance(self, seconds: float) -> None:
        """Move time on. Whoever is woken may go to sleep again within the span and is woken again."""
        end = self._now + timedelta(seconds=seconds)
        await self._settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            due_at, _, woken = heapq.heappop(self._sleepers)
            if woken.done():  # its task was cancelled
                continue
            self._now = max(self._now, due_at)
            woken.set_result(None)
            await self._settle()
        self._now = end

    async def _settle(self) -> None:
        """Let what was woken run until it waits again."""
        for _ in range(SETTLE_TURNS):
            await asyncio.sleep(0)
