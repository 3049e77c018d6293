"""Transactions and meter values: what was charged, exactly once.

A transaction whose `stop_received_at` is empty although `stopped_at` is set was closed by us as
lost; a StopTransaction that comes after all corrects it. `last_register_wh` only rises.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    Update,
    and_,
    case,
    delete,
    exists,
    func,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from csms.domain.charge_point import LARGEST_FIRST_RISE_WH, UNKNOWN_REGISTER_WH
from csms.storage.bulk import Columns, Insert, UpdateRows, insert_of, write
from csms.storage.database import insert
from csms.storage.tables import id_tags, meter_values, tag_phases, transactions, unmatched_stops

HIGHEST_ADOPTED_ID = 2**30  # OCPP's integers end at 2**31 − 1
MOST_LOOKED_AT = 100  # of what a station has left open; one may make up any number
LOST = "Lost"  # stop_reason of a transaction that we closed ourselves
Row = dict[str, Any]
t = transactions.c
_MIN_A = (
    select(id_tags.c.min_a).where(id_tags.c.id_tag == func.lower(func.trim(t.id_tag))).scalar_subquery()
).label("min_a")
_USUAL_PHASES = (
    select(tag_phases.c.phases)
    .where(tag_phases.c.id_tag == func.lower(func.trim(t.id_tag)))
    .scalar_subquery()
).label("usual_phases")


async def open_transactions(conn: AsyncConnection) -> list[Row]:
    """Every transaction not stopped, oldest first."""
    return await _rows(conn, t.stopped_at.is_(None))


async def open_on_connector(conn: AsyncConnection, identity: str, connector_id: int) -> list[Row]:
    return await _rows(conn, t.identity == identity, t.connector_id == connector_id, t.stopped_at.is_(None))


async def by_id(conn: AsyncConnection, identity: str, transaction_id: int) -> Row | None:
    """Only if it is this station's."""
    return _last(await _rows(conn, t.identity == identity, t.id == transaction_id))


async def with_id(conn: AsyncConnection, transaction_id: int) -> Row | None:
    """Whose ever it is."""
    return _last(await _rows(conn, t.id == transaction_id))


async def last_stopped(conn: AsyncConnection, identity: str, connector_id: int) -> Row | None:
    """The one of the connector that was stopped last."""
    newest = select(t.id).where(t.identity == identity, t.connector_id == connector_id)
    newest = newest.where(t.stopped_at.is_not(None)).order_by(t.stopped_at.desc(), t.id.desc()).limit(1)
    return _last(await _rows(conn, t.id == newest.scalar_subquery()))


async def duplicate_start(
    conn: AsyncConnection,
    identity: str,
    connector_id: int,
    id_tag: str,
    started_at: datetime | None,
    meter_start_wh: float | None,
) -> Row | None:
    """The transaction this StartTransaction has begun before. Without a time: one that is still open.

    meter_start_wh: None = the station did not know it; it may also be that it did not know it before.
    """
    same = [t.identity == identity, t.connector_id == connector_id, t.id_tag == id_tag]
    same.append(t.stopped_at.is_(None) if started_at is None else t.started_at == started_at)
    if meter_start_wh is not None:
        same.append(t.meter_start_wh.in_((meter_start_wh, UNKNOWN_REGISTER_WH)))
    return _last(await _rows(conn, *same))


async def begun_before_clock_was_set(
    conn: AsyncConnection,
    identity: str,
    connector_id: int,
    id_tag: str,
    meter_start_wh: float,
    clock_set_after: datetime,
) -> Row | None:
    """An open transaction whose start was told when the station did not know the time yet."""
    same = [t.identity == identity, t.connector_id == connector_id, t.id_tag == id_tag]
    return _last(
        await _rows(
            conn,
            *same,
            t.meter_start_wh == meter_start_wh,
            t.started_at <= clock_set_after,
            t.stopped_at.is_(None),
        )
    )


async def repeated_stop(
    conn: AsyncConnection,
    identity: str,
    stopped_at: datetime | None,
    meter_stop_wh: float | None,
    id_tag: str | None,
) -> Row | None:
    """The transaction that a stop without a usable transaction id has ended before.

    stopped_at, meter_stop_wh: None = the station did not tell; not both. id_tag: of the stop.
    """
    same = [t.identity == identity, t.stop_received_at.is_not(None)]
    same.append(t.stop_id_tag.is_(None) if id_tag is None else t.stop_id_tag == id_tag)
    if stopped_at is not None:
        same.append(t.stopped_at == stopped_at)
    if meter_stop_wh is not None:
        same.append(t.meter_stop_wh == meter_stop_wh)
    return _last(await _rows(conn, *same))


