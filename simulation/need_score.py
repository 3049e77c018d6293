"""What was missing when loads' needs were due: of appliances each day, of vehicles at their departure."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from optimizer.model import Connector, ConnectorDemand, ConnectorState, Need, Site
from optimizer.needs import due_next, vehicle_target
from simulation.plant import Trace
from simulation.sessions import Session

TELLING = 0.05  # kWh, or h: three minutes


def need_figures(trace: Trace, site: Site) -> dict[str, Any]:
    """By appliance id and connector id, for those that had a need that was due within the series.

    Each: how often, how often it was short (by more than 0.05 kWh or 3 min), what was missing in all, one
    entry for each time, and how many vehicles left before their time: of those nothing can be said.
    """
    dues: dict[str, list[dict[str, Any]]] = {}
    for appliance in site.appliances:
        if appliance.needs:
            power_w = trace.loads[appliance.id].power_w
            dues[appliance.id] = _appliance_dues(trace, appliance.needs, site.timezone, power_w)
    connectors = {connector.id: connector for connector in site.connectors}
    left_early: Counter[str] = Counter()
    for outcome in trace.sessions:
        connector = connectors[outcome.session.connector]
        due_at, wanted_kwh = _target(connector, site.timezone, outcome.session)
        if due_at is None or due_at > trace.series.end_at:
            continue
        if outcome.session.departure_at < due_at:
            left_early[connector.id] += 1
            continue
        got_kwh = _delivered_kwh(trace, connector.id, outcome.session.arrival_at, due_at)
        dues.setdefault(connector.id, []).append(_due(due_at, wanted_kwh, got_kwh, "kWh"))
    return {id: _summary(dues.get(id, []), left_early[id]) for id in sorted({*dues, *left_early})}


def _summary(dues: list[dict[str, Any]], left_early: int) -> dict[str, Any]:
    return {
        "due": len(dues),
        "short": sum(due["missing"] > TELLING for due in dues),
        "missing_kwh": round(sum(due["missing"] for due in dues if due["unit"] == "kWh"), 3),
        "missing_h": round(sum(due["missing"] for due in dues if due["unit"] == "h"), 3),
        "times": dues,
        "left_early": left_early,
    }


def _appliance_dues(
    trace: Trace, needs: tuple[Need, ...], timezone: str, power_w: list[float]
) -> list[dict[str, Any]]:
    """Of needs whose whole time lies within the series: from the need before, at most a day."""
    series = trace.series
    found: list[dict[str, Any]] = []
    since = series.start_at
    at = series.start_at
    while at < series.end_at:
        due = due_next(needs, timezone, at, days=1)
        if due is None:  # none within a day
            at += timedelta(hours=1)
            since = at
            continue
        due_at, need = due
        if due_at > series.end_at:
            break
        first, last = _step(trace, since), _step(trace, due_at)
        taken = power_w[first:last]
        if need.energy_wh is not None:
            got, wanted, unit = sum(taken) * series.step_s / 3_600_000, need.energy_wh / 1000, "kWh"
        else:
            wanted, unit = (need.run_s or 0.0) / 3600, "h"
            got = sum(watts > 0 for watts in taken) * series.step_s / 3600
        found.append(_due(due_at, wanted, got, unit))
        since = at = due_at
    return found


def _target(connector: Connector, timezone: str, session: Session) -> tuple[datetime | None, float]:
    """When the vehicle's need was due and how much it was, but no more than it would take. [kWh]"""
    told = ConnectorDemand(
        ConnectorState.READY, departs_at=session.declared_departure_at, requested_wh=session.requested_wh
    )
    target = vehicle_target(connector, told, timezone, session.arrival_at)
    return (None, 0.0) if target is None else (target[0], min(target[1], session.energy_wh) / 1000)


def _delivered_kwh(trace: Trace, connector: str, since: datetime, until: datetime) -> float:
    taken = trace.loads[connector].power_w[_step(trace, since) : _step(trace, until)]
    return sum(taken) * trace.series.step_s / 3_600_000


def _due(due_at: datetime, wanted: float, got: float, unit: str) -> dict[str, Any]:
    return {
        "until_utc": due_at.isoformat().replace("+00:00", "Z"),
        "unit": unit,
        "wanted": round(wanted, 3),
        "got": round(got, 3),
        "missing": round(max(0.0, wanted - got), 3),
    }


def _step(trace: Trace, at: datetime) -> int:
    return max(0, int((at - trace.series.start_at).total_seconds() // trace.series.step_s))
