"""Meter values of all stations that come at about the same time are written with two statements."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from csms.storage import transactions
from csms.storage.database import Database
from csms.storage.transactions import Row

log = structlog.get_logger()

TOLD_AT_ONCE = 64

Register = tuple[int, float, datetime]
Payload = dict[str, Any]
Tell = Callable[[], Payload]


@dataclass(slots=True)
class _Message:
    """tell: what follows the commit, and says what is to be answered. done: for whoever waits for both."""

    rows: list[Row]
    registers: list[Register]
    tell: Tell
    done: asyncio.Future[Payload]

    def committed(self) -> None:
        try:
            answer = self.tell()
        except Exception as fault:  # supervisor: it is this message's, not its neighbours'
            self.failed(fault)
        else:
            if not self.done.done():
                self.done.set_result(answer)

    def failed(self, fault: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(fault)


@dataclass(slots=True)
class _Batch:
    messages: list[_Message] = field(default_factory=list)
    writing: asyncio.Task[None] | None = None


class MeterValueBatches:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._open: _Batch | None = None

    def save(self, rows: list[Row], registers: list[Register], tell: Tell) -> asyncio.Future[Payload]:
        """Done once they are committed and told. Whoever stops to wait does not take them along.

        registers: as for `transactions.raise_registers`. Raises what the database raises: nothing is stored.
        """
        batch = self._open
        if batch is None:
            batch = self._open = _Batch()
            batch.writing = asyncio.create_task(self._commit(batch))
        done: asyncio.Future[Payload] = asyncio.get_running_loop().create_future()
        batch.messages.append(_Message(rows, registers, tell, done))
        return done

    async def _commit(self, batch: _Batch) -> None:
        fault: Exception | None = None
        try:
            await self._database.write(lambda conn: self._write(conn, batch))
        except Exception as caught:  # it belongs to all who wait
            fault = caught
        finally:
            self._close(batch)  # also if the job was never begun
        if isinstance(fault, SQLAlchemyError):
            log.warning("meter values stored one by one", messages=len(batch.messages), why=str(fault))
            await self._commit_apart(batch.messages)
            return
        for number, message in enumerate(batch.messages, 1):
            message.committed() if fault is None else message.failed(fault)
            if number % TOLD_AT_ONCE == 0:
                await asyncio.sleep(0)

    async def _commit_apart(self, messages: list[_Message]) -> None:
        """A row that cannot be stored spoils its own message only."""

        async def commit(message: _Message) -> None:
            try:
                await self._database.write(lambda conn: _write(conn, [message]))
            except Exception as fault:  # supervisor: each has its own
                message.failed(fault)
            else:
                message.committed()

        await asyncio.gather(*map(commit, messages))

    def _close(self, batch: _Batch) -> None:
        """Later values go into another batch."""
        if self._open is batch:
            self._open = None

    async def _write(self, conn: AsyncConnection, batch: _Batch) -> None:
        self._close(batch)
        await _write(conn, batch.messages)


async def _write(conn: AsyncConnection, messages: list[_Message]) -> None:
    await transactions.save_meter_values(conn, [row for message in messages for row in message.rows])
    await transactions.raise_registers(conn, [read for message in messages for read in message.registers])
