"""Frames exchanged with stations, as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from csms.storage.bulk import Insert
from csms.storage.tables import frames

f = frames.c


Frame = tuple[str, datetime, str, str | None, str | None, str, str | None]
_COLUMNS = ("identity", "at", "direction", "action", "message_id", "text", "note")  # of a Frame


def new(rows: Sequence[Frame]) -> Insert:
    return Insert(frames, _COLUMNS, rows)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which frames of a station. None = whatever. `end` is not included; before_id: the last id of the page
    before. noted: only what was refused or repaired. contains: in the frame or its note, in any case."""

    start: datetime | None = None
    end: datetime | None = None
    action: str | None = None
    noted: bool = False
    contains: str | None = None
    before_id: int | None = None


async def load(conn: AsyncConnection, identity: str, wanted: Wanted, limit: int) -> list[dict[str, Any]]:
    """Newest first."""
    query = select(frames).where(f.identity == identity).order_by(f.at.desc(), f.id.desc()).limit(limit)
    if wanted.start is not None:
        query = query.where(f.at >= wanted.start)
    if wanted.end is not None:
        query = query.where(f.at < wanted.end)
    if wanted.action is not None:
        query = query.where(f.action == wanted.action)
    if wanted.noted:
        query = query.where(f.note.is_not(None))
    if wanted.contains:
        texts = [column.icontains(wanted.contains, autoescape=True) for column in (f.text, f.note)]
        query = query.where(or_(*texts))
    if wanted.before_id is not None:
        query = query.where(f.id < wanted.before_id)
    return [dict(row) for row in (await conn.execute(query)).mappings()]


async def remove_before(conn: AsyncConnection, end: datetime, at_most: int) -> int:
    """Remove some of the oldest, few enough not to hold up other writers; returns how many went."""
    oldest = select(f.id).where(f.at < end).order_by(f.at).limit(at_most)
    return (await conn.execute(delete(frames).where(f.id.in_(oldest)))).rowcount
