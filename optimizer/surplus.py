"""What the grid meter tells: how far to trust it, and what is there for the loads with theirs added back."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from optimizer.model import PhaseTriple, PowerReading

LATE_AFTER_S = 90.0
LOST_AFTER_S = 180.0


class Freshness(Enum):
    """How far a meter can be trusted. LATE: nothing may rise on its word. LOST: nothing is known."""

    FRESH = "fresh"
    LATE = "late"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Draw:
    """What one load takes now. controlled: whether its power is this system's to add back. [W, A]

    is_sure: False = it may flow, but nobody has seen that; a meter will.
    """

    circuit: str
    power_w: float
    current_a: PhaseTriple
    controlled: bool = True
    is_sure: bool = True


def age_s(reading: PowerReading | None, now: datetime) -> float | None:
    return None if reading is None else (now - reading.read_at).total_seconds()


def freshness(reading: PowerReading | None, now: datetime) -> Freshness:
    if reading is None or not math.isfinite(reading.power_w):
        return Freshness.LOST
    age = (now - reading.read_at).total_seconds()
    if age > LOST_AFTER_S:
        return Freshness.LOST
    return Freshness.LATE if age > LATE_AFTER_S else Freshness.FRESH


def surplus_of(grid: PowerReading) -> float:
    """What is exported now [W]; negative while drawing."""
    return -grid.power_w


def available_of(grid: PowerReading, draws: Iterable[Draw], spoken_for_w: float) -> float:
    """The surplus if every load that can be chosen were off [W]; negative if even that draws.

    Without adding back, a load that is on would hide the very surplus that feeds it and be switched off
    again. spoken_for_w: what the loads that cannot be chosen this minute are going to take.
    """
    return surplus_of(grid) + sum(draw.power_w for draw in draws if draw.controlled) - spoken_for_w
