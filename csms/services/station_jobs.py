"""Firmware updates and log uploads: asked for, followed until they end, and the addresses of their files.

A station fetches a firmware image, or leaves a log, at a one-time address: its secret is in the URL, only
the secret's hash is stored. For fetching it holds until the job ends, since stations begin again or go on
where they broke off; for leaving it holds for one complete file.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from csms.clock import Clock
from csms.domain.charge_point import Station
from csms.domain.station_job import (
    FIRMWARE_ACTIONS,
    LOG_ACTIONS,
    MAY_GO_ON,
    Direction,
    ends_job,
    is_without_news,
    status_of_answer,
)
from csms.errors import CallFailed, CsmsError, InvalidInput, NotConnected, NotFound
from csms.services.charge_points import ChargePoints
from csms.services.command_effects import Command, CommandEffect
from csms.services.commands import Commands
from csms.services.files import Files, StoredFile
from csms.storage import station_jobs
from csms.storage.database import STORAGE_FAULTS, Database

log = structlog.get_logger()

Row = dict[str, Any]
ADDRESS_PATH = "/station-files"
ADDRESS_HOLDS = timedelta(days=7)  # from when the station is to begin
TIDY_EVERY_S = 600.0
REMOVED_AT_ONCE = 1000
_CREDENTIALS = re.compile(r"(://)[^/\s@]*@")


@dataclass(frozen=True, slots=True)
class Retries:
    """How often and after how long a station tries again; None = as it likes. [s]"""

    retries: int | None = None
    interval_s: int | None = None

    def fields(self) -> Row:
        pairs = {"retries": self.retries, "retryInterval": self.interval_s}
        return {name: value for name, value in pairs.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Signature:
    """certificate: PEM of the one that signed the image. signature: Base64, as its maker gives it."""

    certificate: str
    signature: str


class StationJobs:
    def __init__(
        self, database: Database, charge_points: ChargePoints, commands: Commands, files: Files, clock: Clock
    ) -> None:
        self._database, self._charge_points, self._commands = database, charge_points, commands
        self._files, self._clock = files, clock
        self._task: asyncio.Task[None] | None = None
        effect = _JobEffect(database, charge_points, clock)
        for action in FIRMWARE_ACTIONS | LOG_ACTIONS:
            commands.on(action, effect)

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="station jobs")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def jobs(self, identity: str, limit: int = 100) -> list[Row]:
        """Newest first. Raises NotFound."""
        station = self._charge_points.station(identity)
        async with self._database.read() as conn:
            return await station_jobs.of_station(conn, station.identity, limit)

    async def job(self, identity: str, id: int) -> Row:
        """Raises NotFound."""
        station = self._charge_points.station(identity)
        async with self._database.read() as conn:
            job = await station_jobs.by_id(conn, id)
        if job is None or job["identity"] != station.identity:
            raise NotFound("job", str(id))
        return job

    async def file(self, identity: str, id: int) -> Path:
        """What the station left for the job. Raises NotFound."""
        job = await self.job(identity, id)
        return self._files.left(job["identity"], job["file_name"] or "")

    # --- asking ---

    async def update_firmware(
        self,
        identity: str,
        source: str,
        public_url: str,
        retrieve_at: datetime | None = None,
        install_at: datetime | None = None,
        retries: Retries | None = None,
        signature: Signature | None = None,
    ) -> Row:
        """source: the name of an image here, or a URL elsewhere. With a signature it is SignedUpdateFirmware.

        Raises: NotFound (also: no such image), InvalidInput, NotConnected, CallFailed, CallTimeout
        """
        station, retrieve_at = self._reachable(identity), retrieve_at or self._clock.now()
        is_here = "://" not in source
        if is_here:
            self._files.image(source)
        if install_at is not None and signature is None:
            raise InvalidInput("install_at", install_at.isoformat(), "nothing, without a signature")
        action = "UpdateFirmware" if signature is None else "SignedUpdateFirmware"

        def request(location: str, id: int) -> Row:
            if signature is None:
                return {"location": location, "retrieveDate": _written(retrieve_at)}
            firmware = {
                "location": location,
                "retrieveDateTime": _written(retrieve_at),
                "signingCertificate": signature.certificate,
                "signature": signature.signature,
            }
            if install_at is not None:
                firmware["installDateTime"] = _written(install_at)
            return {"requestId": id, "firmware": firmware}

        place = _Place("fetch", source if is_here else "", public_url, "" if is_here else source)
        return await self._ask(station, action, request, place, retrieve_at, retries)

    async def get_diagnostics(
        self,
        identity: str,
        public_url: str,
        location: str | None = None,
        start_at: datetime | None = None,
        stop_at: datetime | None = None,
        retries: Retries | None = None,
    ) -> Row:
        """location: a URL elsewhere; None = it is left here. Raises as update_firmware."""
        station = self._reachable(identity)
        span = {"startTime": start_at, "stopTime": stop_at}
        times = {name: _written(at) for name, at in span.items() if at is not None}

        def request(location: str, id: int) -> Row:
            return {"location": location, **times}

        place = _Place("leave", "", public_url, location or "")
        return await self._ask(station, "GetDiagnostics", request, place, self._clock.now(), retries)

    async def get_log(
        self,
        identity: str,
        log_type: str,
        public_url: str,
        location: str | None = None,
        oldest_at: datetime | None = None,
        latest_at: datetime | None = None,
        retries: Retries | None = None,
    ) -> Row:
        """log_type: DiagnosticsLog or SecurityLog. Otherwise as get_diagnostics."""
        station = self._reachable(identity)
        span = {"oldestTimestamp": oldest_at, "latestTimestamp": latest_at}
        times = {name: _written(at) for name, at in span.items() if at is not None}

        def request(location: str, id: int) -> Row:
            return {"logType": log_type, "requestId": id, "log": {"remoteLocation": location, **times}}

        place = _Place("leave", "", public_url, location or "")
        return await self._ask(station, "GetLog", request, place, self._clock.now(), retries)

    # --- the addresses ---

    async def fetch(self, secret: str, name: str) -> Path:
        """Raises NotFound: no such address, or it holds no longer."""
        address = await self._address(secret, "fetch")
        async with self._database.read() as conn:
            job = await station_jobs.by_id(conn, address["job_id"])
        is_over = job is None or (job["ended_at"] is not None and job["status"] not in MAY_GO_ON)
        if is_over or name != address["file_name"]:
            raise NotFound("file", name)
        return self._files.image(name)

    async def leave(self, secret: str, sent_name: str, chunks: AsyncIterator[bytes]) -> StoredFile:
        """Take what a station uploads; the address is used up once all of it is stored.

        Raises: NotFound, TooLarge, NoSpace
        """
        address = await self._address(secret, "leave")
        identity, job_id = address["identity"], address["job_id"]
        stored = await self._files.leave(identity, job_id, sent_name, chunks)
        now = self._clock.now()
        await self._database.write(lambda conn: _received(conn, address, stored.name, now))
        log.info("file received", charge_point=identity, job=address["job_id"], size_bytes=stored.size_bytes)
        self._charge_points.report("station.job", identity, job_id=address["job_id"], status="FileReceived")
        return stored

    async def is_expected(self, secret: str) -> None:
        """Raises NotFound: nothing may be left at this address."""
        await self._address(secret, "leave")

    async def _address(self, secret: str, direction: Direction) -> Row:
        async with self._database.read() as conn:
            address = await station_jobs.address(conn, _hash(secret))
        holds = address is not None and address["used_at"] is None
        if address is None or not holds or address["direction"] != direction:
            raise NotFound("file", "at this address")
        if address["expires_at"] <= self._clock.now():
            raise NotFound("file", "at this address")
        return address

    # --- jobs nobody speaks of any more ---

    async def tidy(self) -> None:
        """Close jobs without news, remove addresses that hold no longer."""
        now = self._clock.now()

        async def close(conn: AsyncConnection) -> list[Row]:
            silent = [job for job in await station_jobs.unended(conn) if is_without_news(job, now)]
            for job in silent:
                await station_jobs.note(conn, job, "NoNews", now, ends=True)
            await station_jobs.remove_addresses_before(conn, now, REMOVED_AT_ONCE)
            return silent

        for job in await self._database.write(close):
            log.warning("job without news closed", charge_point=job["identity"], job=job["id"])
            self._charge_points.report("station.job", job["identity"], job_id=job["id"], status="NoNews")

    async def _run(self) -> None:
        while True:
            try:
                await self.tidy()
            except STORAGE_FAULTS as error:
                log.warning("jobs not tidied", why=str(error))
            await self._clock.sleep(TIDY_EVERY_S)

    # --- inside ---

    def _reachable(self, identity: str) -> Station:
        station = self._charge_points.station(identity)
        if not self._charge_points.is_connected(identity):
            raise NotConnected(station.identity)
        return station

    async def _ask(
        self,
        station: Station,
        action: str,
        request: Any,
        place: _Place,
        begins_at: datetime,
        retries: Retries | None,
    ) -> Row:
        _check_protocol(station, place)
        secret, now = secrets.token_urlsafe(24), self._clock.now()
        location = place.location(secret)
        more = retries.fields() if retries is not None else {}

        async def prepare(conn: AsyncConnection) -> tuple[int, Row]:
            id = await station_jobs.add(conn, station.identity, action, {}, "Asked", now)
            payload = {**request(location, id), **more}
            await station_jobs.set_request(conn, id, _shown(payload, secret))
            if not place.elsewhere:
                expires_at = max(begins_at, now) + ADDRESS_HOLDS
                await station_jobs.add_address(
                    conn, _hash(secret), station.identity, place.direction, place.file_name, id, expires_at
                )
            return id, payload

        id, payload = await self._database.write(prepare)
        await self._commands.send(station.identity, action, payload, row_id=id)
        return await self.job(station.identity, id)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the file is: `elsewhere` (a URL), or here, under an address of the web server."""

    direction: Direction
    file_name: str
    public_url: str
    elsewhere: str

    def location(self, secret: str) -> str:
        """For leaving it ends in "/": stations append the name of their file, with or without one."""
        if self.elsewhere:
            return self.elsewhere
        return f"{self.public_url.rstrip('/')}{ADDRESS_PATH}/{secret}/{quote(self.file_name)}"


