"""Random numbers that are a pure function of seed and place: any instant can be evaluated alone."""

from __future__ import annotations

import math

_MASK = (1 << 64) - 1


def chance(seed: int, *place: int) -> float:
    """A uniform number in [0, 1) belonging to this place. Source: splitmix64 finaliser."""
    z = seed & _MASK
    for part in place:
        z = (z + 0x9E3779B97F4A7C15 + (part & _MASK) * 0xD1342543DE82EF95) & _MASK
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        z ^= z >> 31
    return z / 2**64


def smoothstep(x: float, low: float, high: float) -> float:
    """0 below low, 1 above high, without a kink in between."""
    t = min(1.0, max(0.0, (x - low) / (high - low)))
    return t * t * (3 - 2 * t)


def value_noise(seed: int, x: float) -> float:
    """A smooth curve through one chance per whole x, in [0, 1)."""
    left = math.floor(x)
    blend = smoothstep(x - left, 0.0, 1.0)
    return chance(seed, left) * (1 - blend) + chance(seed, left + 1) * blend
