"""What each connector may be offered this minute: its mode, its session, what its vehicle was seen to do."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime

from optimizer.appliances import DEAREST_TOGGLE, Rank
from optimizer.electrical import add_currents, amps_from_watts, legal_current, phase_currents, watts_from_amps
from optimizer.fuses import Fuse
from optimizer.import_limit import ImportLimit
from optimizer.model import (
    NO_CURRENT,
    Connector,
    ConnectorDemand,
    ConnectorMemory,
    ConnectorState,
    Mode,
    NeedProgress,
    PhaseTriple,
    PlugInMemory,
    RunMemory,
    Site,
    StopMemory,
)
from optimizer.phase_guess import counted_phases, guess_by_power
from optimizer.phase_switching import changed, has_settled, phase_choices, phases_in_use
from optimizer.schedule import open_until
from optimizer.starts import StartsUsed, starts_used
from optimizer.surplus import Draw, Freshness

TAKING_A = 1.0
TAKING_W = 200.0
ASLEEP_AFTER_S = 180.0
LESS_BY_A = 1.5
LESS_FOR_S = 45.0
"""Seen in two minutes running: the first may have been the vehicle's ramp."""

CLEAR_A = 3.0
"""From this current on a phase it is plain which phases a vehicle uses, and at what voltage."""

MEASURED_VOLTAGE = (0.9, 1.1)
TAKERS = (ConnectorState.READY, ConnectorState.CHARGING)
OF_OUR_OWN = ("waking", "start")
"""Rules for the vehicle's sake that nobody has asked for: all others come first."""


@dataclass(slots=True)
class Rule:
    """What the mode says now. target_a: a current to be given whatever the sun says, None = the sun chooses.

    always_on: never below the minimum. by_hand, until: as for appliances.
    """

    code: str
    target_a: float | None
    always_on: bool = False
    by_hand: bool = False
    until: datetime | None = None


