"""MeterValues frames read by their shape: most differ from an earlier one in id, times and numbers only.

A frame's shape is its text with a neutral id, time or number in each of those places. A shape is read in full
once, by the ordinary way; a frame of the same shape is then what was read, with its own id, times and numbers
in place of the neutral ones, for a JSON text in which whole strings without escapes are exchanged keeps its
structure. Whatever is unusual about a frame, its shape or what fills it, is left to the ordinary way.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

from csms.domain.conformity import MAX_INTEGER
from csms.domain.normalise import USUAL_TIME, normalise, parse_time
from csms.domain.oddities import AHEAD_AT_MOST
from csms.domain.sample_kinds import SampleKinds
from csms.domain.station_clock import CLOCK_NEVER_SET
from csms.ocpp.messages import Call, parse

SHAPES_KEPT = 512  # about 10 kB each; stations of one model and setting have one in common
LONGEST = 8192  # characters; what is longer is rare, and its shape would take much memory

_BEGIN = re.compile(r'\[2, ?"([^"\\\x00-\x1f]{1,36})", ?"MeterValues", ?')
_NUMBER = re.compile(r'("(connectorId|transactionId)": ?)(0|[1-9]\d{0,9})(?=[,}])')
_EARLIEST = CLOCK_NEVER_SET + timedelta(days=1)  # surely after it in any time zone
_SHAPED_AT = datetime(2026, 1, 1, tzinfo=UTC)
_TIME, _VALUE, _ID = "2026-01-01T00:00:00Z", "0", "1"
_LOWEST = {"connectorId": 0, "transactionId": 1}


class MeterFrame(NamedTuple):
    """payload: as `normalise` returns it, but that `Samples` stand for lists of sampled values."""

    id: str
    payload: dict[str, Any]
    repairs: tuple[str, ...]


def read_meter_frame(text: str, received_at: datetime) -> MeterFrame | None:
    """None: it is to be read the ordinary way."""
    begin = _BEGIN.match(text) if len(text) <= LONGEST else None
    if begin is None:
        return None
    times: list[str] = []
    values: list[str] = []
    body, ids = _without_ids(text[begin.end() :])
    body = _without(body, "timestamp", _TIME, times)
    body = _without(body, "value", _VALUE, values)
    shape = _shape(body) if times and values else None
    if shape is None:
        return None
    latest = received_at + AHEAD_AT_MOST
    for time in times:
        at = parse_time(time) if USUAL_TIME.fullmatch(time) else None
        if at is None or not _EARLIEST <= at <= latest:
            return None
    payload = shape.filled(ids, times, values)
    return None if payload is None else MeterFrame(begin[1], payload, shape.repairs)


@dataclass(frozen=True, slots=True)
class _Shape:
    """payload: the fields that stay, and a place for each that does not, in the order in which they came."""

    payload: dict[str, Any]
    elements: tuple[SampleKinds, ...]
    repairs: tuple[str, ...]

    def filled(
        self, ids: list[tuple[str, int]], times: list[str], values: list[str]
    ) -> dict[str, Any] | None:
        if len(times) != len(self.elements) or not all(_LOWEST[name] <= n <= MAX_INTEGER for name, n in ids):
            return None
        elements, begin = [], 0
        for time, kinds in zip(times, self.elements, strict=True):
            end = begin + len(kinds.said)
            samples = kinds.with_values(tuple(values[begin:end]))
            if samples is None:
                return None
            elements.append({"timestamp": time, "sampledValue": samples})
            begin = end
        return {**self.payload, **dict(ids), "meterValue": elements}


@lru_cache(SHAPES_KEPT)
def _shape(text: str) -> _Shape | None:
    """None: a shape whose frames are read the ordinary way."""
    message = parse(f'[2,"","MeterValues",{text}')
    if not isinstance(message, Call) or message.notes or "\\" in text:
        return None
    payload, repairs = normalise("MeterValues", message.payload, _SHAPED_AT)
    if payload is not message.payload:
        return None
    elements = payload["meterValue"]
    kinds = [SampleKinds.of(element["sampledValue"]) for element in elements]
    each_once = [("timestamp", len(elements)), ("value", sum(len(e["sampledValue"]) for e in elements))]
    each_once += [(name, name in payload) for name in _LOWEST]
    if None in kinds or any(text.count(f'"{name}"') != times for name, times in each_once):
        return None  # fields that come twice
    return _Shape(payload, tuple(k for k in kinds if k is not None), tuple(repairs))


def _without_ids(text: str) -> tuple[str, list[tuple[str, int]]]:
    """Look for the ids before the values only: where they come after, they are part of the shape."""
    before, mark, after = text.partition('"meterValue"')
    parts = _NUMBER.split(before)
    ids = [(name, int(number)) for name, number in zip(parts[2::4], parts[3::4], strict=True)]
    parts[2::4] = [""] * len(ids)
    parts[3::4] = [_ID] * len(ids)
    return "".join(parts) + mark + after, ids


def _without(text: str, name: str, neutral: str, found: list[str]) -> str:
    """Put the neutral text where this field has its own, which is added to those found."""
    mark = f'"{name}":"'
    if mark not in text:
        mark = f'"{name}": "'
    first, *rest = text.split(mark)
    parts = [first]
    for part in rest:
        value, _, after = part.partition('"')
        found.append(value)
        parts.append(after)
    return f'{mark}{neutral}"'.join(parts)
