"""What appliances without a meter of their own really take, told by their steps in the grid meter.

Two things are looked for, and only while what else the building does is calm enough to see them:

- after a switch-on, the step that should be there: missing, the load takes nothing (its thermostat is open);
  higher or lower, it takes more or less than its description says. Loads switched on in the same minute
  are told jointly: all of them take, or none does, else nothing is concluded;
- while it is on, a step of just its size on just its phases: its thermostat has opened, or closed again.
  A load that is even on all phases looks like the sun there, so that nothing is concluded of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby

from optimizer.model import (
    Appliance,
    Demands,
    ElementMemory,
    GridMinute,
    Memory,
    PhaseTriple,
    Readings,
    Site,
)
from optimizer.surplus import Draw, Freshness, freshness

KEPT = 7
FEWEST_STEPS = 3
LONGEST_GAP_S = 150.0
CLEAR_OF_NOISE = 4.0
EXACT_OF_NOISE = 20.0
TOLERANCE = 0.2
PHASE_TOLERANCE = 0.3
SETTLED_S = 150.0
MOST_SHARE = 2.0
FOLLOWED_LATE = 0.2
"""By this part of a changed limit a vehicle may be late in the minute after."""

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Closed:
    """Elements of one appliance that are on and have no sub-meter. current_a, power_w: nominal."""

    keys: tuple[Key, ...]
    power_w: float
    current_a: PhaseTriple
    share: float | None
    changed_at: datetime | None

    @property
    def is_lopsided(self) -> bool:
        return max(self.current_a) - min(self.current_a) >= max(self.current_a) / 2


def grid_minute(site: Site, readings: Readings, draws: Sequence[Draw], now: datetime) -> GridMinute | None:
    """This minute's balance; None without meters to trust."""
    grid, battery = readings.grid, readings.battery
    if grid is None or freshness(grid, now) is not Freshness.FRESH:
        return None
    other_w = grid.power_w - sum(draw.power_w for draw in draws)
    if site.battery is not None:  # it evens the steps out within seconds, on whatever phases it has
        battery_w = 0.0 if battery is None else battery.power_w
        return GridMinute(now, other_w, None, battery_w=battery_w)
    if grid.current_a is None:
        return GridMinute(now, other_w, None)
    l1, l2, l3 = grid.current_a
    for draw in draws:
        a1, a2, a3 = draw.current_a
        l1, l2, l3 = l1 - a1, l2 - a2, l3 - a3
    return GridMinute(now, other_w, (l1, l2, l3))


def learn_shares(
    site: Site, demands: Demands, memory: Memory, minute: GridMinute | None
) -> tuple[dict[Key, ElementMemory], float | None]:
    """The elements of which something is known anew, and the step that nobody of ours explains [W].

    Nothing where nothing can be concluded; None without a minute just before.
    """
    past = memory.grid_minutes
    if minute is None or not past or (minute.at - past[-1].at).total_seconds() > LONGEST_GAP_S:
        return {}, None
    closed = [part for a in site.appliances for part in _closed(a, demands, memory)]
    new = [part for part in closed if part.changed_at == past[-1].at]
    gone_w = _switched_off_unknown_w(site, past[-1].at, memory)
    step_w = _behind(minute) - _behind(past[-1])
    new_w = sum(part.power_w for part in new)
    unexplained_w = min(abs(step_w + own_w) for own_w in (0.0, new_w, -gone_w, new_w - gone_w))
    if new:
        return _after_switching_on(new, gone_w, past, minute, memory), unexplained_w
    if len(past) < 2 or gone_w or _just_switched(site, closed, past[-2].at, memory):
        return {}, unexplained_w
    running = [part for part in closed if _is_settled(part, minute.at)]
    return _while_on([*running, *_thermostats(running)], past, minute, memory), unexplained_w


def _just_switched(site: Site, closed: Sequence[Closed], at: datetime, memory: Memory) -> bool:
    """Whether a switching whose outcome is not known disturbs the comparison with that minute."""
    is_unknown = any(part.changed_at == at and part.share is None for part in closed)
    return is_unknown or _switched_off_unknown_w(site, at, memory) > 0


def keep_minute(
    past: Sequence[GridMinute], minute: GridMinute | None, learnt: bool
) -> tuple[GridMinute, ...]:
    """Once something is learnt, earlier currents rest on what is known to be wrong."""
    if minute is None:
        return tuple(past)
    if learnt:
        past = [replace(before, other_a=None) for before in past]
    return (*past, minute)[-KEPT:]


def _closed(appliance: Appliance, demands: Demands, memory: Memory) -> Iterator[Closed]:
    demand = demands.appliances.get(appliance.id)
    if demand is None or not demand.on or demand.power_w is not None:
        return
    if appliance.joint_states:
        state = next((s for s in appliance.joint_states if s.elements == demand.on), None)
        known = [memory.elements.get((appliance.id, e)) for e in sorted(demand.on)]
        if state is None or state.power_w <= 0 or any(k is None or not k.on for k in known):
            return
        keys = tuple((appliance.id, e) for e in sorted(demand.on))
        times = {k.changed_at for k in known if k is not None}
        shares = {k.share for k in known if k is not None}
        changed_at = times.pop() if len(times) == 1 else None
        yield Closed(
            keys, state.power_w, state.current_a, shares.pop() if len(shares) == 1 else None, changed_at
        )
        return
    for element in appliance.elements:
        own = memory.elements.get((appliance.id, element.id))
        if element.id in demand.on and own is not None and own.on and element.power_w > 0:
            key = (appliance.id, element.id)
            yield Closed((key,), element.power_w, element.current_a, own.share, own.changed_at)


