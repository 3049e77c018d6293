"""The badges that a station knows while it is offline: its local authorisation list."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from csms.web.elements import Tag
from csms.web.station_part import Line, Listing, Part, Refused
from csms.web.station_words import LIST_STATES
from csms.web.wording import sentence

Row = dict[str, Any]
MOST_SHOWN = 50
NO_LIST = -1
COMPARED_AGAIN_AFTER = timedelta(seconds=30)
REFUSED = ("Failed", "NotSupported", "VersionMismatch", "TooLong", "Unanswered")
EMPTY = (
    "While it is offline, the station knows no badge then, and whoever comes may not be able to charge. "
    "Empty it?"
)


class DifferenceLine(Line):
    def show(self, entry: Row) -> None:
        info = entry.get("idTagInfo")
        if info is None:
            self.say(entry["idTag"], "is to be forgotten: it is not stored here, or may not charge there")
        else:
            self.say(entry["idTag"], f"is missing or differs: {info.get('status', '')} here")


class LocalList(Part):
    def build(self) -> None:
        self._compared: object = None  # which state of the list
        self._compared_at: datetime | None = None
        self._differing_now: list[Row] = []
        self._held = Tag("p")
        self._last = Tag("p", classes="quiet-line")
        with Tag("details", classes="said-of-it") as self._details:
            self._summary = Tag("summary")
            self._differences = Listing[Row](
                "", lambda entry: entry["idTag"], lambda entry: DifferenceLine(), "Differences"
            )
            self._more = Tag("p", classes="quiet-line")
        if self.visitor.may_operate:
            with Tag("div", classes="entry-actions"):
                self.button("Send all badges", self._send)
                self.button("Ask its version", self._ask)
                self.button("Empty it", self._empty, EMPTY)

    async def refresh(self) -> None:
        row = await self.services.local_lists.of_station(self.identity)
        differing = await self._differing(row)
        self._held.say(held_in_words(row))
        self._last.say("" if row is None else self._last_in_words(row))
        is_known = row is not None and row["status"] not in ("VersionMismatch", "NotSupported")
        self._details.show(is_known and bool(differing))
        count = len(differing)
        self._summary.say(
            f"{count:,} {'badge differs' if count == 1 else 'badges differ'} from what is stored here"
        )
        self._differences.show(differing[:MOST_SHOWN])
        self._more.say(f"and {count - MOST_SHOWN:,} more" if count > MOST_SHOWN else "")

    async def _differing(self, row: Row | None) -> list[Row]:
        """Badges may be thousands: compared again when the list has changed, else twice a minute."""
        now = self.services.clock.now()
        state = (row["updated_at"], row["version"], row["status"]) if row is not None else None
        is_fresh = self._compared_at is not None and now - self._compared_at < COMPARED_AGAIN_AFTER
        if not is_fresh or state != self._compared:
            self._compared, self._compared_at = state, now
            self._differing_now = await self.services.local_lists.differences(self.identity)
        return self._differing_now

    def _last_in_words(self, row: Row) -> str:
        if row["status"] == "NotSupported":
            return f"It said so {self.visitor.when(row['updated_at'])}"
        follows = "follows the badges stored here" if row["wanted"] is not None else "is not kept up to date"
        said = LIST_STATES.get(row["status"], row["status"]) if row["status"] else ""
        told = f"{said} ({self.visitor.when(row['updated_at'])})" if said else ""
        return " · ".join(part for part in (told, follows) if part)

    async def _send(self) -> str:
        return self._outcome(await self.services.local_lists.put(self.identity, "all"))

    async def _empty(self) -> str:
        return self._outcome(await self.services.local_lists.put(self.identity, {}))

    async def _ask(self) -> str:
        answer = await self.services.commands.send(self.identity, "GetLocalListVersion", {})
        version = answer.get("listVersion")
        return "it keeps no list" if version == NO_LIST else f"it says version {version}"

    def _outcome(self, row: Row) -> str:
        """Nothing was sent if it has the list already."""
        words = LIST_STATES.get(row.get("status") or "", "the station has no list now")
        if row.get("status") in REFUSED:
            raise Refused(words)
        return words


def held_in_words(row: Row | None) -> str:
    """ "Version 4 on the station, 12 badges"."""
    if row is None:
        return "Nothing is known of its list: none was sent, and it was not asked."
    version, count = row["version"], len(row["entries"])
    if version == NO_LIST or row["status"] == "NotSupported":
        return "The station keeps no list."
    if row["status"] == "VersionMismatch":
        return f"Version {version} on the station."
    badges = "no badge" if not count else "1 badge" if count == 1 else f"{count:,} badges"
    return sentence(f"version {version} on the station, {badges}") + "."
