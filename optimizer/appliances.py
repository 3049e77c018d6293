"""What each relay-driven appliance may do this minute: its mode, its timer, its minimum times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum

from optimizer.fuses import Fuse
from optimizer.import_limit import ImportLimit
from optimizer.model import (
    NO_CURRENT,
    Appliance,
    ApplianceDemand,
    ElementMemory,
    JointState,
    Memory,
    Mode,
    NeedProgress,
    PhaseTriple,
    Site,
)
from optimizer.schedule import open_until
from optimizer.starts import StartsUsed, ran_today_s, starts_used
from optimizer.surplus import Draw, Freshness

SETTLED_AFTER_S = 45.0
IDLE_AFTER_S = 180.0
COMMAND_FAILED_WITHIN_S = 120.0
TAKING_SHARE = 0.1
DEAREST_TOGGLE = 0.75
"""A toggle may cost at most this share of what it switches: else a load alone would never start."""

OFF = JointState(frozenset(), 0.0, NO_CURRENT)


class Rank(IntEnum):
    """Who keeps its current when a fuse is short: the lowest first."""

    FORCED = 0  # a person's word, a timer
    HELD = 1  # a minimum on-time
    FREE = 2  # the sun


@dataclass(slots=True)
class Switch:
    """What is chosen as one: an element of its own, or an appliance whose elements only go together.

    states: what it may be this minute, least power first. drawn: what it takes now, `present` what it
    takes if it stays as it is. idle: closed for a while, takes nothing (its thermostat is open).
    toggle_cost_w: of one element. shed_by: the fuse, or the ceiling of import, that forbade `states`.
    ran_s: today.
    """

    id: str
    appliance: Appliance
    states: tuple[JointState, ...]
    present: JointState
    drawn: JointState
    rank: Rank
    idle: bool
    toggle_cost_w: float
    chosen: JointState = OFF
    shed_by: Fuse | ImportLimit | None = None
    ran_s: float = 0.0

    def cost_of(self, state: JointState) -> float:
        return self.toggle_cost_w * len(state.elements ^ self.present.elements)

    def expected_w(self) -> float:
        """What is going to flow as chosen."""
        return self.drawn.power_w if self.idle and self.chosen is self.present else self.chosen.power_w

    def draw(self) -> Draw:
        return Draw(self.appliance.circuit, self.drawn.power_w, self.drawn.current_a)


@dataclass(slots=True)
class Rule:
    """What the mode says now. wanted: elements to be closed, None = the sun chooses.

    by_hand: a person's word, which minimum times do not delay. until: end of the timer's window, or when a
    need is due.
    """

    code: str
    wanted: frozenset[str] | None
    by_hand: bool = False
    until: datetime | None = None


@dataclass(slots=True)
class AppliancePlan:
    """held_on, held_off: elements within a minimum time. memory: of its elements, as of this minute.

    spent: those of held_off that have no start left.
    """

    appliance: Appliance
    reachable: bool
    rule: Rule
    memory: dict[str, ElementMemory]
    held_on: frozenset[str]
    held_off: frozenset[str]
    switches: list[Switch]
    need: NeedProgress | None = None
    spent: dict[str, StartsUsed] = field(default_factory=dict)

    def latched_a(self) -> PhaseTriple:
        """What may flow behind relays that do not answer: most stay as they were. [A]"""
        if self.reachable:
            return NO_CURRENT
        return nominal_current(self.appliance, frozenset(id for id, known in self.memory.items() if known.on))

    def closed(self) -> frozenset[str]:
        """What is to be closed; where nothing can be switched, what was asked for last."""
        if self.reachable:
            return frozenset().union(*(switch.chosen.elements for switch in self.switches))
        if self.rule.wanted is not None:
            return self.rule.wanted
        return frozenset(id for id, element in self.memory.items() if element.on)


def plan_appliance(
    site: Site,
    appliance: Appliance,
    demand: ApplianceDemand,
    memory: Memory,
    trust: Freshness,
    now: datetime,
    need: NeedProgress | None = None,
) -> AppliancePlan:
    rule = rule_of(site, appliance, trust, now, need)
    remembered = {
        element.id: known
        for element in appliance.elements
        if (known := memory.elements.get((appliance.id, element.id))) is not None
    }
    if demand.on is None:
        return AppliancePlan(appliance, False, rule, remembered, frozenset(), frozenset(), [], need)
    share = _taken_share(appliance, demand)
    taking = share is None or share >= TAKING_SHARE
    current = {
        element.id: _adopt(remembered.get(element.id), element.id in demand.on, taking, now)
        for element in appliance.elements
    }
    plan = AppliancePlan(appliance, True, rule, current, frozenset(), frozenset(), [], need)
    if not rule.by_hand and rule.code != "meter_lost":
        plan.held_on = frozenset(
            e for e, m in current.items() if m.on and _within(m, appliance.min_on_s, now)
        )
        plan.held_off = frozenset(
            e for e, m in current.items() if not m.on and _within(m, appliance.min_off_s, now)
        )
        plan.spent = {
            e: used
            for e, m in current.items()
            if not m.on
            and (used := starts_used(appliance, memory.runs.get((appliance.id, e)), site.timezone, now))
        }
        plan.held_off |= plan.spent.keys()
    plan.switches = _switches(plan, share, now)
    for switch in plan.switches:
        elements = frozenset().union(*(state.elements for state in switch.states), switch.present.elements)
        switch.ran_s = ran_today_s(memory, [(appliance.id, e) for e in elements], site.timezone, now)
    return plan


def rule_of(
    site: Site, appliance: Appliance, trust: Freshness, now: datetime, need: NeedProgress | None = None
) -> Rule:
    everything = frozenset(element.id for element in appliance.elements)
    mode = appliance.mode
    if mode is Mode.OFF:
        return Rule("off", frozenset(), by_hand=True)
    if mode is Mode.ON:
        return Rule("on", everything, by_hand=True)
    if mode is Mode.MANUAL:
        return Rule("manual", appliance.manual_on & everything, by_hand=True)
    if mode in (Mode.SOLAR_AND_TIMER, Mode.TIMER_ONLY):
        until = open_until(appliance.windows, site.timezone, now)
        if until is not None:
            return Rule("timer", everything, until=until)
        if mode is Mode.TIMER_ONLY:
            return Rule("timer_off", frozenset())
    if need is not None and need.forced:
        return Rule("need", everything, until=need.due_at)
    if trust is Freshness.LOST:
        return Rule("meter_lost", frozenset())
    return Rule("sun", None)


def _adopt(known: ElementMemory | None, is_on: bool, taking: bool, now: datetime) -> ElementMemory:
    """The element as it reads back, with the time it has been so.

    A contact that reads otherwise than remembered was moved by hand or by a restart of its module: its
    time begins now. One that contradicts a command just given never moved: nothing holds it.
    """
    taking_at = now if is_on and taking else None
    if known is None:
        return ElementMemory(is_on, now if is_on else None, taking_at)
    if known.on == is_on:
        taking_at = taking_at or (known.taking_at if is_on else None)
        return ElementMemory(is_on, known.changed_at, taking_at, known.share)
    just_told = (
        known.changed_at is not None and (now - known.changed_at).total_seconds() <= COMMAND_FAILED_WITHIN_S
    )
    return ElementMemory(is_on, None if just_told else now, taking_at)


def _within(element: ElementMemory, time_s: float, now: datetime) -> bool:
    return element.changed_at is not None and (now - element.changed_at).total_seconds() < time_s


def _taken_share(appliance: Appliance, demand: ApplianceDemand) -> float | None:
    """Its sub-meter's power in parts of what is closed; None without a sub-meter or with nothing closed."""
    if demand.power_w is None or not demand.on:
        return None
    nominal_w = sum(state.power_w for state in _present_states(appliance, demand.on))
    return max(0.0, demand.power_w) / nominal_w if nominal_w > 0 else None


