"""report.html: one self-contained page for the owner, with its pictures inside it; prints well."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from html import escape
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from csms.domain.site import SiteConfig
from simulation.plant import Trace
from simulation.score import Flows, day_slices

SUN, HOUSE, IMPORT, EXPORT = "#e6a700", "#8a939c", "#b83a2e", "#a9c8e0"
LOAD_COLOURS = (
    "#1f6f8b", "#5a9e4b", "#8e5ea2", "#d17a22", "#2ca6a4", "#b04a6f", "#6b7f2a", "#4f6db8", "#a0673a",
)  # fmt: skip
MOST_LOADS_SHOWN = 12
STRIP_BINS = 288
RUN_NAMES = {"helianthus": "Helianthus", "none": "without control", "rule": "plain rule", "evcc": "evcc", "bound": "upper bound"}
ROWS = (
    ("self_consumption_percent", "Sun used on site", "%", 1),
    ("self_sufficiency_percent", "Own consumption covered by the sun", "%", 1),
    ("import_kwh", "Drawn from the grid", "kWh", 1),
    ("export_kwh", "Fed to the grid", "kWh", 1),
    ("controlled_kwh", "Into vehicles and appliances", "kWh", 1),
    ("solar_into_loads_kwh", "… of which sun", "kWh", 1),
    ("caused_import_kwh_per_day", "Grid draw caused by them, per day", "kWh", 2),
    ("switchings_per_day_total", "Switchings per day, all loads", "", 1),
    ("energy_missing_kwh", "Energy missing at departure", "kWh", 1),
    ("fuse_excess_s", "Time above a fuse limit", "s", 0),
)
STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #22282e;
  max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.8rem; margin-bottom: 0; }
h2 { font-size: 1.2rem; margin: 2rem 0 .4rem; break-after: avoid; }
.sub, figcaption, .notes { color: #5b646d; font-size: .9rem; }
.headline { background: #fff7e0; border-left: .4rem solid #e6a700; padding: .6rem 1rem; margin: 1.2rem 0; }
.headline p { margin: .3rem 0; } .headline p:first-child { font-size: 1.2rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .3rem .6rem; border-bottom: 1px solid #dde2e6; }
th:first-child, td:first-child { text-align: left; } thead th { border-bottom: 2px solid #8a939c; }
td.ours { font-weight: 600; background: #fffaf0; }
.wide { overflow-x: auto; } figure { margin: .5rem 0; break-inside: avoid; }
svg { width: 100%; height: auto; }
@media print { body { font-size: 11pt; max-width: none; margin: 0; } table { break-inside: avoid; } }
"""


def write_report(
    path: Path,
    site: SiteConfig,
    traces: Mapping[str, Trace],
    figures: dict[str, Any],
    sentences: Sequence[str],
) -> None:
    """Write the page. traces: "helianthus" and what it is compared with."""
    trace = traces["helianthus"]
    flows = Flows.of(trace)
    names = _load_names(site)
    active = [load for load, power_w in flows.loads_w.items() if power_w.any()]
    largest = sorted(active, key=lambda load: -float(flows.loads_w[load].sum()))[:MOST_LOADS_SHOWN]
    shown = [load for load in active if load in largest]
    with mpl.rc_context({"svg.fonttype": "none", "font.family": "sans-serif", "font.size": 10}):
        pictures = [
            ("A typical day", _typical_day(trace, flows, shown, names, site.site.timezone)),
            ("Where the sun went, day by day", _daily_bars(trace, flows)),
            ("When each load got what", _strips(trace, flows, shown, names, site.site.timezone)),
            ("Switchings, day by day", _switchings(traces)),
        ]
    first, last = (_local(figures[key], site.site.timezone) for key in ("from", "to"))
    body = [
        f"<h1>{escape(site.site.name)}</h1>",
        f'<p class="sub">What Helianthus would have done, from {first} to {last}</p>',
        '<div class="headline">' + "".join(f"<p>{escape(text)}</p>" for text in sentences) + "</div>",
        "<h2>Compared</h2>" + _comparison(figures),
        *(f"<h2>{title}</h2><figure>{picture}</figure>" for title, picture in pictures[:3] if picture),
        "<h2>Load by load</h2>" + _load_table(figures, names),
        *(f"<h2>{title}</h2><figure>{picture}</figure>" for title, picture in pictures[3:] if picture),
        _sessions_table(figures),
        _notes(figures, len(active) - len(shown)),
    ]
    path.write_text(
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(site.site.name)}: solar replay</title><style>{STYLE}</style></head>"
        f"<body>{''.join(body)}</body></html>\n",
        encoding="utf-8",
    )


def _load_names(site: SiteConfig) -> dict[str, str]:
    names = {a.id: a.name or a.id for a in site.appliance}
    for point in site.charge_point:
        for connector in point.connectors:
            suffix = f", connector {connector.id}" if len(point.connectors) > 1 else ""
            names[f"{point.id}/{connector.id}"] = f"{point.name or point.id}{suffix}"
    return names


