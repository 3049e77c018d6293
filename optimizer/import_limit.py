"""What may be drawn from the grid at most: a contract's ceiling, kept by our own loads.

A fuse has no patience, a contract is a mean over minutes: what runs when the ceiling is first exceeded has
one interval of grace, so that a kettle ends no minimum on-time. Nothing starts or rises above it meanwhile.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from optimizer.model import Memory, PowerReading, Site
from optimizer.surplus import Draw, Freshness, freshness

GRACE_S = 50.0
"""Less than an interval: the second minute above the ceiling is one too many."""

ROUNDING_W = 1e-6


@dataclass(frozen=True, slots=True)
class ImportLimit:
    """What kept a load from more."""

    limit_w: float


@dataclass(slots=True)
class Ceiling:
    """room_w: what the loads may still take, infinite without a ceiling. over_at: exceeded since.

    is_known: False while no meter tells what else is drawn: nothing rises above its minimum then.
    """

    limit_w: float | None = None
    room_w: float = math.inf
    over_at: datetime | None = None
    in_grace: bool = False
    is_known: bool = True

    def blocking(self, power_w: float, runs: bool = False) -> ImportLimit | None:
        """runs: it is on already, so that the grace is its own."""
        if self.limit_w is None or power_w <= self.room_w + ROUNDING_W or (runs and self.in_grace):
            return None
        return ImportLimit(self.limit_w)

    def take(self, power_w: float) -> None:
        self.room_w -= power_w

    def exceeded(self) -> bool:
        return self.room_w < -ROUNDING_W


def open_ceiling(
    site: Site, grid: PowerReading | None, draws: Iterable[Draw], memory: Memory, now: datetime
) -> Ceiling:
    """The ledger before any load has claimed. A late or lost meter leaves what it last told."""
    limit_w = site.import_limit_w
    if limit_w is None:
        return Ceiling()
    if grid is None or freshness(grid, now) is not Freshness.FRESH:
        if not memory.grid_minutes:
            return Ceiling(limit_w, over_at=memory.over_import_at, is_known=False)
        other_w = memory.grid_minutes[-1].other_w
        return Ceiling(limit_w, limit_w - other_w, memory.over_import_at, is_known=False)
    other_w = grid.power_w - sum(draw.power_w for draw in draws)
    over_at = (memory.over_import_at or now) if grid.power_w > limit_w + ROUNDING_W else None
    in_grace = over_at is not None and (now - over_at).total_seconds() < GRACE_S
    return Ceiling(limit_w, limit_w - other_w, over_at, in_grace)
