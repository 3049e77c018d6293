"""A site as its owner describes it: circuits, meters, relay modules, appliances, charge points.

The keys are those of the site file and of the API. Unknown keys and wrong types are refused;
references between parts are checked in `SiteConfig`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import time
from typing import Annotated, Any, Literal, Self
from zoneinfo import available_timezones

from pydantic import BeforeValidator, ConfigDict, Field, field_validator, model_validator

from csms.domain.device_config import MeterConfig, RelayModuleConfig
from csms.domain.site_fields import Amps, Id, Identity, Phase, Phases, Priority, RelayRef, SiteModel, Watts
from csms.domain.write_pace import DEAD_MAN_S

ApplianceMode = Literal["off", "on", "solar_only", "solar_and_timer", "timer_only", "manual"]
ConnectorMode = Literal[
    "off", "on", "solar_only", "solar_and_timer", "timer_only", "manual", "min_and_solar", "full"
]
ApplianceKind = Literal[
    "water_heater", "water_heater_no_neutral", "sg_ready", "heat_pump", "radiator", "pool_pump", "generic"
]
ROTATIONS: dict[str, list[Phase]] = {
    "RST": ["L1", "L2", "L3"],
    "RTS": ["L1", "L3", "L2"],
    "SRT": ["L2", "L1", "L3"],
    "STR": ["L2", "L3", "L1"],
    "TRS": ["L3", "L1", "L2"],
    "TSR": ["L3", "L2", "L1"],
}
ResponseName = Literal["calm", "balanced", "eager"]
Starts = Annotated[int, Field(ge=1, le=1000, strict=True)]
# Limits are renewed when half of the dead-man is over: in the other half there is time for a decision to see
# that, and for one more where the station did not take it.
LONGEST_INTERVAL_S = DEAD_MAN_S // 4
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def parse_days(text: str) -> frozenset[int]:
    """Read "mon-fri,sun" as {0, 1, 2, 3, 4, 6}. A span may wrap: "sat-mon".

    Raises:
        ValueError: a part is neither a day nor a span of days.
    """
    days: set[int] = set()
    for part in text.lower().replace(" ", "").split(","):
        first, _, last = part.partition("-")
        if first not in DAYS or (last or first) not in DAYS:
            raise ValueError(f'days such as "mon-fri,sun" expected, not {part!r}')
        start, end = DAYS.index(first), DAYS.index(last or first)
        days.update((start + i) % 7 for i in range((end - start) % 7 + 1))
    return frozenset(days)


def parse_time(text: str) -> time:
    """Read "HH:MM"; "24:00" is midnight."""
    if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d|24:00", text):
        raise ValueError(f'a time such as "02:30" expected, not {text!r}')
    return time(0) if text == "24:00" else time.fromisoformat(text)


class WindowConfig(SiteModel):
    """A daily span in the site's local time; `to` at or before `from` crosses midnight."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
    days: str = "mon-sun"
    start: str = Field(alias="from")
    end: str = Field(alias="to")

    @field_validator("days")
    @classmethod
    def _days_are_known(cls, value: str) -> str:
        parse_days(value)
        return value

    @field_validator("start", "end")
    @classmethod
    def _times_are_times(cls, value: str) -> str:
        parse_time(value)
        return value


class VehicleNeedConfig(SiteModel):
    """What a vehicle is to have got, counted from plug-in, by a local time on these days."""

    days: str = "mon-sun"
    until: str
    energy_kwh: float | None = Field(default=None, gt=0, le=1000)

    @field_validator("days")
    @classmethod
    def _days_are_known(cls, value: str) -> str:
        parse_days(value)
        return value

    @field_validator("until")
    @classmethod
    def _until_is_a_time(cls, value: str) -> str:
        parse_time(value)
        return value

    @model_validator(mode="after")
    def _says_how_much(self) -> Self:
        if self.energy_kwh is None:
            raise ValueError("energy_kwh expected: how much by then")
        return self

    def due_days(self) -> frozenset[int]:
        """The days on which `until` falls: "24:00" is the midnight that ends the day."""
        days = parse_days(self.days)
        return frozenset((day + 1) % 7 for day in days) if self.until == "24:00" else days


