"""A station's websocket: knows whether the other side lives, does not listen to one that does not read.

A dead link is found within 60 s, whatever the heartbeat interval: every 20 s the station is pinged.
- One that answers pings is cut when it has been silent for two and a half intervals.
- One that never does may be silent between heartbeats; but its TCP acknowledges the ping, and if it does
  not, the kernel ends the connection (TCP_USER_TIMEOUT). Where the system has no such option, or a proxy
  acknowledges in the station's place, it is cut after 15 minutes of silence.
"""

from __future__ import annotations

import errno
import math
import socket as sockets
from asyncio import BaseTransport
from collections.abc import Callable
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.frames import DATA_OPCODES, Frame, Opcode
from websockets.protocol import Event, State

try:
    from websockets.speedups import apply_mask
except ImportError:
    from websockets.utils import apply_mask

from csms.ocpp.flood_limits import Handshakes

# In ping intervals. At 20 s, and looking every 5 s, a dead link is found within 55 s.
SILENT_PINGS = 2.5
SILENT_PINGS_UNANSWERED = 45.0  # a station that never answers pings may be silent between heartbeats
UNACKNOWLEDGED_PINGS = 1.75  # counted from the ping, which may come a whole interval after the link died

WHOLE_TEXT, MASKED = 0x81, 0x80  # first byte of a frame; bit of the second

STUCK_S = 25.0  # shorter than what is unacknowledged may last: the kernel counts a closed window as well


class Socket(ServerConnection):
    """Any byte it hears shows that the other side lives. address: the other side's, without the port.

    take: gets each message that came in one piece at once, without a task that waits for it; in order, so
    only what finds nothing waiting to be read by `recv`.
    """

    def __init__(self, *args: Any, handshakes: Handshakes, probe_interval_s: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._handshakes, self._probe_interval_s = handshakes, probe_interval_s
        self.identity = self.address = ""
        self.heard_at_s = self.loop.time()
        self.pinged_at_s = -math.inf
        self.answers_pings = False
        self.take: Callable[[bytes], None] | None = None
        self._unparsed = 0  # bytes of a frame that has not come as a whole yet
        self._is_in_pieces = False  # between two frames of one message
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
        watch_acknowledgements(transport.get_extra_info("socket"), self._probe_interval_s)
        oldest = self._handshakes.begin(self.address, self)
        if isinstance(oldest, Socket):
            oldest.transport.abort()
        self.recv_messages.pause, self.recv_messages.resume = self._frames_are_many, self._frames_are_few

    def connection_lost(self, exc: Exception | None) -> None:
        self._handshakes.end(self.address, self)
        super().connection_lost(exc)
        self._let_go()

    def _let_go(self) -> None:
        """Take apart what refers to itself, lest it stays, with all that was not read, until the collector
        comes round to it. None of it is needed any more: the subprotocol is agreed, nothing is to be paused
        or parsed, and a fault need not tell where in the library it was found.
        """
        self.protocol.parser.close()
        vars(self.protocol).pop("select_subprotocol", None)
        self.recv_messages.pause = self.recv_messages.resume = _nothing
        for fault in (self.protocol.parser_exc, self.protocol.handshake_exc, self.connection_exc):
            if fault is not None:
                fault.__traceback__ = None

    async def handshake(self, *args: Any, **kwargs: Any) -> None:
        await super().handshake(*args, **kwargs)
        self._handshakes.end(self.address, self)

    def forget_handshake(self) -> None:
        """What was asked for and answered: up to a megabyte of headers, as long as the connection lasts."""
        for told in (self.request, self.response):
            if told is not None:
                told.headers.clear()

    def data_received(self, data: bytes) -> None:
        """Most of what comes is one message, whole: no need to parse it as if it came in bits."""
        self.heard_at_s = self.loop.time()
        if self.protocol.state is State.OPEN:
            is_between = self._unparsed == 0 and not self._is_in_pieces and self._has_read_all()
            message = whole_message(data) if is_between and self.take is not None else None
            if message is not None and self.take is not None:
                self.take(message)
                return
            self._unparsed += len(data)
        super().data_received(data)

    def process_event(self, event: Event) -> None:
        if not isinstance(event, Frame):
            super().process_event(event)
            return
        self._unparsed -= _size(event)
        self.answers_pings = self.answers_pings or event.opcode is Opcode.PONG
        if event.opcode in DATA_OPCODES:
            was_in_pieces, self._is_in_pieces = self._is_in_pieces, not event.fin
            if event.fin and not was_in_pieces and self.take is not None and self._has_read_all():
                self.take(bytes(event.data))
                return
        super().process_event(event)

    def _has_read_all(self) -> bool:
        return not self.recv_messages.frames.queue

    def send_at_once(self, text: str) -> bool:
        """Send a message unless the other side must take others first, or the connection is over."""
        if self.paused or self.protocol.state is not State.OPEN:
            return False
        self.transport.write(text_frame(text.encode()))
        return True

    def probe(self) -> None:
        """Send a ping if one is due, without waiting for room in the write buffer; into a full one, none."""
        is_due = self.loop.time() - self.pinged_at_s >= self._probe_interval_s
        if is_due and self.protocol.state is State.OPEN and not self.paused:
            self.pinged_at_s = self.loop.time()
            self.protocol.send_ping(b"")
            self.send_data()

    def is_dead(self) -> bool:
        pings = SILENT_PINGS if self.answers_pings else SILENT_PINGS_UNANSWERED
        return self.loop.time() - self.heard_at_s > pings * self._probe_interval_s

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


def _nothing() -> None: ...


def whole_message(data: bytes) -> bytes | None:
    """The message, if the data is just one frame with a whole text message, masked, of less than 64 KiB."""
    if len(data) < 6 or data[0] != WHOLE_TEXT or data[1] < MASKED:
        return None
    length, begin = data[1] - MASKED, 2
    if length > 125:
        length, begin = int.from_bytes(data[2:4]), 4
        if data[1] == MASKED + 127:
            return None
    if len(data) != begin + 4 + length:
        return None
    return apply_mask(data[begin + 4 :], data[begin : begin + 4])


def text_frame(message: bytes) -> bytes:
    """The message as a server sends it: in one frame, not masked."""
    length = len(message)
    if length < 126:
        return bytes((WHOLE_TEXT, length)) + message
    if length < 65_536:
        return bytes((WHOLE_TEXT, 126)) + length.to_bytes(2) + message
    return bytes((WHOLE_TEXT, 127)) + length.to_bytes(8) + message


def _size(frame: Frame) -> int:
    """Of a masked frame, in bytes."""
    length = len(frame.data)
    return 6 + length + (0 if length < 126 else 2 if length < 65536 else 8)


def watch_acknowledgements(socket: sockets.socket | None, probe_interval_s: float) -> None:
    """Let the kernel end the connection when nobody acknowledges what we send.

    Without a ping under way it probes by itself. Options that the system does not have are left out.
    """
    if socket is None or socket.family not in (sockets.AF_INET, sockets.AF_INET6):
        return
    options = {
        "TCP_USER_TIMEOUT": round(UNACKNOWLEDGED_PINGS * probe_interval_s * 1000),
        "TCP_KEEPIDLE": max(1, round(probe_interval_s)),
        "TCP_KEEPINTVL": max(1, round(probe_interval_s / 2)),
        "TCP_KEEPCNT": 3,
    }
    socket.setsockopt(sockets.SOL_SOCKET, sockets.SO_KEEPALIVE, 1)
    for name, value in options.items():
        if (option := getattr(sockets, name, None)) is not None:
            socket.setsockopt(sockets.IPPROTO_TCP, option, value)
