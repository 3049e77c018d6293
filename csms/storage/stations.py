"""Charging stations as they presented themselves, and what each connector last reported."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from csms.storage.database import insert
from csms.storage.tables import charge_points, connector_status

BOOT_COLUMNS = {
    "vendor": "chargePointVendor",
    "model": "chargePointModel",
    "serial_number": "chargePointSerialNumber",
    "firmware_version": "firmwareVersion",
}


async def load_all(conn: AsyncConnection) -> list[dict[str, Any]]:
    rows = await conn.execute(select(charge_points).order_by(charge_points.c.identity))
    return [dict(row) for row in rows.mappings()]


async def ensure(conn: AsyncConnection, identity: str, registration: str, now: datetime) -> None:
    """Create the station unless it exists; then its registration stays what it is."""
    new = insert(conn, charge_points).values(identity=identity, registration=registration, created_at=now)
    await conn.execute(new.on_conflict_do_nothing())


async def registration(conn: AsyncConnection, identity: str) -> str | None:
    query = select(charge_points.c.registration).where(charge_points.c.identity == identity)
    return (await conn.execute(query)).scalar_one_or_none()


async def set_registration(conn: AsyncConnection, identity: str, registration: str) -> None:
    await _set(conn, identity, registration=registration)


async def save_options(conn: AsyncConnection, identity: str, options: dict[str, Any]) -> None:
    await _set(conn, identity, options=options)


async def save_boot(conn: AsyncConnection, identity: str, info: dict[str, Any], now: datetime) -> None:
    """info: the BootNotification's payload. What it leaves out stays as it was told before."""
    told = {column: str(info[key]) for column, key in BOOT_COLUMNS.items() if info.get(key)}
    if "serial_number" not in told and info.get("chargeBoxSerialNumber"):
        told["serial_number"] = str(info["chargeBoxSerialNumber"])
    await _set(conn, identity, **told, boot_info=info, booted_at=now, last_seen_at=now)


async def save_seen(conn: AsyncConnection, identity: str, at: datetime) -> None:
    await _set(conn, identity, last_seen_at=at)


async def save_configuration(conn: AsyncConnection, identity: str, configuration: dict[str, Any]) -> None:
    """configuration: every key as last read, replacing what was stored."""
    await _set(conn, identity, configuration=configuration)


async def save_diagnostics_status(conn: AsyncConnection, identity: str, status: str) -> None:
    await _set(conn, identity, diagnostics_status=status)


async def save_firmware_status(conn: AsyncConnection, identity: str, status: str) -> None:
    await _set(conn, identity, firmware_status=status)


async def _set(conn: AsyncConnection, identity: str, **values: Any) -> None:
    await conn.execute(_UPDATE, {"of_station": identity, **values})


_UPDATE = update(charge_points).where(charge_points.c.identity == bindparam("of_station"))


async def save_status(
    conn: AsyncConnection,
    identity: str,
    connector_id: int,
    status: str,
    error_code: str,
    received_at: datetime,
    status_at: datetime | None = None,
    info: str | None = None,
    vendor_error_code: str | None = None,
) -> None:
    """Replace the connector's status. The order of arrival counts: a station's clock (status_at) may lie."""
    values = {
        "status": status,
        "error_code": error_code,
        "info": info,
        "vendor_error_code": vendor_error_code,
        "status_at": status_at,
        "received_at": received_at,
    }
    new = insert(conn, connector_status).values(identity=identity, connector_id=connector_id, **values)
    await conn.execute(new.on_conflict_do_update(index_elements=["identity", "connector_id"], set_=values))


async def connector_statuses(conn: AsyncConnection) -> list[dict[str, Any]]:
    query = select(connector_status).order_by(connector_status.c.identity, connector_status.c.connector_id)
    return [dict(row) for row in (await conn.execute(query)).mappings()]


async def status_of(conn: AsyncConnection, identity: str, connector_id: int) -> str | None:
    query = select(connector_status.c.status).where(
        connector_status.c.identity == identity, connector_status.c.connector_id == connector_id
    )
    return (await conn.execute(query)).scalar_one_or_none()


async def status_time(conn: AsyncConnection, identity: str, connector_id: int) -> datetime | None:
    """Since when the connector's status holds, by the station's clock; None = it did not tell."""
    query = select(connector_status.c.status_at).where(
        connector_status.c.identity == identity, connector_status.c.connector_id == connector_id
    )
    return (await conn.execute(query)).scalar_one_or_none()
