"""What every device offers, whatever wire it hangs on; and the faults it can have.

DeviceError
├── DeviceUnreachable      no connection, no answer in time
├── DeviceRefused          the device answered with an exception (Modbus exception code, HTTP status)
├── ImplausibleReading     answered, but the value cannot be true (NaN, out of range)
├── ReadbackMismatch       a relay was written and reads back differently
└── DeviceConfigError      unknown model, relay number out of range, framing not supported by the model
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

Now = Callable[[], datetime]
Sleep = Callable[[float], Awaitable[None]]
PhaseTriple = tuple[float, float, float]
Framing = Literal["tcp", "rtu_over_tcp"]
Failsafe = Literal["pulse", "pulse_short", "watchdog", "watchdog_in_device", "none"]


class DeviceError(Exception):
    """A device did not do what was asked. The text is fit for an installer."""


class DeviceUnreachable(DeviceError):
    pass


class DeviceRefused(DeviceError):
    """code: the Modbus exception code."""

    def __init__(self, text: str, code: int | None = None) -> None:
        super().__init__(text)
        self.code = code


class ImplausibleReading(DeviceError):
    pass


class ReadbackMismatch(DeviceError):
    pass


class DeviceConfigError(DeviceError):
    def __init__(self, field: str, value: object, expected: str) -> None:
        super().__init__(f"{field}: {value!r} given, {expected} expected")
        self.field, self.value, self.expected = field, value, expected


@dataclass(frozen=True, slots=True)
class MeterReading:
    """One sample. Power + is drawn, − is delivered (after the meter's `invert`).

    current_a is signed like the power of its phase where the meter tells the phases' power.
    Energies are the meter's own registers in Wh. soc_pct: a battery's state of charge. What a meter does not
    tell is None.
    """

    power_w: float
    read_at: datetime
    phase_power_w: PhaseTriple | None = None
    current_a: PhaseTriple | None = None
    voltage_v: PhaseTriple | None = None
    frequency_hz: float | None = None
    import_wh: float | None = None
    export_wh: float | None = None
    soc_pct: float | None = None

    def age_s(self, now: datetime) -> float:
        return (now - self.read_at).total_seconds()


class Meter(Protocol):
    """Raises DeviceError."""

    id: str

    async def read(self) -> MeterReading: ...


class Relay(Protocol):
    """One contact. Raises DeviceError. `switch` writes and reads back; ReadbackMismatch if they differ."""

    id: str

    async def read(self) -> bool: ...

    async def switch(self, on: bool) -> None: ...


class DigitalInput(Protocol):
    """One contact that the site closes, e.g. the grid operator's load-shedding signal. Raises DeviceError."""

    id: str

    async def read(self) -> bool: ...


class RelayModule(Protocol):
    """Several contacts behind one address, from number 1 on. Raises DeviceError."""

    id: str
    failsafe: Failsafe

    @property
    def needs_rearming(self) -> bool:
        """Whether a closed relay opens by itself unless `switch` repeats the command."""
        ...

    async def read_all(self) -> tuple[bool, ...]: ...

    async def read_inputs(self) -> tuple[bool, ...]: ...

    async def switch(self, number: int, on: bool) -> None:
        """Write and read back; ReadbackMismatch if they differ."""
        ...
