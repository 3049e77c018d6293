"""Decide, and where a fuse would be exceeded, also about what an operator had put beyond control. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

from optimizer import decide
from optimizer.model import Decision, Demands, Memory, Readings, Site


def decide_at_fuses(
    site: Site,
    readings: Readings,
    demands: Demands,
    memory: Memory,
    now: datetime,
    outranked: Collection[str],
) -> tuple[Decision, Memory, Demands]:
    """outranked: connectors where an operator's own profile rules; others make room for them first.

    If that does not suffice, as few of them as do are decided about like all others, those that take the
    most first. Answers the demands that were decided about, in which these are controllable.
    """

    def attempt(taken_back: Collection[str]) -> tuple[Decision, Memory, Demands]:
        tried = _taken_back(demands, taken_back)
        return *decide(site, readings, tried, memory, now), tried

    found = attempt(())
    drawing = sorted((id for id in outranked if _takes_a(demands, id)), key=lambda id: -_takes_a(demands, id))
    if found[0].feasible or not drawing:
        return found
    needed: list[str] = []
    for id in drawing:
        needed.append(id)
        found = attempt(needed)
        if found[0].feasible:
            break
    for id in needed[:-1]:
        fewer = [other for other in needed if other != id]
        if found[0].feasible and (smaller := attempt(fewer))[0].feasible:
            needed, found = fewer, smaller
    return found


def _takes_a(demands: Demands, id: str) -> float:
    demand = demands.connectors[id]
    if demand.current_a is not None:
        return max(demand.current_a)
    return demand.power_w or demand.offered_a or 0.0


def _taken_back(demands: Demands, connectors: Collection[str]) -> Demands:
    ours = {id: replace(demands.connectors[id], controllable=True) for id in connectors}
    return replace(demands, connectors={**demands.connectors, **ours})
