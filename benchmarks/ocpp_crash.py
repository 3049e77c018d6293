"""kill -9 at random moments under load: what a station got an answer to is there afterwards, once.

The stations remember every message that was answered, repeat what was not (with the same message id or
a new one, over a new connection), and now and then repeat what was, as if the answer had been lost.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import uvloop
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

from benchmarks.figures import Figure, exactly
from benchmarks.server_process import ServerProcess, central_system, stored

KILLS, STATIONS = 20, 40
UNDER_LOAD_S = (0.1, 2.5)
RETRY_S = (0.02, 0.3)
ANSWER_TIMEOUT_S = 30.0
REPEATED_THOUGH_ANSWERED = 0.05
CONNECTION_FAULTS = (OSError, WebSocketException)  # OSError: also TimeoutError
Payload = dict[str, Any]


@dataclass(slots=True)
class Session:
    """What a station remembers of a charge. ids: every transaction id it was told; there must be one."""

    identity: str
    meter_start_wh: int
    ids: set[int] = field(default_factory=set)
    registers_wh: list[int] = field(default_factory=list)
    meter_stop_wh: int | None = None


@dataclass(slots=True)
class Garage:
    """What all stations share."""

    server: ServerProcess
    rng: random.Random
    sessions: list[Session] = field(default_factory=list)
    sent: int = 0
    answered: int = 0
    stored_unanswered: int = 0
    is_closing: bool = False
    answer_came: asyncio.Event = field(default_factory=asyncio.Event)


class Station:
    """Charges again and again; never gives a message up."""

    def __init__(self, identity: str, garage: Garage) -> None:
        self.identity, self._garage = identity, garage
        self._connection: ClientConnection | None = None
        self._register_wh, self._number = 0, 0
        self.in_doubt: tuple[str, int] | None = None  # sent and not answered: action, register

    async def run(kills: int = KILLS) -> list[Figure]:
    with TemporaryDirectory(prefix="csms-bench-") as name:
        folder = Path(name)
        with central_system(folder) as server:
            garage = Garage(server, random.Random())
            uvloop.run(_kill_again_and_again(garage, kills, folder))
        with stored(folder) as database:
            return _compare(garage, kills, list(_stored(database)), database.execute(ENERGY_WH).fetchone()[0])


async def _kill_again_and_again(garage: Garage, kills: int, folder: Path) -> None:
    server = garage.server
    stations = [Station(f"CRASH{n:02}", garage) for n in range(STATIONS)]
    async with asyncio.TaskGroup() as running:
        for station in stations:
            running.create_task(station.run())
        for number in range(1, kills + 1):
            garage.answer_came.clear()
            await garage.answer_came.wait()
            await asyncio.sleep(garage.rng.uniform(*UNDER_LOAD_S))
            server.kill()
            garage.stored_unanswered += _stored_in_doubt(stations, folder)
            print(
                f"kill {number:2}: {garage.sent} messages sent, {garage.answered} answered,"
                f" {garage.stored_unanswered} stored but not answered",
                flush=True,
            )
            await asyncio.to_thread(server.start)
        garage.is_closing = True


IN_DOUBT = {
    "StartTransaction": "SELECT count(*) FROM transactions WHERE identity = ? AND meter_start_wh = ?",
    "MeterValues": "SELECT count(*) FROM meter_values WHERE identity = ? AND energy_wh = ?",
    "StopTransaction": "SELECT count(*) FROM transactions WHERE identity = ? AND meter_stop_wh = ?"
    " AND stop_reason = 'EVDisconnected'",
}


def _stored_in_doubt(stations: list[Station], folder: Path) -> int:
    """How many of the messages that the kill left without an answer had been committed: the hard ones."""
    with stored(folder) as database:
        return sum(
            database.execute(IN_DOUBT[action], (station.identity, register_wh)).fetchone()[0]
            for station in stations
            if station.in_doubt is not None
            for action, register_wh in [station.in_doubt]
        )


ENERGY_WH = "SELECT sum(meter_stop_wh - meter_start_wh) FROM transactions"


def _stored(database: Any) -> Iterator[Hashable]:
    """What the database holds, in the words of `_remembered`."""
    for row in database.execute("SELECT identity, id, meter_start_wh FROM transactions"):
        yield "start", *row
    for row in database.execute("SELECT identity, transaction_id, energy_wh FROM meter_values"):
        yield "meter", *row
    stops = "SELECT identity, id, meter_stop_wh FROM transactions WHERE stop_reason = 'EVDisconnected'"
    for row in database.execute(stops):
        yield "stop", *row


def _remembered(sessions: list[Session]) -> Iterator[Hashable]:
    for session in sessions:
        for id in session.ids:
            yield "start", session.identity, id, session.meter_start_wh
            for register_wh in session.registers_wh:
                yield "meter", session.identity, id, register_wh
            yield "stop", session.identity, id, session.meter_stop_wh


def _compare(garage: Garage, kills: int, rows: list[Hashable], energy_wh: float) -> list[Figure]:
    """All messages were answered in the end, so what is stored must be what is remembered."""
    sessions = garage.sessions
    expected, found = Counter(_remembered(sessions)), Counter(rows)
    charged_wh = sum((session.meter_stop_wh or 0) - session.meter_start_wh for session in sessions)
    ambiguous = sum(len(session.ids) != 1 for session in sessions)
    lost, doubled = expected - found, found - expected
    for what, some in (("lost", lost), ("doubled", doubled)):
        for row in list(some)[:5]:
            print(f"{what}: {row}")
    print(
        f"{kills} kills, {len(sessions)} charges, {garage.answered} messages answered,"
        f" {garage.sent - garage.answered} in vain; {energy_wh:.0f} of {charged_wh} Wh"
    )
    return [
        exactly(f"lost in {kills} kills, of {len(sessions)} transactions' messages", lost.total()),
        exactly("doubled, or answered by a second transaction id", doubled.total() + ambiguous),
        exactly("energy stored beside what was charged [Wh]", round(energy_wh - charged_wh)),
    ]


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
