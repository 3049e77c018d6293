"""Vehicles as they really came and went, read from a CSV and put on the site's connectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from csms.errors import InvalidInput
from simulation.series import Row, Table

SESSION_COLUMNS = ("station_id", "arrival_utc", "departure_utc", "energy_kwh", "max_current_a", "phases")
DECLARED_COLUMNS = ("declared_departure_utc", "requested_kwh")
LEFT_OUT = "none"

Stations = Mapping[str, str] | Literal["auto"]
"""Whose sessions go where: {"AG-1F08": "CP1"}, "CP1/2" for its second connector, "none" to leave out."""


@dataclass(frozen=True, slots=True)
class Session:
    """A vehicle's stay. energy_wh is what it takes if it can; declared: what its driver announced."""

    station_id: str
    connector: str
    arrival_at: datetime
    departure_at: datetime
    energy_wh: float
    max_a: float
    phases: int
    declared_departure_at: datetime | None = None
    requested_wh: float | None = None


def read_sessions(
    path: Path,
    connectors: Sequence[str],
    columns: Mapping[str, str] | None = None,
    stations: Stations | None = None,
) -> list[Session]:
    """Read all sessions, by arrival. `connectors`: the site's, as "CP1/1", in the order of its file.

    Raises:
        InvalidInput: with file, line and column, or the station ids that no connector is known for.
    """
    known = (*SESSION_COLUMNS, *DECLARED_COLUMNS)
    mapped = {name: header for name, header in (columns or {}).items() if name in known}
    rows = [(row, row.text("station_id")) for row in Table(path, mapped, SESSION_COLUMNS).rows()]
    ids = list(dict.fromkeys(station_id for _, station_id in rows))
    places = place_stations(path.name, ids, connectors, stations or {})
    sessions = [
        _session(row, station_id, places[station_id]) for row, station_id in rows if places[station_id]
    ]
    return sorted(sessions, key=lambda s: s.arrival_at)


def place_stations(
    file: str, ids: Sequence[str], connectors: Sequence[str], stations: Stations
) -> dict[str, str]:
    """The connector of each station id; "" = leave its sessions out.

    Raises:
        InvalidInput: unknown ids, an unknown target, or "auto" with more ids than connectors.
    """
    given = {} if stations == "auto" else stations
    for station_id, target in given.items():
        if station_id not in ids:
            raise InvalidInput("--station", station_id, f"one of the station ids in {file}: {', '.join(ids)}")
        if target != LEFT_OUT and _connector(target, connectors) is None:
            raise InvalidInput(
                "--station", f"{station_id}={target}", f"a connector of the site: {', '.join(connectors)}"
            )
    places = {i: "" if given.get(i) == LEFT_OUT else _connector(given.get(i, i), connectors) for i in ids}
    unknown = [i for i in ids if places[i] is None]
    if stations == "auto":
        free = [c for c in connectors if c not in places.values()]
        if len(free) < len(unknown):
            raise InvalidInput(
                "--station auto",
                f"{len(unknown)} stations in {file}",
                f"at most {len(free)}, as many as free connectors",
            )
        places |= dict(zip(unknown, free, strict=False))
    elif unknown:
        raise _unknown_stations(file, unknown, connectors)
    return {i: place or "" for i, place in places.items()}


def _connector(name: str, connectors: Sequence[str]) -> str | None:
    return next((c for c in (name, f"{name}/1") if c in connectors), None)


def _unknown_stations(file: str, unknown: Sequence[str], connectors: Sequence[str]) -> InvalidInput:
    example = " ".join(f"--station {i}={c}" for i, c in zip(unknown, connectors, strict=False))
    hint = f"say which is which, e.g. {example}" if example else "the site has no charge points"
    if example and len(unknown) <= len(connectors):
        hint += ", or --station auto for the order of first appearance"
    return InvalidInput(
        f"{file}, column station_id",
        ", ".join(unknown),
        f"connectors of the site ({', '.join(connectors)}): {hint}",
    )


def _session(row: Row, station_id: str, connector: str) -> Session:
    arrival_at, departure_at = row.time("arrival_utc"), row.time("departure_utc")
    if departure_at <= arrival_at:
        raise row.fault("departure_utc", row.text("departure_utc"), f"a time after {row.text('arrival_utc')}")
    energy_kwh = row.number("energy_kwh")
    if energy_kwh < 0:
        raise row.fault("energy_kwh", energy_kwh, "0 or more")
    max_a = row.number("max_current_a")
    if max_a <= 0:
        raise row.fault("max_current_a", max_a, "more than 0 A")
    phases = row.number("phases", "1, 2 or 3")
    if phases not in (1, 2, 3):
        raise row.fault("phases", row.text("phases"), "1, 2 or 3")
    declared_at = row.time("declared_departure_utc") if row.has("declared_departure_utc") else None
    requested_wh = row.number("requested_kwh") * 1000 if row.has("requested_kwh") else None
    return Session(
        station_id,
        connector,
        arrival_at,
        departure_at,
        energy_kwh * 1000,
        max_a,
        int(phases),
        declared_at,
        requested_wh,
    )