def _local(utc_text: str, timezone: str) -> str:
    time = datetime.fromisoformat(utc_text).astimezone(ZoneInfo(timezone))
    return f"{time.day} {time:%B %Y %H:%M}"


def _comparison(figures: dict[str, Any]) -> str:
    runs = {"helianthus": figures, **figures["compare"]}
    head = "".join(f"<th>{RUN_NAMES[name]}</th>" for name in runs)
    rows = []
    for key, label, unit, digits in ROWS:
        cells = []
        for name, run in runs.items():
            css = ' class="ours"' if name == "helianthus" else ""
            cells.append(f"<td{css}>{_figure(run[key], unit, digits)}</td>")
        rows.append(f"<tr><td>{label}</td>{''.join(cells)}</tr>")
    return _table(f"<th></th>{head}", rows)


def _figure(value: float | None, unit: str, digits: int) -> str:
    return "–" if value is None else f"{value:,.{digits}f} {unit}".strip().replace(",", "\u202f")


def _load_table(figures: dict[str, Any], names: Mapping[str, str]) -> str:
    rows = []
    for load, figure in figures["loads"].items():
        shortest_s = figures["shortest_on_s"][load]
        shortest = "–" if shortest_s is None else f"{shortest_s / 60:g} min"
        cells = (
            _figure(figure["energy_kwh"], "kWh", 1),
            _figure(figure["solar_kwh"], "kWh", 1),
            _figure(figure["on_h"], "h", 1),
            _figure(figures["switchings_per_day"][load], "", 1),
            shortest,
        )
        rows.append(f"<tr><td>{escape(names[load])}</td>{''.join(f'<td>{c}</td>' for c in cells)}</tr>")
    heads = ("", "Energy", "of which sun", "On for", "Switchings per day", "Shortest run")
    return _table("".join(f"<th>{h}</th>" for h in heads), rows)


def _sessions_table(figures: dict[str, Any]) -> str:
    short = [s for s in figures["sessions"] if s["missing_kwh"] >= 0.1]
    if not short:
        return ""
    rows = [
        f"<tr><td>{escape(s['station_id'])}</td><td>{s['arrival_utc']}</td><td>{s['departure_utc']}</td>"
        f"<td>{s['energy_kwh']:.1f} kWh</td><td>{s['missing_kwh']:.1f} kWh</td></tr>"
        for s in sorted(short, key=lambda s: -s["missing_kwh"])[:20]
    ]
    heads = ("Station", "Came (UTC)", "Left (UTC)", "Wanted", "Missing")
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
    items = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return f'<h2>Notes</h2><ul class="notes">{items}</ul>'


def _typical_day(
    trace: Trace, flows: Flows, shown: Sequence[str], names: Mapping[str, str], timezone: str
) -> str:
    """The day whose production is the median of the whole days."""
    slices = day_slices(trace)
    longest = max(s.stop - s.start for _, s in slices)
    whole = [(label, s) for label, s in slices if s.stop - s.start >= 0.95 * longest]
    label, part = sorted(whole, key=lambda day: flows.pv_w[day[1]].sum())[len(whole) // 2]
    hours = _hours(trace, part, timezone)
    figure = Figure(figsize=(9, 5.4), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1.4])
    layers = [flows.load_w[part] / 1000] + [flows.loads_w[load][part] / 1000 for load in shown]
    colours = [HOUSE, *(_colour(i) for i in range(len(shown)))]
    upper.stackplot(hours, *layers, labels=["House", *(names[load] for load in shown)], colors=colours, lw=0)
    upper.plot(hours, flows.pv_w[part] / 1000, color=SUN, lw=1.6, label="Sun")
    upper.set(ylabel="kW", title=label, ylim=(0, None))
    upper.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False, fontsize=8)
    grid_kw = flows.grid_w[part] / 1000
    lower.fill_between(hours, np.maximum(grid_kw, 0), color=IMPORT, lw=0, label="drawn")
    lower.fill_between(hours, np.minimum(grid_kw, 0), color=EXPORT, lw=0, label="fed in")
    lower.set(ylabel="Grid, kW", xlabel="local time", xlim=(hours[0], max(hours[-1], hours[0] + 1)))
    lower.set_xticks(range(int(hours[0]), int(hours[-1]) + 2, 3))
    lower.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False, fontsize=8)
    _plain(upper, lower)
    return _svg(figure, f"Power through the day of {label}")


