"""What the controller saw and decided: a row a minute for each site, and their means of 15 and 60 minutes."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Float, Integer, Table, cast, extract, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from csms.storage.database import insert
from csms.storage.tables import control_memory, decisions, site_hours, site_minutes, site_quarters

POWERS = ("grid_w", "pv_w", "battery_w", "house_w", "controlled_w")
QUARTER_S, HOUR_S = 900, 3600


async def save_minute(conn: AsyncConnection, site_id: str, at: datetime, powers: dict[str, Any]) -> None:
    """powers: the keys of POWERS and loads_w, {load id: W}. The means it belongs to are formed anew."""
    row: dict[str, Any] = {name: powers.get(name) for name in POWERS}
    row["loads_w"] = powers.get("loads_w") or {}
    await _put(conn, site_minutes, {"site_id": site_id, "at": at}, row)
    await _form_mean(conn, site_minutes, site_quarters, QUARTER_S, site_id, at)
    await _form_mean(conn, site_quarters, site_hours, HOUR_S, site_id, at)


async def save_decision(
    conn: AsyncConnection, site_id: str, at: datetime, inputs: dict[str, Any], outcome: dict[str, Any]
) -> None:
    row = {
        "surplus_w": outcome.get("surplus_w"),
        "available_w": outcome.get("available_w"),
        "inputs": inputs,
        "outcome": outcome,
    }
    await _put(conn, decisions, {"site_id": site_id, "at": at}, row)


async def save_memory(conn: AsyncConnection, site_id: str, at: datetime, memory: dict[str, Any]) -> None:
    await _put(conn, control_memory, {"site_id": site_id}, {"at": at, "memory": memory})


async def load_memory(conn: AsyncConnection, site_id: str) -> tuple[datetime, dict[str, Any]] | None:
    query = select(control_memory.c.at, control_memory.c.memory).where(control_memory.c.site_id == site_id)
    row = (await conn.execute(query)).one_or_none()
    return (row.at, row.memory) if row is not None else None


async def means(
    conn: AsyncConnection, site_id: str, start: datetime, end: datetime, step_s: int
) -> list[dict[str, Any]]:
    """Means of each step that has values. [W] The first begins at `start`; `end` is not included.

    Steps of whole hours or quarters are read from the means kept of those: if `start` is not a whole
    quarter, they begin at the whole one before, and the one that `end` falls in counts as a whole.
    """
    table, whole_s = _source(start, step_s)
    start -= timedelta(seconds=start.timestamp() % whole_s)
    weight: ColumnElement[Any] = cast(1, Integer) if table is site_minutes else table.c.minutes
    # Whole seconds since start, whole steps: both dialects divide integers downwards here.
    slot = cast(extract("epoch", table.c.at) - int(start.timestamp()), Integer) // step_s
    within = (table.c.site_id == site_id, table.c.at >= start, table.c.at < end)
    steps = await _mean_powers(conn, table, slot, weight, within)
    for number, load_id, mean_w in await _load_means(conn, table, slot, weight, within):
        if mean_w is not None:
            steps[number]["loads_w"][load_id] = mean_w
    return [{"at": start + timedelta(seconds=n * step_s), **steps[n]} for n in sorted(steps)]


def _source(start: datetime, step_s: int) -> tuple[Table, int]:
    """The coarsest table that has the steps, and what its rows begin at whole multiples of. [s]"""
    starts_at_quarter = start.timestamp() % QUARTER_S == 0 and start.timestamp() % HOUR_S != 0
    if step_s % HOUR_S == 0 and not starts_at_quarter:
        return site_hours, HOUR_S
    return (site_quarters, QUARTER_S) if step_s % QUARTER_S == 0 else (site_minutes, 1)


async def load_decisions(
    conn: AsyncConnection, site_id: str, start: datetime, end: datetime, limit: int
) -> list[dict[str, Any]]:
    """Newest first."""
    query = (
        select(decisions)
        .where(decisions.c.site_id == site_id, decisions.c.at >= start, decisions.c.at < end)
        .order_by(decisions.c.at.desc())
        .limit(limit)
    )
    return [dict(row) for row in (await conn.execute(query)).mappings()]


async def _put(conn: AsyncConnection, table: Table, key: dict[str, Any], values: dict[str, Any]) -> None:
    new = insert(conn, table).values(**key, **values)
    await conn.execute(new.on_conflict_do_update(index_elements=list(key), set_=values))


async def _form_mean(
    conn: AsyncConnection, parts: Table, whole: Table, whole_s: int, site_id: str, at: datetime
) -> None:
    """Form anew the row of `whole` that `at` falls in, from the rows of `parts`."""
    start = at - timedelta(seconds=at.timestamp() % whole_s)
    end = start + timedelta(seconds=whole_s)
    query = select(parts).where(parts.c.site_id == site_id, parts.c.at >= start, parts.c.at < end)
    rows = [dict(row) for row in (await conn.execute(query)).mappings()]
    weights = [row.get("minutes", 1) for row in rows]
    mean: dict[str, Any] = {name: _mean([row[name] for row in rows], weights) for name in POWERS}
    loads = {load_id for row in rows for load_id in row["loads_w"]}
    mean["loads_w"] = {
        load: _mean([row["loads_w"].get(load) for row in rows], weights) for load in sorted(loads)
    }
    await _put(conn, whole, {"site_id": site_id, "at": start}, {**mean, "minutes": sum(weights)})


async def _mean_powers(
    conn: AsyncConnection,
    table: Table,
    slot: ColumnElement[int],
    weight: ColumnElement[Any],
    within: Iterable[ColumnElement[bool]],
) -> dict[int, dict[str, Any]]:
    columns = [_weighted_mean(table.c[name], weight).label(name) for name in POWERS]
    query = select(slot.label("slot"), *columns).where(*within).group_by("slot")
    rows = (await conn.execute(query)).mappings()
    return {row["slot"]: {**{name: row[name] for name in POWERS}, "loads_w": {}} for row in rows}


async def _load_means(
    conn: AsyncConnection,
    table: Table,
    slot: ColumnElement[int],
    weight: ColumnElement[Any],
    within: Iterable[ColumnElement[bool]],
) -> list[tuple[int, str, float]]:
    """The database takes the JSON apart: a year of it is too much to bring here."""
    unpack = func.json_each_text if conn.dialect.name == "postgresql" else func.json_each
    load = unpack(table.c.loads_w).table_valued("key", "value", joins_implicitly=True)
    mean_w = _weighted_mean(cast(load.c.value, Float), weight)
    query = select(slot.label("slot"), load.c.key, mean_w).where(*within).group_by("slot", load.c.key)
    return [(number, load_id, value) for number, load_id, value in await conn.execute(query)]


def _weighted_mean(value: ColumnElement[Any], weight: ColumnElement[Any]) -> ColumnElement[Any]:
    """Only rows that have a value count."""
    counted = cast(func.sum(weight).filter(value.is_not(None)), Float)
    return func.sum(value * weight) / func.nullif(counted, 0)


def _mean(values: list[float | None], weights: list[int]) -> float | None:
    """Of those that are known."""
    known = [(value, weight) for value, weight in zip(values, weights, strict=True) if value is not None]
    total = sum(weight for _, weight in known)
    return sum(value * weight for value, weight in known) / total if total else None
