"""Charging profiles that stations have accepted, so that a restart knows what is installed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from csms.domain.installed_profile import InstalledProfile
from csms.storage.tables import charging_profiles


async def load_all(conn: AsyncConnection) -> list[tuple[str, InstalledProfile]]:
    """Each with the identity of its station."""
    rows = (await conn.execute(select(charging_profiles))).mappings()
    return [
        (row["identity"], InstalledProfile(row["profile"], row["accepted_at"], row["origin"])) for row in rows
    ]


async def replace(conn: AsyncConnection, identity: str, installed: Iterable[InstalledProfile]) -> None:
    """From now on these are all that is known to be on the station."""
    await conn.execute(delete(charging_profiles).where(charging_profiles.c.identity == identity))
    rows: list[dict[str, Any]] = [
        {
            "identity": identity,
            "connector_id": one.connector_id,
            "purpose": one.purpose,
            "stack_level": one.profile["stackLevel"],
            "profile": one.request,
            "accepted_at": one.accepted_at,
            "origin": one.origin,
        }
        for one in installed
    ]
    if rows:
        await conn.execute(insert(charging_profiles), rows)
