"""Which stations are connected, and what each of their connectors is doing right now.

In memory; loaded from storage at start. Identities are compared without regard to case; the spelling
first stored is the one used everywhere. What stations report reaches this record from
`StationMessages`, after it is committed; each change is published as an event.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol, cast

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from csms.clock import Clock
from csms.domain.charge_point import (
    ENDED_BY_PAUSE,
    FREE_AFTER,
    OPTIONS,
    ConnectorReading,
    LiveConnector,
    OpenTransaction,
    Registration,
    Station,
)
from csms.domain.station_clock import is_over
from csms.errors import CsmsError, InvalidInput, NotConnected, NotFound
from csms.services.events import EventBus
from csms.storage import sites, stations, transactions
from csms.storage.database import STORAGE_FAULTS, Database

log = structlog.get_logger()

BOOT_TIMEOUT_S = 30.0
TRIGGERED_FOR = timedelta(minutes=1)  # how long after the trigger its message is expected
STATIONS_KEPT, WAITING_KEPT = 20_000, 1000  # beyond it no stranger is taken, or waits to be accepted
REPLACED = 1000  # close code for a connection that a newer one of the same station replaces
_IDENTITY = re.compile(r"[^/\x00-\x1f\x7f]{1,255}")
REFUSED_BADGES_KEPT = 20


class StationLink(Protocol):
    """A station's open connection. `call` raises CallFailed, CallTimeout or NotConnected, and returns the
    answer, made tidy by `csms.domain.normalise`."""

    @property
    def identity(self) -> str: ...

    async def call(self, action: str, payload: dict[str, Any], timeout_s: float) -> dict[str, Any]: ...

    async def close(self, code: int, reason: str) -> None:
        """Begin to close; does not wait for the other side."""


@dataclass(frozen=True, slots=True)
class RefusedBadge:
    """status: OCPP's AuthorizationStatus, as answered."""

    id_tag: str
    identity: str
    status: str
    at: datetime


