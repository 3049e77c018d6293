"""Rows that come in masses: many with one statement, without SQLAlchemy's cost for each value.

SQLite runs in a thread. A statement for many rows keeps that thread away from the interpreter's lock
while it works, where a statement for each row would wait for the lock once a row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from itertools import chain
from operator import itemgetter
from typing import Any

from sqlalchemy import ColumnElement, Dialect, Table, Update, bindparam, column
from sqlalchemy import table as table_clause
from sqlalchemy.ext.asyncio import AsyncConnection

from csms.storage import sqlite_driver
from csms.storage.database import Change, insert
from csms.storage.tables import UtcTime, sqlite_times

MOST_ROWS_AT_ONCE = 512
Row = dict[str, Any]
Process = Callable[[Any], Any]  # of a column's values
Columns = Mapping[str, ColumnElement[Any]]
UpdateBy = Callable[[Columns], Update]
Types = tuple[tuple[str, Any], ...]  # columns and their types
Statement = tuple[str, list[tuple[Any, ...]]]  # SQL, and its parameters each time


@dataclass(frozen=True, slots=True)
class Insert:
    """Rows that are the values of these columns; those that some unique column forbids are left out.

    is_unique: one of the columns is, so that a row is never there twice.
    """

    table: Table
    names: tuple[str, ...]
    rows: Sequence[tuple[Any, ...]]
    is_unique: bool = False

    def statements(self, dialect: Dialect) -> Iterator[Statement]:
        if not self.rows:
            return
        written = _written(self.rows, _processes(self.table, self.names, dialect))
        for at_once, chunks in _chunks(written, self.is_unique):
            yield _insert(self.table.name, self.names, at_once), chunks

    async def execute(self, conn: AsyncConnection) -> None:
        if not self.rows:
            return
        new = insert(conn, self.table).on_conflict_do_nothing()
        await conn.execute(new, [dict(zip(self.names, row, strict=True)) for row in self.rows])


@dataclass(frozen=True, slots=True)
class UpdateRows:
    """Update a table by rows of these columns, in order.

    update_by: the statement for given columns; by the first of them it finds what is to be updated.
    """

    update_by: UpdateBy
    types: Types
    rows: Sequence[tuple[Any, ...]]

    def statements(self, dialect: Dialect) -> Iterator[Statement]:
        if not self.rows:
            return
        written = _written(self.rows, _writing([type_ for _, type_ in self.types], dialect))
        for some in _in_turn(written):
            for at_once, chunks in _chunks(some, True):
                yield _update(self.update_by, self.types, dialect, at_once), chunks

    async def execute(self, conn: AsyncConnection) -> None:
        if not self.rows:
            return
        statement = self.update_by({name: bindparam(name, type_=type_) for name, type_ in self.types})
        await conn.execute(statement, [dict(zip(dict(self.types), row, strict=True)) for row in self.rows])


def insert_of(table: Table, rows: Sequence[Row], is_unique: bool = False) -> Insert:
    """All rows have the same columns."""
    names = tuple(rows[0]) if rows else ()
    return Insert(table, names, list(map(itemgetter(*names), rows)) if rows else [], is_unique)


async def write(conn: AsyncConnection, *changes: Change) -> None:
    """In a transaction with others. Rows of a SQLite database go along with what comes next in it."""
    for change in changes:
        if conn.dialect.name != "sqlite":
            await change.execute(conn)
            continue
        driver = await _driver(conn)
        for sql, rows in change.statements(conn.dialect):
            driver.execute_later(sql, rows)


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


def _chunks(rows: list[tuple[Any, ...]], may_repeat: bool) -> Iterator[tuple[int, list[tuple[Any, ...]]]]:
    """As parameters of statements for 1, 2, 4 … rows: how many, and these.

    may_repeat: a row that comes twice changes nothing, so that one statement serves whatever is left.
    """
    begin = 0
    while (left := len(rows) - begin) > 0:
        enough = 1 << ((left - 1).bit_length() if may_repeat else left.bit_length() - 1)
        at_once = min(enough, MOST_ROWS_AT_ONCE)
        chunk = rows[begin : begin + at_once]
        chunk += chunk[-1:] * (at_once - len(chunk))
        yield at_once, [tuple(chain.from_iterable(chunk))]
        begin += at_once


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