def _present_states(appliance: Appliance, on: frozenset[str]) -> list[JointState]:
    if appliance.joint_states:
        return [_joint_state(appliance, on)]
    return [JointState(frozenset({e.id}), e.power_w, e.current_a) for e in appliance.elements if e.id in on]


def nominal_power_w(appliance: Appliance, on: frozenset[str]) -> float:
    """What exactly these elements take together when closed."""
    return sum(state.power_w for state in _present_states(appliance, on))


def nominal_current(appliance: Appliance, on: frozenset[str]) -> PhaseTriple:
    return _joint_state(appliance, on).current_a


def _joint_state(appliance: Appliance, on: frozenset[str]) -> JointState:
    """The joint state of exactly these elements; a forbidden one is taken for what its elements say alone."""
    for state in appliance.joint_states:
        if state.elements == on:
            return state
    closed = [element for element in appliance.elements if element.id in on]
    l1, l2, l3 = (sum(element.current_a[phase] for element in closed) for phase in range(3))
    return JointState(on, sum(element.power_w for element in closed), (l1, l2, l3))


def _switches(plan: AppliancePlan, share: float | None, now: datetime) -> list[Switch]:
    appliance, on = plan.appliance, frozenset(e for e, m in plan.memory.items() if m.on)
    settled = not any(_within(plan.memory[e], SETTLED_AFTER_S, now) for e in on)
    idle = share is not None and share < TAKING_SHARE and all(_rests(plan.memory[e], now) for e in on)
    learnt = {e: plan.memory[e].share for e in on} if share is None else {}
    if appliance.joint_states:
        if len(shares := set(learnt.values())) == 1:
            share = shares.pop()
            idle = share is not None and share < TAKING_SHARE
        states = sorted(
            {OFF.elements: OFF, **{s.elements: s for s in appliance.joint_states}}.values(), key=_size
        )
        return [_switch(plan, appliance.id, states, _joint_state(appliance, on), share, settled, idle)]
    result = []
    for element in appliance.elements:
        closed = JointState(frozenset({element.id}), element.power_w, element.current_a)
        now_is = closed if element.id in on else OFF
        id = f"{appliance.id}#{element.id}"
        own = share if share is not None else learnt.get(element.id)
        rests = idle or (share is None and own is not None and own < TAKING_SHARE)
        result.append(_switch(plan, id, [OFF, closed], now_is, own, settled, rests and now_is is closed))
    return result


