"""The local authorisation lists of stations."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from csms.storage.database import insert
from csms.storage.tables import local_lists

Row = dict[str, Any]


async def load(conn: AsyncConnection, identity: str) -> Row | None:
    query = select(local_lists).where(local_lists.c.identity == identity)
    row = (await conn.execute(query)).mappings().one_or_none()
    return dict(row) if row is not None else None


async def looked_after(conn: AsyncConnection, identities: Collection[str] | None = None) -> list[Row]:
    """Those that are to hold what is wanted of them: of these stations, or of all."""
    query = select(local_lists).order_by(local_lists.c.identity)
    if identities is not None:
        query = query.where(local_lists.c.identity.in_(identities))
    return [dict(row) for row in (await conn.execute(query)).mappings() if row["wanted"] is not None]


async def save(conn: AsyncConnection, identity: str, now: datetime, **values: Any) -> None:
    """Change what is given of the station's list; the first time the rest is that of an empty one."""
    first = {"version": 0, "entries": {}, "wanted": None, "status": None, **values}
    new = insert(conn, local_lists).values(identity=identity, updated_at=now, **first)
    changed = {"updated_at": now, **values}
    await conn.execute(new.on_conflict_do_update(index_elements=["identity"], set_=changed))
