"""What the optimizer is given and what it answers: frozen records, no behaviour.

Conventions: power and current are signed, + is drawn from the grid or consumed, − is
exported or produced. A `PhaseTriple` is always (L1, L2, L3). Times are aware UTC; windows
are in the site's local time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, time
from enum import StrEnum

PhaseTriple = tuple[float, float, float]
NO_CURRENT: PhaseTriple = (0.0, 0.0, 0.0)


class Mode(StrEnum):
    """How a load is to be run. The last two are for connectors only."""

    OFF = "off"
    ON = "on"
    SOLAR_ONLY = "solar_only"
    SOLAR_AND_TIMER = "solar_and_timer"
    TIMER_ONLY = "timer_only"
    MANUAL = "manual"
    MIN_AND_SOLAR = "min_and_solar"
    FULL = "full"


class BatteryPolicy(StrEnum):
    """Who takes the sun first. By state of charge: the battery up to a level, the loads above it."""

    BATTERY_FIRST = "battery_first"
    LOADS_FIRST = "loads_first"
    BY_SOC = "by_soc"


@dataclass(frozen=True, slots=True)
class BatteryRule:
    """soc_pct: for `by_soc`, from which state of charge on the loads come first."""

    policy: BatteryPolicy
    soc_pct: float = 80.0


@dataclass(frozen=True, slots=True)
class LoadShedding:
    """What holds while the grid operator sheds load. limit_a: at most that on each connector; below its
    minimum it is paused. off: ids of appliances that are switched off."""

    limit_a: float
    off: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Window:
    """A daily span in local time. `end` <= `start` crosses midnight and belongs to the day it starts on.

    days: 0 = Monday … 6 = Sunday.
    """

    days: frozenset[int]
    start: time
    end: time


@dataclass(frozen=True, slots=True)
class Need:
    """What a load is to have got by a local time on these days: an energy, or (appliances) a time closed.

    days: those on which `until` falls.
    """

    until: time
    days: frozenset[int]
    energy_wh: float | None = None
    run_s: float | None = None


@dataclass(frozen=True, slots=True)
class Circuit:
    """A fuse and what hangs below it. limit_a [A] holds on each phase.

    metered: a meter measures all that flows through it, so that its silence is a fault.
    """

    id: str
    parent: str | None
    limit_a: PhaseTriple
    metered: bool = False


@dataclass(frozen=True, slots=True)
class Element:
    """One independently switched step of an appliance: what its relay adds when it closes. [W, A]"""

    id: str
    power_w: float
    current_a: PhaseTriple


@dataclass(frozen=True, slots=True)
class JointState:
    """What an appliance draws when exactly these elements are closed, where steps do not simply add up.

    Used for heaters without a neutral and for two-contact SG-Ready. A set of elements without
    a joint state is not allowed.
    """

    elements: frozenset[str]
    power_w: float
    current_a: PhaseTriple


@dataclass(frozen=True, slots=True)
class Appliance:
    """A load behind relays. priority: a higher one takes the sun first; equal ones are chosen by power.

    Without `joint_states` its elements are independent and their powers add. switching_cost_w is
    what one toggle of one element must be worth in the minute [W].
    """

    id: str
    circuit: str
    mode: Mode
    elements: tuple[Element, ...]
    joint_states: tuple[JointState, ...] = ()
    windows: tuple[Window, ...] = ()
    min_on_s: float = 600.0
    min_off_s: float = 120.0
    switching_cost_w: float = 150.0
    manual_on: frozenset[str] = frozenset()
    priority: int = 0
    needs: tuple[Need, ...] = ()
    max_starts_per_hour: int | None = None
    max_starts_per_day: int | None = None


@dataclass(frozen=True, slots=True)
class Connector:
    """One outlet of a charging station, id "CP1/1".

    phases: indices of the site's phases it is wired to, in the station's own order.
    modulates: False for a vehicle or station that cannot vary its current (on at max_a, or off).
    phase_switching: the station can be told to use the first of its three phases only. priority: as for
    appliances. start_s: for so long it charges at its minimum once it is plugged in, whatever the sun says.
    wake_by: what else its station may be asked to do for a vehicle that no offer wakes, in this order.
    pauses: False = a limit of 0 ends the session there, so that only a fuse or a person may ask for it.
    """

    id: str
    circuit: str
    phases: tuple[int, ...]
    min_a: float
    max_a: float
    step_a: float
    mode: Mode
    windows: tuple[Window, ...] = ()
    modulates: bool = True
    min_on_s: float = 300.0
    min_off_s: float = 300.0
    switching_cost_w: float = 1000.0
    manual_a: float = 0.0
    priority: int = 0
    phase_switching: bool = False
    needs: tuple[Need, ...] = ()
    start_s: float = 0.0
    wake_by: tuple[str, ...] = ()
    pauses: bool = True
    max_starts_per_hour: int | None = None
    max_starts_per_day: int | None = None


@dataclass(frozen=True, slots=True)
class Response:
    """How a site answers a sky in motion; without it, at once and wholly. See docs/tuning.md.

    start_caution, follow_caution: how much of the sun's unrest is taken back from it before anything may
    start, and before what charges may follow it upwards. patience_s: how long vehicles are kept at their
    minimum through a cloud.
    """

    start_caution: float = 0.0
    follow_caution: float = 0.0
    patience_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Site:
    """What does not change from minute to minute. draw_penalty: W of sun that 1 W of draw must be worth.

    battery: None = the site has none. import_limit_w: what may be drawn from the grid at most.
    """

    id: str
    timezone: str
    voltage_v: float
    circuits: tuple[Circuit, ...]
    appliances: tuple[Appliance, ...]
    connectors: tuple[Connector, ...]
    draw_penalty: float = 20.0
    battery: BatteryRule | None = None
    load_shedding: LoadShedding | None = None
    import_limit_w: float | None = None
    response: Response = Response()


@dataclass(frozen=True, slots=True)
class PowerReading:
    """A meter's mean over the last interval. current_a is signed like the power of its phase."""

    power_w: float
    current_a: PhaseTriple | None
    read_at: datetime


