"""The websocket side: stations connect here. Who may is decided by `Admission`, what they say is
handled by their `StationConnection`; the newest connection of a station wins.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import re
import ssl
import time
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import cast
from uuid import uuid4

import structlog
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.frames import CloseCode
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from csms.clock import Clock
from csms.domain.allowance import Allowance
from csms.domain.ocpp_schemas import CORE_ACTIONS_FROM_STATION
from csms.errors import StartupError
from csms.ocpp.admission import Admission, Gate
from csms.ocpp.connection import StationConnection, StationMessages
from csms.ocpp.flood_limits import FloodLimits, Handshakes
from csms.ocpp.link import ALL_INBOXES_CHARACTERS, Link, WaitingText
from csms.ocpp.station_socket import STUCK_S, Socket
from csms.services.charge_points import ChargePoints
from csms.services.commands import SECRET_KEYS
from csms.services.frame_log import FrameLog
from csms.services.station_jobs import ADDRESS_PATH

log = structlog.get_logger()

SUBPROTOCOL = Subprotocol("ocpp1.6")
MAX_FRAME_BYTES = 2**20
OPEN_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 5.0
STOP_TIMEOUT_S = 15.0
BACKLOG = 1024  # after a restart, all stations come at once
MAX_NOTE = 1000
NOISE_LOGGED, NOISE_REFILL_S = 100, 300.0  # of each station's refused frames and connections
FAULTS_LOGGED, FAULTS_REFILL_S = 20, 60.0  # with their traceback
_OBJECT = re.compile(r"\{[^{}]*+\}?")
_ADDRESS = re.compile(rf"({ADDRESS_PATH}/)[\w-]+")
_VALUE = re.compile(r'("value"\s*:\s*)(?:"(?:[^"\\]++|\\.)*+"?|[^\s,"{}\[\]]++)', re.IGNORECASE)


class OcppServer:
    """OCPP 1.6J central system on ws://host:port/…/<identity>.

    ssl_context: wss on `tls_port`, or instead of ws on `port` if there is no `tls_port`. gate: by what each
    station must show that it is the one it says; None = by nothing. supported: the actions that `messages`
    handles. ping_interval_s: how often stations are pinged. stuck_s: how long a station may leave unread
    what it is sent. waiting_characters: of all stations' calls that are not answered yet.
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
        tls_port: int | None = None,
        gate: Gate | None = None,
        ping_interval_s: float = 20.0,
        stuck_s: float = STUCK_S,
        supported: Collection[str] = CORE_ACTIONS_FROM_STATION,
        next_id: Callable[[], str] = lambda: str(uuid4()),
        waiting_characters: int = ALL_INBOXES_CHARACTERS,
    ) -> None:
        self.charge_points, self.messages, self.clock = charge_points, messages, clock
        self._host, self._port = host, port
        self._ssl_context, self._tls_port = ssl_context, tls_port
        limits, handshakes = FloodLimits(time.monotonic, charge_points.is_known), Handshakes(time.monotonic)
        self._admission = Admission(charge_points, limits, gate, self._note_refusal)
        self._new_socket = partial(Socket, handshakes=handshakes, probe_interval_s=ping_interval_s)
        self._frame_log, self._ping_interval_s, self._stuck_s = frame_log, ping_interval_s, stuck_s
        self._supported, self._next_id = frozenset(supported), next_id
        self._connections: dict[str, StationConnection] = {}
        self._sockets: set[Socket] = set()
        self._waiting = WaitingText(waiting_characters)
        self._noise: dict[str, Allowance] = {}
        self._faults = Allowance(FAULTS_LOGGED, FAULTS_REFILL_S)
        self._server: Server | None = None
        self._tls_server: Server | None = None
        self._watcher: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The port listened on, also when it was given as 0."""
        return int(self._server.sockets[0].getsockname()[1]) if self._server else self._port

    @property
    def tls_port(self) -> int | None:
        """The port of wss, also when it was given as 0; None = there is none."""
        if self._tls_server is not None:
            return int(self._tls_server.sockets[0].getsockname()[1])
        return self.port if self._ssl_context is not None and self._tls_port is None else None

    async def start(self) -> None:
        """Raises: StartupError"""
        if self._ssl_context is None or self._tls_port is None:
            self._server = await self._listen(self._port, self._ssl_context, "CSMS_OCPP_PORT")
        else:
            self._server = await self._listen(self._port, None, "CSMS_OCPP_PORT")
            try:
                self._tls_server = await self._listen(self._tls_port, self._ssl_context, "CSMS_OCPP_TLS_PORT")
            except StartupError:
                self._server.close()
                raise
        self._watcher = asyncio.create_task(self._watch_sockets(), name="ocpp-watcher")

    async def _listen(self, port: int, ssl_context: ssl.SSLContext | None, variable: str) -> Server:
        try:
            return await serve(
                self._on_connection,
                self._host,
                port,
                process_request=self._on_request,
                select_subprotocol=_select_subprotocol,
                create_connection=cast(type[Socket], self._new_socket),
                compression=None,
                server_header=None,
                ping_interval=None,
                open_timeout=OPEN_TIMEOUT_S,
                close_timeout=CLOSE_TIMEOUT_S,
                max_size=MAX_FRAME_BYTES,
                backlog=BACKLOG,
                ssl=ssl_context,
                ssl_handshake_timeout=OPEN_TIMEOUT_S if ssl_context is not None else None,
            )
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                why = f"the port is in use by another program (set {variable} to use another port)"
            else:
                why = error.strerror or str(error)
            raise StartupError(f"cannot listen for stations on {self._host}:{port}: {why}") from None

    async def stop(self) -> None:
        """Close all connections (stations come back by themselves) and let running handlers finish."""
        if self._server is None:
            return
        servers = [server for server in (self._server, self._tls_server) if server is not None]
        for server in servers:
            server.close(code=CloseCode.SERVICE_RESTART, reason="restart")
        if self._watcher is not None:
            self._watcher.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await asyncio.gather(*(server.wait_closed() for server in servers))
        for socket in list(self._sockets):  # whoever has not let go by now
            socket.transport.abort()
        self._server = self._tls_server = None

    def log_frame(
        self,
        identity: str,
        direction: str,
        action: str | None,
        message_id: str | None,
        text: str,
        note: str | None,
    ) -> None:
        text = text.replace("\x00", "\ufffd")
        if action != "MeterValues" or note is not None:  # one that is all as OCPP has it holds none
            text = _without_secrets(text)
        note = note and note[:MAX_NOTE]
        self._frame_log.add(identity, self.clock.now(), direction, action, message_id, text, note)

    def log_event(self, identity: str, what: str, why: str | None = None) -> None:
        """Something that happened to the station's connection. why: if it was no ordinary thing."""
        self.log_frame(identity, "log", None, None, what, why)

    def may_log_noise(self, identity: str) -> bool:
        """What a station gets wrong is logged, unless it is so much that it would fill the log."""
        if (allowance := self._noise.get(identity)) is None:
            allowance = self._noise[identity] = Allowance(NOISE_LOGGED, NOISE_REFILL_S)
        now_s = time.monotonic()
        if allowance.take(now_s):
            return True
        if allowance.is_to_be_told(now_s):
            frames, allowance.missed = allowance.missed, 0
            log.warning("refused frames are not all logged", charge_point=identity, not_logged=frames)
        return False

    def log_fault(self, what: str, identity: str, action: str | None, fault: Exception) -> None:
        """With its traceback, but not all: while the database is down every call makes one."""
        if self._faults.take(time.monotonic()):
            missed = self._faults.missed
            log.error(what, charge_point=identity, action=action, not_logged=missed, exc_info=fault)
            self._faults.missed = 0

    async def _on_request(self, socket: ServerConnection, request: Request) -> Response | None:
        _mend_headers(request.headers)
        return await self._admission.on_request(socket, request)

    def _note_refusal(self, identity: str, line: str, reason: str) -> None:
        self.log_event(identity, line, reason)

    async def _on_connection(self, socket: ServerConnection) -> None:
        assert isinstance(socket, Socket)
        if socket.subprotocol is None and not self._may_do_without_subprotocol(socket):
            if self.may_log_noise(socket.identity):
                log.warning("no subprotocol ocpp1.6 offered", charge_point=socket.identity)
                self.log_event(socket.identity, "connection closed", "no subprotocol ocpp1.6 offered")
            await socket.close(CloseCode.PROTOCOL_ERROR, "subprotocol ocpp1.6 required")
            return
        socket.forget_handshake()
        previous = self._connections.get(socket.identity)
        link = Link(socket.identity, self._next_id, self._supported, self._waiting)
        connection = StationConnection(socket, link, self, previous.busy if previous else None)
        self._connections[socket.identity] = connection
        self._sockets.add(socket)
        socket.probe()
        self.log_event(socket.identity, f"connected from {socket.address}")
        try:
            await self.charge_points.connected(connection)
            await connection.run()
        finally:
            self._sockets.discard(socket)
            reason = f": {socket.close_reason}" if socket.close_reason else ""
            self.log_event(socket.identity, f"disconnected ({socket.close_code}{reason})")
            await self.charge_points.disconnected(connection)
            while (busy := connection.busy) is not None:
                await asyncio.wait([busy])
            if self._connections.get(socket.identity) is connection:
                del self._connections[socket.identity]

    def _may_do_without_subprotocol(self, socket: Socket) -> bool:
        """Some stations offer none; the operator knows which. One that speaks OCPP 2 only is not ours."""
        assert socket.request is not None
        offered = ",".join(socket.request.headers.get_all("Sec-WebSocket-Protocol")).lower()
        options = self.charge_points.station(socket.identity).options
        return bool(options.get("assume_subprotocol")) and "ocpp2" not in offered

    async def _watch_sockets(self) -> None:
        """Ping every socket now and then, and cut those that have been silent for too long."""
        while True:
            await asyncio.sleep(self._ping_interval_s / 4)
            for socket in list(self._sockets):
                if socket.is_dead():
                    log.warning("station silent, connection cut", charge_point=socket.identity)
                    self.log_event(socket.identity, "connection cut", "nothing heard of it for too long")
                    socket.transport.abort()
                elif socket.is_stuck(self._stuck_s):
                    log.warning("station reads nothing, connection cut", charge_point=socket.identity)
                    self.log_event(socket.identity, "connection cut", "it takes nothing that is sent")
                    socket.transport.abort()
                else:
                    socket.probe()


