"""On which phases a station really hangs, told by what the grid meter shows when its car is held back. Pure.

The car must use one phase or two: one that takes all three alike looks the same in every order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from csms.domain.wiring import (
    NAMES,
    Diagnosis,
    Finding,
    Phases3,
    direction,
    in_site_order,
    turned,
)

CARRYING_A = 1.0
_SHOWS_SHARE = 0.4
_FOLLOWS_SHARE = 0.3
_ROTATIONS = ((0, 1, 2), (1, 2, 0), (2, 0, 1))  # installers rotate, so that cars load all phases alike
AGAIN = "Plug in a car and press again; if the sun is too small for it, set its mode to on"


@dataclass(frozen=True, slots=True)
class HeldBack:
    """A connector whose limit was lowered to limit_a for a while.

    wired: on which phase of the site (0, 1, 2) its own L1, L2 … are by the description. own_a: what the car
    took before, by the station, on these. fell_w, fell_phases_w: how much less the grid meter showed.
    """

    id: str
    wired: tuple[int, ...]
    own_a: tuple[float, ...]
    limit_a: float
    voltage_v: float
    fell_w: float
    fell_phases_w: Phases3 | None

    @property
    def subject(self) -> str:
        return f"station {self.id}"

    @property
    def expected_w(self) -> float:
        return sum(max(a - self.limit_a, 0.0) for a in self.own_a) * self.voltage_v

    @property
    def carrying(self) -> tuple[int, ...]:
        """Which of its own phases the car uses."""
        return tuple(n for n, amps in enumerate(self.own_a[: len(self.wired)]) if amps >= CARRYING_A)


def diagnose_stations(
    held: Sequence[HeldBack], loads: Diagnosis, grid_meter: str, inverted: bool
) -> list[Finding]:
    """loads: what the loads behind relays told of the grid meter; where there were none, stations tell its
    direction."""
    findings = []
    is_reversed = loads.is_reversed
    if is_reversed is None and held:
        fell_w = sum(one.fell_w for one in held)
        is_reversed = fell_w < 0
        said = f"{len(held)} charging cars, held back by {sum(h.expected_w for h in held):.0f} W together,"
        if is_reversed:
            findings.append(direction(grid_meter, True, inverted, said, fell_w))
    for one in held:
        if is_reversed:
            one = replace(one, fell_w=-one.fell_w, fell_phases_w=turned(one.fell_phases_w))
        if one.fell_phases_w is not None:
            one = replace(one, fell_phases_w=in_site_order(one.fell_phases_w, loads.order))
        findings += _station(one, loads.is_order_seen)
    return findings


def _station(held: HeldBack, is_order_seen: bool) -> Iterator[Finding]:
    said = f"held to {held.limit_a:g} A its car should take {held.expected_w:.0f} W less"
    if held.fell_w < _FOLLOWS_SHARE * held.expected_w:
        text = f"{said}, but the grid meter shows {held.fell_w:.0f} W"
        advice = "Does it follow its limit (docs/limits-on-stations.md)? Is it behind this meter?"
        yield Finding(held.subject, "follows", "fault", text, advice)
        return
    yield Finding(held.subject, "follows", "ok", f"{said}: the grid meter shows {held.fell_w:.0f} W less")
    if held.fell_phases_w is not None:
        yield _phases(held, held.fell_phases_w, is_order_seen)


def _phases(held: HeldBack, fell_w: Phases3, is_order_seen: bool) -> Finding:
    least_w = _SHOWS_SHARE * max(fell_w)
    shown = {phase for phase, w in enumerate(fell_w) if w >= least_w}
    described = {held.wired[own] for own in held.carrying}
    own, shows = _names(held.carrying, "its "), "shows" if len(held.carrying) == 1 else "show"
    if shown == described and len(shown) == 3:
        text = "the car takes all three phases alike, which looks the same in every order"
        return Finding(
            held.subject, "phases", "inconclusive", text, "Repeat it with a car that charges on one phase"
        )
    if shown == described:
        return Finding(held.subject, "phases", "ok", f"{own} on {_names(shown)}, as the site file has it")
    if len(shown) != len(described):
        text = f"its car takes {own}, but at the grid meter it shows on {_names(shown)}"
        advice = "Look which phases are connected at the station, and write them to `phases` of its connector"
        return Finding(held.subject, "phases", "fault", text, advice)
    text = f"the phases are rotated: {own} {shows} on {_names(shown)}, the site file has {_names(described)}"
    return Finding(held.subject, "phases", "fault", text, _advice(held, shown, is_order_seen))


def _advice(held: HeldBack, shown: set[int], is_order_seen: bool) -> str:
    doubt = "" if is_order_seen else " Or the grid meter's own phases are exchanged: no load told them."
    for rotation in _ROTATIONS:
        if {rotation[own] for own in held.carrying} == shown and len(held.wired) == 3:
            names = ", ".join(f'"{NAMES[phase]}"' for phase in rotation)
            return f"If all are rotated in turn: phases = [{names}] at its connector; else look.{doubt}"
    names = ", ".join(f'"{NAMES[phase]}"' for phase in sorted(shown))
    return f"Write phases = [{names}] to its connector, or connect it as the site file has it.{doubt}"


def _names(phases: Sequence[int] | set[int], before: str = "") -> str:
    return before + " and ".join(NAMES[phase] for phase in sorted(phases))


def not_checked(id: str, why: str = "no car is charging") -> Finding:
    return Finding(f"station {id}", "phases", "inconclusive", f"not checked: {why}", AGAIN)
