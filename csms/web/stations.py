"""Charging stations as they present themselves: who is there, what state, what they said last."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from nicegui import ui

from csms.domain.charge_point import Station
from csms.services.bundle import Services
from csms.web.elements import Tag
from csms.web.wording import ago

REFRESH_S = 2.0
MESSAGES_SHOWN = 20
STATES = {
    "offline": "offline",
    "free": "free",
    "plugged": "plugged in",
    "ready": "ready, takes nothing",
    "charging": "charging",
    "finished": "finished",
    "faulted": "faulted",
}


class StationsPage:
    def __init__(self, services: Services, may_accept: bool) -> None:
        self._services, self._may_accept = services, may_accept
        self._cards: dict[str, StationCard] = {}
        Tag("h1", "Charging stations", classes="page-title")
        self._empty = Tag("p", classes="empty")
        self._list = Tag("div", classes="loads")
        ui.timer(REFRESH_S, self.refresh)

    def refresh(self) -> None:
        stations = sorted(self._services.charge_points.stations(), key=_pending_first)
        self._empty.say("" if stations else "No charging station has connected yet.")
        self._empty.show(not stations)
        identities = [station.identity for station in stations]
        if identities != list(self._cards):
            self._list.clear()
            with self._list:
                self._cards = {s.identity: StationCard(self._services, s, self._may_accept) for s in stations}
        now = self._services.clock.now()
        for station in stations:
            self._cards[station.identity].show(station, now)


def _pending_first(station: Station) -> tuple[bool, bool, str]:
    return station.registration == "Accepted", not station.connected, station.identity.lower()


def connector_words(station: Station, connector_id: int, now: datetime) -> str:
    connector = station.connectors[connector_id]
    words = f"Connector {connector_id} {STATES[station.connector_state(connector_id, now)]}"
    if connector.error_code != "NoError":
        words += f" ({connector.error_code})"
    return words


class StationCard:
    def __init__(self, services: Services, station: Station, may_accept: bool) -> None:
        self._services, self._identity = services, station.identity
        with Tag("article", classes="card load station", data_station=station.identity) as self._card:
            with Tag("header", classes="load-head"), Tag("div", classes="load-name"):
                Tag("h3", station.identity)
                self._state = Tag("span", classes="state")
            self._kind = Tag("p", classes="reason")
            self._connectors = Tag("p", classes="reason")
            self._quirks = Tag("p", classes="quiet-line")
            self._accept = Tag("button", "Accept this station", classes="action", type="button")
            self._reject = Tag("button", "Refuse it", classes="action", type="button")
            if may_accept:
                self._accept.on("click", self._accept_station, args=[])
                self._reject.on("click", self._reject_station, args=[])
            else:
                self._accept.put(disabled=True)
                self._reject.put(disabled=True)
            with Tag("details", classes="messages") as details:
                Tag("summary", "Last messages")
                self._messages = Tag("ol")
            details.on("toggle", self._load_messages, js_handler="(e) => e.target.open && emit()")

    def show(self, station: Station, now: datetime) -> None:
        pending = station.registration != "Accepted"
        seen_s = None if station.last_seen_at is None else (now - station.last_seen_at).total_seconds()
        self._state.say(_state_words(station, seen_s))
        self._state.put(data_state=_state_colour(station))
        self._card.be(pending=pending)
        self._accept.show(pending)
        self._reject.show(station.registration == "Pending")
        described = [station.vendor, station.model, station.firmware_version]
        self._kind.say(" · ".join(d for d in described if d) or "has not introduced itself yet")
        self._connectors.say(
            " · ".join(connector_words(station, n, now) for n in sorted(station.connectors) if n > 0)
        )
        odd = sum(station.quirks.values())
        self._quirks.say(f"{odd} odd messages repaired" if odd else "")

    async def _accept_station(self) -> None:
        await self._services.charge_points.accept(self._identity)
        ui.notify(f"{self._identity} is accepted", type="positive")

    async def _reject_station(self) -> None:
        await self._services.charge_points.reject(self._identity)
        ui.notify(f"{self._identity} is refused")

    async def _load_messages(self) -> None:
        messages = await self._services.frames.messages(self._identity, limit=MESSAGES_SHOWN)
        self._messages.clear()
        with self._messages:
            for message in messages:
                _message_line(message)


def _message_line(message: dict[str, Any]) -> None:
    with Tag("li"):
        arrow = "→" if message["direction"] == "out" else "←"
        Tag("span", f"{message['at']:%H:%M:%S} UTC {arrow} {message['action'] or ''}", classes="message-head")
        Tag("code", message["text"])
        if message["note"]:
            Tag("span", message["note"], classes="message-note")


def _state_words(station: Station, seen_s: float | None) -> str:
    if station.registration != "Accepted":
        return f"{station.registration}, {'connected' if station.connected else 'not connected'}"
    return "Connected" if station.connected else f"Not connected, seen {ago(seen_s)}"


def _state_colour(station: Station) -> str:
    if station.registration != "Accepted":
        return "waiting"
    return "on" if station.connected else "offline"