def _select_subprotocol(_socket: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """None agrees on nothing: the handshake is finished without the header, then the socket is closed."""
    return SUBPROTOCOL if SUBPROTOCOL in offered else None


def _mend_headers(headers: Headers) -> None:
    """What some stations get wrong in their request: no `Connection: Upgrade`, an empty subprotocol."""
    wants_websocket = any("websocket" in value.lower() for value in headers.get_all("Upgrade"))
    if wants_websocket and not any("upgrade" in value.lower() for value in headers.get_all("Connection")):
        headers["Connection"] = "Upgrade"
    offered = headers.get_all("Sec-WebSocket-Protocol")
    if offered and not "".join(offered).strip(" ,"):
        del headers["Sec-WebSocket-Protocol"]


def _without_secrets(text: str) -> str:
    """The frame with the value of write-only keys (as in ChangeConfiguration) and the secrets of one-time
    addresses blotted out."""
    if ADDRESS_PATH in text:
        text = _ADDRESS.sub(r"\1***", text)
    if not _has_secret(text):
        return text
    return _OBJECT.sub(lambda o: _VALUE.sub(r'\1"***"', o[0]) if _has_secret(o[0]) else o[0], text)


def _has_secret(text: str) -> bool:
    lower = text.lower()
    return any([key in lower for key in SECRET_KEYS])  # noqa: C419 - few keys, many texts
