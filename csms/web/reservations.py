"""Reservations of a station's connectors: made, seen, cancelled."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from csms.errors import InvalidInput
from csms.web.elements import Tag
from csms.web.station_part import Line, Listing, Part, Refused, choice, field, folded, submit
from csms.web.station_words import RESERVATION_STATES, reservation_answer

Row = dict[str, Any]
MOST_SHOWN, MOST_SUGGESTED = 20, 500
LONGEST_BADGE = 20
USUAL_LENGTH = timedelta(hours=1)
CANCEL = "The connector is free for everybody then, and nobody tells the driver. Cancel the reservation?"


class ReservationLine(Line):
    def __init__(self, part: Reservations, row: Row) -> None:
        super().__init__()
        self._part, self._id = part, row["reservation_id"]
        with self.actions:
            if part.visitor.may_operate and row["ended_at"] is None:
                part.button("Cancel", self._cancel, CANCEL)

    def show(self, row: Row) -> None:
        when = self._part.visitor.when
        where = f"Connector {row['connector_id']}" if row["connector_id"] else "Any connector"
        state, colour = RESERVATION_STATES[row["status"]]
        details = [f"until {when(row['expires_at'])}"]
        if row["parent_id_tag"]:
            details.append(f"group {row['parent_id_tag']} may use it, too")
        if row["status"] == "Refused":
            details.append(reservation_answer(row["answer"]))
        elif row["status"] == "Asked":
            details.append("the station may hold it, or not")
        elif row["status"] == "Accepted" and row["answer"] == "Rejected":
            details.append("the station did not let go of it")
        elif row["transaction_id"]:
            details.append(f"by session {row['transaction_id']}, {when(row['ended_at'])}")
        elif row["ended_at"]:
            details.append(f"ended {when(row['ended_at'])}")
        self.say(f"{where} for {row['id_tag']}", " · ".join(details), state, colour)

    async def _cancel(self) -> str:
        row = await self._part.services.reservations.cancel(self._part.identity, self._id)
        if row["status"] == "Cancelled":
            return f"the reservation for {row['id_tag']} is cancelled"
        raise Refused(
            "the station did not let go of it: it holds no such reservation, or does not cancel any"
        )


class Reservations(Part):
    def build(self) -> None:
        self._list = Listing[Row](
            "Nothing is reserved.",
            lambda row: (row["id"], row["status"]),
            lambda row: ReservationLine(self, row),
            "Reservations",
        )
        if self.visitor.may_operate:
            with folded("Reserve a connector …"), self.form("Reserve a connector", self._reserve):
                self._fields()

    def _fields(self) -> None:
        connectors = [n for n in sorted(self.visitor.station.connectors) if n > 0] or [1]
        choice("Connector", "connector", {**{str(n): str(n) for n in connectors}, "0": "any"})
        tag = field("Badge", "id_tag", required="required", maxlength=str(LONGEST_BADGE), autocomplete="off")
        tag.put(list="known-badges")
        until = self.visitor.local(self.services.clock.now() + USUAL_LENGTH)
        # "^": where it begins. As a property Vue would put it back whenever it draws.
        field("Until", "until", "datetime-local", required="required", **{"^value": until})
        self._badges = Tag("datalist", id="known-badges")
        submit("Reserve")

    async def refresh(self) -> None:
        self._list.show(await self.services.reservations.of_station(self.identity, MOST_SHOWN))

    async def suggest_badges(self) -> None:
        """Once: who reserves for a badge that is stored later types it."""
        if not self.visitor.may_operate:
            return
        tags = await self.services.accounts.id_tags()
        with self._badges:
            for tag in tags[:MOST_SUGGESTED]:
                Tag("option", value=tag["id_tag"], label=tag["name"])

    async def _reserve(self, fields: Row) -> str:
        expires_at = self.visitor.time(fields.get("until"), "until")
        id_tag, connector = str(fields.get("id_tag", "")).strip(), str(fields.get("connector"))
        if not 1 <= len(id_tag) <= LONGEST_BADGE:
            raise InvalidInput("badge", id_tag, f"1 to {LONGEST_BADGE} characters")
        row = await self.services.reservations.reserve(
            self.identity,
            int(connector) if connector.isdecimal() else 0,
            id_tag,
            expires_at or self.services.clock.now() + USUAL_LENGTH,
        )
        if row["status"] == "Accepted":
            return f"reserved for {row['id_tag']} until {self.visitor.when(row['expires_at'])}"
        raise Refused(f"the station refused: {reservation_answer(row['answer'])}")
