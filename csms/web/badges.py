"""The badges stored here: what each may, when it charged last, and those that a station has just refused."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from nicegui import events, ui

from csms.domain.id_tag import IdTag, authorize, possible_spellings
from csms.domain.id_tag_table import COLUMNS, SEPARATOR, read_tag
from csms.errors import InvalidInput
from csms.services.charge_points import RefusedBadge
from csms.web.elements import Tag
from csms.web.station_part import Card, Line, Listing, choice, field, folded, sending, submit
from csms.web.wording import kilowatt_hours

Row = dict[str, Any]
REFRESH_S = 2.0
RELOAD_S = 30.0  # what others have changed
MOST_SHOWN = 100
TABLE_PATH = "/badges.csv"
EMIT_VALUE = "(e) => emit(e.target.value)"
REMOVE = "It is a stranger to all stations then. Its sessions stay. Remove the badge?"
NONE_STORED = (
    "Unless the server is set otherwise, every badge may charge as long as none is stored; "
    "with the first one, only those that are stored."
)
STATES = {"Accepted": ("May charge", "on"), "Blocked": ("Blocked", "fault"), "Expired": ("Expired", "fault")}
REFUSALS = {
    "Blocked": "it is blocked",
    "Expired": "it has expired",
    "Invalid": "it is not valid there",
    "ConcurrentTx": "it charges elsewhere already",
}


class BadgeLine(Line):
    def __init__(self, part: Badges, row: Row) -> None:
        super().__init__()
        self._part, self._id_tag = part, row["id_tag"]
        if part.visitor.may_operate:
            with self.actions:
                sessions = f"/sessions?{urlencode({'badge': row['id_tag']})}"
                Tag("a", "Sessions", classes="quiet-link", href=sessions)
        if not part.visitor.may_administer:
            return
        with self.actions:
            with folded("Change …") as opened:
                place = Tag("div")
            part.button("Remove", self._remove, REMOVE)

        def open_form() -> None:
            if not place.default_slot.children:  # not before: there may be a hundred of them
                with place:
                    part.badge_form(row)

        opened.on("toggle", open_form, args=[])

    def show(self, row: Row) -> None:
        now, when = self._part.services.clock.now(), self._part.visitor.when
        name = f" · {row['name']}" if row["name"] else ""
        parts, ends = allowances(row), row["expires_at"]
        if ends is not None:
            parts.append(f"{'ended' if ends <= now else 'until'} {when(ends)}")
        if (use := self._part.use.get(row["id_tag"].lower())) is not None:
            parts.append(f"last at {use['identity']}, {when(use['started_at'])}")
            parts.append(f"{kilowatt_hours(use['energy_wh'])} kWh this month")
        self.say(f"{row['id_tag']}{name}", " · ".join(parts), *self._part.state(row))

    async def _remove(self) -> str:
        await self._part.services.accounts.remove_id_tag(self._id_tag)
        await self._part.load()
        return f"{self._id_tag} is removed"


def allowances(row: Row) -> list[str]:
    """What it may, apart from its end."""
    places, limit = row["charge_points"], row["max_transactions"]
    where = "everywhere" if places is None else f"only at {', '.join(places)}" if places else "at no station"
    told = [where]
    if row["parent_id_tag"]:
        told.append(f"group {row['parent_id_tag']}")
    if limit:
        told.append(f"{limit} at once")
    if row["min_a"] is not None:
        told.append(f"needs {row['min_a']:g} A")
    return told


class RefusedLine(Line):
    def __init__(self, part: Badges, refused: RefusedBadge) -> None:
        super().__init__()
        self._part, self._id_tag = part, refused.id_tag
        if part.visitor.may_administer and not part.is_stored(refused.id_tag):
            with self.actions:
                part.button("Add it", self._add, classes="action")

    def show(self, refused: RefusedBadge) -> None:
        is_known = self._part.is_stored(refused.id_tag)
        why = REFUSALS.get(refused.status, refused.status) if is_known else "it is not stored here"
        self.say(refused.id_tag, f"at {refused.identity}, {self._part.visitor.when(refused.at)}: {why}")

    async def _add(self) -> str:
        await self._part.services.accounts.save_id_tag(IdTag(self._id_tag.strip()))
        await self._part.load()
        return f"{self._id_tag} may charge now"


class Badges(Card):
    def build(self) -> None:
        self.use: dict[str, Row] = {}
        self._rows: list[Row] = []
        self._stored: dict[str, IdTag] = {}
        self._sought = ""
        with Tag("div", role="group", aria_label="Refused lately") as self._refused_part:
            Tag("p", "Refused lately", classes="quiet-line")
            self._refused = Listing[RefusedBadge](
                "",
                lambda one: (one.id_tag, self.is_stored(one.id_tag)),
                lambda one: RefusedLine(self, one),
                "Refused badges",
            )
        if self.visitor.may_administer:
            with folded("Add a badge …"):
                self.badge_form(None)
        self._table_links()
        search = Tag("input", type="search", placeholder="Find a badge", aria_label="Find a badge")
        search.on("change", self._seek, js_handler=EMIT_VALUE)
        self._list = Listing[Row](
            "There is no such badge.",
            lambda row: tuple(str(row[column]) for column in COLUMNS),
            lambda row: BadgeLine(self, row),
            "Badges",
        )
        self._more = Tag("p", classes="quiet-line")
        ui.timer(REFRESH_S, self.refresh, immediate=False)
        ui.timer(RELOAD_S, self.load, immediate=False)

    def _table_links(self) -> None:
        with Tag("div", classes="entry-actions"):
            Tag("a", "Save as a table (CSV)", classes="quiet-link", href=TABLE_PATH, download="")
        if self.visitor.may_administer:
            with folded("Take in a table …"), Tag("label", classes="upload"):
                Tag("span", "Add or replace the badges of a table (CSV)")
                upload = Tag("input", type="file", accept=".csv,text/csv")
            upload.on("change", self._taken_in, js_handler=sending(f'"{TABLE_PATH}"'))

    def badge_form(self, row: Row | None) -> None:
        """row: the badge that is changed; None = a new one. What stands in a field is put there once."""
        told = dict.fromkeys(COLUMNS, "") if row is None else self._told(row)

        async def save(fields: Row) -> str:
            return await self._save(fields, row)

        def one(label: str, name: str, kind: str = "text", **attributes: Any) -> None:
            field(label, name, kind, autocomplete="off", **{"^value": told[name]}, **attributes)

        with self.form("Add a badge" if row is None else f"Change {row['id_tag']}", save):
            if row is None:
                one("Badge", "id_tag", required="required", maxlength="20")
            one("Name", "name", maxlength="200")
            one("Group", "parent_id_tag", maxlength="20")
            choice("It may charge", "blocked", {"false": "yes", "true": "no, it is blocked"}, told["blocked"])
            one("Until", "expires_at", "datetime-local", step="any")
            one("At once, at most", "max_transactions", "number", min="0")
            one(f"Only at stations, with {SEPARATOR} between", "charge_points")
            one("Its vehicle needs (A)", "min_a", "number", min="6", max="80", step="any")
            submit("Add" if row is None else "Save")

    def _told(self, row: Row) -> dict[str, str]:
        told = {column: "" if row[column] is None else str(row[column]) for column in COLUMNS}
        told["blocked"] = str(row["blocked"]).lower()
        if row["min_a"] is not None:
            told["min_a"] = f"{row['min_a']:g}"
        if row["charge_points"] is not None:  # an empty list is not the same as none: nowhere
            told["charge_points"] = SEPARATOR.join(row["charge_points"]) or SEPARATOR
        if row["expires_at"] is not None:
            local = row["expires_at"].astimezone(ZoneInfo(self.visitor.timezone))
            told["expires_at"] = local.replace(tzinfo=None).isoformat()
        return told

    async def _save(self, fields: Row, row: Row | None) -> str:
        told = {column: str(fields.get(column, "")).strip() for column in COLUMNS}
        if row is not None:
            told["id_tag"] = row["id_tag"]
        ends = self.visitor.time(told["expires_at"], "until")
        told["expires_at"] = ends.isoformat() if ends is not None else ""
        tag, name = read_tag(told)
        if row is None and tag.id_tag.lower() in self._stored:
            raise InvalidInput("badge", tag.id_tag, "one that is not stored yet: change it below")
        await self.services.accounts.save_id_tag(tag, name)
        await self.load()
        return f"{tag.id_tag} is {'stored' if row is None else 'changed'}"

    def is_stored(self, id_tag: str) -> bool:
        return any(spelling in self._stored for spelling in possible_spellings(id_tag))

    def state(self, row: Row) -> tuple[str, str]:
        """In words, and their colour."""
        if row["charge_points"] == []:
            return "Nowhere", "fault"
        return STATES[self._status(_tag(row), None)]

    def _status(self, tag: IdTag, identity: str | None) -> str:
        """OCPP's AuthorizationStatus, at a station or whichever. Its group takes it along."""
        parent = self._stored.get((tag.parent_id_tag or "").strip().lower())
        now = self.services.clock.now()
        return str(authorize(tag, now, "reject", parent=parent, identity=identity)["status"])

    def _is_still_refused(self, refused: RefusedBadge) -> bool:
        """One that was let in meanwhile is not told any more; how many it has running is not asked."""
        tag = next((self._stored[s] for s in possible_spellings(refused.id_tag) if s in self._stored), None)
        if tag is None or refused.status == "ConcurrentTx":
            return True
        return self._status(tag, refused.identity) != "Accepted"

    async def load(self) -> None:
        """All that is stored, anew. Who charged when is for operators only."""
        self._rows = await self.services.accounts.id_tags()
        self._stored = {row["id_tag"].lower(): _tag(row) for row in self._rows}
        if self.visitor.may_operate:
            self.use = await self.services.reporting.use_of_badges(self._month_began())
        await self.refresh()

    def _month_began(self) -> datetime:
        local = self.services.clock.now().astimezone(ZoneInfo(self.visitor.timezone))
        return local.replace(day=1, hour=0, minute=0, second=0, microsecond=0)

    async def refresh(self) -> None:
        lately = self.services.charge_points.refused_badges() if self.visitor.may_operate else []
        refused = [one for one in lately if self._is_still_refused(one)]
        self._refused_part.show(bool(refused))
        self._refused.show(refused)
        found = [row for row in self._rows if self._sought in f"{row['id_tag']} {row['name']}".lower()]
        self._list.show(found[:MOST_SHOWN])
        more = len(found) - MOST_SHOWN
        self._more.say(f"and {more:,} more" if more > 0 else "" if self._rows else NONE_STORED)

    async def _seek(self, event: events.GenericEventArguments) -> None:
        self._sought = str(event.args).strip().lower()[:200]
        await self.load()

    async def _taken_in(self, event: events.GenericEventArguments) -> None:
        fault, name = (str(part) for part in event.args)
        told = f"{name} was not taken in: {fault}" if fault else f"the badges of {name} are stored"
        self.tell(told, "negative" if fault else "positive")
        await self.load()


def _tag(row: Row) -> IdTag:
    places = row["charge_points"]
    return IdTag(
        row["id_tag"],
        row["parent_id_tag"],
        row["blocked"],
        row["expires_at"],
        row["max_transactions"],
        None if places is None else tuple(places),
        row["min_a"],
    )
