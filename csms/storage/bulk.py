"""Rows that come in masses: many with one statement, without SQLAlchemy's cost for each value.

SQLite runs in a thread. A statement for many rows keeps that thread away from the interpreter's lock
while it works, where a statement for each row would wait for the lock once a row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from itertools import chain
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
    for at_once in (ROWS_AT_ONCE, 1):
        whole = len(written) - len(written) % at_once
        chunks = [tuple(chain.from_iterable(written[n : n + at_once])) for n in range(0, whole, at_once)]
        if chunks:
            await conn.exec_driver_sql(_insert(table.name, names, at_once), chunks)
        written = written[whole:]


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


def _written(rows: Sequence[tuple[Any, ...]], processes: list[tuple[int, Process]]) -> list[tuple[Any, ...]]:
    """The rows as the database's driver takes them: column by column."""
    columns: list[Any] = list(zip(*rows, strict=True))
    for position, process in processes:
        columns[position] = map(process, columns[position])
    return list(zip(*columns, strict=True))


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
