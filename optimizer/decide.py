"""One minute's decision for every load of a site.

The story: look at each load, open the fuses' ledger, let what must run claim its minimum, raise what a
person wants full, share the sun among the rest, say why. Who comes first where a fuse is short: a person's
word and timers, then what is needed by a time (the earliest first), then minimum times, then the sun; within
each, what is on already, then who got least.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from heapq import heapify, heappop, heappush
from math import inf

from optimizer import appliances, connectors
from optimizer.appliances import OFF, AppliancePlan, Rank, Switch, plan_appliance, remember_elements
from optimizer.battery import BatteryShare, share_of_battery, worse
from optimizer.connectors import Outlet, plan_connector, remember_connectors
from optimizer.electrical import legal_current
from optimizer.fuses import Fuse, Fuses, open_fuses
from optimizer.grid_steps import grid_minute, keep_minute, learn_shares, with_shares
from optimizer.import_limit import Ceiling, ImportLimit, open_ceiling
from optimizer.last_resort import last_resort, stop_or_start
from optimizer.load_shedding import Shedding, listen_to_operator, under_shedding
from optimizer.model import (
    ApplianceDecision,
    ApplianceDemand,
    ConnectorDecision,
    ConnectorDemand,
    ConnectorState,
    Decision,
    Demands,
    ElementMemory,
    GridMinute,
    JointState,
    Memory,
    NeedProgress,
    PowerReading,
    Readings,
    RunMemory,
    Site,
    Sky,
)
from optimizer.needs import Claim, claims_of, remember_needs, usual_currents
from optimizer.priorities import share_by_class
from optimizer.reasons import Outlook, why_appliance, why_connector
from optimizer.reductions import needed_reductions
from optimizer.sky import watch
from optimizer.starts import OUTLET, ElementKey, remember_runs
from optimizer.sun import NOTHING_TO_CHOOSE
from optimizer.surplus import Draw, Freshness, age_s, available_of, freshness, surplus_of
from optimizer.waking import asks_for, look_after, push

NOT_HEARD = ApplianceDemand(on=None)
NOT_CONNECTED = ConnectorDemand(ConnectorState.OFFLINE)


@dataclass(slots=True)
class Minute:
    """All that is being decided about, in the site's order."""

    site: Site
    plans: list[AppliancePlan]
    outlets: list[Outlet]
    draws: list[Draw]
    fuses: Fuses
    ceiling: Ceiling
    battery: BatteryShare
    sky: Sky | None = None

    def drawn_w(self) -> float:
        """What all loads are thought to take now; of a station that is not connected, what it was allowed."""
        drawn_w = sum(switch.drawn.power_w for switch in self.switches())
        return drawn_w + sum(outlet.drawn_w for outlet in self.outlets)

    def switches(self) -> list[Switch]:
        return [switch for plan in self.plans for switch in plan.switches]


def decide(
    site: Site, readings: Readings, demands: Demands, memory: Memory, now: datetime
) -> tuple[Decision, Memory]:
    """What every load is to do until the next minute, and what to remember. Pure: same input, same answer."""
    shedding = listen_to_operator(site, readings.load_shedding, memory.load_shedding, now)
    site = under_shedding(site, shedding)
    grid_trust = freshness(readings.grid, now)
    battery = share_of_battery(site.battery, readings, memory.battery, now)
    trust = worse(grid_trust, battery.trust)
    claims = claims_of(site, readings, demands, memory, now)
    minute, seen, learnt = _look(site, readings, demands, memory, claims, trust, battery, now)
    plug_ins = look_after(minute.outlets, memory.plug_ins, trust, now)
    minute.sky = memory.sky
    _claim_minima(minute)
    _raise_evenly(minute)
    push(minute.outlets, minute.fuses, minute.ceiling)
    grid = None if grid_trust is Freshness.LOST else readings.grid
    available_w, method = None, NOTHING_TO_CHOOSE
    if grid is not None and trust is not Freshness.LOST:
        available_w, method = _follow_the_sun(minute, grid, trust, now)
    stops = last_resort(minute.outlets, minute.fuses, memory.stops, now)
    meter = ("meter", age_s(readings.grid, now))
    if trust is not grid_trust:
        meter = ("battery meter", battery.age_s)
    outlook = _outlook(minute, available_w, trust, meter, shedding, now)
    surplus_w = None if grid is None else surplus_of(grid)
    decision = _decision(minute, outlook, surplus_w, available_w, method, shedding.active, now)
    grid_minutes = keep_minute(memory.grid_minutes, _with_moves(seen, minute.outlets), learnt)
    return decision, replace(
        _remembered(minute, memory, now),
        load_shedding=shedding.memory,
        grid_minutes=grid_minutes,
        needs=remember_needs(claims),
        plug_ins=plug_ins,
        stops=stops,
    )


