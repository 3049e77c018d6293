"""MeterValues frames read by their shape: most differ from an earlier one in id, times and numbers only.

A frame's shape is its text but for those: the pieces between them. A shape is read in full once, by the
ordinary way, with neutral values in the gaps; a frame of the same shape is then what was read, with its own
id, times and numbers in place of the neutral ones, for a JSON text in which whole strings without escapes are
exchanged keeps its structure. Whatever is unusual about a frame, its shape or what fills it, is left to the
ordinary way.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import chain, zip_longest
from typing import Any, NamedTuple

from csms.domain.conformity import MAX_INTEGER
from csms.domain.normalise import USUAL_TIME, normalise, parse_time
from csms.domain.oddities import AHEAD_AT_MOST
from csms.domain.sample_kinds import SampleKinds
from csms.domain.station_clock import CLOCK_NEVER_SET
from csms.ocpp.messages import Call, parse

SHAPES_KEPT = 512  # about 10 kB each; stations of one model and setting have one in common
MOST_GAPS = 80  # so that none takes more than 100 kB
LONGEST = 8192  # characters; what is longer is rare, and its shape would take much memory

_BEGIN = re.compile(r'\[2, ?"([^"\\\x00-\x1f]{1,36})", ?"MeterValues", ?')
_GAP = re.compile(
    r'"(?P<text>timestamp|value)": ?"([^"]*)(?=")|"(?P<number>connectorId|transactionId)": ?(\d+)(?=[,}])'
)
_ID = re.compile(r"(?a:0|[1-9]\d{0,9})")
_EARLIEST = CLOCK_NEVER_SET + timedelta(days=1)  # surely after it in any time zone
_SHAPED_AT = datetime(2026, 1, 1, tzinfo=UTC)
_NEUTRAL = {"timestamp": "2026-01-01T00:00:00Z", "value": "0", "connectorId": "1", "transactionId": "1"}
_LOWEST = {"connectorId": 0, "transactionId": 1}


class MeterFrame(NamedTuple):
    """payload: as `normalise` returns it, but that `Samples` stand for lists of sampled values."""

    id: str
    payload: dict[str, Any]
    repairs: tuple[str, ...]


class MeterFrames:
    """Those of one station: they are compared with the last one's shape first."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last: _Shape | None = None

    def read(self, text: str, received_at: datetime) -> MeterFrame | None:
        """None: it is to be read the ordinary way."""
        begin = _BEGIN.match(text) if len(text) <= LONGEST else None
        if begin is None:
            return None
        shape = self._last
        found = shape.gaps(text, begin.end()) if shape is not None else None
        if found is None:
            pieces, names, found = _taken_apart(text[begin.end() :])
            shape = self._last = _shape(pieces, names) if len(found) <= MOST_GAPS else None
        payload = shape.filled(found, received_at + AHEAD_AT_MOST) if shape is not None else None
        return (
            MeterFrame(begin[1], payload, shape.repairs)
            if shape is not None and payload is not None
            else None
        )


@dataclass(frozen=True, slots=True)
class _Shape:
    """payload: the fields that stay, and a place for each that does not. ids, times, values: which gaps."""

    pieces: tuple[str, ...]
    payload: dict[str, Any]
    elements: tuple[SampleKinds, ...]
    repairs: tuple[str, ...]
    ids: tuple[tuple[str, int], ...]
    times: tuple[int, ...]
    values: tuple[int, ...]

    def gaps(self, text: str, begin: int) -> list[str] | None:
        """What stands between the pieces in the rest of the text; None if that has another shape."""
        first, *others = self.pieces
        if not text.startswith(first, begin):
            return None
        begin += len(first)
        found = []
        for piece in others:
            end = text.find(piece[0], begin)
            if not text.startswith(piece, end):  # nothing starts at -1 but the last character
                return None
            found.append(text[begin:end])
            begin = end + len(piece)
        return found if begin == len(text) else None

    def filled(self, found: list[str], latest: datetime) -> dict[str, Any] | None:
        """None if there is anything about what fills it that asks for a closer look."""
        ids = {name: int(found[n]) for name, n in self.ids if _ID.fullmatch(found[n])}
        if len(ids) != len(self.ids) or not all(
            _LOWEST[name] <= id <= MAX_INTEGER for name, id in ids.items()
        ):
            return None
        values = [found[n] for n in self.values]
        elements, begin = [], 0
        for n, kinds in zip(self.times, self.elements, strict=True):
            at = parse_time(found[n]) if USUAL_TIME.fullmatch(found[n]) else None
            end = begin + len(kinds.said)
            samples = kinds.with_values(tuple(values[begin:end]))
            if at is None or not _EARLIEST <= at <= latest or samples is None:
                return None
            elements.append({"timestamp": found[n], "sampledValue": samples})
            begin = end
        return {**self.payload, **ids, "meterValue": elements}


def _taken_apart(text: str) -> tuple[tuple[str, ...], tuple[str, ...], list[str]]:
    """Its pieces; of the gaps between them the fields' names, and what fills them."""
    pieces, names, found, begin = [], [], [], 0
    for gap in _GAP.finditer(text):
        of_what = 2 if gap["text"] else 4
        names.append(gap["text"] or gap["number"])
        found.append(gap[of_what])
        pieces.append(text[begin : gap.start(of_what)])
        begin = gap.end(of_what)
    return (*pieces, text[begin:]), tuple(names), found


@lru_cache(SHAPES_KEPT)
def _shape(pieces: tuple[str, ...], names: tuple[str, ...]) -> _Shape | None:
    """None: a shape whose frames are read the ordinary way."""
    text = "".join(chain(*zip_longest(pieces, (_NEUTRAL[name] for name in names), fillvalue="")))
    message = parse(f'[2,"","MeterValues",{text}')
    if not isinstance(message, Call) or message.notes or "\\" in text:
        return None
    payload, repairs = normalise("MeterValues", message.payload, _SHAPED_AT)
    if payload is not message.payload:
        return None
    elements = payload["meterValue"]
    kinds = [SampleKinds.of(element["sampledValue"]) for element in elements]
    each_once = [("timestamp", len(elements)), ("value", sum(len(e["sampledValue"]) for e in elements))]
    if None in kinds or any(names.count(name) != times for name, times in each_once):
        return None
    each_once += [(name, name in payload) for name in _LOWEST]
    if any(text.count(f'"{name}"') != times for name, times in each_once):
        return None  # fields that come twice
    return _Shape(
        pieces=pieces,
        payload=payload,
        elements=tuple(k for k in kinds if k is not None),
        repairs=tuple(repairs),
        ids=tuple((name, n) for n, name in enumerate(names) if name in _LOWEST),
        times=tuple(n for n, name in enumerate(names) if name == "timestamp"),
        values=tuple(n for n, name in enumerate(names) if name == "value"),
    )