class NeedConfig(VehicleNeedConfig):
    """What an appliance is to have got by then: an energy, or a time for which it is on."""

    run_h: float | None = Field(default=None, gt=0, le=24)
    run_min: float | None = Field(default=None, gt=0, le=1440)

    @model_validator(mode="after")
    def _says_how_much(self) -> Self:
        if sum(amount is not None for amount in (self.energy_kwh, self.run_h, self.run_min)) != 1:
            raise ValueError("one of energy_kwh, run_h and run_min expected")
        return self

    def run_s(self) -> float | None:
        if self.run_min is not None:
            return self.run_min * 60
        return None if self.run_h is None else self.run_h * 3600


def _listed(value: Any) -> Any:
    """One need may stand without brackets."""
    return [value] if isinstance(value, dict | VehicleNeedConfig) else value


def _check_needs(needs: Sequence[VehicleNeedConfig]) -> None:
    seen: set[tuple[int, time]] = set()
    for need in needs:
        times = {(day, parse_time(need.until)) for day in need.due_days()}
        if times & seen:
            raise ValueError(f"one need for {need.until} on each day expected")
        seen |= times


class SiteInfo(SiteModel):
    id: Id
    name: str = Field(min_length=1, max_length=200)
    timezone: str
    voltage_v: float = Field(default=230, ge=100, le=300)
    control_interval_s: float = Field(default=60, ge=1)
    import_limit_w: Watts | None = None
    response: ResponseName = "balanced"

    @field_validator("control_interval_s")
    @classmethod
    def _renews_limits_in_time(cls, value: float) -> float:
        if value > LONGEST_INTERVAL_S:
            raise ValueError(
                f"at most {LONGEST_INTERVAL_S} s expected: stations whose limit is not renewed"
                f" within {DEAD_MAN_S} s fall back to safe_a, and renewing may take a second attempt"
            )
        return value

    @field_validator("timezone")
    @classmethod
    def _timezone_exists(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError("an IANA time zone such as Europe/Zurich expected")
        return value


class CircuitConfig(SiteModel):
    id: Id
    parent: Id | None = None
    limit_a: Annotated[list[Annotated[float, Field(gt=0, le=10_000)]], Field(min_length=3, max_length=3)]


class BatteryConfig(SiteModel):
    """Who has the sun first, the battery or the loads; by_soc: the battery up to soc_pct.

    capacity_kwh, max_w: the battery that a replay of measurements has; the running server needs neither.
    """

    policy: Literal["battery_first", "loads_first", "by_soc"] = "battery_first"
    soc_pct: float | None = Field(default=None, gt=0, le=100)
    capacity_kwh: float | None = Field(default=None, gt=0, le=100_000)
    max_w: Watts | None = None

    @model_validator(mode="after")
    def _by_soc_names_the_level(self) -> Self:
        if (self.soc_pct is not None) != (self.policy == "by_soc"):
            raise ValueError("soc_pct and policy by_soc only together expected")
        if (self.capacity_kwh is None) != (self.max_w is None):
            raise ValueError("capacity_kwh and max_w only together expected")
        return self


class LoadSheddingConfig(SiteModel):
    """The grid operator's contact at a digital input ("io1/1"), and what holds while its signal is given.

    active: how the contact then is. limit_a: at most that on each connector, 0 = paused. off: kinds of
    appliances that are switched off.
    """

    input: RelayRef
    active: Literal["closed", "open"] = "closed"
    limit_a: Amps = 6
    off: list[ApplianceKind] = []


class StepConfig(SiteModel):
    """One independently switched step: the relays that close together, and what flows then."""

    relays: Annotated[list[RelayRef], Field(min_length=1)]
    power_w: Watts
    phases: Phases = ["L1"]


class NoNeutralRelays(SiteModel):
    l1_l2: RelayRef
    l1_l3: RelayRef


class ApplianceConfig(SiteModel):
    """Most kinds have `steps`; water_heater_no_neutral has `relays` and `rated_power_w`; sg_ready has one or
    two `relays` (lowest bit first: recommendation, then forced) and `power_w`. Without min_on_min
    its kind and the site's response say how long it stays on. max_starts_…: of each of its elements."""

    id: Id
    name: str | None = None
    kind: ApplianceKind
    circuit: Id
    mode: ApplianceMode = "solar_only"
    min_on_min: float | None = Field(default=None, ge=0, le=1440)
    min_off_min: float = Field(default=2, ge=0, le=1440)
    windows: list[WindowConfig] = []
    steps: list[StepConfig] = []
    relays: NoNeutralRelays | list[RelayRef] | None = None
    rated_power_w: Watts | None = None
    power_w: Watts | None = None
    phases: Phases = ["L1", "L2", "L3"]
    meter: Id | None = None
    priority: Priority = 0
    need: Annotated[list[NeedConfig], BeforeValidator(_listed)] = []
    max_starts_per_hour: Starts | None = None
    max_starts_per_day: Starts | None = None

    @model_validator(mode="after")
    def _shape_fits_the_kind(self) -> Self:
        if self.kind == "water_heater_no_neutral":
            if not isinstance(self.relays, NoNeutralRelays) or self.rated_power_w is None or self.steps:
                raise ValueError(
                    "water_heater_no_neutral needs relays = {l1_l2, l1_l3} and rated_power_w, no steps"
                )
        elif self.kind == "sg_ready":
            if not isinstance(self.relays, list) or len(self.relays) not in (1, 2) or self.power_w is None:
                raise ValueError("sg_ready needs relays = [one or two] and power_w")
        elif not self.steps or self.relays is not None:
            raise ValueError(f"{self.kind} needs steps = [{{relays, power_w, phases}}, …]")
        if self.mode in ("solar_and_timer", "timer_only") and not self.windows:
            raise ValueError(f"mode {self.mode} needs windows")
        return self

    @model_validator(mode="after")
    def _needs_can_be_met(self) -> Self:
        _check_needs(self.need)
        full_w = self.full_power_w()
        for need in self.need:
            if need.energy_kwh is not None and need.energy_kwh * 1000 > full_w * 24:
                most_kwh = full_w * 24 / 1000
                raise ValueError(f"a need of at most {most_kwh:g} kWh expected, what it takes in a day")
        return self

    def full_power_w(self) -> float:
        """With everything closed, by the description."""
        return self.rated_power_w or self.power_w or sum(step.power_w for step in self.steps)

    def relay_refs(self) -> list[str]:
        if isinstance(self.relays, NoNeutralRelays):
            return [self.relays.l1_l2, self.relays.l1_l3]
        if self.relays is not None:
            return list(self.relays)
        return [relay for step in self.steps for relay in step.relays]


WakeStep = Literal["restart", "availability", "reset"]


class ConnectorConfig(SiteModel):
    """safe_a: what the station falls back to when the central system is silent; see `safe_currents`.

    phase_rotation: the phases in OCPP's words (ConnectorPhaseRotation): R, S, T are L1, L2, L3.
    phase_switching: the station can be told to use its first phase only.
    start_at_plug_in_min: for so long a vehicle charges at its minimum first, whatever the sun says.
    free_start: whoever plugs in charges, without a badge.
    """

    id: int = Field(ge=1, le=1000)
    phases: Phases = ["L1", "L2", "L3"]
    min_a: Amps = 6
    max_a: Amps = 16
    step_a: Annotated[float, Field(ge=0.1, le=100)] = 1
    mode: ConnectorMode = "solar_only"
    windows: list[WindowConfig] = []
    modulates: bool = True
    safe_a: Amps | None = None
    need: Annotated[list[VehicleNeedConfig], BeforeValidator(_listed)] = []
    priority: Priority = 0
    phase_rotation: Literal["RST", "RTS", "SRT", "STR", "TRS", "TSR"] | None = None
    phase_switching: bool = False
    start_at_plug_in_min: float = Field(default=0, ge=0, le=60)
    free_start: bool = False

    @model_validator(mode="before")
    @classmethod
    def _rotation_names_the_phases(cls, data: object) -> object:
        if not isinstance(data, dict) or "phases" in data:
            return data
        phases = ROTATIONS.get(str(data.get("phase_rotation")))
        return data if phases is None else {**data, "phases": phases}

    @model_validator(mode="after")
    def _phases_fit(self) -> Self:
        if self.phase_rotation is not None and self.phases != ROTATIONS[self.phase_rotation]:
            wanted = ", ".join(ROTATIONS[self.phase_rotation])
            raise ValueError(f"phases = [{wanted}], or none, expected beside phase_rotation")
        if self.phase_switching and len(self.phases) != 3:
            raise ValueError("three phases expected where phase_switching is set")
        return self

    max_starts_per_hour: Starts | None = None
    max_starts_per_day: Starts | None = None

    @model_validator(mode="after")
    def _currents_fit(self) -> Self:
        if self.min_a < 6:
            raise ValueError("min_a of at least 6 A expected (IEC 61851)")
        if self.max_a < self.min_a:
            raise ValueError(f"max_a of at least min_a ({self.min_a:g} A) expected")
        if self.safe_a is not None and self.safe_a != 0 and not self.min_a <= self.safe_a <= self.max_a:
            raise ValueError("safe_a of 0 or between min_a and max_a expected")
        if self.mode in ("solar_and_timer", "timer_only") and not self.windows:
            raise ValueError(f"mode {self.mode} needs windows")
        if len(set(self.phases)) != len(self.phases):
            raise ValueError("each phase at most once expected")
        _check_needs(self.need)
        return self


class ChargePointConfig(SiteModel):
    """max_profile_writes_per_day: of charging profiles, for a station whose memory wears; None = as many as
    its make is known to bear. start_tag: the id tag of transactions that are started without a badge.
    wake_by: what it may be asked to do, in this order, for a vehicle that no offer wakes."""

    id: Identity
    name: str | None = None
    circuit: Id
    max_profile_writes_per_day: int | None = Field(default=None, ge=5, le=100_000)
    connectors: Annotated[list[ConnectorConfig], Field(min_length=1)]
    start_tag: Annotated[str, Field(min_length=1, max_length=20, pattern=r"^[!-~]+$")] = "SITE"
    wake_by: list[WakeStep] = []

    @field_validator("wake_by")
    @classmethod
    def _each_step_once(cls, value: list[WakeStep]) -> list[WakeStep]:
        if len(set(value)) != len(value):
            raise ValueError("each step at most once expected")
        return value


class SiteConfig(SiteModel):
    """The whole site. Building one checks every reference between its parts."""

    site: SiteInfo
    battery: BatteryConfig | None = None
    load_shedding: LoadSheddingConfig | None = None
    circuit: Annotated[list[CircuitConfig], Field(min_length=1)]
    meter: list[MeterConfig] = []
    relay_module: list[RelayModuleConfig] = []
    appliance: list[ApplianceConfig] = []
    charge_point: list[ChargePointConfig] = []

    @model_validator(mode="after")
    def _parts_refer_to_parts(self) -> Self:
        faults = list(_reference_faults(self))
        if faults:
            raise ReferenceFaults(faults)
        return self


class ReferenceFaults(ValueError):
    """faults: (path into the site file, value given, what was expected)."""

    def __init__(self, faults: list[tuple[tuple[str | int, ...], object, str]]) -> None:
        super().__init__(
            "; ".join(f"{'.'.join(map(str, p))}: {v!r} given, {e} expected" for p, v, e in faults)
        )
        self.faults = faults


Fault = tuple[tuple[str | int, ...], object, str]


def _reference_faults(site: SiteConfig) -> Iterator[Fault]:
    yield from _duplicate_ids(site)
    yield from _circuit_faults(site)
    circuits = {c.id for c in site.circuit}
    for kind in ("meter", "appliance", "charge_point"):
        for i, part in enumerate(getattr(site, kind)):
            if part.circuit is not None and part.circuit not in circuits:
                yield (kind, i, "circuit"), part.circuit, f"one of the circuits {sorted(circuits)}"
    for i, meter in enumerate(site.meter):
        if meter.role == "zone" and meter.circuit is None:
            yield ("meter", i, "circuit"), None, "the circuit that this zone meter measures"
    if sum(m.role == "grid" for m in site.meter) > 1:
        yield ("meter",), [m.id for m in site.meter if m.role == "grid"], "at most one meter with role grid"
    if site.battery is not None and not any(m.role == "battery" for m in site.meter):
        yield ("battery",), None, "a meter with role battery: without one nobody knows what it does"
    if site.load_shedding is not None:
        modules = {m.id for m in site.relay_module}
        if (reference := site.load_shedding.input).split("/")[0] not in modules:
            yield ("load_shedding", "input"), reference, f"an input of one of the modules {sorted(modules)}"
    yield from _relay_faults(site)
    yield from _safe_current_faults(site)


def _safe_current_faults(site: SiteConfig) -> Iterator[Fault]:
    """What stations fall back to by themselves must not be able to overload a fuse."""
    circuits = {c.id: c.parent for c in site.circuit}
    if any(p.circuit not in circuits for p in site.charge_point) or any(_circuit_faults(site)):
        return  # told already
    explicit = {key: c.safe_a or 0.0 for key, c in _connectors(site)}
    if not _fits_circuits(site, explicit):
        safe_a = [amps for amps in explicit.values() if amps]
        yield ("charge_point",), safe_a, "values of safe_a that every circuit can carry at once"


def _duplicate_ids(site: SiteConfig) -> Iterator[Fault]:
    for kind in ("circuit", "meter", "relay_module", "appliance", "charge_point"):
        of_stations = kind == "charge_point"  # their letter case does not distinguish
        ids = [part.id.casefold() if of_stations else part.id for part in getattr(site, kind)]
        counts = Counter(ids)
        for i, part in enumerate(getattr(site, kind)):
            if counts[ids[i]] > 1:
                yield (kind, i, "id"), part.id, "an id that is used once"
    for i, point in enumerate(site.charge_point):
        numbers = [c.id for c in point.connectors]
        if len(set(numbers)) != len(numbers):
            yield ("charge_point", i, "connectors"), numbers, "connector ids that are used once"


def _circuit_faults(site: SiteConfig) -> Iterator[Fault]:
    parents = {c.id: c.parent for c in site.circuit}
    for i, circuit in enumerate(site.circuit):
        if circuit.parent is not None and circuit.parent not in parents:
            yield ("circuit", i, "parent"), circuit.parent, f"one of the circuits {sorted(parents)}"
            continue
        seen: set[str] = set()
        above: str | None = circuit.id
        while above is not None and above not in seen:
            seen.add(above)
            above = parents.get(above)
        if above is not None:
            yield ("circuit", i, "parent"), circuit.parent, "a parent that is not below this circuit"


def _relay_faults(site: SiteConfig) -> Iterator[Fault]:
    modules = {m.id for m in site.relay_module}
    meters = {m.id for m in site.meter}
    owners: dict[str, str] = {}
    for i, appliance in enumerate(site.appliance):
        for relay in appliance.relay_refs():
            if relay.split("/")[0] not in modules:
                yield ("appliance", i, "relays"), relay, f"a relay of one of the modules {sorted(modules)}"
            elif relay in owners:
                yield (
                    ("appliance", i, "relays"),
                    relay,
                    f"a relay that {owners[relay]!r} does not use already",
                )
            owners.setdefault(relay, appliance.id)
        if appliance.meter is not None and appliance.meter not in meters:
            yield ("appliance", i, "meter"), appliance.meter, f"one of the meters {sorted(meters)}"


def safe_currents(site: SiteConfig) -> dict[tuple[str, int], float]:
    """What each connector (charge point, connector) is left with while the central system is silent. [A]

    An explicit safe_a is taken. The rest get their minimum if every circuit can carry all of them
    at once, else 0: a dead server must neither overload a fuse nor strand a driver without need.
    """
    explicit = {(p.id, c.id): c.safe_a for p in site.charge_point for c in p.connectors}
    generous = {k: (c.min_a if (v := explicit[k]) is None else v) for k, c in _connectors(site)}
    if _fits_circuits(site, generous):
        return generous
    return {key: explicit[key] or 0.0 for key in explicit}


def _connectors(site: SiteConfig) -> Iterator[tuple[tuple[str, int], ConnectorConfig]]:
    for point in site.charge_point:
        for connector in point.connectors:
            yield (point.id, connector.id), connector


def _fits_circuits(site: SiteConfig, currents: dict[tuple[str, int], float]) -> bool:
    parents = {c.id: c.parent for c in site.circuit}
    load = {c.id: [0.0, 0.0, 0.0] for c in site.circuit}
    for point in site.charge_point:
        for connector in point.connectors:
            circuit: str | None = point.circuit
            while circuit is not None:
                for phase in connector.phases:
                    load[circuit][["L1", "L2", "L3"].index(phase)] += currents[point.id, connector.id]
                circuit = parents[circuit]
    return all(used <= limit for c in site.circuit for used, limit in zip(load[c.id], c.limit_a, strict=True))
