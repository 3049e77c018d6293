"""`csms simulate`: what would this controller have done with a person's own measurements?

The decisions are those of the server (`optimizer.decide`), minute by minute, in virtual time. In minute t
they see the meters' means of minute t−1 and hold for minute t.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from csms.control_model import control_site
from csms.domain.site import SiteConfig, parse_time
from csms.errors import InvalidInput
from optimizer.decide import decide
from optimizer.model import Demands, Memory, Readings, Site, Window
from optimizer.schedule import open_until
from simulation.appliances import Battery
from simulation.plain_rule import PlainRule
from simulation.plant import Controller, DailyNeed, Plant, Setpoints, Trace
from simulation.report import write_report
from simulation.score import score, sentences
from simulation.series import PHASE_COLUMNS, SERIES_COLUMNS, Series, as_utc, read_series
from simulation.sessions import DECLARED_COLUMNS, SESSION_COLUMNS, Session, Stations, read_sessions

COMPARABLE = ("rule",)
PROGRESS_EVERY = 360

Progress = Callable[[int, int], None]
"""Called with the steps done and the steps in all."""


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """What `csms simulate` is asked.

    columns: contract name -> header in the person's file, for both files. stations: station id of the
    sessions -> "CP1" or "CP1/2" or "none", or "auto". start, end: the part of the series to replay, end
    excluded; without an offset they are UTC. daily_kwh, daily_h: what an appliance takes in a local day at
    most (energy, run time); without them it takes all it is given. load_shedding: "17:00-18:30", local time.
    """

    site: SiteConfig
    series: Path
    out: Path
    sessions: Path | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    stations: Stations = field(default_factory=dict)
    pv_scale: float = 1.0
    start: datetime | None = None
    end: datetime | None = None
    compare: Sequence[str] = ()
    daily_kwh: Mapping[str, float] = field(default_factory=dict)
    daily_h: Mapping[str, float] = field(default_factory=dict)
    load_shedding: str | None = None
    progress: Progress | None = None


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """figures: the content of result.json. sentences: the headline in words. notes: what was assumed."""

    figures: dict[str, Any]
    sentences: list[str]
    notes: list[str]
    result_path: Path
    minutes_path: Path
    report_path: Path


def run(options: ReplayOptions) -> ReplayResult:
    """Replay the series and write result.json, minutes.csv and report.html.

    Raises:
        InvalidInput: one clear line about what is wrong with the arguments or the files.
    """
    _check(options)
    site, battery_notes = _with_known_battery(options.site, control_site(options.site))
    series = read_series(
        options.series, options.columns, pv_scale=options.pv_scale, start=options.start, end=options.end
    )
    _check_interval(options.site, series)
    sessions, notes = _sessions(options, site, series)
    notes = [*series.notes, *battery_notes, *notes]
    controllers: dict[str, Controller] = {"helianthus": OptimizerControl(site), "none": uncontrolled(site)}
    if "rule" in options.compare:
        controllers["rule"] = PlainRule(site)
    traces = _replay_all(options, site, series, sessions, controllers)
    notes += _waiting_notes(traces["helianthus"])
    return _write(options, traces, notes)


class OptimizerControl:
    """The server's own decision path with the memory it keeps from minute to minute."""

    def __init__(self, site: Site):
        self._site, self._memory = site, Memory()

    def __call__(self, readings: Readings, demands: Demands, now: datetime) -> Setpoints:
        decision, self._memory = decide(self._site, readings, demands, self._memory, now)
        return Setpoints(
            {a.id: a.on for a in decision.appliances},
            {c.id: c.limit_a for c in decision.connectors},
            {c.id: c.phase_count for c in decision.connectors if c.phase_count is not None},
        )


def _with_known_battery(config: SiteConfig, site: Site) -> tuple[Site, list[str]]:
    """A battery can only be replayed where the site file tells its size."""
    known = config.battery is not None and config.battery.capacity_kwh is not None
    if site.battery is None or known:
        return site, []
    note = "The battery is left out: [battery] does not tell capacity_kwh and max_w."
    return replace(site, battery=None), [note]


def _battery(config: SiteConfig) -> Battery | None:
    battery = config.battery
    if battery is None or battery.capacity_kwh is None or battery.max_w is None:
        return None
    return Battery(battery.capacity_kwh * 1000, battery.max_w)