def _decision(
    minute: Minute,
    outlook: Outlook,
    surplus_w: float | None,
    available_w: float | None,
    method: str,
    sheds: bool,
    now: datetime,
) -> Decision:
    urgent = needed_reductions(minute.outlets, minute.fuses)
    return Decision(
        at=now,
        surplus_w=surplus_w,
        available_w=available_w,
        appliances=tuple(_appliance_decision(plan, outlook) for plan in minute.plans),
        connectors=tuple(
            _connector_decision(outlet, outlook, outlet.connector.id in urgent) for outlet in minute.outlets
        ),
        feasible=not minute.fuses.exceeded() and not minute.ceiling.exceeded(),
        method=method,
        load_shedding=sheds,
    )


def _remembered(minute: Minute, memory: Memory, now: datetime) -> Memory:
    """What the minute itself leaves to remember."""
    return Memory(
        elements=remember_elements(minute.plans, now),
        connectors=remember_connectors(minute.outlets, now),
        other_a=minute.fuses.metered_a,
        battery=minute.battery.memory,
        over_import_at=minute.ceiling.over_at,
        usual_a=usual_currents(memory.usual_a, minute.fuses.metered_a),
        sky=minute.sky,
        runs=_remember_runs(minute, memory, now),
    )


def _look(
    site: Site,
    readings: Readings,
    demands: Demands,
    memory: Memory,
    claims: Mapping[str, Claim],
    trust: Freshness,
    battery: BatteryShare,
    now: datetime,
) -> tuple[Minute, GridMinute | None, bool]:
    """The loads as they are, with what the grid meter has just told of them; its balance; whether it told."""
    needs = {id: claim.progress for id, claim in claims.items()}
    plans, outlets = _plan(site, demands, memory, needs, trust, now)
    draws = _draws(plans, outlets)
    if not site.appliances and site.import_limit_w is None:  # nobody would ask what the meter showed
        seen, step_w = None, None
        learnt: dict[tuple[str, str], ElementMemory] = {}
    else:
        seen = grid_minute(site, readings, draws, now)
        learnt, step_w = learn_shares(site, demands, memory, seen)
    if learnt:
        memory = with_shares(memory, learnt)
        plans, outlets = _plan(site, demands, memory, needs, trust, now)
        draws = _draws(plans, outlets)
        seen = grid_minute(site, readings, draws, now)
    fuses = open_fuses(site, readings, draws, memory.other_a, now)
    ceiling = open_ceiling(site, readings.grid, draws, memory, now)
    if seen is not None:
        seen = replace(seen, step_w=step_w)
    return Minute(site, plans, outlets, draws, fuses, ceiling, battery), seen, bool(learnt)


def _plan(
    site: Site,
    demands: Demands,
    memory: Memory,
    needs: Mapping[str, NeedProgress | None],
    trust: Freshness,
    now: datetime,
) -> tuple[list[AppliancePlan], list[Outlet]]:
    plans = [
        plan_appliance(
            site,
            appliance,
            demands.appliances.get(appliance.id, NOT_HEARD),
            memory,
            trust,
            now,
            needs.get(appliance.id),
        )
        for appliance in site.appliances
    ]
    outlets = [
        plan_connector(
            site,
            connector,
            demands.connectors.get(connector.id, NOT_CONNECTED),
            memory.connectors.get(connector.id),
            trust,
            now,
            needs.get(connector.id),
            memory.runs.get((connector.id, OUTLET)),
        )
        for connector in site.connectors
    ]
    return plans, outlets


