"""Sites as described: one row a part, from which an equal `SiteConfig` is built again."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ValidationError
from sqlalchemy import Table, delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from csms.domain.site import SiteConfig
from csms.storage.database import insert
from csms.storage.tables import (
    appliances,
    circuits,
    load_modes,
    meters,
    plug_in_wishes,
    relay_modules,
    site_charge_points,
    sites,
)

PART_TABLES: dict[str, Table] = {
    "circuit": circuits,
    "meter": meters,
    "relay_module": relay_modules,
    "appliance": appliances,
    "charge_point": site_charge_points,
}
SINGLE_PARTS = ("battery", "load_shedding")


async def load_all(conn: AsyncConnection) -> tuple[list[SiteConfig], dict[str, ValidationError]]:
    """Every site, in the order they were first applied; and by id what is wrong with those that an older
    version took and this one does not."""
    rows = (await conn.execute(select(sites).order_by(sites.c.position, sites.c.id))).mappings().all()
    described = {row["id"]: _split(row["config"]) for row in rows}
    for kind, table in PART_TABLES.items():
        for row in (await conn.execute(select(table).order_by(table.c.position))).mappings():
            described[row["site_id"]].setdefault(kind, []).append(row["config"])
    fit: list[SiteConfig] = []
    unfit: dict[str, ValidationError] = {}
    for id, site in described.items():
        try:
            fit.append(SiteConfig.model_validate(site))
        except ValidationError as fault:
            unfit[id] = fault
    return fit, unfit


async def save(conn: AsyncConnection, site: SiteConfig) -> None:
    """Replace the site's whole description; modes set by hand stay for the loads that it still has."""
    info = _config(site.site) | {
        key: _config(part) for key in SINGLE_PARTS if (part := getattr(site, key)) is not None
    }
    position = select(func.coalesce(func.max(sites.c.position), 0) + 1).scalar_subquery()
    new = insert(conn, sites).values(id=site.site.id, position=position, config=info)
    await conn.execute(new.on_conflict_do_update(index_elements=["id"], set_={"config": info}))
    for kind, table in PART_TABLES.items():
        await conn.execute(delete(table).where(table.c.site_id == site.site.id))
        rows = [
            {"site_id": site.site.id, "id": part.id, "position": position, "config": _config(part)}
            for position, part in enumerate(getattr(site, kind))
        ]
        if rows:
            await conn.execute(insert(conn, table), rows)
    for table in (load_modes, plug_in_wishes):
        gone = (table.c.site_id == site.site.id) & table.c.load_id.not_in(load_ids(site))
        await conn.execute(delete(table).where(gone))


async def remove(conn: AsyncConnection, site_id: str) -> None:
    """With everything that describes it; what was recorded of it stays."""
    await conn.execute(delete(sites).where(sites.c.id == site_id))


async def charge_point_identities(conn: AsyncConnection) -> set[str]:
    """The charge points that some site names."""
    return set((await conn.execute(select(site_charge_points.c.id))).scalars())


async def load_modes_set(conn: AsyncConnection) -> dict[tuple[str, str], tuple[str, Any]]:
    """(site id, load id) -> (mode, manual) as set by hand."""
    rows = (await conn.execute(select(load_modes))).mappings()
    return {(row["site_id"], row["load_id"]): (row["mode"], row["manual"]) for row in rows}


async def save_load_mode(
    conn: AsyncConnection, site_id: str, load_id: str, mode: str, manual: Any, now: datetime
) -> None:
    """manual: the steps that are on (appliance) or a current in A (connector), for mode "manual"."""
    values = {"mode": mode, "manual": manual, "set_at": now}
    new = insert(conn, load_modes).values(site_id=site_id, load_id=load_id, **values)
    await conn.execute(new.on_conflict_do_update(index_elements=["site_id", "load_id"], set_=values))


def load_ids(site: SiteConfig) -> list[str]:
    """Appliances by their id, connectors as "CP1/1"."""
    connectors = [f"{point.id}/{c.id}" for point in site.charge_point for c in point.connectors]
    return [appliance.id for appliance in site.appliance] + connectors


def _split(config: dict[str, Any]) -> dict[str, Any]:
    """A site's row: its own keys, and beside them the parts of which it has one at most."""
    single = {key: config[key] for key in SINGLE_PARTS if key in config}
    return {"site": {key: value for key, value in config.items() if key not in single}, **single}


def _config(part: BaseModel) -> dict[str, Any]:
    """The part's keys as in the site file, what was left out left out."""
    return part.model_dump(mode="json", by_alias=True, exclude_unset=True)
