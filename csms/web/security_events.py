"""What a station has reported of its security."""

from __future__ import annotations

from typing import Any

from csms.web.station_part import Line, Listing, Part
from csms.web.station_words import spaced

Row = dict[str, Any]
MOST_SHOWN = 20


class EventLine(Line):
    def __init__(self, part: SecurityEvents) -> None:
        super().__init__()
        self._when = part.visitor.when

    def show(self, row: Row) -> None:
        told = [self._when(row["happened_at"]), row["tech_info"] or ""]
        critical = ("critical", "fault") if row["critical"] else ("", "off")
        self.say(spaced(row["type"]), " · ".join(part for part in told if part), *critical)


class SecurityEvents(Part):
    def build(self) -> None:
        self._list = Listing[Row](
            "The station has reported none.",
            lambda row: row["id"],
            lambda row: EventLine(self),
            "Security events",
        )

    async def refresh(self) -> None:
        self._list.show(await self.services.security_events.events(self.identity, limit=MOST_SHOWN))
