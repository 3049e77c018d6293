"""Charging stations as they present themselves: who is there, what state, what is odd about what they say."""

from __future__ import annotations

from datetime import datetime
from urllib.parse import quote

from nicegui import ui

from csms.domain.charge_point import Station
from csms.domain.quirk_words import in_words
from csms.services.bundle import Services
from csms.web.elements import Tag
from csms.web.limits import LimitLines
from csms.web.wording import ago, times, when

REFRESH_S = 2.0
STATES = {
    "offline": "offline",
    "free": "free",
    "plugged": "plugged in",
    "ready": "ready, takes nothing",
    "charging": "charging",
    "finished": "finished",
    "faulted": "faulted",
    "refused": "badge refused",
}


class StationsPage:
    """may_read: the frame log, which carries id tags."""

    def __init__(self, services: Services, may_accept: bool, may_read: bool) -> None:
        self._services, self._may_accept, self._may_read = services, may_accept, may_read
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
                self._cards = {
                    s.identity: StationCard(self._services, s, self._may_accept, self._may_read)
                    for s in stations
                }
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
    """is_alone: on the station's own page, which carries its name already."""

    def __init__(
        self,
        services: Services,
        station: Station,
        may_accept: bool,
        may_read: bool,
        is_alone: bool = False,
    ) -> None:
        self._services, self._identity = services, station.identity
        path = f"/stations/{quote(station.identity, safe='')}"
        with Tag("article", classes="card load station", data_station=station.identity) as self._card:
            with Tag("header", classes="load-head"), Tag("div", classes="load-name"):
                if not is_alone:
                    with Tag("h3"):
                        Tag("a", station.identity, classes="name-link", href=path)
                self._state = Tag("span", classes="state")
            self._kind = Tag("p", classes="reason")
            self._connectors = Tag("p", classes="reason")
            self._accept = Tag("button", "Accept this station", classes="action", type="button")
            self._reject = Tag("button", "Refuse it", classes="action", type="button")
            if may_accept:
                self._accept.on("click", self._accept_station, args=[])
                self._reject.on("click", self._reject_station, args=[])
            else:
                self._accept.put(disabled=True)
                self._reject.put(disabled=True)
            self._limits = LimitLines(services, station.identity, may_read)
            with Tag("details", classes="said-of-it deviations") as self._deviations:
                self._quirks = Tag("summary")
                self._kinds = Tag("ul")
            self._deviations.on("toggle", self._list_kinds, js_handler="(e) => e.target.open && emit()")
            if may_read:
                Tag("a", "Messages", classes="quiet-link", href=f"{path}/messages")

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
        self._limits.show(now, timezone_of(self._services, self._identity))
        odd = sum(station.quirks.values())
        self._quirks.say(f"Deviations from OCPP: {odd:,}")
        self._deviations.show(odd > 0)

    async def _accept_station(self) -> None:
        await self._services.charge_points.accept(self._identity)
        ui.notify(f"{self._identity} is accepted", type="positive")

    async def _reject_station(self) -> None:
        await self._services.charge_points.reject(self._identity)
        ui.notify(f"{self._identity} is refused")

    def _list_kinds(self) -> None:
        station = self._services.charge_points.station(self._identity)
        now, timezone = self._services.clock.now(), timezone_of(self._services, self._identity)
        self._kinds.clear()
        with self._kinds:
            for kind, count in station.quirks.most_common():
                with Tag("li"):
                    Tag("span", in_words(kind))
                    last = when(station.quirks_at.get(kind), now, timezone)
                    Tag("span", f"{times(count)}, last {last}", classes="quiet-line")


def timezone_of(services: Services, identity: str) -> str:
    """Of the site that names the station."""
    site = services.sites.site_of_charge_point(identity)
    return site.site.timezone if site is not None else "UTC"


def first_timezone(services: Services) -> str:
    """For what belongs to no station."""
    sites = services.sites.all()
    return sites[0].site.timezone if sites else "UTC"


def _state_words(station: Station, seen_s: float | None) -> str:
    if station.registration != "Accepted":
        return f"{station.registration}, {'connected' if station.connected else 'not connected'}"
    return "Connected" if station.connected else f"Not connected, seen {ago(seen_s)}"


def _state_colour(station: Station) -> str:
    if station.registration != "Accepted":
        return "waiting"
    return "on" if station.connected else "offline"
