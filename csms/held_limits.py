"""What stations are held to: as decided each minute, and less while a check looks at one of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from csms.domain.control_slot import Wish
from csms.services.setpoints import Setpoints

Place = tuple[str, int]
"""Identity and connector."""


class HeldLimits:
    """A limit that is held never exceeds the decided one: fuses keep their room."""

    def __init__(self, setpoints: Setpoints) -> None:
        self._setpoints = setpoints
        self._wanted: dict[str, tuple[dict[int, Wish], int | None]] = {}
        self._held: dict[Place, float] = {}

    def want(self, identity: str, wishes: dict[int, Wish], max_writes_per_day: int | None = None) -> None:
        """See `Setpoints.want`."""
        self._wanted[identity] = wishes, max_writes_per_day
        self._pass_on(identity)

    def hold(self, limits_a: Mapping[Place, float]) -> None:
        """At most these, and nothing else held any more, from now on."""
        changed = {identity for identity, _ in {*self._held, *limits_a}}
        self._held = dict(limits_a)
        for identity in sorted(changed & set(self._wanted)):
            self._pass_on(identity)

    @property
    def held(self) -> frozenset[Place]:
        return frozenset(self._held)

    def _pass_on(self, identity: str) -> None:
        wishes, budget = self._wanted[identity]
        held = {n: self._less(wish, self._held.get((identity, n))) for n, wish in wishes.items()}
        self._setpoints.want(identity, held, budget)

    @staticmethod
    def _less(wish: Wish, held_a: float | None) -> Wish:
        """Urgent, so that no pause between two writes puts it off."""
        if held_a is None or held_a >= wish.limit_a:
            return wish
        return replace(wish, limit_a=held_a, is_urgent=True)
