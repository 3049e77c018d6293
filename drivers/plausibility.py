"""Whether a reading can follow on those before it: one that cannot is refused, with the reason."""

from __future__ import annotations

import math
from dataclasses import fields
from datetime import datetime, timedelta

from drivers.device import ImplausibleReading, MeterReading
from drivers.reading import check_sum, check_voltage

FROZEN_AFTER = timedelta(minutes=10)
_STANDBY_W = 20.0
_COUNTER_ROUNDING_WH = 10.0
_COUNTER_SLACK_WH = 1000.0
_BELIEVED_AFTER = 3


class Plausibility:
    """One meter's memory of what it told.

    largest_w: what can flow at most where it hangs, by its fuse; None = nobody knows.
    """

    def __init__(self, largest_w: float | None = None) -> None:
        self._largest_w = largest_w
        self._last: MeterReading | None = None
        self._same_since: datetime | None = None
        self._jumps = 0

    def check(self, reading: MeterReading) -> None:
        """Raises ImplausibleReading."""
        _check_finite(reading)
        check_voltage(reading.voltage_v)
        if reading.phase_power_w is not None:
            check_sum(reading.power_w, reading.phase_power_w)
        if self._largest_w is not None and abs(reading.power_w) > self._largest_w:
            raise ImplausibleReading(
                f"power reads {reading.power_w / 1000:.1f} kW, more than {self._largest_w / 1000:.0f} kW "
                "cannot flow here: check the model, its current transformers and the circuit's limit"
            )
        self._check_frozen(reading)
        self._check_counters(reading)
        self._last = reading

    def _check_frozen(self, reading: MeterReading) -> None:
        """What a living meter tells beside a steady power, voltage or energies, never stands still."""
        same = self._last is not None and _told(self._last) == _told(reading)
        if not same or abs(reading.power_w) < _STANDBY_W or not _has_witness(reading):
            self._same_since = reading.read_at
        if self._same_since is not None and reading.read_at - self._same_since > FROZEN_AFTER:
            minutes = (reading.read_at - self._same_since).total_seconds() / 60
            raise ImplausibleReading(
                f"frozen: exactly the same values for {minutes:.0f} minutes. Restart the meter or its gateway"
            )

    def _check_counters(self, reading: MeterReading) -> None:
        """A glitch is skipped; a counter that stays where it jumped to (another meter) is believed."""
        why = None if self._last is None else self._counter_fault(self._last, reading)
        if why is None:
            self._jumps = 0
            return
        self._jumps += 1
        if self._jumps < _BELIEVED_AFTER:
            raise ImplausibleReading(why)
        self._jumps = 0

    def _counter_fault(self, last: MeterReading, reading: MeterReading) -> str | None:
        hours = max((reading.read_at - last.read_at).total_seconds(), 0.0) / 3600
        for name, before, now in (
            ("drawn", last.import_wh, reading.import_wh),
            ("delivered", last.export_wh, reading.export_wh),
        ):
            if before is None or now is None:
                continue
            if now < before - _COUNTER_ROUNDING_WH:
                return f"energy {name} fell from {before / 1000:.2f} to {now / 1000:.2f} kWh"
            most_wh = None if self._largest_w is None else self._largest_w * hours + _COUNTER_SLACK_WH
            if most_wh is not None and now - before > most_wh:
                return f"energy {name} jumped from {before / 1000:.2f} to {now / 1000:.2f} kWh"
        return None


def _told(reading: MeterReading) -> tuple[object, ...]:
    return tuple(getattr(reading, f.name) for f in fields(reading) if f.name != "read_at")


def _has_witness(reading: MeterReading) -> bool:
    return reading.voltage_v is not None or reading.import_wh is not None or reading.export_wh is not None


def _check_finite(reading: MeterReading) -> None:
    for field in fields(reading):
        value = getattr(reading, field.name)
        numbers = value if isinstance(value, tuple) else (value,)
        if any(isinstance(n, float) and not math.isfinite(n) for n in numbers):
            raise ImplausibleReading(f"{field.name} is {value}, a finite number expected")
