"""A station's connection: bytes of one websocket to and from its `Link`, its calls to `StationMessages`.

One `StationConnection` per socket. It reads frames all the time and handles a station's calls one by
one in a task of their own, so that a handler may ask the station something and wait for the answer.
A call is answered only when its handler has returned; a handler that fails makes the station repeat.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

import structlog
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode

from csms.ocpp.link import Effect, HandleCall, Link, Received, ResolveCall, SendFrame
from csms.ocpp.station_socket import Socket as Socket

if TYPE_CHECKING:
    from csms.ocpp.server import OcppServer

log = structlog.get_logger()

_FAULTS: dict[int, str] = {  # close codes that we send for what is no websocket
    CloseCode.PROTOCOL_ERROR: "not a proper websocket frame",
    CloseCode.INVALID_DATA: "not a proper websocket frame",
    CloseCode.MESSAGE_TOO_BIG: "frame over 1 MiB",
}


class StationMessages(Protocol):
    """Whoever handles what stations say. Returns the answer's payload once it is committed."""

    async def handle(
        self, identity: str, action: str, payload: dict[str, Any], received_at: datetime
    ) -> dict[str, Any]: ...


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
                self._take(frame.decode("utf-8", "replace"))
                if self._outgoing:
                    await self._flush()  # an answer that is not taken: no more is read
        except ConnectionClosed as end:
            self._note_end(end)
        finally:
            self._closed = True
            self._carry_out(self._link.close())

    def _take(self, text: str) -> None:
        try:
            effects = self._link.feed(text, self._server.clock.now())
        except Exception:  # supervisor: no frame ends the connection
            self._server.log_fault("frame not understood", self.identity, None)
            return
        next_call = self._carry_out(effects, text)
        if next_call is not None:
            self.handling = asyncio.create_task(self._handle_calls(next_call))

    def _note_end(self, end: ConnectionClosed) -> None:
        """Why the connection ended, unless it was closed in an orderly way."""
        fault = _FAULTS.get(end.sent.code) if end.sent and not end.rcvd_then_sent else None
        if fault is not None:
            self._server.charge_points.mended(self.identity, [f"frame: {fault}"])
            if self._server.may_log_noise(self.identity):
                log.warning("connection closed", charge_point=self.identity, why=fault)
                self._server.log_event(self.identity, "connection closed", fault)
        elif self._socket.is_unacknowledged:
            log.warning("nothing acknowledged, connection cut", charge_point=self.identity)
            self._server.log_event(
                self.identity, "connection cut", "nothing of what was sent is acknowledged"
            )

    async def call(self, action: str, payload: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        id, effects = self._link.call(action, payload, now_s, timeout_s)
        answered: asyncio.Future[dict[str, Any]] = loop.create_future()
        self._calls[id] = answered
        timer = loop.call_later(timeout_s, self._time_is_over, now_s + timeout_s)
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

    def _time_is_over(self, deadline_s: float) -> None:
        """By the rounding of its clock, a loop's timer may ring a hair before the deadline."""
        self._carry_out(self._link.tick(max(asyncio.get_running_loop().time(), deadline_s)))
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
        if not charge_points.may_say(self.identity, call.action):
            registration = charge_points.station(self.identity).registration
            return self._link.refuse("SecurityError", f"{registration}: only BootNotification is taken")
        try:
            answer = await self._server.messages.handle(
                self.identity, call.action, call.payload, call.received_at
            )
            return self._link.answer(answer)
        except Exception:  # supervisor: whatever went wrong, nothing was acknowledged and the station repeats
            self._server.log_fault("call not handled", self.identity, call.action)
            return self._link.refuse("InternalError", "not stored, please repeat")

    def _carry_out(self, effects: list[Effect], text: str = "") -> HandleCall | None:
        """Do what the link says; returns the call that is to be handled now. `_flush` sends the frames."""
        next_call = None
        is_logged = not any(map(_is_noise, effects)) or self._server.may_log_noise(self.identity)
        for effect in effects:
            match effect:
                case Received(action, message_id, note, quirk, repairs):
                    kinds = [f"frame: {quirk}"] if quirk is not None else []
                    kinds += [f"{action} answer, {kind}" for kind in repairs]
                    self._server.charge_points.mended(self.identity, kinds)
                    if is_logged:
                        self._server.log_frame(self.identity, "in", action, message_id, text, note)
                case SendFrame(frame, action, message_id, note):
                    self._outgoing.append(frame)
                    if is_logged:
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


def _is_noise(effect: Effect) -> bool:
    """A frame that nobody understood, or its refusal."""
    match effect:
        case Received(quirk=str()) | SendFrame(note=str()):
            return True
    return False
