"""The relays of a simulated device, whatever wire it hangs on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta


class Contacts:
    """number: 1 is the first. on_change(number, closed) tells that one moved; stuck: those that no longer do.

    One that changes by time is noticed when next looked at.
    """

    def __init__(
        self, count: int, now: Callable[[], datetime], on_change: Callable[[int, bool], None] | None = None
    ) -> None:
        self.on_change = on_change
        self.stuck: set[int] = set()
        self._now = now
        self._coils = [False] * count
        self._ends: dict[int, tuple[datetime, float]] = {}
        self._after: dict[int, bool] = {}

    @property
    def coils(self) -> tuple[bool, ...]:
        now = self._now()
        for number in sorted(self._ends, key=lambda n: self._ends[n][0]):
            if number in self._ends and self._ends[number][0] <= now:
                self.move(number, self._after[number])
        return tuple(self._coils)

    def move(self, number: int, closed: bool, for_s: float | None = None) -> None:
        """for_s: then it changes by itself; a move without it ends that."""
        self._ends.pop(number, None)
        if number not in self.stuck and self._coils[number - 1] != closed:
            self._coils[number - 1] = closed
            if self.on_change:
                self.on_change(number, closed)
        if for_s is not None:
            self._ends[number] = (self._now() + timedelta(seconds=for_s), for_s)
            self._after[number] = not closed

    def open_all(self) -> None:
        for number in range(1, len(self._coils) + 1):
            self.move(number, False)

    def timer(self, number: int) -> tuple[datetime, float] | None:
        """When it changes by itself, and how long after it was told to."""
        return self._ends.get(number)
