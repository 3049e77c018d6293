"""What the control is worth on measured days, against others and against perfect foresight.

Every controller meets the same 15 days, see `benchmarks.value_scenarios`, two of them at a time. The table is
markdown, so that docs/benchmarks.md can take it as it is printed.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from typing import Any

from benchmarks.figures import Figure, at_least, at_most
from benchmarks.naive_loop import LeastServedFirst
from benchmarks.value_scenarios import DATA, SERIES, Case, cases, scenario, workplace
from simulation.bound import perfect_foresight
from simulation.scenario import replay, run_controller
from simulation.score import score, score_bound
from simulation.series import Series

PROCESSES = 2
RIVALS = ("rule", "evcc", "none", "bound")
ORDER = "ours · plain rule · evcc · no control · perfect foresight"
COLUMNS = (
    ("captured, % of the possible", "captured", 1),
    ("sun into loads, kWh", "solar_into_loads_kwh", 0),
    ("sun used on site, %", "self_consumption_percent", 1),
    ("draw caused, kWh a day", "caused_import_kwh_per_day", 2),
    ("switchings a day", "switchings_per_day_total", 0),
    ("missing, kWh", "energy_missing_kwh", 0),
)
MEASURE = workplace(30, declared=False)
NAIVE, LATE = "least served first", "vehicles known, sun seen a minute late"

Scores = dict[tuple[Case, str], dict[str, Any]]


def run(quick: bool = False) -> list[Figure]:
    if not SERIES.exists():
        return [Figure(f"value: no measured data in {DATA} (set HELIANTHUS_DATA)", "", "", None)]
    wanted = cases(quick)
    jobs = dict.fromkeys((case, "helianthus") for case in wanted)
    jobs |= dict.fromkeys((case.rivals_same_as, rival) for case in wanted for rival in RIVALS)
    jobs |= {(MEASURE, NAIVE): None, (MEASURE, LATE): None}
    with ProcessPoolExecutor(PROCESSES, get_context("spawn")) as pool:
        scores: Scores = dict(zip(jobs, pool.map(score_of, jobs), strict=True))
    for (case, _), figures in scores.items():
        possible_kwh = scores[case.rivals_same_as, "bound"]["solar_into_loads_kwh"]
        figures["captured"] = 100 * figures["solar_into_loads_kwh"] / possible_kwh
    print("\n".join(_table(wanted, scores)))
    return [
        *_workplace_figures(wanted, scores),
        *_house_figures(wanted, scores),
        _fuse_figure(wanted, scores),
    ]


def score_of(job: tuple[Case, str]) -> dict[str, Any]:
    case, controller = job
    days = scenario(case)
    if controller == "bound":
        return score_bound(perfect_foresight(days), days.series)
    if controller == LATE:
        return score_bound(perfect_foresight(replace(days, series=_a_step_late(days.series))), days.series)
    if controller == NAIVE:
        return score(replay(days, LeastServedFirst(days.site)))
    return score(run_controller(days, controller))


def _a_step_late(series: Series) -> Series:
    """What a controller sees that acts on the means of the last step."""
    l1_w, l2_w, l3_w = ([0.0, *column[:-1]] for column in series.load_phases_w)
    return replace(
        series,
        pv_w=[0.0, *series.pv_w[:-1]],
        load_w=[0.0, *series.load_w[:-1]],
        load_phases_w=(l1_w, l2_w, l3_w),
    )


def _table(wanted: Sequence[Case], scores: Scores) -> list[str]:
    heads = [f"each cell: {ORDER}", *(head for head, _, _ in COLUMNS)]
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    for case in wanted:
        runs = [scores[case, "helianthus"], *(scores[case.rivals_same_as, rival] for rival in RIVALS)]
        cells = [_cell([run[key] for run in runs], digits) for _, key, digits in COLUMNS]
        lines.append(f"| {' | '.join([case.name, *cells])} |")
    return lines


def _cell(values: Sequence[float | None], digits: int) -> str:
    ours, *others = ("–" if value is None else f"{value:.{digits}f}" for value in values)
    return " · ".join([f"**{ours}**", *others])


def _workplace_figures(wanted: Sequence[Case], scores: Scores) -> list[Figure]:
    found = []
    for case in wanted:
        if case.rivals_same_as != MEASURE:
            continue
        ours, least = scores[case, "helianthus"], 96 if case.declared else 93
        found += [
            at_least(f"{case.name}: solar captured", ours["captured"], least, " %"),
            at_most("… start/stops a day", ours["start_stops_per_day"], 40),
            at_most("… grid draw caused a day", ours["caused_import_kwh_per_day"], 1, " kWh", 2),
        ]
    for run, name in (("rule", "plain rule"), ("evcc", "evcc"), (NAIVE, NAIVE), (LATE, LATE)):
        figures = scores[MEASURE, run]
        said = f"{figures['captured']:.1f} %, {figures['caused_import_kwh_per_day']:.2f} kWh a day"
        if figures["start_stops_per_day"] is not None:
            said += f", {figures['start_stops_per_day']:.0f} start/stops"
        found.append(Figure(f"… {name}", said))
    return found


def _house_figures(wanted: Sequence[Case], scores: Scores) -> list[Figure]:
    houses = [case for case in wanted if case.sessions is None]

    def above_rule(case: Case, key: str) -> float:
        return float(scores[case, "helianthus"][key]) - float(scores[case, "rule"][key])

    captured = min(above_rule(case, "captured") for case in houses)
    switchings = max(above_rule(case, "switchings_per_day_total") for case in houses)
    return [
        at_least("houses with boilers: captured beyond the plain rule, least", captured, 0, " %"),
        at_most("… switchings a day beyond the plain rule's, most", switchings, 0),
    ]


def _fuse_figure(wanted: Sequence[Case], scores: Scores) -> Figure:
    most_s = max(scores[case, "helianthus"]["fuse_excess_s"] for case in wanted)
    return at_most("seconds above a fuse limit in 15 days, most", most_s, 0, " s", 0)
