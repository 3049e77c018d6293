"""The sky: how much of the clear-sky light gets through, as a pure function of seed and time."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from simulation.noise import chance, smoothstep, value_noise

CLOUD_PASSING_S = 420.0
CLOUD_EDGE_S = 90.0
CLOUD_TRANSMISSION = 0.2


class DayType(StrEnum):
    CLEAR = "clear"
    MIXED = "mixed"
    OVERCAST = "overcast"


class Weather:
    """day_type: the same type every day; None = each day its own, drawn from the seed."""

    def __init__(self, seed: int, day_type: DayType | None = None) -> None:
        self._seed = seed
        self._day_type = day_type

    def day_type(self, at: datetime) -> DayType:
        if self._day_type is not None:
            return self._day_type
        drawn = chance(self._seed, 1, at.date().toordinal())
        return DayType.CLEAR if drawn < 0.35 else DayType.MIXED if drawn < 0.8 else DayType.OVERCAST

    def transmission(self, at: datetime) -> float:
        """Share of the clear-sky irradiance on the ground, 0..1; about 0.2 under a passing cloud."""
        second = at.timestamp()
        veil = value_noise(self._seed * 7 + 3, second / 3600)
        match self.day_type(at):
            case DayType.CLEAR:
                return 0.95 + 0.05 * veil
            case DayType.OVERCAST:
                return 0.10 + 0.18 * veil
            case DayType.MIXED:
                cloud = self._cloud(second)
                return (0.94 + 0.06 * veil) * (1 - cloud) + (CLOUD_TRANSMISSION + 0.05 * veil) * cloud

    def _cloud(self, second: float) -> float:
        """1 while a cloud covers the sun, 0 in the gaps; edges last a minute or so."""
        field = 0.75 * value_noise(self._seed * 7 + 1, second / CLOUD_PASSING_S) + 0.25 * value_noise(
            self._seed * 7 + 2, second / CLOUD_EDGE_S
        )
        return smoothstep(field, 0.58, 0.66)
