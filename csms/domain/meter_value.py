"""OCPP sampled values -> what a connector measures, in W, A per phase, Wh and %. Pure.

- A value without a measurand is Energy.Active.Import.Register, in Wh (OCPP 1.6 ed. 2, section 7.31).
- A total (no phase) is preferred to the sum of the phases; stations that send both mean the same
  power twice. Energy comes from the register only, never from intervals.
- A phase that is not mentioned is not zero: it is taken to carry what those mentioned carry, unless
  the power says that fewer phases are in use. The same holds for one current without a phase.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from csms.domain.charge_point import ConnectorReading, PhaseTriple

DEFAULT_MEASURAND = "Energy.Active.Import.Register"
POWER, CURRENT, VOLTAGE, SOC = "Power.Active.Import", "Current.Import", "Voltage", "SoC"
OFFERED = "Current.Offered"
READ_MEASURANDS = (DEFAULT_MEASURAND, POWER, CURRENT, VOLTAGE, SOC, OFFERED)  # the others are kept only
PHASES = ("L1", "L2", "L3")
NOMINAL_VOLTAGE_V = 230.0
NO_REGISTER_WH = 2**31 - 1  # some stations say this for "not known"
SCALES = {"kw": 1000.0, "kwh": 1000.0, "mw": 1e6, "mwh": 1e6, "ma": 0.001, "mv": 0.001}
LARGEST = 1e15  # what is beyond it no meter measures; so no product of values is infinite
TOTAL = ""
CURRENTS = tuple((CURRENT, phase) for phase in PHASES)

Sample = Mapping[str, Any]
Values = dict[tuple[str, str], float]  # (measurand, phase, TOTAL = no phase) -> W, A, V, Wh or %


def read_sampled_values(samples: Sequence[Sample], at: datetime) -> ConnectorReading:
    """One reading of one moment. What the station does not say is None."""
    return reading_of(_values(samples), at)


def reading_of(values: Values, at: datetime) -> ConnectorReading:
    power_w = _total(values, POWER)
    return ConnectorReading(
        at=at,
        power_w=power_w,
        current_a=_currents(values, power_w),
        energy_wh=register_wh(_total(values, DEFAULT_MEASURAND)),
        soc_percent=values.get((SOC, TOTAL)),
        offered_a=values.get((OFFERED, TOTAL)),
    )


def register_wh(value_wh: float | None) -> float | None:
    """None for values that stations send when they do not know their register."""
    return None if value_wh is None or value_wh < 0 or value_wh == NO_REGISTER_WH else value_wh


def is_covered(sample: Sample) -> bool:
    """Does a `ConnectorReading` hold this very value? Else it must be kept as received."""
    meaning = meaning_of(sample)
    return meaning is not None and meaning.is_covered and number(sample.get("value")) is not None


def number(value: Any) -> float | None:
    """Read " 12.5", "12,5" or 12.5; None if it is no number, or one that nothing measures."""
    try:
        parsed = float(value.strip().replace(",", ".") if isinstance(value, str) else value)
    except (TypeError, ValueError, OverflowError):
        return None
    return parsed if abs(parsed) <= LARGEST else None


def _values(samples: Sequence[Sample]) -> Values:
    """The outlet's value wins over the same one measured elsewhere (inlet, body …)."""
    values: Values = {}
    elsewhere: Values = {}
    is_unitless_power = False
    for sample in samples:
        meaning, value = meaning_of(sample), number(sample.get("value"))
        if meaning is None or value is None:
            continue
        (values if meaning.at_outlet else elsewhere).setdefault(meaning.key, value * meaning.scale)
        is_unitless_power = is_unitless_power or meaning.is_unitless_power
    values = elsewhere | values if elsewhere else values
    if is_unitless_power:
        repair_kilowatts(values)
    return values


