"""The measured days that `benchmarks.value` replays: what is where is in the data's own README."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from csms.control_model import control_site
from csms.domain.site import ResponseName, SiteConfig
from simulation.plant import DailyNeed
from simulation.scenario import Scenario
from simulation.series import Series, read_series
from simulation.sessions import read_sessions

DATA = Path(os.environ.get("HELIANTHUS_DATA", Path(__file__).parents[2] / "shared" / "data"))
SERIES = DATA / "scenario_2016-06-01_15.csv.gz"
WORKPLACE = DATA / "scenario_2016-06-01_15_workplace_sessions.csv.gz"
APARTMENTS = DATA / "scenario_2016-06-01_15_ev_sessions.csv.gz"
FIRST_AT = datetime(2016, 6, 1, tzinfo=UTC)
LAST_DAY = 15
MEASURED_KWP = 10
DECLARED = {"declared_departure_utc": "estimated_departure_utc", "requested_kwh": "requested_energy_kwh"}
VEHICLES = {"phases": "phases_est", "max_current_a": "max_current_a_est"}
HOT_WATER_KWH = 8.0  # a day, four people


@dataclass(frozen=True, slots=True)
class Case:
    """One site and its days. houses: whose measured loads stand behind the grid meter. declared: the drivers
    say when they leave and what they need. daily_kwh: what the boiler takes at most. first, last: which of
    the days, from 1.
    """

    kind: str
    kwp: int
    houses: tuple[str, ...]
    sessions: Path | None = None
    declared: bool = False
    daily_kwh: float | None = None
    response: ResponseName = "balanced"
    first: int = 1
    last: int = LAST_DAY

    @property
    def name(self) -> str:
        return f"{self.kind}, {self.kwp} kWp"

    @property
    def rivals_same_as(self) -> Case:
        """Who does not listen to declarations meets the same days without them."""
        return replace(self, kind=WORKPLACE_KIND, declared=False) if self.declared else self


WORKPLACE_KIND = "workplace"


def workplace(kwp: int, declared: bool) -> Case:
    kind = f"{WORKPLACE_KIND}, declared" if declared else WORKPLACE_KIND
    return Case(kind, kwp, ("h1",), WORKPLACE, declared)


def apartments(kwp: int) -> Case:
    return Case("8 apartments", kwp, ("h1", "h2"), APARTMENTS)


def house(house: str, kwp: int, daily_kwh: float | None) -> Case:
    kind = f"house {house}, boiler {f'{daily_kwh:g} kWh a day' if daily_kwh else 'unlimited'}"
    return Case(kind, kwp, (house,), daily_kwh=daily_kwh)


def cases(quick: bool) -> list[Case]:
    if quick:
        return [workplace(30, declared=True), workplace(30, declared=False), house("h1", 10, HOT_WATER_KWH)]
    found = []
    for kwp in (10, 20, 30):
        found += [workplace(kwp, declared=True), workplace(kwp, declared=False)]
        found.append(apartments(kwp))
        found += [house(name, kwp, daily) for name in ("h1", "h2") for daily in (HOT_WATER_KWH, None)]
    return found


def scenario(case: Case) -> Scenario:
    config = _site(case)
    site = control_site(config)
    sessions = []
    if case.sessions:
        columns = VEHICLES | (DECLARED if case.declared else {})
        if case.sessions == APARTMENTS:
            columns["station_id"] = "user_id"
        sessions = read_sessions(case.sessions, [c.id for c in site.connectors], columns, "auto")
    series = _series(case.houses, case.kwp / MEASURED_KWP, case.first, case.last)
    sessions = [s for s in sessions if series.start_at <= s.arrival_at < series.end_at]
    needs = {"boiler": DailyNeed(energy_wh=case.daily_kwh * 1000)} if case.daily_kwh else {}
    return Scenario(site, series, sessions, needs)


@cache
def _series(houses: tuple[str, ...], pv_scale: float, first: int, last: int) -> Series:
    start, end = FIRST_AT + timedelta(days=first - 1), FIRST_AT + timedelta(days=last)
    found = []
    for name in houses:
        columns = {"load_w": f"load_{name}_w"} | {f"load_l{n}_w": f"load_{name}_l{n}_w" for n in (1, 2, 3)}
        found.append(read_series(SERIES, columns, pv_scale=pv_scale, start=start, end=end))
    l1_w, l2_w, l3_w = (_added([series.load_phases_w[phase] for series in found]) for phase in range(3))
    return replace(
        found[0], load_w=_added([series.load_w for series in found]), load_phases_w=(l1_w, l2_w, l3_w)
    )


def _added(columns: Sequence[list[float]]) -> list[float]:
    return [sum(values) for values in zip(*columns, strict=True)]


def _site(case: Case) -> SiteConfig:
    """A house with a boiler of three elements, or eight single-phase stations spread over the phases."""
    boiler = {
        "id": "boiler",
        "kind": "water_heater",
        "circuit": "main",
        "steps": [{"relays": [f"io1/{n}"], "power_w": 1000, "phases": [f"L{n}"]} for n in (1, 2, 3)],
    }
    module = {"id": "io1", "driver": "modbus", "model": "wellpro_wp8024adam", "host": "192.0.2.1"}
    site: dict[str, Any] = {
        "site": {
            "id": "site",
            "name": case.name,
            "timezone": "Europe/Zurich",
            "response": case.response,
        },
        "circuit": [{"id": "main", "limit_a": [100 if case.sessions else 40] * 3}],
    }
    if case.sessions is None:
        return SiteConfig.model_validate(site | {"relay_module": [module], "appliance": [boiler]})
    return SiteConfig.model_validate(site | {"charge_point": [_station(n) for n in range(1, 9)]})


def _station(number: int) -> dict[str, Any]:
    connector = {"id": 1, "phases": [f"L{(number - 1) % 3 + 1}"], "min_a": 6, "max_a": 32}
    return {"id": f"CP{number}", "circuit": "main", "connectors": [connector]}
