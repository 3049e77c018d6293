"""OCPP-J frames: text to message and back. What cannot be read is a value, not an exception.

Read tolerantly: JSON slips that real stations make are mended, a missing or null payload is an empty
one, surplus elements are ignored, an id may be a number. Written strictly.

Source: OCPP-J 1.6, section 4.2.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

import orjson

MENDED_UP_TO = 65_536  # characters; longer malformed frames are no slips, and looking for slips takes time
MAX_ID_LENGTH = 255  # the standard says 36; some stations put UUIDs in braces or more
MAX_ID_ECHOED = 1024  # a longer one is not sent back
MessageId = str | int

_CODE_SPELLINGS = {
    "OccurrenceConstraintViolation": "OccurenceConstraintViolation",
    "FormatViolation": "FormationViolation",
}


@dataclass(frozen=True, slots=True)
class Call:
    """[2, id, action, payload]. notes: what had to be mended to read it."""

    id: MessageId
    action: str
    payload: dict[str, Any]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CallResult:
    """[3, id, payload]"""

    id: MessageId
    payload: dict[str, Any]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CallError:
    """[4, id, code, description, details]"""

    id: MessageId
    code: str
    description: str = ""
    details: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BadCall:
    """A CALL whose id can be read and the rest cannot: to be answered with this error code."""

    id: MessageId
    code: str
    problem: str


@dataclass(frozen=True, slots=True)
class BadResult:
    """A CALLRESULT whose id can be read and the payload cannot."""

    id: MessageId
    problem: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Nothing that could be answered. kind: the problem without its details."""

    problem: str
    kind: str = ""


Message = Call | CallResult | CallError | BadCall | BadResult | Unreadable


def parse(text: str) -> Message:
    try:
        frame, notes = _read_json(text)
    except (ValueError, RecursionError) as error:
        problem = f"not JSON: {str(error)[:100]}"
        is_call = _BEGIN_OF_CALL.match(text)
        return (
            BadCall(is_call[1], "FormationViolation", problem) if is_call else Unreadable(problem, "not JSON")
        )
    if not isinstance(frame, list) or not frame:
        return Unreadable("not a list")
    kind = int(frame[0]) if frame[0] in ("2", "3", "4") else frame[0]
    if kind is not frame[0]:
        notes.append("message type as text")
    if isinstance(kind, bool) or kind not in (2, 3, 4):
        return Unreadable("unknown message type")
    if len(frame) < 2 or isinstance(frame[1], bool) or not isinstance(frame[1], str | int):
        return Unreadable("no message id")
    if isinstance(frame[1], int):
        notes.append("message id as a number")
    elif len(frame[1]) > 36:
        notes.append("message id longer than 36")
    match kind:
        case 2:
            return _call(frame, notes)
        case 3:
            return _call_result(frame, notes)
    return _call_error(frame, notes)


def serialize(message: Call | CallResult | CallError) -> str:
    frame: list[Any]
    match message:
        case Call():
            frame = [2, message.id, message.action, message.payload]
        case CallResult():
            if not message.payload:  # most answers
                return f"[3,{_COMPACT.encode(message.id)},{{}}]"
            frame = [3, message.id, message.payload]
        case CallError():
            frame = [4, message.id, message.code, message.description[:255], message.details]
    return _COMPACT.encode(frame)


def _call(frame: list[Any], notes: list[str]) -> Call | BadCall | Unreadable:
    id = frame[1]
    if len(str(id)) > MAX_ID_ECHOED:
        return Unreadable(f"message id longer than {MAX_ID_ECHOED}")
    if len(str(id)) > MAX_ID_LENGTH:
        return BadCall(id, "FormationViolation", f"message id longer than {MAX_ID_LENGTH}")
    if len(frame) < 3:
        return BadCall(id, "ProtocolError", "no action")
    action = frame[2]
    if not isinstance(action, str):
        return BadCall(id, "FormationViolation", "the action is not text")
    payload = _payload(frame, 3, notes)
    if payload is None:
        return BadCall(id, "FormationViolation", "the payload is not an object")
    if len(frame) > 4:
        notes.append("more than 4 elements")
    return Call(id, action, payload, tuple(notes))


