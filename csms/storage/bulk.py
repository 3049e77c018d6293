"""Rows that come in masses: many with one statement, without SQLAlchemy's cost for each value.

SQLite runs in a thread. A statement for many rows keeps that thread away from the interpreter's lock
while it works, where a statement for each row would wait for the lock once a row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from operator import itemgetter
from typing import Any

from sqlalchemy import Dialect, Table, Update
from sqlalchemy.ext.asyncio import AsyncConnection

from csms.storage.database import insert

ROWS_AT_ONCE = 64
Row = dict[str, Any]
Process = Callable[[Any], Any]


async def insert_rows(conn: AsyncConnection, table: Table, rows: Sequence[Row]) -> None:
    """Insert them all; those that some unique column forbids are left out. All rows have the same columns."""
    if not rows:
        return
    if conn.dialect.name != "sqlite":
        await conn.execute(insert(conn, table).on_conflict_do_nothing(), list(rows))
        return
    names = tuple(rows[0])
    values = _values(table, names, conn.dialect, rows)
    whole = len(values) - len(values) % ROWS_AT_ONCE
    if whole:
        chunks = [
            tuple([value for row in values[n : n + ROWS_AT_ONCE] for value in row])
            for n in range(0, whole, ROWS_AT_ONCE)
        ]
        await conn.exec_driver_sql(_insert(table.name, names, ROWS_AT_ONCE), chunks)
    if whole < len(values):
        rest = [tuple(row) for row in values[whole:]]
        await conn.exec_driver_sql(_insert(table.name, names, 1), rest)


async def update_rows(conn: AsyncConnection, statement: Update, rows: Sequence[Row]) -> None:
    """Execute the statement once for each row of its bound parameters. statement: one that is kept."""
    if not rows:
        return
    if conn.dialect.name != "sqlite":
        await conn.execute(statement, list(rows))
        return
    text, parameters = _compiled(statement, conn.dialect)
    values = [tuple([process(row.get(name, fixed)) for name, process, fixed in parameters]) for row in rows]
    await conn.exec_driver_sql(text, values)


@lru_cache(100)
def _compiled(statement: Update, dialect: Dialect) -> tuple[str, list[tuple[str, Process, Any]]]:
    """The SQL text, and each of its parameters in order: name, how it is written, its value if it has one."""
    compiled = statement.compile(dialect=dialect)
    return compiled.string, [
        (name, _bind_process(compiled.binds[name].type, dialect), compiled.params[name])
        for name in compiled.positiontup or ()
    ]


def _values(table: Table, names: tuple[str, ...], dialect: Dialect, rows: Sequence[Row]) -> list[list[Any]]:
    """Each row's values in the order of names, as the database's driver takes them."""
    processes, take = _processes(table, names, dialect), itemgetter(*names)
    values = [list(take(row)) for row in rows]
    for position, process in processes:
        for row_values in values:
            row_values[position] = process(row_values[position])
    return values


@lru_cache(100)
def _processes(table: Table, names: tuple[str, ...], dialect: Dialect) -> list[tuple[int, Process]]:
    """Of the columns whose values are not written as they are: their positions, and how they are written."""
    found = [_bind_process(table.c[name].type, dialect) for name in names]
    return [(position, process) for position, process in enumerate(found) if process is not _as_it_is]


def _bind_process(type_: Any, dialect: Dialect) -> Process:
    """The function that makes a value of this type one for the database's driver."""
    return type_.dialect_impl(dialect).bind_processor(dialect) or _as_it_is


def _as_it_is(value: Any) -> Any:
    return value


@cache
def _insert(table: str, names: tuple[str, ...], rows: int) -> str:
    one = f"({', '.join('?' * len(names))})"
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES {', '.join([one] * rows)} ON CONFLICT DO NOTHING"
