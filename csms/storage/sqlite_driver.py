"""SQLite in a thread, with few trips there.

aiosqlite goes there for a cursor, for the statement, for its rows and to close the cursor, and after each of
them waits until the event loop comes round, which takes long when stations are busy. Here a statement is one
trip, and what nobody waits for (BEGIN, rows in masses) goes along with the next one. Rows that need no
answer are a transaction in one trip.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

import aiosqlite

BUSY_TIMEOUT_MS = 5000
KEPT_STATEMENTS = 256  # prepared, of each connection
READER_CACHE_KIB, WRITER_CACHE_KIB = 2048, 16_384  # a commit's pages are written twice where they do not fit
CHECKPOINT_PAGES = 8000  # 32 MB: a page that many commits change is brought home once
PRAGMAS = (
    f"busy_timeout={BUSY_TIMEOUT_MS}",
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    f"wal_autocheckpoint={CHECKPOINT_PAGES}",
)
_ITER_CHUNK = 64  # aiosqlite asks for it; nothing here iterates

Rows = Sequence[Sequence[Any]]
Statements = Iterable[tuple[str, Rows]]


async def connect(path: str, cache_kib: int) -> Connection:
    # BEGIN is sent by us: Python's own comes too late for savepoints
    opened = partial(sqlite3.connect, path, isolation_level=None, cached_statements=KEPT_STATEMENTS)
    connection = Connection(opened, _ITER_CHUNK)
    connection._thread.daemon = True  # the program may end without waiting for it
    await connection
    try:
        for pragma in (*PRAGMAS, f"cache_size={-cache_kib}"):
            await connection.run(_execute, f"PRAGMA {pragma}", ())
    except sqlite3.Error:
        await connection.close()
        raise
    return connection


class Connection(aiosqlite.Connection):
    """What SQLAlchemy's aiosqlite dialect takes for its driver's connection."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._waiting: list[tuple[str, Rows | None]] = []  # None: a statement without parameters
        self._fault: Exception | None = None

    def begin_later(self, begin: str) -> None:
        """Begin a transaction with whatever comes first in it; if nothing does, not at all."""
        self._waiting, self._fault = [(begin, None)], None

    def execute_later(self, sql: str, rows: Rows) -> None:
        """Before whatever comes next in the transaction, which fails if this does; and so does its commit."""
        self._waiting.append((sql, rows))

    def cursor(self) -> Cursor:  # type: ignore[override]
        return Cursor(self)

    async def run(self, work: Callable[..., Any], *given: Any) -> Any:
        """work: called in the thread, with the connection and what is given. Raises: sqlite3.Error"""
        waiting, self._waiting = self._waiting, []
        try:
            return await self._execute(_run, waiting, work, self._conn, *given)  # type: ignore[no-untyped-call]
        except Exception as fault:  # whoever commits hears of rows that failed with another statement
            self._fault = fault if waiting else self._fault
            raise

    async def run_whole(self, statements: Callable[[], Statements]) -> bool:
        """A transaction of its own, while no other is open; was there anything to be written?

        statements: called in the thread when their turn has come; if there are none, nothing is begun.
        Raises: sqlite3.Error, or what `statements` raises; then nothing is stored.
        """
        is_written: bool = await self._execute(_run_whole, statements, self._conn)  # type: ignore[no-untyped-call]
        return is_written

    async def commit(self) -> None:
        if self._fault is not None:
            raise self._fault
        if not self._is_nothing_begun or len(self._waiting) > 1:
            await self.run(sqlite3.Connection.commit)
        self._waiting = []

    async def rollback(self) -> None:
        is_nothing_begun = self._is_nothing_begun
        self.undone_later()
        if not is_nothing_begun:
            await self.run(sqlite3.Connection.rollback)

    def undone_later(self) -> None:
        """Forget what waits, or failed: the next statement undoes it."""
        self._waiting, self._fault = [], None

    @property
    def _is_nothing_begun(self) -> bool:
        return bool(self._waiting) and self._waiting[0][1] is None


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
        if sql.startswith("ROLLBACK TO"):
            self._connection.undone_later()
        self._done = await self._connection.run(_execute, sql, parameters)

    async def executemany(self, sql: str, rows: Iterable[Iterable[Any]]) -> None:
        self._done = await self._connection.run(_execute_many, sql, rows)

    async def fetchall(self) -> list[Any]:
        return self._done.rows

    async def close(self) -> None:
        """Done with in the thread."""

    async def __aenter__(self) -> Cursor:
        return self


def _run(
    waiting: list[tuple[str, Rows | None]],
    work: Callable[..., Any],
    connection: sqlite3.Connection,
    *given: Any,
) -> Any:
    for sql, rows in waiting:
        connection.execute(sql) if rows is None else connection.executemany(sql, rows)
    return work(connection, *given)


def _run_whole(statements: Callable[[], Statements], connection: sqlite3.Connection) -> bool:
    begun = False
    try:
        for sql, rows in statements():
            if not begun:
                connection.execute("BEGIN IMMEDIATE")
                begun = True
            connection.executemany(sql, rows)
        connection.commit()
    except BaseException:
        connection.rollback()
        raise
    return begun


def _execute(connection: sqlite3.Connection, sql: str, parameters: Any) -> _Done:
    cursor = connection.execute(sql, parameters)
    return _Done(cursor.fetchall(), cursor.description, cursor.rowcount, cursor.lastrowid)


def _execute_many(connection: sqlite3.Connection, sql: str, rows: Any) -> _Done:
    return _Done([], None, connection.executemany(sql, rows).rowcount)