async def stoppable(
    conn: AsyncConnection, identity: str, stopped_at: datetime, meter_stop_wh: float | None
) -> list[Row]:
    """Transactions, oldest first, that a stop without a usable transaction id may be meant for: the newest.

    meter_stop_wh: None = the station did not know it; then only those that run.
    """
    fitting = [t.identity == identity, t.stop_received_at.is_(None), t.started_at <= stopped_at]
    if meter_stop_wh is None:
        fitting.append(t.stopped_at.is_(None))
    else:
        fitting.append(func.coalesce(t.last_register_wh, t.meter_start_wh) <= meter_stop_wh)
    newest = select(t.id).where(*fitting).order_by(t.started_at.desc(), t.id.desc()).limit(MOST_LOOKED_AT)
    return await _rows(conn, t.id.in_(newest))


async def running_at(conn: AsyncConnection, identity: str, connector_id: int, at: datetime) -> Row | None:
    """The transaction that ran on the connector at a time, or is still open.

    Only the last one begun before: where one was taken for lost, its end may be said later than that.
    """
    query = (
        select(transactions)
        .where(t.identity == identity, t.connector_id == connector_id, t.started_at <= at)
        .order_by(t.started_at.desc(), t.id.desc())
    )
    row = await _first(conn, query)
    return row if row is None or row["stopped_at"] is None or row["stopped_at"] >= at else None


async def successor(conn: AsyncConnection, transaction: Row) -> Row | None:
    """The next transaction on its connector."""
    query = (
        select(transactions)
        .where(
            t.identity == transaction["identity"],
            t.connector_id == transaction["connector_id"],
            t.id != transaction["id"],
            t.started_at >= transaction["started_at"],
        )
        .order_by(t.started_at, t.id)
    )
    return await _first(conn, query)


async def last_register_wh(conn: AsyncConnection, identity: str, connector_id: int) -> float | None:
    """What the connector's meter was last known to show."""
    m = meter_values.c
    query = (
        select(m.energy_wh)
        .where(m.identity == identity, m.connector_id == connector_id, m.energy_wh.is_not(None))
        .order_by(m.measured_at.desc())
        .limit(1)
    )
    return (await conn.execute(query)).scalar_one_or_none()


async def count_open_with_tag(conn: AsyncConnection, id_tag: str) -> int:
    query = select(func.count()).where(t.stopped_at.is_(None), func.lower(t.id_tag) == id_tag.lower())
    return (await conn.execute(query)).scalar_one()


async def start(conn: AsyncConnection, **values: Any) -> int:
    """Record a transaction (columns of the table); returns its id, positive and never used before."""
    new = insert(conn, transactions).values(**values).returning(t.id)
    transaction_id: int = (await conn.execute(new)).scalar_one()
    return transaction_id


async def adopt(conn: AsyncConnection, transaction_id: int, **values: Any) -> Row | None:
    """Record a transaction under an id that the station has from elsewhere; None if that cannot be.

    It cannot if we gave the id to another, or if too few ids would be left to count on from there.
    """
    if not 0 < transaction_id <= HIGHEST_ADOPTED_ID:
        return None
    new = insert(conn, transactions).values(id=transaction_id, **values).on_conflict_do_nothing()
    if (await conn.execute(new.returning(t.id))).first() is None:
        return None
    if conn.dialect.name == "postgresql":  # SQLite counts on from the highest id by itself
        await conn.execute(
            select(func.setval(func.pg_get_serial_sequence("transactions", "id"), func.max(t.id)))
        )
    return (await _rows(conn, t.id == transaction_id))[0]


async def close_as_lost(
    conn: AsyncConnection, transaction: Row, at: datetime, note: str | None = None
) -> None:
    """End it with its best known register: when that was read, or `at` if nothing was. note: of a person."""
    await _set(
        conn,
        transaction["id"],
        stopped_at=transaction["last_register_at"] or at,
        meter_stop_wh=best_register_wh(transaction),
        stop_reason=LOST,
        close_note=note,
    )


async def reopen(conn: AsyncConnection, transaction_id: int) -> None:
    """It was closed as lost, but its station goes on with it."""
    nothing = dict.fromkeys(("stopped_at", "meter_stop_wh", "stop_reason", "close_note"))
    await _set(conn, transaction_id, **nothing)


async def stop(conn: AsyncConnection, transaction_id: int, **values: Any) -> None:
    await _set(conn, transaction_id, **values)


Register = tuple[int, float, datetime]


async def raise_registers(conn: AsyncConnection, readings: Sequence[Register]) -> None:
    """As `raised_registers`."""
    await write(conn, raised_registers(readings))


