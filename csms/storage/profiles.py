"""Charging profiles that stations have accepted, so that a restart knows what is installed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from csms.storage.tables import charging_profiles


async def save(conn: AsyncConnection, identity: str, request: dict[str, Any], now: datetime) -> None:
    """Remember an accepted SetChargingProfile request in place of the one it replaces."""
    profile = request["csChargingProfiles"]
    key = {
        "identity": identity,
        "connector_id": request["connectorId"],
        "purpose": profile["chargingProfilePurpose"],
        "stack_level": profile["stackLevel"],
    }
    await conn.execute(
        delete(charging_profiles).where(*(charging_profiles.c[name] == value for name, value in key.items()))
    )
    await conn.execute(insert(charging_profiles).values(**key, profile=request, accepted_at=now))


async def load_all(conn: AsyncConnection) -> list[dict[str, Any]]:
    return [dict(row) for row in (await conn.execute(select(charging_profiles))).mappings()]


async def forget(conn: AsyncConnection, identity: str) -> None:
    """A station was replaced or its memory cleared: nothing is known to be installed."""
    await conn.execute(delete(charging_profiles).where(charging_profiles.c.identity == identity))
