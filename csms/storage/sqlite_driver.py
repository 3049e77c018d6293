"""SQLite in a thread, one trip there for each statement or list of statements.

aiosqlite goes there for a cursor, for the statement, for its rows and to close the cursor, and after each of
them waits until the event loop comes round, which takes long when stations are busy.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

import aiosqlite

BUSY_TIMEOUT_MS = 5000
KEPT_STATEMENTS = 256  # prepared, of each connection
CACHE_KIB = 16_384  # holds the pages of a commit, which else are written once more before it
CHECKPOINT_PAGES = 8000  # 32 MB: a page that many commits change is brought home once
PRAGMAS = (
    f"busy_timeout={BUSY_TIMEOUT_MS}",
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    f"cache_size={-CACHE_KIB}",
    f"wal_autocheckpoint={CHECKPOINT_PAGES}",
)
_ITER_CHUNK = 64  # aiosqlite asks for it; nothing here iterates

Rows = Sequence[Sequence[Any]]


async def connect(path: str) -> Connection:
    # BEGIN is sent by us: Python's own comes too late for savepoints
    opened = partial(sqlite3.connect, path, isolation_level=None, cached_statements=KEPT_STATEMENTS)
    connection = Connection(opened, _ITER_CHUNK)
    connection._thread.daemon = True  # the program may end without waiting for it
    await connection
    try:
        for pragma in PRAGMAS:
            await connection.run(_execute, f"PRAGMA {pragma}", ())
    except sqlite3.Error:
        await connection.close()
        raise
    return connection


class Connection(aiosqlite.Connection):
    """What SQLAlchemy's aiosqlite dialect takes for its driver's connection."""

    _begin: str | None = None

    def begin_with(self, begin: str) -> None:
        """Begin a transaction by this statement, on the way to the next one."""
        self._begin = begin

    def cursor(self) -> Cursor:  # type: ignore[override]
        return Cursor(self)

    async def run(self, work: Callable[..., Any], *given: Any) -> Any:
        """work: called in the thread, with the connection and what is given. Raises: sqlite3.Error"""
        begin, self._begin = self._begin, None
        return await self._execute(_run, begin, work, self._conn, *given)  # type: ignore[no-untyped-call]

    async def commit(self) -> None:
        if not self._has_nothing_begun():
            await super().commit()

    async def rollback(self) -> None:
        if not self._has_nothing_begun():
            await super().rollback()

    def _has_nothing_begun(self) -> bool:
        begin, self._begin = self._begin, None
        return begin is not None

    async def execute_all(self, statements: Sequence[tuple[str, Rows]]) -> None:
        """Each statement with each of its rows of parameters. Raises: sqlite3.Error"""
        await self.run(_execute_all, statements)


class _Done(NamedTuple):
    """What is left of a statement when it is done."""

    rows: list[Any]
    description: Any = None
    rowcount: int = -1
    lastrowid: int | None = None


class Cursor:
    """A cursor as SQLAlchemy's dialect uses it."""

    arraysize = 1

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._done = _Done([])

    @property
    def description(self) -> Any:
        return self._done.description

    @property
    def rowcount(self) -> int:
        return self._done.rowcount

    @property
    def lastrowid(self) -> int | None:
        return self._done.lastrowid

    async def execute(self, sql: str, parameters: Iterable[Any] = ()) -> None:
        self._done = await self._connection.run(_execute, sql, parameters)

    async def executemany(self, sql: str, rows: Iterable[Iterable[Any]]) -> None:
        self._done = await self._connection.run(_execute_many, sql, rows)

    async def fetchall(self) -> list[Any]:
        return self._done.rows

    async def close(self) -> None:
        """Done with in the thread."""

    async def __aenter__(self) -> Cursor:
        return self


def _run(begin: str | None, work: Callable[..., Any], connection: sqlite3.Connection, *given: Any) -> Any:
    if begin is not None:
        connection.execute(begin)
    return work(connection, *given)


def _execute(connection: sqlite3.Connection, sql: str, parameters: Any) -> _Done:
    cursor = connection.execute(sql, parameters)
    return _Done(cursor.fetchall(), cursor.description, cursor.rowcount, cursor.lastrowid)


def _execute_many(connection: sqlite3.Connection, sql: str, rows: Any) -> _Done:
    return _Done([], None, connection.executemany(sql, rows).rowcount)


def _execute_all(connection: sqlite3.Connection, statements: Sequence[tuple[str, Rows]]) -> None:
    for sql, rows in statements:
        connection.executemany(sql, rows)
