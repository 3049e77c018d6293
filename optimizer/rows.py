"""The phases of circuits that can bind, and what each load takes from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from optimizer.electrical import nano
from optimizer.levels import Levels
from optimizer.problem import AllocationProblem


@dataclass(frozen=True, slots=True)
class Row:
    """One phase of one circuit. slack [nA]: what is left of it if each load draws its least.

    members: the loads that can draw more than their least through it, by index; least: what they draw then.
    """

    slack: int
    phase: int
    members: list[int]
    least: int = 0


def binding_rows(problem: AllocationProblem, loads: Sequence[Levels]) -> list[Row]:
    """The phases of circuits that would be exceeded if all their loads drew their most.

    Raises:
        KeyError: a load or circuit names a circuit that does not exist.
    """
    parents = {c.id: c.parent for c in problem.circuits}
    members: dict[str, list[int]] = {c.id: [] for c in problem.circuits}
    for i, load in enumerate(problem.loads):
        above: str | None = load.circuit
        while above is not None:
            members[above].append(i)
            above = parents[above]
    rows = []
    for circuit in problem.circuits:
        below = members[circuit.id]
        most, least = [loads[i].most_current for i in below], [loads[i].least_current for i in below]
        for phase in range(3):
            headroom = nano(circuit.headroom_a[phase])
            if sum([amps[phase] for amps in most]) > headroom:
                touching = [i for i, a, b in zip(below, most, least, strict=True) if a[phase] > b[phase]]
                slack = headroom - sum([amps[phase] for amps in least])
                rows.append(
                    Row(slack, phase, touching, sum([loads[i].least_current[phase] for i in touching]))
                )
    return rows


def keeps_rows(rows: Sequence[Row], loads: Sequence[Levels], chosen: Sequence[int]) -> bool:
    currents = [load.currents[k] for load, k in zip(loads, chosen, strict=True)] if rows else []
    for row in rows:
        phase = row.phase
        if sum([currents[i][phase] for i in row.members]) > row.slack + row.least:
            return False
    return True


def row_uses(loads: Sequence[Levels], rows: Sequence[Row]) -> list[list[list[tuple[int, int]]]]:
    """uses[i][k]: (row, amperes above the least) that option k of load i takes."""
    uses: list[list[list[tuple[int, int]]]] = [[[] for _ in load.powers] for load in loads]
    for r, row in enumerate(rows):
        for i in row.members:
            least = loads[i].least_current[row.phase]
            for use, current in zip(uses[i], loads[i].currents, strict=True):
                if current[row.phase] > least:
                    use.append((r, current[row.phase] - least))
    return uses