def _shedding(options: ReplayOptions) -> Callable[[datetime], bool] | None:
    """Whether the operator sheds load at a time; None where the site has no input for it.

    Raises:
        InvalidInput: not a span of local time, or the site has no such input.
    """
    site, text = options.site, options.load_shedding
    if text is not None and site.load_shedding is None:
        raise InvalidInput("--load-shedding", text, "a site file with [load_shedding]")
    if text is None:
        return None if site.load_shedding is None else (lambda _: False)
    start, _, end = text.partition("-")
    try:
        window = Window(frozenset(range(7)), parse_time(start), parse_time(end))
    except ValueError:
        raise InvalidInput("--load-shedding", text, "a span of local time such as 17:00-18:30") from None
    return lambda now: open_until([window], site.site.timezone, now) is not None


def uncontrolled(site: Site) -> Controller:
    """Vehicles charge at once at full current, appliances stay off."""
    everything = Setpoints({}, {c.id: c.max_a for c in site.connectors})
    return lambda readings, demands, now: everything


def replay(
    plant: Plant, controller: Controller, interval_s: float, progress: Callable[[int], None] | None = None
) -> Trace:
    """Run one controller through the whole series. Control every `interval_s`, a multiple of the step."""
    series = plant.series
    every = round(interval_s / series.step_s)
    step = timedelta(seconds=series.step_s)
    for index in range(len(series.pv_w)):
        plant.begin_step(index)
        if index % every == 0:
            now = series.start_at + index * step
            readings, demands = plant.observe(now)
            plant.obey(controller(readings, demands, now), index)
        plant.advance(index)
        if progress and index % PROGRESS_EVERY == 0:
            progress(index)
    return plant.finish()


def pairs(option: str, texts: Iterable[str]) -> dict[str, str]:
    """Read repeated NAME=VALUE arguments.

    Raises:
        InvalidInput: one without both sides, or a name given twice.
    """
    found: dict[str, str] = {}
    for text in texts:
        name, _, value = (part.strip() for part in text.partition("="))
        if not name or not value or name in found:
            raise InvalidInput(option, text, "NAME=VALUE, each name once")
        found[name] = value
    return found


def number_pairs(option: str, texts: Iterable[str]) -> dict[str, float]:
    """Read repeated NAME=NUMBER arguments.

    Raises:
        InvalidInput: not a number.
    """
    found: dict[str, float] = {}
    for name, text in pairs(option, texts).items():
        try:
            found[name] = float(text)
        except ValueError:
            raise InvalidInput(option, f"{name}={text}", "NAME=NUMBER") from None
    return found


def station_pairs(texts: Sequence[str]) -> Stations:
    """Read `--station ID=CP1` arguments, or the single word "auto".

    Raises:
        InvalidInput: neither.
    """
    return "auto" if list(texts) == ["auto"] else pairs("--station", texts)


def _check(options: ReplayOptions) -> None:
    if not math.isfinite(options.pv_scale) or options.pv_scale < 0:
        raise InvalidInput("--pv-scale", options.pv_scale, "0 or more")
    known = (*SERIES_COLUMNS, *PHASE_COLUMNS, *SESSION_COLUMNS, *DECLARED_COLUMNS)
    for name in options.columns:
        if name not in known:
            raise InvalidInput("--column", f"{name}=…", f"one of {', '.join(known)} before the =")
    for name in options.compare:
        if name not in COMPARABLE:
            raise InvalidInput("--compare", name, f"one of: {', '.join(COMPARABLE)}")
    if options.start and options.end and as_utc(options.end) <= as_utc(options.start):
        raise InvalidInput(
            "--to", options.end.isoformat(), f"a time after --from {options.start.isoformat()}"
        )
    appliances = [a.id for a in options.site.appliance]
    for option, needs in (("--daily-kwh", options.daily_kwh), ("--daily-h", options.daily_h)):
        for name, value in needs.items():
            if name not in appliances:
                raise InvalidInput(
                    option, name, f"an appliance of the site: {', '.join(appliances) or 'it has none'}"
                )
            if not math.isfinite(value) or value < 0:
                raise InvalidInput(option, f"{name}={value:g}", "0 or more")


def _check_interval(site: SiteConfig, series: Series) -> None:
    interval_s = site.site.control_interval_s
    ratio = interval_s / series.step_s
    if ratio < 1 or abs(ratio - round(ratio)) > 1e-9:
        raise InvalidInput(
            "site.control_interval_s", interval_s, f"a multiple of the series' step of {series.step_s:g} s"
        )