@dataclass(slots=True)
class Outlet:
    """A connector in this minute. phases: those its vehicle uses, as far as seen. [A, W]

    watts_per_a: what one ampere on each of them amounts to. share_a: that ampere on the site's phases.

    is_on, now_a: what it is offered until now. taking: whether current flows. most_a: as much as its
    vehicle is thought to take.
    must_on: not below min_a, by its mode or a minimum time. held_on_s, held_off_s: of a minimum time, how
    much has passed. idle: offered for a while and takes nothing, or less than the minimum.
    phase_count: of a station that can choose, how many phases it is offered; phase_choices: those it may be.
    limit_a is the answer; shed_by: the fuse, or the ceiling of import, that kept it from more. spent: it has
    no start left. held_back: from more, for the sun moves. waits_s: at its minimum through a cloud, so long.
    stop: that its session exceeds a fuse, or was stopped for one.
    """

    connector: Connector
    demand: ConnectorDemand
    memory: ConnectorMemory | None
    rule: Rule
    phases: tuple[int, ...]
    watts_per_a: float
    share_a: PhaseTriple
    min_a: float
    most_a: float
    is_on: bool
    now_a: float
    taking: bool
    measured_a: float
    drawn_w: float
    drawn_a: PhaseTriple
    must_on: bool = False
    held_on_s: float | None = None
    held_off_s: float | None = None
    idle: bool = False
    limit_a: float = 0.0
    shed_by: Fuse | ImportLimit | None = None
    phase_count: int | None = None
    phase_choices: tuple[int, ...] = ()
    need: NeedProgress | None = None
    plug_in: PlugInMemory | None = None
    has_start_left: bool = True
    spent: StartsUsed | None = None
    held_back: bool = False
    waits_s: float | None = None
    stop: StopMemory | None = None

    @property
    def takes_part(self) -> bool:
        """Whether current can flow at all, and as much as is decided here."""
        return self.demand.state in TAKERS and self.demand.controllable

    @property
    def offers_a(self) -> float:
        """What the station is known to offer now: after it was away that may be less than it was allowed."""
        offered_a = self.demand.offered_a
        return self.now_a if offered_a is None else min(self.now_a, offered_a)

    @property
    def sun_decides(self) -> bool:
        return self.takes_part and self.rule.target_a is None and self.may_run

    @property
    def may_run(self) -> bool:
        """Whether neither a minimum off-time nor its number of starts keeps it off."""
        return self.held_off_s is None and self.spent is None

    @property
    def rank(self) -> Rank:
        if self.rule.code in OF_OUR_OWN:
            return Rank.FREE
        forced = self.rule.always_on or bool(self.rule.target_a)
        return Rank.FORCED if forced else Rank.HELD if self.held_on_s is not None else Rank.FREE

    @property
    def toggle_cost_w(self) -> float:
        return min(self.connector.switching_cost_w, DEAREST_TOGGLE * self.power_at(self.min_a))

    @property
    def voltage_v(self) -> float:
        """Of each of its phases, spread over them all where it is thought to use fewer."""
        return self.watts_per_a / len(self.phases)

    def phases_of(self, count: int) -> tuple[int, ...]:
        """Those it would use if it were offered so many."""
        if count == 1:
            return self.connector.phases[:1]
        seen = None if self.memory is None else self.memory.phases
        return self.connector.phases if seen is None else seen

    def offer_phases(self, count: int) -> None:
        voltage_v, self.phases = self.voltage_v, self.phases_of(count)
        self.phase_count = count
        self.watts_per_a = watts_from_amps(1.0, len(self.phases), voltage_v)
        self.share_a = phase_currents(1.0, self.phases)

    def power_at(self, current_a: float) -> float:
        return current_a * self.watts_per_a

    def current_at(self, current_a: float) -> PhaseTriple:
        on1, on2, on3 = self.share_a
        return (current_a * on1, current_a * on2, current_a * on3)

    def expected_w(self) -> float:
        """What is going to flow at limit_a."""
        if self.idle and self.limit_a > 0:
            return self.drawn_w
        return self.power_at(self.limit_a)

    @property
    def is_ours(self) -> bool:
        return self.demand.state is not ConnectorState.OFFLINE and self.demand.controllable

    def draw(self) -> Draw:
        is_sure = self.demand.state is not ConnectorState.OFFLINE or _was_charging(self.memory)
        drawn_w = self.drawn_w if self.is_ours else 0.0
        return Draw(self.connector.circuit, drawn_w, self.drawn_a, self.is_ours, is_sure)

    @property
    def is_unanswered(self) -> bool:
        return self.takes_part and self.demand.is_unanswered

    def unanswered_a(self) -> PhaseTriple:
        """What its station may go on giving, as it has not answered to less."""
        if not self.is_unanswered:
            return NO_CURRENT
        offered_a = self.demand.offered_a or 0.0
        own_a = self.min_a if self.must_on else 0.0  # is claimed as for all others
        return phase_currents(max(0.0, offered_a - own_a), phases_in_use(self.connector, self.memory))

    def beyond_limit_a(self) -> PhaseTriple:
        """What burdens the fuses beside its limit."""
        return add_currents(self.over_offered_a(), self.unanswered_a())

    def over_offered_a(self) -> PhaseTriple:
        """What a station that does not follow takes beyond its offer. Until it does, that remains."""
        offered_a = self.demand.offered_a
        if not self.demand.is_over or offered_a is None or not self.takes_part:
            return NO_CURRENT
        l1, l2, l3 = (max(0.0, amps - offered_a) for amps in self.drawn_a)
        return (l1, l2, l3)


def plan_connector(
    site: Site,
    connector: Connector,
    demand: ConnectorDemand,
    known: ConnectorMemory | None,
    trust: Freshness,
    now: datetime,
    need: NeedProgress | None = None,
    runs: RunMemory | None = None,
) -> Outlet:
    memory = observe(connector, demand, known, site.voltage_v, now)
    rule = _never_pausing(connector, _rule(site, connector, trust, now, need))
    phases, counted = phases_in_use(connector, memory), counted_phases(connector, memory)
    drawn_a = _drawn_a(connector, demand, memory, site.voltage_v)
    drawn_w = _drawn_w(demand, drawn_a, site.voltage_v)
    voltage_v = _voltage(connector, site.voltage_v, drawn_w, sum(drawn_a), len(counted))
    min_a = connector.min_a if connector.modulates else connector.max_a
    outlet = Outlet(
        connector=connector,
        demand=demand,
        memory=memory,
        rule=rule,
        phases=phases,
        watts_per_a=watts_from_amps(1.0, len(counted), voltage_v),
        share_a=phase_currents(1.0, phases),
        min_a=min_a,
        most_a=connector.max_a,
        is_on=memory is not None and memory.limit_a > 0,
        now_a=0.0 if memory is None else memory.limit_a,
        taking=_is_taking(demand),
        measured_a=max(drawn_a),
        drawn_w=drawn_w,
        drawn_a=drawn_a,
        need=need,
    )
    spent = starts_used(connector, runs, site.timezone, now)
    outlet.has_start_left = spent is None
    if outlet.takes_part and not outlet.is_on and not rule.by_hand:
        outlet.spent = spent
    if memory is not None and outlet.takes_part:
        _apply_memory(outlet, memory, now)
        _choose_phases(outlet, memory, now)
    return outlet


