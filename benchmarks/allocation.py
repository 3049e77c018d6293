"""The optimizer's exact choice against HiGHS on the same instances: the same answers, and how much faster.

HiGHS is used as its users do: the model handed over in one piece (`passModel`), default options except that
the gap must close, since an exact answer is wanted. Its time is that of building and solving. Both run in
one thread and are measured by processor time, so that a busy machine does not decide. Where they differ,
HiGHS's tolerances are narrowed and both answers worked out in rational numbers.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from statistics import median
from time import perf_counter, process_time

from benchmarks.figures import Figure, at_least, at_most, exactly
from optimizer.allocation import allocate
from optimizer.problem import AllocationProblem

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "optimizer"))

from allocation_instances import anything, everyday, repeated, two_zones, zones
from exact_comparison import TOLERANCE_W, difference
from milp_oracle import as_users_do, milp_model, milp_optimum

PROBLEMS = 5000
SIZES = ((14, 2, 25.0), (14, 2, 16.0), (40, 30, 63.0), (40, 30, 32.0))


@dataclass
class Race:
    """Processor times [ms] of the same problems, one after the other."""

    ours: list[float] = field(default_factory=list)
    build: list[float] = field(default_factory=list)
    solve: list[float] = field(default_factory=list)
    paths: dict[str, int] = field(default_factory=dict)
    different: int = 0

    def run(self, problem: AllocationProblem) -> None:
        """Raises TimeoutError if HiGHS finds no proof."""
        times = [process_time()]
        allocation = allocate(problem)
        times.append(process_time())
        solver, constant = milp_model(problem)
        as_users_do(solver)
        times.append(process_time())
        optimum = milp_optimum(solver, constant)
        times.append(process_time())
        for found, began, ended in zip((self.ours, self.build, self.solve), times, times[1:], strict=False):
            found.append(1e3 * (ended - began))
        self.paths[allocation.method] = self.paths.get(allocation.method, 0) + 1
        if optimum is None or abs(allocation.utility_w - optimum) > TOLERANCE_W:
            self.different += difference(problem, allocation) is not None

    @property
    def ratios(self) -> list[float]:
        """How many times as long as ours HiGHS took, problem by problem."""
        return [(b + s) / o for o, b, s in zip(self.ours, self.build, self.solve, strict=True)]


def race(problems: Sequence[AllocationProblem]) -> Race:
    result = Race()
    for problem in problems:
        result.run(problem)
    return result


def run(problem_count: int = PROBLEMS) -> list[Figure]:
    races = _races()
    print()
    _curves()
    print()
    compared, unlike, open_proofs = _exactness(problem_count)
    small, large = (
        max(median(r.ours) for name, r in races.items() if name.startswith(f"{n} relays")) for n in (14, 40)
    )
    return [
        exactly(f"allocations that differ from the MILP optimum, of {compared}", unlike),
        exactly("… where HiGHS gave no proof", open_proofs),
        at_most("allocation, 14 relays + 2 stations, median", small, 5, " ms"),
        at_most("allocation, 40 relays + 30 stations, median", large, 50, " ms"),
        at_most("allocation, slowest of all", max(max(r.ours) for r in races.values()), 100, " ms"),
        at_least(
            "allocation against HiGHS, median ratio, least of all kinds",
            min(median(r.ratios) for r in races.values()),
            10,
            " ×",
        ),
        at_least(
            "… by the time for all of a kind, least of all kinds",
            min((sum(r.build) + sum(r.solve)) / sum(r.ours) for r in races.values()),
            10,
            " ×",
        ),
    ]


def _races() -> dict[str, Race]:
    print(
        f"{'allocation':50} {'median':>8} {'worst':>8} | HiGHS {'build':>6} {'solve':>7} | ratio {'least':>6}"
        f" {'half':>6} {'in all':>6} | differ | paths"
    )
    races = {}
    for name, problems in _instances().items():
        r = races[name] = race(problems)
        shares = ", ".join(f"{count} {path}" for path, count in sorted(r.paths.items()))
        in_all = (sum(r.build) + sum(r.solve)) / sum(r.ours)
        print(
            f"{name:50} {median(r.ours):5.2f} ms {max(r.ours):5.1f} ms | {median(r.build):9.2f} ms"
            f" {median(r.solve):5.1f} ms | {min(r.ratios):12.1f} {median(r.ratios):6.1f} {in_all:6.1f}"
            f" | {r.different:6} | {shares}",
            flush=True,
        )
    return races


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


def _curves() -> None:
    """Median of five problems, surplus from a tenth to the most that the fuses let through."""
    kinds: dict[str, tuple[tuple[int, ...], Callable[[Random, int, float], AllocationProblem]]] = {
        "different relays": (
            (10, 20, 40, 80, 160),
            lambda rng, n, sun: two_zones(rng, n, 0, sun * 700 * n, 4.0 * n),
        ),
        "equal relays + as many equal stations": (
            (5, 10, 20, 40, 80),
            lambda rng, n, sun: repeated(n, sun * 41_000),
        ),
        "stations, beside 10 relays": (
            (5, 10, 20, 40, 80),
            lambda rng, n, sun: two_zones(rng, 10, n, sun * 4000 * n, 32.0 + 3 * n),
        ),
        "zones of 3 relays + 3 stations each": (
            (1, 2, 4),
            lambda rng, n, sun: zones(rng, n, 3, 3, sun * 16_000 * n),
        ),
    }
    for name, (counts, make) in kinds.items():
        points = []
        for count in counts:
            r = race([make(Random(k), count, round(0.1 + 0.22 * k, 2)) for k in range(5)])
            points.append(f"{count}: {median(r.ours):.2f} ms ({median(r.ratios):.0f} ×)")
        print(f"time over the number of {name} (× faster than HiGHS): " + ", ".join(points), flush=True)


def _exactness(count: int) -> tuple[int, int, int]:
    """(problems compared, those that differ, those where HiGHS gave no proof), over every feature."""
    different, unproved, infeasible, paths = 0, 0, 0, dict[str, int]()
    began_s = perf_counter()
    for seed in range(count):
        problem = anything(Random(seed))
        allocation = allocate(problem)
        infeasible += not allocation.feasible
        paths[allocation.method] = paths.get(allocation.method, 0) + 1
        try:
            wrong = difference(problem, allocation)
        except TimeoutError:
            unproved += 1
            continue
        if wrong:
            different += 1
            print(f"seed {seed}: {wrong}", flush=True)
    shares = ", ".join(f"{n} {path}" for path, n in sorted(paths.items()))
    print(
        f"{count} problems over every feature, {infeasible} of them infeasible: {different} differ,"
        f" {unproved} without a proof of HiGHS, {perf_counter() - began_s:.0f} s ({shares})"
    )
    return count - unproved, different, unproved
