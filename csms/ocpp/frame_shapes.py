"""MeterValues frames read by their shape: most differ from an earlier one in id, times and numbers only.

A frame's shape is its text but for those: the pieces between them. A shape that comes a second time is read
in full, by the ordinary way, with neutral values in the gaps, and becomes a regular expression. A frame that
it matches is what was read, with its own id, times and numbers in place of the neutral ones, for a JSON text
in which whole strings without escapes are exchanged keeps its structure. The expression lets pass what is
plain only; whatever is unusual about a frame, its shape or what fills it, is left to the ordinary way.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import chain, count, zip_longest
from typing import Any, NamedTuple

from csms.domain.normalise import USUAL_TIME, normalise
from csms.domain.oddities import AHEAD_AT_MOST
from csms.domain.sample_kinds import PLAIN_NUMBER, SampleKinds
from csms.domain.station_clock import CLOCK_NEVER_SET
from csms.ocpp.messages import Call, parse

SHAPES_KEPT = 512  # about 30 kB each; stations of one model and setting have one in common
MOST_GAPS = 80  # so that none takes more than 300 kB
LONGEST = 8192  # characters; what is longer is rare, and its shape would take much memory

_BEGIN = re.compile(r'\[2, ?"([^"\\\x00-\x1f]{1,36})", ?"MeterValues", ?')
_GAP = re.compile(
    r'"(?P<text>timestamp|value)": ?"([^"]*)(?=")|"(?P<number>connectorId|transactionId)": ?(\d+)(?=[,}])'
)
_PLAIN = {  # what may fill the gaps; of integers, those that are surely in range
    "timestamp": USUAL_TIME.pattern,
    "value": PLAIN_NUMBER,
    "connectorId": r"0|[1-9]\d{0,8}",
    "transactionId": r"[1-9]\d{0,8}",
}
_IDS = ("connectorId", "transactionId")
_NEUTRAL = {"timestamp": "2026-01-01T00:00:00Z", "value": "0", "connectorId": "1", "transactionId": "1"}
_SHAPED_AT = datetime(2026, 1, 1, tzinfo=UTC)
_EARLIEST = CLOCK_NEVER_SET + timedelta(days=1)  # surely after it in any time zone


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
        shape = self._last
        found = shape.pattern.fullmatch(text) if shape is not None else None
        if found is None:
            shape = self._last = _shape_of(text)
            found = shape.pattern.fullmatch(text) if shape is not None else None
        if shape is None or found is None:
            return None
        return shape.filled(found.groups(), received_at + AHEAD_AT_MOST)


class _Element(NamedTuple):
    """Which groups of the pattern fill it: its time, its first value, and the one after its last."""

    kinds: SampleKinds
    time: int
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class _Shape:
    """payload: the fields that stay, and a place for each that does not. ids: fields, and their groups."""

    pattern: re.Pattern[str]
    payload: dict[str, Any]
    elements: tuple[_Element, ...]
    repairs: tuple[str, ...]
    ids: tuple[tuple[str, int], ...]

    def filled(self, texts: tuple[str, ...], latest: datetime) -> MeterFrame | None:
        """texts: of the pattern's groups. None if there is anything about them that wants a closer look."""
        payload, elements = self.payload.copy(), []
        for name, n in self.ids:
            payload[name] = int(texts[n])
        for kinds, time, begin, end in self.elements:
            at = _time(texts[time])
            if at is None or not _EARLIEST <= at <= latest:
                return None
            if (samples := kinds.with_values(texts[begin:end], at)) is None:
                return None
            elements.append({"timestamp": texts[time], "sampledValue": samples})
        payload["meterValue"] = elements
        return MeterFrame(texts[0], payload, self.repairs)


def _time(text: str) -> datetime | None:
    """text: as `USUAL_TIME` has it."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:  # the 31st of June
        return None


def _shape_of(text: str) -> _Shape | None:
    begin = _BEGIN.match(text) if len(text) <= LONGEST else None
    if begin is None:
        return None
    pieces, names = _taken_apart(text[begin.end() :])
    if len(names) > MOST_GAPS:
        return None
    came_before = next(_sightings(pieces, names))
    return _shape(pieces, names) if came_before else None  # it takes some ms, in vain if no other follows


def _taken_apart(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Its pieces, and the names of the fields that fill the gaps between them."""
    pieces, names, begin = [], [], 0
    for gap in _GAP.finditer(text):
        of_what = 2 if gap["text"] else 4
        names.append(gap["text"] or gap["number"])
        pieces.append(text[begin : gap.start(of_what)])
        begin = gap.end(of_what)
    return (*pieces, text[begin:]), tuple(names)


@lru_cache(SHAPES_KEPT)
def _sightings(_pieces: tuple[str, ...], _names: tuple[str, ...]) -> Iterator[int]:
    """How often they came before."""
    return count()


@lru_cache(SHAPES_KEPT)
def _shape(pieces: tuple[str, ...], names: tuple[str, ...]) -> _Shape | None:
    """None: a shape whose frames are read the ordinary way."""
    text = _filled(pieces, [_NEUTRAL[name] for name in names])
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
    each_once += [(name, name in payload) for name in _IDS]
    if any(text.count(f'"{name}"') != times for name, times in each_once):
        return None  # fields that come twice
    groups = [f"({_PLAIN[name]})" for name in names]
    return _Shape(
        pattern=re.compile(_BEGIN.pattern + _filled([*map(re.escape, pieces)], groups), re.ASCII),
        payload=payload,
        elements=tuple(_placed([k for k in kinds if k is not None], names)),
        repairs=tuple(repairs),
        ids=tuple((name, n) for n, name in enumerate(names, 1) if name in _IDS),
    )


def _filled(pieces: Sequence[str], gaps: Sequence[str]) -> str:
    return "".join(chain(*zip_longest(pieces, gaps, fillvalue="")))


def _placed(kinds: Sequence[SampleKinds], names: Sequence[str]) -> Iterator[_Element]:
    """The values of an element lie side by side, its time before or behind; group 0 is the frame's id."""
    times = [n for n, name in enumerate(names, 1) if name == "timestamp"]
    values = [n for n, name in enumerate(names, 1) if name == "value"]
    for of_element, time in zip(kinds, times, strict=True):
        begin = values[0]
        yield _Element(of_element, time, begin, begin + len(of_element.said))
        del values[: len(of_element.said)]
