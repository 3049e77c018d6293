"""From a meter's values to a `MeterReading`: signs, phases, and whether it can be true. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from drivers.device import ImplausibleReading, MeterReading, PhaseTriple
from drivers.registers import MeterModel
from drivers.values import with_direction

Values = Mapping[str, float | None]

PHASE_VOLTAGE_V = (100.0, 300.0)
_SUM_TOLERANCE = 0.02
_SUM_TOLERANCE_W = 20.0


def assemble(model: MeterModel, values: Values, read_at: datetime) -> MeterReading:
    """values: as `Request.decode` gives them; a refused one is absent.

    A one-phase meter stands in L1.

    Raises:
        ImplausibleReading: no power, a voltage no phase has, or phases that do not add up to the total.
    """
    power_w = _power_w(model, values) * model.sign
    phase_power_w = _scaled(_triple(model, values, "p"), model.sign)
    voltage_v = _triple(model, values, "v")
    check_voltage(voltage_v)
    if phase_power_w is not None:
        check_sum(power_w, phase_power_w)
    current_a = with_direction(_triple(model, values, "i"), phase_power_w)
    return MeterReading(
        power_w=power_w,
        read_at=read_at,
        phase_power_w=phase_power_w,
        current_a=current_a,
        voltage_v=voltage_v,
        frequency_hz=values.get("f"),
        import_wh=values.get("e_imp"),
        export_wh=values.get("e_exp"),
        soc_pct=checked_soc_pct(values.get("soc")),
    )


def checked_soc_pct(soc_pct: float | None) -> float | None:
    """Raises ImplausibleReading."""
    if soc_pct is not None and not 0 <= soc_pct <= 100:
        raise ImplausibleReading(f"state of charge reads {soc_pct:.4g} %, 0 to 100 % expected")
    return soc_pct


def _power_w(model: MeterModel, values: Values) -> float:
    if model.point("p_import"):
        drawn_w, delivered_w = values.get("p_import"), values.get("p_export")
        total_w = None if drawn_w is None or delivered_w is None else drawn_w - delivered_w
    else:
        total_w = values.get("p_tot")
    if total_w is None:
        total_w = model.power_when_not_available_w
    if total_w is None:
        raise ImplausibleReading("answers, but tells no power (not available or out of its range)")
    return total_w


def _triple(model: MeterModel, values: Values, kind: str) -> PhaseTriple | None:
    """None unless every phase that the model knows has a value."""
    known = [values.get(f"{kind}{phase}") for phase in range(1, model.phases(kind) + 1)]
    numbers = [v for v in known if v is not None]
    if not numbers or len(numbers) < len(known):
        return None
    l1, l2, l3 = (*numbers, 0.0, 0.0)[:3]
    return l1, l2, l3


def _scaled(triple: PhaseTriple | None, factor: int) -> PhaseTriple | None:
    return None if triple is None else (triple[0] * factor, triple[1] * factor, triple[2] * factor)


def check_voltage(voltage_v: PhaseTriple | None) -> None:
    """Raises ImplausibleReading."""
    for phase, value_v in enumerate(voltage_v or (), 1):
        if value_v != 0 and not PHASE_VOLTAGE_V[0] <= value_v <= PHASE_VOLTAGE_V[1]:
            raise ImplausibleReading(
                f"voltage of L{phase} reads {value_v:.4g} V, 0 or 100 to 300 V expected: check the model"
            )


def check_sum(power_w: float, phase_power_w: PhaseTriple) -> None:
    """Raises ImplausibleReading."""
    sum_w = sum(phase_power_w)
    if abs(power_w - sum_w) > _SUM_TOLERANCE * abs(power_w) + _SUM_TOLERANCE_W:
        raise ImplausibleReading(
            f"power reads {power_w:.0f} W in total, but {sum_w:.0f} W as the sum of the phases"
        )
