"""Backup and restore of the embedded database, with SQLite's own online backup."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import make_url

from csms.errors import StartupError


def backup(url: str, target: Path) -> None:
    """Copy a consistent state, also while a server writes.

    Raises:
        StartupError: not SQLite, no such database, or the target exists or cannot be written.
    """
    source = _sqlite_file(url)
    if not source.exists():
        raise StartupError(f"there is no database {source}")
    if target.exists():
        raise StartupError(f"{target} exists already: nothing was written")
    try:
        target.touch(mode=0o600)  # it has keys in it
        with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
            old.backup(new)
    except (OSError, sqlite3.Error) as error:
        with suppress(OSError):
            target.unlink()
        raise StartupError(f"backup to {target} failed: {error}") from None


def restore(source: Path, url: str) -> Path | None:
    """Put a backup in place; the database that was there is kept beside it and its path returned.

    Raises:
        StartupError: not SQLite, the backup is not a whole database, or the database is in use.
    """
    target = _sqlite_file(url)
    _check_whole(source)
    kept: Path | None = None
    try:
        if target.exists():
            if target.samefile(source):
                raise StartupError(f"{source} is the database itself: nothing was changed")
            _check_unused(target)
            kept = target.with_name(f"{target.name}.before-{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = target.with_name(f"{target.name}.restoring")
        fresh.touch(mode=0o600)
        with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(fresh)) as new:
            old.backup(new)
        if kept is not None:
            _keep(target, kept)
        fresh.rename(target)
    except (OSError, sqlite3.Error) as error:
        raise StartupError(f"restoring {target} failed: {error}") from None
    return kept


def _keep(database: Path, kept: Path) -> None:
    """With its write-ahead log, if it was too broken to take it in: a new database must not find that."""
    for suffix in ("", "-wal", "-shm"):
        part = Path(f"{database}{suffix}")
        if part.exists():
            part.rename(f"{kept}{suffix}")


def _sqlite_file(url: str) -> Path:
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        raise StartupError("this command is for the embedded SQLite database; use pg_dump and pg_restore")
    return Path(parsed.database)


def _check_whole(file: Path) -> None:
    if not file.is_file():
        raise StartupError(f"there is no file {file}")
    try:
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as conn:
            verdict = conn.execute("PRAGMA integrity_check").fetchone()[0]
            tables = {row[0] for row in conn.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.Error as error:
        raise StartupError(f"{file} is not a database: {error}") from None
    if verdict != "ok" or "alembic_version" not in tables:
        raise StartupError(f"{file} is not a whole backup of this program ({verdict})")


def _check_unused(file: Path) -> None:
    """Take the write-ahead log into the file; another process that has it open prevents exclusive locking."""
    try:
        with closing(sqlite3.connect(file, timeout=1)) as conn:
            conn.execute("PRAGMA locking_mode = EXCLUSIVE")
            conn.execute("PRAGMA journal_mode = DELETE").fetchone()
            conn.execute("BEGIN EXCLUSIVE")
            conn.rollback()
    except sqlite3.OperationalError as error:
        raise StartupError(f"{file} is in use ({error}): stop the server first") from None
    except sqlite3.DatabaseError:
        return  # too broken to be in use: that is what backups are for
