"""The database: reads on connections of their own, writes gathered into few commits.

A write returns only after COMMIT, so whatever is answered to a station survives a crash. All jobs
that arrive within the commit window share one transaction. If one of them fails, all is undone and done
again with a savepoint for each, so that it fails alone; a commit that fails fails them all.

Rows that come in masses need no job: SQLite's thread takes what has gathered whenever it is done with what
it took before, and the event loop has no part in it. A job's transaction and theirs take turns.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

import orjson
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Dialect, Table, event, make_url
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

import migrations
from csms.errors import CsmsError, StartupError
from csms.storage import sqlite_driver
from csms.storage.sqlite_driver import READER_CACHE_KIB, WRITER_CACHE_KIB, Rows

T = TypeVar("T")


class Change(Protocol):
    """Rows to be written of which nobody needs to know more than that they are."""

    def statements(self, dialect: Dialect) -> Iterable[tuple[str, Rows]]:
        """For SQLite's own driver."""

    async def execute(self, conn: AsyncConnection) -> None: ...


Take = Callable[[], Iterable[Change]]
Job = Callable[[AsyncConnection], Awaitable[T]]

MAX_JOBS_PER_COMMIT = 500
READ_CONNECTIONS = 5
LONGEST_WINDOW_S = 0.008


class DatabaseStopped(CsmsError):
    """A write came before `start` or after `stop`: it was not done."""

    def __init__(self) -> None:
        super().__init__("the database is not running, nothing was written")


# What a read or write may raise although it was asked well: the database is busy, full, gone or stopped.
STORAGE_FAULTS = (SQLAlchemyError, OSError, DatabaseStopped)


@dataclass(slots=True)
class _QueuedJob:
    job: Job[Any]
    done: asyncio.Future[Any]


_Outcome = tuple[Any, Exception | None]


