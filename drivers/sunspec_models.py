"""Where SunSpec's models keep what a meter tells, and what the raw words mean. Pure.

Offsets count from the model's id register. Values with a scale factor are read in one request with it: some
devices change their factors from one moment to the next.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from drivers.device import ImplausibleReading, MeterReading, PhaseTriple
from drivers.registers import Words
from drivers.values import with_direction

SunSpecKind = Literal["meter", "inverter", "dc"]

_FORMATS = {
    "int16": "h", "uint16": "H", "acc32": "I", "uint32": "I", "uint64": "Q", "float32": "f",
}  # fmt: skip
_NOT_IMPLEMENTED = {
    "int16": -0x8000,
    "uint16": 0xFFFF,
    "acc32": 0,
    "uint32": 0xFFFFFFFF,
    "uint64": (1 << 64) - 1,
}
_LARGEST_EXPONENT = 10
_STRING_HEADER, _STRING_LENGTH, _STRING_POWER = 10, 20, 11
_STRING_COUNT, _STRING_FACTOR = 8, 4
MOST_STRINGS = 5  # what one request can carry


@dataclass(frozen=True, slots=True)
class SunSpecPoint:
    """factor_at: where its scale factor stands; None = it has none."""

    offset: int
    type: str
    factor_at: int | None = None

    @property
    def end(self) -> int:
        return self.offset + struct.calcsize(_FORMATS[self.type]) // 2


@dataclass(frozen=True, slots=True)
class SunSpecModel:
    """points: by the keys of the Modbus tables, "p_tot", "p1" …, "e_imp". sign −1: + is generation."""

    number: int
    kind: SunSpecKind
    phases: int
    points: Mapping[str, SunSpecPoint]
    sign: int = 1

    @property
    def length(self) -> int:
        """How many registers to read, from the id on."""
        ends = [p.end for p in self.points.values()]
        return max([*ends, *(p.factor_at + 1 for p in self.points.values() if p.factor_at is not None)])


def _triple(
    kind: str, offsets: tuple[int, int, int], type_: str, factor_at: int | None = None
) -> dict[str, SunSpecPoint]:
    return {f"{kind}{n}": SunSpecPoint(at, type_, factor_at) for n, at in enumerate(offsets, 1)}


_INVERTER = {
    "p_tot": SunSpecPoint(14, "int16", 15),
    **_triple("i", (3, 4, 5), "uint16", 6),
    **_triple("v", (10, 11, 12), "uint16", 13),
    "f": SunSpecPoint(16, "uint16", 17),
    "e_exp": SunSpecPoint(24, "acc32", 26),
}
_INVERTER_FLOAT = {
    "p_tot": SunSpecPoint(22, "float32"),
    **_triple("i", (4, 6, 8), "float32"),
    **_triple("v", (16, 18, 20), "float32"),
    "f": SunSpecPoint(24, "float32"),
    "e_exp": SunSpecPoint(32, "float32"),
}
_METER = {
    "p_tot": SunSpecPoint(18, "int16", 22),
    **_triple("p", (19, 20, 21), "int16", 22),
    **_triple("i", (3, 4, 5), "int16", 6),
    **_triple("v", (8, 9, 10), "int16", 15),
    "f": SunSpecPoint(16, "int16", 17),
    "e_exp": SunSpecPoint(38, "acc32", 54),
    "e_imp": SunSpecPoint(46, "acc32", 54),
}
_METER_FLOAT = {
    "p_tot": SunSpecPoint(28, "float32"),
    **_triple("p", (30, 32, 34), "float32"),
    **_triple("i", (4, 6, 8), "float32"),
    **_triple("v", (12, 14, 16), "float32"),
    "f": SunSpecPoint(26, "float32"),
    "e_exp": SunSpecPoint(60, "float32"),
    "e_imp": SunSpecPoint(68, "float32"),
}
_DER = {
    "p_tot": SunSpecPoint(10, "int16", 116),
    **_triple("p", (41, 64, 87), "int16", 116),
    **_triple("i", (45, 68, 91), "int16", 113),
    **_triple("v", (47, 70, 93), "uint16", 114),
    "f": SunSpecPoint(17, "uint32", 115),
    "e_exp": SunSpecPoint(19, "uint64", 120),
    "e_imp": SunSpecPoint(23, "uint64", 120),
}

MODELS: Mapping[int, SunSpecModel] = {
    model.number: model
    for model in (
        *(SunSpecModel(100 + n, "inverter", n, _INVERTER, sign=-1) for n in (1, 2, 3)),
        *(SunSpecModel(110 + n, "inverter", n, _INVERTER_FLOAT, sign=-1) for n in (1, 2, 3)),
        *(SunSpecModel(200 + n, "meter", min(n, 3), _METER) for n in (1, 2, 3, 4)),
        *(SunSpecModel(210 + n, "meter", min(n, 3), _METER_FLOAT) for n in (1, 2, 3, 4)),
        SunSpecModel(701, "inverter", 3, _DER, sign=-1),
        SunSpecModel(160, "dc", 0, {}, sign=-1),
    )
}


def reading_of(model: SunSpecModel, words: Words, read_at: datetime, sign: int = 1) -> MeterReading:
    """sign −1: this make turns the model's sign of power round, as SolarEdge's meters do.

    Raises:
        ImplausibleReading: a meter tells no power, or a scale factor cannot be one.
    """
    values = {key: _value(point, words) for key, point in model.points.items()}
    direction = model.sign * sign
    power_w = values["p_tot"]
    if power_w is None:
        if model.kind == "meter":
            raise ImplausibleReading("answers, but tells no power (not implemented)")
        power_w = 0.0  # an inverter asleep at night
    powers = _phases(values, "p", model.phases)
    if powers is None and model.phases == 1:
        powers = (power_w, 0.0, 0.0)
    phase_power_w = None if powers is None else _times(powers, direction)
    currents = _phases(values, "i", model.phases)
    if currents is not None:
        currents = _times((abs(currents[0]), abs(currents[1]), abs(currents[2])), 1)
        by = phase_power_w
        if by is None and model.kind == "inverter":  # all its phases flow one way
            by = _times((power_w, power_w, power_w), direction)
        currents = with_direction(currents, by)
    return MeterReading(
        power_w=power_w * direction,
        read_at=read_at,
        phase_power_w=phase_power_w,
        current_a=currents,
        voltage_v=_phases(values, "v", model.phases),
        frequency_hz=values["f"],
        import_wh=values.get("e_imp"),
        export_wh=values["e_exp"],
    )


def strings_reading(words: Words, read_at: datetime) -> MeterReading:
    """Model 160: the strings of a hybrid, whose alternating current holds its battery's power, too."""
    factor = _factor(words, _STRING_FACTOR)
    power_w = 0.0
    for n in range(min(words[_STRING_COUNT], (len(words) - _STRING_HEADER) // _STRING_LENGTH)):
        raw = words[_STRING_HEADER + n * _STRING_LENGTH + _STRING_POWER]
        if raw != _NOT_IMPLEMENTED["uint16"] and factor is not None:
            power_w += raw * factor
    return MeterReading(power_w=-round(power_w, 9), read_at=read_at)


def strings_length(count: int) -> int:
    return _STRING_HEADER + count * _STRING_LENGTH


def _value(point: SunSpecPoint, words: Words) -> float | None:
    """None = not implemented."""
    own = words[point.offset : point.end]
    raw: float = struct.unpack(">" + _FORMATS[point.type], struct.pack(f">{len(own)}H", *own))[0]
    if raw == _NOT_IMPLEMENTED.get(point.type) or not math.isfinite(raw):
        return None
    if point.factor_at is None:
        return round(raw, 9)
    factor = _factor(words, point.factor_at)
    return None if factor is None else round(raw * factor, 9)


def _factor(words: Words, at: int) -> float | None:
    """Raises ImplausibleReading."""
    exponent = words[at] - 0x10000 if words[at] & 0x8000 else words[at]
    if exponent == _NOT_IMPLEMENTED["int16"]:
        return None
    if abs(exponent) > _LARGEST_EXPONENT:
        raise ImplausibleReading(f"tells a scale factor of {exponent}, −10 to 10 expected")
    return float(10.0**exponent)


def _phases(values: Mapping[str, float | None], kind: str, count: int) -> PhaseTriple | None:
    """None unless every phase has a value; phases that the model does not have are 0."""
    known = [values.get(f"{kind}{n}") for n in range(1, count + 1)]
    numbers = [v for v in known if v is not None]
    if not numbers or len(numbers) < len(known):
        return None
    l1, l2, l3 = (*numbers, 0.0, 0.0)[:3]
    return l1, l2, l3


def _times(triple: PhaseTriple, factor: int) -> PhaseTriple:
    return triple[0] * factor, triple[1] * factor, triple[2] * factor
