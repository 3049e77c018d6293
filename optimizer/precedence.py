"""Who charges first where the sun does not suffice for all, and when one makes room for another."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from optimizer.connectors import Outlet

TYPICAL_STAY_S = 4 * 3600.0
TYPICAL_NEED_WH = 15_000.0
TYPICAL_POWER_W = 7_400.0
OVERSTAYED_S = 3600.0
"""A driver who said to leave and is still there is taken to leave within this time."""

TURN_S = 6000.0
TURN_LEAD_S = 1200.0
"""A vehicle makes room after this time, for one that waits as long and is so much more urgent: about 2.5 kWh.

One that has had its share already must be behind by as much again as it got.
"""


@dataclass(frozen=True, slots=True)
class Turn:
    """One vehicle makes room for another."""

    leaves: Outlet
    comes: Outlet


def urgency_s(outlet: Outlet, now: datetime) -> float:
    """The vehicle's laxity: how long it could still wait and be charged in time. The least comes first. [s]

    Of what its driver has not told something usual is assumed, the same for all: among vehicles of which
    nothing is known, the one that got least comes first. One that had enough is in no hurry.
    """
    demand = outlet.demand
    if _had_enough(outlet):
        return math.inf
    stays_s, need_wh, power_w = TYPICAL_STAY_S, TYPICAL_NEED_WH, TYPICAL_POWER_W
    if demand.departs_at is not None:
        left_s = (demand.departs_at - now).total_seconds()
        stays_s = left_s if left_s > 0 else OVERSTAYED_S
        power_w = outlet.power_at(outlet.connector.max_a)
    if demand.requested_wh is not None:
        need_wh = demand.requested_wh
    return stays_s - 3600 * (need_wh - demand.delivered_wh) / power_w


def _had_enough(outlet: Outlet) -> bool:
    """It took nothing any more when it was last switched off."""
    memory = outlet.memory
    if outlet.is_on or memory is None or memory.changed_at is None or memory.taking_at is None:
        return False
    return memory.taking_at < memory.changed_at


def next_turn(outlets: Sequence[Outlet], choices: Mapping[str, str | float], now: datetime) -> Turn | None:
    """Who is to make room for whom, if for anybody; `choices`: what this minute would bring otherwise.

    Long turns: each costs a stop and a start, and a vehicle that is stopped may fall asleep.
    """
    gets = {o.connector.id: choices.get(o.connector.id, 0.0) not in (0.0, "off") for o in outlets}
    waiting = [o for o in outlets if not gets[o.connector.id] and _waits(o, now)]
    charging = [o for o in outlets if gets[o.connector.id] and _may_leave(o, now)]
    if not waiting or not charging:
        return None
    comes = min(waiting, key=lambda o: urgency_s(o, now))
    leaves = max(charging, key=lambda o: urgency_s(o, now))
    lead_s = TURN_LEAD_S + 3600 * comes.demand.delivered_wh / TYPICAL_POWER_W
    if urgency_s(leaves, now) - urgency_s(comes, now) < lead_s:
        return None
    return Turn(leaves, comes)


def _waits(outlet: Outlet, now: datetime) -> bool:
    """Who has just come stays longest, most likely: unless it is told, it does not take a turn yet."""
    if outlet.is_on or outlet.must_on or outlet.memory is None:
        return False
    times = [at for at in (outlet.memory.seen_at, outlet.memory.changed_at) if at is not None]
    return outlet.demand.departs_at is not None or not times or _has_passed(max(times), now)


def _may_leave(outlet: Outlet, now: datetime) -> bool:
    if not outlet.is_on or outlet.must_on or outlet.memory is None:
        return False
    changed_at = outlet.memory.changed_at
    return changed_at is None or _has_passed(changed_at, now)


def _has_passed(since: datetime, now: datetime) -> bool:
    return (now - since).total_seconds() >= TURN_S
