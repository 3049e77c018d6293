"""What a station tells of itself that control must know. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from csms.domain.charge_point import Station
from csms.domain.phase_rotation import Phases, rotations
from csms.domain.station_vendors import make_of


@dataclass(frozen=True, slots=True)
class StationFacts:
    """never_wake_by: steps that its make does not bear. rotation: connector -> the grid's phases on the
    station's own L1, L2, L3. pauses: it bears a limit of 0."""

    never_wake_by: frozenset[str] = frozenset()
    rotation: Mapping[int, Phases] = field(default_factory=dict)
    pauses: bool = True


NOTHING_TOLD = StationFacts()


def facts_of(station: Station, never_pauses: bool = False) -> StationFacts:
    """never_pauses: as its limits were seen to be followed."""
    keys = {key.casefold(): value for key, value in station.configuration.items()}
    rotation = rotations(keys.get("connectorphaserotation"), set(station.connectors))
    make = make_of(station.vendor, station.model)
    pauses = make.limits.pauses and not station.ends_at_zero and not never_pauses
    return StationFacts(make.never_wake_by, rotation, pauses)
