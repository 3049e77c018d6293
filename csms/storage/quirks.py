"""How often each station deviated from OCPP, since ever."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from csms.storage.database import insert
from csms.storage.tables import station_quirks

q = station_quirks.c


async def load_all(conn: AsyncConnection) -> list[dict[str, Any]]:
    return [dict(row) for row in (await conn.execute(select(station_quirks))).mappings()]


async def add(conn: AsyncConnection, rows: Sequence[dict[str, Any]]) -> None:
    """Add to what is counted (columns of the table); several nodes may count the same station in turn."""
    new = insert(conn, station_quirks)
    counted_on = {"count": q.count + new.excluded.count, "last_at": new.excluded.last_at}
    await conn.execute(new.on_conflict_do_update(index_elements=["identity", "kind"], set_=counted_on), rows)
