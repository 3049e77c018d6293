"""What charging stations say of charging (OCPP 1.6 Core), and what they are answered.

An answer is given after its effect is committed; the live state follows the commit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from csms.clock import Clock
from csms.domain.charge_point import ConnectorReading, LiveConnector
from csms.domain.id_tag import UnknownTags
from csms.domain.meter_value import read_sampled_values
from csms.domain.normalise import UNKNOWN_TRANSACTION, parse_time
from csms.domain.station_clock import EXACT_ENOUGH, StationClock
from csms.services import transaction_records as records
from csms.services.charge_points import ChargePoints, open_transaction
from csms.services.meter_value_batches import MeterValueBatches
from csms.services.station_notifications import StationNotifications
from csms.services.transaction_records import Element, Outcome
from csms.storage import stations
from csms.storage.database import Database, Job
from csms.storage.transactions import Row

log = structlog.get_logger()

HEARTBEAT_INTERVAL_S = 60
# When a station that is not accepted boots again: soon if a person is about to accept it, else seldom.
BOOT_RETRY_INTERVAL_S = {"Pending": 60, "Rejected": 300}
MORE_CONNECTORS = "StatusNotification.connectorId: more than are kept"
Payload = dict[str, Any]
Handler = Callable[[str, Payload, datetime], Awaitable[Payload]]


class StationMessages:
    """unknown_tags: what tags get that are not stored; None = accepted as long as none is stored at all,
    so that a first installation charges without any, and rejected from the first stored tag on.

    handlers: more actions, each handled by the service it belongs to. is_start_tag(identity, id tag): it is
    ours, for sessions that need no badge, and accepted although it is not stored.
    """

    def __init__(
        self,
        database: Database,
        charge_points: ChargePoints,
        clock: Clock,
        heartbeat_interval_s: int = HEARTBEAT_INTERVAL_S,
        unknown_tags: UnknownTags | None = None,
        handlers: Mapping[str, Handler] | None = None,
        is_start_tag: Callable[[str, str], bool] = lambda identity, id_tag: False,
    ) -> None:
        self._database, self._charge_points, self._clock = database, charge_points, clock
        self._heartbeat_interval_s, self._unknown_tags = heartbeat_interval_s, unknown_tags
        self._is_start_tag = is_start_tag
        self._batches = MeterValueBatches(database)
        self._clocks: dict[str, StationClock] = {}
        self._handlers: dict[str, Handler] = {
            "BootNotification": self._boot_notification,
            "Authorize": self._authorize,
            "Heartbeat": self._heartbeat,
            "StartTransaction": self._start_transaction,
            "StopTransaction": self._stop_transaction,
            "StatusNotification": self._status_notification,
            "DataTransfer": self._data_transfer,
            **StationNotifications(database, charge_points).handlers,
            **(handlers or {}),
        }

    @property
    def actions(self) -> frozenset[str]:
        """Those that are handled; all others are NotImplemented."""
        return frozenset(self._handlers) | {"MeterValues"}

    def handle(
        self, identity: str, action: str, payload: Payload, received_at: datetime
    ) -> Awaitable[Payload]:
        """Do what the message asks for and return the answer's payload, once that is committed.

        payload: normalised, camelCase. What is returned is a future if it goes on by itself: most of what
        comes are meter values, which need no task of their own. Raises what the database raises: then
        nothing was stored and the station may repeat.
        """
        if action == "MeterValues":
            return self._meter_values(identity, payload, received_at)
        return self._handle(identity, action, payload, received_at)

    async def _handle(self, identity: str, action: str, payload: Payload, received_at: datetime) -> Payload:
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
                conn, payload["idTag"], received_at, self._policy(identity, payload), identity
            )
        if info["status"] != "Accepted":
            self._charge_points.badge_refused(identity, received_at)
            self._charge_points.remember_refusal(identity, payload["idTag"], info["status"], received_at)
        return {"idTagInfo": info}

    def _policy(self, identity: str, payload: Payload) -> UnknownTags | None:
        return "accept" if self._is_start_tag(identity, payload["idTag"]) else self._unknown_tags

    async def _heartbeat(self, identity: str, payload: Payload, received_at: datetime) -> Payload:
        return {"currentTime": self._current_time()}

    async def _start_transaction(self, identity: str, payload: Payload, received_at: datetime) -> Payload:
        status = self._connector(identity, payload["connectorId"]).status
        answer = await self._change(
            identity,
            lambda conn: records.begin(
                conn, identity, payload, received_at, self._policy(identity, payload), status
            ),
        )
        if (answered := answer["idTagInfo"]["status"]) != "Accepted":
            self._charge_points.remember_refusal(identity, payload["idTag"], answered, received_at)
        return answer

    async def _stop_transaction(self, identity: str, payload: Payload, received_at: datetime) -> Payload:
        return await self._change(
            identity, lambda conn: records.end(conn, identity, payload, received_at, self._unknown_tags)
        )

    def _meter_values(self, identity: str, payload: Payload, received_at: datetime) -> Awaitable[Payload]:
        connector_id, sent_id = payload["connectorId"], payload.get("transactionId")
        data = records.elements(identity, connector_id, payload["meterValue"], received_at)
        if not data:
            return self._nothing_told(identity, received_at)
        station = self._charge_points.station(identity)
        connector = station.connectors.get(connector_id) or LiveConnector()
        newest = data[0].measured_at if len(data) == 1 else max(element.measured_at for element in data)
        if (clock := self._clocks.get(identity)) is None:
            clock = self._clocks[identity] = StationClock()
        seen_at = clock.true_time(newest, received_at)
        station.clock.told_measurement(newest, received_at)
        if clock.is_off:
            self._charge_points.mended(identity, ["MeterValues.timestamp: clock steadily off"])

        def tell() -> Payload:
            reading = _read(data, newest)
            reading = reading if seen_at == newest else reading._replace(at=seen_at)
            self._charge_points.metered(identity, connector_id, reading)
            self._charge_points.seen(identity, received_at)
            return {}

        if _is_plain(connector, sent_id, data, received_at, clock.is_off):
            return self._batches.save(_plain_rows(connector, data), _plain_registers(connector, data), tell)
        status = connector.status
        return self._change(
            identity,
            lambda conn: records.meter(conn, identity, connector_id, sent_id, data, received_at, status),
            then=tell,
        )

    async def _nothing_told(self, identity: str, received_at: datetime) -> Payload:
        self._charge_points.seen(identity, received_at)
        return {}

    async def _status_notification(self, identity: str, payload: Payload, received_at: datetime) -> Payload:
        connector_id, status = payload["connectorId"], payload["status"]
        if not self._charge_points.station(identity).keeps(connector_id):
            self._charge_points.mended(identity, [MORE_CONNECTORS])
            return {}
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
        self,
        identity: str,
        job: Job[Outcome],
        tell: Callable[[], None] = lambda: None,
        then: Callable[[], Payload] | None = None,
    ) -> Payload:
        """Commit, then tell the live state: both, even if the connection breaks meanwhile."""

        async def commit_and_tell() -> Payload:
            outcome = await self._database.write(job)
            tell()
            self._apply(identity, outcome)
            self._charge_points.mended(identity, outcome.quirks)
            return outcome.answer if then is None else then()

        return await asyncio.shield(asyncio.ensure_future(commit_and_tell()))

    def _apply(self, identity: str, outcome: Outcome) -> None:
        """Tell the live state what was committed; what it knows already is not told twice."""
        for row in outcome.stopped:
            running = self._connector(identity, row["connector_id"]).transaction
            if running is not None and running.id == row["id"]:
                self._charge_points.stopped(identity, row["connector_id"], row.get("stop_reason"))
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
        if sent_id != running.id and not names_none:
            return False
        return all(element.measured_at >= running.started_at for element in data)
    is_now = clock_is_off or all(received_at - e.measured_at <= EXACT_ENOUGH for e in data)
    return names_none and is_now


def _plain_rows(connector: LiveConnector, data: list[Element]) -> list[Row]:
    running = connector.transaction
    for element in data:
        element.row["transaction_id"] = running.id if running else None
    return [element.row for element in data]


def _plain_registers(connector: LiveConnector, data: list[Element]) -> list[tuple[int, float, datetime]]:
    running = connector.transaction
    if running is None:
        return []
    known = [(e.reading.energy_wh, e.measured_at) for e in data]
    return [(running.id, wh, at) for wh, at in known if wh is not None]
