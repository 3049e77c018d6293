"""Firmware updates and log uploads that stations were asked for, and the addresses of their files."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import and_, delete, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from csms.storage.database import insert
from csms.storage.tables import file_addresses, station_jobs

Row = dict[str, Any]
j, a = station_jobs.c, file_addresses.c

HISTORY_LENGTH = 100  # a station that repeats itself for ever fills no database


async def add(
    conn: AsyncConnection, identity: str, action: str, request: Row, status: str, now: datetime
) -> int:
    """Returns its id."""
    new = insert(conn, station_jobs).values(
        identity=identity,
        action=action,
        request=request,
        status=status,
        history=[_entry(status, now)],
        created_at=now,
        updated_at=now,
    )
    (id,) = (await conn.execute(new)).inserted_primary_key or (0,)
    return int(id)


async def set_request(conn: AsyncConnection, id: int, request: Row) -> None:
    await conn.execute(update(station_jobs).where(j.id == id).values(request=request))


async def by_id(conn: AsyncConnection, id: int) -> Row | None:
    row = (await conn.execute(select(station_jobs).where(j.id == id))).mappings().one_or_none()
    return dict(row) if row is not None else None


async def of_station(conn: AsyncConnection, identity: str, limit: int) -> list[Row]:
    """Newest first."""
    query = select(station_jobs).where(j.identity == identity).order_by(j.id.desc()).limit(limit)
    return [dict(row) for row in (await conn.execute(query)).mappings()]


async def going_on(
    conn: AsyncConnection,
    identity: str,
    actions: Collection[str],
    may_go_on: Collection[str],
    since: datetime,
) -> list[Row]:
    """Jobs without an end, then those that ended `since` then in a status that may not be the last; newest
    first."""
    query = (
        select(station_jobs)
        .where(j.identity == identity, j.action.in_(actions))
        .where(or_(j.ended_at.is_(None), and_(j.status.in_(may_go_on), j.ended_at >= since)))
        .order_by(j.ended_at.is_not(None), j.id.desc())
    )
    return [dict(row) for row in (await conn.execute(query)).mappings()]


async def unended(conn: AsyncConnection) -> list[Row]:
    query = select(station_jobs).where(j.ended_at.is_(None)).order_by(j.id)
    return [dict(row) for row in (await conn.execute(query)).mappings()]


async def note(
    conn: AsyncConnection, job: Row, status: str, now: datetime, *, ends: bool, **more: Any
) -> None:
    """A new status of the job; one that it has already is not entered twice."""
    history = job["history"]
    if job["status"] != status or not history:
        history = [*history, _entry(status, now)][-HISTORY_LENGTH:]
    values = {"status": status, "history": history, "updated_at": now, "ended_at": now if ends else None}
    await conn.execute(update(station_jobs).where(j.id == job["id"]).values(**values, **more))


def _entry(status: str, at: datetime) -> Row:
    return {"status": status, "at": at.strftime("%Y-%m-%dT%H:%M:%SZ")}


# --- addresses ---


async def add_address(
    conn: AsyncConnection,
    token_hash: str,
    identity: str,
    direction: str,
    file_name: str,
    job_id: int,
    expires_at: datetime,
) -> None:
    new = insert(conn, file_addresses).values(
        token_hash=token_hash,
        identity=identity,
        direction=direction,
        file_name=file_name,
        job_id=job_id,
        expires_at=expires_at,
    )
    await conn.execute(new)


async def address(conn: AsyncConnection, token_hash: str) -> Row | None:
    query = select(file_addresses).where(a.token_hash == token_hash)
    row = (await conn.execute(query)).mappings().one_or_none()
    return dict(row) if row is not None else None


async def address_used(conn: AsyncConnection, token_hash: str, now: datetime) -> None:
    await conn.execute(update(file_addresses).where(a.token_hash == token_hash).values(used_at=now))


async def remove_addresses_before(conn: AsyncConnection, end: datetime, at_most: int) -> int:
    oldest = select(a.token_hash).where(a.expires_at < end).limit(at_most)
    gone = await conn.execute(delete(file_addresses).where(a.token_hash.in_(oldest)))
    return gone.rowcount
