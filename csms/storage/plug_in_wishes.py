"""What holds at connectors until their vehicles are unplugged."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from csms.domain.plug_in_wish import PlugInWish
from csms.storage.database import insert
from csms.storage.tables import plug_in_wishes

FIELDS = [field.name for field in fields(PlugInWish)]


async def load_all(conn: AsyncConnection) -> dict[tuple[str, str], PlugInWish]:
    """By (site id, load id)."""
    rows = (await conn.execute(select(plug_in_wishes))).mappings()
    return {
        (row["site_id"], row["load_id"]): PlugInWish(**{name: row[name] for name in FIELDS}) for row in rows
    }


async def save(conn: AsyncConnection, site_id: str, load_id: str, wish: PlugInWish, now: datetime) -> None:
    values = {**{name: getattr(wish, name) for name in FIELDS}, "set_at": now}
    new = insert(conn, plug_in_wishes).values(site_id=site_id, load_id=load_id, **values)
    await conn.execute(new.on_conflict_do_update(index_elements=["site_id", "load_id"], set_=values))


async def remove(conn: AsyncConnection, site_id: str, load_id: str) -> None:
    ours = (plug_in_wishes.c.site_id == site_id) & (plug_in_wishes.c.load_id == load_id)
    await conn.execute(delete(plug_in_wishes).where(ours))