def _sessions(options: ReplayOptions, site: Site, series: Series) -> tuple[list[Session], list[str]]:
    """Those that begin within the series."""
    if options.sessions is None:
        return [], []
    connectors = [c.id for c in site.connectors]
    found = read_sessions(options.sessions, connectors, options.columns, options.stations)
    inside = [s for s in found if series.start_at <= s.arrival_at < series.end_at]
    left_out = len(found) - len(inside)
    return inside, [
        f"{left_out} sessions that do not begin within the series were left out."
    ] if left_out else []


def _replay_all(
    options: ReplayOptions,
    site: Site,
    series: Series,
    sessions: list[Session],
    controllers: Mapping[str, Controller],
) -> dict[str, Trace]:
    needs = {
        name: DailyNeed(
            options.daily_kwh.get(name, math.inf) * 1000, options.daily_h.get(name, math.inf) * 3600
        )
        for name in {*options.daily_kwh, *options.daily_h}
    }
    metered = frozenset(a.id for a in options.site.appliance if a.meter is not None)
    zones = frozenset(m.circuit for m in options.site.meter if m.role == "zone" and m.circuit is not None)
    steps = len(series.pv_w)
    traces = {}
    for number, (name, controller) in enumerate(controllers.items()):
        plant = Plant(
            site, series, sessions, needs, metered, zones, _battery(options.site), _shedding(options)
        )
        tell = _progress(options.progress, number * steps, len(controllers) * steps)
        traces[name] = replay(plant, controller, options.site.site.control_interval_s, tell)
    if options.progress:
        options.progress(len(controllers) * steps, len(controllers) * steps)
    return traces


def _progress(progress: Progress | None, before: int, total: int) -> Callable[[int], None] | None:
    return (lambda step: progress(before + step, total)) if progress else None


def _waiting_notes(trace: Trace) -> list[str]:
    waited = sum(outcome.waited for outcome in trace.sessions)
    still_there = sum(not outcome.departed for outcome in trace.sessions)
    notes = []
    if waited:
        notes.append(f"{waited} vehicles came to a connector that was taken and waited until it was free.")
    if still_there:
        notes.append(
            f"{still_there} vehicles were still there at the end: their missing energy is not counted."
        )
    return notes


def _write(options: ReplayOptions, traces: dict[str, Trace], notes: list[str]) -> ReplayResult:
    trace = traces["helianthus"]
    scored = {name: score(t) for name, t in traces.items()}
    compare = {name: figures for name, figures in scored.items() if name != "helianthus"}
    figures = {
        "site": options.site.site.id,
        "from": trace.series.start_at.isoformat().replace("+00:00", "Z"),
        "to": trace.series.end_at.isoformat().replace("+00:00", "Z"),
        "step_s": trace.series.step_s,
        **scored["helianthus"],
        "compare": compare,
        "notes": notes,
    }
    headline = sentences(figures, compare)
    options.out.mkdir(parents=True, exist_ok=True)
    paths = [options.out / name for name in ("result.json", "minutes.csv", "report.html")]
    paths[0].write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    _write_minutes(paths[1], trace)
    write_report(paths[2], options.site, traces, figures, headline)
    return ReplayResult(figures, headline, notes, paths[0], paths[1], paths[2])


def _write_minutes(path: Path, trace: Trace) -> None:
    """One line per step of the series, time = its start."""
    series = trace.series
    header = ["timestamp_utc", "pv_w", "load_w", "grid_w"]
    columns = [series.pv_w, series.load_w, trace.grid_w]
    for name, load in trace.loads.items():
        header.append(f"{name}_w")
        columns.append(load.power_w)
        if load.offered_a is not None:
            header.append(f"{name}_offered_a")
            columns.append(load.offered_a)
    if trace.battery_w:
        header.append("battery_w")
        columns.append(trace.battery_w)
    line = "%s," + ",".join(["%.10g"] * len(columns)) + "\n"
    step = timedelta(seconds=series.step_s)
    start_at = series.start_at.replace(tzinfo=None)
    with path.open("w", encoding="utf-8") as file:
        file.write(",".join(header) + "\n")
        for i, values in enumerate(zip(*columns, strict=True)):
            file.write(line % ((start_at + i * step).isoformat() + "Z", *values))
