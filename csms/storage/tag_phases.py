"""How many phases the vehicle that comes with an id tag was seen to use."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from csms.storage.database import insert
from csms.storage.tables import tag_phases


async def save(conn: AsyncConnection, id_tag: str, phases: int, seen_at: datetime) -> None:
    values = {"phases": phases, "seen_at": seen_at}
    new = insert(conn, tag_phases).values(id_tag=id_tag.strip().lower(), **values)
    await conn.execute(new.on_conflict_do_update(index_elements=["id_tag"], set_=values))
