"""A station's connection: bytes of one websocket to and from its `Link`, its calls to `StationMessages`.

One `StationConnection` per socket. It reads frames all the time and handles a station's calls one by
one beside that, so that a handler may ask the station something and wait for the answer.
A call is answered only when its handler has returned; a handler that fails makes the station repeat.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Coroutine
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import structlog
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode

from csms.ocpp.link import Effect, HandleCall, Link, Received, SendFrame
from csms.ocpp.station_socket import Socket as Socket

if TYPE_CHECKING:
    from csms.ocpp.server import OcppServer

log = structlog.get_logger()

Handling = asyncio.Future[dict[str, Any]]

_FAULTS: dict[int, str] = {  # close codes that we send for what is no websocket
    CloseCode.PROTOCOL_ERROR: "not a proper websocket frame",
    CloseCode.INVALID_DATA: "not a proper websocket frame",
    CloseCode.MESSAGE_TOO_BIG: "frame over 1 MiB",
}


class StationMessages(Protocol):
    """Whoever handles what stations say. Returns the answer's payload once it is committed; a future if that
    needs no task to go on."""

    def handle(
        self, identity: str, action: str, payload: dict[str, Any], received_at: datetime
    ) -> Awaitable[dict[str, Any]]: ...


class _Refused(Exception):
    """The station may not say this now."""


class StationConnection:
    """A station's open connection: the StationLink of `ChargePoints`.

    before: what still handles a call of the station's previous connection.
    """

    def __init__(self, socket: Socket, link: Link, server: OcppServer, before: Handling | None) -> None:
        self.identity = socket.identity
        self.handling: Handling | None = None
        self._socket, self._link, self._server, self._before = socket, link, server, before
        self._calls: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._outgoing: deque[str] = deque()
        self._writing = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def busy(self) -> Handling | None:
        """What still handles a call of this connection or of the one before it."""
        return next((t for t in (self.handling, self._before) if t is not None and not t.done()), None)

    async def run(self) -> None:
        """Read frames until the connection ends; whole ones come to `_take` without a wait."""
        self._socket.take = self._take
        try:
            while not self._closed:
                self._take(await self._socket.recv(decode=False))
                if self._outgoing:
                    await self._flush()  # an answer that is not taken: no more is read
        except ConnectionClosed as end:
            self._note_end(end)
        finally:
            self._socket.take = None
            self._closed = True
            self._carry_out(self._link.close())
            while self._timers:  # or else they keep all of this until they ring
                self._timers.popitem()[1].cancel()

    def _take(self, frame: bytes) -> None:
        if self._closed:
            return
        text, now = frame.decode("utf-8", "replace"), self._server.clock.now()
        try:
            effects = self._link.feed(text, now)
        except Exception as fault:  # supervisor: no frame ends the connection
            self._server.log_fault("frame not understood", self.identity, None, fault)
            return
        self._handle(self._carry_out(effects, text))

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
        self._timers[id] = loop.call_later(timeout_s, self._time_is_over, id, now_s + timeout_s)
        try:
            self._carry_out(effects)
            return await answered
        finally:
            is_owed = answered.cancelled()  # the station still owes an answer: its time goes on
            if not is_owed and (timer := self._timers.pop(id, None)) is not None:
                timer.cancel()
            del self._calls[id], answered  # which holds the failure, whose traceback holds this frame
            self._link.withdraw(id)

    async def close(self, code: int, reason: str) -> None:
        self._closed = True
        self._carry_out(self._link.close())
        self._spawn(self._socket.close(code, reason))

    def _time_is_over(self, id: str, deadline_s: float) -> None:
        """By the rounding of its clock, a loop's timer may ring a hair before the deadline."""
        self._timers.pop(id, None)
        self._carry_out(self._link.tick(max(asyncio.get_running_loop().time(), deadline_s)))

    def _handle(self, call: HandleCall | None) -> None:
        """Begin to handle a call; `_answer` follows when that is done, and then the next call."""
        while call is not None:
            try:
                self.handling = asyncio.ensure_future(self._work_on(call))
                self.handling.add_done_callback(partial(self._answer, call))
                return
            except Exception as fault:  # supervisor, as in `_answer`
                call = self._carry_out(self._failed(call, fault))

    def _work_on(self, call: HandleCall) -> Awaitable[dict[str, Any]]:
        before, self._before = self._before, None
        if before is not None and not before.done():
            return self._work_later(before, call)
        charge_points = self._server.charge_points
        if call.repairs:
            charge_points.mended(self.identity, [f"{call.action}.{kind}" for kind in call.repairs])
        if not charge_points.may_say(self.identity, call.action):
            registration = charge_points.station(self.identity).registration
            raise _Refused(f"{registration}: only BootNotification is taken")
        return self._server.messages.handle(self.identity, call.action, call.payload, call.received_at)

    async def _work_later(self, before: Handling, call: HandleCall) -> dict[str, Any]:
        await asyncio.wait([before])
        return await self._work_on(call)

    def _answer(self, call: HandleCall, work: Handling) -> None:
        if work.cancelled():
            return
        try:
            effects = self._link.answer(work.result())
        except Exception as fault:  # supervisor: whatever went wrong, nothing was acknowledged
            effects = self._failed(call, fault)
        self._handle(self._carry_out(effects))

    def _failed(self, call: HandleCall, fault: Exception) -> list[Effect]:
        """The station is told to repeat the call, unless it may not say it at all."""
        if isinstance(fault, _Refused):
            return self._link.refuse("SecurityError", str(fault))
        self._server.log_fault("call not handled", self.identity, call.action, fault)
        return self._link.refuse("InternalError", "not stored, please repeat")

    def _carry_out(self, effects: list[Effect], text: str = "") -> HandleCall | None:
        """Do what the link says; returns the call that is to be handled now."""
        next_call = None
        is_noise = any(map(_is_noise, effects))
        is_logged = not is_noise or self._server.may_log_noise(self.identity)
        for effect in effects:
            if isinstance(effect, HandleCall):
                next_call = effect
            elif isinstance(effect, Received):
                if effect.quirk is not None or effect.repairs:
                    self._count(effect)
                if is_logged:
                    self._log("in", effect, text)
            elif isinstance(effect, SendFrame):
                self._outgoing.append(effect.text)
                if is_logged:
                    self._log("out", effect, effect.text)
            else:
                self._resolve(effect.id, effect.result)
        self._send()
        return next_call

    def _count(self, received: Received) -> None:
        kinds = [f"frame: {received.quirk}"] if received.quirk is not None else []
        kinds += [f"{received.action} answer, {kind}" for kind in received.repairs]
        self._server.charge_points.mended(self.identity, kinds)

    def _log(self, direction: str, effect: Received | SendFrame, text: str) -> None:
        self._server.log_frame(self.identity, direction, effect.action, effect.message_id, text, effect.note)

    def _resolve(self, id: str, result: dict[str, Any] | Exception) -> None:
        answered = self._calls.get(id)
        if answered is None or answered.done():
            return  # whoever asked was cancelled
        if isinstance(result, Exception):
            answered.set_exception(result)
        else:
            answered.set_result(result)

    def _send(self) -> None:
        """At once as long as the other side takes it; the rest waits."""
        while self._outgoing and self._socket.send_at_once(self._outgoing[0]):
            self._outgoing.popleft()
        if self._outgoing and not self._writing.locked():
            self._spawn(self._flush())

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
    if isinstance(effect, Received):
        return effect.quirk is not None
    return isinstance(effect, SendFrame) and effect.note is not None