def _daily_bars(trace: Trace, flows: Flows) -> str:
    days = day_slices(trace)
    hours = flows.step_s / 3_600_000
    exported_w = np.maximum(-flows.grid_w, 0.0)
    into_house_w = flows.pv_w - exported_w - flows.solar_w

    def per_day(power_w: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.array([power_w[part].sum() * hours for _, part in days])

    figure = Figure(figsize=(9, 3.2), layout="constrained")
    axes = figure.subplots()
    at = np.arange(len(days))
    bottom = np.zeros(len(days))
    layers = (("sun into the house", into_house_w, HOUSE), ("sun into controlled loads", flows.solar_w, SUN),
              ("sun fed to the grid", exported_w, EXPORT))  # fmt: skip
    for label, power_w, colour in layers:
        axes.bar(at - 0.2, per_day(power_w), 0.5, bottom=bottom, color=colour, label=label)
        bottom += per_day(power_w)
    axes.bar(
        at + 0.25, per_day(np.maximum(flows.grid_w, 0.0)), 0.3, color=IMPORT, label="drawn from the grid"
    )
    axes.set(ylabel="kWh")
    _day_axis(axes, [label for label, _ in days])
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, frameon=False, fontsize=8)
    _plain(axes)
    return _svg(figure, "Energy per day")


def _strips(trace: Trace, flows: Flows, shown: Sequence[str], names: Mapping[str, str], timezone: str) -> str:
    """One strip per load: across the time of day, down the days, the darker the more power."""
    if not shown:
        return ""
    days = day_slices(trace)
    figure = Figure(
        figsize=(9, 0.5 + len(shown) * max(0.5, min(1.1, 0.07 * len(days)))), layout="constrained"
    )
    rows = np.atleast_1d(figure.subplots(len(shown), 1, sharex=True))
    bins = [
        np.minimum((_hours(trace, part, timezone) * STRIP_BINS / 24).astype(int), STRIP_BINS - 1)
        for _, part in days
    ]
    for number, (axes, load) in enumerate(zip(rows, shown, strict=True)):
        picture = np.zeros((len(days), STRIP_BINS))
        for day, (_, part) in enumerate(days):
            count = np.bincount(bins[day], minlength=STRIP_BINS)
            total = np.bincount(bins[day], weights=flows.loads_w[load][part], minlength=STRIP_BINS)
            picture[day] = np.divide(total, count, out=np.zeros(STRIP_BINS), where=count > 0)
        most_w = max(float(picture.max()), 1.0)
        colours = mpl.colors.LinearSegmentedColormap.from_list(load, ["#f4f5f6", _colour(number)])
        axes.imshow(picture, aspect="auto", extent=(0, 24, len(days), 0), cmap=colours, vmin=0, vmax=most_w,
                    interpolation="nearest")  # fmt: skip
        axes.set_yticks([])
        axes.set_ylabel(
            f"{names[load]}\n≤ {most_w / 1000:.1f} kW", rotation=0, ha="right", va="center", fontsize=8
        )
        axes.set_xticks(range(0, 25, 3))
    rows[-1].set_xlabel(f"local time; each row of a strip is one day, {days[0][0]} at the top")
    return _svg(figure, "When each load drew power")


def _switchings(traces: Mapping[str, Trace]) -> str:
    """Without control nothing is switched but by the vehicles themselves: left out."""
    compared = {name: trace for name, trace in traces.items() if name != "none"}
    figure = Figure(figsize=(9, 2.4), layout="constrained")
    axes = figure.subplots()
    labels = [label for label, _ in day_slices(traces["helianthus"])]
    width = 0.8 / len(compared)
    for number, (name, trace) in enumerate(compared.items()):
        counts = [sum(load.switchings[day] for load in trace.loads.values()) for day, _ in trace.days]
        at = np.arange(len(labels)) - 0.4 + (number + 0.5) * width
        axes.bar(at, counts, width, color=SUN if name == "helianthus" else HOUSE, label=RUN_NAMES[name])
    axes.set(ylabel="switchings")
    _day_axis(axes, labels)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, frameon=False, fontsize=8)
    _plain(axes)
    return _svg(figure, "Switchings per day")


def _hours(trace: Trace, part: slice, timezone: str) -> npt.NDArray[np.float64]:
    """Local time of day of each step; on the two days a year with another length, hours since midnight."""
    step_s = trace.series.step_s
    first_at = (trace.series.start_at + timedelta(seconds=part.start * step_s)).astimezone(ZoneInfo(timezone))
    midnight = first_at.replace(hour=0, minute=0, second=0, microsecond=0).astimezone(UTC)
    first_h = (first_at.astimezone(UTC) - midnight).total_seconds() / 3600
    return first_h + np.arange(part.stop - part.start) * step_s / 3600


def _day_axis(axes: Axes, labels: Sequence[str]) -> None:
    every = max(1, len(labels) // 16)
    axes.set_xticks(range(0, len(labels), every), [label[5:] for label in labels[::every]], fontsize=8)


def _colour(number: int) -> str:
    return LOAD_COLOURS[number % len(LOAD_COLOURS)]


def _plain(*many: Axes) -> None:
    for axes in many:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="#e4e8eb", lw=0.6)
        axes.set_axisbelow(True)


def _svg(figure: Figure, label: str) -> str:
    """An <svg> element with a text for those who do not see it; the same input gives the same text."""
    FigureCanvasSVG(figure)
    with mpl.rc_context({"svg.hashsalt": label}), io.StringIO() as text:
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
        svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    return svg.replace("<svg ", f'<svg role="img" aria-label="{escape(label)}" ', 1)
