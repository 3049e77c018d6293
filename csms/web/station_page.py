"""One station on one page: how it is, its sessions, and all that an operator may ask of it."""

from __future__ import annotations

from nicegui import ui

from csms.web.certificates import Certificates
from csms.web.elements import Tag
from csms.web.jobs import Jobs
from csms.web.local_list import LocalList
from csms.web.reservations import Reservations
from csms.web.security_events import SecurityEvents
from csms.web.sessions import Sessions
from csms.web.station_part import Part, StationVisitor
from csms.web.stations import StationCard

REFRESH_S = 2.0


class StationPage:
    def __init__(self, visitor: StationVisitor) -> None:
        self._visitor = visitor
        with Tag("div", classes="page-title"):
            Tag("h1", visitor.identity)
            Tag("p", f"Times of {visitor.timezone}", classes="quiet-line")
        with Tag("div", classes="panels"):
            self._card = StationCard(
                visitor.services, visitor.station, visitor.may_administer, visitor.may_operate, is_alone=True
            )
            sessions = Sessions("Sessions", visitor)
            self._reservations = Reservations("Reservations", visitor)
            self._parts: list[Part] = [
                sessions,
                self._reservations,
                LocalList("Badges it knows offline", visitor),
                Jobs("Firmware and logs", visitor),
                Certificates("Certificates", visitor),
                SecurityEvents("Security events", visitor),
            ]
        ui.timer(REFRESH_S, self.refresh, immediate=False)

    async def load(self) -> None:
        await self.refresh()
        await self._reservations.suggest_badges()

    async def refresh(self) -> None:
        self._card.show(self._visitor.station, self._visitor.services.clock.now())
        for part in self._parts:
            await part.refresh()
