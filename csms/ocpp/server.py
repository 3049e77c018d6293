"""The websocket side: stations connect here; frames go to `Link`, calls to `StationMessages`.

One `StationConnection` per socket. It reads frames all the time and handles a station's calls one by
one in a task of their own, so that a handler may ask the station something and wait for the answer.
A call is answered only when its handler has returned; a handler that fails makes the station repeat.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import re
import ssl
from collections import deque
from collections.abc import Callable, Collection, Coroutine, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import unquote
from uuid import uuid4

import structlog
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import Event, State
from websockets.typing import Subprotocol

from csms.clock import Clock
from csms.domain.ocpp_schemas import CORE_ACTIONS_FROM_STATION
from csms.errors import StartupError
from csms.ocpp.link import Effect, HandleCall, Link, Received, ResolveCall, SendFrame
from csms.services.charge_points import ChargePoints
from csms.services.commands import SECRET_KEYS
from csms.services.frame_log import FrameLog

log = structlog.get_logger()

SUBPROTOCOL = Subprotocol("ocpp1.6")
MAX_FRAME_BYTES = 2**20
CLOSE_TIMEOUT_S = 5.0
STOP_TIMEOUT_S = 15.0
DEAD_AFTER_PINGS = 2.5  # at 20 s, and looking every 5 s, a dead link is found within 55 s
DEAD_AFTER_PINGS_UNANSWERED = 45  # a station that never answers pings may be silent between heartbeats
BACKLOG = 1024  # after a restart, all stations come at once
MAX_NOTE = 1000
_SECRET = re.compile(rf"\{{[^{{}}]*\"(?:{'|'.join(SECRET_KEYS)})\"[^{{}}]*\}}", re.IGNORECASE)
_VALUE = re.compile(r'("value"\s*:\s*)"(?:[^"\\]|\\.)*"', re.IGNORECASE)


class StationMessages(Protocol):
    """Whoever handles what stations say. Returns the answer's payload once it is committed."""

    async def handle(
        self, identity: str, action: str, payload: dict[str, Any], received_at: datetime
    ) -> dict[str, Any]: ...


