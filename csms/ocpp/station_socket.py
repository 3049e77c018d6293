"""A station's websocket: knows whether the other side lives, does not listen to one that does not read.

A dead link is found within 60 s, whatever the heartbeat interval: every 20 s the station is pinged.
- One that answers pings is cut when it has been silent for two and a half intervals.
- One that never does may be silent between heartbeats; but its TCP acknowledges the ping, and if it does
  not, the kernel ends the connection (TCP_USER_TIMEOUT). Where the system has no such option, or a proxy
  acknowledges in the station's place, it is cut after 15 minutes of silence.
"""

from __future__ import annotations

import errno
import socket as sockets
from asyncio import BaseTransport
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.frames import Frame, Opcode
from websockets.protocol import Event, State

from csms.ocpp.flood_limits import Handshakes

DEAD_AFTER_PINGS = 2.5  # at 20 s, and looking every 5 s, a dead link is found within 55 s
DEAD_AFTER_PINGS_UNANSWERED = 45  # a station that never answers pings may be silent between heartbeats
UNACKNOWLEDGED_S = 35  # with the 20 s until the next ping, a dead link is found within 55 s
STUCK_S = 25.0  # less than UNACKNOWLEDGED_S: the kernel counts a closed window as well

_TCP_OPTIONS = {  # those that the system has; without a ping under way the kernel probes by itself
    "TCP_USER_TIMEOUT": UNACKNOWLEDGED_S * 1000,
    "TCP_KEEPIDLE": 20,
    "TCP_KEEPINTVL": 10,
    "TCP_KEEPCNT": 3,
}


class Socket(ServerConnection):
    """Any byte it hears shows that the other side lives. address: the other side's, without the port."""

    def __init__(self, *args: Any, handshakes: Handshakes, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._handshakes = handshakes
        self.identity = self.address = ""
        self.heard_at_s = self.pinged_at_s = self.loop.time()
        self.answers_pings = False
        self._stuck_since_s: float | None = None
        self._unread_bytes = 0
        self._frames_wait = self._reading_paused = False

    @property
    def is_unacknowledged(self) -> bool:
        """Was the connection ended by the kernel, for nobody acknowledged what was sent?"""
        fault = self.connection_exc
        return isinstance(fault, OSError) and fault.errno == errno.ETIMEDOUT

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)
        peer = transport.get_extra_info("peername")
        self.address = str(peer[0]) if isinstance(peer, tuple) else str(peer)
        watch_acknowledgements(transport.get_extra_info("socket"))
        oldest = self._handshakes.begin(self.address, self)
        if isinstance(oldest, Socket):
            oldest.transport.abort()
        self.recv_messages.pause, self.recv_messages.resume = self._frames_are_many, self._frames_are_few

    def connection_lost(self, exc: Exception | None) -> None:
        self._handshakes.end(self.address, self)
        super().connection_lost(exc)

    async def handshake(self, *args: Any, **kwargs: Any) -> None:
        await super().handshake(*args, **kwargs)
        self._handshakes.end(self.address, self)

    def data_received(self, data: bytes) -> None:
        self.heard_at_s = self.loop.time()
        super().data_received(data)

    def process_event(self, event: Event) -> None:
        if isinstance(event, Frame) and event.opcode is Opcode.PONG:
            self.answers_pings = True
        super().process_event(event)

    def probe(self) -> None:
        """Send a ping without waiting for room in the write buffer; into a full one, none."""
        if self.protocol.state is State.OPEN and not self.paused:
            self.pinged_at_s = self.loop.time()
            self.protocol.send_ping(b"")
            self.send_data()

    def is_dead(self, ping_interval_s: float) -> bool:
        pings = DEAD_AFTER_PINGS if self.answers_pings else DEAD_AFTER_PINGS_UNANSWERED
        return self.loop.time() - self.heard_at_s > pings * ping_interval_s

    def is_stuck(self, patience_s: float) -> bool:
        """Has the other side taken nothing of what we wrote for so long?"""
        if self._stuck_since_s is None:
            return False
        unread = self.transport.get_write_buffer_size()
        if unread < self._unread_bytes:
            self._stuck_since_s = self.loop.time()
        self._unread_bytes = unread
        return self.loop.time() - self._stuck_since_s > patience_s

    # --- back-pressure: who does not read what we answer is not listened to ---

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stuck_since_s, self._unread_bytes = self.loop.time(), self.transport.get_write_buffer_size()
        self._listen_or_not()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stuck_since_s = None
        self._listen_or_not()

    def _frames_are_many(self) -> None:
        self._frames_wait = True
        self._listen_or_not()

    def _frames_are_few(self) -> None:
        self._frames_wait = False
        self._listen_or_not()

    def _listen_or_not(self) -> None:
        pause = self._frames_wait or self.paused
        if pause == self._reading_paused or self.transport.is_closing():
            return
        self._reading_paused = pause
        if pause:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()


def watch_acknowledgements(socket: sockets.socket | None) -> None:
    """Let the kernel end the connection when nobody acknowledges what we send. Not TCP: nothing to set."""
    if socket is None or socket.family not in (sockets.AF_INET, sockets.AF_INET6):
        return
    socket.setsockopt(sockets.SOL_SOCKET, sockets.SO_KEEPALIVE, 1)
    for name, value in _TCP_OPTIONS.items():
        if (option := getattr(sockets, name, None)) is not None:
            socket.setsockopt(sockets.IPPROTO_TCP, option, value)
