"""What stations say of firmware, logs and their security: recorded, and told to whoever listens.

Source: OCPP 1.6 ed. 2, 4.3 and 4.5; Improved security for OCPP 1.6-J ed. 3, 5.14, 5.18 and 5.19.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from csms.domain.normalise import parse_time
from csms.domain.station_job import FIRMWARE_ACTIONS, LOG_ACTIONS, MAY_GO_ON, NO_NEWS_AFTER, ends_job
from csms.services.charge_points import ChargePoints
from csms.storage import security_events, station_jobs, stations
from csms.storage.database import Database

log = structlog.get_logger()

Payload = dict[str, Any]
Row = dict[str, Any]
RECENT_JOBS = 50
CRITICAL_EVENTS = frozenset(
    {
        "FirmwareUpdated",
        "SettingSystemTime",
        "StartupOfTheDevice",
        "ResetOrReboot",
        "SecurityLogWasCleared",
        "MemoryExhaustion",
        "TamperDetectionActivated",
    }
)


class StationNotifications:
    def __init__(self, database: Database, charge_points: ChargePoints) -> None:
        self._database, self._charge_points = database, charge_points
        self.handlers: dict[str, Callable[[str, Payload, datetime], Awaitable[Payload]]] = {
            "DiagnosticsStatusNotification": self._log_status,
            "LogStatusNotification": self._log_status,
            "FirmwareStatusNotification": self._firmware_status,
            "SignedFirmwareStatusNotification": self._firmware_status,
            "SecurityEventNotification": self._security_event,
        }

    async def _log_status(self, identity: str, payload: Payload, received_at: datetime) -> Payload:
        return await self._job_status(
            identity, payload, received_at, LOG_ACTIONS, stations.save_diagnostics_status
        )

    async def _firmware_status(self, identity: str, payload: Payload, received_at: datetime) -> Payload:
        return await self._job_status(
            identity, payload, received_at, FIRMWARE_ACTIONS, stations.save_firmware_status
        )

    async def _job_status(
        self,
        identity: str,
        payload: Payload,
        received_at: datetime,
        actions: frozenset[str],
        save: Callable[[AsyncConnection, str, str], Awaitable[None]],
    ) -> Payload:
        status, request_id = payload["status"], payload.get("requestId")

        async def job(conn: AsyncConnection) -> Row | None:
            await save(conn, identity, status)
            if status == "Idle":  # it does nothing now: says nothing of how a job went
                return None
            return await _note(conn, identity, actions, request_id, status, received_at)

        found = await self._database.write(job)
        if found is not None and found["status"] != status:
            self._charge_points.report(
                "station.job", identity, job_id=found["id"], action=found["action"], status=status
            )
        return {}

    async def _security_event(self, identity: str, payload: Payload, received_at: datetime) -> Payload:
        type, tech_info = payload["type"], payload.get("techInfo")
        happened_at = parse_time(payload["timestamp"]) or received_at
        is_new = await self._database.write(
            lambda conn: security_events.add(conn, identity, type, happened_at, received_at, tech_info)
        )
        if is_new and type in CRITICAL_EVENTS:
            log.warning("critical security event", charge_point=identity, type=type, tech_info=tech_info)
            self._charge_points.report(
                "station.security_event", identity, type=type, happened_at=happened_at, tech_info=tech_info
            )
        return {}


async def _note(
    conn: AsyncConnection,
    identity: str,
    actions: frozenset[str],
    request_id: int | None,
    status: str,
    now: datetime,
) -> Row | None:
    """The job it belongs to, as it was before: the one it names, else the newest that goes on.

    A station that repeats what it said of a job that is over speaks of no other.
    """
    jobs = await station_jobs.going_on(conn, identity, actions, MAY_GO_ON, now - NO_NEWS_AFTER)
    if request_id is not None:
        named = [job for job in jobs if job["request"].get("requestId") == request_id]
        known = named or await station_jobs.of_station(conn, identity, RECENT_JOBS)
        if any(job["request"].get("requestId") == request_id for job in known):
            jobs = named
    job = next(iter(jobs), None)
    if job is not None:
        await station_jobs.note(conn, job, status, now, ends=ends_job(status))
    return job