def _call_result(frame: list[Any], notes: list[str]) -> CallResult | BadResult:
    payload = _payload(frame, 2, notes)
    if payload is None:
        return BadResult(frame[1], "the payload is not an object")
    return CallResult(frame[1], payload, tuple(notes))


def _call_error(frame: list[Any], notes: list[str]) -> CallError:
    code, description = (str(part or "") for part in (*frame[2:4], "", "")[:2])
    details = frame[4] if len(frame) > 4 and isinstance(frame[4], dict) else {}
    if (meant := _CODE_SPELLINGS.get(code)) is not None:
        notes.append(f"code {code!r} for {meant}")
    elif not code:
        notes.append("code missing")
    return CallError(frame[1], (meant or code or "GenericError")[:64], description, details, tuple(notes))


def _payload(frame: list[Any], position: int, notes: list[str]) -> dict[str, Any] | None:
    """The payload; {} if it is missing, null or an empty list; None if it is something else."""
    payload = frame[position] if len(frame) > position else None
    if payload is None or payload == []:
        notes.append("no payload")
        return {}
    return payload if isinstance(payload, dict) else None


_COMPACT = json.JSONEncoder(separators=(",", ":"))
_PLAIN = json.JSONDecoder(parse_constant=lambda _: None)
_TOLERANT = json.JSONDecoder(parse_constant=lambda _: None, strict=False)
_BEGIN_OF_CALL = re.compile(r'\s*\[\s*2\s*,\s*"([^"\\\x00-\x1f]{1,255})"\s*,')
_STRING = r'"(?:[^"\\]++|\\.)*+"?'  # possessive, to the end if it is never closed: the time stays linear
_TOKEN = re.compile(rf"({_STRING})|([,:]\s*)(?=[,}}\]])|([\[{{]\s*),", re.DOTALL)
_BAD_ESCAPE = re.compile(r'\\(?:(["\\/bfnrt]|u[0-9a-fA-F]{4})|)', re.DOTALL)
# Kept: an escaped backslash, a whole surrogate pair. Not: a zero byte, half a pair (no database stores them).
_UNSTORABLE = re.compile(
    r"(\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|\\u0000|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)


def _read_json(text: str) -> tuple[Any, list[str]]:
    """Read JSON, NaN and infinity as null. Raises: ValueError, RecursionError"""
    notes: list[str] = []
    if "\\u" in text:
        storable = _UNSTORABLE.sub(lambda found: found[1] or "", text)
        notes += ["characters that no text has"] if storable != text else []
        text = storable
    try:
        return orjson.loads(text), notes
    except ValueError:
        pass  # it may still be something: orjson takes JSON to the letter, and no integers beyond 64 bits
    try:
        return _PLAIN.decode(text), notes
    except ValueError:
        pass
    try:
        return _TOLERANT.decode(text), [*notes, "control characters in a text"]
    except ValueError:
        if len(text) > MENDED_UP_TO:
            raise
        mended = _mend(text)
        if mended == text:
            raise
        frame = _TOLERANT.decode(mended)
        notes.append("malformed JSON mended")
        return frame, notes


def _mend(text: str) -> str:
    """Seen in the field: `"transactionId":,`, `[,{`, a comma before a closing bracket, a lone backslash."""

    def mend(found: re.Match[str]) -> str:
        if found[1]:
            return _BAD_ESCAPE.sub(lambda escape: escape[0] if escape[1] else r"\\", found[1])
        if found[2]:
            return ":null" if found[2][0] == ":" else ""
        return found[3]

    return _TOKEN.sub(mend, text.strip().strip("\ufeff\x00"))