def repair_kilowatts(values: Values) -> None:
    """A power without a unit is W, unless volts times amperes say that it must be kW."""
    volts = _voltage_v(values)
    apparent_w = volts * sum(values.get((CURRENT, phase), 0.0) for phase in PHASES)
    power = _total(values, POWER)
    if power and apparent_w > 100 * power:
        for key in [key for key in values if key[0] == POWER]:
            values[key] *= 1000


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a sampled value is of, all but its number. scale: to W, A, V or Wh."""

    key: tuple[str, str]
    scale: float
    at_outlet: bool
    is_covered: bool
    is_unitless_power: bool


def meaning_of(sample: Sample) -> Meaning | None:
    """None for signed data, the neutral conductor and values between two phases."""
    if sample.get("format") == "SignedData":
        return None
    return _meaning_of_words(
        sample.get("measurand"), sample.get("phase"), sample.get("unit"), sample.get("location")
    )


@lru_cache(4096)  # a station says the same of every sample: only the number is new
def _meaning_of_words(
    measurand: str | None, phase: str | None, unit: str | None, location: str | None
) -> Meaning | None:
    name, line = measurand or DEFAULT_MEASURAND, _phase(phase)
    if line is None:
        return None
    is_held = name in (DEFAULT_MEASURAND, POWER, CURRENT, SOC) and (name == CURRENT) == (line != TOTAL)
    return Meaning(
        key=(name, line),
        scale=SCALES.get((unit or "").strip().lower(), 1.0),
        at_outlet=(location or "Outlet") == "Outlet",
        is_covered=is_held,
        is_unitless_power=name == POWER and not unit,
    )


def _phase(text: str | None) -> str | None:
    """L1, L2, L3 or TOTAL. "L1-N" is L1; None for N and for line-to-line values."""
    line = (text or TOTAL).strip().upper().removesuffix("-N")
    return line if line in (TOTAL, *PHASES) else None


def _total(values: Values, measurand: str) -> float | None:
    if (total := values.get((measurand, TOTAL))) is not None:
        return total
    parts = [values[measurand, phase] for phase in PHASES if (measurand, phase) in values]
    return sum(parts) if parts else None


def _voltage_v(values: Values) -> float:
    """Line to neutral. Implausible ones do not count."""
    told = [values[VOLTAGE, phase] for phase in (TOTAL, *PHASES) if (VOLTAGE, phase) in values]
    sound = [volts for volts in told if 100 <= volts <= 300]
    return sum(sound) / len(sound) if sound else NOMINAL_VOLTAGE_V


def _currents(values: Values, power_w: float | None) -> PhaseTriple | None:
    first, second, third = map(values.get, CURRENTS)
    if first is not None and second is not None and third is not None:
        return first, second, third
    told = {phase: values[CURRENT, phase] for phase in PHASES if (CURRENT, phase) in values}
    if not told and (single := values.get((CURRENT, TOTAL))) is not None:
        count = _summed_phases(single, values.get((OFFERED, TOTAL)))
        told = dict.fromkeys(PHASES[:count], single / count)
    if not told:
        return None
    mean_a = sum(told.values()) / len(told)
    in_use = _phases_in_use(mean_a, power_w, _voltage_v(values), len(told))
    carrying = set(told)
    for phase in PHASES:
        if len(carrying) < in_use:
            carrying.add(phase)
    first, second, third = (told.get(p, mean_a if p in carrying else 0.0) for p in PHASES)
    return first, second, third


def _summed_phases(single_a: float, offered_a: float | None) -> int:
    """Over how many phases a current without a phase must have been summed: one alone carries no more than
    is offered. Mean or maximum need not be told apart from it otherwise."""
    if offered_a is None or offered_a <= 0 or single_a <= 0:
        return 1
    return min(len(PHASES), max(1, math.ceil(single_a / (1.05 * offered_a + 1.0))))


def _phases_in_use(mean_a: float, power_w: float | None, voltage_v: float, told: int) -> int:
    """From power and the current of a phase; all three if there is no telling."""
    if power_w is None or abs(mean_a) < 1:
        return len(PHASES)
    return max(told, min(len(PHASES), round(abs(power_w / (voltage_v * mean_a)))))
