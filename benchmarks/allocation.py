"""The optimizer's exact choice against HiGHS on the same instances, one process, one thread."""

from __future__ import annotations

import sys
from pathlib import Path
from random import Random
from statistics import median
from time import perf_counter

from benchmarks.figures import Figure, at_least, at_most, exactly
from optimizer.allocation import allocate
from optimizer.problem import AllocationProblem

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "optimizer"))

from allocation_instances import everyday, repeated, two_zones
from milp_oracle import milp_utility

TOLERANCE_W = 1e-6
SIZES = ((14, 2, 25.0), (14, 2, 16.0), (40, 30, 63.0))


def _instances() -> dict[str, list[AllocationProblem]]:
    """Surplus evenly spread from nothing to more than the fuses let through."""
    named = {"up to 4 relays + 8 stations, one phase each": [everyday(Random(seed)) for seed in range(100)]}
    for relays, stations, zone_a in SIZES:
        name = f"{relays} relays + {stations} stations, two zones of {zone_a:g} A"
        named[name] = []
        for seed in range(40):
            rng = Random(seed)
            available_w = round(rng.uniform(0, 2.2 * 690 * zone_a), 1)
            named[name].append(two_zones(rng, relays, stations, available_w, zone_a))
    for count in (10, 20, 40, 80):
        named[f"{count} equal relays + {count} equal stations, one zone"] = [
            repeated(count, available_w) for available_w in range(1000, 41_000, 2000)
        ]
    return named


def run() -> list[Figure]:
    medians_ms: dict[str, float] = {}
    ratios, different = list[float](), 0
    print(f"{'allocation':52} {'median':>9} {'worst':>9} {'HiGHS':>9} {'ratio':>6} {'differ':>6}  paths")
    for name, problems in _instances().items():
        ours, highs, differ, paths = [], [], 0, dict[str, int]()
        for problem in problems:
            started = perf_counter()
            allocation = allocate(problem)
            ours.append(1e3 * (perf_counter() - started))
            started = perf_counter()
            optimum = milp_utility(problem)
            highs.append(1e3 * (perf_counter() - started))
            paths[allocation.method] = paths.get(allocation.method, 0) + 1
            if allocation.feasible != (optimum is not None) or (
                optimum is not None and abs(allocation.utility_w - optimum) > TOLERANCE_W
            ):
                differ += 1
        shares = ", ".join(f"{count} {path}" for path, count in sorted(paths.items()))
        print(
            f"{name:52} {median(ours):6.2f} ms {max(ours):6.1f} ms {median(highs):6.2f} ms"
            f" {median(highs) / median(ours):6.1f} {differ:6}  {shares}"
        )
        medians_ms[name] = median(ours)
        ratios.append(median(highs) / median(ours))
        different += differ
    small, large = (
        max(t for name, t in medians_ms.items() if name.startswith(f"{n} relays")) for n in (14, 40)
    )
    return [
        exactly("allocations that differ from the MILP optimum", different),
        at_most("allocation, 14 relays + 2 stations, median", small, 5, " ms"),
        at_most("allocation, 40 relays + 30 stations, median", large, 50, " ms"),
        at_least("allocation against HiGHS, least of all kinds", min(ratios), 10, " ×"),
    ]
