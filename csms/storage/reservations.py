"""Reservations of connectors for an id tag."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from csms.storage.database import insert
from csms.storage.tables import reservations

Row = dict[str, Any]
r = reservations.c

STANDING = ("Accepted", "Asked")  # Asked: also when the station's answer never came


async def add(conn: AsyncConnection, reservation_id: int | None, **values: Any) -> int:
    """Returns its row's id. reservation_id: None = the row's id, or the next that is free at the station."""
    new = insert(conn, reservations).values(reservation_id=reservation_id or 0, **values)
    (id,) = (await conn.execute(new)).inserted_primary_key or (0,)
    if reservation_id is None:
        held = {row["reservation_id"] for row in await standing(conn, values["identity"])}
        reservation_id = id
        while reservation_id in held:
            reservation_id += 1
        await change(conn, id, reservation_id=reservation_id)
    return int(id)


async def change(conn: AsyncConnection, id: int, **values: Any) -> None:
    await conn.execute(update(reservations).where(r.id == id).values(**values))


async def by_id(conn: AsyncConnection, id: int) -> Row | None:
    row = (await conn.execute(select(reservations).where(r.id == id))).mappings().one_or_none()
    return dict(row) if row is not None else None


async def newest(conn: AsyncConnection, identity: str, reservation_id: int) -> Row | None:
    """A station may be given the same reservationId again: the last counts."""
    query = (
        select(reservations)
        .where(r.identity == identity, r.reservation_id == reservation_id)
        .order_by(r.id.desc())
        .limit(1)
    )
    row = (await conn.execute(query)).mappings().one_or_none()
    return dict(row) if row is not None else None


async def of_station(conn: AsyncConnection, identity: str, limit: int) -> list[Row]:
    """Newest first."""
    query = select(reservations).where(r.identity == identity).order_by(r.id.desc()).limit(limit)
    return [dict(row) for row in (await conn.execute(query)).mappings()]


async def standing(conn: AsyncConnection, identity: str) -> list[Row]:
    """Oldest first."""
    query = select(reservations).where(r.identity == identity, r.status.in_(STANDING)).order_by(r.id)
    return [dict(row) for row in (await conn.execute(query)).mappings()]


async def end_replaced(conn: AsyncConnection, row: Row, now: datetime) -> None:
    """The station has put this one in place of what it held under the same number."""
    others = (
        update(reservations)
        .where(r.identity == row["identity"], r.reservation_id == row["reservation_id"])
        .where(r.id != row["id"], r.status.in_(STANDING))
    )
    await conn.execute(others.values(status="Cancelled", ended_at=now))


async def next_expiry(conn: AsyncConnection) -> datetime | None:
    """When the first of those that stand is over; None: none stands."""
    query = select(r.expires_at).where(r.status.in_(STANDING)).order_by(r.expires_at).limit(1)
    return (await conn.execute(query)).scalar_one_or_none()


async def expire(conn: AsyncConnection, now: datetime) -> list[Row]:
    """Those whose time is over, as they were before."""
    over = select(reservations).where(r.status.in_(STANDING), r.expires_at <= now)
    rows = [dict(row) for row in (await conn.execute(over)).mappings()]
    for row in rows:
        await change(conn, row["id"], status="Expired", ended_at=row["expires_at"])
    return rows