@dataclass(frozen=True, slots=True)
class BatteryReading:
    """All batteries of a site together, + is charging. soc_pct: None = not told."""

    power_w: float
    read_at: datetime
    soc_pct: float | None = None


@dataclass(frozen=True, slots=True)
class ContactReading:
    """A digital input. active: whether its signal is given."""

    active: bool
    read_at: datetime


@dataclass(frozen=True, slots=True)
class Readings:
    """The meters of a site. `zones`: circuit id -> the meter of all that flows through its fuse.

    load_shedding: the contact of the grid operator, as it was read last.
    """

    grid: PowerReading | None
    zones: Mapping[str, PowerReading] = field(default_factory=dict)
    battery: BatteryReading | None = None
    load_shedding: ContactReading | None = None


@dataclass(frozen=True, slots=True)
class ApplianceDemand:
    """What is known of an appliance now. on: closed elements as read back, None = relays unreachable.

    power_w: its own sub-meter, if it has one.
    """

    on: frozenset[str] | None
    power_w: float | None = None


class ConnectorState(StrEnum):
    """What a connector is doing, told from OCPP status, transaction and measured current."""

    OFFLINE = "offline"  # the station is not connected: it acts by its own fail-safe
    FREE = "free"  # nobody plugged in
    PLUGGED = "plugged"  # cable in, no transaction: waits for a badge
    READY = "ready"  # transaction open, takes nothing
    CHARGING = "charging"
    FINISHED = "finished"  # transaction over, cable still in
    FAULTED = "faulted"
    REFUSED = "refused"  # the badge was refused: the station gives nothing


@dataclass(frozen=True, slots=True)
class ConnectorDemand:
    """What is known of a connector now.

    power_w, current_a: measured, None = the station does not say. current_a is the one exception to
    (L1, L2, L3) of the site: it is in the station's own order, see `Connector.phases`. session: changes
    with each transaction. offered_a: the limit the station last accepted; while it is not connected, what it
    offers by itself. departs_at, requested_wh: what
    the driver has told, if anything: when the vehicle leaves, and what it is to have got in this session.
    controllable: False = its limit is not ours to set; what it takes is the house's. is_over: it is measured
    to take more than what it was offered, by more than meters err. deaf: its station was found to follow no
    limit, so that at a fuse only the end of its session helps. from_grid: False = in `solar_only` the
    target forces nothing, it only says who needs the sun most. soc_percent: of its battery. usual_phases: how
    many phases the vehicle that comes with this badge used before. is_unanswered: less than offered_a was
    decided, and its station has not answered to that. is_tested: somebody tries its limit for a moment, so
    that a vehicle that rests is not asleep.
    """

    state: ConnectorState
    power_w: float | None = None
    current_a: PhaseTriple | None = None
    offered_a: float | None = None
    session: str | None = None
    delivered_wh: float = 0.0
    departs_at: datetime | None = None
    requested_wh: float | None = None
    controllable: bool = True
    is_over: bool = False
    deaf: bool = False
    from_grid: bool = True
    soc_percent: float | None = None
    usual_phases: int | None = None
    is_unanswered: bool = False
    is_tested: bool = False


