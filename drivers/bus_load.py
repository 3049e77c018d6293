"""How busy a Modbus line is, and how well each unit on it answers."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

WINDOW_S = 60.0


@dataclass(frozen=True, slots=True)
class UnitLoad:
    """answer_s: how long it usually takes; None = it never answered. age_s: since its last answer."""

    unit: int
    age_s: float | None
    answer_s: float | None
    requests: int
    errors: int
    is_absent: bool


@dataclass(frozen=True, slots=True)
class BusLoad:
    """requests_per_s, errors_per_min and line_share (0 … 1) are of the last minute, totals since the start.

    line_share counts from a request to its answer or time-out, and the pause that the line needs after it.
    unasked_bytes: came without a question, as from a second master on the line.
    """

    bus: str
    framing: str
    connected: bool
    connections: int
    requests_per_s: float
    errors_per_min: float
    line_share: float
    requests: int
    errors: int
    unasked_bytes: int
    units: tuple[UnitLoad, ...]


class Traffic:
    """Exchanges of the last minute, and totals. Times are of the event loop's clock."""

    def __init__(self) -> None:
        self.requests = self.errors = 0
        self._recent: deque[tuple[float, float, bool]] = deque()
        self._began_s: float | None = None

    def count(self, start_s: float, end_s: float, answered: bool) -> None:
        if self._began_s is None:
            self._began_s = start_s
        self.requests += 1
        self.errors += not answered
        self._recent.append((end_s, end_s - start_s, answered))
        self._forget(end_s)

    def per_second(self, now_s: float) -> tuple[float, float, float]:
        """Requests per second, errors per minute, share of the time in which the line was busy."""
        self._forget(now_s)
        if self._began_s is None:
            return 0.0, 0.0, 0.0
        window_s = min(max(now_s - self._began_s, 1.0), WINDOW_S)
        busy_s = sum(busy for _, busy, _ in self._recent)
        errors = sum(not answered for _, _, answered in self._recent)
        return len(self._recent) / window_s, errors * 60 / window_s, min(busy_s / window_s, 1.0)

    def _forget(self, now_s: float) -> None:
        while self._recent and now_s - self._recent[0][0] > WINDOW_S:
            self._recent.popleft()
