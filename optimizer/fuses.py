"""What the fuses leave for the loads, per circuit and phase, and the ledger of who has claimed it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from optimizer.model import NO_CURRENT, Circuit, PhaseTriple, PowerReading, Readings, Site
from optimizer.surplus import Draw, Freshness, freshness

ROUNDING_A = 1e-6
PHASES = (0, 1, 2)

# A meter that does not tell the phases apart: half of the unknown power is taken to hang on each phase,
# one and a half times the mean; an export relieves no phase, as the inverter's phase is not known.
SHARE_OF_ONE_PHASE = 0.5


@dataclass(frozen=True, slots=True)
class Fuse:
    """One phase of one circuit. phase: 0, 1, 2 = L1, L2, L3."""

    circuit: str
    phase: int
    limit_a: float


@lru_cache(maxsize=256)
def paths(circuits: tuple[Circuit, ...]) -> Mapping[str, tuple[str, ...]]:
    """For each circuit: itself and those above it, up to the root."""
    parents = {circuit.id: circuit.parent for circuit in circuits}
    result = {}
    for circuit in circuits:
        path = [circuit.id]
        while (above := parents[path[-1]]) is not None:
            path.append(above)
        result[circuit.id] = tuple(path)
    return result


class Fuses:
    """The headroom ledger. room_a: what is left on each phase; below 0 where others alone exceed the limit.

    metered_a: what the meters see and the loads do not explain, for the circuits that have a meter.
    silent: circuits whose meter says nothing any more, so that what else they carry is a guess.
    """

    def __init__(
        self, circuits: tuple[Circuit, ...], metered_a: Mapping[str, PhaseTriple], silent: frozenset[str]
    ) -> None:
        self._circuits = {circuit.id: circuit for circuit in circuits}
        self._paths = paths(circuits)
        self.metered_a = metered_a
        self.silent = silent
        others = _with_what_hangs_below(circuits, metered_a)
        self.room_a = {
            id: [limit - other for limit, other in zip(circuit.limit_a, others[id], strict=True)]
            for id, circuit in self._circuits.items()
        }

    def blocking(self, circuit: str, current_a: Sequence[float]) -> Fuse | None:
        """The first fuse on the way to the root that could not carry this current as well."""
        for above in self._paths[circuit]:
            room = self.room_a[above]
            for phase in PHASES:
                if current_a[phase] > 0 and current_a[phase] > room[phase] + ROUNDING_A:
                    return Fuse(above, phase, self._circuits[above].limit_a[phase])
        return None

    def take(self, circuit: str, current_a: Sequence[float]) -> None:
        for above in self._paths[circuit]:
            room = self.room_a[above]
            for phase in PHASES:
                room[phase] -= current_a[phase]

    def release(self, circuit: str, current_a: Sequence[float]) -> None:
        self.take(circuit, [-amps for amps in current_a])

    def is_silent(self, circuit: str) -> bool:
        return not self.silent.isdisjoint(self._paths[circuit])

    def exceeded_by(self, circuit: str, current_a: Sequence[float]) -> Fuse | None:
        """The first fuse on the way to the root that is exceeded on a phase where this current flows."""
        for above in self._paths[circuit]:
            for phase in PHASES:
                if current_a[phase] > 0 and self.room_a[above][phase] < -ROUNDING_A:
                    return Fuse(above, phase, self._circuits[above].limit_a[phase])
        return None

    def exceeded(self) -> bool:
        return any(room < -ROUNDING_A for rooms in self.room_a.values() for room in rooms)


def open_fuses(
    site: Site,
    readings: Readings,
    draws: Sequence[Draw],
    remembered: Mapping[str, PhaseTriple],
    now: datetime,
) -> Fuses:
    """The ledger before any load has claimed: limit − what the meters see and the loads do not explain.

    A zone's meter speaks for its circuit, the grid meter for the root if there is one root only. A late
    or lost meter leaves what it last told; a circuit without a meter carries at least what is known of
    the circuits below it.
    """
    roots = [circuit.id for circuit in site.circuits if circuit.parent is None]
    silent = set()
    metered_a: dict[str, PhaseTriple] = {}
    for circuit in site.circuits:
        reading = readings.zones.get(circuit.id)
        if reading is None and roots == [circuit.id]:
            reading = readings.grid
        trust = freshness(reading, now)
        if reading is not None and trust is Freshness.FRESH:
            metered_a[circuit.id] = _unexplained(site, circuit.id, reading, draws)
        elif circuit.id in remembered:
            metered_a[circuit.id] = remembered[circuit.id]
        if trust is Freshness.LOST and (reading is not None or circuit.metered):
            silent.add(circuit.id)
    return Fuses(site.circuits, metered_a, frozenset(silent))


def _unexplained(site: Site, circuit: str, reading: PowerReading, draws: Iterable[Draw]) -> PhaseTriple:
    """The signed current at this meter that no load of ours accounts for."""
    way_up = paths(site.circuits)
    ours = [draw for draw in draws if circuit in way_up[draw.circuit]]
    if reading.current_a is None or not all(map(math.isfinite, reading.current_a)):
        other_w = reading.power_w - sum(draw.power_w for draw in ours)
        amps = max(0.0, other_w) * SHARE_OF_ONE_PHASE / site.voltage_v
        ours = [draw for draw in ours if not draw.is_sure]
        l1, l2, l3 = (amps, amps, amps)
    else:
        l1, l2, l3 = reading.current_a
    for draw in ours:
        a1, a2, a3 = draw.current_a
        l1, l2, l3 = l1 - a1, l2 - a2, l3 - a3
    return (l1, l2, l3)


def _with_what_hangs_below(
    circuits: tuple[Circuit, ...], metered_a: Mapping[str, PhaseTriple]
) -> dict[str, PhaseTriple]:
    """Circuits nobody measures get the sum of what is known of those below them."""
    result: dict[str, PhaseTriple] = dict(metered_a)

    def fill(circuit: str) -> PhaseTriple:
        l1, l2, l3 = NO_CURRENT
        for child in circuits:
            if child.parent == circuit:
                a1, a2, a3 = fill(child.id)
                l1, l2, l3 = l1 + a1, l2 + a2, l3 + a3
        return result.setdefault(circuit, (l1, l2, l3))

    for circuit in circuits:
        if circuit.parent is None:
            fill(circuit.id)
    return result