def _choose_phases(outlet: Outlet, memory: ConnectorMemory, now: datetime) -> None:
    """What is given all it can take gets all phases; else the sun may choose, from the present number on."""
    choices = phase_choices(outlet.connector, memory, now)
    if not choices:
        return
    if outlet.rule.target_a and not outlet.rule.always_on:
        choices = (max(choices),)
    outlet.offer_phases(choices[0])
    outlet.phase_choices = choices


def _apply_memory(outlet: Outlet, memory: ConnectorMemory, now: datetime) -> None:
    connector, rule = outlet.connector, outlet.rule
    if connector.modulates and (outlet.is_unanswered or (outlet.is_on and not outlet.taking)):
        # it has not begun yet, or has had enough: only its minimum is kept for it; nor does one get more that
        # is deaf to less
        outlet.most_a = connector.min_a
    elif connector.modulates and memory.most_a is not None:
        outlet.most_a = min(connector.max_a, max(connector.min_a, memory.most_a))
    if memory.changed_at is not None and not rule.by_hand and rule.code != "meter_lost":
        passed_s = (now - memory.changed_at).total_seconds()
        if outlet.is_on and passed_s < connector.min_on_s:
            outlet.held_on_s = passed_s
        elif not outlet.is_on and passed_s < connector.min_off_s:
            outlet.held_off_s = passed_s
    outlet.must_on = outlet.may_run and (
        rule.always_on or bool(rule.target_a) or outlet.held_on_s is not None
    )
    outlet.idle = outlet.is_on and (_asleep(outlet, memory, now) or _sips(outlet, memory, now))


def _rule(
    site: Site, connector: Connector, trust: Freshness, now: datetime, need: NeedProgress | None
) -> Rule:
    mode, must_run = connector.mode, need is not None and need.forced
    if mode is Mode.OFF:
        return Rule("off", 0.0, by_hand=True)
    if mode in (Mode.ON, Mode.FULL):
        return Rule("full", connector.max_a, by_hand=True)
    if mode is Mode.MANUAL:
        return Rule("manual", _legal(connector, connector.manual_a), by_hand=True)
    if mode is Mode.MIN_AND_SOLAR and not must_run:
        lost = trust is Freshness.LOST
        return Rule("meter_lost" if lost else "sun", connector.min_a if lost else None, True, True)
    if mode in (Mode.SOLAR_AND_TIMER, Mode.TIMER_ONLY):
        until = open_until(connector.windows, site.timezone, now)
        if until is not None:
            return Rule("timer", connector.max_a, until=until)
        if mode is Mode.TIMER_ONLY:
            return Rule("timer_off", 0.0)
    if need is not None and must_run:
        keeps_minimum = mode is Mode.MIN_AND_SOLAR
        return Rule("need", connector.max_a, keeps_minimum, keeps_minimum, need.due_at)
    if trust is Freshness.LOST:
        return Rule("meter_lost", 0.0)
    return Rule("sun", None)


def _never_pausing(connector: Connector, rule: Rule) -> Rule:
    """Where a pause would end the session the minimum is kept, but against the word of a person or a grid
    operator. A fuse that cannot carry it stops the session as the last resort."""
    if connector.pauses or rule.code in ("off", "manual"):
        return rule
    target_a = connector.min_a if rule.target_a == 0 else rule.target_a
    return replace(rule, target_a=target_a, always_on=True, by_hand=True)


def _legal(connector: Connector, wanted_a: float) -> float:
    if not connector.modulates:
        return connector.max_a if wanted_a > 0 else 0.0
    return legal_current(wanted_a, connector.min_a, connector.max_a, connector.step_a)


