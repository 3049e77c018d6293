"""A meter as it is wired: turned the right way round, its phases in the site's order, and checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from drivers.device import DeviceConfigError, ImplausibleReading, Meter, MeterReading, PhaseTriple
from drivers.reading import check_sum, check_voltage

_PHASES = ("L1", "L2", "L3")


def check_phases(phases: Sequence[str]) -> None:
    """Raises DeviceConfigError."""
    if not phases or len(set(phases)) != len(phases) or not set(phases) <= set(_PHASES):
        raise DeviceConfigError("phases", list(phases), 'each at most once, such as ["L2", "L3", "L1"],')


class FittedMeter:
    """A `Meter`.

    invert: it is mounted the wrong way round. phases: on which phase of the site each of its own hangs, from
    its first on; None = as they are marked.
    """

    def __init__(self, meter: Meter, invert: bool = False, phases: Sequence[str] | None = None) -> None:
        if phases is not None:
            check_phases(phases)
        self.id = meter.id
        self.inner = meter
        self._invert, self._phases = invert, phases

    async def read(self) -> MeterReading:
        """Raises DeviceError."""
        reading = await self.inner.read()
        try:
            check_voltage(reading.voltage_v)
            if reading.phase_power_w is not None:
                check_sum(reading.power_w, reading.phase_power_w)
        except ImplausibleReading as fault:
            raise ImplausibleReading(f"{self.id}: {fault}") from None
        if self._invert:
            reading = inverted(reading)
        return reading if self._phases is None else in_order(reading, self._phases)


def inverted(reading: MeterReading) -> MeterReading:
    return replace(
        reading,
        power_w=-reading.power_w,
        phase_power_w=_turned(reading.phase_power_w),
        current_a=_turned(reading.current_a),
        import_wh=reading.export_wh,
        export_wh=reading.import_wh,
    )


def in_order(reading: MeterReading, phases: Sequence[str]) -> MeterReading:
    """Move each phase of the meter to where it hangs; phases that it does not measure read 0."""
    return replace(
        reading,
        phase_power_w=_moved(reading.phase_power_w, phases),
        current_a=_moved(reading.current_a, phases),
        voltage_v=_moved(reading.voltage_v, phases),
    )


def _turned(triple: PhaseTriple | None) -> PhaseTriple | None:
    return None if triple is None else (-triple[0], -triple[1], -triple[2])


def _moved(triple: PhaseTriple | None, phases: Sequence[str]) -> PhaseTriple | None:
    if triple is None:
        return None
    placed = dict(zip(phases, triple, strict=False))
    l1, l2, l3 = (placed.get(phase, 0.0) for phase in _PHASES)
    return l1, l2, l3
