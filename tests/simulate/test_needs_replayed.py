"""`csms simulate` with needs: what the site and the drivers want by a time, and what was missing then."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from replay_builders import NOON, Replay, Replayed, boiler, make_site, station, utc, write_series

from simulation.replay import ReplayOptions, run

DARK = [0.0] * 400
HOT_BY_SIX = {"until": "18:00", "energy_kwh": 6}  # six hours after NOON


def test_a_dark_day_is_heated_just_in_time(replayed: Replay) -> None:
    day = replayed(make_site([boiler(need=HOT_BY_SIX)]), DARK, compare=["rule"])
    heated = day.column("boiler_w")
    assert heated.index(3000) == 6 * 60 - 136
    assert day.figures["needs"]["boiler"] == {
        "due": 1,
        "short": 0,
        "missing_kwh": 0,
        "missing_h": 0,
        "left_early": 0,
        "times": [{"until_utc": "2024-06-03T16:00:00Z", "unit": "kWh", "wanted": 6, "got": 6, "missing": 0}],
    }
    assert day.figures["compare"]["rule"]["needs"]["boiler"]["missing_kwh"] == 6
    assert "All 1 needs were met by their time." in day.result.sentences


def test_a_sunny_day_needs_nothing_forced(replayed: Replay) -> None:
    day = replayed(make_site([boiler(need=HOT_BY_SIX)]), [3500.0] * 400)
    assert day.figures["needs"]["boiler"]["short"] == 0
    assert day.figures["caused_import_kwh"] == 0


def test_what_a_full_tank_does_not_take_is_missing(replayed: Replay) -> None:
    """The boiler takes 4 kWh a day at most, and without a sub-meter nobody sees that it is hot."""
    day = replayed(make_site([boiler(need=HOT_BY_SIX)]), DARK, daily_kwh={"boiler": 4})
    assert day.figures["needs"]["boiler"]["missing_kwh"] == 2
    assert "1 of 1 needs were not met by their time, 2.0 kWh in all." in day.result.sentences


def test_declared_departures_are_kept_and_early_leavers_are_told_apart(tmp_path: Path) -> None:
    """On a dark day: one car is ready in time, one leaves two hours before it said."""
    header = "station_id,arrival_utc,departure_utc,energy_kwh,max_current_a,phases"
    rows = [
        ("CP1", 5, 300, 7, 16, 1, 300, 7),
        ("CP2", 5, 100, 7, 16, 1, 220, 7),
        ("CP3", 5, 300, 7, 16, 1, None, 7),
    ]
    lines = [f"{header},declared_departure_utc,requested_kwh"]
    for id, arrives, leaves, kwh, amps, phases, declared, requested in rows:
        times = [utc(NOON + timedelta(minutes=minute)) for minute in (arrives, leaves)]
        told = "" if declared is None else utc(NOON + timedelta(minutes=declared))
        lines.append(f"{id},{times[0]},{times[1]},{kwh},{amps},{phases},{told},{requested}")
    (tmp_path / "sessions.csv").write_text("\n".join(lines) + "\n")
    result = run(
        ReplayOptions(
            site=make_site(charge_points=[station(f"CP{n}", mode="min_and_solar") for n in (1, 2, 3)]),
            series=write_series(tmp_path / "series.csv", DARK),
            sessions=tmp_path / "sessions.csv",
            out=tmp_path / "out",
        )
    )
    needs = Replayed(result).figures["needs"]
    assert (needs["CP1/1"]["due"], needs["CP1/1"]["short"]) == (1, 0)
    assert (needs["CP2/1"]["due"], needs["CP2/1"]["left_early"]) == (0, 1)
    assert "CP3/1" not in needs


def test_a_solar_only_garage_takes_no_grid_for_what_drivers_declare(tmp_path: Path) -> None:
    columns = "station_id,arrival_utc,departure_utc,energy_kwh,max_current_a,phases"
    arrival, departure = (utc(NOON + timedelta(minutes=minute)) for minute in (5, 300))
    (tmp_path / "sessions.csv").write_text(
        f"{columns},declared_departure_utc,requested_kwh\nCP1,{arrival},{departure},7,16,1,{departure},7\n"
    )
    site, series = make_site(charge_points=[station()]), write_series(tmp_path / "series.csv", DARK)
    result = run(ReplayOptions(site, series, tmp_path / "out", sessions=tmp_path / "sessions.csv"))
    figures = Replayed(result).figures
    assert figures["caused_import_kwh"] == 0
    assert figures["needs"]["CP1/1"]["missing_kwh"] == 7