def observe(
    connector: Connector,
    demand: ConnectorDemand,
    known: ConnectorMemory | None,
    voltage_v: float,
    now: datetime,
) -> ConnectorMemory | None:
    """What is remembered of the connector once this minute's measurement is in; None without a session.

    While the station is not connected, what it was last allowed stays in force.
    """
    if demand.state is ConnectorState.OFFLINE:
        return known
    if demand.state not in TAKERS:
        return None
    if known is None or known.session != demand.session:
        known = _first_sight(connector, demand, now)
    if known.limit_a > 0 and demand.offered_a is not None and demand.offered_a < connector.min_a:
        known = replace(known, offered_at=None)
    elif known.limit_a > 0 and known.offered_at is None:
        known = replace(known, offered_at=now)
    if not _is_taking(demand):
        return replace(known, less_at=None) if known.less_at is not None else known
    guess = guess_by_power(connector, demand, voltage_v) if has_settled(known, now) else None
    if guess is not None:
        known = replace(known, phase_guess=guess)
    less_at, most_a = _appetite(connector, demand, known, voltage_v, now)
    phases, phase_count = known.phases, known.phase_count
    if phase_count == 1 and guess not in (None, 1):
        phase_count = len(connector.phases)  # it tells no currents, but its power is too much for one
    if has_settled(known, now) and (used := _phases_used(connector, demand, voltage_v)):
        if phase_count == 1 and len(used) > 1:
            phase_count = len(connector.phases)  # the station did not obey: its fuses must know
        if phase_count != 1:
            phases = used
    return ConnectorMemory(
        limit_a=known.limit_a,
        changed_at=known.changed_at,
        session=known.session,
        offered_at=known.offered_at,
        phase_count=phase_count,
        phase_changes=known.phase_changes,
        taking_at=now,
        less_at=less_at,
        most_a=most_a,
        phases=phases,
        seen_at=known.seen_at,
        phase_guess=known.phase_guess,
    )


def _first_sight(connector: Connector, demand: ConnectorDemand, now: datetime) -> ConnectorMemory:
    """A new session, or one met after a restart: on if it charges already."""
    offered_a = connector.min_a if demand.offered_a is None else _legal(connector, demand.offered_a)
    limit_a = offered_a if demand.state is ConnectorState.CHARGING else 0.0
    return ConnectorMemory(
        limit_a,
        None,
        demand.session,
        offered_at=now if limit_a > 0 else None,
        seen_at=now,
        phase_guess=demand.usual_phases,
    )


def _is_taking(demand: ConnectorDemand) -> bool:
    if demand.current_a is not None:
        return max(demand.current_a) >= TAKING_A
    if demand.power_w is not None:
        return demand.power_w >= TAKING_W
    return demand.state is ConnectorState.CHARGING


def _measured_a(demand: ConnectorDemand, phase_count: int, voltage_v: float) -> float | None:
    if demand.current_a is not None:
        return max(demand.current_a)
    if demand.power_w is not None:
        return amps_from_watts(demand.power_w, phase_count, voltage_v)
    return None


def _appetite(
    connector: Connector, demand: ConnectorDemand, known: ConnectorMemory, voltage_v: float, now: datetime
) -> tuple[datetime | None, float | None]:
    """(less_at, most_a). Learn what the vehicle takes at most from its taking clearly less than offered.

    The offer then ends one step above, so that a vehicle that wants more can show it; then all is open again.
    """
    amps = _measured_a(demand, len(counted_phases(connector, known)), voltage_v)
    if amps is None:
        return None, known.most_a
    step_a = connector.step_a
    offered_a = min(known.limit_a, known.limit_a if demand.offered_a is None else demand.offered_a)
    if offered_a - amps > LESS_BY_A:
        less_at = known.less_at or now
        if (now - less_at).total_seconds() < LESS_FOR_S:
            return less_at, known.most_a
        steps = math.ceil((amps - connector.min_a) / step_a - 0.05) + 1
        return less_at, max(connector.min_a, connector.min_a + steps * step_a)
    wants_more = known.most_a is not None and amps > known.most_a - step_a + 0.1
    return None, None if wants_more else known.most_a


def _phases_used(connector: Connector, demand: ConnectorDemand, voltage_v: float) -> tuple[int, ...] | None:
    """Those of the connector's phases that carry current; None if that cannot be told."""
    if demand.current_a is None or max(demand.current_a) < CLEAR_A:
        return None
    used = [i for i in range(len(connector.phases)) if demand.current_a[i] >= TAKING_A]
    if demand.power_w is not None:
        # some stations report one phase of three: their power gives them away
        told_w = voltage_v * sum(demand.current_a[i] for i in used)
        if not 0.75 * told_w <= demand.power_w <= 1.25 * told_w:
            return None
    return tuple(connector.phases[i] for i in used)


