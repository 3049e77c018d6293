"""kill -9 at random moments under load: what a station got an answer to is there afterwards, once.

The stations remember every message that was answered, repeat what was not (with the same message id or
a new one, over a new connection), and now and then repeat what was, as if the answer had been lost.
"""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
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
REASON = "EVDisconnected"
STOPPED = f"stop_reason = '{REASON}'"
OF_STATION = "SELECT count(*) FROM {} WHERE identity = ? AND {} = ?"
ENERGY_WH = "SELECT sum(meter_stop_wh - meter_start_wh) FROM transactions"
IN_DOUBT = {
    "StartTransaction": OF_STATION.format("transactions", "meter_start_wh"),
    "MeterValues": OF_STATION.format("meter_values", "energy_wh"),
    "StopTransaction": OF_STATION.format("transactions", f"{STOPPED} AND meter_stop_wh"),
}
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

    async def run(self) -> None:
        while not self._garage.is_closing:
            await self._charge()
        if self._connection is not None:
            await self._connection.close()

    async def _charge(self) -> None:
        rng = self._garage.rng
        session = Session(self.identity, self._register_wh)
        self._garage.sessions.append(session)
        start = {"connectorId": 1, "idTag": self.identity, "meterStart": self._register_wh}
        for answer in await self._tell("StartTransaction", {**start, "timestamp": _now()}):
            session.ids.add(answer["transactionId"])
        transaction_id = max(session.ids)
        for _ in range(rng.randint(1, 6)):
            element = self._next_element()
            values = {"connectorId": 1, "transactionId": transaction_id, "meterValue": [element]}
            await self._tell("MeterValues", values)
            session.registers_wh.append(self._register_wh)
        stop: Payload = {"transactionId": transaction_id, "reason": REASON, "idTag": self.identity}
        if rng.random() < 0.5:
            stop["transactionData"] = [self._next_element()]
            session.registers_wh.append(self._register_wh)
        self._register_wh += rng.randint(0, 20)
        await self._tell("StopTransaction", {**stop, "meterStop": self._register_wh, "timestamp": _now()})
        session.meter_stop_wh = self._register_wh

    def _next_element(self) -> Payload:
        self._register_wh += self._garage.rng.randint(1, 50)
        register = {"value": str(self._register_wh), "unit": "Wh"}
        power = {"value": "7200", "unit": "W", "measurand": "Power.Active.Import"}
        return {"timestamp": _now(), "sampledValue": [register, power]}

    async def _tell(self, action: str, payload: Payload) -> list[Payload]:
        """Until it is answered; sometimes once more. Returns all answers."""
        rng, answers, id = self._garage.rng, list[Payload](), self._next_id()
        times = 2 if rng.random() < REPEATED_THOUGH_ANSWERED else 1
        while len(answers) < times:
            try:
                answers.append(await self._ask(id, action, payload))
            except CONNECTION_FAULTS:
                await self._hang_up()
                await asyncio.sleep(rng.uniform(*RETRY_S))
            else:
                self._garage.answered += 1
                self._garage.answer_came.set()
            if len(answers) < times:
                id = rng.choice((id, self._next_id()))
        return answers

    async def _ask(self, id: str, action: str, payload: Payload) -> Payload:
        """Raises: one of CONNECTION_FAULTS, also if the answer is an error: then it must be repeated."""
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            if self._connection is None:
                url = f"ws://127.0.0.1:{self._garage.server.port}/{self.identity}"
                self._connection = await connect(
                    url, subprotocols=[Subprotocol("ocpp1.6")], compression=None, ping_interval=None
                )
            self.in_doubt = action, self._register_wh
            await self._connection.send(json.dumps([2, id, action, payload]))
            self._garage.sent += 1
            while True:
                kind, of, *rest = json.loads(await self._connection.recv())
                if kind == 2:
                    await self._connection.send(json.dumps([4, of, "NotImplemented", "", {}]))
                elif of == id and kind == 3:
                    self.in_doubt = None
                    answer: Payload = rest[0]
                    return answer
                elif of == id:
                    raise ConnectionError(f"{action} was answered by {rest}")

    async def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.transport.abort()
            await connection.wait_closed()

    def _next_id(self) -> str:
        self._number += 1
        return f"{self.identity}-{self._number}"


def run(kills: int = KILLS) -> list[Figure]:
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


def _stored_in_doubt(stations: list[Station], folder: Path) -> int:
    """How many of the messages that the kill left without an answer had been committed: the hard ones."""
    with stored(folder) as database:
        return sum(
            database.execute(IN_DOUBT[action], (station.identity, register_wh)).fetchone()[0]
            for station in stations
            if station.in_doubt is not None
            for action, register_wh in [station.in_doubt]
        )


def _stored(database: sqlite3.Connection) -> Iterator[Hashable]:
    """What the database holds, in the words of `_remembered`."""
    for row in database.execute("SELECT identity, id, meter_start_wh FROM transactions"):
        yield "start", *row
    for row in database.execute("SELECT identity, transaction_id, energy_wh FROM meter_values"):
        yield "meter", *row
    for row in database.execute(f"SELECT identity, id, meter_stop_wh FROM transactions WHERE {STOPPED}"):
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
    print(f"{len(sessions)} transactions, {energy_wh:.0f} Wh stored, {charged_wh} Wh charged")
    return [
        exactly(f"lost of {garage.answered} messages, {kills} kills", lost.total()),
        exactly(
            f"doubled of them, {garage.stored_unanswered} stored but not answered",
            doubled.total() + ambiguous,
        ),
        exactly("energy stored too much or too little [Wh]", round(energy_wh - charged_wh)),
    ]


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
