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
from datetime import datetime
from typing import Any

from csms.domain.charge_point import ConnectorReading, PhaseTriple

DEFAULT_MEASURAND = "Energy.Active.Import.Register"
POWER, CURRENT, VOLTAGE, SOC = "Power.Active.Import", "Current.Import", "Voltage", "SoC"
PHASES = ("L1", "L2", "L3")
NOMINAL_VOLTAGE_V = 230.0
NO_REGISTER_WH = 2**31 - 1  # some stations say this for "not known"
SCALES = {"kw": 1000.0, "kwh": 1000.0, "mw": 1e6, "mwh": 1e6, "ma": 0.001, "mv": 0.001}
TOTAL = ""

Sample = Mapping[str, Any]
Values = dict[tuple[str, str], float]  # (measurand, phase, TOTAL = no phase) -> W, A, V, Wh or %


def read_sampled_values(samples: Sequence[Sample], at: datetime) -> ConnectorReading:
    """One reading of one moment. What the station does not say is None."""
    values = _values(samples)
    power_w = _total(values, POWER)
    return ConnectorReading(
        at=at,
        power_w=power_w,
        current_a=_currents(values, power_w),
        energy_wh=register_wh(_total(values, DEFAULT_MEASURAND)),
        soc_percent=values.get((SOC, TOTAL)),
    )


def register_wh(value_wh: float | None) -> float | None:
    """None for values that stations send when they do not know their register."""
    return None if value_wh is None or value_wh < 0 or value_wh == NO_REGISTER_WH else value_wh


def is_covered(sample: Sample) -> bool:
    """Does a `ConnectorReading` hold this very value? Else it must be kept as received."""
    measurand, phase = _measurand(sample), _phase(sample)
    if phase is None or _number(sample) is None:
        return False
    is_phase_value = measurand == CURRENT
    return measurand in (DEFAULT_MEASURAND, POWER, CURRENT, SOC) and is_phase_value == (phase != TOTAL)


def number(value: Any) -> float | None:
    """Read " 12.5", "12,5" or 12.5; None if it is no finite number."""
    try:
        parsed = float(value.strip().replace(",", ".") if isinstance(value, str) else value)
    except (TypeError, ValueError, OverflowError):
        return None
    return parsed if math.isfinite(parsed) else None


def _values(samples: Sequence[Sample]) -> Values:
    """The outlet's value wins over the same one measured elsewhere (inlet, body …)."""
    values: Values = {}
    elsewhere: Values = {}
    for sample in samples:
        measurand, phase, value = _measurand(sample), _phase(sample), _number(sample)
        if phase is None or value is None:
            continue
        at_outlet = (sample.get("location") or "Outlet") == "Outlet"
        (values if at_outlet else elsewhere).setdefault((measurand, phase), value)
    values = elsewhere | values
    _repair_kilowatts(samples, values)
    return values


def _repair_kilowatts(samples: Sequence[Sample], values: Values) -> None:
    """A power without a unit is W, unless volts times amperes say that it must be kW."""
    if not any(_measurand(s) == POWER and not s.get("unit") for s in samples):
        return
    volts = _voltage_v(values)
    apparent_w = volts * sum(values.get((CURRENT, phase), 0.0) for phase in PHASES)
    power = _total(values, POWER)
    if power and apparent_w > 100 * power:
        for key in [key for key in values if key[0] == POWER]:
            values[key] *= 1000


def _measurand(sample: Sample) -> str:
    return str(sample.get("measurand") or DEFAULT_MEASURAND)


def _phase(sample: Sample) -> str | None:
    """L1, L2, L3 or TOTAL. "L1-N" is L1; None for N and for line-to-line values."""
    text = str(sample.get("phase") or TOTAL).strip().upper().removesuffix("-N")
    return text if text in (TOTAL, *PHASES) else None


def _number(sample: Sample) -> float | None:
    if sample.get("format") == "SignedData" or (value := number(sample.get("value"))) is None:
        return None
    return value * SCALES.get(str(sample.get("unit") or "").strip().lower(), 1.0)


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
    told = {phase: values[CURRENT, phase] for phase in PHASES if (CURRENT, phase) in values}
    if not told and (single := values.get((CURRENT, TOTAL))) is not None:
        told = {"L1": single}
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


def _phases_in_use(mean_a: float, power_w: float | None, voltage_v: float, told: int) -> int:
    """From power and the current of a phase; all three if there is no telling."""
    if power_w is None or abs(mean_a) < 1:
        return len(PHASES)
    return max(told, min(len(PHASES), round(abs(power_w / (voltage_v * mean_a)))))
