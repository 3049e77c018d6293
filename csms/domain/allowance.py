"""So many at once, and so many more as time goes by."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf


@dataclass(slots=True)
class Allowance:
    """A bucket of `burst` tokens that fills again within `refill_s`. missed: how often it was empty."""

    burst: float
    refill_s: float
    tokens: float = field(init=False)
    missed: int = 0
    told_at_s: float = -inf
    _filled_at_s: float | None = None

    def __post_init__(self) -> None:
        self.tokens = self.burst

    def take(self, now_s: float) -> bool:
        """Take a token if there is one."""
        if self._filled_at_s is not None:
            gained = (now_s - self._filled_at_s) * self.burst / self.refill_s
            self.tokens = min(self.burst, self.tokens + gained)
        self._filled_at_s = now_s
        if self.tokens < 1:
            self.missed += 1
            return False
        self.tokens -= 1
        return True

    def is_to_be_told(self, now_s: float) -> bool:
        """Once within `refill_s`: there were `missed` since it was told last."""
        is_due = self.missed > 0 and now_s - self.told_at_s >= self.refill_s
        if is_due:
            self.told_at_s = now_s
        return is_due
