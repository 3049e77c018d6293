"""Rows that come in masses: many with one statement, without SQLAlchemy's cost for each value.

SQLite runs in a thread. A statement for many rows keeps that thread away from the interpreter's lock
while it works, where a statement for each row would wait for the lock once a row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, lru_cache, partial
from itertools import chain
from operator import itemgetter
from typing import Any

from sqlalchemy import ColumnElement, Dialect, Table, Update, bindparam, column
from sqlalchemy import table as table_clause
from sqlalchemy.ext.asyncio import AsyncConnection

from csms.storage import sqlite_driver
from csms.storage.database import insert
from csms.storage.tables import UtcTime, sqlite_times

ROWS_AT_ONCE = (256, 64, 16, 4, 1)
Row = dict[str, Any]
Process = Callable[[Any], Any]  # of a column's values
Columns = Mapping[str, ColumnElement[Any]]
UpdateBy = Callable[[Columns], Update]
Types = tuple[tuple[str, Any], ...]  # columns and their types


async def insert_rows(conn: AsyncConnection, table: Table, rows: Sequence[Row]) -> None:
    """Insert them all; those that some unique column forbids are left out. All rows have the same columns."""
    if rows:
        names = tuple(rows[0])
        await insert_tuples(conn, table, names, list(map(itemgetter(*names), rows)))


async def insert_tuples(
    conn: AsyncConnection, table: Table, names: tuple[str, ...], rows: Sequence[tuple[Any, ...]]
) -> None:
    """As `insert_rows`, of rows that are the values of these columns."""
    if not rows:
        return
    if conn.dialect.name != "sqlite":
        new = insert(conn, table).on_conflict_do_nothing()
        await conn.execute(new, [dict(zip(names, row, strict=True)) for row in rows])
        return
    written = _written(rows, _processes(table, names, conn.dialect))
    driver = await _driver(conn)
    for at_once, chunks in _chunks(written):
        driver.execute_later(_insert(table.name, names, at_once), chunks)


async def update_rows(
    conn: AsyncConnection, update_by: UpdateBy, types: Types, rows: Sequence[tuple[Any, ...]]
) -> None:
    """Update a table by rows of these columns, in order.

    update_by: the statement for given columns; by the first of them it finds what is to be updated.
    """
    if not rows:
        return
    if conn.dialect.name != "sqlite":
        statement = update_by({name: bindparam(name, type_=type_) for name, type_ in types})
        await conn.execute(statement, [dict(zip(dict(types), row, strict=True)) for row in rows])
        return
    written = _written(rows, _writing([type_ for _, type_ in types], conn.dialect))
    driver = await _driver(conn)
    for some in _in_turn(written):
        for at_once, chunks in _chunks(some):
            driver.execute_later(_update(update_by, types, conn.dialect, at_once), chunks)


async def _driver(conn: AsyncConnection) -> sqlite_driver.Connection:
    driver = (await conn.get_raw_connection()).driver_connection
    assert isinstance(driver, sqlite_driver.Connection)
    return driver


def _in_turn(rows: list[tuple[Any, ...]]) -> list[list[tuple[Any, ...]]]:
    """Rows for the same one of the table come one after the other: of several a statement would take any."""
    turns: list[list[tuple[Any, ...]]] = []
    seen: Counter[Any] = Counter()
    for row in rows:
        turn = seen[row[0]]
        seen[row[0]] += 1
        if turn == len(turns):
            turns.append([])
        turns[turn].append(row)
    return turns


def _chunks(rows: list[tuple[Any, ...]]) -> Iterator[tuple[int, list[tuple[Any, ...]]]]:
    """As parameters of statements for many rows, and for fewer where fewer are left: how many, and these."""
    begin = 0
    for at_once in ROWS_AT_ONCE:
        end = len(rows) - (len(rows) - begin) % at_once
        if end > begin:
            chunks = [rows[n : n + at_once] for n in range(begin, end, at_once)]
            yield at_once, [tuple(chain.from_iterable(chunk)) for chunk in chunks]
        begin = end


def _written(rows: Sequence[tuple[Any, ...]], processes: list[tuple[int, Process]]) -> list[tuple[Any, ...]]:
    """The rows as the database's driver takes them: column by column."""
    columns: list[Any] = list(zip(*rows, strict=True))
    for position, process in processes:
        columns[position] = process(columns[position])
    return list(zip(*columns, strict=True))


@lru_cache(100)
def _processes(table: Table, names: tuple[str, ...], dialect: Dialect) -> list[tuple[int, Process]]:
    return _writing([table.c[name].type for name in names], dialect)


def _writing(types: Sequence[Any], dialect: Dialect) -> list[tuple[int, Process]]:
    """Of the columns whose values are not written as they are: their positions, and how they are written."""
    found = [_column_process(type_, dialect) for type_ in types]
    return [(position, process) for position, process in enumerate(found) if process is not None]


def _column_process(type_: Any, dialect: Dialect) -> Process | None:
    """The function that makes values of this type such as the database's driver takes; None: they are."""
    if isinstance(type_, UtcTime):
        return sqlite_times
    process = type_.dialect_impl(dialect).bind_processor(dialect)
    return None if process is None else partial(map, process)


@cache
def _insert(table: str, names: tuple[str, ...], rows: int) -> str:
    places = _places(len(names), rows)
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES {places} ON CONFLICT DO NOTHING"


@lru_cache(100)
def _update(update_by: UpdateBy, types: Types, dialect: Dialect, rows: int) -> str:
    given = table_clause("given", *(column(name, type_) for name, type_ in types))
    statement = update_by(dict(given.c)).compile(dialect=dialect, compile_kwargs={"literal_binds": True})
    return f"WITH given ({', '.join(given.c.keys())}) AS (VALUES {_places(len(types), rows)}) {statement}"


def _places(columns: int, rows: int) -> str:
    return ", ".join([f"({', '.join('?' * columns)})"] * rows)
