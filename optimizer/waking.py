"""Vehicles that are offered current and take none: has it had enough, or does it sleep?

One that stops by itself while its offer stands has had enough. One that takes nothing after a pause, or from
the beginning, may sleep: for a while it is offered nothing, then 10 to 16 A for a minute or two whatever the
sun says. Most on-board chargers take such an edge for a new beginning. The push stays inside every fuse, no
more than two vehicles are pushed at once, and after three rounds, ever further apart, the station is asked to
do what its connector's wake_by allows. If nothing helps, a person is told.

A round is a chance, not a claim: it is given up when the meters are not fresh or a person switches it off.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from optimizer.connectors import LESS_BY_A, Outlet, Rule
from optimizer.electrical import legal_current
from optimizer.fuses import Fuses
from optimizer.import_limit import Ceiling
from optimizer.model import ConnectorState, PlugInMemory
from optimizer.surplus import Freshness

PUSH_A = (10.0, 13.0, 16.0)  # by round: some vehicles wait for more than others
PUSH_PHASES = (None, 1, 3)  # where the station can choose: a change interrupts the pilot signal, too
ROUND_AFTER_S = (0.0, 600.0, 1800.0)
MOST_PUSHES = 9  # in one stay, also of a vehicle that falls asleep in every pause
AT_ONCE = 2
WAKE_AFTER_S = 300.0  # some stations take minutes to pass on an offer, some wait at random
REST_S = 45.0  # since it was decided: the station has got it by then, and keeps it for half a minute
PUSH_S = 60.0  # since it was seen to be offered
IN_VAIN_AFTER_S = 300.0  # the station has not even offered what was decided
ASKED_FOR_S = 600.0
CHARGED_WELL_S = 300.0
ENOUGH_AFTER_S, ENOUGH_WH = 600.0, 1000.0
FULL_SOC_PERCENT = 99.0
ALMOST = 0.95
LONGEST_LOOK_S = 120.0
ACCURACY_A = 0.1
UNTOUCHED_WH = 100.0
START_SLACK_S = 300.0


def look_after(
    outlets: Sequence[Outlet], known: Mapping[str, PlugInMemory], trust: Freshness, now: datetime
) -> dict[str, PlugInMemory]:
    """What is remembered of each plugged-in vehicle from this minute on. Sets the outlets' rules."""
    seen = [(outlet, observe(outlet, known.get(outlet.connector.id), now)) for outlet in outlets]
    busy = sum(plug_in is not None and plug_in.step in ("rest", "push") for _, plug_in in seen)
    found = {}
    for outlet, plug_in in seen:
        if plug_in is None:
            continue
        if outlet.takes_part and outlet.demand.session is not None:
            was_busy = plug_in.step in ("rest", "push")
            plug_in = next_step(outlet, plug_in, trust, now, has_place=busy < AT_ONCE)
            busy += (plug_in.step in ("rest", "push")) - was_busy
            _follow(outlet, plug_in, known.get(outlet.connector.id))
        found[outlet.connector.id] = outlet.plug_in = plug_in
    return found


def observe(outlet: Outlet, known: PlugInMemory | None, now: datetime) -> PlugInMemory | None:
    """What is known once this minute's measurement is in; None without a vehicle."""
    demand = outlet.demand
    if demand.state is ConnectorState.FREE:
        return None
    if not outlet.takes_part or demand.session is None:
        return None if known is None else _left_alone(outlet, known, now)
    if known is None or (known.session != demand.session and known.step not in outlet.connector.wake_by):
        known = PlugInMemory(demand.session, now, now)
    elif known.session != demand.session:  # begun anew, as was asked for
        known = replace(known, session=demand.session, step=None, step_at=None, offered_at=None)
    if demand.is_tested:
        return replace(known, seen_at=now, offered_at=None)
    offered_a = outlet.now_a if demand.offered_a is None else demand.offered_a
    is_offered = outlet.is_on and offered_a >= outlet.min_a - ACCURACY_A
    seen = _seen_taking(outlet, known, now) if outlet.taking else _seen_resting(outlet, known, is_offered)
    return replace(seen, seen_at=now, offered_at=(known.offered_at or now) if is_offered else None)


def _left_alone(outlet: Outlet, known: PlugInMemory, now: datetime) -> PlugInMemory:
    """No transaction, no connection, or another's limit. What the station was asked for may take a while."""
    if known.step in outlet.connector.wake_by and not _has_passed(known.step_at, ASKED_FOR_S, now):
        return known
    return replace(known, step=None, step_at=None, offered_at=None, taking_since=None)