def _drawn_a(
    connector: Connector, demand: ConnectorDemand, memory: ConnectorMemory | None, voltage_v: float
) -> PhaseTriple:
    """What flows now on the site's phases; of a station that is not connected, what may flow."""
    if demand.state is ConnectorState.OFFLINE:
        return _reserved_a(connector, demand, memory)
    phases = counted_phases(connector, memory)
    if demand.current_a is not None and _all_told(connector, demand, voltage_v):
        amps = [0.0, 0.0, 0.0]
        for i, phase in enumerate(connector.phases):
            amps[phase] = max(0.0, demand.current_a[i])
        return (amps[0], amps[1], amps[2])
    measured_a = _measured_a(demand, len(phases), voltage_v)
    if measured_a is not None:
        return phase_currents(max(0.0, measured_a), phases)
    if demand.state is not ConnectorState.CHARGING or memory is None:
        return NO_CURRENT
    return phase_currents(memory.limit_a if demand.offered_a is None else demand.offered_a, phases)


def _reserved_a(connector: Connector, demand: ConnectorDemand, memory: ConnectorMemory | None) -> PhaseTriple:
    """For a station that is not connected: what it was last allowed if a vehicle took it, and what it offers
    by itself, be it to the next vehicle."""
    by_itself = phase_currents(demand.offered_a or 0.0, connector.phases)
    if memory is None or not _was_charging(memory):
        return by_itself
    allowed = phase_currents(memory.limit_a, memory.phases or connector.phases)
    l1, l2, l3 = map(max, by_itself, allowed)
    return (l1, l2, l3)


def _was_charging(memory: ConnectorMemory | None) -> bool:
    return memory is not None and memory.limit_a > 0 and memory.taking_at is not None


def _all_told(connector: Connector, demand: ConnectorDemand, voltage_v: float) -> bool:
    """False for a station that reports the current of one phase only while its power needs all."""
    if demand.current_a is None or demand.power_w is None or max(demand.current_a) < CLEAR_A:
        return True
    return demand.power_w <= 1.25 * voltage_v * sum(demand.current_a[: len(connector.phases)])


def _drawn_w(demand: ConnectorDemand, drawn_a: PhaseTriple, voltage_v: float) -> float:
    if demand.power_w is not None and demand.state is not ConnectorState.OFFLINE:
        return max(0.0, demand.power_w)
    return sum(drawn_a) * voltage_v


def _voltage(connector: Connector, nominal_v: float, drawn_w: float, drawn_a: float, count: int) -> float:
    """Volts per ampere as this vehicle turns one into the other, in whole volts.

    A vehicle that cannot be modulated takes what it takes at its fixed limit.
    """
    if drawn_a < CLEAR_A * count:
        return nominal_v
    low, high = MEASURED_VOLTAGE
    if not connector.modulates:
        return float(max(1, round(drawn_w / (connector.max_a * count))))
    measured_v = round(drawn_w / drawn_a)
    if abs(measured_v - nominal_v) <= 1 or not low * nominal_v <= measured_v <= high * nominal_v:
        return nominal_v
    return float(measured_v)


def _asleep(outlet: Outlet, memory: ConnectorMemory, now: datetime) -> bool:
    if memory.offered_at is None or outlet.taking:
        return False
    since = max(memory.offered_at, memory.taking_at or memory.offered_at)
    return (now - since).total_seconds() >= ASLEEP_AFTER_S


def _sips(outlet: Outlet, memory: ConnectorMemory, now: datetime) -> bool:
    """Takes clearly less than even the minimum for a while: nearly full."""
    return (
        outlet.connector.modulates
        and memory.less_at is not None
        and (now - memory.less_at).total_seconds() >= LESS_FOR_S
        and outlet.measured_a < outlet.min_a - LESS_BY_A
    )


def remember_connectors(outlets: list[Outlet], now: datetime) -> dict[str, ConnectorMemory]:
    result = {}
    for outlet in outlets:
        memory = outlet.memory
        if memory is None:
            continue
        if outlet.takes_part:
            memory = _after(memory, outlet.limit_a, now)
            if outlet.phase_count is not None and outlet.limit_a > 0:
                changes = changed(memory, outlet.phase_count, now)
                memory = replace(memory, phase_count=outlet.phase_count, phase_changes=changes)
        result[outlet.connector.id] = memory
    return result


def _after(memory: ConnectorMemory, limit_a: float, now: datetime) -> ConnectorMemory:
    if limit_a == memory.limit_a:
        return memory
    if (limit_a > 0) == (memory.limit_a > 0):
        return replace(memory, limit_a=limit_a)
    return replace(
        memory, limit_a=limit_a, changed_at=now, offered_at=now if limit_a > 0 else None, less_at=None
    )
