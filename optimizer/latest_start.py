"""The latest moment at which each load that must have something by a time can still begin.

Loads that fit the fuses together are planned alone: due time less running time. Where they do not, a plan
is laid backwards from the last due time, as late and as full as the fuses allow, the longest first, so that
two boilers do not both wait until the fuse is too small for both. Source: docs/adr/0007.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from optimizer.fuses import ROUNDING_A, Fuses, paths
from optimizer.model import Circuit, PhaseTriple

REPLANNED_EVERY_S = 900.0
SHORTEST_S = 1.0


@dataclass(frozen=True, slots=True)
class Job:
    """run_s: how long it must run at full power, taking full_a. parts: of its full power, those at which it
    can run, upwards to 1; if it modulates, the first and all above."""

    id: str
    circuit: str
    due_at: datetime
    run_s: float
    full_a: PhaseTriple
    parts: tuple[float, ...]
    modulates: bool = False


@dataclass(frozen=True, slots=True)
class LatestStart:
    """slack_s: from now until it must run, below 0 = too late. short_s: of its run, what finds no time."""

    slack_s: float
    short_s: float


def latest_starts(
    jobs: Sequence[Job],
    circuits: tuple[Circuit, ...],
    other_a: Mapping[str, PhaseTriple],
    loads_a: Iterable[tuple[str, PhaseTriple]],
    now: datetime,
) -> dict[str, LatestStart]:
    """By job id. other_a: what the circuits usually carry besides the loads. loads_a: (circuit, current) of
    loads that come before the jobs."""
    fuses = Fuses(circuits, other_a, frozenset())
    for circuit in circuits:  # an export frees no more than the fuse has: it may be gone by then
        room = fuses.room_a[circuit.id]
        room[:] = [min(a, limit) for a, limit in zip(room, circuit.limit_a, strict=True)]
    for load_circuit, current_a in loads_a:
        fuses.take(load_circuit, current_a)
    ahead_s = {job.id: (job.due_at - now).total_seconds() for job in jobs}
    if _fit_together(jobs, fuses):
        return {
            job.id: LatestStart(ahead_s[job.id] - job.run_s, max(0.0, job.run_s - ahead_s[job.id]))
            for job in jobs
        }
    return _backwards(jobs, fuses, paths(circuits), ahead_s)


def _fit_together(jobs: Sequence[Job], fuses: Fuses) -> bool:
    for job in jobs:
        fuses.take(job.circuit, job.full_a)
    fits = not fuses.exceeded()
    for job in jobs:
        fuses.release(job.circuit, job.full_a)
    return fits


def _backwards(
    jobs: Sequence[Job], fuses: Fuses, ways_up: Mapping[str, Sequence[str]], ahead_s: Mapping[str, float]
) -> dict[str, LatestStart]:
    left_s = {job.id: job.run_s for job in jobs}
    starts_s = dict(ahead_s)
    running: set[str] = set()
    at_s = max(ahead_s.values())
    while at_s > 0:
        due = [job for job in jobs if left_s[job.id] > SHORTEST_S and ahead_s[job.id] >= at_s]
        later = [ahead for id, ahead in ahead_s.items() if ahead < at_s and left_s[id] > SHORTEST_S]
        parts = _share(due, left_s, running, fuses, ways_up)
        running = set(parts)
        span_s = min([at_s, *(at_s - ahead for ahead in later)])
        if parts:
            span_s = min(span_s, REPLANNED_EVERY_S, *(left_s[id] / part for id, part in parts.items()))
        elif not later:
            break
        at_s -= span_s
        for id, part in parts.items():
            left_s[id] -= part * span_s
            starts_s[id] = at_s
    return {
        job.id: LatestStart(
            starts_s[job.id] if left_s[job.id] <= SHORTEST_S else -left_s[job.id],
            left_s[job.id] if left_s[job.id] > SHORTEST_S else 0.0,
        )
        for job in jobs
    }


def _share(
    due: Sequence[Job],
    left_s: Mapping[str, float],
    running: set[str],
    fuses: Fuses,
    ways_up: Mapping[str, Sequence[str]],
) -> dict[str, float]:
    """The part of its full power that each gets: what runs already and cannot be throttled goes on."""
    order = sorted(due, key=lambda job: (job.modulates or job.id not in running, -left_s[job.id]))
    parts = {}
    for job in order:
        part = _fitting_part(job, fuses, ways_up[job.circuit])
        if part > 0:
            parts[job.id] = part
            fuses.take(job.circuit, _times(job.full_a, part))
    for job in due:
        if job.id in parts:
            fuses.release(job.circuit, _times(job.full_a, parts[job.id]))
    return parts


def _fitting_part(job: Job, fuses: Fuses, way_up: Sequence[str]) -> float:
    part = 1.0
    for circuit in way_up:
        for room_a, full_a in zip(fuses.room_a[circuit], job.full_a, strict=True):
            if full_a > 0:
                part = min(part, max(0.0, room_a + ROUNDING_A) / full_a)
    if job.modulates:
        return part if part >= job.parts[0] else 0.0
    return max((possible for possible in job.parts if possible <= part), default=0.0)


def _times(current_a: PhaseTriple, part: float) -> PhaseTriple:
    a1, a2, a3 = current_a
    return (a1 * part, a2 * part, a3 * part)
