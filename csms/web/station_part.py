"""What the parts of a station's page are made of: who looks, lists of lines, and asking the station."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, Protocol, TypeVar
from zoneinfo import ZoneInfo

from nicegui import events, ui

from csms.domain.charge_point import Station
from csms.errors import CsmsError, InvalidInput
from csms.services.bundle import Services
from csms.web.elements import Tag
from csms.web.station_words import refusal_in_words
from csms.web.wording import sentence, when

T = TypeVar("T")
Shown = TypeVar("Shown", contravariant=True)
FIELDS = "Object.fromEntries(new FormData(e.target))"
_SEND_FILE = """async (e) => {
  const input = e.target, file = input.files[0];
  if (!file) return;
  input.disabled = true;
  try {
    const answer = await fetch(ADDRESS, {method: "PUT", body: file});
    emit(answer.ok ? "" : (await answer.json()).detail || String(answer.status), file.name);
  } catch (fault) {
    emit("the file did not get through", file.name);
  }
  input.disabled = false;
  input.value = "";
}"""


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who looks. timezone: of the times that are shown and put in."""

    services: Services
    timezone: str
    role: str

    @property
    def may_operate(self) -> bool:
        return self.role in ("operator", "admin")

    @property
    def may_administer(self) -> bool:
        return self.role == "admin"

    def when(self, at: datetime | None) -> str:
        return when(at, self.services.clock.now(), self.timezone)

    def local(self, at: datetime) -> str:
        """As a field of the form takes it."""
        return f"{at.astimezone(ZoneInfo(self.timezone)):%Y-%m-%dT%H:%M}"

    def time(self, text: Any, field: str) -> datetime | None:
        """What was put into a field, by the clock on the wall; None = nothing. Raises InvalidInput."""
        if not text:
            return None
        try:
            return datetime.fromisoformat(str(text)).replace(tzinfo=ZoneInfo(self.timezone)).astimezone(UTC)
        except ValueError:
            raise InvalidInput(field, text, "a date and a time") from None


@dataclass(frozen=True, slots=True)
class StationVisitor(Visitor):
    """Who looks at which station. name: for the records. public_url: how they reach this server."""

    identity: str
    name: str
    public_url: str

    @property
    def station(self) -> Station:
        return self.services.charge_points.station(self.identity)


class Refused(Exception):
    """The station answered with a no: in words."""


def asks(question: str | None, what: str = "") -> str:
    """JavaScript that goes on only after a yes. what: the JavaScript of what is handed on."""
    sent = f"emit({what})"
    return f"(e) => {sent}" if question is None else f"(e) => confirm({json.dumps(question)}) && {sent}"


def sending(address: str) -> str:
    """JavaScript that stores the chosen file by PUT; hands on its fault ("" = none) and its name.

    address: JavaScript, too.
    """
    return _SEND_FILE.replace("ADDRESS", address)


class Card:
    """One card of a page. `refresh` brings it up to date every few seconds."""

    visitor: Visitor

    def __init__(self, title: str, visitor: Visitor) -> None:
        self.visitor, self.services = visitor, visitor.services
        with Tag("section", classes="card panel", aria_label=title) as self.card:
            Tag("h2", title)
            self.build()

    def build(self) -> None:
        raise NotImplementedError

    async def refresh(self) -> None:
        raise NotImplementedError

    def button(
        self,
        text: str,
        click: Callable[[], Awaitable[str]],
        question: str | None = None,
        classes: str = "mode",
    ) -> Tag:
        """click: does it and answers with what is to be told, or raises Refused. question: asked before."""
        button = Tag("button", text, classes, type="button")

        async def pressed(_: events.GenericEventArguments) -> None:
            await self.do(click(), button)

        button.on("click", pressed, js_handler=asks(question))
        return button

    def form(
        self,
        name: str,
        submit: Callable[[dict[str, Any]], Awaitable[str]],
        question: str | None = None,
    ) -> Tag:
        """submit: as `click` of a button, with the form's fields."""
        form = Tag("form", onsubmit="return false", aria_label=name)

        async def submitted(event: events.GenericEventArguments) -> None:
            await self.do(submit(dict(event.args)), form)

        form.on("submit", submitted, js_handler=asks(question, FIELDS))
        return form

    async def do(self, work: Awaitable[str], pressed: Tag) -> None:
        """pressed: takes no second press meanwhile."""
        pressed.be(busy=True)
        try:
            told = await work
        except CsmsError as fault:
            self.tell(refusal_in_words(fault), "negative")
        except Refused as refusal:
            self.tell(str(refusal), "negative")
        else:
            self.tell(told, "positive")
        finally:
            pressed.be(busy=False)
        await self.refresh()

    def tell(self, text: str, kind: Any) -> None:
        """Told to whoever pressed, also if the button has gone meanwhile."""
        with self.card:
            ui.notify(sentence(text), type=kind)