def raised_registers(readings: Sequence[Register]) -> UpdateRows:
    """(transaction id, register [Wh], read at): kept unless it falls or a stop has settled the matter.

    The first one is also where a transaction began whose station did not tell, or told another register.
    """
    return UpdateRows(_raise_register, _REGISTERS, readings)


_REGISTERS = (("transaction_id", t.id.type), ("wh", t.last_register_wh.type), ("at", t.last_register_at.type))


def _raise_register(read: Columns) -> Update:
    other, wh = transactions.alias("other"), read["wh"]
    is_of_the_same_start = exists().where(  # two starts may differ by their register only
        *(other.c[name] == t[name] for name in ("identity", "connector_id", "id_tag", "started_at")),
        other.c.meter_start_wh == wh,
    )
    has_other_start = and_(
        t.last_register_wh.is_(None),
        t.meter_start_wh != UNKNOWN_REGISTER_WH,
        wh - t.meter_start_wh > LARGEST_FIRST_RISE_WH,
    )
    return (
        update(transactions)
        .where(
            t.id == read["transaction_id"],
            t.stop_received_at.is_(None),
            func.coalesce(t.last_register_wh, t.meter_start_wh) <= wh,
        )
        .values(
            last_register_wh=wh,
            last_register_at=read["at"],
            meter_start_wh=case(
                (has_other_start, wh),
                (t.meter_start_wh != UNKNOWN_REGISTER_WH, t.meter_start_wh),
                (is_of_the_same_start, t.meter_start_wh),
                else_=wh,
            ),
        )
    )


async def save_meter_values(conn: AsyncConnection, rows: Sequence[Row]) -> None:
    """As `new_meter_values`."""
    await write(conn, new_meter_values(rows))


def new_meter_values(rows: Sequence[Row]) -> Insert:
    """Columns of the table, the same in each row; one whose dedup_key is there already is left out."""
    return insert_of(meter_values, rows, is_unique=True)


async def claim_meter_values(
    conn: AsyncConnection, transaction: Row, end: datetime
) -> tuple[float, datetime] | None:
    """Values of the connector that came before we knew of the transaction become its own.

    Answers the highest register among them, and when it was read.
    """
    m = meter_values.c
    within = (
        m.identity == transaction["identity"],
        m.connector_id == transaction["connector_id"],
        m.measured_at >= transaction["started_at"],
        m.measured_at <= end,
        m.transaction_id.is_(None),
    )
    highest = select(m.energy_wh, m.measured_at).where(*within, m.energy_wh.is_not(None))
    found = (await conn.execute(highest.order_by(m.energy_wh.desc()).limit(1))).one_or_none()
    await conn.execute(update(meter_values).where(*within).values(transaction_id=transaction["id"]))
    return None if found is None else (found.energy_wh, found.measured_at)


async def has_register_below(conn: AsyncConnection, transaction_id: int, wh: float) -> bool:
    """Was a register below this one read in the transaction?"""
    m = meter_values.c
    lower = select(m.id).where(m.transaction_id == transaction_id, m.energy_wh < wh)
    return (await conn.execute(lower.limit(1))).first() is not None


async def remove_meter_values_before(conn: AsyncConnection, end: datetime, at_most: int) -> int:
    """Remove some of the oldest; returns how many went. They are numbered as they came, so the oldest are
    found without an index on the time."""
    oldest = select(meter_values.c.id, meter_values.c.received_at)
    first = oldest.order_by(meter_values.c.id).limit(at_most).subquery()
    old = select(first.c.id).where(first.c.received_at < end)
    return (await conn.execute(delete(meter_values).where(meter_values.c.id.in_(old)))).rowcount


async def unmatched_stop(conn: AsyncConnection, dedup_key: str) -> Row | None:
    query = select(unmatched_stops).where(unmatched_stops.c.dedup_key == dedup_key)
    row = (await conn.execute(query)).mappings().one_or_none()
    return dict(row) if row is not None else None


async def unmatched_stops_since(conn: AsyncConnection, identity: str, since: datetime) -> list[Row]:
    query = (
        select(unmatched_stops)
        .where(
            unmatched_stops.c.identity == identity,
            unmatched_stops.c.stopped_at >= since,
            unmatched_stops.c.transaction_id.is_(None),
        )
        .order_by(unmatched_stops.c.stopped_at)
        .limit(MOST_LOOKED_AT)
    )
    return [dict(row) for row in (await conn.execute(query)).mappings()]


async def save_unmatched_stop(conn: AsyncConnection, **values: Any) -> None:
    await conn.execute(insert(conn, unmatched_stops).values(**values))


