"""API tokens, users and id tags: who may do what."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from datetime import timedelta
from functools import cached_property
from typing import Any, Literal, cast, get_args

from pwdlib import PasswordHash
from sqlalchemy.ext.asyncio import AsyncConnection

from csms.clock import Clock
from csms.domain.id_tag import IdTag
from csms.domain.id_tag_table import read_table
from csms.errors import InvalidInput, NotFound
from csms.services.events import EventBus
from csms.storage import access
from csms.storage.database import Database

Role = Literal["admin", "operator", "viewer"]
ROLES: tuple[Role, ...] = get_args(Role)
TOKEN_PREFIX = "hel_"
SHORTEST_PASSWORD = 8
LAST_USE_KNOWN_TO = timedelta(minutes=5)


class Accounts:
    """Tokens are random, so a fast hash protects them; passwords are not, so theirs is argon2."""

    def __init__(self, database: Database, clock: Clock, events: EventBus | None = None) -> None:
        self._database, self._clock, self._events = database, clock, events
        self._passwords = PasswordHash.recommended()

    @cached_property
    def _nobody(self) -> str:
        """Checked when there is no such user, so that the answer takes as long. Made once: it is slow."""
        return self._passwords.hash(secrets.token_urlsafe())

    async def create_token(self, name: str, role: str) -> str:
        """A new token: shown this once, only its hash is kept.

        Raises:
            InvalidInput: no such role.
        """
        known, token = _role(role), TOKEN_PREFIX + secrets.token_urlsafe(32)
        now = self._clock.now()
        await self._database.write(lambda conn: access.add_token(conn, name, known, _hash(token), now))
        return token

    async def remove_token(self, token: str) -> None:
        await self._database.write(lambda conn: access.remove_token(conn, _hash(token)))

    async def tokens(self) -> list[dict[str, Any]]:
        """Each with its id, name, role, created_at, last_used_at."""
        async with self._database.read() as conn:
            return await access.all_tokens(conn)

    async def remove_token_of(self, token_id: int) -> None:
        """Raises NotFound."""
        if not await self._database.write(lambda conn: access.remove_token_of(conn, token_id)):
            raise NotFound("token", str(token_id))

    async def token_role(self, token: str) -> Role | None:
        """None: no such token."""
        async with self._database.read() as conn:
            row = await access.token(conn, _hash(token))
        if row is None:
            return None
        now, used_at = self._clock.now(), row["last_used_at"]
        if used_at is None or now - used_at > LAST_USE_KNOWN_TO:
            await self._database.write(lambda conn: access.token_used(conn, row["id"], now))
        return cast(Role, row["role"])

    async def token_name(self, token: str) -> str | None:
        """Who or what uses it. None: no such token."""
        async with self._database.read() as conn:
            row = await access.token(conn, _hash(token))
        return str(row["name"]) if row is not None else None

    async def add_user(self, name: str, password: str, role: str) -> None:
        """Add a user; one who exists gets the new password and role.

        Raises:
            InvalidInput: no name, a short password, no such role.
        """
        known = _role(role)
        if not name.strip():
            raise InvalidInput("name", name, "a name")
        if len(password) < SHORTEST_PASSWORD:
            raise InvalidInput("password", "•" * len(password), f"at least {SHORTEST_PASSWORD} characters")
        hashed = await asyncio.to_thread(self._passwords.hash, password)
        now = self._clock.now()
        await self._database.write(lambda conn: access.save_user(conn, name.strip(), known, hashed, now))

    async def check_user(self, name: str, password: str) -> Role | None:
        """The role of the user, None if name and password do not match."""
        async with self._database.read() as conn:
            row = await access.user(conn, name.strip())
        kept = row["password_hash"] if row is not None else None
        matches = await asyncio.to_thread(self._matches, password, kept)
        return cast(Role, row["role"]) if row is not None and matches else None

    def _matches(self, password: str, kept: str | None) -> bool:
        return self._passwords.verify(password, kept or self._nobody) and kept is not None

    async def users(self) -> list[dict[str, Any]]:
        """Each with name, role, created_at."""
        async with self._database.read() as conn:
            return await access.all_users(conn)

    async def remove_user(self, name: str) -> None:
        """Raises NotFound."""
        if not await self._database.write(lambda conn: access.remove_user(conn, name.strip())):
            raise NotFound("user", name)

    async def password_mark(self, name: str) -> str | None:
        """Another one with every password; it tells nothing about it. None: no such user (any more)."""
        async with self._database.read() as conn:
            row = await access.user(conn, name)
        return _hash(row["password_hash"])[:32] if row is not None else None

    async def user_role(self, name: str, password_mark: str) -> Role | None:
        """None: no such user (any more), or one who got another password since."""
        async with self._database.read() as conn:
            row = await access.user(conn, name)
        if row is None or _hash(row["password_hash"])[:32] != password_mark:
            return None
        return cast(Role, row["role"])

    async def has_users(self) -> bool:
        async with self._database.read() as conn:
            return await access.count_users(conn) > 0

    async def signing_key(self, purpose: str) -> str:
        """Made once for each purpose, then always the same: signed cookies survive a restart."""
        return await self._database.write(
            lambda conn: access.keep_key(conn, purpose, secrets.token_urlsafe(32))
        )

    async def id_tags(self) -> list[dict[str, Any]]:
        """Each with the fields of `IdTag` and its name."""
        async with self._database.read() as conn:
            return [_shown(row) for row in await access.all_id_tags(conn)]

    async def id_tag(self, id_tag: str) -> dict[str, Any]:
        """Raises NotFound."""
        for row in await self.id_tags():
            if row["id_tag"].lower() == id_tag.strip().lower():
                return row
        raise NotFound("id tag", id_tag)

    async def save_id_tag(self, tag: IdTag, name: str | None = None) -> None:
        """Add it, or replace the one of the same text (letter case aside).

        Raises:
            InvalidInput: longer than the 20 characters of OCPP, or empty.
        """
        for field, text in (("id_tag", tag.id_tag), ("parent_id_tag", tag.parent_id_tag or "-")):
            if not 1 <= len(text.strip()) <= 20:
                raise InvalidInput(field, text, "1 to 20 characters")
        await self._database.write(lambda conn: access.save_id_tag(conn, tag, name))
        self._id_tags_changed()

    async def import_id_tags(self, table: str) -> int:
        """Add or replace what a CSV table lists, all or nothing; other tags stay. Returns how many.

        Raises:
            InvalidInput: naming line and column.
        """
        tags = read_table(table)

        async def job(conn: AsyncConnection) -> None:
            for tag, name in tags:
                await access.save_id_tag(conn, tag, name)

        await self._database.write(job)
        self._id_tags_changed()
        return len(tags)

    async def remove_id_tag(self, id_tag: str) -> None:
        """Raises NotFound."""
        if not await self._database.write(lambda conn: access.remove_id_tag(conn, id_tag)):
            raise NotFound("id tag", id_tag)
        self._id_tags_changed()

    def _id_tags_changed(self) -> None:
        if self._events is not None:
            self._events.publish("id_tags.changed", self._clock.now())


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    shown = {**row, "id_tag": row["shown_as"]}
    del shown["shown_as"]
    return shown


def _role(text: str) -> Role:
    if text not in ROLES:
        raise InvalidInput("role", text, f"one of {', '.join(ROLES)}")
    return text


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