def _seen_taking(outlet: Outlet, known: PlugInMemory, now: datetime) -> PlugInMemory:
    since = known.taking_since or now
    passed_s = (now - known.seen_at).total_seconds() if known.taking_since else 0.0
    charged_well = (now - since).total_seconds() >= CHARGED_WELL_S
    return replace(
        known,
        taking_since=since,
        taken_s=known.taken_s + max(0.0, min(LONGEST_LOOK_S, passed_s)),
        sips=outlet.measured_a < outlet.min_a - LESS_BY_A,
        has_enough=False,
        needs_hand=False,
        rounds=0 if charged_well else known.rounds,
        asked=0 if charged_well else known.asked,
        step=known.step if known.step == "start" else None,
        step_at=known.step_at if known.step == "start" else None,
    )


def _seen_resting(outlet: Outlet, known: PlugInMemory, is_offered: bool) -> PlugInMemory:
    demand, has_enough = outlet.demand, known.has_enough
    if known.taking_since is not None:
        by_itself = is_offered and known.offered_at is not None
        charged = known.taken_s >= ENOUGH_AFTER_S or demand.delivered_wh >= ENOUGH_WH
        has_enough = known.sips or (by_itself and charged)
    if demand.soc_percent is not None and demand.soc_percent >= FULL_SOC_PERCENT:
        has_enough = True
    if demand.requested_wh is not None and demand.delivered_wh >= ALMOST * demand.requested_wh:
        has_enough = True
    return replace(known, taking_since=None, has_enough=has_enough)


def next_step(
    outlet: Outlet, plug_in: PlugInMemory, trust: Freshness, now: datetime, has_place: bool
) -> PlugInMemory:
    """One step on, or not. has_place: others leave room for one more round."""
    if (starts := _starts_shortly(outlet, plug_in, trust, now)) or plug_in.step == "start":
        plug_in = _to(plug_in, "start", now) if starts else _after_start(plug_in)
    if outlet.taking or plug_in.step == "start":
        return plug_in
    if plug_in.has_enough or trust is not Freshness.FRESH or outlet.rule.target_a == 0:
        return _to(plug_in, None, now) if plug_in.step in ("rest", "push") else plug_in
    if plug_in.step == "rest":
        return _after_rest(plug_in, now)
    if plug_in.step == "push":
        is_over = _has_passed(plug_in.offered_at, PUSH_S, now) or _has_passed(
            plug_in.step_at, IN_VAIN_AFTER_S, now
        )
        return _in_vain(plug_in, now) if is_over else plug_in
    if plug_in.step is not None and not _has_passed(plug_in.step_at, ASKED_FOR_S, now):
        return plug_in
    return _next_round(outlet, _to(plug_in, None, now), now, has_place)


def _after_start(plug_in: PlugInMemory) -> PlugInMemory:
    """Its offer was not the sun's: whether it sleeps shows when the sun comes."""
    return replace(plug_in, step=None, step_at=None, offered_at=None)


def _after_rest(plug_in: PlugInMemory, now: datetime) -> PlugInMemory:
    if plug_in.offered_at is None and _has_passed(plug_in.step_at, REST_S, now):
        return replace(_to(plug_in, "push", now), pushes=plug_in.pushes + 1)
    return _in_vain(plug_in, now) if _has_passed(plug_in.step_at, IN_VAIN_AFTER_S, now) else plug_in


def _next_round(outlet: Outlet, plug_in: PlugInMemory, now: datetime, has_place: bool) -> PlugInMemory:
    if plug_in.needs_hand or not is_asleep(plug_in, now):
        return plug_in
    may_rest = outlet.connector.pauses and plug_in.pushes < MOST_PUSHES
    if plug_in.rounds < len(PUSH_A) and may_rest:
        is_due = plug_in.round_at is None or _has_passed(plug_in.round_at, ROUND_AFTER_S[plug_in.rounds], now)
        may_begin = is_due and has_place and outlet.has_start_left  # a round is a start, too
        return _to(plug_in, "rest", now) if may_begin else plug_in
    if plug_in.asked < len(outlet.connector.wake_by):
        return replace(_to(plug_in, outlet.connector.wake_by[plug_in.asked], now), asked=plug_in.asked + 1)
    return replace(plug_in, needs_hand=True)


def is_asleep(plug_in: PlugInMemory, now: datetime) -> bool:
    """It was offered current for long enough, and takes none, though it has not had enough."""
    times = [at for at in (plug_in.offered_at, plug_in.round_at) if at is not None]
    is_awaited = plug_in.offered_at is not None and not plug_in.has_enough and plug_in.taking_since is None
    return is_awaited and _has_passed(max(times), WAKE_AFTER_S, now)