async def match_stop(conn: AsyncConnection, stop_id: int, transaction_id: int) -> None:
    await conn.execute(
        update(unmatched_stops).where(unmatched_stops.c.id == stop_id).values(transaction_id=transaction_id)
    )


async def remove_unmatched_stops_before(conn: AsyncConnection, end: datetime, at_most: int) -> int:
    """As with meter values, also those that were matched: their transaction holds what they said."""
    oldest = select(unmatched_stops.c.id, unmatched_stops.c.received_at)
    first = oldest.order_by(unmatched_stops.c.id).limit(at_most).subquery()
    old = select(first.c.id).where(first.c.received_at < end)
    return (await conn.execute(delete(unmatched_stops).where(unmatched_stops.c.id.in_(old)))).rowcount


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which transactions. None = whatever. Begun from `start` to before `end`."""

    identity: str | None = None
    connector_id: int | None = None
    id_tag: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    open_only: bool = False
    lost_only: bool = False

    def conditions(self) -> list[ColumnElement[bool]]:
        equal = {
            t.identity: self.identity,
            t.connector_id: self.connector_id,
            func.lower(t.id_tag): self.id_tag.lower() if self.id_tag is not None else None,
        }
        found = [column == value for column, value in equal.items() if value is not None]
        if self.start is not None:
            found.append(t.started_at >= self.start)
        if self.end is not None:
            found.append(t.started_at < self.end)
        if self.open_only:
            found.append(t.stopped_at.is_(None))
        if self.lost_only:
            found.append(t.stop_reason == LOST)
        return found


async def search(conn: AsyncConnection, wanted: Wanted, limit: int, before_id: int | None) -> list[Row]:
    """Newest first."""
    query = select(transactions).where(*wanted.conditions()).order_by(t.id.desc()).limit(limit)
    if before_id is not None:
        query = query.where(t.id < before_id)
    return [dict(row) for row in (await conn.execute(query)).mappings()]


async def totals(conn: AsyncConnection, wanted: Wanted) -> Row:
    """sessions, energy_wh, running, lost: of all that are wanted."""
    query = select(
        func.count().label("sessions"),
        func.coalesce(func.sum(_ENERGY_WH), 0.0).label("energy_wh"),
        func.count(case((t.stopped_at.is_(None), 1))).label("running"),
        func.count(case((t.stop_reason == LOST, 1))).label("lost"),
    ).where(*wanted.conditions())
    return dict((await conn.execute(query)).mappings().one())


async def use_of_tags(conn: AsyncConnection, since: datetime) -> list[Row]:
    """For each id tag that ever charged, in lower case: id_tag, energy_wh of what began since then, and where
    and when the last one began (identity, started_at)."""
    tag = func.lower(func.trim(t.id_tag))
    recent_wh = case((t.started_at >= since, _ENERGY_WH), else_=0.0)
    used = select(
        tag.label("id_tag"), func.max(t.id).label("last_id"), func.sum(recent_wh).label("energy_wh")
    )
    use = used.group_by(tag).subquery()
    query = select(use.c.id_tag, use.c.energy_wh, t.identity, t.started_at).join(use, use.c.last_id == t.id)
    return [dict(row) for row in (await conn.execute(query)).mappings()]


def _highest(*registers: ColumnElement[Any]) -> ColumnElement[Any]:
    """As `max`, of which databases have different names."""
    highest, *others = registers
    for other in others:
        highest = case((other > highest, other), else_=highest)
    return highest


_ENERGY_WH = _highest(t.meter_start_wh, t.last_register_wh, t.meter_stop_wh) - t.meter_start_wh


def best_register_wh(transaction: Row) -> float:
    """The highest register known of it; never below where it began."""
    known = (transaction["meter_start_wh"], transaction["last_register_wh"], transaction["meter_stop_wh"])
    return float(max(register for register in known if register is not None))


async def _rows(conn: AsyncConnection, *conditions: ColumnElement[bool]) -> list[Row]:
    """With the minimum current of the vehicle that comes with the tag."""
    query = select(transactions, _MIN_A, _USUAL_PHASES).where(*conditions).order_by(t.started_at, t.id)
    return [dict(row) for row in (await conn.execute(query)).mappings()]


async def _first(conn: AsyncConnection, query: Select[Any]) -> Row | None:
    row = (await conn.execute(query.limit(1))).mappings().one_or_none()
    return dict(row) if row is not None else None


def _last(rows: list[Row]) -> Row | None:
    return rows[-1] if rows else None


async def _set(conn: AsyncConnection, transaction_id: int, **values: Any) -> None:
    await conn.execute(update(transactions).where(t.id == transaction_id).values(**values))