def _size(state: JointState) -> tuple[float, int, list[str]]:
    return (state.power_w, len(state.elements), sorted(state.elements))


def _rests(element: ElementMemory, now: datetime) -> bool:
    times = [at for at in (element.changed_at, element.taking_at) if at is not None]
    return bool(times) and (now - max(times)).total_seconds() >= IDLE_AFTER_S


def _switch(
    plan: AppliancePlan,
    id: str,
    all_states: list[JointState],
    nominal: JointState,
    share: float | None,
    settled: bool,
    idle: bool,
) -> Switch:
    drawn = present = nominal
    if share is not None and nominal.elements:
        drawn = _scaled(nominal, share, share)
        if settled and share >= TAKING_SHARE:
            # the fuse must bear a heater whose thermostat is closed, so its current never counts for less
            present = _scaled(nominal, share, max(1.0, share))
    states = _allowed(plan, all_states, nominal)
    states = [present if state.elements == nominal.elements else state for state in states]
    steps = [state.power_w for state in all_states if state.power_w > 0]
    cost = min(plan.appliance.switching_cost_w, DEAREST_TOGGLE * min(steps, default=0.0))
    rank = Rank.FREE
    if states[0].elements:
        forced = plan.rule.wanted is not None and states[0].elements <= plan.rule.wanted
        rank = Rank.FORCED if forced else Rank.HELD
    return Switch(id, plan.appliance, tuple(states), present, drawn, rank, idle, cost)


def _scaled(state: JointState, power_share: float, current_share: float) -> JointState:
    a1, a2, a3 = state.current_a
    current: PhaseTriple = (a1 * current_share, a2 * current_share, a3 * current_share)
    return JointState(state.elements, float(round(state.power_w * power_share)), current)


def _allowed(plan: AppliancePlan, states: list[JointState], now_is: JointState) -> list[JointState]:
    """The states this minute's rule and minimum times leave; at least one. Least power first.

    An appliance found in a state it must not be in is to leave it: no minimum time holds it there.
    """
    here = frozenset().union(*(state.elements for state in states))
    held_on, held_off = plan.held_on & here, plan.held_off & here
    if plan.rule.wanted is None:
        if all(state.elements != now_is.elements for state in states):
            return states
        return [s for s in states if held_on <= s.elements and not s.elements & held_off]
    target = ((plan.rule.wanted & here) | held_on) - held_off
    within = [s for s in states if s.elements <= target]
    return [max(within, key=lambda s: (len(s.elements), s.power_w))]


def remember_elements(plans: list[AppliancePlan], now: datetime) -> Mapping[tuple[str, str], ElementMemory]:
    result: dict[tuple[str, str], ElementMemory] = {}
    for plan in plans:
        closed = plan.closed()
        for id, element in plan.memory.items():
            if plan.reachable and (id in closed) != element.on:
                element = ElementMemory(id in closed, now, share=element.share if element.on else None)
            result[plan.appliance.id, id] = element
    return result
