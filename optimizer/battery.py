"""What a battery means for the loads: which of its watts are sun they may have, and which never are.

A battery's own regulator brings the grid to about 0 W within seconds, so that the grid meter alone tells
neither how much sun there is nor who is fed by whom:

- what it gives out is not surplus: a load must not run on it;
- loads first: what it charges with is sun that the loads may have;
- battery first: what it charges with is not. While it takes less than it could, although nothing is
  exported, the loads keep sun from it: they have to give that back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from optimizer.model import BatteryMemory, BatteryPolicy, BatteryReading, BatteryRule, PowerReading, Readings
from optimizer.surplus import Freshness, age_s, freshness

REGULATED_W = 75.0
"""Within this a battery holds the grid at 0 W: such a draw, export or discharge means nothing."""

ASSUMED_MOST_W = 5000.0
"""What it could charge with, until it was seen to leave something over."""

SPILLS_AFTER_S = 120.0
SOC_BAND_PCT = 3.0
NEW = BatteryMemory()


@dataclass(frozen=True, slots=True)
class BatteryShare:
    """trust, age_s: of the battery's meter. counted_w: what the surplus at the grid has to be corrected by.

    wants_w: what it would take more if the loads left it. power_w: what it takes now, − while it gives.
    note: what a load that waits should know of it.
    """

    trust: Freshness = Freshness.FRESH
    age_s: float | None = None
    counted_w: float = 0.0
    wants_w: float = 0.0
    note: str = ""
    memory: BatteryMemory | None = None
    power_w: float = 0.0

    def correction_w(self, loads_w: float) -> float:
        """What has to be added to the surplus, the loads taking this much now: more they cannot give back."""
        return self.counted_w - min(self.wants_w, max(0.0, loads_w))


def share_of_battery(
    rule: BatteryRule | None, readings: Readings, known: BatteryMemory | None, now: datetime
) -> BatteryShare:
    """What is known of the battery this minute. Without its meter nobody can tell who feeds the loads: it
    counts as the grid meter's silence does."""
    if rule is None:
        return BatteryShare(memory=known)
    reading, grid = readings.battery, readings.grid
    trust, age = freshness(_as_power(reading), now), age_s(_as_power(reading), now)
    if reading is None or trust is Freshness.LOST or freshness(grid, now) is Freshness.LOST or grid is None:
        return BatteryShare(trust, age, memory=known)
    memory = _learn(reading.power_w, grid.power_w, known or NEW, now)
    memory = replace(memory, loads_first=_loads_first(rule, reading, memory))
    counted_w = _counted_w(reading.power_w, grid.power_w, memory)
    wants_w = _wants_w(reading.power_w, grid.power_w, memory)
    note = _note(rule, reading, memory)
    return BatteryShare(trust, age, counted_w, wants_w, note, memory, reading.power_w)


def _as_power(reading: BatteryReading | None) -> PowerReading | None:
    return None if reading is None else PowerReading(reading.power_w, None, reading.read_at)


def worse(one: Freshness, other: Freshness) -> Freshness:
    order = list(Freshness)
    return max(one, other, key=order.index)


def _learn(power_w: float, grid_w: float, known: BatteryMemory, now: datetime) -> BatteryMemory:
    """Exporting for a while, it shows the most it takes; more than ever seen shows it at once."""
    if power_w < -REGULATED_W:
        return replace(known, spilling_at=None)
    taken_w = max(0.0, power_w)
    if grid_w < -REGULATED_W:
        since = known.spilling_at or now
        if (now - since).total_seconds() >= SPILLS_AFTER_S or known.most_w is None:
            return replace(known, most_w=taken_w, spilling_at=since)
        return replace(known, most_w=max(known.most_w, taken_w), spilling_at=since)
    most_w = None if known.most_w is None else max(known.most_w, taken_w)
    return replace(known, most_w=most_w, spilling_at=None)


def _loads_first(rule: BatteryRule, reading: BatteryReading, known: BatteryMemory) -> bool:
    if rule.policy is not BatteryPolicy.BY_SOC:
        return rule.policy is BatteryPolicy.LOADS_FIRST
    if reading.soc_pct is None:
        return False
    threshold = rule.soc_pct - (SOC_BAND_PCT if known.loads_first else 0.0)
    return reading.soc_pct >= threshold


def _counted_w(power_w: float, grid_w: float, memory: BatteryMemory) -> float:
    # what the regulator leaves at the grid is no surplus and no draw: it is taken out of the balance
    ripple_w = grid_w if abs(grid_w) <= REGULATED_W else 0.0
    if power_w < -REGULATED_W:
        return power_w + ripple_w
    if memory.loads_first:
        return max(0.0, power_w) + ripple_w
    return ripple_w


def _wants_w(power_w: float, grid_w: float, memory: BatteryMemory) -> float:
    if memory.loads_first or power_w <= REGULATED_W or grid_w < -REGULATED_W:
        return 0.0
    wants_w = (ASSUMED_MOST_W if memory.most_w is None else memory.most_w) - power_w
    return wants_w if wants_w > REGULATED_W else 0.0


def _note(rule: BatteryRule, reading: BatteryReading, memory: BatteryMemory) -> str:
    if reading.power_w < -REGULATED_W:
        return f"the battery gives {-reading.power_w:.0f} W"
    if memory.loads_first or reading.power_w <= REGULATED_W:
        return ""
    note = f"battery first: it charges with {reading.power_w:.0f} W"
    if rule.policy is BatteryPolicy.BY_SOC:
        if reading.soc_pct is None:
            return f"{note}, how full it is is not known"
        return f"{note}, at {reading.soc_pct:.0f} of {rule.soc_pct:.0f} %"
    return note