class Socket(ServerConnection):
    """A websocket that knows when it last heard anything: any byte shows that the other side lives."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.identity = ""
        self.heard_at_s = self.pinged_at_s = self.loop.time()
        self.answers_pings = False

    def data_received(self, data: bytes) -> None:
        self.heard_at_s = self.loop.time()
        super().data_received(data)

    def process_event(self, event: Event) -> None:
        if isinstance(event, Frame) and event.opcode is Opcode.PONG:
            self.answers_pings = True
        super().process_event(event)

    def probe(self) -> None:
        """Send a ping without waiting for room in the write buffer."""
        if self.protocol.state is State.OPEN:
            self.pinged_at_s = self.loop.time()
            self.protocol.send_ping(b"")
            self.send_data()

    def is_dead(self, ping_interval_s: float) -> bool:
        pings = DEAD_AFTER_PINGS if self.answers_pings else DEAD_AFTER_PINGS_UNANSWERED
        return self.loop.time() - self.heard_at_s > pings * ping_interval_s


class StationConnection:
    """A station's open connection: the StationLink of `ChargePoints`.

    before: the task that still handles a call of the station's previous connection.
    """

    def __init__(
        self, socket: Socket, link: Link, server: OcppServer, before: asyncio.Task[None] | None
    ) -> None:
        self.identity = socket.identity
        self.handling: asyncio.Task[None] | None = None
        self._socket, self._link, self._server, self._before = socket, link, server, before
        self._calls: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._outgoing: deque[str] = deque()
        self._writing = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def busy(self) -> asyncio.Task[None] | None:
        """The task that still handles a call of this connection or of the one before it."""
        return next((t for t in (self.handling, self._before) if t is not None and not t.done()), None)

    async def run(self) -> None:
        """Read frames until the connection ends."""
        try:
            while not self._closed:
                frame = await self._socket.recv(decode=False)
                text = frame.decode("utf-8", "replace")
                next_call = self._carry_out(self._link.feed(text, self._server.clock.now()), text)
                if next_call is not None:
                    self.handling = asyncio.create_task(self._handle_calls(next_call))
                if self._outgoing:
                    await self._flush()
        except ConnectionClosed as end:
            if end.sent is not None and end.sent.code == CloseCode.MESSAGE_TOO_BIG:
                log.warning("frame over 1 MiB, connection closed", charge_point=self.identity)
        finally:
            self._closed = True
            self._carry_out(self._link.close())

    async def call(self, action: str, payload: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        id, effects = self._link.call(action, payload, loop.time(), timeout_s)
        answered: asyncio.Future[dict[str, Any]] = loop.create_future()
        self._calls[id] = answered
        timer = loop.call_later(timeout_s, self._time_is_over)
        try:
            self._carry_out(effects)
            self._spawn(self._flush())
            return await answered
        finally:
            if not answered.cancelled():  # else the station still owes an answer: its time goes on
                timer.cancel()
            del self._calls[id]
            self._link.withdraw(id)

    async def close(self, code: int, reason: str) -> None:
        self._closed = True
        self._carry_out(self._link.close())
        self._spawn(self._socket.close(code, reason))

    def _time_is_over(self) -> None:
        self._carry_out(self._link.tick(asyncio.get_running_loop().time()))
        self._spawn(self._flush())

    async def _handle_calls(self, call: HandleCall | None) -> None:
        """Handle the station's calls one after the other, until none is waiting."""
        if self._before is not None:
            await asyncio.wait([self._before])
            self._before = None
        while call is not None:
            effects = await self._handle(call)
            call = self._carry_out(effects)
            await self._flush()

    async def _handle(self, call: HandleCall) -> list[Effect]:
        charge_points = self._server.charge_points
        if call.repairs:
            charge_points.mended(self.identity, [f"{call.action}.{kind}" for kind in call.repairs])
        registration = charge_points.station(self.identity).registration
        if call.action != "BootNotification" and registration != "Accepted":
            return self._link.refuse("SecurityError", f"{registration}: only BootNotification is taken")
        try:
            answer = await self._server.messages.handle(
                self.identity, call.action, call.payload, call.received_at
            )
            return self._link.answer(answer)
        except Exception:  # supervisor: whatever went wrong, nothing was acknowledged and the station repeats
            log.exception("call not handled", charge_point=self.identity, action=call.action)
            return self._link.refuse("InternalError", "not stored, please repeat")

    def _carry_out(self, effects: list[Effect], text: str = "") -> HandleCall | None:
        """Do what the link says; returns the call that is to be handled now. `_flush` sends the frames."""
        next_call = None
        for effect in effects:
            match effect:
                case Received(action, message_id, note):
                    self._server.log_frame(self.identity, "in", action, message_id, text, note)
                case SendFrame(frame, action, message_id, note):
                    self._outgoing.append(frame)
                    self._server.log_frame(self.identity, "out", action, message_id, frame, note)
                case HandleCall():
                    next_call = effect
                case ResolveCall(id, result):
                    self._resolve(id, result)
        return next_call

    def _resolve(self, id: str, result: dict[str, Any] | Exception) -> None:
        answered = self._calls.get(id)
        if answered is None or answered.done():
            return  # whoever asked was cancelled
        if isinstance(result, Exception):
            answered.set_exception(result)
        else:
            answered.set_result(result)

    async def _flush(self) -> None:
        async with self._writing:
            while self._outgoing:
                try:
                    await self._socket.send(self._outgoing.popleft())
                except ConnectionClosed:  # `run` sees it too, and ends
                    self._outgoing.clear()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class OcppServer:
    """OCPP 1.6J central system on ws://host:port/…/<identity>, wss with an ssl_context.

    supported: the actions that `messages` handles. ping_interval_s: how often stations are pinged.
    """

    def __init__(
        self,
        charge_points: ChargePoints,
        messages: StationMessages,
        clock: Clock,
        host: str | None,
        port: int,
        *,
        frame_log: FrameLog,
        ssl_context: ssl.SSLContext | None = None,
        ping_interval_s: float = 20.0,
        supported: Collection[str] = CORE_ACTIONS_FROM_STATION,
        next_id: Callable[[], str] = lambda: str(uuid4()),
    ) -> None:
        self.charge_points, self.messages, self.clock = charge_points, messages, clock
        self._host, self._port, self._ssl_context = host, port, ssl_context
        self._frame_log, self._ping_interval_s = frame_log, ping_interval_s
        self._supported, self._next_id = frozenset(supported), next_id
        self._connections: dict[str, StationConnection] = {}
        self._sockets: set[Socket] = set()
        self._server: Server | None = None
        self._watcher: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The port listened on, also when it was given as 0."""
        return int(self._server.sockets[0].getsockname()[1]) if self._server else self._port

    async def start(self) -> None:
        """Raises: StartupError"""
        try:
            self._server = await serve(
                self._on_connection,
                self._host,
                self._port,
                process_request=self._on_request,
                select_subprotocol=_select_subprotocol,
                create_connection=Socket,
                compression=None,
                server_header=None,
                ping_interval=None,
                close_timeout=CLOSE_TIMEOUT_S,
                max_size=MAX_FRAME_BYTES,
                backlog=BACKLOG,
                ssl=self._ssl_context,
            )
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                why = "the port is in use by another program (set CSMS_OCPP_PORT to use another port)"
            else:
                why = error.strerror or str(error)
            raise StartupError(f"cannot listen for stations on {self._host}:{self._port}: {why}") from None
        self._watcher = asyncio.create_task(self._watch_sockets(), name="ocpp-watcher")

    async def stop(self) -> None:
        """Close all connections (stations come back by themselves) and let running handlers finish."""
        if self._server is None:
            return
        self._server.close(code=CloseCode.SERVICE_RESTART, reason="restart")
        if self._watcher is not None:
            self._watcher.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await self._server.wait_closed()
        self._server = None

    def log_frame(
        self,
        identity: str,
        direction: str,
        action: str | None,
        message_id: str | None,
        text: str,
        note: str | None,
    ) -> None:
        text = _without_secrets(text.replace("\x00", "\ufffd"))
        note = note and note[:MAX_NOTE]
        self._frame_log.add(identity, self.clock.now(), direction, action, message_id, text, note)

    async def _on_request(self, socket: ServerConnection, request: Request) -> Response | None:
        """Refuse stations we do not know before the handshake. Anything but a websocket is refused after."""
        assert isinstance(socket, Socket)
        if not any("websocket" in value.lower() for value in request.headers.get_all("Upgrade")):
            return None
        segments = [part for part in request.path.partition("?")[0].split("/") if part]
        given = unquote(segments[-1]) if segments else ""
        identity = await self.charge_points.admit(given) if given else None
        if identity is None:
            log.warning("unknown charge point refused", charge_point=given[:255], address=_address(socket))
            return socket.respond(HTTPStatus.NOT_FOUND, "unknown charge point\n")
        socket.identity = identity
        return None

    async def _on_connection(self, socket: ServerConnection) -> None:
        assert isinstance(socket, Socket)
        if socket.subprotocol is None:
            log.warning("no subprotocol ocpp1.6 offered", charge_point=socket.identity)
            await socket.close(CloseCode.PROTOCOL_ERROR, "subprotocol ocpp1.6 required")
            return
        previous = self._connections.get(socket.identity)
        link = Link(socket.identity, self._next_id, self._supported)
        connection = StationConnection(socket, link, self, previous.busy if previous else None)
        self._connections[socket.identity] = connection
        self._sockets.add(socket)
        socket.probe()
        try:
            await self.charge_points.connected(connection)
            await connection.run()
        finally:
            self._sockets.discard(socket)
            await self.charge_points.disconnected(connection)
            while (busy := connection.busy) is not None:
                await asyncio.wait([busy])
            if self._connections.get(socket.identity) is connection:
                del self._connections[socket.identity]

    async def _watch_sockets(self) -> None:
        """Ping every socket now and then, and cut those that have been silent for too long."""
        while True:
            await asyncio.sleep(self._ping_interval_s / 4)
            for socket in list(self._sockets):
                if socket.is_dead(self._ping_interval_s):
                    log.warning("station silent, connection cut", charge_point=socket.identity)
                    socket.transport.abort()
                elif socket.loop.time() - socket.pinged_at_s >= self._ping_interval_s:
                    socket.probe()


def _select_subprotocol(_socket: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """None agrees on nothing: the handshake is finished without the header, then the socket is closed."""
    return SUBPROTOCOL if SUBPROTOCOL in offered else None


def _without_secrets(text: str) -> str:
    """The frame with the value of write-only keys (as in ChangeConfiguration) blotted out."""
    if not any(key in text.lower() for key in SECRET_KEYS):
        return text
    return _SECRET.sub(lambda found: _VALUE.sub(r'\1"***"', found[0]), text)


def _address(socket: Socket) -> str:
    address = socket.remote_address
    return str(address[0]) if isinstance(address, tuple) else str(address)
