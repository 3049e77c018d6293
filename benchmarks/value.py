"""What the control is worth on measured days, against others and against perfect foresight.

Every controller meets the same 15 days, see `benchmarks.value_scenarios`, two of them at a time. The table is
markdown, so that docs/benchmarks.md can take it as it is printed.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

from benchmarks.figures import Figure, at_least, at_most
from benchmarks.value_scenarios import DATA, SERIES, Case, cases, scenario
from simulation.bound import perfect_foresight
from simulation.scenario import run_controller
from simulation.score import score, score_bound

PROCESSES = 2
RIVALS = ("rule", "evcc", "none", "bound")
NAMES = {
    "helianthus": "**ours**",
    "rule": "plain rule",
    "evcc": "evcc",
    "none": "no control",
    "bound": "bound",
}
COLUMNS = (
    "days of", "controller", "sun used on site", "solar captured", "sun into loads", "draw caused a day",
    "switchings a day", "of stations", "missing",
)  # fmt: skip

Scores = dict[tuple[Case, str], dict[str, Any]]


def run(quick: bool = False) -> list[Figure]:
    if not SERIES.exists():
        return [Figure(f"value: no measured data in {DATA} (set HELIANTHUS_DATA)", "", "", None)]
    wanted = cases(quick)
    jobs = dict.fromkeys((case, "helianthus") for case in wanted)
    jobs |= dict.fromkeys((case.rivals_same_as, rival) for case in wanted for rival in RIVALS)
    with ProcessPoolExecutor(PROCESSES, get_context("spawn")) as pool:
        scores: Scores = dict(zip(jobs, pool.map(_score, jobs), strict=True))
    print("\n".join(_table(wanted, scores)))
    return _figures(wanted, scores)


def _score(job: tuple[Case, str]) -> dict[str, Any]:
    case, controller = job
    days = scenario(case)
    if controller == "bound":
        return score_bound(perfect_foresight(days), days.series)
    return score(run_controller(days, controller))


def _of(scores: Scores, case: Case, controller: str) -> dict[str, Any]:
    return scores[case if controller == "helianthus" else case.rivals_same_as, controller]


def captured_percent(scores: Scores, case: Case, controller: str) -> float:
    bound_kwh = _of(scores, case, "bound")["solar_into_loads_kwh"]
    return 100.0 * float(_of(scores, case, controller)["solar_into_loads_kwh"]) / float(bound_kwh)


def _table(wanted: Sequence[Case], scores: Scores) -> list[str]:
    lines = [f"| {' | '.join(COLUMNS)} |", "|" + "---|" * 2 + "--:|" * (len(COLUMNS) - 2)]
    for case in wanted:
        for controller in ("helianthus", *RIVALS):
            cells = [
                case.name if controller == "helianthus" else "",
                NAMES[controller],
                *_cells(_of(scores, case, controller), captured_percent(scores, case, controller)),
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def _cells(figures: dict[str, Any], captured: float) -> list[str]:
    per_day = [
        "–" if figures[key] is None else f"{figures[key]:.1f}"
        for key in ("switchings_per_day_total", "start_stops_per_day")
    ]
    return [
        f"{figures['self_consumption_percent']:.1f} %",
        f"{captured:.1f} %",
        f"{figures['solar_into_loads_kwh']:.0f} kWh",
        f"{figures['caused_import_kwh_per_day']:.2f} kWh",
        *per_day,
        f"{figures['energy_missing_kwh']:.0f} kWh",
    ]


def _figures(wanted: Sequence[Case], scores: Scores) -> list[Figure]:
    found = []
    for case in wanted:
        captured, ours = captured_percent(scores, case, "helianthus"), scores[case, "helianthus"]
        if case.kind.startswith("workplace") and case.kwp == 30:
            found.append(
                at_least(f"{case.name}: solar captured", captured, 96 if case.declared else 93, " %")
            )
            found.append(at_most("… start/stops a day", ours["start_stops_per_day"], 40))
            found.append(at_most("… grid draw caused a day", ours["caused_import_kwh_per_day"], 1, " kWh", 2))
    houses = [case for case in wanted if case.sessions is None]
    margins = [
        captured_percent(scores, c, "helianthus") - captured_percent(scores, c, "rule") for c in houses
    ]
    found.append(at_least("houses with boilers: captured above the plain rule, least", min(margins), 0, " %"))
    more = [
        scores[c, "helianthus"]["switchings_per_day_total"] - scores[c, "rule"]["switchings_per_day_total"]
        for c in houses
    ]
    found.append(at_most("… switchings a day above the plain rule's, most", max(more), 0))
    excess_s = max(scores[case, "helianthus"]["fuse_excess_s"] for case in wanted)
    found.append(at_most("seconds above a fuse limit, most", excess_s, 0, " s", 0))
    return found
