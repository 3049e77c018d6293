"""Two measured June days with real workplace sessions, when the evaluation data is at hand."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from replay_builders import Replayed, boiler, make_site, station

from simulation.replay import ReplayOptions, run

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("HELIANTHUS_DATA", ROOT.parent / "shared" / "data"))
SERIES = DATA / "scenario_2016-06-01_15.csv.gz"
SESSIONS = DATA / "scenario_2016-06-01_15_workplace_sessions.csv.gz"
COLUMNS = {
    "load_w": "load_h1_w",
    "load_l1_w": "load_h1_l1_w",
    "load_l2_w": "load_h1_l2_w",
    "load_l3_w": "load_h1_l3_w",
    "phases": "phases_est",
    "max_current_a": "max_current_a_est",
    "declared_departure_utc": "estimated_departure_utc",
}
TARGETS = {**COLUMNS, "requested_kwh": "requested_energy_kwh"}
pytestmark = pytest.mark.skipif(
    not SERIES.exists(), reason=f"measured data not found in {DATA} (set HELIANTHUS_DATA)"
)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Replayed:
    """Eight single-phase stations and a boiler under 30 kWp, 6 and 7 June; departures are declared."""
    return replay(tmp_path_factory.mktemp("workplace"), COLUMNS)


def replay(out: Path, columns: dict[str, str], mode: str = "solar_only") -> Replayed:
    site = make_site(
        [boiler()],
        [station(f"CP{n}", phases=[f"L{(n - 1) % 3 + 1}"], max_a=32, mode=mode) for n in range(1, 9)],
        limit_a=100,
    )
    return Replayed(
        run(
            ReplayOptions(
                site=site,
                series=SERIES,
                sessions=SESSIONS,
                columns=columns,
                stations="auto",
                pv_scale=3,
                start=datetime(2016, 6, 6, tzinfo=UTC),
                end=datetime(2016, 6, 8, tzinfo=UTC),
                compare=["rule", "evcc", "bound"],
                out=out,
            )
        )
    )


def test_control_uses_more_sun_than_none_and_keeps_the_fuses(workplace: Replayed) -> None:
    figures = workplace.figures
    assert figures["solar_into_loads_kwh"] > figures["compare"]["none"]["solar_into_loads_kwh"]
    assert figures["fuse_excess_s"] == 0
    assert figures["days"] == 2


def test_control_is_calmer_than_the_plain_rule_at_about_the_same_sun(workplace: Replayed) -> None:
    figures = workplace.figures
    rule = figures["compare"]["rule"]
    assert figures["switchings_per_day_total"] < rule["switchings_per_day_total"]
    assert figures["solar_into_loads_kwh"] > 0.98 * rule["solar_into_loads_kwh"]


def test_control_captures_more_than_evccs_rule_and_nobody_more_than_possible(workplace: Replayed) -> None:
    figures = workplace.figures
    captured = {
        name: run["solar_captured_pct_of_bound"]
        for name, run in {**figures["compare"], "helianthus": figures}.items()
        if not run["fuse_excess_s"]
    }
    assert captured["helianthus"] > captured["evcc"]
    assert max(captured.values()) == captured["bound"] == 100


def test_no_vehicle_gets_more_than_it_took_in_reality(workplace: Replayed) -> None:
    sessions = workplace.figures["sessions"]
    assert len(sessions) > 20
    assert all(s["delivered_kwh"] <= s["energy_kwh"] + 1e-3 for s in sessions)
    delivered_kwh = sum(s["delivered_kwh"] for s in sessions)
    columns = [name for name in workplace.minutes[0] if name.startswith("CP") and name.endswith("_w")]
    drawn_kwh = sum(sum(workplace.column(name)) for name in columns) / 60_000
    assert drawn_kwh == pytest.approx(delivered_kwh, abs=0.05)


def test_an_offer_is_nothing_or_at_least_the_minimum(workplace: Replayed) -> None:
    for n in range(1, 9):
        assert all(offer == 0 or 6 <= offer <= 32 for offer in workplace.column(f"CP{n}/1_offered_a"))


def test_who_told_departure_and_energy_leaves_with_it(tmp_path: Path) -> None:
    """As many needs are met as by charging everybody at full from the start; the fuse is kept."""
    figures = replay(tmp_path, TARGETS, mode="min_and_solar").figures
    needs, at_once = figures["needs"], figures["compare"]["none"]["needs"]
    assert sum(need["due"] for need in needs.values()) >= 10
    for station_id, need in needs.items():
        assert need["missing_kwh"] <= at_once[station_id]["missing_kwh"] + 0.05
    assert figures["solar_into_loads_kwh"] > figures["compare"]["none"]["solar_into_loads_kwh"]
    assert figures["fuse_excess_s"] <= 60  # one interval: what the house adds is seen a minute later
