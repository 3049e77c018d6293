"""A charging station's websocket at next to no cost, so that the server is what is measured.

Only what a station needs of RFC 6455: text frames below 64 KiB, pings answered, the masking key zero
(the server unmasks all the same). One asyncio protocol per station, no task, no stream.
"""

from __future__ import annotations

import asyncio
import base64
import os
from typing import cast
from urllib.parse import quote

TEXT, CLOSE, PING = 0x1, 0x8, 0x9
NO_MASK = b"\0\0\0\0"


class StationSocket(asyncio.Protocol):
    """Subclasses say what happens on `opened`, `received` and `lost`."""

    def __init__(self, identity: str) -> None:
        self.identity = identity
        self.is_open = False
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._refused = ""

    def opened(self) -> None:
        """The handshake is done."""

    def received(self, text: bytes) -> None:
        """A frame came."""

    def lost(self, why: str) -> None:
        """The connection is over, or never came to be."""

    def send(self, text: bytes) -> None:
        assert self._transport is not None
        self._transport.write(header(TEXT, len(text)) + text)

    def send_frame(self, frame: bytes) -> None:
        """frame: with its header."""
        assert self._transport is not None
        self._transport.write(frame)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        host, port = transport.get_extra_info("peername")[:2]
        key = base64.b64encode(os.urandom(16)).decode()
        self._transport.write(
            f"GET /{quote(self.identity)} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Protocol: ocpp1.6\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        data = self._buffer + data if self._buffer else data
        if not self.is_open:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._buffer = data
                return
            if not data.startswith(b"HTTP/1.1 101 "):
                self._refused = data.partition(b"\r\n")[0].decode()
                self.abort()
                return
            self.is_open = True
            data = data[end + 4 :]
            self.opened()
        self._buffer = self._take_frames(data)

    def connection_lost(self, error: Exception | None) -> None:
        why, self.is_open = self._refused or str(error or "closed"), False
        self._buffer, self._refused = b"", ""
        self.lost(why)

    def _take_frames(self, data: bytes) -> bytes:
        """Returns what is not a whole frame yet."""
        at = 0
        while len(data) - at >= 2:
            length, start = data[at + 1] & 0x7F, at + 2
            if length == 126:
                length, start = int.from_bytes(data[at + 2 : at + 4]), at + 4
            elif length == 127:
                length, start = int.from_bytes(data[at + 2 : at + 10]), at + 10
            end = start + length
            if len(data) < max(end, start):
                break
            self._take(data[at] & 0xF, data[start:end])
            at = end
        return data[at:]

    def _take(self, opcode: int, content: bytes) -> None:
        if opcode == TEXT:
            self.received(content)
        elif opcode == PING:
            self.send_frame(header(0xA, len(content)) + content)
        elif opcode == CLOSE:
            self.abort()


def header(opcode: int, length: int) -> bytes:
    """Of a masked frame with a masking key of zeros."""
    if length < 126:
        return bytes((0x80 | opcode, 0x80 | length)) + NO_MASK
    return bytes((0x80 | opcode, 0x80 | 126)) + length.to_bytes(2) + NO_MASK


def refusal_of(call: bytes) -> bytes:
    """What a simple station answers to whatever the central system asks: it does not know it."""
    id = call.split(b",", 2)[1].strip()
    return b'[4,%s,"NotImplemented","",{}]' % id
