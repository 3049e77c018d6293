"""One phase or three: the two choices of a station that can be told, and when it may change between them.

Each change interrupts the vehicle and wears contactors, so that the number in use stays for a while and
changes only so often within an hour. What a change must be worth makes the hysteresis: three phases begin
where their minimum is covered and gives clearly more than one phase at its maximum.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from optimizer.electrical import current_levels
from optimizer.model import Connector, ConnectorMemory
from optimizer.problem import Option

DWELL_S = 420.0
MOST_PER_HOUR = 4
CHANGE_COST_W = 500.0
SETTLED_S = 120.0
ALL = 3
HOUR = timedelta(hours=1)


def can_switch(connector: Connector) -> bool:
    return connector.phase_switching and len(connector.phases) == ALL


def phases_in_use(connector: Connector, memory: ConnectorMemory | None) -> tuple[int, ...]:
    """Those of the site's phases that its vehicle uses, or would with what it is offered."""
    if memory is None:
        return connector.phases
    if memory.phase_count == 1 and can_switch(connector):
        return connector.phases[:1]
    return connector.phases if memory.phases is None else memory.phases


def has_settled(memory: ConnectorMemory, now: datetime) -> bool:
    """Whether what is measured shows the present number of phases."""
    changes = memory.phase_changes
    return not changes or (now - changes[-1]).total_seconds() >= SETTLED_S


def phase_choices(connector: Connector, memory: ConnectorMemory, now: datetime) -> tuple[int, ...]:
    """The numbers of phases it may be offered this minute, the present one first; () = it cannot choose.

    A vehicle seen to use one phase where it was offered three has no choice to make.
    """
    if not can_switch(connector):
        return ()
    present = memory.phase_count
    if present is None:
        return (1, ALL)
    uses_one = memory.phases is not None and len(memory.phases) == 1
    recent = [at for at in memory.phase_changes if now - at < HOUR]
    dwells = bool(recent) and (now - recent[-1]).total_seconds() < DWELL_S
    if uses_one or dwells or len(recent) >= MOST_PER_HOUR:
        return (present,)
    return (present, ALL if present == 1 else 1)


def changed(memory: ConnectorMemory, phase_count: int | None, now: datetime) -> tuple[datetime, ...]:
    """The changes within the last hour, with the one to `phase_count` if it is one."""
    recent = tuple(at for at in memory.phase_changes if now - at < HOUR)
    if memory.phase_count is None or phase_count in (None, memory.phase_count):
        return recent
    return (*recent, now)


def phase_options(
    choices: tuple[int, ...],
    wiring: tuple[tuple[int, ...], ...],
    levels_a: tuple[float, float, float],
    voltage_v: float,
    on_cost_w: float,
    changes_from: int | None,
) -> list[Option]:
    """Every current on every choice of phases, least power first. wiring: the phases of each choice.

    levels_a: minimum, maximum, step. Ids are "1x8" and so on.
    """
    options = []
    for count, phases in zip(choices, wiring, strict=True):
        cost_w = on_cost_w + (CHANGE_COST_W if changes_from not in (None, count) else 0.0)
        for amps in current_levels(*levels_a):
            l1, l2, l3 = (amps if phase in phases else 0.0 for phase in range(3))
            options.append(Option(f"{count}x{amps:g}", amps * voltage_v * len(phases), (l1, l2, l3), cost_w))
    return sorted(options, key=lambda option: option.power_w)


def read_option(id: str) -> tuple[int, float]:
    """(phases, amperes) of an option's id."""
    count, _, amps = id.partition("x")
    return int(count), float(amps)
