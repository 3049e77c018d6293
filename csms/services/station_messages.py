"""What charging stations say of charging (OCPP 1.6 Core), and what they are answered.

An answer is given after its effect is committed; the live state follows the commit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from csms.clock import Clock
from csms.domain.charge_point import ConnectorReading, LiveConnector
from csms.domain.id_tag import UnknownTags
from csms.domain.meter_value import read_sampled_values
from csms.domain.normalise import UNKNOWN_TRANSACTION, parse_time
from csms.domain.station_clock import EXACT_ENOUGH, StationClock
from csms.services import transaction_records as records
from csms.services.charge_points import ChargePoints, open_transaction
from csms.services.station_notifications import StationNotifications
from csms.services.transaction_records import Element, Outcome
from csms.storage import stations, transactions
from csms.storage.database import Database, Job
from csms.storage.transactions import Row

log = structlog.get_logger()

HEARTBEAT_INTERVAL_S = 60
# When a station that is not accepted boots again: soon if a person is about to accept it, else seldom.
BOOT_RETRY_INTERVAL_S = {"Pending": 60, "Rejected": 300}
Payload = dict[str, Any]
Handler = Callable[[str, Payload, datetime], Awaitable[Payload]]


class StationMessages:
    """unknown_tags: what tags get that are not stored; None = accepted as long as none is stored at all,
    so that a first installation charges without any, and rejected from the first stored tag on.

    handlers: more actions, each handled by the service it belongs to.
    """

    def __init__(
        self,
        database: Database,
        charge_points: ChargePoints,
        clock: Clock,
        heartbeat_interval_s: int = HEARTBEAT_INTERVAL_S,
        unknown_tags: UnknownTags | None = None,
        handlers: Mapping[str, Handler] | None = None,
    ) -> None:
        self._database, self._charge_points, self._clock = database, charge_points, clock
        self._heartbeat_interval_s, self._unknown_tags = heartbeat_interval_s, unknown_tags
        self._batches = _MeterValueBatches(database)
        self._clocks: dict[str, StationClock] = {}
        self._handlers: dict[str, Handler] = {
            "BootNotification": self._boot_notification,
            "Authorize": self._authorize,
            "Heartbeat": self._heartbeat,
            "StartTransaction": self._start_transaction,
            "StopTransaction": self._stop_transaction,
            "MeterValues": self._meter_values,
            "StatusNotification": self._status_notification,
            "DataTransfer": self._data_transfer,
            **StationNotifications(database, charge_points).handlers,
            **(handlers or {}),
        }

    @property
    def actions(self) -> frozenset[str]:
        """Those that are handled; all others are NotImplemented."""
        return frozenset(self._handlers)

    async def handle(self, identity: str, action: str, payload: Payload, received_at: datetime) -> Payload:
        """Do what the message asks for and return the answer's payload, once that is committed.

        payload: normalised, camelCase. Raises what the database raises: then nothing was stored and the
        station may repeat.
        """
        answer = await self._handlers[action](identity, payload, received_at)
        self._charge_points.seen(identity, received_at)
        return answer

    async def _boot_notification(self, identity: str, payload: Payload, received_at: datetime) -> Payload:
        await self._database.write(lambda conn: stations.save_boot(conn, identity, payload, received_at))
        self._charge_points.booted(identity, payload, received_at)
        registration = self._charge_points.station(identity).registration
        return {
            "status": registration,
            "currentTime": self._current_time(),
            "interval": BOOT_RETRY_INTERVAL_S.get(registration, self._heartbeat_interval_s),
        }

    async def _authorize(self, identity: str, payload: Payload, received_at: datetime) -> Payload:
        async with self._database.read() as conn:
            info = await records.id_tag_info(
                conn, payload["idTag"], received_at, self._unknown_tags, identity
            )
        return {"idTagInfo": info}

    async def _heartbeat(self, identity: str, payload: Payload, received_at: datetime) -> Payload:
        return {"currentTime": self._current_time()}

    async def _start_transaction(self, identity: str, payload: Payload, received_at: datetime) -> Payload:
        status = self._connector(identity, payload["connectorId"]).status
        return await self._change(
            identity,
            lambda conn: records.begin(conn, identity, payload, received_at, self._unknown_tags, status),
        )

    async def _stop_transaction(self, identity: str, payload: Payload, received_at: datetime) -> Payload:
        return await self._change(
            identity, lambda conn: records.end(conn, identity, payload, received_at, self._unknown_tags)
        )

    async def _meter_values(self, identity: str, payload: Payload, received_at: datetime) -> Payload:
        connector_id, sent_id = payload["connectorId"], payload.get("transactionId")
        data = records.elements(identity, connector_id, payload["meterValue"], received_at)
        if not data:
            return {}
        connector = self._connector(identity, connector_id)
        newest = max(element.measured_at for element in data)
        clock = self._clocks.setdefault(identity, StationClock())
        seen_at = clock.true_time(newest, received_at)
        self._charge_points.station(identity).clock.told_measurement(newest, received_at)
        if clock.is_off:
            self._charge_points.mended(identity, ["MeterValues.timestamp: clock steadily off"])
        if _is_plain(connector, sent_id, data, received_at, clock.is_off):
            await self._batches.save(_plain_rows(connector, data), _plain_registers(connector, data))
        else:
            status = connector.status
            await self._change(
                identity,
                lambda conn: records.meter(conn, identity, connector_id, sent_id, data, received_at, status),
            )
        reading = _read(data, newest)
        reading = reading if seen_at == newest else replace(reading, at=seen_at)
        self._charge_points.metered(identity, connector_id, reading)
        return {}

    async def _status_notification(self, identity: str, payload: Payload, received_at: datetime) -> Payload:
        connector_id, status = payload["connectorId"], payload["status"]
        error_code = payload.get("errorCode") or "NoError"
        status_at = parse_time(payload["timestamp"]) if payload.get("timestamp") else None
        if status_at is not None:
            self._charge_points.station(identity).clock.told_status(status_at, received_at)
        is_live = self._connector(identity, connector_id).transaction is not None

        async def job(conn: AsyncConnection) -> Outcome:
            await stations.save_status(
                conn,
                identity,
                connector_id,
                status,
                error_code,
                received_at,
                status_at,
                payload.get("info"),
                payload.get("vendorErrorCode"),
            )
            if status in records.IN_SESSION and not is_live:
                return Outcome(started=await records.found_running(conn, identity, connector_id))
            if status != "Available" or connector_id == 0:
                return Outcome()
            free_at = status_at or received_at
            closed = await records.close_lost(conn, identity, connector_id, free_at, received_at)
            return Outcome(stopped=closed)

        def tell() -> None:
            self._charge_points.status(identity, connector_id, status, error_code, received_at)

        return await self._change(identity, job, tell)

    async def _data_transfer(self, identity: str, payload: Payload, received_at: datetime) -> Payload:
        return {"status": "UnknownVendorId"}

    def _current_time(self) -> str:
        """Whole seconds: some stations cannot read fractions."""
        return self._clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")

    def _connector(self, identity: str, connector_id: int) -> LiveConnector:
        return self._charge_points.station(identity).connectors.get(connector_id) or LiveConnector()

    async def _change(
        self, identity: str, job: Job[Outcome], tell: Callable[[], None] = lambda: None
    ) -> Payload:
        """Commit, then tell the live state: both, even if the connection breaks meanwhile."""

        async def commit_and_tell() -> Payload:
            outcome = await self._database.write(job)
            tell()
            self._apply(identity, outcome)
            self._charge_points.mended(identity, outcome.quirks)
            return outcome.answer

        return await asyncio.shield(asyncio.ensure_future(commit_and_tell()))

    def _apply(self, identity: str, outcome: Outcome) -> None:
        """Tell the live state what was committed; what it knows already is not told twice."""
        for row in outcome.stopped:
            running = self._connector(identity, row["connector_id"]).transaction
            if running is not None and running.id == row["id"]:
                self._charge_points.stopped(identity, row["connector_id"])
                log.info("transaction ended", charge_point=identity, transaction=row["id"])
        for row in outcome.started:
            running = self._connector(identity, row["connector_id"]).transaction
            if running is None or running.id != row["id"]:
                self._charge_points.started(identity, row["connector_id"], open_transaction(row))
                log.info("transaction begun", charge_point=identity, transaction=row["id"])


def _read(data: list[Element], at: datetime) -> ConnectorReading:
    """What was measured at that moment; some stations send an element for each measurand."""
    parts = [element for element in data if element.measured_at == at]
    if len(parts) == 1:
        return parts[0].reading
    return read_sampled_values([sample for element in parts for sample in element.samples], at)


def _is_plain(
    connector: LiveConnector,
    sent_id: int | None,
    data: list[Element],
    received_at: datetime,
    clock_is_off: bool,
) -> bool:
    """Is it plain which transaction the values belong to: the one that runs, or none?"""
    running, names_none = connector.transaction, sent_id in (None, UNKNOWN_TRANSACTION)
    if running is not None:
        began = all(element.measured_at >= running.started_at for element in data)
        return began and (names_none or sent_id == running.id)
    is_now = clock_is_off or all(received_at - e.measured_at <= EXACT_ENOUGH for e in data)
    return names_none and is_now


def _plain_rows(connector: LiveConnector, data: list[Element]) -> list[Row]:
    running = connector.transaction
    return [{**element.row, "transaction_id": running.id if running else None} for element in data]


def _plain_registers(connector: LiveConnector, data: list[Element]) -> list[tuple[int, float, datetime]]:
    running = connector.transaction
    if running is None:
        return []
    known = [(e.reading.energy_wh, e.measured_at) for e in data]
    return [(running.id, wh, at) for wh, at in known if wh is not None]


@dataclass(slots=True)
class _Batch:
    """waiting: whoever gave rows to it, to be told what became of them."""

    rows: list[Row] = field(default_factory=list)
    registers: list[tuple[int, float, datetime]] = field(default_factory=list)
    waiting: list[asyncio.Future[None]] = field(default_factory=list)
    writing: asyncio.Task[None] | None = None


class _MeterValueBatches:
    """Meter values of all stations that come at about the same time are written with two statements."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._open: _Batch | None = None

    async def save(self, rows: list[Row], registers: list[tuple[int, float, datetime]]) -> None:
        """Returns once they are committed. Whoever goes away meanwhile does not take the others along."""
        batch = self._open
        if batch is None:
            batch = self._open = _Batch()
            batch.writing = asyncio.create_task(self._commit(batch))
        batch.rows += rows
        batch.registers += registers
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        batch.waiting.append(written)
        try:
            await written
        except SQLAlchemyError:
            alone = _Batch(rows, registers)  # a row that cannot be stored spoils its own message only
            await self._database.write(lambda conn: self._write(conn, alone))

    async def _commit(self, batch: _Batch) -> None:
        try:
            await self._database.write(lambda conn: self._write(conn, batch))
        except Exception as fault:  # it belongs to all who wait
            for written in batch.waiting:
                if not written.done():
                    written.set_exception(fault)
        else:
            for written in batch.waiting:
                if not written.done():
                    written.set_result(None)
        finally:
            self._close(batch)  # also if the job was never begun

    def _close(self, batch: _Batch) -> None:
        """Later values go into another batch."""
        if self._open is batch:
            self._open = None

    async def _write(self, conn: AsyncConnection, batch: _Batch) -> None:
        self._close(batch)
        await transactions.save_meter_values(conn, batch.rows)
        await transactions.raise_registers(conn, batch.registers)
