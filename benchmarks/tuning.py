"""What each response of a site is worth: the table of docs/tuning.md.

Days 1 to 7, on which the presets were chosen, and days 8 to 15, on which they were only checked.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from typing import Any

from benchmarks.figures import Figure
from benchmarks.value import PROCESSES, score_of
from benchmarks.value_scenarios import (
    DATA,
    HOT_WATER_KWH,
    LAST_DAY,
    SERIES,
    Case,
    apartments,
    house,
    workplace,
)
from csms.response import PRESETS

HALVES = ((1, 7), (8, LAST_DAY))
RIVALS = ("rule", "bound")


def run() -> list[Figure]:
    if not SERIES.exists():
        return [Figure(f"tuning: no measured data in {DATA} (set HELIANTHUS_DATA)", "", "", None)]
    rows = [(case, name) for case in _cases() for name in (*PRESETS, *RIVALS)]
    jobs = [_job(case, name, half) for case, name in rows for half in HALVES]
    with ProcessPoolExecutor(PROCESSES, get_context("spawn")) as pool:
        scores = list(pool.map(score_of, jobs))
    by_row = {row: (scores[2 * i], scores[2 * i + 1]) for i, row in enumerate(rows)}
    print("| days of | | captured | drawn a day | switchings a day |\n|---|---|--:|--:|--:|")
    for case, name in rows:
        if name != "bound":
            print(_line(case, name, by_row[case, name], by_row[case, "bound"]))
    return []


def _cases() -> list[Case]:
    cases = [workplace(30, declared=False), workplace(30, declared=True)]
    cases += [house(name, 10, daily) for daily in (HOT_WATER_KWH, None) for name in ("h1", "h2")]
    cases += [workplace(kwp, declared=False) for kwp in (20, 10)]
    return [*cases, apartments(30)]


def _job(case: Case, name: str, half: tuple[int, int]) -> tuple[Case, str]:
    first, last = half
    days = replace(case, first=first, last=last)
    if name in RIVALS:
        return days, name
    return replace(days, response=name), "helianthus"  # type: ignore[arg-type]


def _line(case: Case, name: str, halves: tuple[Any, Any], possible: tuple[Any, Any]) -> str:
    captured = [
        100 * half["solar_into_loads_kwh"] / most["solar_into_loads_kwh"]
        for half, most in zip(halves, possible, strict=True)
    ]
    drawn = [half["caused_import_kwh_per_day"] for half in halves]
    switched = [half["switchings_per_day_total"] for half in halves]
    first = case.name if name == next(iter(PRESETS)) else ""
    label = {"balanced": "**balanced**", "rule": "plain rule"}.get(name, name)
    cells = (
        f"{captured[0]:.1f} · {captured[1]:.1f} %",
        f"{drawn[0]:.2f} · {drawn[1]:.2f} kWh",
        f"{switched[0]:.0f} · {switched[1]:.0f}",
    )
    return f"| {first} | {label} | {' | '.join(cells)} |"
