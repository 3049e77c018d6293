"""report.html: one self-contained page for the owner, with its pictures inside it; prints well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from html import escape
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from csms.domain.site import SiteConfig
from simulation.plant import Trace
from simulation.report_charts import (
    Layer,
    Scale,
    Values,
    columns,
    day_chart,
    legend,
    scale_for,
    share_bar,
    spark,
    strip,
    total,
)
from simulation.score import Flows, day_slices

STYLE = Path(__file__).with_name("report.css")
MOST_LOADS_SHOWN = 12
AVERAGE_BINS, TYPICAL_BINS, STRIP_BINS = 96, 288, 144  # parts of a day
RUN_NAMES = {
    "helianthus": "Helianthus",
    "none": "without control",
    "rule": "plain rule",
    "evcc": "evcc",
    "bound": "upper bound",
}
ROWS = (
    ("self_consumption_percent", "Sun used on site", "%", 1),
    ("self_sufficiency_percent", "Own consumption covered by the sun", "%", 1),
    ("solar_into_loads_kwh", "Sun into vehicles and appliances", "kWh", 0),
    ("solar_captured_pct_of_bound", "… of what was possible", "%", 1),
    ("controlled_kwh", "Energy they took in all", "kWh", 0),
    ("caused_import_kwh_per_day", "Grid draw they caused, per day", "kWh", 2),
    ("import_kwh", "Drawn from the grid", "kWh", 0),
    ("export_kwh", "Fed to the grid", "kWh", 0),
    ("switchings_per_day_total", "Switchings per day, all loads", "", 1),
    ("start_stops_per_day", "… of which starts and stops of charging", "", 1),
    ("energy_missing_kwh", "Missing at departure", "kWh", 0),
    ("fuse_excess_s", "Time above a fuse limit", "s", 0),
)
SUN_PARTS = (("house", "the house"), ("loads", "vehicles and appliances"), ("left", "left the site"))


@dataclass(frozen=True, slots=True)
class Run:
    """One controller's days. hours: local time of day of each step."""

    trace: Trace
    flows: Flows
    days: Sequence[tuple[str, slice]]
    hours: Values

    @classmethod
    def of(cls, trace: Trace, timezone: str) -> Run:
        days = day_slices(trace)
        hours = np.concatenate([_hours(trace, part, timezone) for _, part in days])
        return cls(trace, Flows.of(trace), days, hours)

    @property
    def exported_w(self) -> Values:
        return np.maximum(-self.flows.grid_w, 0.0)

    @property
    def imported_w(self) -> Values:
        return np.maximum(self.flows.grid_w, 0.0)

    @property
    def into_house_w(self) -> Values:
        """Sun that the house used."""
        return np.maximum(self.flows.pv_w - self.exported_w - self.flows.solar_w, 0.0)

    def mean_by_time(self, power_w: Values, bins: int, part: slice = slice(None)) -> Values:
        """Mean power at each time of day. [W]"""
        at = np.minimum((self.hours[part] * bins / 24).astype(int), bins - 1)
        count = np.bincount(at, minlength=bins)
        total = np.bincount(at, weights=power_w[part], minlength=bins)
        return np.divide(total, count, out=np.zeros(bins), where=count > 0)

    def kwh_by_day(self, power_w: Values) -> Values:
        return np.array([self.flows.kwh(power_w[part]) for _, part in self.days])


def write_report(
    path: Path,
    site: SiteConfig,
    traces: Mapping[str, Trace],
    figures: dict[str, Any],
    sentences: Sequence[str],
) -> None:
    """Write the page. traces: "helianthus" and what it is compared with; figures: all of result.json."""
    timezone = site.site.timezone
    runs = {name: Run.of(trace, timezone) for name, trace in traces.items()}
    ours, names = runs["helianthus"], _load_names(site)
    active = [load for load, power_w in ours.flows.loads_w.items() if power_w.any()]
    largest = sorted(active, key=lambda load: -float(ours.flows.loads_w[load].sum()))[:MOST_LOADS_SHOWN]
    shown = [load for load in active if load in largest]
    first, last = (_local(figures[key], timezone) for key in ("from", "to"))
    body = [
        f"<h1>{escape(site.site.name)}</h1>",
        f'<p class="sub">What Helianthus would have done, {first} to {last}</p>',
        '<div class="headline">' + "".join(f"<p>{escape(text)}</p>" for text in sentences) + "</div>",
        _average_day(runs, figures),
        "<h2>Compared</h2>" + _comparison(figures),
        "<h2>Where the sun went, and where the energy came from</h2>" + _energy_flows(figures),
        "<h2>Day by day</h2>" + _daily(ours),
        "<h2>A typical day</h2>" + _typical_day(ours, shown, names),
        _strips(ours, shown, names),
        "<h2>Load by load</h2>" + _load_table(figures, names),
        "<h2>Switchings, day by day</h2>" + _switchings(traces, figures),
        _sessions_table(figures, timezone),
        _notes(figures, len(active) - len(shown)),
    ]
    path.write_text(
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(site.site.name)}: solar replay</title>"
        f"<style>{STYLE.read_text(encoding='utf-8')}</style></head>"
        f"<body><main>{''.join(body)}</main></body></html>\n",
        encoding="utf-8",
    )