@dataclass(frozen=True, slots=True)
class Demands:
    appliances: Mapping[str, ApplianceDemand] = field(default_factory=dict)
    connectors: Mapping[str, ConnectorDemand] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a load got what it got: a code and figures for programs, a sentence for people."""

    code: str
    text: str
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NeedProgress:
    """How far a load is with its need. wanted, got, short: energies [Wh] or times closed [s].

    short: what will be missing at due_at even if the load runs from now on. forced: it runs because of it.
    is_over: that is settled, as its own thermostat says it has enough.
    """

    due_at: datetime
    wanted: float
    got: float
    is_energy: bool
    forced: bool = False
    short: float = 0.0
    is_over: bool = False


@dataclass(frozen=True, slots=True)
class ApplianceDecision:
    """on: elements to be closed. power_w: what is expected to flow then. need: the one that is due next."""

    id: str
    on: frozenset[str]
    power_w: float
    reason: Reason
    need: NeedProgress | None = None


@dataclass(frozen=True, slots=True)
class ConnectorDecision:
    """limit_a: 0, or at least the connector's minimum. power_w: what is expected to flow then.

    phase_count: how many phases the station is to use; None = all it has, it cannot choose.
    need: what its vehicle is to have got, and by when. wake: what its station is to be asked to do now, one
    of its connector's wake_by. ask: "stop" or "start" its session now, for a fuse that it exceeds.
    is_urgent: it is offered more than that, which a fuse cannot carry beside all others.
    """

    id: str
    limit_a: float
    power_w: float
    reason: Reason
    phase_count: int | None = None
    need: NeedProgress | None = None
    wake: str | None = None
    ask: str | None = None
    is_urgent: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """The minute's answer for every load.

    surplus_w: power at the grid connection point turned round (what would be exported now).
    available_w: the surplus if every load that could be chosen were off. None = no usable meter.
    """

    at: datetime
    surplus_w: float | None
    available_w: float | None
    appliances: tuple[ApplianceDecision, ...]
    connectors: tuple[ConnectorDecision, ...]
    feasible: bool
    method: str
    load_shedding: bool = False


@dataclass(frozen=True, slots=True)
class ElementMemory:
    """changed_at: when it last went on or off; None if that is not known or need not hold it.

    taking_at: when its appliance's sub-meter last saw it taking power. share: what it takes in parts of its
    nominal power, learnt from its step in the grid meter while it was last on; None = not known.
    """

    on: bool
    changed_at: datetime | None
    taking_at: datetime | None = None
    share: float | None = None


@dataclass(frozen=True, slots=True)
class ConnectorMemory:
    """changed_at: when it last went on or off; None if it did not in this session, so nothing holds it.

    offered_at: offered without a pause since. taking_at: when it was last seen taking. less_at: takes
    clearly less than offered since. most_a: what it is thought to take at most, learnt from that; None =
    all it may. phases: those of the site's phases the vehicle was seen to use, offered all of them.
    phase_count: how many of them it was offered last, by a station that can choose; phase_changes: when that
    was changed within the last hour. seen_at: its session first. phase_guess: how
    many it is thought to use, by its badge or its power, while no currents show it.
    """

    limit_a: float
    changed_at: datetime | None
    session: str | None = None
    offered_at: datetime | None = None
    taking_at: datetime | None = None
    less_at: datetime | None = None
    most_a: float | None = None
    phases: tuple[int, ...] | None = None
    phase_count: int | None = None
    phase_changes: tuple[datetime, ...] = ()
    seen_at: datetime | None = None
    phase_guess: int | None = None


@dataclass(frozen=True, slots=True)
class BatteryMemory:
    """most_w: what the battery took when it last left some of the sun to the grid; None = never seen.

    spilling_at: it leaves some over since. loads_first: what its state of charge decided last.
    """

    most_w: float | None = None
    spilling_at: datetime | None = None
    loads_first: bool = False


@dataclass(frozen=True, slots=True)
class SheddingMemory:
    """The grid operator's signal as it was told last, and when."""

    active: bool
    heard_at: datetime


@dataclass(frozen=True, slots=True)
class GridMinute:
    """What the grid meter showed in a minute and the loads do not explain. [W, A]

    moved_w: by how much that minute's decision changed what connectors are expected to take. battery_w: what
    the battery took meanwhile. step_w: by how much other_w changed, as far as no load of ours explains it.
    """

    at: datetime
    other_w: float
    other_a: PhaseTriple | None
    moved_w: float = 0.0
    battery_w: float = 0.0
    step_w: float | None = None


