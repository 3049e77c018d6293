"""What kind of station a simulated one is: what it announces and takes, and how it departs from OCPP."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from simulation.charging_schedule import Profile
from simulation.deviations import Deviation

StartsBy = Literal["badge", "remote", "plug", "free"]


@dataclass(frozen=True, slots=True)
class StationModel:
    """The defaults are a station that does all that it should.

    rate_units: "Current", "Power" or both. rejects: a rule of its own against a profile that would be
    accepted otherwise; it may raise CallRefused. lacks: calls it does not implement. configuration: values
    that differ from the standard ones; keys beyond the standard are read-only. meter_start_wh: what its
    register has counted before.

    starts_by: what begins a transaction: a badge at its reader, only a RemoteStartTransaction, plugging in
    (with auto_start_tag), or nothing: "free" charges without any transaction.
    boots_unasked: whether it sends BootNotification by itself. clock_error_s: how far its clock is ahead.
    zone: what stands behind its timestamps. switches_phases: whether it follows numberPhases by switching.
    reads_number_phases: whether it divides watts by numberPhases, not always by three.
    """

    vendor: str = "Helianthus"
    model: str = "Simulated 22"
    firmware: str = "1.0.0"
    rate_units: tuple[str, ...] = ("Current", "Power")
    max_stack_level: int = 10
    max_periods: int = 24
    max_profiles: int = 20
    has_fixed_cable: bool = False
    voltage_v: float = 230.0
    rejects: Callable[[Profile], bool] = lambda profile: False
    lacks: frozenset[str] = frozenset()
    configuration: Mapping[str, str] = field(default_factory=dict)
    meter_start_wh: float = 0.0
    starts_by: StartsBy = "badge"
    auto_start_tag: str = ""
    boots_unasked: bool = True
    clock_error_s: float = 0.0
    zone: str = "Z"
    switches_phases: bool = False
    reads_number_phases: bool = True
    deviations: tuple[Deviation, ...] = ()