def _average_day(runs: Mapping[str, Run], figures: dict[str, Any]) -> str:
    """The one picture: the mean of all days without and with control, on one scale."""
    shown = {name: _mean_layers(runs[name]) for name in ("none", "helianthus")}
    highest = max(float(total(above).max()) for above, _ in shown.values())
    deepest = max(float(total(below).max()) for _, below in shown.values())
    scale = scale_for(highest / 1000, -deepest / 1000)
    panels = []
    for name, (above, below) in shown.items():
        run = figures if name == "helianthus" else figures["compare"][name]
        title = "With Helianthus" if name == "helianthus" else "Without control"
        css = ' class="ours"' if name == "helianthus" else ""
        label = f"{title}, the average day: sun used by the house, by loads, and what left the site"
        panels.append(
            f"<div{css}><h3>{title}</h3>"
            f'<div class="big">{_figure(run["self_consumption_percent"], "%", 0)} '
            f"<small>of the sun used on site</small></div><p>{_price(run)}</p>"
            f"{_kw_chart(label, above, below, scale)}</div>"
        )
    words = [*SUN_PARTS, ("drawn", "drawn from the grid")]
    return (
        f'<figure class="card"><div class="pair">{"".join(panels)}</div>'
        f"{legend([(tone, label if tone == 'drawn' else f'sun: {label}') for tone, label in words])}"
        "<figcaption>The average of all days. The hill is the sun; its pale part left the site.</figcaption>"
        "</figure>"
    )


def _price(run: dict[str, Any]) -> str:
    """What the share of sun does not tell."""
    said = f"{_figure(run['import_kwh'], 'kWh', 0)} drawn from the grid"
    if run["sessions"]:
        said += f", {_figure(run['energy_missing_kwh'], 'kWh', 0)} missing in vehicles when they left"
    return said


def _mean_layers(run: Run) -> tuple[list[Layer], list[Layer]]:
    powers_w = (run.into_house_w, run.flows.solar_w, run.exported_w)
    above = [
        Layer(tone, label, run.mean_by_time(power_w, AVERAGE_BINS))
        for (tone, label), power_w in zip(SUN_PARTS, powers_w, strict=True)
    ]
    return above, [Layer("drawn", "drawn", run.mean_by_time(run.imported_w, AVERAGE_BINS))]


def _kw_chart(
    label: str, above: Sequence[Layer], below: Sequence[Layer], scale: Scale, line: Layer | None = None
) -> str:
    def in_kw(layer: Layer) -> Layer:
        return Layer(layer.tone, layer.label, layer.values / 1000)

    return day_chart(
        label, [in_kw(a) for a in above], [in_kw(b) for b in below], scale, in_kw(line) if line else None
    )


def _comparison(figures: dict[str, Any]) -> str:
    runs = _runs_of(figures)
    head = "".join(f"<th{_ours(name)}>{RUN_NAMES[name]}</th>" for name in runs)
    rows = []
    for key, label, unit, digits in ROWS:
        if all(run.get(key) is None for run in runs.values()):
            continue
        cells = "".join(
            f"<td{_ours(name)}>{_figure(run.get(key), '', digits)}</td>" for name, run in runs.items()
        )
        rows.append(f"<tr><td>{label} <small>{unit}</small></td>{cells}</tr>")
    return _table(f"<th></th>{head}", rows)


