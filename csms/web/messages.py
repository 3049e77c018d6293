"""The frame log of one station: what was said, and why something was refused or repaired."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from nicegui.events import GenericEventArguments

from csms.domain.ocpp_schemas import ACTIONS
from csms.services.bundle import Services
from csms.services.frame_log import Wanted
from csms.web.elements import Tag
from csms.web.stations import timezone_of

PAGE = 50
PREVIEW = 160
ARROWS = {"in": "←", "out": "→", "log": "·"}
DIRECTIONS = {"in": "from the station", "out": "to the station", "log": "about it"}
EMIT_VALUE = "(e) => emit(e.target.value)"


class MessagesPage:
    """Newest first; older ones are added below on demand."""

    def __init__(self, services: Services, identity: str) -> None:
        self._services, self._identity = services, identity
        self._timezone = timezone_of(services, identity)
        self._wanted = Wanted()
        self._one_at_a_time = asyncio.Lock()  # who changes two filters at once gets what both ask for
        with Tag("h1", "Messages of ", classes="page-title"):
            Tag("a", identity, classes="name-link", href=f"/stations/{quote(identity, safe='')}")
        self._filters()
        with Tag("section", classes="card log", aria_label="Messages"):
            self._empty = Tag("p", "Nothing like this is in the log.", classes="empty")
            self._lines = Tag("ol")
        with Tag("div", classes="pager"):
            self._older = Tag("button", "Older", classes="action", type="button")
            self._older.on("click", self._load_older, args=[])

    async def load(self) -> None:
        """The newest that are wanted, in place of what is shown."""
        async with self._one_at_a_time:
            self._wanted = replace(self._wanted, before_id=None)
            self._lines.clear()
            await self._add_page()

    def _filters(self) -> None:
        with Tag("form", classes="card filters", role="search", onsubmit="return false"):
            with Tag("select", aria_label="Action") as actions:
                Tag("option", "All messages", value="")
                for action in sorted(ACTIONS):
                    Tag("option", action, value=action)
            actions.on("change", self._choose_action, js_handler=EMIT_VALUE)
            search = Tag("input", type="search", placeholder="Find a text", aria_label="Find a text")
            search.on("change", self._search, js_handler=EMIT_VALUE)
            with Tag("label"):
                noted = Tag("input", type="checkbox")
                noted.on("change", self._choose_noted, js_handler="(e) => emit(e.target.checked)")
                Tag("span", "Only refused or repaired")
            Tag("span", f"Times of {self._timezone}", classes="quiet-line")
            refresh = Tag("button", "Refresh", classes="quiet-button", type="button")
            refresh.on("click", self._refresh, args=[])

    async def _choose_action(self, event: GenericEventArguments) -> None:
        chosen = str(event.args)
        await self._show(replace(self._wanted, action=chosen if chosen in ACTIONS else None))

    async def _search(self, event: GenericEventArguments) -> None:
        await self._show(replace(self._wanted, contains=str(event.args).strip()[:200] or None))

    async def _choose_noted(self, event: GenericEventArguments) -> None:
        await self._show(replace(self._wanted, noted=bool(event.args)))

    async def _show(self, wanted: Wanted) -> None:
        self._wanted = wanted
        await self.load()

    async def _refresh(self) -> None:
        await self.load()

    async def _load_older(self) -> None:
        async with self._one_at_a_time:
            await self._add_page()

    async def _add_page(self) -> None:
        is_first = self._wanted.before_id is None
        messages = await self._services.frames.messages(self._identity, self._wanted, PAGE + 1)
        shown = messages[:PAGE]
        with self._lines:
            for message in shown:
                self._line(message)
        if shown:
            self._wanted = replace(self._wanted, before_id=shown[-1]["id"])
        self._empty.show(is_first and not shown)
        self._older.show(len(messages) > PAGE)

    def _line(self, message: dict[str, Any]) -> None:
        direction, note = message["direction"], message["note"]
        with Tag("li", classes="log-line") as line:
            at = message["at"].astimezone(ZoneInfo(self._timezone))
            Tag("time", f"{at:%d %b %H:%M:%S}", classes="log-time", datetime=message["at"].isoformat())
            Tag("span", ARROWS[direction], classes="log-arrow", title=DIRECTIONS[direction])
            if direction == "log":
                Tag("span", message["text"], classes="log-action")
            else:
                Tag("span", message["action"] or "not understood", classes="log-action")
                with Tag("details"):
                    Tag("summary", message["text"][:PREVIEW])
                    Tag("pre", _readable(message["text"]))
            if note:
                Tag("span", note, classes="log-note")
        line.be(log_event=direction == "log", refused=bool(note) and not note.startswith("mended"))


def _readable(text: str) -> str:
    """With a line for each field, if it is JSON."""
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text
