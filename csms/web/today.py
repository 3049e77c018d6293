"""Today so far: what the sun gave and where it went, and the day's chart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import Any
from zoneinfo import ZoneInfo

from nicegui import ui

from csms.domain.snapshot import SiteSnapshot
from csms.services.reporting import Reporting
from csms.web.elements import Tag
from csms.web.wording import kilowatt_hours, kilowatts

MINUTE_S = 60
CHART_STEP_S = 300
NOTICED_W = 50.0


@dataclass(frozen=True, slots=True)
class SunToday:
    """All [Wh]. used_wh: produced and not exported in the same minute. loads_wh: by controlled loads."""

    produced_wh: float
    used_wh: float
    exported_wh: float
    imported_wh: float
    loads_wh: float

    @property
    def used_share(self) -> float | None:
        return self.used_wh / self.produced_wh if self.produced_wh >= 1 else None

    @property
    def own_share(self) -> float | None:
        """Of what was consumed, the part that came from the own roof."""
        consumed_wh = self.used_wh + self.imported_wh
        return self.used_wh / consumed_wh if consumed_wh >= 1 else None


def sun_today(rows: Sequence[Mapping[str, Any]], step_s: int) -> SunToday:
    """Sum mean powers per step. A minute without a grid or sun reading counts for nothing."""
    hours = step_s / 3600
    produced = used = exported = imported = loads = 0.0
    for row in rows:
        sun_w = max(-(row["pv_w"] or 0.0), 0.0)
        grid_w = row["grid_w"]
        loads += (row["controlled_w"] or 0.0) * hours
        if grid_w is None:
            continue
        export_w = max(-grid_w, 0.0)
        produced += sun_w * hours
        used += max(sun_w - export_w, 0.0) * hours
        exported += export_w * hours
        imported += max(grid_w, 0.0) * hours
    return SunToday(produced, used, exported, imported, loads)


def local_midnight(now: datetime, timezone: str) -> datetime:
    return now.astimezone(ZoneInfo(timezone)).replace(hour=0, minute=0, second=0, microsecond=0)


@dataclass(frozen=True, slots=True)
class Day:
    """What a page shows of today. slots: start of each chart step of the whole local day."""

    sun: SunToday
    slots: tuple[datetime, ...]
    rows: Mapping[datetime, Mapping[str, Any]]


class Days:
    """Today of each site, read once a minute however many pages look at it."""

    def __init__(self, reporting: Reporting) -> None:
        self._reporting = reporting
        self._kept: dict[str, tuple[datetime, Day]] = {}

    async def today(self, site_id: str, timezone: str, now: datetime, interval_s: float = MINUTE_S) -> Day:
        """interval_s: between two of the site's decisions; each tells the mean of the time before it."""
        minute = now.replace(second=0, microsecond=0)
        kept = self._kept.get(site_id)
        if kept is None or kept[0] != minute:
            kept = (minute, await self._read(site_id, timezone, now, interval_s))
            self._kept[site_id] = kept
        return kept[1]

    async def _read(self, site_id: str, timezone: str, now: datetime, interval_s: float) -> Day:
        step_s = max(MINUTE_S, ceil(interval_s))
        start = local_midnight(now, timezone).astimezone(now.tzinfo)
        end = local_midnight(start + timedelta(hours=36), timezone).astimezone(now.tzinfo)
        minutes = await self._reporting.history(site_id, start, end, step_s)
        steps = await self._reporting.history(site_id, start, end, CHART_STEP_S)
        slots = tuple(
            start + timedelta(seconds=n) for n in range(0, int((end - start).total_seconds()), CHART_STEP_S)
        )
        return Day(sun_today(minutes, step_s), slots, {row["at"]: row for row in steps})


def headline(snapshot: SiteSnapshot) -> str:
    """What the sun does right now, in one sentence."""
    if snapshot.grid_w is None:
        return "The grid meter does not answer."
    if snapshot.pv_w is None or snapshot.house_w is None:
        toward = "from" if snapshot.grid_w > 0 else "to"
        return f"{kilowatts(snapshot.grid_w)} kW flows {toward} the grid."
    sun_w = -snapshot.pv_w
    if sun_w < NOTICED_W:
        return "No sun now: the power comes from the grid." if snapshot.grid_w > 0 else "No sun now."
    if snapshot.grid_w <= -NOTICED_W:
        return f"The sun covers everything, {kilowatts(snapshot.grid_w)} kW is left over."
    if snapshot.grid_w < NOTICED_W:
        return "The sun covers everything that runs."
    used_w = snapshot.house_w + snapshot.controlled_w
    return f"The sun covers {max(1 - snapshot.grid_w / max(used_w, 1.0), 0):.0%} of what runs now."