class _JobEffect(CommandEffect):
    """Also a job that is asked for by its raw OCPP request gets its row."""

    def __init__(self, database: Database, charge_points: ChargePoints, clock: Clock) -> None:
        self._database, self._charge_points, self._clock = database, charge_points, clock

    async def before(self, command: Command) -> None:
        if command.row_id is None:
            now = self._clock.now()
            command.row_id = await self._database.write(
                lambda conn: station_jobs.add(
                    conn, command.identity, command.action, _shown(command.payload), "Asked", now
                )
            )

    async def answered(self, command: Command, answer: Row) -> None:
        now, status = self._clock.now(), status_of_answer(command.action, answer)
        name = answer.get("fileName") or answer.get("filename")
        named = {"file_name": name[:255]} if isinstance(name, str) else {}

        async def job(conn: AsyncConnection) -> None:
            if answer.get("status") == "AcceptedCanceled":
                await _cancel_others(conn, command, now)
            await self._note(conn, command, status, now, answer=answer, **named)

        await self._database.write(job)
        self._tell(command, status)

    async def failed(self, command: Command, error: CsmsError) -> None:
        is_refusal, now = isinstance(error, CallFailed), self._clock.now()
        status = "Refused" if is_refusal else "Unanswered"
        answer = {"error": str(error)} if is_refusal else None
        await self._database.write(lambda conn: self._note(conn, command, status, now, answer=answer))
        self._tell(command, status)

    async def _note(
        self, conn: AsyncConnection, command: Command, status: str, now: datetime, **more: Any
    ) -> None:
        """A station may report before its answer is worked on: then the report stands."""
        row = await station_jobs.by_id(conn, command.row_id or 0)
        if row is not None:
            kept = status if row["status"] == "Asked" else row["status"]
            ends = ends_job(kept)
            await station_jobs.note(conn, row, kept, now, ends=ends, **more)

    def _tell(self, command: Command, status: str) -> None:
        self._charge_points.report(
            "station.job", command.identity, job_id=command.row_id, action=command.action, status=status
        )