class Database:
    """url: sqlite+aiosqlite:///FILE or postgresql+asyncpg://… commit_window_s: how long jobs are gathered."""

    def __init__(self, url: str, commit_window_s: float = 0.003) -> None:
        self.url = url
        self.commits = 0
        self._commit_window_s = commit_window_s
        self._queue: asyncio.Queue[_QueuedJob | None] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self._writer: AsyncEngine | None = None
        self._reader: AsyncEngine | None = None
        self._driver: sqlite_driver.Connection | None = None  # the writer's
        self._no_transaction = asyncio.Event()  # of a job is open
        self._no_transaction.set()

    async def start(self) -> None:
        """Check that the database can be written and is migrated, then take jobs.

        Raises:
            StartupError: in one line, what to do about it.
        """
        url = _parse(self.url)
        if (path := _file(url)) is not None and not path.exists():
            raise StartupError(f"there is no database at {path}: run `csms db upgrade`")
        self._writer = _engine(url, begin="BEGIN IMMEDIATE", pool_size=1, max_overflow=0)
        if path is not None:
            event.listen(self._writer.sync_engine, "connect", self._connected)
            event.listen(self._writer.sync_engine, "close", self._closed)
        try:
            with _startup_errors(url):
                async with self._writer.connect() as conn:
                    await conn.run_sync(_check_migrated)
                    await conn.exec_driver_sql("UPDATE alembic_version SET version_num = version_num")
                    await conn.commit()
        except StartupError:
            await self._writer.dispose()
            raise
        self._reader = _engine(url, begin="BEGIN", pool_size=READ_CONNECTIONS, max_overflow=READ_CONNECTIONS)
        self._queue = asyncio.Queue()
        self._task = asyncio.create_task(self._write_batches(), name="database-writer")

    async def stop(self) -> None:
        """Finish what was queued, then close every connection."""
        if self._task is not None:
            task, self._task = self._task, None
            self._queue.put_nowait(None)
            await task
        for engine in (self._writer, self._reader):
            if engine is not None:
                await engine.dispose()

    async def check(self) -> None:
        """Is it reachable and at the revision this program needs, and does the writer run?

        Raises:
            StartupError: no. Or what the database raises.
        """
        if self._task is None or self._task.done():
            raise StartupError("the database is not running")
        async with self.read() as conn:
            await conn.run_sync(_check_migrated)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A connection on one snapshot of what is committed; whatever is written on it is not kept."""
        if self._reader is None:
            raise DatabaseStopped
        async with self._reader.connect() as conn:
            yield conn

    async def write(self, job: Job[T]) -> T:
        """Run `job` on the writer's connection and return its result once it is committed.

        The job must await nothing but the connection it is given: all other writers wait for it. It may
        be run a second time, after its first run was undone.

        Raises: whatever the job or the commit raised; then nothing of the job is stored.
        """
        if self._task is None:
            raise DatabaseStopped
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait(_QueuedJob(job, done))
        return await done

    async def write_rows(self, take: Take) -> None:
        """Write what `take` tells when the writer has come to it; returns once it is committed.

        take: called once, perhaps in another thread; what has gathered until then may go along.
        Raises: what the database or `take` raised; then nothing is stored.
        """
        while not self._no_transaction.is_set():
            await self._no_transaction.wait()
        if self._driver is None or self._writer is None:  # not SQLite, or the last job cost the connection
            await self.write(partial(_execute, _once(take)))
            return
        if self._task is None:
            raise DatabaseStopped
        dialect = self._writer.dialect
        try:
            is_written = await self._driver.run_whole(
                lambda: (s for change in take() for s in change.statements(dialect))
            )
        except (sqlite3.Error, UnicodeError, OverflowError) as fault:  # or a value that SQLite does not take
            raise DBAPIError.instance("", (), fault, sqlite3.Error, dialect=dialect) from fault
        self.commits += is_written

    def _connected(self, adapted: Any, _record: Any) -> None:
        self._driver = adapted.driver_connection

    def _closed(self, _adapted: Any, _record: Any) -> None:
        self._driver = None  # a job connects again

    async def _write_batches(self) -> None:
        lasted_s = 0.0
        while (first := await self._queue.get()) is not None:
            # As long as the last commit took, but no longer than it takes others to fill the next one.
            await asyncio.sleep(min(max(self._commit_window_s, lasted_s), LONGEST_WINDOW_S))
            begun_s = time.monotonic()
            batch, last = [first], False
            while not self._queue.empty() and len(batch) < MAX_JOBS_PER_COMMIT and not last:
                queued = self._queue.get_nowait()
                last = queued is None
                batch += [queued] if queued is not None else []
            await self._commit(batch)
            lasted_s = time.monotonic() - begun_s
            if last:
                return

    async def _commit(self, batch: list[_QueuedJob]) -> None:
        try:
            outcomes = await self._commit_together(batch)
        except Exception as fault:  # supervisor: a fault belongs to those who wait for this commit
            outcomes = [(None, fault)]
        if outcomes[0][1] is not None and len(batch) > 1:
            outcomes = await self._commit_apart(batch)
        for queued, (result, fault_of_job) in zip(batch, outcomes, strict=True):
            if queued.done.done():
                continue  # its caller was cancelled
            if fault_of_job is not None:
                queued.done.set_exception(fault_of_job)
            else:
                queued.done.set_result(result)

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncConnection]:
        assert self._writer is not None
        self._no_transaction.clear()
        try:
            async with self._writer.begin() as conn:
                yield conn
        finally:
            self._no_transaction.set()

    async def _commit_together(self, batch: list[_QueuedJob]) -> list[_Outcome]:
        """Without savepoints, which cost more than most jobs do."""
        async with self._transaction() as conn:
            results = [await queued.job(conn) for queued in batch]
        self.commits += 1
        return [(result, None) for result in results]

    async def _commit_apart(self, batch: list[_QueuedJob]) -> list[_Outcome]:
        """Each job in a savepoint."""
        try:
            async with self._transaction() as conn:
                outcomes = [await _run(queued.job, conn) for queued in batch]
        except Exception as fault:  # supervisor: whatever broke the commit belongs to those who wait for it
            return [(None, fault)] * len(batch)
        self.commits += 1
        return outcomes


async def _run(job: Job[Any], conn: AsyncConnection) -> _Outcome:
    savepoint = await conn.begin_nested()
    try:
        result = await job(conn)
        await conn.exec_driver_sql("SELECT 1")  # its rows that wait for a trip to the database go along
        await savepoint.commit()
        return result, None
    except Exception as fault:  # supervisor: a job's fault is its caller's, not its neighbours'
        try:
            await savepoint.rollback()
        except DBAPIError:  # the database gave up the whole transaction (disk full …): all fail, for this
            raise fault from None
        return None, fault


def _once(take: Take) -> Callable[[], list[Change]]:
    """A job may run again, but what it takes is taken."""
    taken: list[Iterable[Change]] = []

    def changes() -> list[Change]:
        if not taken:
            taken.append(list(take()))
        return list(taken[0])

    return changes


async def _execute(changes: Callable[[], list[Change]], conn: AsyncConnection) -> None:
    for change in changes():
        await change.execute(conn)


async def upgrade(url: str) -> None:
    """Bring the schema up to date; creates a SQLite file and its folder.

    Raises:
        StartupError: the place cannot be written, or holds something else.
    """
    parsed = _parse(url)
    path = _file(parsed)
    with _startup_errors(parsed):
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)  # a new one is its owner's: it has keys in it
        engine = _engine(parsed, begin="BEGIN IMMEDIATE", poolclass=NullPool)
        try:
            async with engine.begin() as conn:
                await conn.run_sync(_upgrade)
        finally:
            await engine.dispose()


def insert(conn: AsyncConnection, table: Table) -> sqlite.Insert:
    """An INSERT that knows ON CONFLICT, in the dialect of `conn` (both dialects spell it alike)."""
    dialect = postgresql if conn.dialect.name == "postgresql" else sqlite
    return cast(sqlite.Insert, dialect.insert(table))


def _parse(text: str) -> URL:
    try:
        url = make_url(text)
    except ArgumentError:
        raise StartupError(f"{text!r} is no database URL: sqlite+aiosqlite:///FILE expected") from None
    if url.drivername not in ("sqlite+aiosqlite", "postgresql+asyncpg"):
        raise StartupError(
            f"database {url.drivername!r} is not supported: sqlite+aiosqlite or postgresql+asyncpg expected"
        )
    if url.drivername.startswith("sqlite") and url.database in (None, "", ":memory:"):
        raise StartupError("the database must be a file: sqlite+aiosqlite:///FILE expected")
    return url


def _file(url: URL) -> Path | None:
    return Path(cast(str, url.database)) if url.drivername.startswith("sqlite") else None


def _engine(url: URL, begin: str, **options: Any) -> AsyncEngine:
    path = _file(url)
    if path is not None:
        cache_kib = READER_CACHE_KIB if begin == "BEGIN" else WRITER_CACHE_KIB
        options["async_creator"] = partial(sqlite_driver.connect, str(path), cache_kib)
    try:
        engine = create_async_engine(url, json_serializer=_json, **options)
    except ModuleNotFoundError as missing:
        raise StartupError(f"the database {url.drivername} needs the package {missing.name}") from None
    if path is not None:
        event.listen(engine.sync_engine, "begin", lambda conn: _driver(conn).begin_later(begin))
    return engine


def _driver(conn: Connection) -> sqlite_driver.Connection:
    return cast(sqlite_driver.Connection, conn.connection.driver_connection)


class JsonText(str):
    """The text of a JSON value, to be stored as it is where a column holds JSON."""


def _json(value: Any) -> str:
    if isinstance(value, JsonText):
        return str(value)
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # integers beyond 64 bits, half a surrogate pair
        return json.dumps(value)


class _startup_errors:
    """Turn what the database raises while starting into one line for the person at the terminal."""

    def __init__(self, url: URL) -> None:
        self._name = _file(url) or url.render_as_string(hide_password=True)

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: Any, fault: BaseException | None, _trace: Any) -> None:
        cause = fault.orig if isinstance(fault, DBAPIError) and fault.orig is not None else fault
        if isinstance(fault, DatabaseError) and "not a database" in str(cause):
            raise StartupError(f"{self._name} is not a database (or is encrypted)") from fault
        if isinstance(fault, DBAPIError | OSError):
            raise StartupError(f"the database {self._name} cannot be opened for writing: {cause}") from fault


def _migration_config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(str(migrations.__file__)).parent))
    return config


@cache
def _revisions() -> tuple[frozenset[str], frozenset[str]]:
    """All that this program knows, and the newest; reading them takes longer than opening the database."""
    scripts = ScriptDirectory.from_config(_migration_config())
    return frozenset(s.revision for s in scripts.walk_revisions()), frozenset(scripts.get_heads())


def _upgrade(conn: Connection) -> None:
    if not _is_migrated(conn):
        config = _migration_config()
        config.attributes["connection"] = conn
        command.upgrade(config, "head")


def _is_migrated(conn: Connection) -> bool:
    """Is it at the newest revision? Raises StartupError if it is at one that this program does not know."""
    current = frozenset(MigrationContext.configure(conn).get_current_heads())
    known, newest = _revisions()
    if unknown := sorted(current - known):
        raise StartupError(
            f"the database is at revision {', '.join(unknown)}, which this version of csms does not know:"
            " it was upgraded by a newer one"
        )
    return current == newest


def _check_migrated(conn: Connection) -> None:
    if not _is_migrated(conn):
        raise StartupError("the database is not up to date: run `csms db upgrade`")
