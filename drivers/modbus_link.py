"""One TCP connection that carries Modbus frames: bytes out, bytes in, and what came unasked."""

from __future__ import annotations

import asyncio
from typing import cast

from drivers.device import Framing
from drivers.modbus_frames import Query, contradicts, find_answer, frame


class AnswerMissing(Exception):
    """heard: how many bytes came that belong to something else."""

    def __init__(self, heard: int) -> None:
        super().__init__(heard)
        self.heard = heard


class AnswersOther(Exception):
    """A whole answer to this very request that is none."""


class LinkLost(Exception):
    pass


class ModbusLink(asyncio.Protocol):
    """unasked: bytes that answered nothing we asked. heard_at_s: of the event loop's clock."""

    def __init__(self, framing: Framing) -> None:
        self._framing = framing
        self._transport: asyncio.Transport | None = None
        self._heard = bytearray()
        self._news = asyncio.Event()
        self._transaction = 0
        self.unasked = 0
        self.heard_at_s = 0.0

    @classmethod
    async def connect(cls, host: str, port: int, framing: Framing, timeout_s: float) -> ModbusLink:
        """Raises OSError, which a time-out is, too."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(timeout_s):
            _, link = await loop.create_connection(lambda: cls(framing), host, port)
        return link

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by its type

    def data_received(self, data: bytes) -> None:
        self._heard += data
        self.heard_at_s = asyncio.get_running_loop().time()
        self._news.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._news.set()

    def drain(self) -> int:
        """Forget what came unasked, and say how many bytes it was."""
        stray = len(self._heard)
        self._heard.clear()
        self.unasked += stray
        return stray

    async def ask(self, query: Query, timeout_s: float) -> bytes:
        """The answer's PDU, which may be a refusal. Whatever else comes meanwhile is passed over.

        Raises:
            AnswerMissing: not within timeout_s of the event loop's clock.
            AnswersOther: only over TCP, where a transaction id ties an answer to its request.
            LinkLost: the connection ended.
        """
        if self._transport is None:
            raise LinkLost
        self.drain()
        self._transaction = self._transaction % 0xFFFF + 1
        self._transport.write(frame(query, self._framing, self._transaction))
        try:
            async with asyncio.timeout(timeout_s):
                return await self._answer(query)
        except TimeoutError:
            raise AnswerMissing(self.drain()) from None

    async def _answer(self, query: Query) -> bytes:
        while True:
            heard = bytes(self._heard)
            answer = find_answer(heard, query, self._framing, self._transaction)
            if answer is not None:
                self._heard.clear()
                return answer
            if self._transport is None:
                raise LinkLost
            if self._framing == "tcp" and contradicts(heard, query, self._transaction):
                raise AnswersOther
            self._news.clear()
            await self._news.wait()
