"""The station's end of OCPP-J 1.6: one websocket, reconnected with back-off; one call at a time.

StationCallError
├── LinkDown       there is no connection, or it broke before the answer came
├── NoAnswer       the central system did not answer in time
├── CallRefused    a CALLERROR, from either side
└── Unanswered     the station keeps silent on a call of the central system
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import secrets
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.typing import Subprotocol

from csms.clock import Clock

SUBPROTOCOL = Subprotocol("ocpp1.6")
BACK_OFF_FIRST_S, BACK_OFF_LAST_S = 5.0, 60.0
# These two count real seconds: the network does not run faster when the clock does.
ANSWER_TIMEOUT_S = 30.0
OPEN_TIMEOUT_S = 20.0


class StationCallError(Exception):
    pass


class LinkDown(StationCallError):
    pass


class NoAnswer(StationCallError):
    pass


class CallRefused(StationCallError):
    def __init__(self, code: str, description: str = "") -> None:
        super().__init__(f"{code}: {description}")
        self.code, self.description = code, description


class Unanswered(StationCallError):
    pass


@dataclass(frozen=True, slots=True)
class Answer:
    """To a call from the central system, after_s later. follow_up runs once it is on the wire."""

    payload: dict[str, Any]
    follow_up: Callable[[], Awaitable[None]] | None = None
    after_s: float = 0.0


class StationLink:
    """answer: decides a call of the central system at once, or raises CallRefused.

    frames: how many have come and gone so far, but for answers.
    """

    def __init__(
        self,
        url: str,
        identity: str,
        clock: Clock,
        answer: Callable[[str, dict[str, Any]], Answer],
        run_later: Callable[[Awaitable[None]], None],
        on_down: Callable[[], None],
    ) -> None:
        self.url = f"{url.rstrip('/')}/{quote(identity, safe='')}"
        self.ping_interval_s: float = 30
        self.frames = 0
        self.up = asyncio.Event()
        self.down = asyncio.Event()
        self._clock, self._answer, self._run_later, self._on_down = clock, answer, run_later, on_down
        self._websocket: ClientConnection | None = None
        self._away_s: float | None = None
        self._one_call = asyncio.Lock()
        self._message_ids = (f"{secrets.token_hex(5)}-{n}" for n in itertools.count(1))
        self._waiting: tuple[str, asyncio.Future[dict[str, Any]]] | None = None
        # Stations of one site do not knock at the same instant after a power cut.
        self._spread = 0.75 + 0.5 * (zlib.crc32(identity.encode()) / 2**32)

    async def run(self) -> None:
        """Stay connected until cancelled."""
        back_off_s = BACK_OFF_FIRST_S
        while True:
            try:
                async with connect(
                    self.url,
                    subprotocols=[SUBPROTOCOL],
                    compression=None,
                    proxy=None,
                    open_timeout=OPEN_TIMEOUT_S,
                    ping_interval=self.ping_interval_s or None,
                ) as websocket:
                    if websocket.subprotocol == SUBPROTOCOL:
                        back_off_s = BACK_OFF_FIRST_S
                        await self._serve(websocket)
            except (OSError, TimeoutError, WebSocketException):
                pass  # refused, unreachable, 404 …: a station only knocks again later
            finally:
                self._fall()
            wait_s, self._away_s = self._away_s, None
            await self._clock.sleep(back_off_s * self._spread if wait_s is None else wait_s)
            back_off_s = min(2 * back_off_s, BACK_OFF_LAST_S)

    def drop(self, away_s: float | None = None) -> None:
        """Break the connection without a goodbye; come back after away_s, or by the usual back-off."""
        self._away_s = away_s
        if self._websocket is not None:
            self._websocket.transport.abort()
            self._fall()

    async def leave(self, away_s: float) -> None:
        """Say goodbye, and come back after away_s."""
        self._away_s = away_s
        if self._websocket is not None:
            await self._websocket.close(1001)
            self._fall()

    async def call(self, action: str, payload: dict[str, Any]) -> dict[str, Any]:
        """Ask the central system. Raises StationCallError."""
        async with self._one_call:
            if self._websocket is None:
                raise LinkDown(self.url)
            message_id = next(self._message_ids)
            answered: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
            self._waiting = (message_id, answered)
            try:
                self.frames += 1
                await self._websocket.send(json.dumps([2, message_id, action, payload]))
                async with asyncio.timeout(ANSWER_TIMEOUT_S):
                    return await answered
            except ConnectionClosed as closed:
                self._waiting = None  # nobody waits for it any more
                self._fall()
                raise LinkDown(self.url) from closed
            except TimeoutError as late:
                raise NoAnswer(action) from late
            finally:
                self._waiting = None

    @property
    def is_asking(self) -> bool:
        """Does a call of the station wait for its answer, or for its turn?"""
        return self._one_call.locked()

    def _fall(self) -> None:
        if self._websocket is None:
            return
        self._websocket = None
        self.up.clear()
        self.down.set()
        if self._waiting is not None and not self._waiting[1].done():
            self._waiting[1].set_exception(LinkDown(self.url))
        self._on_down()

    async def _serve(self, websocket: ClientConnection) -> None:
        self._websocket = websocket
        self.down.clear()
        self.up.set()
        async for frame in websocket:
            self.frames += 1
            with contextlib.suppress(json.JSONDecodeError):  # OCPP-J: what cannot be read is ignored
                await self._receive(websocket, json.loads(frame))

    async def _receive(self, websocket: ClientConnection, message: list[Any]) -> None:
        kind, message_id, *rest = message
        if kind == 2:
            await self._reply(websocket, message_id, *rest)
        elif self._waiting is not None and self._waiting[0] == message_id:
            answered = self._waiting[1]
            if not answered.done():
                if kind == 3:
                    answered.set_result(rest[0])
                else:
                    answered.set_exception(CallRefused(rest[0], rest[1] if len(rest) > 1 else ""))

    async def _reply(
        self, websocket: ClientConnection, message_id: str, action: str, payload: dict[str, Any]
    ) -> None:
        try:
            answer = self._answer(action, payload)
        except CallRefused as refusal:
            await websocket.send(json.dumps([4, message_id, refusal.code, refusal.description, {}]))
            return
        except Unanswered:
            return
        if answer.after_s > 0:
            self._run_later(self._send_late(websocket, message_id, answer))
        else:
            await self._send(websocket, message_id, answer)

    async def _send_late(self, websocket: ClientConnection, message_id: str, answer: Answer) -> None:
        await self._clock.sleep(answer.after_s)
        with contextlib.suppress(ConnectionClosed):
            await self._send(websocket, message_id, answer)

    async def _send(self, websocket: ClientConnection, message_id: str, answer: Answer) -> None:
        await websocket.send(json.dumps([3, message_id, answer.payload]))
        if answer.follow_up is not None:
            self._run_later(answer.follow_up())
