"""What stations report of their security."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from csms.storage.database import insert
from csms.storage.tables import security_events

e = security_events.c


async def add(
    conn: AsyncConnection,
    identity: str,
    type: str,
    happened_at: datetime,
    received_at: datetime,
    tech_info: str | None,
) -> bool:
    """False: it was reported before."""
    new = insert(conn, security_events).values(
        identity=identity,
        type=type,
        happened_at=happened_at,
        received_at=received_at,
        tech_info=tech_info,
    )
    return (await conn.execute(new.on_conflict_do_nothing())).rowcount > 0


async def load(
    conn: AsyncConnection,
    identity: str,
    start: datetime | None,
    end: datetime | None,
    type: str | None,
    limit: int,
) -> list[dict[str, Any]]:
    """Newest first, by when they arrived: a station's clock may lie. `end` is not included."""
    query = select(security_events).where(e.identity == identity)
    if start is not None:
        query = query.where(e.received_at >= start)
    if end is not None:
        query = query.where(e.received_at < end)
    if type is not None:
        query = query.where(e.type == type)
    query = query.order_by(e.received_at.desc(), e.id.desc()).limit(limit)
    return [dict(row) for row in (await conn.execute(query)).mappings()]


async def remove_before(conn: AsyncConnection, end: datetime, at_most: int) -> int:
    oldest = select(e.id).where(e.received_at < end).order_by(e.received_at).limit(at_most)
    return (await conn.execute(delete(security_events).where(e.id.in_(oldest)))).rowcount
