"""How often limits are written to a station: deadband, pauses between writes, a budget for a day. Pure.

Each accepted profile wears the flash memory of many stations, and some refuse those that come too fast.
With a budget only what matters is written: reductions that a fuse, a contract or the grid operator needs and
starts and pauses that people ask for, always; pauses, and the first starts of a day; other changes coarsely,
spread over the hours of sun. The dead-man is longer then and not renewed for its own sake.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

DEAD_MAN_S = 15 * 60
SHORTEST_PAUSE_S, PAUSE_WHEN_STEADY_S = 10.0, 30.0
STEADY_STEPS = 2  # changes below so many steps are mere corrections
DAY_S = 86_400
HOURS_OF_SUN_S = 6 * 3600  # over which the day's writes are spread
COARSE_A = 2.0
KEPT_FOR_PAUSES = 0.2  # of the budget
FOR_STARTS_AT_ONCE = 0.4  # of it: a vehicle that waits loses more sun than one that could have more


@dataclass(frozen=True, slots=True)
class WritePace:
    """max_per_day: accepted writes in a day, None = any. pause_s: at least between two of them."""

    max_per_day: int | None = None
    pause_s: float = SHORTEST_PAUSE_S

    @property
    def renews_dead_man(self) -> bool:
        return self.max_per_day is None

    @property
    def dead_man_s(self) -> int:
        """How long a limit holds without being written again."""
        if self.max_per_day is None:
            return DEAD_MAN_S
        return max(DEAD_MAN_S, min(DAY_S, 2 * DAY_S // self.max_per_day))

    def waits_for(self, change: LimitChange, written: WritesToday, now: datetime) -> str | None:
        """Why this change is not written now; None: it is."""
        if change.is_urgent:
            return None
        used, since_s = written.on(now.date()), written.since_s(now)
        if self.max_per_day is not None and used >= self.max_per_day:
            return f"the {self.max_per_day} writes of this day are used up"
        if change.old_a is None:
            return None
        if not change.starts_or_stops and change.by_a < self._deadband_a(change.step_a):
            return f"a change of {change.by_a:g} A is not worth a write"
        if since_s is not None and since_s < self._pause_s(change):
            return "the last write was only just now"
        return None if change.new_a == 0 else self._spread(change, used, since_s)

    def _deadband_a(self, step_a: float) -> float:
        return step_a if self.max_per_day is None else max(step_a, COARSE_A)

    def _pause_s(self, change: LimitChange) -> float:
        is_correction = not change.starts_or_stops and change.by_a < STEADY_STEPS * change.step_a
        return max(self.pause_s, PAUSE_WHEN_STEADY_S if is_correction else 0.0)

    def _spread(self, change: LimitChange, used: int, since_s: float | None) -> str | None:
        if self.max_per_day is None:
            return None
        if used >= (1 - KEPT_FOR_PAUSES) * self.max_per_day:
            return f"{used} of {self.max_per_day} writes of this day are used, the rest is kept for pauses"
        starts_at_once = change.starts_or_stops and used < FOR_STARTS_AT_ONCE * self.max_per_day
        if not starts_at_once and since_s is not None and since_s < HOURS_OF_SUN_S / self.max_per_day:
            return f"{self.max_per_day} writes a day: not so soon after the last one"
        return None


@dataclass(frozen=True, slots=True)
class WritesToday:
    """How many profiles a station has accepted on `day` (UTC), and when the last."""

    day: date | None = None
    count: int = 0
    last_at: datetime | None = None

    def on(self, day: date) -> int:
        return self.count if self.day == day else 0

    def since_s(self, now: datetime) -> float | None:
        """Since the last one. None: there was none, or the clock was set back."""
        if self.last_at is None or now < self.last_at:
            return None
        return (now - self.last_at).total_seconds()

    def one_more(self, now: datetime) -> WritesToday:
        return WritesToday(now.date(), self.on(now.date()) + 1, now)


@dataclass(frozen=True, slots=True)
class LimitChange:
    """old_a: what the station is offering, None = nothing of ours yet. is_urgent: it may not wait."""

    old_a: float | None
    new_a: float
    step_a: float
    is_urgent: bool = False

    @property
    def starts_or_stops(self) -> bool:
        return (self.old_a == 0) != (self.new_a == 0)

    @property
    def by_a(self) -> float:
        return round(abs(self.new_a - (self.old_a or 0.0)), 2)
