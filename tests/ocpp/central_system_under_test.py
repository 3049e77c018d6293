"""A real central system on a free port with a real database, and raw stations that say what a test wants."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from csms.clock import SystemClock
from csms.ocpp.server import OcppServer
from csms.services.charge_points import ChargePoints
from csms.services.commands import Commands
from csms.services.events import Event, EventBus
from csms.storage import stations
from csms.storage.database import Database
from tests.empty_database import migrated

PATIENCE_S = 10
BOOT = {"chargePointVendor": "Vendor", "chargePointModel": "Model"}
HEARTBEAT = '[2,"hb","Heartbeat",{}]'


class Answers:
    """A message handler that answers, remembers, and can be held, broken or made to ask back."""

    def __init__(self) -> None:
        self.handled: list[tuple[str, str, dict[str, Any]]] = []
        self.arrived = asyncio.Event()
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()
        self.fault: Exception | None = None
        self.ask_first: Any = None
        self.running = self.most_at_once = 0

    async def handle(
        self, identity: str, action: str, payload: dict[str, Any], received_at: datetime
    ) -> dict[str, Any]:
        self.running += 1
        self.most_at_once = max(self.most_at_once, self.running)
        self.arrived.set()
        try:
            await self.may_go_on.wait()
            if self.ask_first is not None:
                await self.ask_first(identity)
            if self.fault is not None:
                raise self.fault
        finally:
            self.running -= 1
        self.handled.append((identity, action, payload))
        return {
            "BootNotification": {
                "status": "Accepted",
                "currentTime": received_at.isoformat(),
                "interval": 300,
            },
            "Heartbeat": {"currentTime": received_at.isoformat()},
            "Authorize": {"idTagInfo": {"status": "Accepted"}},
            "StartTransaction": {"transactionId": 1, "idTagInfo": {"status": "Accepted"}},
            "DataTransfer": {"status": "UnknownVendorId"},
        }.get(action, {})


class FrameRows:
    """Keeps the frames in memory, as (direction, action, message_id, text, note), and what happened to the
    connection, as (what, why)."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str | None, str | None, str, str | None]] = []
        self.events: list[tuple[str, str | None]] = []

    def add(
        self,
        identity: str,
        at: datetime,
        direction: str,
        action: str | None,
        message_id: str | None,
        text: str,
        note: str | None,
    ) -> None:
        if direction == "log":
            self.events.append((text, note))
        else:
            self.rows.append((direction, action, message_id, text, note))


@dataclass
class CentralSystem:
    database: Database
    charge_points: ChargePoints
    commands: Commands
    events: EventBus
    server: OcppServer
    answers: Answers
    frames: FrameRows
    stations: list[ClientConnection] = field(default_factory=list)

    def url(self, path: str) -> str:
        return f"ws://127.0.0.1:{self.server.port}/{path}"

    async def station(self, path: str = "CP1", subprotocols: list[str] | None = None) -> "RawStation":
        """A websocket to ws://host:port/path; already taken up by the central system."""
        socket = await connect(
            self.url(path), subprotocols=subprotocols or ["ocpp1.6"], compression=None, ping_interval=None
        )
        self.stations.append(socket)
        return RawStation(socket)

    @asynccontextmanager
    async def event(self, kind: str) -> AsyncIterator[asyncio.Future[Event]]:
        """Within the block, an awaitable for the next event of this kind."""
        async with self.events.subscribe() as queue:

            async def wait() -> Event:
                while (event := await queue.get()).kind != kind:
                    pass
                return event

            yield asyncio.ensure_future(asyncio.wait_for(wait(), PATIENCE_S))


class RawStation:
    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def say(self, frame: Any) -> None:
        await self.socket.send(frame if isinstance(frame, str) else json.dumps(frame))

    async def hear(self) -> list[Any]:
        return json.loads(await asyncio.wait_for(self.socket.recv(), PATIENCE_S))

    async def ask(self, frame: Any) -> list[Any]:
        await self.say(frame)
        return await self.hear()

    async def is_served(self) -> bool:
        return (await self.ask(HEARTBEAT))[:2] == [3, "hb"]

    async def closed(self) -> int:
        await asyncio.wait_for(self.socket.wait_closed(), PATIENCE_S)
        return self.socket.close_code


@asynccontextmanager
async def central_system(
    tmp_path: Any,
    unknown: Any = "reject",
    known: tuple[str, ...] = ("CP1",),
    host: str = "127.0.0.1",
    **options: Any,
) -> AsyncIterator[CentralSystem]:
    database = Database(migrated(f"sqlite+aiosqlite:///{tmp_path}/csms.db"))
    await database.start()
    clock, events = SystemClock(), EventBus()
    for identity in known:
        await database.write(
            lambda conn, identity=identity: stations.ensure(conn, identity, "Accepted", clock.now())
        )
    charge_points = ChargePoints(database, clock, events, unknown)
    await charge_points.start()
    answers, frames = Answers(), FrameRows()
    server = OcppServer(charge_points, answers, clock, host, 0, frame_log=frames, **options)
    await server.start()
    system = CentralSystem(
        database, charge_points, Commands(database, charge_points, clock), events, server, answers, frames
    )
    try:
        yield system
    finally:
        answers.may_go_on.set()
        await server.stop()
        for socket in system.stations:
            await socket.close()
        await database.stop()
