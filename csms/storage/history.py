"""What the controller saw and decided: a row a minute for each site, and their means of 15 and 60 minutes."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Float, Integer, Table, cast, delete, extract, func, select
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
    # Whole seconds since start, whole steps: both dialects divide integers downwards here.
    slot = cast(extract("epoch", table.c.at) - int(start.timestamp()), Integer) // step_s
    loads = await _load_ids(conn, site_id, start, end)
    measured = [table.c[name] for name in POWERS] + [table.c.loads_w[load].as_float() for load in loads]
    query = (
        select(slot.label("slot"), *(_mean_of(table, value) for value in measured))
        .where(table.c.site_id == site_id, table.c.at >= start, table.c.at < end)
        .group_by("slot")
        .order_by("slot")
    )
    steps = []
    for number, *values in await conn.execute(query):
        powers, loads_w = values[: len(POWERS)], values[len(POWERS) :]
        step: dict[str, Any] = {"at": start + timedelta(seconds=number * step_s)}
        step |= zip(POWERS, powers, strict=True)
        step["loads_w"] = {load: w for load, w in zip(loads, loads_w, strict=True) if w is not None}
        steps.append(step)
    return steps


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


async def remove_decisions_before(conn: AsyncConnection, end: datetime, at_most: int) -> int:
    """Remove some of the oldest; returns how many went. Whatever site decides has a memory."""
    d, removed = decisions.c, 0
    for site_id in (await conn.execute(select(control_memory.c.site_id))).scalars().all():
        of_site = (d.site_id == site_id, d.at < end)
        oldest = select(d.at).where(*of_site).order_by(d.at).limit(at_most - removed)
        removed += (await conn.execute(delete(decisions).where(*of_site, d.at.in_(oldest)))).rowcount
    return removed


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


async def _load_ids(conn: AsyncConnection, site_id: str, start: datetime, end: datetime) -> list[str]:
    """The loads that had a power then, told by the hours. To ask for each by name is several times faster
    than to let the database take every minute's JSON apart."""
    hours = site_hours.c
    start -= timedelta(seconds=start.timestamp() % HOUR_S)
    unpack = func.json_each_text if conn.dialect.name == "postgresql" else func.json_each
    load = unpack(hours.loads_w).table_valued("key", "value", joins_implicitly=True)
    within = (hours.site_id == site_id, hours.at >= start, hours.at < end)
    return list((await conn.execute(select(load.c.key).distinct().where(*within).order_by("key"))).scalars())


def _mean_of(table: Table, value: ColumnElement[Any]) -> ColumnElement[Any]:
    """Only rows that have a value count, each as many times as it has minutes."""
    if table is site_minutes:
        return func.avg(value)
    counted = cast(func.sum(table.c.minutes).filter(value.is_not(None)), Float)
    return func.sum(value * table.c.minutes) / func.nullif(counted, 0)


def _mean(values: list[float | None], weights: list[int]) -> float | None:
    """Of those that are known."""
    known = [(value, weight) for value, weight in zip(values, weights, strict=True) if value is not None]
    total = sum(weight for _, weight in known)
    return sum(value * weight for value, weight in known) / total if total else None
