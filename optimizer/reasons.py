"""Why each load got what it got, in a code and figures for programs and a sentence for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from optimizer.appliances import AppliancePlan, Switch
from optimizer.connectors import Outlet
from optimizer.fuses import Fuse, Fuses
from optimizer.import_limit import ImportLimit
from optimizer.load_shedding import Shedding
from optimizer.model import ConnectorState, JointState, Mode, NeedProgress, Reason, StopMemory
from optimizer.starts import StartsUsed
from optimizer.surplus import LATE_AFTER_S, Freshness

NOT_TAKING_PART = {
    ConnectorState.FREE: ("free", "free: nobody plugged in"),
    ConnectorState.PLUGGED: ("plugged", "plugged in, waiting for a badge"),
    ConnectorState.FINISHED: ("finished", "finished: the cable is still in"),
    ConnectorState.FAULTED: ("faulted", "the station reports a fault"),
    ConnectorState.REFUSED: ("refused", "the badge was refused: the station gives nothing"),
}
WAKE_WORDS = {
    "restart": "waking the vehicle: its session is stopped and begun anew",
    "availability": "waking the vehicle: its connector is taken out of service for a moment",
    "reset": "waking the vehicle: its station restarts",
}
BY_HAND = {"off": "off by hand", "on": "on by hand"}
ROUNDING_W = 1e-6
ODD_SHARE = 0.25
ONE_DAY = timedelta(days=1)
TELLING_SHORT = {"kWh": 50.0, "h": 180.0}


@dataclass(frozen=True, slots=True)
class Outlook:
    """What the sentences need besides the load. left_w: sun left over by this decision, None = not known.

    meter, age_s: the one that is trusted least. battery_note: what a load that waits should know of it.
    """

    now: datetime
    timezone: str
    trust: Freshness
    age_s: float | None
    left_w: float | None
    fuses: Fuses
    meter: str = "meter"
    battery_note: str = ""
    shedding: Shedding = Shedding()  # noqa: RUF009 (frozen)


def why_appliance(plan: AppliancePlan, outlook: Outlook) -> Reason:
    rule = plan.rule
    if not plan.reachable:
        return Reason("unreachable", "relay module unreachable")
    if plan.appliance.id in outlook.shedding.affected:
        return Reason("load_shedding", outlook.shedding.text())
    shed_by = next((switch.shed_by for switch in plan.switches if switch.shed_by is not None), None)
    if shed_by is not None:
        return _limited(shed_by)
    if rule.by_hand:
        return _by_hand(plan)
    if rule.code in ("timer", "need"):
        if (rule.wanted or frozenset()) & plan.held_off:
            return _held_off(plan, outlook)
        return _timer(rule.until, outlook) if rule.code == "timer" else _needed(plan.need, outlook)
    if rule.code == "timer_off":
        return _held_on(plan, outlook) if plan.held_on else _outside_windows()
    if outlook.trust is not Freshness.FRESH or outlook.left_w is None:
        return _meter(outlook)
    return _by_sun(plan, outlook, outlook.left_w)


def _by_hand(plan: AppliancePlan) -> Reason:
    if plan.rule.code != "manual":
        return Reason(plan.rule.code, BY_HAND[plan.rule.code])
    count, total = len(plan.closed()), len(plan.appliance.elements)
    return Reason("manual", f"manual: {count} of {total} on", {"on": count, "steps": total})


def _by_sun(plan: AppliancePlan, outlook: Outlook, left_w: float) -> Reason:
    on = [switch for switch in plan.switches if switch.chosen.elements]
    if any(switch.idle and switch.chosen is switch.present for switch in on):
        return Reason("idle", "on but takes nothing: its own thermostat is open")
    on_w = sum(switch.chosen.power_w for switch in on)
    if on and left_w < -ROUNDING_W:
        if plan.held_on:
            return _held_on(plan, outlook)
        text = f"kept on: {_watts(left_w + on_w)} surplus for {_watts(on_w)}"
        return Reason("kept_on", text + _note(outlook), {"surplus_w": left_w + on_w, "power_w": on_w})
    step = _next_step(plan)
    if (odd := _odd_power(plan, on, left_w)) is not None:
        return odd
    if step is None:
        text = f"on: {_watts(left_w + on_w)} surplus covers {_watts(on_w)}"
        return Reason("on", text, {"surplus_w": left_w + on_w, "power_w": on_w})
    switch, state = step
    return _rising(plan, outlook, left_w, switch, state)


def _next_step(plan: AppliancePlan) -> tuple[Switch, JointState] | None:
    """The smallest rise in power that is still possible; None if all is on."""
    rises = [
        (state.power_w - switch.chosen.power_w, i, switch, state)
        for switch in plan.switches
        for i, state in enumerate(_nominal_states(switch))
        if state.elements > switch.chosen.elements
    ]
    if not rises:
        return None
    _, _, switch, state = min(rises, key=lambda rise: rise[:2])
    return switch, state


def _nominal_states(switch: Switch) -> tuple[JointState, ...]:
    """The states it has at all, also those a minimum off-time forbids this minute."""
    if switch.appliance.joint_states:
        return switch.appliance.joint_states
    return tuple(
        JointState(frozenset({element.id}), element.power_w, element.current_a)
        for element in switch.appliance.elements
        if switch.id == f"{switch.appliance.id}#{element.id}"
    )


def _rising(
    plan: AppliancePlan, outlook: Outlook, left_w: float, switch: Switch, state: JointState
) -> Reason:
    """What keeps the next step off."""
    needs_w = state.power_w - switch.chosen.power_w
    a1, a2, a3 = (b - a for a, b in zip(switch.chosen.current_a, state.current_a, strict=True))
    if left_w >= needs_w:
        if plan.held_off & state.elements:
            return _held_off(plan, outlook)
        fuse = outlook.fuses.blocking(plan.appliance.circuit, (a1, a2, a3))
        if fuse is not None:
            return _limited(fuse)
    figures = {"surplus_w": left_w, "needs_w": needs_w}
    count, total = len(plan.closed()), len(plan.appliance.elements)
    if not count:
        text = f"waiting: {_watts(left_w)} surplus, needs {_watts(needs_w)}{_note(outlook)}"
        return Reason("waiting", text, figures)
    text = f"{count} of {total} steps on; next needs {_watts(needs_w)}, {_watts(left_w)} left"
    return Reason("partly_on", text, {**figures, "on": count, "steps": total})


def why_connector(outlet: Outlet, outlook: Outlook) -> Reason:
    rule, limit_a = outlet.rule, outlet.limit_a
    if outlet.stop is not None and outlet.stop.session is not None:
        return _stopped(outlet.stop)
    if not outlet.takes_part:
        return _not_taking_part(outlet)
    if outlet.connector.id in outlook.shedding.affected and _is_capped(outlet):
        text = outlook.shedding.text(limit_a)
        return Reason("load_shedding", text, {"limit_a": limit_a})
    if rule.code == "off":
        return Reason("off", BY_HAND["off"])
    if outlet.shed_by is not None:
        return _limited(outlet.shed_by, limit_a)
    if _keeps_session(outlet, outlook):
        text = f"this station cannot pause: minimum of {limit_a:g} A kept"
        return Reason("cannot_pause", text, {"limit_a": limit_a})
    if outlet.held_off_s is not None and rule.target_a != 0:
        return _held("held_off", outlet.held_off_s, outlet.connector.min_off_s)
    if (told := _of_vehicle(outlet)) is not None:
        return told
    if outlet.spent is not None and rule.target_a != 0:
        return _starts_used(outlet.spent)
    if outlet.idle and limit_a > 0:
        return _idle(outlet, outlook)
    if rule.code in ("full", "manual", "timer", "need"):
        return _forced(outlet, outlook)
    if rule.code == "timer_off" and limit_a == 0:
        return _outside_windows()
    if rule.code != "timer_off" and (outlook.trust is not Freshness.FRESH or outlook.left_w is None):
        return _meter(outlook, limit_a)
    if outlet.held_on_s is not None and (outlook.left_w is None or outlook.left_w < -ROUNDING_W):
        return _held("held_on", outlet.held_on_s, outlet.connector.min_on_s)
    return _charging_by_sun(outlet, outlook, outlook.left_w or 0.0)


def _keeps_session(outlet: Outlet, outlook: Outlook) -> bool:
    """Does it charge only because 0 A would end its session?"""
    if outlet.connector.pauses or outlet.connector.mode is Mode.MIN_AND_SOLAR:
        return False
    if outlet.limit_a == 0 or outlet.limit_a > outlet.min_a:
        return False
    is_short = outlook.left_w is None or outlook.left_w < -ROUNDING_W
    return outlet.rule.code in ("timer_off", "meter_lost") or (outlet.rule.code == "sun" and is_short)


def _not_taking_part(outlet: Outlet) -> Reason:
    state = outlet.demand.state
    if state in NOT_TAKING_PART:
        return Reason(*NOT_TAKING_PART[state])
    if state is not ConnectorState.OFFLINE:
        text = "not controlled from here: what it takes counts as the house's"
        return Reason("not_controllable", text, {"taken_a": max(outlet.drawn_a)})
    reserved_a = max(outlet.drawn_a)
    if reserved_a > 0:
        gives_a = outlet.demand.offered_a or 0.0
        why = "which it gives by itself" if reserved_a <= gives_a else "as it was charging"
        text = f"station not connected: {reserved_a:g} A reserved, {why}"
        return Reason("offline", text, {"reserved_a": reserved_a})
    return Reason("offline", "station not connected")


def _stopped(stop: StopMemory) -> Reason:
    """Of a session that no limit holds."""
    taken_a = max(stop.taken_a)
    text = f"stopped: its station follows no limit, and {stop.fuse} was exceeded"
    if stop.needs_hand:
        return Reason("not_begun_anew", f"{text}; it did not begin anew: needs a hand", {"taken_a": taken_a})
    return Reason("stopped", f"{text}; begins anew when {taken_a:.3g} A are free", {"taken_a": taken_a})


def _of_vehicle(outlet: Outlet) -> Reason | None:
    """What the vehicle itself explains: it is being woken, has had enough, or does not take anything."""
    plug_in, limit_a = outlet.plug_in, outlet.limit_a
    if plug_in is None or (outlet.taking and plug_in.step != "start"):
        return None
    figures = {"limit_a": limit_a, "round": plug_in.rounds + 1}
    if plug_in.step == "rest":
        text = f"waking the vehicle, try {plug_in.rounds + 1}: no offer for a moment, then a larger one"
        return Reason("waking", text, figures)
    if plug_in.step == "push":
        text = (
            f"waking the vehicle, try {plug_in.rounds + 1}: {limit_a:g} A for a moment, whatever the sun says"
        )
        return Reason("waking", text, figures)
    if plug_in.step == "start":
        text = f"first minutes at {limit_a:g} A, so that the vehicle does not fall asleep"
        return Reason("start", text, {"limit_a": limit_a})
    if plug_in.step is not None:
        return Reason("waking", WAKE_WORDS[plug_in.step], {"limit_a": limit_a})
    if plug_in.has_enough:
        return Reason("has_enough", "full: the vehicle takes no more", {"limit_a": limit_a})
    if plug_in.needs_hand:
        figures = {"limit_a": limit_a, "pushes": plug_in.pushes}
        return Reason("needs_hand", "the vehicle takes no power: full or asleep; needs a hand", figures)
    return None


def _forced(outlet: Outlet, outlook: Outlook) -> Reason:
    figures = {"limit_a": outlet.limit_a}
    if outlook.fuses.is_silent(outlet.connector.circuit) and outlet.limit_a < (outlet.rule.target_a or 0.0):
        text = f"{outlet.limit_a:g} A: the meter at its fuse is silent, no more than the minimum"
        return Reason("meter_lost", text, figures)
    if outlet.rule.code == "timer":
        return _timer(outlet.rule.until, outlook)
    if outlet.rule.code == "need":
        return _needed(outlet.need, outlook, outlet.limit_a)
    if outlet.rule.code == "full":
        return Reason("full", f"full: {outlet.limit_a:g} A by hand", figures)
    return Reason("manual", f"manual: {outlet.limit_a:g} A", figures)


def _charging_by_sun(outlet: Outlet, outlook: Outlook, left_w: float) -> Reason:
    limit_a, power_w = outlet.limit_a, outlet.expected_w()
    wanted_a = outlet.min_a if limit_a == 0 else limit_a + outlet.connector.step_a
    needs_w = outlet.power_at(wanted_a) - power_w
    if left_w >= needs_w and wanted_a <= outlet.most_a:
        fuse = outlook.fuses.blocking(outlet.connector.circuit, outlet.current_at(wanted_a - limit_a))
        if fuse is not None:
            return _limited(fuse, limit_a)
    if limit_a == 0:
        figures = {"surplus_w": left_w, "needs_w": needs_w}
        text = f"waiting: {_watts(left_w)} surplus, needs {_watts(needs_w)}{_note(outlook)}"
        return Reason("waiting", text, figures)
    if outlet.is_on and not outlet.taking:
        text = f"offered {limit_a:g} A: the vehicle takes nothing yet"
        return Reason("offered", text, {"limit_a": limit_a})
    sun_w = left_w + power_w
    figures = {"surplus_w": sun_w, "limit_a": limit_a, "power_w": power_w}
    if outlet.connector.mode is Mode.MIN_AND_SOLAR and left_w < -ROUNDING_W and limit_a == outlet.min_a:
        return Reason("minimum", f"minimum of {limit_a:g} A: {_watts(sun_w)} surplus", figures)
    if left_w < -ROUNDING_W and outlet.waits_s is not None:
        waits_min = int(outlet.waits_s // 60)
        text = f"kept on at {limit_a:g} A through a cloud: {_watts(sun_w)} surplus, {waits_min} min"
        return Reason("cloud", text, {**figures, "waits_s": outlet.waits_s})
    if left_w < -ROUNDING_W:
        text = f"kept on at {limit_a:g} A: {_watts(sun_w)} surplus{_note(outlook)}"
        return Reason("kept_on", text, figures)
        return Reason("kept_on", f"kept on at {limit_a:g} A: {_watts(sun_w)} surplus", figures)
    if outlet.held_back:
        text = f"on: {_watts(sun_w)} surplus, {limit_a:g} A ({_watts(power_w)}) as long as clouds move"
        return Reason("held_back", text, figures)
    if limit_a >= outlet.connector.max_a:
        return Reason("on", f"on at its maximum of {limit_a:g} A: {_watts(sun_w)} surplus", figures)
    if limit_a >= outlet.most_a:
        return Reason("takes_less", f"on at {limit_a:g} A: the vehicle takes no more", figures)
    on_one = " on one phase" if outlet.phase_count == 1 else ""
    text = f"on: {_watts(sun_w)} surplus covers {limit_a:g} A{on_one} ({_watts(power_w)})"
    return Reason("on", text, figures)


def _idle(outlet: Outlet, outlook: Outlook) -> Reason:
    memory, takes_a = outlet.memory, outlet.measured_a
    times = [] if memory is None else [at for at in (memory.offered_at, memory.taking_at) if at is not None]
    idle_min = int((outlook.now - max(times)).total_seconds() // 60) if times else 0
    figures = {"limit_a": outlet.limit_a, "takes_a": takes_a, "idle_min": idle_min}
    if idle_min == 0:
        return Reason("nearly_full", f"offered {outlet.limit_a:g} A, takes only {takes_a:.1f} A", figures)
    text = f"asleep: offered {outlet.limit_a:g} A for {idle_min} min, takes {takes_a:.0f} A"
    return Reason("asleep", text, figures)


def _note(outlook: Outlook) -> str:
    return f" ({outlook.battery_note})" if outlook.battery_note else ""


def _is_capped(outlet: Outlet) -> bool:
    """Whether load shedding is what keeps it from more: it is paused, or at all that it may be given."""
    return (outlet.limit_a == 0 and outlet.rule.code == "off") or outlet.limit_a >= outlet.connector.max_a


def _odd_power(plan: AppliancePlan, on: Sequence[Switch], left_w: float) -> Reason | None:
    """What is on takes clearly more or less than its description says: a person should correct that."""
    nominal_w = sum(_nominal_w(plan, switch) for switch in on)
    power_w = sum(switch.chosen.power_w for switch in on)
    if not nominal_w or 1 - ODD_SHARE < power_w / nominal_w < 1 + ODD_SHARE:
        return None
    code, word = ("takes_more", "more") if power_w > nominal_w else ("takes_less", "less")
    text = f"on: takes {_watts(power_w)}, {word} than the {_watts(nominal_w)} of its description"
    return Reason(code, text, {"surplus_w": left_w + power_w, "power_w": power_w, "nominal_w": nominal_w})


def _nominal_w(plan: AppliancePlan, switch: Switch) -> float:
    for state in plan.appliance.joint_states:
        if state.elements == switch.chosen.elements:
            return state.power_w
    return sum(e.power_w for e in plan.appliance.elements if e.id in switch.chosen.elements)


def _limited(fuse: Fuse | ImportLimit, limit_a: float | None = None) -> Reason:
    if isinstance(fuse, ImportLimit):
        figures = {"import_limit_w": fuse.limit_w}
        text = f"limited: at most {_watts(fuse.limit_w)} may be drawn from the grid"
        return Reason("import_limit", text, figures if limit_a is None else {**figures, "limit_a": limit_a})
    text = f"limited: {fuse.circuit} fuse L{fuse.phase + 1} {fuse.limit_a:g} A"
    figures = {"fuse_a": fuse.limit_a, "phase": fuse.phase + 1}
    return Reason("limited", text, figures if limit_a is None else {**figures, "limit_a": limit_a})


def _timer(until: datetime | None, outlook: Outlook) -> Reason:
    end = f" until {until.astimezone(ZoneInfo(outlook.timezone)):%H:%M}" if until else ""
    return Reason("timer", f"timer: forced on{end}")


def _needed(need: NeedProgress | None, outlook: Outlook, limit_a: float | None = None) -> Reason:
    """It runs because of its need, at the latest sensible moment or later."""
    assert need is not None
    scale, unit = (1000.0, "kWh") if need.is_energy else (3600.0, "h")
    figures = {"wanted": need.wanted / scale, "got": need.got / scale, "short": need.short / scale}
    if limit_a is not None:
        figures["limit_a"] = limit_a
    until = local_time(need.due_at, outlook.now, outlook.timezone)
    at = "" if limit_a is None else f"{limit_a:g} A: "
    if need.short >= TELLING_SHORT[unit]:
        text = f"{at}{_plainly(need.short / scale)} {unit} short by {until}, runs at full"
        return Reason("need_short", text, figures)
    missing = f"{_plainly((need.wanted - need.got) / scale)} {unit}"
    return Reason("need", f"{at}needs {missing} more by {until}, not left to the sun any longer", figures)


def need_in_words(need: NeedProgress, now: datetime, timezone: str) -> str:
    """ "4.2 of 6 kWh until 18:00", "1.5 of 4 h until 22:00, 0.3 h short"."""
    scale, unit = (1000.0, "kWh") if need.is_energy else (3600.0, "h")
    wanted, got = _plainly(need.wanted / scale), _plainly(need.got / scale)
    text = f"{got} of {wanted} {unit} until {local_time(need.due_at, now, timezone)}"
    if need.is_over and need.got < need.wanted:
        return f"{text}: has enough"
    if need.short >= TELLING_SHORT[unit]:
        return f"{text}, {_plainly(need.short / scale)} {unit} short"
    return text


def local_time(at: datetime, now: datetime, timezone: str) -> str:
    """ "18:00", with its weekday if that is more than a day away."""
    local = at.astimezone(ZoneInfo(timezone))
    return f"{local:%H:%M}" if at - now <= ONE_DAY else f"{local:%a %H:%M}"


def _plainly(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _outside_windows() -> Reason:
    return Reason("timer_off", "timer: off outside its windows")


def _held_on(plan: AppliancePlan, outlook: Outlook) -> Reason:
    return _held("held_on", _passed_s(plan, plan.held_on, outlook.now), plan.appliance.min_on_s)


def _held_off(plan: AppliancePlan, outlook: Outlook) -> Reason:
    resting = plan.held_off - plan.spent.keys()
    if not resting:
        return _starts_used(plan.spent[min(plan.spent)])
    return _held("held_off", _passed_s(plan, resting, outlook.now), plan.appliance.min_off_s)


def _starts_used(used: StartsUsed) -> Reason:
    when = "this hour" if used.of_hour else "today"
    return Reason(
        "starts_used", f"no more starts {when}: {used.count} of {used.count} used", {"starts": used.count}
    )


def _passed_s(plan: AppliancePlan, elements: frozenset[str], now: datetime) -> float:
    """Since the last of these elements was switched."""
    times = [at for id in elements if (at := plan.memory[id].changed_at) is not None]
    return (now - max(times)).total_seconds()


def _held(code: str, passed_s: float, of_s: float) -> Reason:
    word = "on" if code == "held_on" else "off"
    text = f"held {word}: {_duration(passed_s, of_s)}"
    return Reason(code, text, {"passed_s": passed_s, "of_s": of_s})


def _duration(passed_s: float, of_s: float) -> str:
    if of_s < 60:
        return f"{passed_s:.0f} of {of_s:.0f} s"
    return f"{int(passed_s // 60)} of {of_s / 60:g} min"


def _meter(outlook: Outlook, limit_a: float | None = None) -> Reason:
    figures = {} if limit_a is None else {"limit_a": limit_a}
    if outlook.age_s is None:
        missing = "no grid meter" if outlook.meter == "meter" else f"no {outlook.meter}"
        return Reason("meter_lost", f"{missing}: {_without_sun(limit_a)}", figures)
    figures["age_s"] = outlook.age_s
    if outlook.trust is Freshness.LATE:
        return Reason("meter_late", f"{outlook.meter} stale for {outlook.age_s:.0f} s: no increase", figures)
    what = f"{outlook.meter} stale for {outlook.age_s:.0f} s"
    if outlook.age_s <= LATE_AFTER_S:
        what = f"{outlook.meter} implausible"
    return Reason("meter_lost", f"{what}: {_without_sun(limit_a)}", figures)


def _without_sun(limit_a: float | None) -> str:
    return f"minimum of {limit_a:g} A" if limit_a else "off"


def _watts(power_w: float) -> str:
    return f"{power_w:.0f} W"
