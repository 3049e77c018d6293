"""Samples whose kinds are known: a station says the same of every sample, only its numbers are new. Pure.

What the samples of a MeterValue say of their values is worked out once (`SampleKinds`); a later MeterValue of
the same kinds is those, with other numbers (`Samples`). It reads like the list of samples it stands for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Any, overload

import orjson

from csms.domain.charge_point import ConnectorReading
from csms.domain.meter_value import (
    DEFAULT_MEASURAND,
    PHASES,
    POWER,
    READ_MEASURANDS,
    TOTAL,
    is_covered,
    meaning_of,
    reading_of,
    register_wh,
    repair_kilowatts,
)

Sample = dict[str, Any]
PLAIN_NUMBER = r"-?\d{1,14}(?:\.\d{1,20})?"  # none is beyond LARGEST
_NEUTRAL = "0"


@dataclass(frozen=True, slots=True, eq=False)
class SampleKinds:
    """said: each sample, but for its number. read: what is read from which position, and its scale.
    kept: picks the numbers of those that a reading does not hold, None if it holds all. kept_json: these, %s
    for each number. canonical: the JSON of all, with the fields in order."""

    said: tuple[Sample, ...]
    read: tuple[tuple[tuple[str, str], int, float], ...]
    is_unitless_power: bool
    kept: Callable[[tuple[str, ...]], Any] | None
    kept_json: str
    registers: tuple[int, ...]
    context: str | None
    canonical: str

    @classmethod
    def of(cls, samples: Sequence[Sample]) -> SampleKinds | None:
        """Of samples that conform to OCPP; None if some value is no number (signed data)."""
        said = tuple({**sample, "value": _NEUTRAL} for sample in samples)
        if any(sample.get("format") == "SignedData" for sample in said):
            return None
        kept = tuple(n for n, sample in enumerate(said) if not is_covered(sample))
        measurands = [sample.get("measurand", DEFAULT_MEASURAND) for sample in said]
        return cls(
            said=said,
            read=_read(said),
            is_unitless_power=any(m.is_unitless_power for m in map(meaning_of, said) if m is not None),
            kept=itemgetter(*kept) if kept else None,
            kept_json=_template(orjson.dumps([said[n] for n in kept])),
            registers=tuple(n for n, name in enumerate(measurands) if name == DEFAULT_MEASURAND),
            context=next((sample["context"] for sample in said if sample.get("context")), None),
            canonical=_template(orjson.dumps(said, option=orjson.OPT_SORT_KEYS)),
        )

    def with_values(self, texts: tuple[str, ...], at: datetime) -> Samples | None:
        """texts: a plain number for each. None if there is anything about one that asks for a closer look."""
        for position in self.registers:
            if texts[position][0] == "-" or register_wh(float(texts[position])) is None:
                return None
        return Samples(self, texts, at)


@dataclass(slots=True, eq=False)
class Samples(Sequence[Sample]):
    """texts: their numbers, as received. at: when they were measured."""

    kinds: SampleKinds
    texts: tuple[str, ...]
    at: datetime

    def __eq__(self, other: object) -> bool:
        """Also to a list: a frame may be repeated that was read the ordinary way at first."""
        return isinstance(other, Sequence) and [*self] == [*other]

    def __len__(self) -> int:
        return len(self.texts)

    def __iter__(self) -> Iterator[Sample]:
        return map(self._sample, range(len(self.texts)))

    @overload
    def __getitem__(self, index: int) -> Sample: ...

    @overload
    def __getitem__(self, index: slice) -> list[Sample]: ...

    def __getitem__(self, index: int | slice) -> Sample | list[Sample]:
        if isinstance(index, slice):
            return [self._sample(n) for n in range(*index.indices(len(self.texts)))]
        return self._sample(range(len(self.texts))[index])

    def _sample(self, index: int) -> Sample:
        return {**self.kinds.said[index], "value": self.texts[index]}

    def reading(self) -> ConnectorReading:
        """What `read_sampled_values` reads from the list."""
        texts = self.texts
        values = {key: float(texts[position]) * scale for key, position, scale in self.kinds.read}
        if self.kinds.is_unitless_power:
            repair_kilowatts(values)
        return reading_of(values, self.at)

    def not_held(self) -> str | None:
        """Those that a reading does not hold, as a JSON list; None: there are none."""
        kinds = self.kinds
        return kinds.kept_json % kinds.kept(self.texts) if kinds.kept is not None else None

    def canonical(self) -> bytes:
        """Their JSON with the fields in order, as orjson writes it."""
        return (self.kinds.canonical % self.texts).encode()


def _template(samples: bytes) -> str:
    return samples.decode().replace("%", "%%").replace(f'"value":"{_NEUTRAL}"', '"value":"%s"')


def _read(said: Sequence[Sample]) -> tuple[tuple[tuple[str, str], int, float], ...]:
    """The outlet's value wins over the same one measured elsewhere, the first over those that follow."""
    read: dict[tuple[str, str], tuple[tuple[str, str], int, float]] = {}
    found = [(meaning, n) for n, meaning in enumerate(map(meaning_of, said)) if meaning is not None]
    for meaning, position in sorted(found, key=lambda one: not one[0].at_outlet):
        if meaning.key[0] in READ_MEASURANDS:
            read.setdefault(meaning.key, (meaning.key, position, meaning.scale))
    for measurand in (POWER, DEFAULT_MEASURAND):
        if (measurand, TOTAL) in read:  # then those of the phases are not asked for
            for phase in PHASES:
                read.pop((measurand, phase), None)
    return tuple(read.values())
