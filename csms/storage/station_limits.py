"""How each station takes limits, so that a restart need not find out again."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from csms.domain.profile_ladder import LearntLimits, learnt_to_dict
from csms.domain.write_pace import WritesToday
from csms.storage.database import insert
from csms.storage.tables import station_limits


async def load_all(conn: AsyncConnection) -> list[dict[str, Any]]:
    """learnt is as stored: whoever reads it decides what to do with what cannot be read."""
    return [dict(row) for row in (await conn.execute(select(station_limits))).mappings()]


async def save(conn: AsyncConnection, identity: str, learnt: LearntLimits, written: WritesToday) -> None:
    values = {
        "learnt": learnt_to_dict(learnt),
        "writes_day": written.day,
        "writes": written.count,
        "last_write_at": written.last_at,
    }
    new = insert(conn, station_limits).values(identity=identity, **values)
    await conn.execute(new.on_conflict_do_update(index_elements=["identity"], set_=values))
