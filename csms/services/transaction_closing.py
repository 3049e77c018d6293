"""An operator closes a transaction that never ends: its station was lost, swapped or reset.

It ends like one that we take for lost ourselves, with its best known register. A StopTransaction that comes
after all is answered and puts the end right, once; if the station goes on with it, it runs again.
"""

from __future__ import annotations

import asyncio
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from csms.clock import Clock
from csms.domain.charge_point import LiveConnector
from csms.errors import InvalidInput, NotFound, NotPossible
from csms.services.charge_points import ChargePoints
from csms.services.frame_log import FrameLog
from csms.services.reporting import with_energy
from csms.services.transaction_records import IN_SESSION
from csms.storage import transactions
from csms.storage.database import Database

log = structlog.get_logger()

Row = dict[str, Any]
LONGEST_REASON, LONGEST_NAME = 150, 80


class TransactionClosing:
    def __init__(
        self, database: Database, charge_points: ChargePoints, frames: FrameLog, clock: Clock
    ) -> None:
        self._database, self._charge_points = database, charge_points
        self._frames, self._clock = frames, clock

    async def close(
        self, transaction_id: int, reason: str, closed_by: str, even_if_charging: bool = False
    ) -> Row:
        """The closed transaction. closed_by: whose action it is. Told in the message log of the station.

        Raises:
            NotFound: no such transaction.
            InvalidInput: no reason, or too long a one.
            NotPossible: it has ended, or (unless even_if_charging) its station says that it goes on.
        """
        reason = " ".join(reason.split())
        if not 1 <= len(reason) <= LONGEST_REASON:
            raise InvalidInput("reason", reason, f"1 to {LONGEST_REASON} characters")
        note = f"{closed_by[:LONGEST_NAME]}: {reason}"
        # Also if whoever asked has gone meanwhile: what is committed is told.
        return await asyncio.shield(
            asyncio.ensure_future(self._close_and_tell(transaction_id, note, even_if_charging))
        )

    def goes_on(self, identity: str, connector_id: int) -> str | None:
        """The status by which the connected station says that a session is on; None = it does not."""
        station = self._charge_points.station(identity)
        status = station.connectors.get(connector_id, LiveConnector()).status
        return status if station.connected and status in IN_SESSION else None

    async def _close_and_tell(self, transaction_id: int, note: str, even_if_charging: bool) -> Row:
        now = self._clock.now()

        async def job(conn: AsyncConnection) -> Row:
            row = await transactions.with_id(conn, transaction_id)
            if row is None:
                raise NotFound("transaction", str(transaction_id))
            if row["stopped_at"] is not None:
                raise NotPossible(f"transaction {transaction_id} has ended already ({row['stop_reason']})")
            if not even_if_charging:
                self._check_is_over(row)
            seen_at = self._charge_points.station(row["identity"]).last_seen_at or now
            await transactions.close_as_lost(conn, row, max(min(seen_at, now), row["started_at"]), note)
            return with_energy(await transactions.with_id(conn, transaction_id) or row)

        row = await self._database.write(job)
        self._tell(row, note)
        return row

    def _check_is_over(self, row: Row) -> None:
        if (status := self.goes_on(row["identity"], row["connector_id"])) is not None:
            raise NotPossible(
                f"connector {row['connector_id']} of {row['identity']} says {status}: have the station stop"
                " it (RemoteStopTransaction), or close it with `even_if_charging`"
            )

    def _tell(self, row: Row, note: str) -> None:
        identity, connector_id = row["identity"], row["connector_id"]
        text = f"transaction {row['id']} closed at {row['energy_kwh']:.2f} kWh by {note}"
        self._frames.add(identity, self._clock.now(), "log", None, None, text, None)
        running = self._charge_points.station(identity).connector(connector_id).transaction
        if running is not None and running.id == row["id"]:
            self._charge_points.stopped(identity, connector_id, row["stop_reason"])
        self._charge_points.report(
            "transaction.closed",
            identity,
            connector_id=connector_id,
            transaction_id=row["id"],
            note=note,
        )
        log.info("transaction closed by hand", charge_point=identity, transaction=row["id"], note=note)