def _starts_shortly(outlet: Outlet, plug_in: PlugInMemory, trust: Freshness, now: datetime) -> bool:
    """At the minimum for start_s of charging, or until it is plain that it does not begin."""
    start_s = outlet.connector.start_s
    is_due = (
        outlet.demand.delivered_wh < UNTOUCHED_WH and plug_in.taken_s == 0
        if plug_in.step is None
        else plug_in.step == "start"
    )
    in_time = start_s > 0 and not _has_passed(plug_in.first_at, start_s + START_SLACK_S, now)
    by_rule = outlet.rule.code in ("sun", "timer_off") and not outlet.rule.always_on
    by_rule = by_rule and (outlet.is_on or outlet.has_start_left)
    return is_due and in_time and by_rule and plug_in.taken_s < start_s and trust is Freshness.FRESH


def _follow(outlet: Outlet, plug_in: PlugInMemory, before: PlugInMemory | None) -> None:
    """Set the outlet's rule as the step demands; minimum times do not hold against it."""
    connector = outlet.connector
    if plug_in.step == "rest":
        _decide_for(outlet, Rule("waking", 0.0))
    elif plug_in.step == "push":
        if (count := PUSH_PHASES[min(plug_in.rounds, len(PUSH_PHASES) - 1)]) in outlet.phase_choices:
            outlet.offer_phases(count)
            outlet.phase_choices = (count,)
        push_a = push_current_a(outlet, plug_in)
        _decide_for(outlet, Rule("waking", push_a))
        outlet.most_a, outlet.idle = push_a, True  # nobody gives way for what it will hardly take
    elif plug_in.step == "start":
        _decide_for(outlet, Rule("start", outlet.min_a))
        outlet.most_a = min(outlet.most_a, connector.max_a)
    elif before is not None and before.step == "start" and outlet.rule.target_a in (None, 0.0):
        outlet.held_on_s, outlet.must_on = None, outlet.rule.always_on


def _decide_for(outlet: Outlet, rule: Rule) -> None:
    outlet.rule, outlet.must_on = rule, bool(rule.target_a)
    outlet.held_on_s = outlet.held_off_s = None
    outlet.idle = outlet.idle and bool(rule.target_a)


def push_current_a(outlet: Outlet, plug_in: PlugInMemory) -> float:
    connector = outlet.connector
    wanted_a = max(PUSH_A[min(plug_in.rounds, len(PUSH_A) - 1)], outlet.min_a)
    return legal_current(min(wanted_a, connector.max_a), outlet.min_a, connector.max_a, connector.step_a)


def push(outlets: Sequence[Outlet], fuses: Fuses, ceiling: Ceiling) -> None:
    """Raise vehicles that are being woken as far as fuses and import limit allow, once what must run has
    what is its."""
    for outlet in outlets:
        if outlet.plug_in is None or outlet.plug_in.step != "push" or outlet.limit_a == 0:
            continue
        connector = outlet.connector
        wanted_a = push_current_a(outlet, outlet.plug_in)
        while wanted_a > outlet.limit_a and not fuses.is_silent(connector.circuit):
            more_a = wanted_a - outlet.limit_a
            more, more_w = outlet.current_at(more_a), outlet.power_at(more_a)
            if (
                fuses.blocking(connector.circuit, more) is None
                and ceiling.blocking(more_w) is None
                and ceiling.is_known
            ):
                fuses.take(connector.circuit, more)
                ceiling.take(more_w)
                outlet.limit_a = wanted_a
                break
            wanted_a = legal_current(
                wanted_a - connector.step_a, outlet.min_a, connector.max_a, connector.step_a
            )


def asks_for(outlet: Outlet, now: datetime) -> str | None:
    """What the station is to be asked to do from this minute on."""
    plug_in = outlet.plug_in
    if plug_in is None or plug_in.step_at != now or plug_in.step not in outlet.connector.wake_by:
        return None
    return plug_in.step


def _to(plug_in: PlugInMemory, step: str | None, now: datetime) -> PlugInMemory:
    if step == plug_in.step:
        return plug_in
    return replace(plug_in, step=step, step_at=None if step is None else now)


def _in_vain(plug_in: PlugInMemory, now: datetime) -> PlugInMemory:
    return replace(_to(plug_in, None, now), rounds=plug_in.rounds + 1, round_at=now)


def _has_passed(since: datetime | None, seconds: float, now: datetime) -> bool:
    return since is not None and now - since >= timedelta(seconds=seconds)
