"""Digests of stations' passwords, security profiles, certificates issued and installed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from csms.storage.database import insert
from csms.storage.tables import (
    charge_points,
    installed_certificates,
    issued_certificates,
    station_passwords,
)

passwords, issued, installed = station_passwords.c, issued_certificates.c, installed_certificates.c


async def all_passwords(conn: AsyncConnection) -> list[dict[str, Any]]:
    return [dict(row) for row in (await conn.execute(select(station_passwords))).mappings()]


async def replace_passwords(
    conn: AsyncConnection, identity: str, digests: dict[str, str], now: datetime
) -> None:
    """digests: slot -> digest, in place of all that was kept."""
    await conn.execute(delete(station_passwords).where(passwords.identity == identity))
    for slot, digest in digests.items():
        values = {"identity": identity, "slot": slot, "digest": digest, "created_at": now}
        await conn.execute(insert(conn, station_passwords).values(values))


async def save_profile(conn: AsyncConnection, identity: str, profile: int, pending: int | None) -> None:
    """pending: the profile it is being moved up to; the station's other options stay."""
    of_station = charge_points.c.identity == identity
    options = (await conn.execute(select(charge_points.c.options).where(of_station))).scalar_one() or {}
    options = {key: value for key, value in options.items() if key != "pending_security_profile"}
    if pending is not None:
        options["pending_security_profile"] = pending
    values = {"security_profile": profile, "options": options or None}
    await conn.execute(update(charge_points).where(of_station).values(values))


async def issued_until(conn: AsyncConnection, ended_after: datetime) -> list[dict[str, Any]]:
    """serial_number, identity, not_after, status of each that ends later, oldest first."""
    query = select(issued.serial_number, issued.identity, issued.not_after, issued.status)
    query = query.where(issued.not_after > ended_after)
    return [dict(row) for row in (await conn.execute(query.order_by(issued.issued_at))).mappings()]


async def issued_to(conn: AsyncConnection, identity: str) -> list[dict[str, Any]]:
    """Newest first."""
    query = select(issued_certificates).where(func.lower(issued.identity) == identity.lower())
    return [dict(row) for row in (await conn.execute(query.order_by(issued.issued_at.desc()))).mappings()]


async def add_issued(conn: AsyncConnection, row: dict[str, Any]) -> None:
    await conn.execute(insert(conn, issued_certificates).values(row))


async def set_issued_status(conn: AsyncConnection, serial_number: str, status: str) -> None:
    """A certificate that was revoked stays so."""
    still_valid = (issued.serial_number == serial_number) & (issued.status != "Revoked")
    await conn.execute(update(issued_certificates).where(still_valid).values(status=status))


async def installed_on(conn: AsyncConnection, identity: str) -> list[dict[str, Any]]:
    query = select(installed_certificates).where(installed.identity == identity)
    ordered = query.order_by(installed.certificate_type, installed.serial_number)
    return [dict(row) for row in (await conn.execute(ordered)).mappings()]


async def add_installed(conn: AsyncConnection, row: dict[str, Any]) -> None:
    new = insert(conn, installed_certificates).values(row)
    key = ["identity", "certificate_type", "issuer_key_hash", "serial_number"]
    changed = {name: row[name] for name in ("hash_algorithm", "issuer_name_hash", "seen_at")}
    await conn.execute(new.on_conflict_do_update(index_elements=key, set_=changed))


async def replace_installed(
    conn: AsyncConnection, identity: str, certificate_type: str, rows: list[dict[str, Any]]
) -> None:
    """rows: all certificates of this type that the station has."""
    of_type = (installed.identity == identity) & (installed.certificate_type == certificate_type)
    await conn.execute(delete(installed_certificates).where(of_type))
    for row in rows:
        await add_installed(conn, row)


async def remove_installed(
    conn: AsyncConnection, identity: str, issuer_key_hash: str, serial_number: str
) -> None:
    gone = (
        (installed.identity == identity)
        & (func.lower(installed.issuer_key_hash) == issuer_key_hash.lower())
        & (func.lower(installed.serial_number) == serial_number.lower())
    )
    await conn.execute(delete(installed_certificates).where(gone))
