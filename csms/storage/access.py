"""Who may do what: API tokens, users, keys of our own, and the id tags that may charge."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import StatementError
from sqlalchemy.ext.asyncio import AsyncConnection

from csms.domain.id_tag import IdTag, possible_spellings
from csms.storage.database import insert
from csms.storage.tables import api_tokens, id_tags, signing_keys, users


async def add_token(conn: AsyncConnection, name: str, role: str, token_hash: str, now: datetime) -> None:
    await conn.execute(
        insert(conn, api_tokens).values(name=name, role=role, token_hash=token_hash, created_at=now)
    )


async def token(conn: AsyncConnection, token_hash: str) -> dict[str, Any] | None:
    row = await conn.execute(select(api_tokens).where(api_tokens.c.token_hash == token_hash))
    found = row.mappings().one_or_none()
    return dict(found) if found is not None else None


async def remove_token(conn: AsyncConnection, token_hash: str) -> None:
    await conn.execute(delete(api_tokens).where(api_tokens.c.token_hash == token_hash))


async def remove_token_of(conn: AsyncConnection, token_id: int) -> bool:
    return bool((await conn.execute(delete(api_tokens).where(api_tokens.c.id == token_id))).rowcount)


async def all_tokens(conn: AsyncConnection) -> list[dict[str, Any]]:
    """Without their hashes."""
    told = [column for column in api_tokens.c if column is not api_tokens.c.token_hash]
    return [dict(row) for row in (await conn.execute(select(*told).order_by(api_tokens.c.id))).mappings()]


async def token_used(conn: AsyncConnection, token_id: int, now: datetime) -> None:
    await conn.execute(update(api_tokens).where(api_tokens.c.id == token_id).values(last_used_at=now))


async def save_user(conn: AsyncConnection, name: str, role: str, password_hash: str, now: datetime) -> None:
    """Add the user, or give an existing one this role and password."""
    values = {"role": role, "password_hash": password_hash}
    new = insert(conn, users).values(name=name, created_at=now, **values)
    await conn.execute(new.on_conflict_do_update(index_elements=["name"], set_=values))


async def user(conn: AsyncConnection, name: str) -> dict[str, Any] | None:
    row = (await conn.execute(select(users).where(users.c.name == name))).mappings().one_or_none()
    return dict(row) if row is not None else None


async def all_users(conn: AsyncConnection) -> list[dict[str, Any]]:
    """Without their passwords."""
    told = (users.c.name, users.c.role, users.c.created_at)
    return [dict(row) for row in (await conn.execute(select(*told).order_by(users.c.name))).mappings()]


async def remove_user(conn: AsyncConnection, name: str) -> bool:
    return bool((await conn.execute(delete(users).where(users.c.name == name))).rowcount)


async def count_users(conn: AsyncConnection) -> int:
    return (await conn.execute(select(func.count()).select_from(users))).scalar_one()


async def kept_key(conn: AsyncConnection, purpose: str) -> str | None:
    return (
        await conn.execute(select(signing_keys.c.key).where(signing_keys.c.purpose == purpose))
    ).scalar_one_or_none()


async def keep_key(conn: AsyncConnection, purpose: str, key: str) -> str:
    """The key of this purpose: the one kept before, else `key` from now on."""
    new = insert(conn, signing_keys).values(purpose=purpose, key=key).on_conflict_do_nothing()
    try:
        await conn.execute(new)
    except StatementError as fault:
        fault.hide_parameters = True  # the key belongs in no log
        raise
    kept: str = (
        await conn.execute(select(signing_keys.c.key).where(signing_keys.c.purpose == purpose))
    ).scalar_one()
    return kept


async def all_id_tags(conn: AsyncConnection) -> list[dict[str, Any]]:
    return [dict(row) for row in (await conn.execute(select(id_tags).order_by(id_tags.c.id_tag))).mappings()]


async def id_tag(conn: AsyncConnection, text: str) -> IdTag | None:
    """Whatever the letter case: an idTag is a CiString. One that is not stored as it is sent may be without
    what stations add to it."""
    spellings = possible_spellings(text)
    rows = await conn.execute(select(id_tags).where(id_tags.c.id_tag.in_(spellings)))
    found = min(rows.mappings().all(), key=lambda row: spellings.index(row["id_tag"]), default=None)
    return _tag(dict(found)) if found is not None else None


async def tags(conn: AsyncConnection) -> list[IdTag]:
    """All that are stored."""
    return [_tag(row) for row in await all_id_tags(conn)]


def _tag(found: dict[str, Any]) -> IdTag:
    return IdTag(
        found["shown_as"],
        found["parent_id_tag"],
        found["blocked"],
        found["expires_at"],
        found["max_transactions"],
        None if found["charge_points"] is None else tuple(found["charge_points"]),
        found["min_a"],
    )


async def has_id_tags(conn: AsyncConnection) -> bool:
    return (await conn.execute(select(id_tags.c.id_tag).limit(1))).first() is not None


async def save_id_tag(conn: AsyncConnection, tag: IdTag, name: str | None) -> None:
    values = {
        "shown_as": tag.id_tag.strip(),
        "name": name,
        "parent_id_tag": tag.parent_id_tag,
        "blocked": tag.blocked,
        "expires_at": tag.expires_at,
        "max_transactions": tag.max_transactions,
        "charge_points": None if tag.charge_points is None else list(tag.charge_points),
        "min_a": tag.min_a,
    }
    new = insert(conn, id_tags).values(id_tag=tag.id_tag.strip().lower(), **values)
    await conn.execute(new.on_conflict_do_update(index_elements=["id_tag"], set_=values))


async def remove_id_tag(conn: AsyncConnection, text: str) -> bool:
    gone = await conn.execute(delete(id_tags).where(id_tags.c.id_tag == text.strip().lower()))
    return gone.rowcount > 0
