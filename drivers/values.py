"""Numbers that devices write as JSON, and one-phase readings made of them. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from drivers.device import ImplausibleReading, MeterReading, PhaseTriple


def number(table: Mapping[str, Any], key: str) -> float | None:
    """None if the device does not tell it. Raises ImplausibleReading if it is no finite number."""
    value = table.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ImplausibleReading(f"tells {key} = {value!r}, a number expected")
    return float(value)


def with_direction(current_a: PhaseTriple | None, phase_power_w: PhaseTriple | None) -> PhaseTriple | None:
    """Currents signed like the power of their phases."""
    if current_a is None or phase_power_w is None:
        return current_a
    l1, l2, l3 = (math.copysign(i, p) for i, p in zip(current_a, phase_power_w, strict=True))
    return l1, l2, l3


def first_phase(
    power_w: float,
    read_at: datetime,
    voltage_v: float | None = None,
    current_a: float | None = None,
    frequency_hz: float | None = None,
    import_wh: float | None = None,
    export_wh: float | None = None,
) -> MeterReading:
    """A one-phase meter stands in L1."""
    return MeterReading(
        power_w=power_w,
        read_at=read_at,
        phase_power_w=(power_w, 0.0, 0.0),
        current_a=None if current_a is None else (math.copysign(current_a, power_w), 0.0, 0.0),
        voltage_v=None if voltage_v is None else (voltage_v, 0.0, 0.0),
        frequency_hz=frequency_hz,
        import_wh=import_wh,
        export_wh=export_wh,
    )
