"""The page of all sessions: found by station, badge and day, with their sum, and as a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

from csms.errors import InvalidInput
from csms.services.bundle import Services
from csms.services.reporting import Wanted
from csms.web.elements import Tag
from csms.web.station_part import choice, field
from csms.web.station_words import stop_in_words
from csms.web.stations import first_timezone, timezone_of
from csms.web.wording import duration, kilowatt_hours, on_day

Row = dict[str, Any]
PAGE = 50
MOST_SUGGESTED = 500
ENDS = {"": "All", "running": "Still running", "lost": "Lost"}
FILTERS = ("station", "badge", "from", "until", "ended")
COUNTED = {"running": "still running", "lost": "lost"}
HIGHEST_ID = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Asked:
    """What the address of the page asks for. fields: as put into the form. before_id: only older ones."""

    fields: Mapping[str, str]
    wanted: Wanted
    timezone: str
    before_id: int | None

    def address(self, path: str = "/sessions", **more: str) -> str:
        told = {name: text for name, text in self.fields.items() if text} | more
        return f"{path}?{urlencode(told)}" if told else path


def asked(services: Services, query: Mapping[str, str]) -> Asked:
    """Raises InvalidInput; NotFound: no such station."""
    fields = {name: query.get(name, "").strip() for name in FILTERS}
    station = services.charge_points.station(fields["station"]).identity if fields["station"] else None
    timezone = timezone_of(services, station) if station else first_timezone(services)
    first, last = (_day(name, fields[name]) for name in ("from", "until"))
    if first is not None and last is not None and last < first:
        raise InvalidInput("until", fields["until"], f"{fields['from']} or later")
    if fields["ended"] not in ENDS:
        raise InvalidInput("ended", fields["ended"], f"one of {', '.join(filter(None, ENDS))}")
    wanted = Wanted(
        station,
        id_tag=fields["badge"] or None,
        start=_midnight(first, timezone),
        end=_midnight(last + timedelta(days=1), timezone) if last is not None else None,
        open_only=fields["ended"] == "running",
        lost_only=fields["ended"] == "lost",
    )
    return Asked(fields, wanted, timezone, _id(query.get("before", "")))


def _day(name: str, text: str) -> date | None:
    try:
        day = date.fromisoformat(text) if text else None
    except ValueError:
        day = date.min
    if day is not None and not 1970 <= day.year < 2200:
        raise InvalidInput(name, text, "a day, such as 2026-06-01")
    return day


def _midnight(day: date | None, timezone: str) -> datetime | None:
    """When the day begins by the clock on the wall."""
    return None if day is None else datetime.combine(day, time(), ZoneInfo(timezone)).astimezone(UTC)


def _id(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and int(text[:11]) <= HIGHEST_ID):
        raise InvalidInput("before", text, "the number of a session")
    return int(text)


class PastSessions:
    """Built once for each address, so that it can be kept, sent and printed as it is."""

    def __init__(self, services: Services, asked: Asked) -> None:
        self._services, self._asked = services, asked
        self._names: dict[str, str | None] = {}

    async def load(self) -> None:
        reporting, asked = self._services.reporting, self._asked
        tags = await self._services.accounts.id_tags()
        self._names = {tag["id_tag"].lower(): tag["name"] for tag in tags}
        rows = await reporting.sessions(asked.wanted, PAGE + 1, asked.before_id)
        with Tag("div", classes="page-title"):
            Tag("h1", "Sessions")
            told = [f"{name} {text}" for name, text in asked.fields.items() if text]  # on paper, too
            Tag("p", " · ".join([f"Times of {asked.timezone}", *told]), classes="quiet-line")
        self._form(tags)
        self._totals(await reporting.totals(asked.wanted))
        self._table(rows[:PAGE])
        self._pager(rows)

    def _form(self, tags: list[Row]) -> None:
        fields = self._asked.fields
        stations = sorted((s.identity for s in self._services.charge_points.stations()), key=str.lower)
        options = {"": "All"} | {identity: identity for identity in stations}
        with Tag("form", classes="card panel filters", method="get", action="/sessions", role="search"):
            choice("Station", "station", options, self._asked.wanted.identity or "")
            badge = field("Badge", "badge", autocomplete="off", **{"^value": fields["badge"]})
            badge.put(list="known-badges")
            with Tag("datalist", id="known-badges"):
                for tag in tags[:MOST_SUGGESTED]:
                    Tag("option", value=tag["id_tag"], label=tag["name"])
            field("From", "from", "date", **{"^value": fields["from"]})
            field("Until", "until", "date", **{"^value": fields["until"]})
            choice("Which", "ended", ENDS, fields["ended"])
            Tag("button", "Show", classes="action", type="submit")
            if any(fields.values()):
                Tag("a", "Show all", classes="quiet-link", href="/sessions")

    def _totals(self, totals: Row) -> None:
        count = totals["sessions"]
        told = [f"{count:,} {'session' if count == 1 else 'sessions'}"]
        told += [f"{totals[kind]:,} {words}" for kind, words in COUNTED.items() if totals[kind]]
        with Tag("div", classes="card totals", role="group", aria_label="Totals"):
            with Tag("p"):
                Tag("span", kilowatt_hours(totals["energy_wh"]), classes="big")
                Tag("span", "kWh", classes="unit-word")
            Tag("p", " · ".join(told))
            if count:
                address = self._asked.address("/sessions.csv")
                Tag("a", "Save as a table (CSV)", classes="quiet-link", href=address, download="")

    def _table(self, rows: list[Row]) -> None:
        if not rows:
            Tag("p", "There is no such session.", classes="empty")
            return
        with Tag("table", classes="card records"):
            with Tag("thead"), Tag("tr"):
                for column in ("Began", "Station", "Badge", "Energy", "Duration", "Ended"):
                    Tag("th", column, scope="col")
            with Tag("tbody"):
                for row in rows:
                    self._line(row)

    def _line(self, row: Row) -> None:
        now, timezone, name = self._services.clock.now(), self._asked.timezone, row["identity"]
        ended_at = row["stopped_at"] or now
        with Tag("tr"):
            Tag("td", on_day(row["started_at"], timezone), title=f"session {row['id']}")
            with Tag("td"):
                Tag("a", name, classes="name-link", href=f"/stations/{quote(name, safe='')}")
                Tag("span", f" / {row['connector_id']}", classes="quiet-line")
            with Tag("td"):
                Tag("span", row["id_tag"] or "no badge")
                if known := self._names.get(row["id_tag"].lower()):
                    Tag("span", f" {known}", classes="quiet-line")
            Tag("td", f"{kilowatt_hours(row['energy_wh'])} kWh", classes="amount")
            Tag("td", duration((ended_at - row["started_at"]).total_seconds()), classes="amount")
            self._end(row)

    def _end(self, row: Row) -> None:
        if row["stopped_at"] is None:
            with Tag("td"):
                Tag("span", "Still running", classes="state", data_state="on")
            return
        is_lost = row["stop_reason"] == "Lost"
        with Tag("td"):
            if is_lost:
                Tag("span", "Lost", classes="state", data_state="fault")
            Tag("span", stop_in_words(row["stop_reason"], row["close_note"]))

    def _pager(self, rows: list[Row]) -> None:
        is_first, has_more = self._asked.before_id is None, len(rows) > PAGE
        with Tag("nav", classes="pager", aria_label="More sessions"):
            if not is_first:
                Tag("a", "Newest", classes="quiet-link", href=self._asked.address())
            if has_more:
                older = self._asked.address(before=str(rows[PAGE - 1]["id"]))
                Tag("a", "Older", classes="action", href=older)
