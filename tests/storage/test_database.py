"""Writes are gathered into few commits, fail alone, and are there when they return."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from csms.errors import StartupError
from csms.storage import frames, stations
from csms.storage.bulk import write
from csms.storage.database import Change, Database, DatabaseStopped, upgrade

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


def stored(url: str) -> list[str]:
    """What another program sees in the file right now."""
    with sqlite3.connect(url.removeprefix("sqlite+aiosqlite:///")) as conn:
        return [row[0] for row in conn.execute("SELECT identity FROM charge_points ORDER BY identity")]


async def add(database: Database, identity: str) -> None:
    await database.write(lambda conn: stations.ensure(conn, identity, "Accepted", NOW))


async def test_a_write_is_on_disk_when_it_returns(database: Database, url: str) -> None:
    for n in range(20):
        await add(database, f"CP{n:02}")
        assert stored(url)[-1] == f"CP{n:02}"


async def test_every_caller_of_a_shared_commit_finds_its_own_row(database: Database, url: str) -> None:
    async def add_and_look(identity: str) -> bool:
        await add(database, identity)
        return identity in stored(url)

    found = await asyncio.gather(*(add_and_look(f"CP{n}") for n in range(100)))
    assert all(found)
    assert database.commits <= 10


async def test_a_job_that_fails_fails_alone(database: Database, url: str) -> None:
    async def half_done(conn: AsyncConnection) -> None:
        await stations.ensure(conn, "half", "Accepted", NOW)
        await conn.execute(text("INSERT INTO charge_points (identity) VALUES ('half')"))

    outcomes = await asyncio.gather(
        add(database, "before"), database.write(half_done), add(database, "after"), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [type(None), IntegrityError, type(None)]
    assert stored(url) == ["after", "before"]


async def test_a_commit_that_fails_fails_them_all_and_the_next_goes_through(
    database: Database, url: str
) -> None:
    async def breaks_the_commit(conn: AsyncConnection) -> None:
        await conn.exec_driver_sql("PRAGMA defer_foreign_keys=ON")  # checked by COMMIT, not before
        await stations.save_status(conn, "nobody", 1, "Available", "NoError", NOW)

    outcomes = await asyncio.gather(
        add(database, "CP1"), database.write(breaks_the_commit), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [IntegrityError, IntegrityError]
    assert stored(url) == []
    await add(database, "CP2")
    assert stored(url) == ["CP2"]


async def test_a_full_disk_refuses_what_does_not_fit_and_goes_on_when_there_is_room(
    database: Database, url: str
) -> None:
    async def set_limit(conn: AsyncConnection, more_pages: int) -> None:
        pages = (await conn.exec_driver_sql("PRAGMA page_count")).scalar_one()
        await conn.exec_driver_sql(f"PRAGMA max_page_count={pages + more_pages}")

    async def write_much(conn: AsyncConnection) -> None:
        await stations.save_configuration(conn, "CP1", {"key": "x" * 1_000_000})

    await add(database, "CP1")
    await database.write(lambda conn: set_limit(conn, 2))
    outcomes = await asyncio.gather(database.write(write_much), add(database, "CP2"), return_exceptions=True)
    assert "full" in str(outcomes[0])
    kept = [identity for identity, outcome in zip(("CP2",), outcomes[1:], strict=True) if outcome is None]
    assert stored(url) == ["CP1", *kept]
    await database.write(lambda conn: set_limit(conn, 10_000))
    await add(database, "CP3")
    await database.write(write_much)
    assert "CP3" in stored(url)


async def test_stopping_finishes_what_is_queued(database: Database, url: str) -> None:
    writes = [asyncio.create_task(add(database, f"CP{n}")) for n in range(30)]
    await asyncio.sleep(0)
    await database.stop()
    await asyncio.gather(*writes)
    assert len(stored(url)) == 30
    with pytest.raises(DatabaseStopped):
        await add(database, "late")


async def test_a_caller_that_gives_up_does_not_disturb_the_others(database: Database, url: str) -> None:
    writes = [asyncio.create_task(add(database, f"CP{n}")) for n in range(3)]
    await asyncio.sleep(0)
    writes[1].cancel()
    outcomes = await asyncio.gather(*writes, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [type(None), asyncio.CancelledError, type(None)]


async def test_readers_see_only_what_is_committed(database: Database) -> None:
    inside, go_on = asyncio.Event(), asyncio.Event()

    async def slow(conn: AsyncConnection) -> None:
        await stations.ensure(conn, "CP1", "Accepted", NOW)
        inside.set()
        await go_on.wait()

    write = asyncio.create_task(database.write(slow))
    await asyncio.wait_for(inside.wait(), 5)
    async with database.read() as conn:
        assert await stations.load_all(conn) == []
    go_on.set()
    await write
    async with database.read() as conn:
        assert [row["identity"] for row in await stations.load_all(conn)] == ["CP1"]


@pytest.mark.parametrize("count", [0, 1, 3, 64, 255, 256, 700])
async def test_rows_in_masses_are_all_stored_in_order(database: Database, count: int) -> None:
    """The frames of a second, however many, at one trip to the database."""
    rows = [(f"CP{n}", NOW, "in", None, None, f"frame {n}", None) for n in range(count)]
    before = database.commits
    await database.write_rows(lambda: [frames.new(rows)])
    assert database.commits == before + (count > 0)
    async with database.read() as conn:
        stored = (await conn.execute(text("SELECT identity, text FROM frames ORDER BY id"))).all()
    assert stored == [(row[0], row[5]) for row in rows]


async def test_rows_that_cannot_be_stored_fail_their_own_job_only(database: Database, url: str) -> None:
    """They go to the database along with the next job's statement, which does not mind that it fails."""

    async def careless(conn: AsyncConnection) -> None:
        with suppress(IntegrityError):
            await stations.ensure(conn, "CP1", "Accepted", NOW)

    rows = [(identity, NOW, "in", None, None, "text", None) for identity in ("CP9", None)]
    outcomes = await asyncio.gather(
        database.write(lambda conn: write(conn, frames.new(rows))),  # type: ignore[arg-type]
        database.write(careless),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [IntegrityError, type(None)]
    assert stored(url) == ["CP1"]
    async with database.read() as conn:
        assert (await conn.execute(text("SELECT count(*) FROM frames"))).scalar_one() == 0


async def test_rows_take_turns_with_a_job(database: Database) -> None:
    """A job is undone; the rows that came while it was at work wait until it is, and are kept."""
    inside = asyncio.Event()
    taken: list[bool] = []

    async def fails(conn: AsyncConnection) -> None:
        await stations.ensure(conn, "half", "Accepted", NOW)
        inside.set()
        await asyncio.sleep(0)  # the loop comes round to those who wait, again and again
        await conn.execute(text("SELECT 1"))
        assert not taken
        raise ValueError("undone")

    def take() -> list[Change]:
        taken.append(True)
        return [frames.new([("CP1", NOW, "in", None, None, "frame", None)])]

    job = asyncio.create_task(database.write(fails))
    await asyncio.wait_for(inside.wait(), 5)
    await database.write_rows(take)
    with pytest.raises(ValueError, match="undone"):
        await job
    async with database.read() as conn:
        assert (await conn.execute(text("SELECT text FROM frames"))).scalars().all() == ["frame"]
        assert await stations.load_all(conn) == []


async def test_rows_that_cannot_be_stored_are_not_stored_in_part(database: Database) -> None:
    rows = [("CP1", NOW, "in", None, None, line, None) for line in ("fits", None)]
    with pytest.raises(IntegrityError):
        await database.write_rows(lambda: [frames.new(rows[:1]), frames.new(rows)])  # type: ignore[arg-type]
    await database.write_rows(lambda: [frames.new(rows[:1])])  # type: ignore[arg-type]
    async with database.read() as conn:
        assert (await conn.execute(text("SELECT text FROM frames"))).scalars().all() == ["fits"]


async def test_a_mistake_in_what_is_to_be_written_leaves_the_database_as_it_was(database: Database) -> None:
    def take() -> list[Change]:
        raise LookupError("nothing there")

    with pytest.raises(LookupError):
        await database.write_rows(take)
    await database.write_rows(list)
    await database.write(lambda conn: stations.ensure(conn, "CP1", "Accepted", NOW))


async def test_rows_are_written_after_the_connection_was_given_up(database: Database) -> None:
    """A rollback that fails (the disk was away for a moment) costs the connection, not what comes later."""

    async def loses_it(conn: AsyncConnection) -> None:
        await stations.ensure(conn, "half", "Accepted", NOW)
        await conn.invalidate()
        raise LookupError("connection lost")

    with pytest.raises(LookupError):
        await database.write(loses_it)
    for line in ("first", "second"):
        row = ("CP1", NOW, "in", None, None, line, None)
        await database.write_rows(lambda row=row: [frames.new([row])])  # type: ignore[misc]
    async with database.read() as conn:
        assert (await conn.execute(text("SELECT text FROM frames"))).scalars().all() == ["first", "second"]


async def test_rows_are_refused_when_the_database_has_stopped(database: Database) -> None:
    await database.stop()
    with pytest.raises(DatabaseStopped):
        await database.write_rows(lambda: [frames.new([])])


async def test_a_job_that_does_nothing_leaves_the_next_one_its_transaction(
    database: Database, url: str
) -> None:
    async def nothing(_conn: AsyncConnection) -> None: ...

    async def fails(conn: AsyncConnection) -> None:
        await stations.ensure(conn, "half", "Accepted", NOW)
        raise ValueError

    await database.write(nothing)
    with pytest.raises(ValueError):  # noqa: PT011 - our own
        await database.write(fails)
    assert stored(url) == []
    await add(database, "CP1")
    assert stored(url) == ["CP1"]


async def test_the_file_is_kept_as_safely_as_sqlite_can(database: Database) -> None:
    async def settings(conn: AsyncConnection) -> list[object]:
        names = ("journal_mode", "synchronous", "foreign_keys")
        return [(await conn.exec_driver_sql(f"PRAGMA {name}")).scalar_one() for name in names]

    assert await database.write(settings) == ["wal", 2, 1]


# --- what stands in the way of starting is told in one line ---


async def refusal(url: str) -> str:
    with pytest.raises(StartupError) as refused:
        await Database(url).start()
    assert "\n" not in str(refused.value)
    return str(refused.value)


async def test_without_a_database_the_command_is_named(tmp_path: Path) -> None:
    assert "csms db upgrade" in await refusal(f"sqlite+aiosqlite:///{tmp_path / 'none.db'}")


async def test_with_an_empty_database_the_command_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    assert "csms db upgrade" in await refusal(f"sqlite+aiosqlite:///{tmp_path / 'empty.db'}")


async def test_a_file_that_is_something_else_is_left_alone(tmp_path: Path) -> None:
    letter = tmp_path / "letter.db"
    letter.write_text("Dear all,\n" * 500)
    assert "not a database" in await refusal(f"sqlite+aiosqlite:///{letter}")
    with pytest.raises(StartupError, match="not a database"):
        await upgrade(f"sqlite+aiosqlite:///{letter}")
    assert letter.read_text().startswith("Dear all")


async def test_a_database_from_a_newer_version_is_refused(url: str) -> None:
    await upgrade(url)
    with sqlite3.connect(url.removeprefix("sqlite+aiosqlite:///")) as conn:
        conn.execute("UPDATE alembic_version SET version_num = '9999'")
    assert "newer" in await refusal(url)
    with pytest.raises(StartupError, match="newer"):
        await upgrade(url)


@pytest.mark.parametrize("url", ["nonsense", "sqlite+aiosqlite://", "mysql://root@localhost/csms"])
async def test_an_address_of_no_use_is_refused(url: str) -> None:
    assert "expected" in await refusal(url)


@contextmanager
def read_only_folder() -> Iterator[Path]:
    """A folder that this process may enter but not write, whoever runs the tests."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        path = Path(folder)
        yield path
        if os.geteuid() != os.getuid():
            os.seteuid(os.getuid())
        path.chmod(0o755)


def lock(folder: Path) -> None:
    folder.chmod(0o555)
    if os.getuid() == 0:
        os.seteuid(65534)  # the superuser may write everywhere: go on as nobody


async def test_a_read_only_folder_is_told_before_anything_starts() -> None:
    with read_only_folder() as folder:
        url = f"sqlite+aiosqlite:///{folder / 'csms.db'}"
        await upgrade(url)
        lock(folder)
        assert "cannot be opened for writing" in await refusal(url)


async def test_a_database_cannot_be_made_in_a_read_only_folder() -> None:
    with read_only_folder() as folder:
        lock(folder)
        for place in (folder / "csms.db", folder / "new" / "csms.db"):
            with pytest.raises(StartupError, match="cannot be opened for writing"):
                await upgrade(f"sqlite+aiosqlite:///{place}")


async def test_check_tells_whether_the_database_is_well(database: Database) -> None:
    await database.check()
    await database.stop()
    with pytest.raises(StartupError):
        await database.check()
