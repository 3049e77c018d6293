"""Counts of deviations from OCPP survive a restart: written now and then, never in a message's way."""

from __future__ import annotations

import asyncio
from typing import Any

import structlog

from csms.services.charge_points import ChargePoints
from csms.storage import quirks
from csms.storage.database import STORAGE_FAULTS, Database

log = structlog.get_logger()

WRITE_EVERY_S = 10.0


class QuirkRecords:
    """A crash loses the counts of the last seconds, which nothing depends on."""

    def __init__(self, database: Database, charge_points: ChargePoints) -> None:
        self._database, self._charge_points = database, charge_points
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Load what was counted; the stations must have been loaded."""
        async with self._database.read() as conn:
            rows = await quirks.load_all(conn)
        for row in rows:
            station = self._charge_points.station(row["identity"])
            station.quirks[row["kind"]] += row["count"]
            station.quirks_at[row["kind"]] = row["last_at"]
        self._task = asyncio.create_task(self._run(), name="quirk records")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        await self.save()

    async def save(self) -> None:
        """Store what was counted since the last time; what cannot be stored is tried again later."""
        stations = self._charge_points.take_stations_with_new_quirks()
        rows: list[dict[str, Any]] = []
        for station in stations:
            rows += [
                {"identity": station.identity, "kind": kind, "count": n, "last_at": station.quirks_at[kind]}
                for kind, n in station.unsaved_quirks.items()
            ]
            station.unsaved_quirks.clear()
        if not rows:
            return
        try:
            await self._database.write(lambda conn: quirks.add(conn, rows))
        except STORAGE_FAULTS as error:
            log.warning("counts of deviations not stored", why=str(error))
            for row in rows:
                self._charge_points.count_again(row["identity"], row["kind"], row["count"])

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(WRITE_EVERY_S)
            await self.save()