async def _cancel_others(conn: AsyncConnection, command: Command, now: datetime) -> None:
    """AcceptedCanceled: what the station was doing before gave way to this."""
    for row in await station_jobs.of_station(conn, command.identity, limit=100):
        if row["action"] == command.action and row["id"] != command.row_id and row["ended_at"] is None:
            await station_jobs.note(conn, row, "Canceled", now, ends=True)


async def _received(conn: AsyncConnection, address: Row, file_name: str, now: datetime) -> None:
    await station_jobs.address_used(conn, address["token_hash"], now)
    if (job := await station_jobs.by_id(conn, address["job_id"])) is None:
        return
    status = job["status"] if job["status"] == "Uploaded" else "FileReceived"
    await station_jobs.note(conn, job, status, now, ends=True, file_name=file_name)


def _check_protocol(station: Station, place: _Place) -> None:
    """Raises InvalidInput: the station has said that it cannot transfer files this way."""
    said = station.configuration.get("SupportedFileTransferProtocols") or ""
    known = {part.strip().lower() for part in said.split(",") if part.strip()}
    scheme = (place.elsewhere or place.public_url).partition("://")[0].lower()
    if known and scheme not in known:
        expected = f"one of {said} (the station's SupportedFileTransferProtocols)"
        raise InvalidInput("location", f"{scheme}://…", expected)


def _shown(payload: Row, secret: str = "") -> Row:
    """The request as it is kept: without the address's secret and without passwords in URLs."""

    def shown(value: Any) -> Any:
        if isinstance(value, dict):
            return _shown(value, secret)
        if not isinstance(value, str):
            return value
        return _CREDENTIALS.sub(r"\1…@", value.replace(secret, "…") if secret else value)

    return {name: shown(value) for name, value in payload.items()}


def _written(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
