"""Setpoints on their way to the stations: what should apply, what was accepted, what needs writing again.

`want` is called by the control loop once a minute and returns at once. One task per station brings
the station to what is wanted, so that a mute station delays no other. Writes happen only when
something differs: the floor once, the control profile when its limit changes or its dead-man time
is half over.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError

from csms.clock import Clock
from csms.domain.charging_profile import (
    ConnectorWiring,
    control_profile,
    floor_profile,
    offered_now,
    profile_abilities,
)
from csms.errors import CallTimeout, CsmsError, NotConnected
from csms.services.charge_points import ChargePoints
from csms.services.commands import Commands
from csms.storage import profiles
from csms.storage.database import Database, Job

log = structlog.get_logger()

DEAD_MAN_S = 15 * 60
RENEW_AFTER = timedelta(seconds=DEAD_MAN_S / 2)
RETRY_AFTER = timedelta(seconds=30)  # a station that refused is asked again with the next minute, not sooner


@dataclass(frozen=True, slots=True)
class Wish:
    """What a connector should be held to. [A] safe_a: what it falls back to when nobody speaks to it."""

    wiring: ConnectorWiring
    limit_a: float
    safe_a: float


@dataclass(slots=True)
class _Station:
    """floors, controls: what the station has accepted, by connector; a control with the time of it."""

    wishes: dict[int, Wish] = field(default_factory=dict)
    floors: dict[int, dict[str, Any]] = field(default_factory=dict)
    controls: dict[int, tuple[dict[str, Any], datetime]] = field(default_factory=dict)
    refused_at: dict[tuple[int, str], datetime] = field(default_factory=dict)
    task: asyncio.Task[None] | None = None


class Setpoints:
    """Identities are compared without regard to case, as everywhere."""

    def __init__(
        self, database: Database, charge_points: ChargePoints, commands: Commands, clock: Clock
    ) -> None:
        self._database, self._charge_points, self._commands, self._clock = (
            database,
            charge_points,
            commands,
            clock,
        )
        self._stations: dict[str, _Station] = {}

    async def start(self) -> None:
        """Take up what stations had accepted before a restart: nothing is written again without need."""
        async with self._database.read() as conn:
            rows = await profiles.load_all(conn)
        for row in rows:
            station = self._known(row["identity"])
            if row["purpose"] == "TxDefaultProfile":
                station.floors[row["connector_id"]] = row["profile"]
            elif row["purpose"] == "TxProfile":
                station.controls[row["connector_id"]] = (row["profile"], row["accepted_at"])

    async def stop(self) -> None:
        tasks = [s.task for s in self._stations.values() if s.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def want(self, identity: str, wishes: dict[int, Wish]) -> None:
        """Hold the station's connectors to these limits from now on."""
        station = self._known(identity)
        station.wishes = wishes
        if self._may_write(identity) and (station.task is None or station.task.done()):
            station.task = asyncio.create_task(
                self._reconcile(identity, station), name=f"setpoints {identity}"
            )

    def _may_write(self, identity: str) -> bool:
        known = self._charge_points
        return known.is_connected(identity) and known.may_send_unsolicited(identity)

    def renew(self, identity: str) -> None:
        """Bring the station to what was wanted last, also where it has just refused: it may take it now."""
        station = self._known(identity)
        station.refused_at.clear()
        self.want(identity, dict(station.wishes))

    async def settle(self) -> None:
        """Wait until every station has been brought to what is wanted, or has refused."""
        running = [s.task for s in self._stations.values() if s.task is not None and not s.task.done()]
        await asyncio.gather(*running, return_exceptions=True)

    async def forget(self, identity: str) -> None:
        """The station's profiles may be gone (restart, ClearChargingProfile): none counts as accepted.

        New records take the place of the old ones, so that a write still on its way enters into the old.
        """
        station = self._known(identity)
        station.floors, station.controls, station.refused_at = {}, {}, {}
        spelled = self._charge_points.station(identity).identity
        await self._store(identity, lambda conn: profiles.forget(conn, spelled))

    def offered_a(self, identity: str, wiring: ConnectorWiring, transaction_id: int) -> float | None:
        """What the accepted control profile of this transaction offers now. None = there is none. [A]"""
        control = self._known(identity).controls.get(wiring.connector_id)
        if control is None or control[0]["csChargingProfiles"].get("transactionId") != transaction_id:
            return None
        return offered_now(control[0], wiring, self._clock.now())

    def _known(self, identity: str) -> _Station:
        return self._stations.setdefault(identity.casefold(), _Station())

    async def _reconcile(self, identity: str, station: _Station) -> None:
        done: dict[int, Wish] | None = None
        while done is not station.wishes:  # wishes that came while we were writing count at once
            done = station.wishes
            for connector_id in sorted(done):
                # The running transaction first: a fuse may wait for its limit, nothing waits for the floor.
                for purpose, bring in (("TxProfile", self._control), ("TxDefaultProfile", self._floor)):
                    try:
                        if not self._has_just_refused(station, connector_id, purpose):
                            await bring(identity, station, connector_id)
                    except NotConnected:
                        return  # it has refused nothing: the control loop is woken when it comes back
                    except CsmsError as error:
                        self._refused(identity, station, connector_id, purpose, error)

    async def _floor(self, identity: str, station: _Station, connector_id: int) -> None:
        if (wish := station.wishes.get(connector_id)) is None:
            return
        floors = station.floors
        abilities = profile_abilities(self._charge_points.station(identity).configuration)
        floor = floor_profile(wish.safe_a, wish.wiring, abilities)
        if floors.get(connector_id) != floor and await self._write(identity, station, connector_id, floor):
            floors[connector_id] = floor

    async def _control(self, identity: str, station: _Station, connector_id: int) -> None:
        live = self._charge_points.station(identity)
        wish, connector = station.wishes.get(connector_id), live.connectors.get(connector_id)
        if wish is None or connector is None or connector.transaction is None:
            return
        controls, now, id = station.controls, self._clock.now(), connector.transaction.id
        abilities = profile_abilities(live.configuration)
        control = control_profile(wish.limit_a, wish.safe_a, id, wish.wiring, abilities, now, DEAD_MAN_S)
        limit_a = offered_now(control, wish.wiring, now)
        if self.offered_a(identity, wish.wiring, id) != limit_a or self._is_due(station, connector_id, wish):
            if not await self._write(identity, station, connector_id, control):
                return
            controls[connector_id] = (control, self._clock.now())
        if connector.offered_a != limit_a:
            connector.offered_a, connector.offered_at = limit_a, self._clock.now()

    def _is_due(self, station: _Station, connector_id: int, wish: Wish) -> bool:
        """A limit equal to the floor needs no dead-man, so it is never written again."""
        _, accepted_at = station.controls[connector_id]
        return wish.limit_a != wish.safe_a and not self._is_within(accepted_at, RENEW_AFTER)

    def _has_just_refused(self, station: _Station, connector_id: int, purpose: str) -> bool:
        refused_at = station.refused_at.get((connector_id, purpose))
        return refused_at is not None and self._is_within(refused_at, RETRY_AFTER)

    def _is_within(self, moment: datetime, span: timedelta) -> bool:
        """A moment still to come means that the clock was set back: it does not count."""
        return timedelta(0) <= self._clock.now() - moment < span

    async def _write(
        self, identity: str, station: _Station, connector_id: int, request: dict[str, Any]
    ) -> bool:
        purpose = request["csChargingProfiles"]["chargingProfilePurpose"]
        answer = await self._commands.send(identity, "SetChargingProfile", request)
        if answer.get("status") != "Accepted":
            self._refused(identity, station, connector_id, purpose, f"answered {answer.get('status')}")
            return False
        station.refused_at.pop((connector_id, purpose), None)
        live = self._charge_points.station(identity)
        if connector := live.connectors.get(connector_id):
            connector.setpoint_problem = None
        now = self._clock.now()
        await self._store(identity, lambda conn: profiles.save(conn, live.identity, request, now))
        return True

    async def _store(self, identity: str, job: Job[None]) -> None:
        """Without a database the stations are limited all the same; after a restart it is written again."""
        try:
            await self._database.write(job)
        except (SQLAlchemyError, OSError, CsmsError) as error:
            log.error("accepted profiles not recorded", charge_point=identity, why=str(error))

    def _refused(
        self, identity: str, station: _Station, connector_id: int, purpose: str, why: CsmsError | str
    ) -> None:
        if not isinstance(why, CallTimeout):  # no answer is no refusal: waiting for it took long enough
            station.refused_at[connector_id, purpose] = self._clock.now()
        if connector := self._charge_points.station(identity).connectors.get(connector_id):
            connector.setpoint_problem = f"{purpose}: {why}"
        log.warning(
            "limit not accepted", charge_point=identity, connector=connector_id, purpose=purpose, why=str(why)
        )