class SunSummary:
    def __init__(self) -> None:
        with Tag("div", classes="summary"):
            self._headline = Tag("h1", classes="headline")
            with Tag("div", classes="figures", role="group", aria_label="Today"):
                self._produced = _figure("sun", "from the sun today", "kWh")
                self._used = _figure("leaf", "of it used on site", "%")
                self._imported = _figure("grid", "from the grid today", "kWh")
            with Tag("div", classes="split", role="img") as self._split:
                self._parts = {n: Tag("span", classes=f"part part-{n}") for n in ("loads", "house", "export")}
            with Tag("p", classes="split-legend"):
                for name, words in (("loads", "loads"), ("house", "house"), ("export", "to the grid")):
                    with Tag("span"):
                        Tag("i", classes=f"dot part-{name}")
                        Tag("span", words)
            self._own = Tag("p", classes="quiet-line")

    def show(self, snapshot: SiteSnapshot, sun: SunToday) -> None:
        self._headline.say(headline(snapshot))
        self._produced.say(kilowatt_hours(sun.produced_wh))
        self._used.say("–" if sun.used_share is None else f"{sun.used_share:.0%}".removesuffix("%"))
        self._imported.say(kilowatt_hours(sun.imported_wh))
        total = max(sun.produced_wh, 1.0)
        loads = min(sun.loads_wh, sun.used_wh)  # what the loads took beyond that came from the grid
        shares = {"loads": loads, "house": sun.used_wh - loads, "export": sun.exported_wh}
        for name, energy_wh in shares.items():
            self._parts[name].put(style=f"flex-grow:{max(energy_wh / total, 0):.3f}")
        self._split.put(
            aria_label=", ".join(f"{name} {kilowatt_hours(wh)} kWh" for name, wh in shares.items())
        )
        self._own.say(
            "" if sun.own_share is None else f"{sun.own_share:.0%} of what was used came from the own roof."
        )


def _figure(name: str, words: str, unit: str) -> Tag:
    with Tag("div", classes=f"figure figure-{name}"):
        with Tag("p"):
            number = Tag("span", "–", classes="big", data_figure=name)
            Tag("span", unit, classes="unit-word")
        Tag("p", words, classes="figure-words")
    return number


SERIES = (
    ("Sun", "pv_w", "#f0ad00", False),
    ("House", "house_w", "#8d8a78", True),
    ("Loads", "controlled_w", "#5f9a45", True),
    ("Grid", "grid_w", "#5b82bd", False),
)
MUTED = "#8b8d7e"
FAINT = "rgba(139,141,126,.2)"


def chart_options(day: Day, timezone: str) -> dict[str, Any]:
    """House and loads stacked, sun above zero as a line over them, grid as it is (+ drawn, − exported). [kW]

    The axis holds the local day's steps by name, so that the browser's own time zone does not matter and a
    day of 23 or 25 hours is drawn whole.
    """
    zone = ZoneInfo(timezone)
    every_3_h = 3 * 3600 // CHART_STEP_S
    return {
        "animation": False,
        "grid": {"left": 34, "right": 8, "top": 48, "bottom": 32},
        "legend": {"top": 0, "left": 0, "icon": "roundRect", "itemWidth": 12, "itemHeight": 8,
                   "itemGap": 16, "textStyle": {"color": MUTED}},
        "tooltip": {"trigger": "axis", "confine": True},
        "xAxis": {
            "type": "category",
            "boundaryGap": False,
            "data": [slot.astimezone(zone).strftime("%H:%M") for slot in day.slots],
            "axisLabel": {"interval": every_3_h - 1, "color": MUTED, "margin": 14, "hideOverlap": True},
            "axisLine": {"lineStyle": {"color": FAINT}, "onZero": True},
            "axisTick": {"interval": every_3_h - 1, "lineStyle": {"color": FAINT}},
        },
        "yAxis": {
            "type": "value",
            "name": "kW",
            "nameGap": 12,
            "nameTextStyle": {"color": MUTED, "align": "right"},
            "axisLabel": {"color": MUTED},
            "splitLine": {"lineStyle": {"color": FAINT}},
        },
        "series": [_series(day, *row) for row in SERIES],
    }  # fmt: skip


def _series(day: Day, name: str, key: str, colour: str, stacked: bool) -> dict[str, Any]:
    sign = -1 if key == "pv_w" else 1
    values = [
        None if (w := day.rows.get(slot, {}).get(key)) is None else round(sign * w / 1000, 3)
        for slot in day.slots
    ]
    series: dict[str, Any] = {
        "name": name,
        "type": "line",
        "data": values,
        "symbol": "none",
        "itemStyle": {"color": colour},
        "lineStyle": {"width": 0 if stacked else 2, "color": colour},
    }
    if stacked:
        series |= {"stack": "used", "areaStyle": {"color": colour, "opacity": 0.75}}
    if key == "grid_w":
        series["lineStyle"] = {"width": 1.5, "color": colour, "type": "solid", "opacity": 0.9}
    if key == "pv_w":
        series["areaStyle"] = {"color": colour, "opacity": 0.12}
    return series


class DayChart:
    def __init__(self) -> None:
        with Tag("section", classes="card chart-card", aria_label="The day in a chart"):
            Tag("h2", "The day")
            self._chart = ui.echart({}, renderer="svg").classes("chart")
        self._shown: Day | None = None

    def show(self, day: Day, timezone: str) -> None:
        if day is not self._shown:
            self._shown = day
            self._chart.options.clear()
            self._chart.options.update(chart_options(day, timezone))
            self._chart.update()
