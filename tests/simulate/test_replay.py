"""`csms simulate` on small days that a person can check by hand."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from replay_builders import NOON, Replay, boiler, make_site, station

from csms.errors import InvalidInput
from simulation.replay import number_pairs, pairs, station_pairs

RAMP = [6000 * math.sin(math.pi * i / 240) for i in range(241)]
DARK = datetime(2024, 6, 2, 22, tzinfo=UTC)  # midnight in Zurich


def kwh(power_w: list[float], step_s: float = 60) -> float:
    return sum(power_w) * step_s / 3_600_000


def test_a_sunny_day_heats_water_and_keeps_the_energy_balance(replayed: Replay) -> None:
    run = replayed(make_site([boiler()], [station()]), RAMP, sessions=[("CP1", 20, 200, 4, 16, 1)])
    for minute in run.minutes:
        loads_w = float(minute["boiler_w"]) + float(minute["CP1/1_w"])
        balance_w = float(minute["load_w"]) + loads_w - float(minute["pv_w"])
        assert float(minute["grid_w"]) == pytest.approx(balance_w, abs=1e-4)
    assert (
        run.figures["self_consumption_percent"] > run.figures["compare"]["none"]["self_consumption_percent"]
    )
    assert run.figures["fuse_excess_s"] == 0


def test_every_energy_figure_can_be_computed_again_from_the_minutes(replayed: Replay) -> None:
    clouds = [pv * (0.3 if i % 17 < 5 else 1.0) for i, pv in enumerate(RAMP)]
    run = replayed(make_site([boiler()], [station()]), clouds, sessions=[("CP1", 20, 200, 9, 16, 1)])
    pv_w, load_w, grid_w = (run.column(name) for name in ("pv_w", "load_w", "grid_w"))
    boiler_w, car_w = run.column("boiler_w"), run.column("CP1/1_w")
    controlled_w = [a + b for a, b in zip(boiler_w, car_w, strict=True)]
    export_kwh, import_kwh = kwh([max(-w, 0) for w in grid_w]), kwh([max(w, 0) for w in grid_w])
    used_w = [min(c, max(pv - load, 0)) for c, pv, load in zip(controlled_w, pv_w, load_w, strict=True)]
    consumed_kwh = kwh(load_w) + kwh(controlled_w)
    expected = {
        "self_consumption_percent": 100 * (1 - export_kwh / kwh(pv_w)),
        "self_sufficiency_percent": 100 * (1 - import_kwh / consumed_kwh),
        "import_kwh": import_kwh,
        "export_kwh": export_kwh,
        "pv_kwh": kwh(pv_w),
        "load_kwh": kwh(load_w),
        "controlled_kwh": kwh(controlled_w),
        "solar_into_loads_kwh": kwh(used_w),
        "caused_import_kwh": kwh(controlled_w) - kwh(used_w),
    }
    assert {key: run.figures[key] for key in expected} == pytest.approx(expected, abs=2e-3)
    starts_and_stops = sum(
        (a > 0) != (b > 0) for a, b in zip([0.0, *car_w], [*car_w, car_w[-1]], strict=True)
    )
    assert sum(run.figures["switchings"]["CP1/1"].values()) == starts_and_stops
    assert run.figures["loads"]["boiler"]["energy_kwh"] == pytest.approx(kwh(boiler_w), abs=2e-3)


def test_a_minutes_sun_is_used_in_the_next_minute_not_before(replayed: Replay) -> None:
    run = replayed(make_site([boiler()]), [0] * 10 + [5000] * 10)
    assert run.column("boiler_w")[:11] == [0] * 11
    assert run.column("boiler_w")[11] == 3000
    assert run.column("grid_w")[10] == -4800


def test_the_first_minute_has_no_measurement_to_act_on(replayed: Replay) -> None:
    run = replayed(make_site([boiler()]), [5000] * 5)
    assert run.column("boiler_w")[:2] == [0, 3000]


def test_a_finer_series_is_controlled_once_a_minute_by_the_minutes_mean(replayed: Replay) -> None:
    pv_w = [0] * 6 + [0, 0, 0, 0, 0, 7800] + [5000] * 6 + [5000] * 6
    run = replayed(make_site([boiler()]), pv_w, step_s=10)
    boiler_w = run.column("boiler_w")
    assert boiler_w[:12] == [0] * 12
    assert boiler_w[12:18] == [1000] * 6  # 1300 W of sun in the mean less 200 W of house
    assert boiler_w[18:] == [3000] * 6
    assert run.figures["days"] == pytest.approx(24 * 10 / 86400, abs=1e-4)


@pytest.mark.parametrize("wired", [["L1"], ["L3"], ["L2", "L3", "L1"]])
def test_a_vehicle_gets_exactly_its_energy_whatever_phase_it_is_wired_to(
    replayed: Replay, wired: list[str]
) -> None:
    site = make_site(charge_points=[station(phases=wired)])
    run = replayed(site, [5000] * 120, sessions=[("CP1", 5, 119, 3.3, 16, 1)])
    assert kwh(run.column("CP1/1_w")) == pytest.approx(3.3, abs=1e-6)
    assert max(run.column("CP1/1_w")) > 6 * 230  # its station's meter is understood, so the offer rises
    assert run.figures["energy_missing_kwh"] == 0
    assert max(run.column("CP1/1_w")) <= 16 * 230


def test_energy_missing_at_departure_is_told_for_each_vehicle(replayed: Replay) -> None:
    sessions = [("CP1", 0, 30, 5, 16, 1), ("CP1", 40, 100, 0.5, 16, 1)]
    run = replayed(make_site(charge_points=[station()]), [5000] * 120, sessions=sessions)
    first, second = run.figures["sessions"]
    assert first["missing_kwh"] == pytest.approx(5 - kwh(run.column("CP1/1_w")[:30]), abs=1e-3)
    assert first["missing_kwh"] > 2
    assert second["missing_kwh"] == 0
    assert run.figures["energy_missing_kwh"] == first["missing_kwh"]


def test_a_vehicle_still_there_at_the_end_lacks_nothing_yet(replayed: Replay) -> None:
    run = replayed(make_site(charge_points=[station()]), [0] * 60, sessions=[("CP1", 0, 600, 5, 16, 1)])
    assert run.figures["sessions"][0] | {"missing_kwh": 0, "departed": False} == run.figures["sessions"][0]
    assert any("still there at the end" in note for note in run.figures["notes"])


def test_a_vehicle_that_comes_to_a_taken_connector_waits(replayed: Replay) -> None:
    sessions = [("CP1", 0, 30, 9, 16, 1), ("CP1", 10, 60, 0.2, 16, 1)]
    run = replayed(make_site(charge_points=[station()]), [5000] * 70, sessions=sessions)
    assert run.figures["sessions_that_waited"] == 1
    assert [s["missing_kwh"] > 0 for s in run.figures["sessions"]] == [True, False]
    assert any("waited until it was free" in note for note in run.figures["notes"])


def test_sessions_outside_the_series_are_left_out_and_said_so(replayed: Replay) -> None:
    sessions = [("CP1", -60, 30, 9, 16, 1), ("CP1", 10, 60, 0.2, 16, 1), ("CP1", 90, 99, 0.2, 16, 1)]
    run = replayed(make_site(charge_points=[station()]), [5000] * 70, sessions=sessions)
    assert len(run.figures["sessions"]) == 1
    assert any(note.startswith("2 sessions") for note in run.figures["notes"])


@pytest.mark.parametrize(
    ("wired", "vehicle_phases", "expected_w"),
    [(["L2"], 3, 16 * 230), (["L3", "L1", "L2"], 1, 16 * 230), (["L1", "L2", "L3"], 3, 3 * 16 * 230)],
)
def test_a_vehicle_uses_the_phases_that_it_and_the_station_have(
    replayed: Replay, wired: list[str], vehicle_phases: int, expected_w: float
) -> None:
    site = make_site(charge_points=[station(phases=wired, mode="full")])
    run = replayed(site, [0] * 60, sessions=[("CP1", 0, 60, 50, 32, vehicle_phases)])
    assert run.column("CP1/1_w")[30] == pytest.approx(expected_w)


def test_a_vehicle_takes_no_more_than_it_can(replayed: Replay) -> None:
    site = make_site(charge_points=[station(mode="full", max_a=32)])
    run = replayed(site, [0] * 30, sessions=[("CP1", 0, 30, 50, 10, 1)])
    assert run.column("CP1/1_w")[20] == pytest.approx(2300)


def test_a_boiler_is_forced_on_at_night_for_exactly_its_window(replayed: Replay) -> None:
    forced = boiler(mode="solar_and_timer", windows=[{"from": "02:00", "to": "03:00"}])
    run = replayed(make_site([forced]), [0] * 300, series_start=DARK, compare=["rule"])
    boiler_w = run.column("boiler_w")
    assert boiler_w == [0] * 120 + [3000] * 60 + [0] * 120
    assert run.figures["caused_import_kwh"] == 3
    assert run.figures["compare"]["rule"]["caused_import_kwh"] == 3
    assert run.figures["compare"]["none"]["controlled_kwh"] == 0


def test_a_boiler_with_a_daily_need_stops_when_warm_and_starts_afresh_at_midnight(replayed: Replay) -> None:
    forced = make_site([boiler(mode="on")])
    run = replayed(forced, [0] * 2 * 1440, series_start=DARK, daily_kwh={"boiler": 6.25})
    boiler_w = run.column("boiler_w")
    assert kwh(boiler_w[:1440]) == pytest.approx(6.25)
    assert kwh(boiler_w[1440:]) == pytest.approx(6.25)
    assert boiler_w[126:1440] == [0] * (1440 - 126)


def test_a_pump_with_a_daily_run_time_runs_that_long(replayed: Replay) -> None:
    run = replayed(make_site([boiler(mode="on")]), [0] * 600, series_start=DARK, daily_h={"boiler": 1.5})
    assert run.figures["loads"]["boiler"]["on_h"] == 1.5


def test_a_passing_gap_in_the_clouds_does_not_make_the_boiler_run_for_one_minute(replayed: Replay) -> None:
    run = replayed(make_site([boiler(min_on_min=10)]), [0] * 5 + [1300] + [0] * 30)
    assert run.column("boiler_w") == [0] * 6 + [1000] * 10 + [0] * 20
    assert run.figures["shortest_on_s"] == {"boiler": 600}
    assert run.figures["switchings"] == {"boiler": {"2024-06-03": 2}}


def test_a_weak_fuse_is_kept_where_no_control_would_blow_it(replayed: Replay) -> None:
    site = make_site(charge_points=[station("CP1", mode="full"), station("CP2", mode="full")], limit_a=20)
    sessions = [("CP1", 1, 60, 50, 16, 1), ("CP2", 1, 60, 50, 16, 1)]
    run = replayed(site, [0] * 60, sessions=sessions)
    assert run.figures["fuse_excess_s"] == 0
    assert run.figures["compare"]["none"]["fuse_excess_s"] == 59 * 60


def test_switchings_are_told_for_each_local_day(replayed: Replay) -> None:
    start = datetime(2024, 6, 3, 21, tzinfo=UTC)  # 23:00 in Zurich
    windows = [{"from": "23:30", "to": "00:30"}]
    run = replayed(make_site([boiler(mode="timer_only", windows=windows)]), [0] * 180, series_start=start)
    assert run.figures["switchings"] == {"boiler": {"2024-06-03": 3, "2024-06-04": 3}}


def test_only_the_chosen_part_is_replayed(replayed: Replay) -> None:
    run = replayed(make_site([boiler()]), RAMP, start=NOON, end=NOON + timedelta(minutes=90), pv_scale=0.5)
    assert (run.figures["from"], run.figures["to"]) == ("2024-06-03T10:00:00Z", "2024-06-03T11:30:00Z")
    assert run.column("pv_w") == pytest.approx([pv / 2 for pv in RAMP[:90]])


def test_the_report_stands_alone_and_names_what_it_shows(replayed: Replay) -> None:
    run = replayed(
        make_site([boiler(name="Boiler & co")], [station()]),
        RAMP,
        sessions=[("CP1", 20, 200, 40, 16, 1)],
        compare=["rule"],
    )
    page = run.result.report_path.read_text()
    for text in (
        "Home &lt;of&gt; the sun",
        "Boiler &amp; co",
        "plain rule",
        "without control",
        *run.result.sentences,
    ):
        assert text in page
    assert page.count("<svg ") == 8  # two average days, days, typical day, two fields, switchings of two
    for outside in ("<script", "<link", "<iframe", 'src="', "@import", "url(http"):
        assert outside not in page


def test_a_house_without_any_load_to_control_is_still_told_its_figures(replayed: Replay) -> None:
    run = replayed(make_site(), RAMP)
    assert run.figures["self_consumption_percent"] > 0
    assert run.figures["compare"]["none"]["import_kwh"] == run.figures["import_kwh"]


def test_each_comparison_has_the_figures_of_the_whole(replayed: Replay) -> None:
    run = replayed(
        make_site([boiler()], [station()]),
        RAMP,
        sessions=[("CP1", 20, 200, 40, 16, 1)],
        compare=["rule", "evcc", "bound"],
    )
    frame = {"site", "from", "to", "step_s", "compare", "notes"}
    for name in ("none", "rule", "evcc", "bound"):
        figures = run.figures["compare"][name]
        assert set(run.figures) - frame == set(figures), name
        assert figures["solar_captured_pct_of_bound"] <= 100.001
    bound = run.figures["compare"]["bound"]
    assert bound["solar_captured_pct_of_bound"] == 100
    assert bound["caused_import_kwh"] == pytest.approx(0, abs=1e-3)
    assert bound["pv_kwh"] + bound["import_kwh"] == pytest.approx(
        bound["load_kwh"] + bound["controlled_kwh"] + bound["export_kwh"], abs=1e-2
    )
    assert "perfect foresight" in "".join(run.result.sentences)
    assert "upper bound" in run.result.report_path.read_text()


def test_how_evcc_meets_time_windows_is_said(replayed: Replay) -> None:
    timed = boiler(mode="solar_and_timer", windows=[{"from": "02:00", "to": "05:00"}])
    assert "evcc has no time windows" in "".join(
        replayed(make_site([timed]), [0] * 5, compare=["evcc"]).result.notes
    )
    assert replayed(make_site([boiler()]), [0] * 5, compare=["evcc"]).result.notes == [
        "The house load has no columns per phase: it is spread evenly over L1, L2 and L3."
    ]


def test_progress_rises_to_the_whole(replayed: Replay) -> None:
    seen: list[tuple[int, int]] = []
    replayed(make_site([boiler()]), [0] * 800, compare=["rule"], progress=lambda *steps: seen.append(steps))
    assert seen == sorted(seen)
    assert seen[-1] == (1000, 1000)
    assert len(seen) > 5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"compare": ["rule", "evc"]}, "--compare: 'evc' given, one of: rule, evcc, bound expected"),
        ({"columns": {"sun": "pv"}}, "--column: 'sun=…' given, one of timestamp_utc"),
        ({"daily_kwh": {"pool": 3}}, "--daily-kwh: 'pool' given, an appliance of the site: boiler"),
        ({"daily_h": {"boiler": -1}}, "--daily-h: 'boiler=-1' given, 0 or more"),
        ({"pv_scale": math.nan}, "--pv-scale"),
        ({"start": NOON, "end": NOON}, "--to"),
    ],
)
def test_bad_arguments_are_refused_in_one_line(
    replayed: Replay, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        replayed(make_site([boiler()]), [0] * 5, **changes)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_series_coarser_than_the_control_interval_is_refused(replayed: Replay) -> None:
    with pytest.raises(InvalidInput, match="a multiple of the series' step of 60 s"):
        replayed(make_site([boiler()], control_interval_s=30), [0] * 5)


def test_repeated_arguments_are_read_as_pairs() -> None:
    assert pairs("--column", ["load_w=house", "pv_w = roof"]) == {"load_w": "house", "pv_w": "roof"}
    assert number_pairs("--daily-kwh", ["boiler=6.5"]) == {"boiler": 6.5}
    assert station_pairs(["auto"]) == "auto"
    assert station_pairs(["AG-1=CP1"]) == {"AG-1": "CP1"}


@pytest.mark.parametrize("text", ["load_w", "=x", "load_w=", "a=1"])
def test_half_a_pair_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="NAME=VALUE, each name once"):
        pairs("--column", ["a=2", text])


def test_a_daily_need_that_is_no_number_is_refused() -> None:
    with pytest.raises(InvalidInput, match="boiler=much"):
        number_pairs("--daily-kwh", ["boiler=much"])