def _thermostats(running: Sequence[Closed]) -> Iterator[Closed]:
    """Elements of one appliance that open and close together, behind one thermostat."""
    for _, parts in groupby(running, key=lambda part: part.keys[0][0]):
        together = list(parts)
        shares = {part.share == 0.0 for part in together}
        if len(together) > 1 and len(shares) == 1:
            l1, l2, l3 = (sum(part.current_a[phase] for part in together) for phase in range(3))
            keys = tuple(key for part in together for key in part.keys)
            power_w = sum(part.power_w for part in together)
            share = 0.0 if shares.pop() else None
            yield Closed(keys, power_w, (l1, l2, l3), share, together[0].changed_at)


def _is_settled(part: Closed, now: datetime) -> bool:
    return part.changed_at is not None and (now - part.changed_at).total_seconds() >= SETTLED_S


def _noise_w(past: Sequence[GridMinute]) -> float | None:
    """The largest step that nobody of ours made, within the last minutes; None = too few are known."""
    steps = [minute.step_w for minute in past if minute.step_w is not None]
    return max(steps) if len(steps) >= FEWEST_STEPS else None


def _behind(minute: GridMinute) -> float:
    """House and sun alone."""
    return minute.other_w - minute.battery_w


def _switched_off_unknown_w(site: Site, at: datetime, memory: Memory) -> float:
    return sum(
        element.power_w
        for appliance in site.appliances
        for element in appliance.elements
        if (known := memory.elements.get((appliance.id, element.id))) is not None
        and not known.on
        and known.changed_at == at
        and known.share is None
    )


def _after_switching_on(
    new: Sequence[Closed],
    gone_w: float,
    past: Sequence[GridMinute],
    minute: GridMinute,
    memory: Memory,
) -> dict[Key, ElementMemory]:
    """gone_w: nominal power of what went off in the same minute, and may have taken it or not."""
    noise_w, power_w = _noise_w(past), sum(part.power_w for part in new)
    if noise_w is None:
        return {}
    noise_w += FOLLOWED_LATE * past[-1].moved_w
    if power_w < CLEAR_OF_NOISE * noise_w:
        return {}
    share = 1.0 + (_behind(minute) - _behind(past[-1])) / power_w
    possible = {share} if not gone_w else {share, share - gone_w / power_w}
    fitting = {whole for s in possible for whole in (0.0, 1.0) if abs(s - whole) <= TOLERANCE}
    if len(fitting) == 1:
        return _told(new, fitting.pop(), memory)
    is_exact = not gone_w and len(new) == 1 and minute.battery_w == 0
    if not fitting and is_exact and share > 0 and power_w >= EXACT_OF_NOISE * noise_w:
        return _told(new, round(min(share, MOST_SHARE), 2), memory)
    return {}


def _while_on(
    running: Sequence[Closed], past: Sequence[GridMinute], minute: GridMinute, memory: Memory
) -> dict[Key, ElementMemory]:
    """Over two minutes, as a thermostat does not wait for the minute to begin."""
    if minute.other_a is None or past[-2].other_a is None:
        return {}
    noise_w = _noise_w(past[:-1])
    if noise_w is None:
        return {}
    step_w = _behind(minute) - _behind(past[-2])
    l1, l2, l3 = (b - a for a, b in zip(past[-2].other_a, minute.other_a, strict=True))
    noise_w += FOLLOWED_LATE * (past[-1].moved_w + past[-2].moved_w)
    fitting = [
        part
        for part in running
        if part.is_lopsided
        and part.power_w >= CLEAR_OF_NOISE * noise_w
        and _is_the_step(part, step_w, (l1, l2, l3))
    ]
    if len(fitting) != 1:
        return {}
    return _told(fitting, 1.0 if fitting[0].share == 0.0 else 0.0, memory)


def _is_the_step(part: Closed, step_w: float, step_a: PhaseTriple) -> bool:
    """One that takes nothing can only begin, one that takes can only end."""
    sign = 1.0 if part.share == 0.0 else -(part.share or 1.0)
    if abs(step_w - sign * part.power_w) > TOLERANCE * part.power_w:
        return False
    largest_a = max(part.current_a)
    return all(
        abs(got - sign * expected) <= PHASE_TOLERANCE * largest_a
        for got, expected in zip(step_a, part.current_a, strict=True)
    )


def _told(parts: Sequence[Closed], share: float, memory: Memory) -> dict[Key, ElementMemory]:
    return {
        key: replace(memory.elements[key], share=share)
        for part in parts
        for key in part.keys
        if memory.elements[key].share != share
    }


def with_shares(memory: Memory, learnt: Mapping[Key, ElementMemory]) -> Memory:
    return replace(memory, elements={**memory.elements, **learnt}) if learnt else memory
