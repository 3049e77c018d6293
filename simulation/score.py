"""What a run was worth: the figures of result.json. docs/simulate.md explains each for its reader."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from simulation.bound import Bound
from simulation.plant import SessionOutcome, Trace
from simulation.series import Series

Watts = npt.NDArray[np.float64]

NOT_OF_THE_BOUND = (
    "switchings", "switchings_per_day", "switchings_per_day_total", "start_stops_per_day", "shortest_on_s",
    "sessions", "sessions_that_waited",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Flows:
    """A run as arrays, one value per step [W]. solar_w: sun that went into controlled loads."""

    step_s: float
    pv_w: Watts
    load_w: Watts
    grid_w: Watts
    loads_w: dict[str, Watts]
    controlled_w: Watts
    solar_w: Watts

    @classmethod
    def of(cls, trace: Trace) -> Flows:
        pv_w, load_w = np.array(trace.series.pv_w), np.array(trace.series.load_w)
        loads_w = {name: np.array(load.power_w) for name, load in trace.loads.items()}
        controlled_w = sum(loads_w.values(), np.zeros_like(pv_w))
        solar_w = np.minimum(controlled_w, np.maximum(pv_w - load_w, 0.0))
        return cls(trace.series.step_s, pv_w, load_w, np.array(trace.grid_w), loads_w, controlled_w, solar_w)

    def kwh(self, power_w: Watts) -> float:
        return _kwh(power_w, self.step_s)

    def solar_of(self, load: str) -> Watts:
        """The sun in one load: the controlled loads share it in proportion to what they draw."""
        return self.loads_w[load] * np.divide(
            self.solar_w, self.controlled_w, out=np.zeros_like(self.solar_w), where=self.controlled_w > 0
        )


def _kwh(power_w: Watts, step_s: float) -> float:
    return float(power_w.sum()) * step_s / 3_600_000


def score(trace: Trace) -> dict[str, Any]:
    """All figures of one run, ready for JSON."""
    flows = Flows.of(trace)
    days = len(flows.pv_w) * flows.step_s / 86_400
    switchings = {name: sum(load.switchings.values()) for name, load in trace.loads.items()}
    started = sum(switchings[name] for name, load in trace.loads.items() if load.offered_a is not None)
    return {
        **_energy_figures(
            trace.series,
            import_kwh=flows.kwh(np.maximum(flows.grid_w, 0.0)),
            export_kwh=flows.kwh(np.maximum(-flows.grid_w, 0.0)),
            controlled_kwh=flows.kwh(flows.controlled_w),
            solar_kwh=flows.kwh(flows.solar_w),
        ),
        "loads": {name: _load_figures(flows, name) for name in trace.loads},
        "switchings": {
            name: {str(day): load.switchings[day] for day, _ in trace.days}
            for name, load in trace.loads.items()
        },
        "switchings_per_day": {name: round(count / days, 2) for name, count in switchings.items()},
        "switchings_per_day_total": round(sum(switchings.values()) / days, 2),
        "start_stops_per_day": round(started / days, 2),
        "shortest_on_s": {name: load.shortest_on_s for name, load in trace.loads.items()},
        "energy_missing_kwh": round(sum(missing_wh(s) for s in trace.sessions) / 1000, 3),
        "sessions": [_session_figures(outcome) for outcome in trace.sessions],
        "sessions_that_waited": sum(s.waited for s in trace.sessions),
        "fuse_excess_s": round(trace.fuse_excess_s, 3),
        "days": round(days, 4),
    }


def score_bound(bound: Bound, series: Series) -> dict[str, Any]:
    """The figures of the optimum, as far as it has any: it switches nothing."""
    sun_w = np.array(series.pv_w) - np.array(series.load_w)
    grid_w = bound.taken_w - sun_w
    return {
        **_energy_figures(
            series,
            import_kwh=_kwh(np.maximum(grid_w, 0.0), series.step_s),
            export_kwh=_kwh(np.maximum(-grid_w, 0.0), series.step_s),
            controlled_kwh=_kwh(bound.taken_w, series.step_s),
            solar_kwh=_kwh(np.minimum(bound.taken_w, np.maximum(sun_w, 0.0)), series.step_s),
        ),
        "loads": {
            name: {"energy_kwh": round(wh / 1000, 3), "solar_kwh": round(wh / 1000, 3)}
            for name, wh in bound.solar_wh.items()
        },
        **dict.fromkeys(NOT_OF_THE_BOUND),
        "energy_missing_kwh": round(bound.missing_wh / 1000, 3),
        "fuse_excess_s": 0.0,
        "days": round(len(series.pv_w) * series.step_s / 86_400, 4),
    }


def _energy_figures(
    series: Series, *, import_kwh: float, export_kwh: float, controlled_kwh: float, solar_kwh: float
) -> dict[str, float | None]:
    pv_kwh, load_kwh = (_kwh(np.array(column), series.step_s) for column in (series.pv_w, series.load_w))
    used_kwh, caused_kwh = load_kwh + controlled_kwh, controlled_kwh - solar_kwh
    days = len(series.pv_w) * series.step_s / 86_400
    return {
        "self_consumption_percent": percent(pv_kwh - export_kwh, pv_kwh),
        "self_sufficiency_percent": percent(used_kwh - import_kwh, used_kwh),
        "import_kwh": round(import_kwh, 3),
        "export_kwh": round(export_kwh, 3),
        "pv_kwh": round(pv_kwh, 3),
        "load_kwh": round(load_kwh, 3),
        "controlled_kwh": round(controlled_kwh, 3),
        "solar_into_loads_kwh": round(solar_kwh, 3),
        "caused_import_kwh": round(caused_kwh, 3),
        "caused_import_kwh_per_day": round(caused_kwh / days, 3),
    }


def missing_wh(outcome: SessionOutcome) -> float:
    """What a vehicle lacked when it left; nothing is known yet of one that has not left."""
    return max(outcome.session.energy_wh - outcome.delivered_wh, 0.0) if outcome.departed else 0.0


def sentences(figures: dict[str, Any], compare: dict[str, dict[str, Any]]) -> list[str]:
    """The headline in words an owner understands."""
    days = figures["days"]
    none = compare["none"]
    lines = [
        f"In {days:g} days the roof produced {figures['pv_kwh']:.0f} kWh. "
        f"{_share(figures, 'self_consumption_percent')} of it is used on site, "
        f"against {_share(none, 'self_consumption_percent')} without control.",
        f"{figures['solar_into_loads_kwh']:.0f} of the {figures['controlled_kwh']:.0f} kWh that vehicles and "
        f"appliances took came straight from the roof; {figures['caused_import_kwh']:.1f} kWh came "
        f"from the grid ({figures['caused_import_kwh_per_day']:.2f} kWh a day, forced times included).",
        *_possible_sentence(figures),
        f"The site covers {_share(figures, 'self_sufficiency_percent')} of its own consumption.",
    ]
    if figures["sessions"]:
        lines.append(_vehicle_sentence(figures))
    if figures["fuse_excess_s"]:
        lines.append(f"A fuse limit was exceeded for {figures['fuse_excess_s']:g} seconds in all.")
    else:
        lines.append("No fuse limit was exceeded.")
    return lines


def _possible_sentence(figures: dict[str, Any]) -> list[str]:
    if figures.get("solar_captured_pct_of_bound") is None:
        return []
    share = _share(figures, "solar_captured_pct_of_bound")
    return [f"That is {share} of what perfect foresight could have put into them from the roof."]


def _vehicle_sentence(figures: dict[str, Any]) -> str:
    left = [s for s in figures["sessions"] if s["departed"]]
    short = sum(s["missing_kwh"] >= 0.1 for s in left)
    if not short:
        return f"All {len(left)} vehicles that left had the energy they came for."
    return (
        f"{short} of {len(left)} vehicles left with less than they came for, "
        f"{figures['energy_missing_kwh']:.1f} kWh in all."
    )


def _share(figures: dict[str, Any], key: str) -> str:
    value = figures[key]
    return "none" if value is None else f"{value:.1f} %"


def percent(part: float, whole: float) -> float | None:
    """None where there is no whole."""
    return round(100 * part / whole, 3) if whole > 0 else None


def _load_figures(flows: Flows, load: str) -> dict[str, float]:
    power_w = flows.loads_w[load]
    return {
        "energy_kwh": round(flows.kwh(power_w), 3),
        "solar_kwh": round(flows.kwh(flows.solar_of(load)), 3),
        "on_h": round(float(np.count_nonzero(power_w)) * flows.step_s / 3600, 3),
    }


def _session_figures(outcome: SessionOutcome) -> dict[str, Any]:
    session = outcome.session
    return {
        "station_id": session.station_id,
        "connector": session.connector,
        "arrival_utc": session.arrival_at.isoformat().replace("+00:00", "Z"),
        "departure_utc": session.departure_at.isoformat().replace("+00:00", "Z"),
        "energy_kwh": round(session.energy_wh / 1000, 3),
        "delivered_kwh": round(outcome.delivered_wh / 1000, 3),
        "missing_kwh": round(missing_wh(outcome) / 1000, 3),
        "departed": outcome.departed,
    }


def day_slices(trace: Trace) -> Sequence[tuple[str, slice]]:
    """Each local day with its steps."""
    ends = [first for _, first in trace.days[1:]] + [len(trace.grid_w)]
    return [(str(day), slice(first, end)) for (day, first), end in zip(trace.days, ends, strict=True)]
