"""Decide, and where a fuse would be exceeded, also about what an operator had put beyond control. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

from optimizer import decide
from optimizer.model import Decision, Demands, Memory, Readings, Site

LIMITED_BY_FUSE = "limited"


def decide_at_fuses(
    site: Site,
    readings: Readings,
    demands: Demands,
    memory: Memory,
    now: datetime,
    outranked: Collection[str],
) -> tuple[Decision, Memory, Demands]:
    """outranked: connectors where an operator's own profile rules; others make room for them first.

    If that does not suffice, those of them that a fuse would limit are decided about like all others.
    Answers the demands that were decided about, in which these are controllable.
    """
    decision, after = decide(site, readings, demands, memory, now)
    if decision.feasible or not outranked:
        return decision, after, demands
    as_ours, _ = decide(site, readings, _taken_back(demands, outranked), memory, now)
    to_limit = {
        c.id
        for c in as_ours.connectors
        if c.id in outranked
        and c.reason.code == LIMITED_BY_FUSE
        and c.limit_a < (demands.connectors[c.id].offered_a or 0.0)
    }
    if not to_limit:
        return decision, after, demands
    demands = _taken_back(demands, to_limit)
    decision, after = decide(site, readings, demands, memory, now)
    return decision, after, demands


def _taken_back(demands: Demands, connectors: Collection[str]) -> Demands:
    ours = {id: replace(demands.connectors[id], controllable=True) for id in connectors}
    return replace(demands, connectors={**demands.connectors, **ours})
