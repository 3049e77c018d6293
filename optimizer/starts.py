"""How often a load may start, and which of equal ones starts next: what has run least today.

A start is a switch-on of one element of an appliance (of its compressor, of each heater by itself), or of
one connector. Days are the site's own. A person's word is not delayed by this; a timer is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from optimizer.model import Appliance, Connector, Memory, RunMemory, Site

ONE_HOUR = timedelta(hours=1)
LONGEST_GAP_S = 300.0
"""After a longer silence nobody knows whether the load ran."""

ElementKey = tuple[str, str]
OUTLET = ""
"""Stands for the element of a connector, which has none."""


@dataclass(frozen=True, slots=True)
class StartsUsed:
    """What forbids a start: all of them are used, in this hour or this day."""

    count: int
    of_hour: bool


@lru_cache(maxsize=64)
def start_of_day(timezone: str, now: datetime) -> datetime:
    midnight = now.astimezone(ZoneInfo(timezone)).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight.astimezone(UTC)


def starts_used(
    load: Appliance | Connector, runs: RunMemory | None, timezone: str, now: datetime
) -> StartsUsed | None:
    if runs is None or not _is_limited(load):
        return None
    today = start_of_day(timezone, now)
    in_day = sum(at >= today for at in runs.starts)
    if load.max_starts_per_day is not None and in_day >= load.max_starts_per_day:
        return StartsUsed(load.max_starts_per_day, of_hour=False)
    in_hour = sum(at > now - ONE_HOUR for at in runs.starts)
    if load.max_starts_per_hour is not None and in_hour >= load.max_starts_per_hour:
        return StartsUsed(load.max_starts_per_hour, of_hour=True)
    return None


def ran_today_s(memory: Memory, keys: Iterable[ElementKey], timezone: str, now: datetime) -> float:
    """How long these elements have run since local midnight, all together."""
    today = start_of_day(timezone, now)
    runs = [memory.runs[key] for key in keys if key in memory.runs]
    return sum(run.ran_s for run in runs if run.at >= today)


def remember_runs(
    site: Site,
    known: Mapping[ElementKey, RunMemory],
    was_on: Mapping[ElementKey, bool],
    is_on: Mapping[ElementKey, bool],
    now: datetime,
) -> dict[ElementKey, RunMemory]:
    """was_on: what ran until now. is_on: what runs from now on. What is in neither keeps what it had."""
    limited = {appliance.id for appliance in site.appliances if _is_limited(appliance)}
    limited |= {connector.id for connector in site.connectors if _is_limited(connector)}
    today = start_of_day(site.timezone, now)
    oldest = min(today, now - ONE_HOUR)
    result = {}
    for key in {**known, **is_on}:
        run = known.get(key, RunMemory(now))
        gap_s = (now - run.at).total_seconds()
        ran_s = run.ran_s if run.at >= today else 0.0
        if was_on.get(key, False) and 0 < gap_s <= LONGEST_GAP_S:
            ran_s += min(gap_s, (now - today).total_seconds())
        starts = tuple(at for at in run.starts if at >= oldest) if run.starts else ()
        if key[0] in limited and is_on.get(key, False) and not was_on.get(key, False):
            starts += (now,)
        result[key] = RunMemory(now, ran_s, starts)
    return result


def _is_limited(load: Appliance | Connector) -> bool:
    return load.max_starts_per_hour is not None or load.max_starts_per_day is not None
