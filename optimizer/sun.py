"""Sharing the sun: the exact allocation, with the rule that nothing starts without its nominal surplus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from optimizer.allocation import allocate
from optimizer.appliances import OFF, Switch
from optimizer.connectors import Outlet
from optimizer.fuses import Fuses
from optimizer.model import NO_CURRENT, JointState, Site, Sky
from optimizer.phase_switching import phase_options, read_option
from optimizer.precedence import Turn, next_turn, urgency_s
from optimizer.problem import (
    Allocation,
    AllocationProblem,
    CircuitHeadroom,
    ModulatedLoad,
    Option,
    SwitchedLoad,
)
from optimizer.sky import hold_back, sure_of, waits_for_sun

NOTHING_TO_CHOOSE = "nothing to choose"
NO_DRAW_AT_ALL = 1e6
ROUNDING_W = 1e-6
WORTH_A_TURN = 0.9  # of the sun used otherwise
Load = SwitchedLoad | ModulatedLoad


def share_sun(
    site: Site,
    switches: Sequence[Switch],
    outlets: Sequence[Outlet],
    available_w: float,
    fuses: Fuses,
    sky: Sky,
    may_start: bool = True,
) -> str:
    """Set `chosen` and `limit_a` of the loads the sun decides. Answers the method.

    Two problems are solved, for a load that runs may draw a little where switching it off costs more,
    while a load may only start on a surplus of its whole nominal power: (a) nothing starts; (b) all may
    start, but nothing may be drawn at all, of the sun that is sure. The better one counts, (a) if they are
    equal. What charges then follows the sun up only as far as that is sure.
    """
    # Equal answers go to the last of the list (see allocation): so what ran least today and, among
    # equals, the first of the site's order is put last; of the connectors that are off the most urgent one.
    switches = sorted(switches, key=lambda switch: switch.ran_s)[::-1]
    outlets = sorted(outlets, key=lambda o: (o.is_on, 0.0 if o.is_on else urgency_s(o, sky.at)))[::-1]
    circuits = tuple(
        CircuitHeadroom(c.id, c.parent, _not_negative(fuses.room_a[c.id])) for c in site.circuits
    )
    is_patient = waits_for_sun(site.response, sky, outlets, available_w)
    best = _without_starts(site, switches, outlets, available_w, fuses, circuits, is_patient)
    sure_w = sure_of(available_w, sky, site.response.start_caution)
    worth_w = best.utility_w - max(0.0, min(best.power_w, available_w) - sure_w)
    may_start = may_start and not is_patient
    if may_start and _a_start_could_pay(switches, outlets, sure_w, worth_w):
        everything: list[Load] = [_switched(s, s.states) for s in switches]
        everything += [_station(o, fuses) for o in outlets]
        started = allocate(AllocationProblem(sure_w, NO_DRAW_AT_ALL, circuits, tuple(everything)))
        if started.power_w <= sure_w + ROUNDING_W and started.utility_w > worth_w:
            best = started
    turn = next_turn(outlets, best.choices, sky.at)
    if turn is not None and may_start:
        taken = _with_turn(turn, switches, outlets, sure_w, fuses, circuits)
        at_least_w = WORTH_A_TURN * min(best.power_w, sure_w)
        if taken.feasible and at_least_w <= taken.power_w <= sure_w + ROUNDING_W:
            best = taken
    _apply(best, switches, outlets)
    follow_w = sure_of(available_w, sky, site.response.follow_caution)
    hold_back(outlets, best.power_w - follow_w)
    return best.method


def _without_starts(
    site: Site,
    switches: Sequence[Switch],
    outlets: Sequence[Outlet],
    available_w: float,
    fuses: Fuses,
    circuits: tuple[CircuitHeadroom, ...],
    is_patient: bool,
) -> Allocation:
    """Patient: vehicles that charge are not switched off, unless a fuse will have it."""
    running: list[Load] = [load for s in switches if (load := _running(s)) is not None]
    running += [_station(o, fuses, keeps_on=is_patient) for o in outlets if o.is_on or o.must_on]
    if not running:
        return Allocation(True, {}, 0.0, 0.0, NOTHING_TO_CHOOSE)
    best = allocate(AllocationProblem(available_w, site.draw_penalty, circuits, tuple(running)))
    if is_patient and not best.feasible:
        return _without_starts(site, switches, outlets, available_w, fuses, circuits, False)
    return best


def _with_turn(
    turn: Turn,
    switches: Sequence[Switch],
    outlets: Sequence[Outlet],
    sure_w: float,
    fuses: Fuses,
    circuits: tuple[CircuitHeadroom, ...],
) -> Allocation:
    loads: list[Load] = [_switched(s, s.states) for s in switches]
    for outlet in outlets:
        if outlet is turn.comes:
            loads.append(_sure_to_run(_station(outlet, fuses)))
        elif outlet is not turn.leaves:
            loads.append(_station(outlet, fuses))
    return allocate(AllocationProblem(sure_w, NO_DRAW_AT_ALL, circuits, tuple(loads)))


def _sure_to_run(load: Load) -> Load:
    if isinstance(load, ModulatedLoad):
        return replace(load, on_cost_w=0.0, off_cost_w=None)
    return replace(load, options=tuple(option for option in load.options if option.power_w > 0))


def _not_negative(room_a: Sequence[float]) -> tuple[float, float, float]:
    """Where others alone exceed a fuse there is nothing to share; what must run has been fitted before."""
    l1, l2, l3 = room_a
    return (max(0.0, l1), max(0.0, l2), max(0.0, l3))


def _starts(switch: Switch, state: JointState) -> bool:
    return not state.elements <= switch.present.elements


def _running(switch: Switch) -> SwitchedLoad | None:
    """The switch without what would be a start; None if that leaves nothing to choose."""
    states = [state for state in switch.states if not _starts(switch, state)]
    if states == [OFF]:
        return None
    return _switched(switch, states or switch.states)


def _switched(switch: Switch, states: Sequence[JointState]) -> SwitchedLoad:
    options = tuple(
        Option(_name(state), state.power_w, state.current_a, switch.cost_of(state)) for state in states
    )
    return SwitchedLoad(switch.id, switch.appliance.circuit, options)


def _name(state: JointState) -> str:
    return "+".join(sorted(state.elements)) or "off"


def _station(outlet: Outlet, fuses: Fuses, keeps_on: bool = False) -> Load:
    load = _modulated(outlet, fuses, keeps_on)
    return _with_phases(outlet, load) if len(outlet.phase_choices) > 1 else load


def _with_phases(outlet: Outlet, load: ModulatedLoad) -> SwitchedLoad:
    """One phase or three, each with its currents, as options that exclude each other."""
    options = phase_options(
        outlet.phase_choices,
        tuple(outlet.phases_of(count) for count in outlet.phase_choices),
        (load.min_a, load.max_a, load.step_a),
        load.voltage_v,
        load.on_cost_w,
        None if outlet.memory is None else outlet.memory.phase_count,
    )
    if load.off_cost_w is not None:
        options.insert(0, Option("off", 0.0, NO_CURRENT, load.off_cost_w))
    return SwitchedLoad(load.id, load.circuit, tuple(options))


def _modulated(outlet: Outlet, fuses: Fuses, keeps_on: bool = False) -> ModulatedLoad:
    connector = outlet.connector
    starts = not outlet.is_on and not outlet.must_on
    off_cost_w = outlet.toggle_cost_w if outlet.is_on else 0.0
    return ModulatedLoad(
        id=connector.id,
        circuit=connector.circuit,
        min_a=outlet.min_a,
        max_a=outlet.min_a if fuses.is_silent(connector.circuit) else outlet.most_a,
        step_a=connector.step_a,
        phases=outlet.phases,
        voltage_v=outlet.voltage_v,
        on_cost_w=outlet.toggle_cost_w if starts else 0.0,
        off_cost_w=None if outlet.must_on or (keeps_on and outlet.is_on) else off_cost_w,
    )


def _a_start_could_pay(
    switches: Sequence[Switch], outlets: Sequence[Outlet], sure_w: float, worth_w: float
) -> bool:
    """Whether some start fits below the sure surplus and could gain on what the best is worth without."""
    starts = [
        (state.power_w, switch.toggle_cost_w)
        for switch in switches
        for state in switch.states
        if _starts(switch, state)
    ]
    starts += [(_least_w(o), o.toggle_cost_w) for o in outlets if not o.is_on and not o.must_on]
    fitting = [cost_w for power_w, cost_w in starts if power_w <= sure_w + ROUNDING_W]
    return bool(fitting) and worth_w < sure_w - min(fitting)


def _least_w(outlet: Outlet) -> float:
    counts = [len(outlet.phases_of(count)) for count in outlet.phase_choices] or [len(outlet.phases)]
    return outlet.min_a * outlet.voltage_v * min(counts)


def _apply(answer: Allocation, switches: Sequence[Switch], outlets: Sequence[Outlet]) -> None:
    for switch in switches:
        choice = answer.choices.get(switch.id, "off")
        switch.chosen = next((state for state in switch.states if _name(state) == choice), OFF)
    for outlet in outlets:
        choice = answer.choices.get(outlet.connector.id, 0.0)
        if isinstance(choice, float | int):
            outlet.limit_a = float(choice)
        elif choice != "off":
            count, outlet.limit_a = read_option(choice)
            outlet.offer_phases(count)
