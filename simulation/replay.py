"""`csms simulate`: what would this controller have done with a person's own measurements?

The decisions are those of the server (`optimizer.decide`), minute by minute, in virtual time. In minute t
they see the meters' means of minute t−1 and hold for minute t.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from csms.control_model import control_site
from csms.domain.site import SiteConfig, parse_time
from csms.errors import InvalidInput
from optimizer.model import Mode, Site, Window
from optimizer.schedule import open_until
from simulation.bound import Bound, load_solver, perfect_foresight
from simulation.need_score import need_figures
from simulation.plant import DailyNeed, Trace
from simulation.report import write_report
from simulation.scenario import Scenario, run_controller
from simulation.score import percent, score, score_bound, sentences
from simulation.series import PHASE_COLUMNS, SERIES_COLUMNS, Series, as_utc, read_series
from simulation.sessions import DECLARED_COLUMNS, SESSION_COLUMNS, Session, Stations, read_sessions

COMPARABLE = ("rule", "evcc", "bound")
PROGRESS_STEPS = 1000

Progress = Callable[[int, int], None]
"""Called with what is done and the whole, in any unit."""


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
    with _written_to(options.out):  # before the work, not after it
        options.out.mkdir(parents=True, exist_ok=True)
    site, battery_notes = _with_known_battery(options.site, control_site(options.site))
    series = read_series(
        options.series, options.columns, pv_scale=options.pv_scale, start=options.start, end=options.end
    )
    _check_interval(options.site, series)
    sessions, notes = _sessions(options, site, series)
    scenario = Scenario(
        site,
        series,
        sessions,
        _needs(options),
        metered=frozenset(a.id for a in options.site.appliance if a.meter is not None),
        zones=frozenset(m.circuit for m in options.site.meter if m.role == "zone" and m.circuit is not None),
        interval_s=options.site.site.control_interval_s,
        battery=_battery(options.site),
        is_shedding=_shedding(options),
    )
    traces = _replay_all(scenario, options)
    bound = perfect_foresight(scenario) if "bound" in options.compare else None
    if options.progress:
        options.progress(PROGRESS_STEPS, PROGRESS_STEPS)
    notes = [*series.notes, *battery_notes, *notes]
    notes += [*_waiting_notes(traces["helianthus"]), *_evcc_notes(site, traces)]
    return _write(options, site, traces, bound, notes)


def _with_known_battery(config: SiteConfig, site: Site) -> tuple[Site, list[str]]:
    """A battery can only be replayed where the site file tells its size."""
    known = config.battery is not None and config.battery.capacity_kwh is not None
    if site.battery is None or known:
        return site, []
    note = "The battery is left out: [battery] does not tell capacity_kwh and max_w."
    return replace(site, battery=None), [note]


def _battery(config: SiteConfig) -> tuple[float, float] | None:
    battery = config.battery
    if battery is None or battery.capacity_kwh is None or battery.max_w is None:
        return None
    return battery.capacity_kwh * 1000, battery.max_w


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
    if "bound" in options.compare:
        load_solver()
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


def _needs(options: ReplayOptions) -> dict[str, DailyNeed]:
    return {
        name: DailyNeed(
            options.daily_kwh.get(name, math.inf) * 1000, options.daily_h.get(name, math.inf) * 3600
        )
        for name in {*options.daily_kwh, *options.daily_h}
    }


def _replay_all(scenario: Scenario, options: ReplayOptions) -> dict[str, Trace]:
    names = ["helianthus", "none", *(name for name in ("rule", "evcc") if name in options.compare)]
    return {
        name: run_controller(scenario, name, _progress(options.progress, number, len(names)))
        for number, name in enumerate(names)
    }


def _progress(progress: Progress | None, number: int, runs: int) -> Callable[[float], None] | None:
    if progress is None:
        return None
    return lambda share: progress(round((number + share) / runs * PROGRESS_STEPS), PROGRESS_STEPS)


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


def _evcc_notes(site: Site, traces: Mapping[str, Trace]) -> list[str]:
    modes = {a.mode for a in site.appliances} | {c.mode for c in site.connectors}
    if "evcc" not in traces or modes.isdisjoint({Mode.TIMER_ONLY, Mode.SOLAR_AND_TIMER}):
        return []
    return ["evcc has no time windows: its modes are switched from outside at their edges, as its users do."]


def _write(
    options: ReplayOptions, site: Site, traces: dict[str, Trace], bound: Bound | None, notes: list[str]
) -> ReplayResult:
    trace = traces["helianthus"]
    scored = {name: {**score(t), "needs": need_figures(t, site)} for name, t in traces.items()}
    if bound is not None:
        scored["bound"] = {**score_bound(bound, trace.series), "needs": None}
        for figures in scored.values():
            figures["solar_captured_pct_of_bound"] = percent(
                figures["solar_into_loads_kwh"], scored["bound"]["solar_into_loads_kwh"]
            )
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
    paths = [options.out / name for name in ("result.json", "minutes.csv", "report.html")]
    with _written_to(options.out):
        paths[0].write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        _write_minutes(paths[1], trace)
        write_report(paths[2], options.site, traces, figures, headline)
    return ReplayResult(figures, headline, notes, paths[0], paths[1], paths[2])


@contextmanager
def _written_to(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InvalidInput("--out", str(folder), f"a folder to write to ({error.strerror})") from None


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
