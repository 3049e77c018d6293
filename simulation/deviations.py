"""How a simulated station may depart from OCPP: small pieces that a character is composed of.

A deviation overrides the moments at which it differs; everything else is as the standard says. Each station
has its own copy, so a deviation may remember what happened. In `profile_deviations`, `report_deviations` and
`session_deviations` are those that stations of the field are known for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import deepcopy
from datetime import datetime
from functools import reduce
from typing import TYPE_CHECKING, Any

from simulation.station_link import Answer

if TYPE_CHECKING:
    from simulation.charge_point import SimulatedChargePoint
    from simulation.outlet import Outlet

Payload = dict[str, Any]
Samples = list[dict[str, str]]


class Deviation:
    """A station as it should be: every moment passes."""

    def answer(
        self, station: SimulatedChargePoint, action: str, payload: Payload, usual: Callable[[], Answer]
    ) -> Answer:
        """A call of the central system; `usual` answers and acts as the standard says.

        Raises CallRefused, or Unanswered to keep silent.
        """
        return usual()

    def say(self, station: SimulatedChargePoint, action: str, payload: Payload) -> Payload | None:
        """What the station is about to send; None = it does not."""
        return payload

    def offer(self, station: SimulatedChargePoint, outlet: Outlet, offered_a: float, at: datetime) -> float:
        """What the pilot of a connector with a session shows. [A]"""
        return offered_a

    def status(self, outlet: Outlet, status: str) -> str:
        return status

    def sample(self, outlet: Outlet, values: Samples) -> Samples:
        """A `sampledValue` list."""
        return values

    def lets_begin(self, outlet: Outlet) -> bool:
        """Whether a transaction may begin."""
        return True

    def live(self, station: SimulatedChargePoint, now: datetime) -> None:
        """Time has passed up to now."""

    def ended(self, outlet: Outlet) -> None:
        """A transaction is over."""

    def unplugged(self, outlet: Outlet) -> None:
        """The cable was pulled."""


class Deviations:
    """Those of one station, in order: each may change what the one before has made of it."""

    def __init__(self, deviations: Iterable[Deviation]) -> None:
        self._each = [deepcopy(deviation) for deviation in deviations]

    def answer(
        self, station: SimulatedChargePoint, action: str, payload: Payload, usual: Callable[[], Answer]
    ) -> Answer:
        def around(inner: Callable[[], Answer], deviation: Deviation) -> Callable[[], Answer]:
            return lambda: deviation.answer(station, action, payload, inner)

        return reduce(around, self._each, usual)()

    def say(self, station: SimulatedChargePoint, action: str, payload: Payload) -> Payload | None:
        said: Payload | None = payload
        for deviation in self._each:
            said = None if said is None else deviation.say(station, action, said)
        return said

    def offer(self, station: SimulatedChargePoint, outlet: Outlet, offered_a: float, at: datetime) -> float:
        for deviation in self._each:
            offered_a = deviation.offer(station, outlet, offered_a, at)
        return offered_a

    def status(self, outlet: Outlet, status: str) -> str:
        for deviation in self._each:
            status = deviation.status(outlet, status)
        return status

    def sample(self, outlet: Outlet, values: Samples) -> Samples:
        for deviation in self._each:
            values = deviation.sample(outlet, values)
        return values

    def let_begin(self, outlet: Outlet) -> bool:
        return all(deviation.lets_begin(outlet) for deviation in self._each)

    def live(self, station: SimulatedChargePoint, now: datetime) -> None:
        for deviation in self._each:
            deviation.live(station, now)

    def ended(self, outlet: Outlet) -> None:
        for deviation in self._each:
            deviation.ended(outlet)

    def unplugged(self, outlet: Outlet) -> None:
        for deviation in self._each:
            deviation.unplugged(outlet)
