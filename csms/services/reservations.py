"""Reservations: asked of the station, ended by a transaction, by hand, or by the clock.

Source: OCPP 1.6 ed. 2, 3.13 (Reservations), 5.2 and 5.13.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from csms.clock import Clock
from csms.domain.charge_point import Station
from csms.domain.normalise import parse_time
from csms.errors import CallFailed, CsmsError, InvalidInput, NotConnected, NotFound
from csms.services.charge_points import ChargePoints
from csms.services.command_effects import Command, CommandEffect
from csms.services.commands import Commands
from csms.storage import access, reservations
from csms.storage.database import STORAGE_FAULTS, Database

log = structlog.get_logger()

Row = dict[str, Any]
LOOKED_AT_EVERY_S = 10.0
AT_ONCE = datetime.min.replace(tzinfo=UTC)


class Reservations:
    """The database is asked for those that are over only when there may be some: the next expiry is known.

    It is a time, not a timer, so a clock that is set forward or back is followed.
    """

    def __init__(
        self, database: Database, charge_points: ChargePoints, commands: Commands, clock: Clock
    ) -> None:
        self._database, self._charge_points, self._commands = database, charge_points, commands
        self._clock = clock
        self._next_expiry: datetime | None = AT_ONCE  # not asked yet; None = none stands
        self._task: asyncio.Task[None] | None = None
        commands.on("ReserveNow", _Reserve(database, charge_points, clock, self._will_expire))
        commands.on("CancelReservation", _Cancel(database, clock))

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="reservations")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def of_station(self, identity: str, limit: int = 100) -> list[Row]:
        """Newest first. Raises NotFound."""
        station = self._charge_points.station(identity)
        async with self._database.read() as conn:
            return await reservations.of_station(conn, station.identity, limit)

    async def reserve(self, identity: str, connector_id: int, id_tag: str, expires_at: datetime) -> Row:
        """Ask the station for it; whatever it answers is in the row. The tag's group may use it, too.

        Raises: NotFound, InvalidInput (nothing was sent), NotConnected, CallFailed, CallTimeout
        """
        station = self._charge_points.station(identity)
        now, expires_at = self._clock.now(), expires_at.astimezone(UTC).replace(microsecond=0)
        if expires_at <= now:
            raise InvalidInput("expires_at", expires_at.isoformat(), f"a time after now ({now.isoformat()})")
        _check_connector(station, connector_id)
        if not self._charge_points.is_connected(identity):
            raise NotConnected(station.identity)

        async def prepare(conn: AsyncConnection) -> Row:
            tag = await access.id_tag(conn, id_tag)
            id = await reservations.add(
                conn,
                None,
                identity=station.identity,
                connector_id=connector_id,
                id_tag=id_tag,
                parent_id_tag=tag.parent_id_tag if tag is not None else None,
                expires_at=expires_at,
                status="Asked",
                created_at=now,
            )
            return await reservations.by_id(conn, id) or {}

        try:
            row = await self._database.write(prepare)
        finally:  # also if nobody waits any more: it may be written all the same
            self._will_expire(expires_at)
        await self._commands.send(station.identity, "ReserveNow", _request(row), row_id=row["id"])
        return await self._row(row["id"])

    async def cancel(self, identity: str, reservation_id: int) -> Row:
        """A station that refuses goes on holding it: then the row stays as it was.

        Raises: NotFound, NotConnected, CallFailed, CallTimeout
        """
        station = self._charge_points.station(identity)
        async with self._database.read() as conn:
            row = await reservations.newest(conn, station.identity, reservation_id)
        if row is None:
            raise NotFound("reservation", str(reservation_id))
        await self._commands.send(station.identity, "CancelReservation", {"reservationId": reservation_id})
        return await self._row(row["id"])

    async def expire(self) -> None:
        """End those whose time is over; the station does so by its own clock."""
        now = self._clock.now()
        if self._next_expiry is None or now < self._next_expiry:
            return
        for row in await self._end_those_over(now):
            log.info("reservation expired", charge_point=row["identity"], reservation=row["reservation_id"])
            self._charge_points.report(
                "reservation.expired",
                row["identity"],
                reservation_id=row["reservation_id"],
                connector_id=row["connector_id"],
                id_tag=row["id_tag"],
            )

    async def _end_those_over(self, now: datetime) -> list[Row]:
        """Whatever is reserved meanwhile counts, too; where the database fails, it is asked again."""

        async def end(conn: AsyncConnection) -> tuple[list[Row], datetime | None]:
            return await reservations.expire(conn, now), await reservations.next_expiry(conn)

        over: list[Row] = []
        following: datetime | None = AT_ONCE
        self._next_expiry = None
        try:
            async with self._database.read() as conn:
                following = await reservations.next_expiry(conn)
            if following is not None and following <= now:
                over, following = await self._database.write(end)
        finally:
            self._will_expire(following)
        return over

    def _will_expire(self, at: datetime | None) -> None:
        if at is not None and (self._next_expiry is None or at < self._next_expiry):
            self._next_expiry = at

    async def _run(self) -> None:
        while True:
            try:
                await self.expire()
            except STORAGE_FAULTS as error:
                log.warning("reservations not looked at", why=str(error))
            await self._clock.sleep(LOOKED_AT_EVERY_S)

    async def _row(self, id: int) -> Row:
        async with self._database.read() as conn:
            row = await reservations.by_id(conn, id)
        if row is None:
            raise NotFound("reservation", str(id))
        return row


class _Reserve(CommandEffect):
    def __init__(
        self,
        database: Database,
        charge_points: ChargePoints,
        clock: Clock,
        will_expire: Callable[[datetime], None],
    ) -> None:
        self._database, self._charge_points, self._clock = database, charge_points, clock
        self._will_expire = will_expire

    async def before(self, command: Command) -> None:
        payload = command.payload
        _check_connector(self._charge_points.station(command.identity), payload["connectorId"])
        if command.row_id is not None:
            return
        now = self._clock.now()
        expires_at = parse_time(payload["expiryDate"]) or now
        try:
            command.row_id = await self._database.write(
                lambda conn: reservations.add(
                    conn,
                    payload["reservationId"],
                    identity=command.identity,
                    connector_id=payload["connectorId"],
                    id_tag=payload["idTag"],
                    parent_id_tag=payload.get("parentIdTag"),
                    expires_at=expires_at,
                    status="Asked",
                    created_at=now,
                )
            )
        finally:
            self._will_expire(expires_at)

    async def answered(self, command: Command, answer: Row) -> None:
        now, word = self._clock.now(), str(answer.get("status"))[:32]

        async def job(conn: AsyncConnection) -> None:
            row = await reservations.by_id(conn, command.row_id or 0)
            if row is None or row["status"] != "Asked":  # used already: its start overtook the answer
                return
            if word == "Accepted":
                await reservations.end_replaced(conn, row, now)
                await reservations.change(conn, row["id"], status="Accepted", answer=word)
            else:
                await reservations.change(conn, row["id"], status="Refused", answer=word, ended_at=now)

        await self._database.write(job)

    async def failed(self, command: Command, error: CsmsError) -> None:
        """Without an answer it may stand or not: it stays Asked until it expires."""
        if isinstance(error, CallFailed):
            now, code, id = self._clock.now(), error.code[:32], command.row_id or 0
            await self._database.write(
                lambda conn: reservations.change(conn, id, status="Refused", answer=code, ended_at=now)
            )


class _Cancel(CommandEffect):
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    async def answered(self, command: Command, answer: Row) -> None:
        now, word = self._clock.now(), str(answer.get("status"))[:32]

        async def job(conn: AsyncConnection) -> None:
            row = await reservations.newest(conn, command.identity, command.payload["reservationId"])
            if row is None or row["status"] not in reservations.STANDING:
                return
            ended = {"status": "Cancelled", "ended_at": now} if word == "Accepted" else {}
            await reservations.change(conn, row["id"], answer=word, **ended)

        await self._database.write(job)


def _check_connector(station: Station, connector_id: int) -> None:
    """Raises InvalidInput: any connector cannot be reserved, the station has said so."""
    told = {key.lower(): value for key, value in station.configuration.items()}
    if connector_id == 0 and (told.get("reserveconnectorzerosupported") or "").strip().lower() == "false":
        expected = "a connector from 1 on: the station's ReserveConnectorZeroSupported is false"
        raise InvalidInput("connector_id", connector_id, expected)


def _request(row: Row) -> Row:
    request = {
        "connectorId": row["connector_id"],
        "expiryDate": row["expires_at"].strftime("%Y-%m-%dT%H:%M:%SZ"),
        "idTag": row["id_tag"],
        "reservationId": row["reservation_id"],
    }
    return request | ({"parentIdTag": row["parent_id_tag"]} if row["parent_id_tag"] else {})