def _runs_of(figures: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {"helianthus": figures, **figures["compare"]}


def _ours(name: str) -> str:
    return ' class="ours"' if name == "helianthus" else ""


def _figure(value: float | None, unit: str, digits: int) -> str:
    return "–" if value is None else f"{value:,.{digits}f} {unit}".strip().replace(",", "\u202f")


def _energy_flows(figures: dict[str, Any]) -> str:
    """Two bars per run: what became of the sun; what house and loads lived on."""
    runs = _runs_of(figures)
    produced_kwh = figures["pv_kwh"]
    most_used_kwh = max(run["load_kwh"] + run["controlled_kwh"] for run in runs.values())
    cells = [
        '<div class="head"></div><div class="head">Sun, kWh</div><div class="head">Energy used, kWh</div>'
    ]
    for name, run in runs.items():
        into_loads_kwh = run["solar_into_loads_kwh"]
        into_house_kwh = run["pv_kwh"] - run["export_kwh"] - into_loads_kwh
        sun = zip(SUN_PARTS, (into_house_kwh, into_loads_kwh, run["export_kwh"]), strict=True)
        used = (("house", "house, from the roof", into_house_kwh),
                ("loads", "vehicles and appliances, from the roof", into_loads_kwh),
                ("drawn", "from the grid", run["import_kwh"]))  # fmt: skip
        cells.append(f'<div class="who{" ours" if name == "helianthus" else ""}">{RUN_NAMES[name]}</div>')
        cells.append(share_bar([(tone, label, kwh) for (tone, label), kwh in sun], produced_kwh))
        cells.append(share_bar(used, most_used_kwh))
    words = [("house", "the house, from the roof"), ("loads", "vehicles and appliances, from the roof"),
             ("left", "left the site"), ("drawn", "drawn from the grid")]  # fmt: skip
    return f'<figure><div class="flows">{"".join(cells)}</div>{legend(words)}</figure>'


def _daily(run: Run) -> str:
    stacks = [
        Layer(tone, label, run.kwh_by_day(power_w))
        for (tone, label), power_w in zip(
            SUN_PARTS, (run.into_house_w, run.flows.solar_w, run.exported_w), strict=True
        )
    ]
    beside = [Layer("drawn", "drawn from the grid", run.kwh_by_day(run.imported_w))]
    words = [(layer.tone, layer.label) for layer in (*stacks, *beside)]
    days = [_day(day) for day, _ in run.days]
    return f"<figure>{columns('Energy per day', days, stacks, beside, 'kWh')}{legend(words)}</figure>"


def _typical_day(run: Run, shown: Sequence[str], names: Mapping[str, str]) -> str:
    """The day whose production is the median of the whole days."""
    longest = max(part.stop - part.start for _, part in run.days)
    whole = [(day, part) for day, part in run.days if part.stop - part.start >= 0.95 * longest]
    day, part = sorted(whole, key=lambda found: run.flows.pv_w[found[1]].sum())[len(whole) // 2]

    def through_day(power_w: Values) -> Values:
        return run.mean_by_time(power_w, TYPICAL_BINS, part)

    above = [Layer("house", "house", through_day(run.flows.load_w))]
    above += [
        Layer(f"n{number}", names[load], through_day(run.flows.loads_w[load]))
        for number, load in enumerate(shown)
    ]
    sun = Layer("sun", "sun", through_day(run.flows.pv_w))
    scale = scale_for(max(float(total(above).max()), float(sun.values.max())) / 1000)
    chart = _kw_chart(f"Power through {day}", above, [], scale, sun)
    words = [("line", "sun"), *((layer.tone, layer.label) for layer in above)]
    said = f"{_day(day)}, the day of median production: what house and loads took, beside the sun."
    return f'<p class="said">{said}</p><figure>{chart}{legend(words)}</figure>'


def _strips(run: Run, shown: Sequence[str], names: Mapping[str, str]) -> str:
    """One field per load: across the time of day, down the days, the stronger the more power."""
    if not shown:
        return ""
    height_rem = min(max(0.16 * len(run.days), 0.8), 6)
    cells = []
    for number, load in enumerate(shown):
        power_w = run.flows.loads_w[load]
        picture = np.array([run.mean_by_time(power_w, STRIP_BINS, part) for _, part in run.days])
        most_w = float(picture.max())
        field = strip(f"When {names[load]} drew power", picture / most_w, f"n{number}", height_rem)
        cells.append(
            f'<div class="who">{escape(names[load])}</div>{field}'
            f'<div class="figure">≤ {most_w / 1000:.1f} kW</div>'
        )
    hours = "".join(f"<span>{hour}:00</span>" for hour in range(0, 25, 6))
    cells.append(f'<div></div><div class="hours">{hours}</div><div></div>')
    return (
        "<h2>When each load got what</h2>"
        f'<p class="said">Each line of a field is one day, {_day(run.days[0][0])} at the top.</p>'
        f'<figure><div class="rows">{"".join(cells)}</div></figure>'
    )


def _switchings(traces: Mapping[str, Trace], figures: dict[str, Any]) -> str:
    """Without control nothing is switched but by the vehicles themselves: left out."""
    counts = {
        name: [sum(load.switchings[day] for load in trace.loads.values()) for day, _ in trace.days]
        for name, trace in traces.items()
        if name != "none"
    }
    most = max((max(days) for days in counts.values()), default=0)
    cells = []
    for name, days in counts.items():
        mean = _runs_of(figures)[name]["switchings_per_day_total"]
        cells.append(
            f'<div class="who">{RUN_NAMES[name]}</div>'
            f"{spark(days, most, 'loads' if name == 'helianthus' else 'house')}"
            f'<div class="figure">{mean:.1f} a day, ≤ {max(days)}</div>'
        )
    return f'<figure><div class="rows">{"".join(cells)}</div></figure>'


def _load_table(figures: dict[str, Any], names: Mapping[str, str]) -> str:
    rows = []
    for load, figure in figures["loads"].items():
        shortest_s = figures["shortest_on_s"][load]
        cells = (
            _figure(figure["energy_kwh"], "kWh", 1),
            _figure(figure["solar_kwh"], "kWh", 1),
            _figure(figure["on_h"], "h", 1),
            _figure(figures["switchings_per_day"][load], "", 1),
            "–" if shortest_s is None else f"{shortest_s / 60:g} min",
        )
        rows.append(f"<tr><td>{escape(names[load])}</td>{''.join(f'<td>{c}</td>' for c in cells)}</tr>")
    heads = ("", "Energy", "of which sun", "On for", "Switchings a day", "Shortest run")
    return _table("".join(f"<th>{h}</th>" for h in heads), rows)


def _sessions_table(figures: dict[str, Any], timezone: str) -> str:
    short = [s for s in figures["sessions"] if s["missing_kwh"] >= 0.1]
    if not short:
        return ""
    rows = [
        f"<tr><td>{escape(s['station_id'])}</td><td>{_local(s['arrival_utc'], timezone)}</td>"
        f"<td>{_local(s['departure_utc'], timezone)}</td>"
        f"<td>{s['energy_kwh']:.1f} kWh</td><td>{s['missing_kwh']:.1f} kWh</td></tr>"
        for s in sorted(short, key=lambda s: -s["missing_kwh"])[:20]
    ]
    heads = ("Station", "Came", "Left", "Wanted", "Missing")
    title = "Vehicles that left with less than they came for" + (
        ", the 20 largest" if len(short) > 20 else ""
    )
    return f"<h2>{title}</h2>" + _table("".join(f"<th>{h}</th>" for h in heads), rows)


def _table(head: str, rows: Sequence[str]) -> str:
    return (
        f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
    )


def _notes(figures: dict[str, Any], loads_left_out: int) -> str:
    notes = list(figures["notes"])
    if loads_left_out > 0:
        notes.append(f"{loads_left_out} loads with the least energy are not in the pictures.")
    notes.append(
        "“Without control”: vehicles charge at once at full current, controlled appliances stay off."
    )
    if "bound" in figures["compare"]:
        notes.append(
            "“Upper bound”: what somebody who knew all days in advance could have done with the sun alone, "
            "with loads that follow any power at once."
        )
    items = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return f'<h2>Notes</h2><ul class="notes">{items}</ul>'


def _load_names(site: SiteConfig) -> dict[str, str]:
    names = {a.id: a.name or a.id for a in site.appliance}
    for point in site.charge_point:
        for connector in point.connectors:
            suffix = f", connector {connector.id}" if len(point.connectors) > 1 else ""
            names[f"{point.id}/{connector.id}"] = f"{point.name or point.id}{suffix}"
    return names


def _local(utc_text: str, timezone: str) -> str:
    time = datetime.fromisoformat(utc_text).astimezone(ZoneInfo(timezone))
    return f"{time.day} {time:%b %Y %H:%M}"


def _day(iso: str) -> str:
    day = date.fromisoformat(iso)
    return f"{day.day} {day:%b}"


def _hours(trace: Trace, part: slice, timezone: str) -> Values:
    """Local time of day of each step; on the two days a year with another length, hours since midnight."""
    step_s = trace.series.step_s
    first_at = (trace.series.start_at + timedelta(seconds=part.start * step_s)).astimezone(ZoneInfo(timezone))
    midnight = first_at.replace(hour=0, minute=0, second=0, microsecond=0).astimezone(UTC)
    first_h = (first_at.astimezone(UTC) - midnight).total_seconds() / 3600
    return first_h + np.arange(part.stop - part.start) * step_s / 3600
