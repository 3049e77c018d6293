"""Small measured-looking files and sites to replay them on."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from csms.domain.site import SiteConfig
from simulation.replay import ReplayResult

NOON = datetime(2024, 6, 3, 10, tzinfo=UTC)  # a Monday, 12:00 in Zurich


def boiler(**changes: Any) -> dict[str, Any]:
    """Three 1000 W elements, one on each phase."""
    steps = [{"relays": [f"io1/{n}"], "power_w": 1000, "phases": [f"L{n}"]} for n in (1, 2, 3)]
    return {"id": "boiler", "kind": "water_heater", "circuit": "main", "steps": steps} | changes


def station(id: str = "CP1", **changes: Any) -> dict[str, Any]:
    connector = {"id": 1, "phases": ["L1"], "min_a": 6, "max_a": 16} | changes
    return {"id": id, "circuit": "main", "connectors": [connector]}


def make_site(
    appliances: Sequence[dict[str, Any]] = (),
    charge_points: Sequence[dict[str, Any]] = (),
    limit_a: float = 40,
    control_interval_s: float = 60,
) -> SiteConfig:
    module = {"id": "io1", "driver": "modbus", "model": "wellpro_wp8024adam", "host": "192.0.2.1"}
    return SiteConfig.model_validate(
        {
            "site": {
                "id": "home",
                "name": "Home <of> the sun",
                "timezone": "Europe/Zurich",
                "control_interval_s": control_interval_s,
            },
            "circuit": [{"id": "main", "limit_a": [limit_a] * 3}],
            "relay_module": [module],
            "appliance": list(appliances),
            "charge_point": list(charge_points),
        }
    )


def utc(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def write_series(
    path: Path,
    pv_w: Iterable[float],
    load_w: float | Sequence[float] = 200,
    *,
    start: datetime = NOON,
    step_s: float = 60,
) -> Path:
    lines = ["timestamp_utc,pv_w,load_w"]
    for i, pv in enumerate(pv_w):
        load = load_w[i] if isinstance(load_w, Sequence) else load_w
        lines.append(f"{utc(start + timedelta(seconds=i * step_s))},{pv},{load}")
    text = "\n".join(lines) + "\n"
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


def write_sessions(path: Path, *rows: tuple[str, int, int, float, float, int]) -> Path:
    """Rows of (station, minute of arrival, minute of departure, kWh, A, phases), minutes after noon."""
    lines = ["station_id,arrival_utc,departure_utc,energy_kwh,max_current_a,phases"]
    for station_id, arrival, departure, kwh, amps, phases in rows:
        times = (utc(NOON + timedelta(minutes=minute)) for minute in (arrival, departure))
        lines.append(f"{station_id},{','.join(times)},{kwh},{amps},{phases}")
    path.write_text("\n".join(lines) + "\n")
    return path


class Replayed:
    """A finished run as its files tell it."""

    def __init__(self, result: ReplayResult):
        self.result = result
        self.figures = json.loads(result.result_path.read_text())
        with result.minutes_path.open() as file:
            self.minutes = list(csv.DictReader(file))

    def column(self, name: str) -> list[float]:
        return [float(minute[name]) for minute in self.minutes]


Replay = Callable[..., Replayed]