@dataclass(frozen=True, slots=True)
class NeedMemory:
    """What a load got towards the need due at `due_at`. counted_at: up to when that is counted.

    got_wh, ran_s: an appliance's energy and time closed (a vehicle's are its station's to tell). idle_s: for
    how long it has been closed and taking nothing. has_enough: its thermostat opened. forced: it was made
    to run. session: the vehicle's, and what it has shown in it: phase_count, proven_a (a current it took).
    """

    due_at: datetime
    counted_at: datetime
    got_wh: float = 0.0
    ran_s: float = 0.0
    idle_s: float = 0.0
    has_enough: bool = False
    forced: bool = False
    session: str | None = None
    phase_count: int | None = None
    proven_a: float = 0.0


@dataclass(frozen=True, slots=True)
class PlugInMemory:
    """What a vehicle has done since it was plugged in, and what was done to wake it.

    first_at, seen_at: when it was first and last looked at. offered_at: the station offers it current without
    a pause since. taking_since: takes it without a stop since; taken_s: how long in all; sips: less than the
    minimum of late. has_enough: it has stopped by itself. step: what is being done, since step_at: "start",
    "rest", "push", or one of its connector's wake_by. rounds: of rest and push that ended in vain since it
    last charged well, the last at round_at; pushes: all since it was plugged in. asked: how many of wake_by.
    """

    session: str
    first_at: datetime
    seen_at: datetime
    offered_at: datetime | None = None
    taking_since: datetime | None = None
    taken_s: float = 0.0
    sips: bool = False
    has_enough: bool = False
    step: str | None = None
    step_at: datetime | None = None
    rounds: int = 0
    round_at: datetime | None = None
    pushes: int = 0
    asked: int = 0
    needs_hand: bool = False


@dataclass(frozen=True, slots=True)
class StopMemory:
    """A session that no limit holds at a fuse. over_at: it exceeds one since. stops: how often one was
    stopped since the vehicle was plugged in.

    session: that was stopped, at stopped_at; taken_a: what it took, on the site's phases; fuse: that could
    not carry it, in words. room_at: there is room for as much again since. tries: to begin it anew, the last
    at asked_at; needs_hand: in vain.
    """

    over_at: datetime | None = None
    session: str | None = None
    stopped_at: datetime | None = None
    taken_a: PhaseTriple = NO_CURRENT
    fuse: str = ""
    room_at: datetime | None = None
    asked_at: datetime | None = None
    tries: int = 0
    stops: int = 0
    needs_hand: bool = False


@dataclass(frozen=True, slots=True)
class RunMemory:
    """What one element of an appliance, or one connector, did. at: known until then.

    ran_s: since local midnight. starts: of this day and the last hour, where they are limited.
    """

    at: datetime
    ran_s: float = 0.0
    starts: tuple[datetime, ...] = ()


@dataclass(frozen=True, slots=True)
class Sky:
    """What the last minute's meter left for loads, and how much that moves from minute to minute. [W]

    short_at: it does not reach the minima of the vehicles that charge since.
    """

    at: datetime
    sun_w: float
    unrest_w: float
    short_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Memory:
    """What one minute must know of the last. Keys of `elements`: (appliance id, element id).

    other_a: circuit id -> the current of what is not a load of this system, as last measured. usual_a: the
    same as a mean over the last half hour or so. grid_minutes: the last few, oldest first. over_import_at:
    the import limit is exceeded since. needs: by load id. plug_ins, stops: by connector id. Keys of `runs`:
    as of `elements`, and (connector id, "").
    """

    elements: Mapping[tuple[str, str], ElementMemory] = field(default_factory=dict)
    connectors: Mapping[str, ConnectorMemory] = field(default_factory=dict)
    other_a: Mapping[str, PhaseTriple] = field(default_factory=dict)
    battery: BatteryMemory | None = None
    load_shedding: SheddingMemory | None = None
    over_import_at: datetime | None = None
    grid_minutes: tuple[GridMinute, ...] = ()
    usual_a: Mapping[str, PhaseTriple] = field(default_factory=dict)
    needs: Mapping[str, NeedMemory] = field(default_factory=dict)
    plug_ins: Mapping[str, PlugInMemory] = field(default_factory=dict)
    sky: Sky | None = None
    runs: Mapping[tuple[str, str], RunMemory] = field(default_factory=dict)
    stops: Mapping[str, StopMemory] = field(default_factory=dict)