def _draws(plans: Sequence[AppliancePlan], outlets: Sequence[Outlet]) -> list[Draw]:
    draws = [switch.draw() for plan in plans for switch in plan.switches]
    draws += [
        Draw(p.appliance.circuit, 0.0, p.latched_a(), controlled=False) for p in plans if not p.reachable
    ]
    return draws + [outlet.draw() for outlet in outlets]


def _with_moves(seen: GridMinute | None, outlets: Sequence[Outlet]) -> GridMinute | None:
    """With how much what the connectors take is going to change by this decision."""
    if seen is None:
        return None
    return replace(seen, moved_w=sum(abs(o.expected_w() - o.drawn_w) for o in outlets if o.takes_part))


def _claim_minima(minute: Minute) -> None:
    """Give what must run its least current, the most entitled first, and shed what then does not fit.

    A station that is not connected, or not controllable, cannot be shed: what it was last allowed, or is
    measured to take, is reserved before all others, as is what was closed behind relays that do not answer;
    so is what one takes beyond its offer, or still offers.
    """
    claims: list[tuple[Rank, float, int, bool, float, int, Switch | Outlet]] = []
    for plan in minute.plans:
        minute.fuses.take(plan.appliance.circuit, plan.latched_a())
        for switch in plan.switches:
            if switch.states[0].elements:
                was_off = not switch.states[0].elements <= switch.present.elements
                rank = (switch.rank, _due_s(plan.rule, 0.0), -plan.appliance.priority)
                claims.append((*rank, was_off, 0.0, len(claims), switch))
    for outlet in minute.outlets:
        circuit = outlet.connector.circuit
        minute.fuses.take(circuit, outlet.beyond_limit_a() if outlet.is_ours else outlet.drawn_a)
        if outlet.is_ours and outlet.must_on:
            served_wh = outlet.demand.delivered_wh
            rank = (outlet.rank, _due_s(outlet.rule, 0.0), -outlet.connector.priority)
            claims.append((*rank, not outlet.is_on, served_wh, len(claims), outlet))
    for *_, load in sorted(claims, key=lambda claim: claim[:6]):
        if isinstance(load, Switch):
            _claim_switch(load, minute.fuses, minute.ceiling)
        else:
            _claim_minimum(load, minute.fuses, minute.ceiling)


def _due_s(rule: appliances.Rule | connectors.Rule, otherwise: float) -> float:
    """When the need that makes a load run is due, for putting loads in order."""
    return rule.until.timestamp() if rule.code == "need" and rule.until is not None else otherwise


def _claim_switch(switch: Switch, fuses: Fuses, ceiling: Ceiling) -> None:
    circuit, least = switch.appliance.circuit, switch.states[0]

    def blocking(state: JointState) -> Fuse | ImportLimit | None:
        runs = state.elements <= switch.present.elements
        return fuses.blocking(circuit, state.current_a) or ceiling.blocking(state.power_w, runs)

    switch.shed_by = blocking(least)
    if switch.shed_by is not None:
        smaller = [s for s in switch.appliance.joint_states if s.elements < least.elements]
        fitting = [s for s in smaller if blocking(s) is None]
        least = max(fitting, key=lambda s: s.power_w, default=OFF)
        switch.states = (least,)
    switch.chosen = least
    fuses.take(circuit, least.current_a)
    ceiling.take(least.power_w)


def _claim_minimum(outlet: Outlet, fuses: Fuses, ceiling: Ceiling) -> None:
    current_a, power_w = outlet.current_at(outlet.min_a), outlet.power_at(outlet.min_a)
    outlet.shed_by = fuses.blocking(outlet.connector.circuit, current_a)
    outlet.shed_by = outlet.shed_by or ceiling.blocking(power_w, outlet.is_on)
    if outlet.shed_by is None:
        outlet.limit_a = outlet.min_a
        fuses.take(outlet.connector.circuit, current_a)
        ceiling.take(power_w)