class ChargePoints:
    """unknown: what to do with a station that neither the database nor a site names. conformance_mode: no
    station is sent anything unasked."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        events: EventBus,
        unknown: Literal["reject", "pending", "accept"],
        conformance_mode: bool = False,
    ) -> None:
        self._database, self._clock, self._events, self._unknown = database, clock, events, unknown
        self._conformance_mode = conformance_mode
        self._stations: dict[str, Station] = {}
        self._links: dict[str, StationLink] = {}
        self._asking: set[asyncio.Task[None]] = set()
        self._triggered: dict[tuple[str, str], datetime] = {}
        self._with_new_quirks: set[str] = set()
        self._refused_badges: dict[str, RefusedBadge] = {}

    async def start(self) -> None:
        """Load stations, what their connectors last reported, and open transactions."""
        async with self._database.read() as conn:
            rows = await stations.load_all(conn)
            statuses = await stations.connector_statuses(conn)
            opened = await transactions.open_transactions(conn)
        for row in rows:
            self._add(row)
        told_at = {}
        for row in statuses:
            told_at[row["identity"], row["connector_id"]] = row["status_at"]
            connector = self.station(row["identity"]).connector(row["connector_id"])
            connector.status, connector.error_code = row["status"], row["error_code"]
            connector.status_at = row["received_at"]
        for row in opened:  # oldest first: the newest of a connector stays
            connector = self.station(row["identity"]).connector(row["connector_id"])
            status_at = told_at.get((row["identity"], row["connector_id"]))
            if not is_over(connector.status, status_at, row["started_at"], row["start_received_at"]):
                connector.transaction = open_transaction(row)

    # --- connections ---

    async def admit(self, identity: str) -> str | None:
        """The station's identity as we spell it, or None: it is to be refused.

        Known are stations in the database and those that a site names; those are created when they first
        come, and accepted if they were pending.
        """
        station = self._stations.get(identity.casefold())
        if station is not None and station.registration != "Pending":
            return station.identity
        if not _IDENTITY.fullmatch(identity):
            return None
        async with self._database.read() as conn:
            of_sites = await sites.charge_point_identities(conn)
            stored = await stations.registration(conn, identity)
        named = next((name for name in of_sites if name.casefold() == identity.casefold()), None)
        if station is not None:
            if named is not None:
                await self.accept(station.identity)
            return station.identity
        if named is not None or stored is not None:
            return await self._create(named or identity, "Accepted")
        if self._unknown == "reject" or not self._has_room(identity):
            return None
        return await self._create(identity, "Accepted" if self._unknown == "accept" else "Pending")

    async def accept(self, identity: str) -> None:
        """An operator, or a site that names it, lets a pending or rejected station in.

        From now on all it sends is taken. It is asked to boot again, for the answer tells it so; one that
        does not gets to know with its next BootNotification. One that is accepted already is left alone.
        """
        station = self.station(identity)
        if station.registration == "Accepted":
            return
        await self._database.write(lambda conn: stations.set_registration(conn, station.identity, "Accepted"))
        station.registration = "Accepted"
        self._publish("station.accepted", station)
        link = self._links.get(station.identity)
        if link is not None and self.may_send_unsolicited(identity):
            asking = asyncio.create_task(_ask_to_boot(link))
            self._asking.add(asking)
            asking.add_done_callback(self._asking.discard)

    async def reject(self, identity: str) -> None:
        """An operator does not want the station: from now on only its BootNotification is answered."""
        station = self.station(identity)
        await self._database.write(lambda conn: stations.set_registration(conn, station.identity, "Rejected"))
        station.registration = "Rejected"
        self._publish("station.rejected", station)

    async def set_options(self, identity: str, changes: Mapping[str, bool]) -> None:
        """Set some of `OPTIONS`; the others stay as they are. Raises: NotFound, InvalidInput"""
        station = self.station(identity)
        if unknown := sorted(set(changes) - set(OPTIONS)):
            raise InvalidInput("options", unknown[0], f"one of {', '.join(OPTIONS)}")
        options = {**station.options, **changes}
        await self._database.write(lambda conn: stations.save_options(conn, station.identity, options))
        station.options = options
        self._publish("station.options", station, **options)

    def triggered(self, identity: str, message: str) -> None:
        """The station is being asked to say this (requestedMessage of a trigger)."""
        action = "SignCertificate" if message == "SignChargePointCertificate" else message
        self._triggered[self.station(identity).identity, action] = self._clock.now()

    def may_say(self, identity: str, action: str) -> bool:
        """An accepted station may say anything; a pending one may boot, and say what it was triggered to."""
        station = self.station(identity)
        if station.registration == "Accepted" or action == "BootNotification":
            return True
        at = self._triggered.get((station.identity, action))
        was_asked = at is not None and self._clock.now() - at <= TRIGGERED_FOR
        return station.registration == "Pending" and was_asked

    def may_send_unsolicited(self, identity: str) -> bool:
        """May the station be sent what no operator asked for: settings, limits, triggers, lists?

        Not before it is accepted, and never in conformance mode. Raises: NotFound
        """
        station = self.station(identity)
        in_conformance_mode = self._conformance_mode or station.options.get("conformance_mode", False)
        return station.registration == "Accepted" and not in_conformance_mode

    async def connected(self, link: StationLink) -> None:
        """The newest connection wins: one that is still open is closed."""
        station = self.station(link.identity)
        replaced = self._links.get(station.identity)
        self._links[station.identity] = link
        now = self._clock.now()
        station.connected, station.connected_at, station.last_seen_at = True, now, now
        if replaced is not None and replaced is not link:
            log.info("connection replaced", charge_point=station.identity)
            await replaced.close(REPLACED, "replaced by a newer connection")
        log.info("station connected", charge_point=station.identity)
        self._publish("station.connected", station)

    async def disconnected(self, link: StationLink) -> None:
        """Ignored unless it is still the station's current connection."""
        station = self.station(link.identity)
        if self._links.get(station.identity) is not link:
            return
        del self._links[station.identity]
        station.connected = False
        log.info("station disconnected", charge_point=station.identity)
        self._publish("station.disconnected", station)
        seen_at = station.last_seen_at or self._clock.now()
        try:
            await self._database.write(lambda conn: stations.save_seen(conn, station.identity, seen_at))
        except STORAGE_FAULTS as error:
            log.warning("last contact not stored", charge_point=station.identity, why=str(error))

    async def known(self, identity: str) -> str:
        """The station's identity as we spell it, also of one that is expected and has not come yet.

        Raises: NotFound
        """
        if (spelled := await self.admit(identity)) is None:
            raise NotFound("charge point", identity)
        return spelled

    def is_known(self, identity: str) -> bool:
        """Is it stored? One that only a site names becomes known when it first comes."""
        return identity.casefold() in self._stations

    def is_connected(self, identity: str) -> bool:
        station = self._stations.get(identity.casefold())
        return station is not None and station.connected

    def link(self, identity: str) -> StationLink:
        """Raises: NotFound, NotConnected"""
        station = self.station(identity)
        if (link := self._links.get(station.identity)) is None:
            raise NotConnected(station.identity)
        return link

    def station(self, identity: str) -> Station:
        """Raises: NotFound"""
        try:
            return self._stations[identity.casefold()]
        except KeyError:
            raise NotFound("charge point", identity) from None

    def charges_freely(self, identity: str) -> bool:
        """Was it seen to charge without a transaction, and none has begun since?"""
        known = self._stations.get(identity.casefold())
        return known is not None and known.charges_freely

    def recall_charging_freely(self, identity: str, charges_freely: bool) -> None:
        """As it was seen before a restart."""
        if (known := self._stations.get(identity.casefold())) is not None:
            known.charges_freely = charges_freely

    def stations(self) -> list[Station]:
        """By identity."""
        return sorted(self._stations.values(), key=lambda station: station.identity)

    # --- what stations report, told after it is committed ---

    def seen(self, identity: str, now: datetime) -> None:
        self.station(identity).last_seen_at = now

    def mended(self, identity: str, kinds: list[str]) -> None:
        """Count deviations from OCPP that were repaired."""
        if kinds:
            station = self.station(identity)
            station.count_quirks(kinds, self._clock.now())
            self._with_new_quirks.add(station.identity)

    def take_stations_with_new_quirks(self) -> list[Station]:
        """Those of which something was counted since the last time."""
        taken = [self.station(identity) for identity in self._with_new_quirks]
        self._with_new_quirks.clear()
        return taken

    def count_again(self, identity: str, kind: str, count: int) -> None:
        """It could not be stored: it is counted already, and has to be stored later."""
        self.station(identity).unsaved_quirks[kind] += count
        self._with_new_quirks.add(identity)

    def booted(self, identity: str, info: Mapping[str, Any], now: datetime) -> None:
        """info: the BootNotification's payload."""
        station = self.station(identity)
        station.vendor = info.get("chargePointVendor") or station.vendor
        station.model = info.get("chargePointModel") or station.model
        serial_number = info.get("chargePointSerialNumber") or info.get("chargeBoxSerialNumber")
        station.serial_number = serial_number or station.serial_number
        station.firmware_version = info.get("firmwareVersion") or station.firmware_version
        station.last_seen_at = now
        self._publish("station.booted", station, vendor=station.vendor, model=station.model)

    def status(self, identity: str, connector_id: int, status: str, error_code: str, at: datetime) -> None:
        """at: when it arrived. Repeating a status does not make it newer."""
        station, connector = self._connector(identity, connector_id)
        if (connector.status, connector.error_code) != (status, error_code):
            connector.status_at = at
        connector.status, connector.error_code = status, error_code
        if status == "Available" and connector.transaction is None:
            connector.unbooked_since = None
            connector.forget_limit()
        self._publish(
            "connector.status", station, connector_id=connector_id, status=status, error_code=error_code
        )

    def refused_badges(self) -> list[RefusedBadge]:
        """The last ones, each once, the latest first. Kept in memory only."""
        return [*reversed(self._refused_badges.values())]

    def remember_refusal(self, identity: str, id_tag: str, status: str, now: datetime) -> None:
        self._refused_badges.pop(id_tag.lower(), None)
        self._refused_badges[id_tag.lower()] = RefusedBadge(id_tag, identity, status, now)
        if len(self._refused_badges) > REFUSED_BADGES_KEPT:
            del self._refused_badges[next(iter(self._refused_badges))]

    def badge_refused(self, identity: str, now: datetime) -> None:
        """Authorize does not say where: it was held to the station by whoever is plugged in and waits."""
        for connector in self.station(identity).connectors.values():
            if connector.status == "Preparing" and connector.transaction is None:
                connector.refused_at = now

    def started(self, identity: str, connector_id: int, transaction: OpenTransaction) -> None:
        station, connector = self._connector(identity, connector_id)
        connector.transaction, connector.unbooked_since = transaction, None
        station.charges_freely = False
        connector.refused_at = connector.starting = None
        connector.offered_a = connector.offered_at = connector.setpoint_problem = None
        connector.overruled = None
        connector.following = connector.following.for_next_transaction()
        self._publish(
            "transaction.started",
            station,
            connector_id=connector_id,
            transaction_id=transaction.id,
            id_tag=transaction.id_tag,
        )

    def stopped(self, identity: str, connector_id: int, reason: str | None = None) -> None:
        """reason: OCPP's, None if no stop has come."""
        station, connector = self._connector(identity, connector_id)
        if connector.is_ended_by_pause(reason, self._clock.now()):
            self.mended(identity, [ENDED_BY_PAUSE])
        transaction, connector.transaction = connector.transaction, None
        connector.forget_limit()
        self._publish(
            "transaction.stopped",
            station,
            connector_id=connector_id,
            transaction_id=transaction.id if transaction else None,
            reason=reason,
        )

    def metered(self, identity: str, connector_id: int, reading: ConnectorReading) -> None:
        station, connector = self._connector(identity, connector_id)
        counted_before_wh = connector.transaction and connector.transaction.counted_before_wh
        is_newest = connector.take_reading(reading, self._clock.now())
        if connector.transaction and connector.transaction.counted_before_wh != counted_before_wh:
            self.mended(identity, ["MeterValues.register: began anew"])
        if (since := connector.unbooked_since) is not None and not station.charges_freely:
            station.charges_freely = self._clock.now() - since >= FREE_AFTER
            if station.charges_freely:
                self.mended(identity, ["MeterValues.transactionId: charges without a transaction"])
                self._publish("station.charges_freely", station, connector_id=connector_id)
        if not is_newest or not self._events.is_heard("connector.metered"):
            return
        shown = connector.reading or reading
        self._publish(
            "connector.metered",
            station,
            connector_id=connector_id,
            measured_at=shown.at,
            power_w=shown.power_w,
            current_a=shown.current_a,
            energy_wh=shown.energy_wh,
            soc_percent=shown.soc_percent,
        )

    def report(self, kind: str, identity: str, **data: Any) -> None:
        """Publish what happened at a station and leaves no trace in the live record."""
        self._publish(kind, self.station(identity), **data)

    def profiles_cleared(self, identity: str) -> None:
        """An operator cleared charging profiles: whoever wrote them must write them anew."""
        self._publish("station.profiles_cleared", self.station(identity))

    def configured(
        self, identity: str, configuration: Mapping[str, str | None], read_only_keys: set[str]
    ) -> None:
        station = self.station(identity)
        station.configuration = dict(configuration)
        station.read_only_keys = set(read_only_keys)

    # --- inside ---

    def _connector(self, identity: str, connector_id: int) -> tuple[Station, LiveConnector]:
        station = self.station(identity)
        return station, station.connector(connector_id)

    def _publish(self, kind: str, station: Station, **data: Any) -> None:
        self._events.publish(kind, self._clock.now(), identity=station.identity, **data)

    def _has_room(self, identity: str) -> bool:
        """For one more that nobody has named: ever new ones would fill memory and database."""
        known = self._stations.values()
        if self._unknown == "accept":
            has_room = len(known) < STATIONS_KEPT
        else:
            has_room = sum(station.registration == "Pending" for station in known) < WAITING_KEPT
        if not has_room:
            log.warning("unknown station not taken: there are too many", charge_point=identity)
        return has_room

    async def _create(self, identity: str, registration: Registration) -> str:
        now = self._clock.now()

        async def job(conn: AsyncConnection) -> str | None:
            await stations.ensure(conn, identity, registration, now)
            return await stations.registration(conn, identity)

        stored = cast(Registration, await self._database.write(job))
        log.info("station created", charge_point=identity, registration=stored)
        return self._stations.setdefault(identity.casefold(), Station(identity, stored)).identity

    def _add(self, row: Mapping[str, Any]) -> Station:
        stored: dict[str, dict[str, Any]] = row["configuration"] or {}
        station = Station(
            identity=row["identity"],
            registration=row["registration"],
            vendor=row["vendor"],
            model=row["model"],
            serial_number=row["serial_number"],
            firmware_version=row["firmware_version"],
            last_seen_at=row["last_seen_at"],
            options=row["options"] or {},
            security_profile=row["security_profile"],
            configuration={key: entry.get("value") for key, entry in stored.items()},
            read_only_keys={key for key, entry in stored.items() if entry.get("readonly")},
        )
        return self._stations.setdefault(station.identity.casefold(), station)


async def _ask_to_boot(link: StationLink) -> None:
    try:
        await link.call("TriggerMessage", {"requestedMessage": "BootNotification"}, BOOT_TIMEOUT_S)
    except CsmsError as error:
        log.info("accepted station does not boot now", charge_point=link.identity, why=str(error))


def open_transaction(row: Mapping[str, Any]) -> OpenTransaction:
    """The live record of a stored transaction."""
    transaction = OpenTransaction(
        row["id"],
        row["id_tag"],
        row["started_at"],
        row["meter_start_wh"],
        min_a=row["min_a"],
        is_refused=row["start_status"] != "Accepted",
        usual_phases=row.get("usual_phases"),
    )
    if row["last_register_wh"] is not None:
        transaction.register_read(row["last_register_wh"])
    return transaction
