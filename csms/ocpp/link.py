"""The protocol of one connection, without I/O: frames and events in, effects out.

Incoming calls
- A CALL is answered once, with CALLRESULT or CALLERROR; only a CALL is ever answered.
- Calls are handed out in order, one at a time: the next when the last has been answered.
- The same call (id, action and payload) repeated before it is answered is dropped; one answer serves both.
- A CALL whose id can be read but not the rest is refused: ProtocolError (incomplete) or FormationViolation.
- Actions are matched without regard to case. Unknown: NotImplemented; OCPP's, but not ours to answer:
  NotSupported. A payload that cannot be repaired (csms.domain.normalise): the code of its violation.
- More than INBOX_LIMIT calls waiting, more than INBOX_CHARACTERS of text, or more than `WaitingText` allows
  all connections together: InternalError, so that the station repeats the call. One alone is always taken.
- A call repeated after it was answered is handled again: what is handled is idempotent where it matters
  (transactions, meter values; also over a restart and with a new id). An answer kept for its id would be
  wrong for stations that count from 1 after each start, or always use the same id.

Our calls
- One at a time; the next is sent when the last is answered or its time is over. They wait in a queue
  of QUEUE_LIMIT. Both directions are independent: a call of ours may be answered while theirs is handled.
- A call's time runs from when it is given, not from when it is sent; a call whose time is over before
  it was sent never is.
- An answer that comes too late, or to nothing we asked, is noted and changes nothing.

Nothing a station sends ends the connection. Unknown message types are ignored.
Times are seconds of a clock that does not jump; ids of our calls come from outside.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from csms.domain.normalise import normalise, normalise_answer
from csms.domain.ocpp_schemas import ACTIONS, CORE_ACTIONS_FROM_STATION, SchemaViolation
from csms.errors import CallFailed, CallTimeout, CsmsError, NotConnected
from csms.ocpp.frame_shapes import MeterFrames
from csms.ocpp.messages import (
    BadCall,
    BadResult,
    Call,
    CallError,
    CallResult,
    MessageId,
    parse,
    serialize,
)

QUEUE_LIMIT = 100
INBOX_LIMIT = 200
INBOX_CHARACTERS = 2 * 2**20
ALL_INBOXES_CHARACTERS = 64 * 2**20
REMEMBERED_IDS = 20

_ACTION_BY_LOWER = {name.lower(): name for name in ACTIONS}


class Received(NamedTuple):
    """What the frame just fed was, for the frame log. quirk: to be counted, nobody could understand it.
    repairs: what had to be mended of an answer; those of a call are in `HandleCall`."""

    action: str | None
    message_id: str | None
    note: str | None = None
    quirk: str | None = None
    repairs: tuple[str, ...] = ()


class SendFrame(NamedTuple):
    text: str
    action: str | None
    message_id: str
    note: str | None = None


class HandleCall(NamedTuple):
    """To be answered with `Link.answer` or `Link.refuse`. repairs: deviations from OCPP that were mended.

    length: of the frame's text.
    """

    id: MessageId
    action: str
    payload: dict[str, Any]
    received_at: datetime
    repairs: tuple[str, ...] = ()
    length: int = 0


class ResolveCall(NamedTuple):
    """A call of ours is over: its result, or why there is none."""

    id: str
    result: dict[str, Any] | CsmsError


Effect = Received | SendFrame | HandleCall | ResolveCall


@dataclass(frozen=True, slots=True)
class _OurCall:
    id: str
    action: str
    text: str
    deadline_s: float
    timeout_s: float


@dataclass(slots=True)
class WaitingText:
    """How much text the calls that are not answered yet hold on all links that share this. [characters]

    Each link's first call counts but is always taken, so it may be more than most_characters.
    """

    most_characters: int = ALL_INBOXES_CHARACTERS
    characters: int = 0

    def has_room(self, length: int) -> bool:
        return self.characters + length <= self.most_characters


class Link:
    """supported: the actions that are handled; the rest of OCPP's is answered with NotSupported.

    waiting: shared with the other connections; None = this is the only one.
    """

    def __init__(
        self,
        identity: str,
        next_id: Callable[[], str],
        supported: Collection[str] = CORE_ACTIONS_FROM_STATION,
        waiting: WaitingText | None = None,
    ) -> None:
        self._identity, self._next_id, self._supported = identity, next_id, supported
        self._meter_frames = MeterFrames()
        self._inbox: deque[HandleCall] = deque()  # the first is being handled
        self._inbox_characters = 0
        self._waiting = waiting if waiting is not None else WaitingText()
        self._outbox: deque[_OurCall] = deque()
        self._pending: _OurCall | None = None
        self._given_up: deque[tuple[str, str]] = deque(maxlen=REMEMBERED_IDS)
        self._closed = False

    # --- from the station ---

    def feed(self, text: str, received_at: datetime) -> list[Effect]:
        """Take a frame. The first effect is always `Received`."""
        if (
            "MeterValues" in self._supported
            and (usual := self._meter_frames.read(text, received_at)) is not None
        ):
            call = HandleCall(usual.id, "MeterValues", usual.payload, received_at, usual.repairs, len(text))
            return self._queue(call)
        message = parse(text)
        match message:
            case Call():
                return self._take_call(message, received_at, len(text))
            case CallResult():
                return self._take_answer(message.id, message.payload, message.notes)
            case CallError():
                failure = CallFailed(message.code, message.description, message.details)
                return self._take_answer(message.id, failure, message.notes)
            case BadResult():
                failure = CallFailed("FormationViolation", message.problem)
                return self._take_answer(message.id, failure, (), message.problem)
            case BadCall():
                refusal = _refusal(message.id, None, message.code, message.problem)
                quirk = "call: not JSON" if message.problem.startswith("not JSON") else message.problem
                return [Received(None, str(message.id), message.problem, quirk), refusal]
        return [Received(None, None, f"ignored: {message.problem}", message.kind or message.problem)]

    def answer(self, payload: dict[str, Any]) -> list[Effect]:
        """The call being handled has this result."""
        call = self._inbox[0]
        reply = SendFrame(serialize(CallResult(call.id, payload)), call.action, str(call.id))
        self._done()
        return [reply, *self._hand_out()]

    def refuse(self, code: str, description: str) -> list[Effect]:
        """The call being handled failed: the station may repeat it."""
        call = self._done()
        return [_refusal(call.id, call.action, code, description), *self._hand_out()]

    # --- to the station ---

    def call(
        self, action: str, payload: dict[str, Any], now_s: float, timeout_s: float
    ) -> tuple[str, list[Effect]]:
        """Ask the station something; returns the id that `ResolveCall` will name.

        Raises:
            NotConnected: the connection is over.
            CallFailed: too many calls are waiting already.
        """
        if self._closed:
            raise NotConnected(self._identity)
        if len(self._outbox) >= QUEUE_LIMIT:
            raise CallFailed("GenericError", f"{QUEUE_LIMIT} calls are already waiting for this station")
        id = self._next_id()
        text = serialize(Call(id, action, payload))
        self._outbox.append(_OurCall(id, action, text, now_s + timeout_s, timeout_s))
        return id, self._send_next()

    def withdraw(self, id: str) -> None:
        """Nobody waits for this call any more: it is not sent if it has not been yet."""
        self._outbox = deque(call for call in self._outbox if call.id != id)

    def tick(self, now_s: float) -> list[Effect]:
        """Time has passed: give up what was not answered in time."""
        late = [call for call in self._outbox if call.deadline_s <= now_s]
        self._outbox = deque(call for call in self._outbox if call.deadline_s > now_s)
        if self._pending is not None and self._pending.deadline_s <= now_s:
            late.insert(0, self._pending)
            self._given_up.append((self._pending.id, self._pending.action))
            self._pending = None
        timeouts = [
            ResolveCall(call.id, CallTimeout(self._identity, call.action, call.timeout_s)) for call in late
        ]
        return [*timeouts, *self._send_next()]

    def close(self) -> list[Effect]:
        """The connection is over: our calls fail, theirs are forgotten except the one being handled."""
        self._closed = True
        over = [call for call in (self._pending, *self._outbox) if call is not None]
        self._pending = None
        self._outbox.clear()
        while len(self._inbox) > 1:
            self._count(-self._inbox.pop().length)
        return [ResolveCall(call.id, NotConnected(self._identity)) for call in over]

    # --- inside ---

    def _take_call(self, call: Call, received_at: datetime, length: int) -> list[Effect]:
        action = _ACTION_BY_LOWER.get(call.action.strip().lower(), call.action)
        notes = list(call.notes) + ([f"action {call.action[:40]!r}"] if action != call.action else [])
        id = str(call.id)
        if action not in self._supported:
            code = "NotSupported" if action in ACTIONS else "NotImplemented"
            refusal = _refusal(call.id, action, code, f"{action[:64]} is not handled here")
            return [Received(action, id, code, f"{code}: {action[:40]}"), refusal]
        try:
            payload, repairs = normalise(action, call.payload, received_at)
        except RecursionError:
            deep = "nested too deeply"
            refusal = _refusal(call.id, action, "FormationViolation", deep)
            return [Received(action, id, deep, deep), refusal]
        except SchemaViolation as violation:
            return [
                Received(action, id, f"{violation.code}: {violation}", f"{violation.code}: {action}"),
                _refusal(call.id, action, violation.code, str(violation)),
            ]
        return self._queue(HandleCall(call.id, action, payload, received_at, (*notes, *repairs), length))

    def _queue(self, taken: HandleCall) -> list[Effect]:
        action, id, length = taken.action, str(taken.id), taken.length
        if self._closed:
            return [Received(action, id, "the connection is over: not handled")]
        if self._inbox and any(_is_same(taken, other) for other in self._inbox):
            return [Received(action, id, "repeated before it was answered: dropped")]
        if (too_many := self._why_full(length)) is not None:
            return [Received(action, id, too_many), _refusal(taken.id, action, "InternalError", too_many)]
        self._inbox.append(taken)
        self._count(length)
        received = Received(action, id, "mended: " + ", ".join(taken.repairs) if taken.repairs else None)
        return [received, *(self._hand_out() if len(self._inbox) == 1 else ())]

    def _why_full(self, length: int) -> str | None:
        """Why there is no room for a call of this length; None: there is. One alone is always taken."""
        if not self._inbox:
            return None
        if len(self._inbox) >= INBOX_LIMIT or self._inbox_characters + length > INBOX_CHARACTERS:
            return f"{len(self._inbox)} calls are waiting to be answered, please repeat"
        if not self._waiting.has_room(length):
            return "too many calls of all stations are waiting to be answered, please repeat"
        return None

    def _count(self, characters: int) -> None:
        self._inbox_characters += characters
        self._waiting.characters += characters

    def _done(self) -> HandleCall:
        """The call being handled is answered."""
        call = self._inbox.popleft()
        self._count(-call.length)
        return call

    def _hand_out(self) -> list[Effect]:
        return [self._inbox[0]] if self._inbox and not self._closed else []

    def _take_answer(
        self,
        id: MessageId,
        result: dict[str, Any] | CsmsError,
        notes: tuple[str, ...],
        quirk: str | None = None,
    ) -> list[Effect]:
        pending = self._pending
        if pending is None or pending.id.casefold() != str(id).strip().casefold():
            action = next((action for given_up, action in self._given_up if given_up == id), None)
            note = "too late: no longer waited for" if action else "answers nothing we asked"
            return [Received(action, str(id), note, quirk)]
        self._pending = None
        repairs = notes if id == pending.id else (*notes, "message id spelt otherwise")
        try:
            if isinstance(result, dict):
                result, mended = normalise_answer(pending.action, result)
                repairs = (*repairs, *mended)
        except RecursionError:
            quirk = "nested too deeply"
            result = CallFailed("FormationViolation", quirk)
        why = [str(result)] if isinstance(result, CsmsError) else []
        note = "; ".join([*why, *([f"mended: {', '.join(repairs)}"] if repairs else [])])
        received = Received(pending.action, pending.id, note or None, quirk, repairs)
        return [received, ResolveCall(pending.id, result), *self._send_next()]

    def _send_next(self) -> list[Effect]:
        if self._pending is not None or not self._outbox:
            return []
        self._pending = self._outbox.popleft()
        return [SendFrame(self._pending.text, self._pending.action, self._pending.id)]


def _refusal(id: MessageId, action: str | None, code: str, description: str) -> SendFrame:
    return SendFrame(serialize(CallError(id, code, description)), action, str(id), f"{code}: {description}")


def _is_same(call: HandleCall, other: HandleCall) -> bool:
    return (call.id, call.action, call.payload) == (other.id, other.action, other.payload)