def _raise_evenly(minute: Minute) -> None:
    """Raise those with a target step by step, always the lowest, until each is there or meets a limit.

    Those that must have something by a time come first, the earliest before all, then a higher priority.
    Where a meter has gone silent, what else its fuse carries is not known: nobody rises above the minimum.
    """
    outlets, fuses, ceiling = minute.outlets, minute.fuses, minute.ceiling
    goals = {
        i: min(outlet.rule.target_a, outlet.most_a)
        for i, outlet in enumerate(outlets)
        if outlet.limit_a > 0 and outlet.rule.target_a and not outlet.idle
    }
    queue = [
        (_due_s(outlets[i].rule, inf), -outlets[i].connector.priority, outlets[i].limit_a, i)
        for i in goals
        if ceiling.is_known and not fuses.is_silent(outlets[i].connector.circuit)
    ]
    heapify(queue)
    while queue:
        due_s, rank, limit_a, i = heappop(queue)
        outlet = outlets[i]
        connector = outlet.connector
        raised_a = legal_current(limit_a + connector.step_a, outlet.min_a, goals[i], connector.step_a)
        if raised_a <= limit_a:
            continue
        more = outlet.current_at(raised_a - limit_a)
        more_w = outlet.power_at(raised_a - limit_a)
        outlet.shed_by = fuses.blocking(connector.circuit, more) or ceiling.blocking(more_w)
        if outlet.shed_by is None:
            fuses.take(connector.circuit, more)
            ceiling.take(more_w)
            outlet.limit_a = raised_a
            heappush(queue, (due_s, rank, raised_a, i))


def _follow_the_sun(minute: Minute, grid: PowerReading, trust: Freshness, now: datetime) -> tuple[float, str]:
    """Choose for all loads that the sun decides. Answers the power available to them [W] and the method."""
    switches = [switch for switch in minute.switches() if len(switch.states) > 1]
    outlets = [outlet for outlet in minute.outlets if outlet.sun_decides and outlet.shed_by is None]
    spoken_for_w = sum(s.expected_w() for s in minute.switches() if len(s.states) == 1)
    spoken_for_w += sum(o.expected_w() for o in minute.outlets if o.limit_a > 0 and not o.sun_decides)
    spoken_for_w += sum(sum(o.over_offered_a()) for o in minute.outlets) * minute.site.voltage_v
    loads_w = sum(draw.power_w for draw in minute.draws)
    available_w = available_of(grid, minute.draws, spoken_for_w) + minute.battery.correction_w(loads_w)
    for switch in switches:
        minute.fuses.release(switch.appliance.circuit, switch.chosen.current_a)
        switch.chosen = OFF
    for outlet in outlets:
        _give(outlet, 0.0, minute.fuses)
    if trust is Freshness.LATE:
        _stay(switches, outlets, minute.fuses)
        return available_w, NOTHING_TO_CHOOSE
    resting_w = _keep_idle(switches, outlets, available_w, minute.fuses)
    switches = [switch for switch in switches if switch.chosen is OFF]
    outlets = [outlet for outlet in outlets if outlet.limit_a == 0]
    is_short = available_w - resting_w < sum(o.power_at(o.min_a) for o in outlets if o.is_on)
    sun_w = surplus_of(grid) + minute.drawn_w() + minute.battery.power_w
    minute.sky = watch(minute.sky, sun_w, is_short, now)
    left_w = available_w - resting_w
    return available_w, share_by_class(minute.site, switches, outlets, left_w, minute.fuses, minute.sky)


def _give(outlet: Outlet, limit_a: float, fuses: Fuses) -> None:
    if limit_a == outlet.limit_a:
        return
    fuses.take(outlet.connector.circuit, outlet.current_at(limit_a - outlet.limit_a))
    outlet.limit_a = limit_a


