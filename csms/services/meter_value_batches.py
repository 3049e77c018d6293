"""Meter values of all stations that come while others are written are the next to be written, together."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog

from csms.storage import transactions
from csms.storage.bulk import write
from csms.storage.database import Change, Database, DatabaseStopped
from csms.storage.transactions import Register, Row

log = structlog.get_logger()

TOLD_AT_ONCE = 64

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


class MeterValueBatches:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: deque[_Message] = deque()
        self._is_asked = False  # to take them: not done yet
        self._tasks: set[asyncio.Task[None]] = set()

    def save(self, rows: list[Row], registers: list[Register], tell: Tell) -> asyncio.Future[Payload]:
        """Done once they are committed and told. Whoever stops to wait does not take them along.

        registers: as for `transactions.raised_registers`. Raises what the database raises: nothing is stored.
        """
        done: asyncio.Future[Payload] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Message(rows, registers, tell, done))
        if not self._is_asked:
            self._is_asked = True
            task = asyncio.create_task(self._commit())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return done

    def _take(self, taken: list[_Message]) -> list[Change]:
        """All that wait; in the database's thread. What comes from now on asks again."""
        self._is_asked = False
        while self._waiting:
            taken.append(self._waiting.popleft())
        return _changes(taken)

    async def _commit(self) -> None:
        messages: list[_Message] = []
        fault: Exception | None = None
        try:
            await self._database.write_rows(lambda: self._take(messages))
        except Exception as caught:  # it belongs to all who wait
            fault = caught
            if not messages:  # their turn never came
                self._take(messages)
        if fault is not None and not isinstance(fault, DatabaseStopped) and len(messages) > 1:
            log.warning("meter values stored one by one", messages=len(messages), why=str(fault))
            await self._commit_apart(messages)
            return
        for number, message in enumerate(messages, 1):
            message.committed() if fault is None else message.failed(fault)
            if number % TOLD_AT_ONCE == 0:
                await asyncio.sleep(0)

    async def _commit_apart(self, messages: list[_Message]) -> None:
        """A row that cannot be stored spoils its own message only.

        As jobs, which share a commit: a database that is busy or full is asked twice, not once for each.
        """

        async def commit(message: _Message) -> None:
            try:
                await self._database.write(lambda conn: write(conn, *_changes([message])))
            except Exception as fault:  # supervisor: each has its own
                message.failed(fault)
            else:
                message.committed()

        await asyncio.gather(*map(commit, messages))


def _changes(messages: list[_Message]) -> list[Change]:
    rows = [row for message in messages for row in message.rows]
    registers = [read for message in messages for read in message.registers]
    return [transactions.new_meter_values(rows), transactions.raised_registers(registers)]
