"""Frames exchanged with stations, as text."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from csms.storage.bulk import insert_rows
from csms.storage.tables import frames

f = frames.c


async def save(conn: AsyncConnection, rows: Sequence[dict[str, Any]]) -> None:
    await insert_rows(conn, frames, rows)


async def load(
    conn: AsyncConnection,
    identity: str,
    start: datetime | None,
    end: datetime | None,
    action: str | None,
    limit: int,
) -> list[dict[str, Any]]:
    """Newest first. `end` is not included."""
    query = select(frames).where(f.identity == identity).order_by(f.at.desc(), f.id.desc()).limit(limit)
    if start is not None:
        query = query.where(f.at >= start)
    if end is not None:
        query = query.where(f.at < end)
    if action is not None:
        query = query.where(f.action == action)
    return [dict(row) for row in (await conn.execute(query)).mappings()]


async def remove_before(conn: AsyncConnection, end: datetime, at_most: int) -> int:
    """Remove some of the oldest, few enough not to hold up other writers; returns how many went."""
    oldest = select(f.id).where(f.at < end).order_by(f.at).limit(at_most)
    return (await conn.execute(delete(frames).where(f.id.in_(oldest)))).rowcount
