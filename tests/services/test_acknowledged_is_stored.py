"""What is answered is stored, whatever happens on the way to the disk; and what cannot be is not answered."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from central_backend import NOON, Backend, later, start, stop, values
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

from csms.domain.normalise import normalise
from csms.storage import sqlite_driver


@contextlib.asynccontextmanager
async def statements_of(backend: Backend) -> AsyncIterator[list[str]]:
    """What SQLite is asked on the writer's connection."""
    statements: list[str] = []

    async def trace(conn: AsyncConnection, take: Callable[[str], None] | None) -> None:
        driver = (await conn.get_raw_connection()).driver_connection
        assert isinstance(driver, sqlite_driver.Connection)
        await driver.set_trace_callback(take)  # type: ignore[arg-type]

    await backend.database.write(lambda conn: trace(conn, statements.append))
    yield statements
    await backend.database.write(lambda conn: trace(conn, None))


async def does_not_wait_long(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """For a database that another program holds."""
    monkeypatch.setattr(sqlite_driver, "PRAGMAS", (*sqlite_driver.PRAGMAS, "busy_timeout=1"))
    await backend.restart()
    await backend.charge_points.admit("CP1")


@contextlib.contextmanager
def held_by_another_program(backend: Backend) -> Iterator[None]:
    with contextlib.closing(sqlite3.connect(backend.url.removeprefix("sqlite+aiosqlite:///"))) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


async def test_nothing_is_answered_when_it_cannot_be_stored(backend: Backend) -> None:
    """The disk is full: the station gets no answer and repeats; afterwards all is well, once."""

    async def allow(conn: AsyncConnection, more_pages: int) -> None:
        pages = (await conn.exec_driver_sql("PRAGMA page_count")).scalar_one()
        await conn.exec_driver_sql(f"PRAGMA max_page_count={pages + more_pages}")

    begun = await backend.say("StartTransaction", start())
    data = [values(None, later(seconds=n), 1000 + n)["meterValue"][0] for n in range(400)]
    message = {**values(begun["transactionId"], NOON, None), "meterValue": data}
    ending = stop(begun["transactionId"], transactionData=data)
    await backend.database.write(lambda conn: allow(conn, 0))
    for action, payload in (("MeterValues", message), ("StopTransaction", ending)):
        with pytest.raises(OperationalError, match="full"):
            await backend.say(action, payload)
    assert backend.rows("meter_values") == []
    assert (await backend.transactions())[0]["stopped_at"] is None
    assert backend.live().transaction is not None
    await backend.database.write(lambda conn: allow(conn, 10_000))
    for action, payload in (("MeterValues", message), ("StopTransaction", ending)):
        await backend.say(action, payload)
    assert len(backend.rows("meter_values")) == 400
    assert (await backend.transactions())[0]["energy_wh"] == 7000


async def test_a_connection_that_breaks_in_mid_message_leaves_memory_and_database_in_step(
    backend: Backend,
) -> None:
    await backend.charge_points.admit("CP1")
    handling = asyncio.create_task(backend.say("StartTransaction", start()))
    async with backend.events.subscribe() as heard:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        handling.cancel()
        begun = await asyncio.wait_for(heard.get(), 5)
    assert begun.kind == "transaction.started"
    (row,) = await backend.transactions()
    live = backend.live().transaction
    assert live is not None
    assert live.id == row["id"]
    assert (await backend.say("StartTransaction", start()))["transactionId"] == row["id"]


async def test_a_hundred_stations_share_few_commits(backend: Backend) -> None:
    stations = [f"CP{n}" for n in range(100)]
    for identity in stations:
        await backend.say("StartTransaction", start(), identity=identity)
    before = backend.database.commits

    async def meter(identity: str) -> int:
        running = backend.live(identity=identity).transaction
        assert running is not None
        message = values(running.id, later(minutes=1), 1100)
        await backend.messages.handle(identity, "MeterValues", message, later(minutes=1))
        return sum(row["identity"] == identity for row in backend.rows("meter_values"))

    assert await asyncio.gather(*(meter(identity) for identity in stations)) == [1] * 100
    assert backend.database.commits - before <= 5
    assert {row["energy_wh"] for row in await backend.transactions()} == {100}


async def test_values_replayed_at_once_raise_the_register_one_after_the_other(backend: Backend) -> None:
    """After an outage a station tells what it measured meanwhile; a value that falls is kept only."""
    id = (await backend.say("StartTransaction", start(meter_wh=1000)))["transactionId"]
    messages = [values(id, later(seconds=n), 1000 + n) for n in range(1, 150)]
    messages.append(values(id, later(seconds=150), 1100))
    before, at = backend.database.commits, later(seconds=160)
    await asyncio.gather(*(backend.messages.handle("CP1", "MeterValues", m, at) for m in messages))
    assert backend.database.commits == before + 1
    (row,) = backend.rows("transactions")
    assert row["last_register_wh"] == 1149
    assert row["last_register_at"] == f"{later(seconds=149):%Y-%m-%d %H:%M:%S.%f}"


@pytest.mark.parametrize("context", [{"not": "text"}, "half a pair: \ud800", 2**64])
async def test_a_message_that_cannot_be_stored_does_not_spoil_its_neighbours(
    backend: Backend, context: Any
) -> None:
    for identity in ("CP1", "CP2"):
        await backend.charge_points.admit(identity)
    odd = values(None, NOON, 1000)
    odd["meterValue"][0]["sampledValue"][0]["context"] = context
    outcomes = await asyncio.gather(
        backend.messages.handle("CP1", "MeterValues", odd, NOON),
        backend.messages.handle("CP2", "MeterValues", values(None, NOON, 2000), NOON),
        return_exceptions=True,
    )
    assert isinstance(outcomes[0], Exception)
    assert outcomes[1] == {}
    assert [row["identity"] for row in backend.rows("meter_values")] == ["CP2"]


async def test_a_busy_database_is_not_asked_once_more_for_each_message(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each time is waited for for seconds: a thousand messages one by one would be in the way for an hour."""
    await does_not_wait_long(backend, monkeypatch)
    messages = [values(None, later(seconds=n), 1000 + n) for n in range(20)]
    with held_by_another_program(backend):
        async with statements_of(backend) as statements:
            outcomes = await asyncio.gather(
                *(backend.messages.handle("CP1", "MeterValues", m, later(seconds=30)) for m in messages),
                return_exceptions=True,
            )
    assert all(isinstance(outcome, OperationalError) for outcome in outcomes)
    assert 0 < statements.count("BEGIN IMMEDIATE") <= 3
    assert backend.rows("meter_values") == []


async def test_after_the_database_was_busy_values_are_gathered_again(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another program (a backup) holds the file for longer than we wait: one message fails, no more."""
    await does_not_wait_long(backend, monkeypatch)
    with held_by_another_program(backend), pytest.raises(OperationalError):
        await backend.messages.handle("CP1", "MeterValues", values(None, NOON, 1000), NOON)
    messages = [values(None, later(seconds=n), 1000 + n) for n in range(20)]
    async with statements_of(backend) as statements:
        await asyncio.gather(
            *(backend.messages.handle("CP1", "MeterValues", m, later(seconds=30)) for m in messages)
        )
    assert len(backend.rows("meter_values")) == 20
    inserts = [statement for statement in statements if statement.startswith("INSERT INTO meter_values")]
    assert len(inserts) == 1


async def test_an_idle_station_with_odd_ids_or_a_slow_clock_costs_no_search(backend: Backend) -> None:
    """Between sessions it names transaction 0, and its clock is two hours behind."""
    behind = timedelta(hours=2)
    for n in range(4):
        at = later(seconds=30 * n)
        await backend.say("MeterValues", values(0, at - behind, 1000 + n), at)
    at = later(minutes=5)
    messages = [
        normalise("MeterValues", values(0, at - behind + timedelta(seconds=n), 2000 + n), at)[0]
        for n in range(5)
    ]
    async with statements_of(backend) as statements:
        before = backend.database.commits
        await asyncio.gather(*(backend.messages.handle("CP1", "MeterValues", m, at) for m in messages))
        assert backend.database.commits == before + 1
    assert not any(statement.startswith("SELECT") for statement in statements)
    assert len(backend.rows("meter_values")) == 9