class Part(Card):
    """A card of the page of a station."""

    visitor: StationVisitor

    def __init__(self, title: str, visitor: StationVisitor) -> None:
        self.identity = visitor.identity
        super().__init__(title, visitor)


def field(label: str, name: str, kind: str = "text", **attributes: Any) -> Tag:
    """A field of a form, with its label."""
    with Tag("label"):
        Tag("span", label)
        return Tag("input", type=kind, name=name, **attributes)


def text_field(label: str, name: str, **attributes: Any) -> Tag:
    """One for many lines, such as a certificate's."""
    with Tag("label", classes="wide"):
        Tag("span", label)
        return Tag("textarea", name=name, rows="3", spellcheck="false", **attributes)


def choice(label: str, name: str, options: dict[str, str], chosen: str = "") -> Tag:
    """options: value -> words."""
    with Tag("label"):
        Tag("span", label)
        with Tag("select", name=name) as select:
            for value, words in options.items():
                Tag("option", words, value=value, selected="selected" if chosen and value == chosen else None)
    return select


def submit(text: str) -> Tag:
    return Tag("button", text, classes="action", type="submit")


def folded(summary: str) -> Tag:
    """What is opened by a press."""
    details = Tag("details", classes="said-of-it")
    with details:
        Tag("summary", summary)
    return details


class Shows(Protocol[Shown]):
    def show(self, item: Shown, /) -> None: ...


class Listing(Generic[T]):
    """Lines that stay as they are while only what they say changes, so that nobody loses what they type."""

    def __init__(
        self, empty: str, key: Callable[[T], Hashable], make: Callable[[T], Shows[T]], label: str
    ) -> None:
        self._key, self._make = key, make
        self._empty = Tag("p", empty, classes="quiet-line")
        self._list = Tag("ul", classes="entries", aria_label=label)
        self._rows: dict[Hashable, Shows[T]] = {}

    def show(self, items: Sequence[T]) -> None:
        keys = [self._key(item) for item in items]
        if keys != list(self._rows):
            self._list.clear()
            with self._list:
                self._rows = {key: self._make(item) for key, item in zip(keys, items, strict=True)}
        self._empty.show(not items)
        self._list.show(bool(items))
        for key, item in zip(keys, items, strict=True):
            self._rows[key].show(item)


class Line:
    """What it is and how it stands, below it what else is known, and what can be done about it."""

    def __init__(self) -> None:
        with Tag("li", classes="entry") as self.item:
            with Tag("div", classes="entry-head"):
                self._title = Tag("span", classes="entry-title")
                self._state = Tag("span", classes="state")
            self._detail = Tag("span", classes="quiet-line")
            self.actions = Tag("div", classes="entry-actions")

    def say(self, title: str, detail: str, state: str = "", colour: str = "off") -> None:
        """colour: a state of the theme: on, waiting, fault or off."""
        self._title.say(title)
        self._detail.say(detail)
        self._state.say(state)
        self._state.show(bool(state))
        self._state.put(data_state=colour)