def _stay(switches: Sequence[Switch], outlets: Sequence[Outlet], fuses: Fuses) -> None:
    """The meter is late: what is on stays on at most as it is, nothing starts; fuses still bind."""
    for outlet in outlets:
        if outlet.must_on:
            _give(outlet, outlet.min_a, fuses)
    for switch in switches:
        fits = fuses.blocking(switch.appliance.circuit, switch.present.current_a) is None
        switch.chosen = switch.present if fits and switch.present in switch.states else switch.states[0]
        fuses.take(switch.appliance.circuit, switch.chosen.current_a)
    for outlet in outlets:
        if not outlet.is_on:
            continue
        step_a, held_a = outlet.connector.step_a, outlet.limit_a
        most_a = outlet.min_a if outlet.idle else min(outlet.offers_a, outlet.most_a)
        wanted_a = legal_current(most_a, outlet.min_a, outlet.most_a, step_a)
        while wanted_a > held_a:
            more = outlet.current_at(wanted_a - held_a)
            if fuses.blocking(outlet.connector.circuit, more) is None:
                _give(outlet, wanted_a, fuses)
                break
            wanted_a = legal_current(wanted_a - step_a, outlet.min_a, outlet.most_a, step_a)


def _keep_idle(
    switches: Sequence[Switch], outlets: Sequence[Outlet], available_w: float, fuses: Fuses
) -> float:
    """Leave on what takes nothing as long as the sun would cover its return; its watts go to others.

    It keeps its current on the fuses. Answers what these loads take all the same [W].
    """
    taken_w = 0.0
    for switch in switches:
        if not switch.idle:
            continue
        circuit, state = switch.appliance.circuit, switch.present
        covered = available_w >= state.power_w and state in switch.states
        if covered and fuses.blocking(circuit, state.current_a) is None:
            switch.chosen = state
            fuses.take(circuit, state.current_a)
            taken_w += switch.drawn.power_w
    for outlet in outlets:
        if not outlet.idle:
            continue
        covered = outlet.must_on or available_w >= outlet.power_at(outlet.min_a)
        fits = fuses.blocking(outlet.connector.circuit, outlet.current_at(outlet.min_a)) is None
        if covered and fits:
            _give(outlet, outlet.min_a, fuses)
            taken_w += outlet.drawn_w
    return taken_w


def _remember_runs(minute: Minute, memory: Memory, now: datetime) -> dict[ElementKey, RunMemory]:
    was_on = {key: element.on for key, element in memory.elements.items()}
    was_on |= {(id, OUTLET): known.limit_a > 0 for id, known in memory.connectors.items()}
    is_on = {
        (plan.appliance.id, element): element in closed
        for plan in minute.plans
        if plan.reachable
        for closed in (plan.closed(),)
        for element in plan.memory
    }
    is_on |= {(o.connector.id, OUTLET): o.limit_a > 0 for o in minute.outlets if o.takes_part}
    return remember_runs(minute.site, memory.runs, was_on, is_on, now)


def _outlook(
    minute: Minute,
    available_w: float | None,
    trust: Freshness,
    meter: tuple[str, float | None],
    shedding: Shedding,
    now: datetime,
) -> Outlook:
    """What the sentences need to know: above all what is left of the sun after this decision.

    meter: the one that is trusted least, and the age of its reading.
    """
    left_w = None
    if available_w is not None:
        given_w = sum(switch.expected_w() for switch in minute.switches() if len(switch.states) > 1)
        given_w += sum(outlet.expected_w() for outlet in minute.outlets if outlet.sun_decides)
        left_w = available_w - given_w
    return Outlook(
        now=now,
        timezone=minute.site.timezone,
        trust=trust,
        age_s=meter[1],
        left_w=left_w,
        fuses=minute.fuses,
        meter=meter[0],
        battery_note=minute.battery.note,
        shedding=shedding,
    )


def _appliance_decision(plan: AppliancePlan, outlook: Outlook) -> ApplianceDecision:
    power_w = sum(switch.expected_w() for switch in plan.switches)
    return ApplianceDecision(
        plan.appliance.id, plan.closed(), power_w, why_appliance(plan, outlook), plan.need
    )


def _connector_decision(outlet: Outlet, outlook: Outlook, is_urgent: bool) -> ConnectorDecision:
    return ConnectorDecision(
        outlet.connector.id,
        outlet.limit_a,
        outlet.expected_w(),
        why_connector(outlet, outlook),
        phase_count=outlet.phase_count,
        need=outlet.need,
        wake=asks_for(outlet, outlook.now),
        ask=stop_or_start(outlet, outlook.now),
        is_urgent=is_urgent,
    )
