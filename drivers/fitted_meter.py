"""A meter as it is wired: turned the right way round, its phases in the site's order, and checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from drivers.device import DeviceConfigError, ImplausibleReading, Meter, MeterReading, PhaseTriple
from drivers.plausibility import Plausibility

_PHASES = ("L1", "L2", "L3")


def check_phases(phases: Sequence[str]) -> None:
    """Raises DeviceConfigError."""
    if not phases or len(set(phases)) != len(phases) or not set(phases) <= set(_PHASES):
        raise DeviceConfigError("phases", list(phases), 'each at most once, such as ["L2", "L3", "L1"],')


class FittedMeter:
    """A `Meter`.

    invert: it is mounted the wrong way round. phases: on which phase of the site each of its own hangs, from
    its first on; None = as they are marked. largest_w: see `Plausibility`.
    """

    def __init__(
        self,
        meter: Meter,
        invert: bool = False,
        phases: Sequence[str] | None = None,
        largest_w: float | None = None,
    ) -> None:
        if phases is not None:
            check_phases(phases)
        self.id = meter.id
        self.inner = meter
        self.refused = 0
        self._invert, self._phases = invert, phases
        self._plausibility = Plausibility(largest_w)

    @property
    def warning(self) -> str | None:
        """What the installer should put right although it reads, such as a setting inside the meter."""
        return getattr(self.inner, "warning", None)

    async def read(self) -> MeterReading:
        """Raises DeviceError."""
        try:
            reading = await self.inner.read()
            self._plausibility.check(reading)
        except ImplausibleReading as fault:
            self.refused += 1
            times = f" ({self.refused} readings refused so far)" if self.refused > 1 else ""
            raise ImplausibleReading(f"{fault}{times}") from None
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
