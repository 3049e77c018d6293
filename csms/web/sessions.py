"""The sessions of a station that run. An operator has one stopped, or closes it here."""

from __future__ import annotations

from typing import Any

from csms.services.transaction_closing import LONGEST_REASON
from csms.web.elements import Tag
from csms.web.station_part import Line, Listing, Part, Refused, field, folded, submit
from csms.web.station_words import CONNECTOR_STATES
from csms.web.wording import kilowatt_hours

Row = dict[str, Any]
MOST_SHOWN = 100
REASONS = ("station lost", "station swapped", "station reset to factory settings", "session stuck")
STOP = "The driver's charging ends now. Have the station stop it?"
CLOSE = (
    "The session ends here with the energy known so far, as for a station that is gone. If the station tells "
    "its end later, that counts. Close it?"
)
CLOSE_CHARGING = (
    "The station says that this session goes on. Closing it here does not stop the vehicle: if the station "
    "still names the session it runs again, if not, what is taken is counted to none. Better have the "
    "station stop it. Close it all the same?"
)


class SessionLine(Line):
    def __init__(self, part: Sessions, row: Row) -> None:
        super().__init__()
        self._part, self._id, self._goes_on = part, row["id"], part.goes_on(row)
        if not part.visitor.may_operate:
            return
        with self.actions:
            part.button("Have it stopped", self._stop, STOP)
            with folded("Close it here …"):
                question = CLOSE_CHARGING if self._goes_on else CLOSE
                with part.form(f"Close session {self._id}", self._close, question):
                    field(
                        "Why",
                        "reason",
                        required="required",
                        maxlength=str(LONGEST_REASON),
                        list="reasons-to-close",
                        autocomplete="off",
                    )
                    submit("Close")

    def show(self, row: Row) -> None:
        status = self._part.status(row)
        parts = [
            f"{kilowatt_hours(row['energy_wh'])} kWh",
            f"since {self._part.visitor.when(row['started_at'])}",
        ]
        read_at = row["last_register_at"]
        parts.append(f"last read {self._part.visitor.when(read_at)}" if read_at else "never read")
        badge = row["id_tag"] or "no badge"
        self.say(
            f"Connector {row['connector_id']}, {badge}",
            f"{' · '.join(parts)} · session {row['id']}",
            status or "Not connected",
            "charging" if self._goes_on else "offline" if status is None else "waiting",
        )

    async def _stop(self) -> str:
        part = self._part
        request = {"transactionId": self._id}
        answer = await part.services.commands.send(part.identity, "RemoteStopTransaction", request)
        if answer.get("status") == "Accepted":
            return "the station stops it: it ends when the station says so"
        raise Refused("the station refused to stop it: it does not know the session, or cannot stop it now")

    async def _close(self, fields: Row) -> str:
        part = self._part
        row = await part.services.closing.close(
            self._id, str(fields.get("reason", "")), part.visitor.name, even_if_charging=self._goes_on
        )
        return f"session {self._id} is closed at {kilowatt_hours(row['energy_wh'])} kWh"


class Sessions(Part):
    def build(self) -> None:
        with Tag("datalist", id="reasons-to-close"):
            for reason in REASONS:
                Tag("option", value=reason)
        # The question before closing depends on what the station says: then the line is another one.
        self._list = Listing[Row](
            "No session runs.",
            lambda row: (row["id"], self.goes_on(row)),
            lambda row: SessionLine(self, row),
            "Sessions that run",
        )

    async def refresh(self) -> None:
        rows = await self.services.reporting.transactions(
            identity=self.identity, open_only=True, limit=MOST_SHOWN
        )
        self._list.show(rows)

    def status(self, row: Row) -> str | None:
        """What the connector says; None = the station is not connected."""
        station = self.visitor.station
        connector = station.connectors.get(row["connector_id"])
        if not station.connected:
            return None
        said = connector.status if connector is not None else None
        return CONNECTOR_STATES.get(said, said) if said else "Says nothing"

    def goes_on(self, row: Row) -> bool:
        return self.services.closing.goes_on(self.identity, row["connector_id"]) is not None
