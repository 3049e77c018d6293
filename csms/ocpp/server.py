"""The websocket side: stations connect here. Who may is decided by `Admission`, what they say is
handled by their `StationConnection`; the newest connection of a station wins.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import re
import ssl
from collections.abc import Callable, Collection, Sequence
from uuid import uuid4

import structlog
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.frames import CloseCode
from websockets.typing import Subprotocol

from csms.clock import Clock
from csms.domain.ocpp_schemas import CORE_ACTIONS_FROM_STATION
from csms.errors import StartupError
from csms.ocpp.admission import Admission, Gate
from csms.ocpp.connection import Socket, StationConnection, StationMessages
from csms.ocpp.link import Link
from csms.services.charge_points import ChargePoints
from csms.services.commands import SECRET_KEYS
from csms.services.frame_log import FrameLog

log = structlog.get_logger()

SUBPROTOCOL = Subprotocol("ocpp1.6")
MAX_FRAME_BYTES = 2**20
CLOSE_TIMEOUT_S = 5.0
STOP_TIMEOUT_S = 15.0
BACKLOG = 1024  # after a restart, all stations come at once
MAX_NOTE = 1000
_SECRET = re.compile(rf"\{{[^{{}}]*\"(?:{'|'.join(SECRET_KEYS)})\"[^{{}}]*\}}", re.IGNORECASE)
_VALUE = re.compile(r'("value"\s*:\s*)"(?:[^"\\]|\\.)*"', re.IGNORECASE)


class OcppServer:
    """OCPP 1.6J central system on ws://host:port/…/<identity>.

    ssl_context: wss on `tls_port`, or instead of ws on `port` if there is no `tls_port`. gate: by what each
    station must show that it is the one it says; None = by nothing. supported: the actions that `messages`
    handles. ping_interval_s: how often stations are pinged.
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
        supported: Collection[str] = CORE_ACTIONS_FROM_STATION,
        next_id: Callable[[], str] = lambda: str(uuid4()),
    ) -> None:
        self.charge_points, self.messages, self.clock = charge_points, messages, clock
        self._host, self._port = host, port
        self._ssl_context, self._tls_port = ssl_context, tls_port
        self._admission = Admission(charge_points, gate=gate, note=self._note_refusal)
        self._frame_log, self._ping_interval_s = frame_log, ping_interval_s
        self._supported, self._next_id = frozenset(supported), next_id
        self._connections: dict[str, StationConnection] = {}
        self._sockets: set[Socket] = set()
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
                process_request=self._admission.on_request,
                select_subprotocol=_select_subprotocol,
                create_connection=Socket,
                compression=None,
                server_header=None,
                ping_interval=None,
                close_timeout=CLOSE_TIMEOUT_S,
                max_size=MAX_FRAME_BYTES,
                backlog=BACKLOG,
                ssl=ssl_context,
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
        text = _without_secrets(text.replace("\x00", "\ufffd"))
        note = note and note[:MAX_NOTE]
        self._frame_log.add(identity, self.clock.now(), direction, action, message_id, text, note)

    def _note_refusal(self, identity: str, line: str, reason: str) -> None:
        self.log_frame(identity, "in", None, None, line, reason)

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
