"""Watts and amperes: what a vehicle draws on n phases, which currents it may be set to, and what a
three-phase heater without a neutral does behind two relays.

Currents are per phase. Steps are counted in nanoamperes, so that 0.1 A steps do not drift.
"""

from __future__ import annotations

from math import sqrt

from optimizer.model import JointState, PhaseTriple

NANO = 1_000_000_000


def nano(value: float) -> int:
    """A quantity in units of 1e-9: exact for any decimal with up to nine places (below 9e6)."""
    return round(value * NANO)


def watts_from_amps(current_a: float, phase_count: int, voltage_v: float = 230.0) -> float:
    """6 A are 1380 W on one phase and 4140 W on three, at 230 V between phase and neutral."""
    return current_a * voltage_v * phase_count


def amps_from_watts(power_w: float, phase_count: int, voltage_v: float = 230.0) -> float:
    """The current on each phase at which the phases together take power_w."""
    return power_w / (voltage_v * phase_count)


def level_count(min_a: float, max_a: float, step_a: float) -> int:
    """How many of min_a, min_a + step_a, … are at most max_a."""
    span, step = nano(max_a) - nano(min_a), nano(step_a)
    return span // step + 1 if span >= 0 else 0


def current_levels(min_a: float, max_a: float, step_a: float) -> tuple[float, ...]:
    """The currents a connector may be set to besides 0. [A]"""
    first, step = nano(min_a), nano(step_a)
    levels = (first + k * step for k in range(level_count(min_a, max_a, step_a)))
    return tuple(level / NANO for level in levels if level > 0)


def legal_current(wanted_a: float, min_a: float, max_a: float, step_a: float) -> float:
    """The highest legal current that is not above wanted_a: 0, or at least min_a. [A]"""
    count = level_count(min_a, min(wanted_a, max_a), step_a)
    return (nano(min_a) + (count - 1) * nano(step_a)) / NANO if count else 0.0


def phase_currents(current_a: float, phases: tuple[int, ...]) -> PhaseTriple:
    """current_a on each of the phases (indices 0..2), nothing on the others."""
    l1, l2, l3 = (current_a if phase in phases else 0.0 for phase in range(3))
    return (l1, l2, l3)


def add_currents(one: PhaseTriple, other: PhaseTriple) -> PhaseTriple:
    l1, l2, l3 = (a + b for a, b in zip(one, other, strict=True))
    return (l1, l2, l3)


def heater_without_neutral(
    rated_power_w: float, l1_l2: str, l1_l3: str, voltage_v: float = 230.0
) -> tuple[JointState, ...]:
    """States of a balanced three-phase heater without neutral: L1 permanent, two relays close L2 and L3.

    Star, R per arm: all lines 3·U²/R; with one line open two arms in series see √3·U, so
    3·U²/2R = half the rated power at √3·U/2R, √3/2 of the full line current. A delta is the same
    by star-delta equivalence (R ∥ 2R at √3·U). E.g. 3000 W at 230 V: 4.35 A on three lines, or
    1500 W and 3.77 A on two, nothing on the third. The half states are not the sum of phase
    watts, hence joint states. Line currents count for the fuse, not watts per phase.

    Args:
        rated_power_w: with all three lines closed.
        l1_l2, l1_l3: ids of the elements behind the two relays.
        voltage_v: between phase and neutral.
    """
    line_a = amps_from_watts(rated_power_w, 3, voltage_v)
    half_a = sqrt(3) / 2 * line_a
    return (
        JointState(frozenset(), 0.0, (0.0, 0.0, 0.0)),
        JointState(frozenset({l1_l2}), rated_power_w / 2, (half_a, half_a, 0.0)),
        JointState(frozenset({l1_l3}), rated_power_w / 2, (half_a, 0.0, half_a)),
        JointState(frozenset({l1_l2, l1_l3}), rated_power_w, (line_a, line_a, line_a)),
    )
