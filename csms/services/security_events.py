"""What stations have reported of their security, for people to read."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from csms.services.charge_points import ChargePoints
from csms.services.station_notifications import CRITICAL_EVENTS
from csms.storage import security_events
from csms.storage.database import Database


class SecurityEvents:
    def __init__(self, database: Database, charge_points: ChargePoints) -> None:
        self._database, self._charge_points = database, charge_points

    async def events(
        self,
        identity: str,
        start: datetime | None = None,
        end: datetime | None = None,
        type: str | None = None,
        limit: int = 200,
    ) -> list[dict[str, Any]]:
        """Newest first. Raises NotFound."""
        station = self._charge_points.station(identity)
        async with self._database.read() as conn:
            rows = await security_events.load(conn, station.identity, start, end, type, limit)
        return [{**row, "critical": row["type"] in CRITICAL_EVENTS} for row in rows]
