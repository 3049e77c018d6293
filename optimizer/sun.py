"""Sharing the sun: the exact allocation, with the rule that nothing starts without its nominal surplus."""

from __future__ import annotations

from collections.abc import Sequence

from optimizer.allocation import allocate
from optimizer.appliances import OFF, Switch
from optimizer.connectors import Outlet
from optimizer.fuses import Fuses
from optimizer.model import NO_CURRENT, JointState, Site
from optimizer.phase_switching import phase_options, read_option
from optimizer.problem import (
    Allocation,
    AllocationProblem,
    CircuitHeadroom,
    ModulatedLoad,
    Option,
    SwitchedLoad,
)

NOTHING_TO_CHOOSE = "nothing to choose"
NO_DRAW_AT_ALL = 1e6
ROUNDING_W = 1e-6
Load = SwitchedLoad | ModulatedLoad


def share_sun(
    site: Site,
    switches: Sequence[Switch],
    outlets: Sequence[Outlet],
    available_w: float,
    fuses: Fuses,
    may_start: bool = True,
) -> str:
    """Set `chosen` and `limit_a` of the loads the sun decides. Answers the method.

    Two problems are solved, for a load that runs may draw a little where switching it off costs more,
    while a load may only start on a surplus of its whole nominal power: (a) nothing starts; (b) all may
    start, but nothing may be drawn at all. The better one counts, (a) if they are equal.
    """
    # Equal answers go to the last of the list (see allocation): so the first of the site's order is
    # put last, and of the connectors that are off the one that got least is the very last.
    switches = switches[::-1]
    outlets = sorted(outlets, key=lambda o: (o.is_on, 0.0 if o.is_on else o.demand.delivered_wh))[::-1]
    circuits = tuple(
        CircuitHeadroom(c.id, c.parent, _not_negative(fuses.room_a[c.id])) for c in site.circuits
    )
    running: list[Load] = [load for s in switches if (load := _running(s)) is not None]
    running += [_station(o, fuses) for o in outlets if o.is_on or o.must_on]
    best = Allocation(True, {}, 0.0, 0.0, NOTHING_TO_CHOOSE)
    if running:
        best = allocate(AllocationProblem(available_w, site.draw_penalty, circuits, tuple(running)))
    if may_start and _a_start_could_pay(switches, outlets, available_w, best):
        everything: list[Load] = [_switched(s, s.states) for s in switches]
        everything += [_station(o, fuses) for o in outlets]
        started = allocate(AllocationProblem(available_w, NO_DRAW_AT_ALL, circuits, tuple(everything)))
        if started.power_w <= available_w + ROUNDING_W and started.utility_w > best.utility_w:
            best = started
    _apply(best, switches, outlets)
    return best.method


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


def _station(outlet: Outlet, fuses: Fuses) -> Load:
    return _with_phases(outlet, fuses) if len(outlet.phase_choices) > 1 else _modulated(outlet, fuses)


def _with_phases(outlet: Outlet, fuses: Fuses) -> SwitchedLoad:
    """One phase or three, each with its currents, as options that exclude each other."""
    load = _modulated(outlet, fuses)
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


def _modulated(outlet: Outlet, fuses: Fuses) -> ModulatedLoad:
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
        off_cost_w=None if outlet.must_on else off_cost_w,
    )


def _a_start_could_pay(
    switches: Sequence[Switch], outlets: Sequence[Outlet], available_w: float, best: Allocation
) -> bool:
    """Whether some start fits below the surplus and could still gain on the best answer without it."""
    starts = [
        (state.power_w, switch.toggle_cost_w)
        for switch in switches
        for state in switch.states
        if _starts(switch, state)
    ]
    starts += [(_least_w(o), o.toggle_cost_w) for o in outlets if not o.is_on and not o.must_on]
    fitting = [cost_w for power_w, cost_w in starts if power_w <= available_w + ROUNDING_W]
    return bool(fitting) and best.utility_w < available_w - min(fitting)


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
