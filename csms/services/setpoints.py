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

from csms.clock import Clock
from csms.domain.charging_profile import (
    ConnectorWiring,
    control_profile,
    floor_profile,
    offered_now,
    profile_abilities,
)
from csms.errors import CsmsError
from csms.services.charge_points import ChargePoints
from csms.services.commands import Commands
from csms.storage import profiles
from csms.storage.database import Database

log = structlog.get_logger()

DEAD_MAN_S = 15 * 60
RENEW_AFTER = timedelta(seconds=DEAD_MAN_S / 2)
RETRY_AFTER = timedelta(seconds=60)  # a station that refused is asked again with the next minute, not sooner


@dataclass(frozen=True, slots=True)
class Wish:
    """What a connector should be held to. [A] safe_a: what it falls back to when nobody speaks to it."""

    wiring: ConnectorWiring
    limit_a: float
    safe_a: float


@dataclass(slots=True)
class _Station:
    wishes: dict[int, Wish] = field(default_factory=dict)
    floors: dict[int, dict[str, Any]] = field(default_factory=dict)
    controls: dict[int, tuple[dict[str, Any], datetime]] = field(default_factory=dict)
    refused_at: dict[int, datetime] = field(default_factory=dict)
    task: asyncio.Task[None] | None = None


class Setpoints:
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
            station = self._stations.setdefault(row["identity"], _Station())
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
        station = self._stations.setdefault(identity, _Station())
        station.wishes = wishes
        if self._charge_points.is_connected(identity) and (station.task is None or station.task.done()):
            station.task = asyncio.create_task(
                self._reconcile(identity, station), name=f"setpoints {identity}"
            )

    async def settle(self) -> None:
        """Wait until every station has been brought to what is wanted, or has refused."""
        running = [s.task for s in self._stations.values() if s.task is not None and not s.task.done()]
        await asyncio.gather(*running, return_exceptions=True)

    def forget(self, identity: str) -> None:
        """The station's profiles may be gone (reset to factory, ClearChargingProfile): write them anew."""
        if station := self._stations.get(identity):
            station.floors.clear()
            station.controls.clear()
            station.refused_at.clear()

    def offered_a(self, identity: str, wiring: ConnectorWiring, transaction_id: int) -> float | None:
        """What the accepted control profile of this transaction offers now. None = there is none. [A]"""
        station = self._stations.get(identity)
        control = station.controls.get(wiring.connector_id) if station else None
        if control is None or control[0]["csChargingProfiles"].get("transactionId") != transaction_id:
            return None
        return offered_now(control[0], wiring, self._clock.now())

    async def _reconcile(self, identity: str, station: _Station) -> None:
        done: dict[int, Wish] | None = None
        while done is not station.wishes:  # wishes that came while we were writing count at once
            done = station.wishes
            for connector_id in sorted(done):
                try:
                    await self._reconcile_connector(identity, station, connector_id)
                except CsmsError as error:
                    self._refused(identity, station, connector_id, str(error))

    async def _reconcile_connector(self, identity: str, station: _Station, connector_id: int) -> None:
        now = self._clock.now()
        refused_at = station.refused_at.get(connector_id)
        if refused_at is not None and now - refused_at < RETRY_AFTER:
            return
        live = self._charge_points.station(identity)
        abilities = profile_abilities(live.configuration)
        wish = station.wishes[connector_id]
        floor = floor_profile(wish.safe_a, wish.wiring, abilities)
        if station.floors.get(connector_id) != floor and await self._write(
            identity, station, connector_id, floor
        ):
            station.floors[connector_id] = floor
        connector = live.connectors.get(connector_id)
        if connector is None or connector.transaction is None:
            return
        wish = station.wishes[connector_id]  # the newest: writing the floor took time
        transaction_id = connector.transaction.id
        offered_a = self.offered_a(identity, wish.wiring, transaction_id)
        if offered_a == wish.limit_a and not self._is_due(station, connector_id, wish, now):
            connector.offered_a = offered_a
            return
        control = control_profile(
            wish.limit_a, wish.safe_a, transaction_id, wish.wiring, abilities, self._clock.now(), DEAD_MAN_S
        )
        if await self._write(identity, station, connector_id, control):
            station.controls[connector_id] = (control, self._clock.now())
            connector.offered_a, connector.offered_at = wish.limit_a, self._clock.now()

    def _is_due(self, station: _Station, connector_id: int, wish: Wish, now: datetime) -> bool:
        """A limit equal to the floor needs no dead-man, so it is never written again."""
        control = station.controls.get(connector_id)
        return wish.limit_a != wish.safe_a and control is not None and now - control[1] >= RENEW_AFTER

    async def _write(
        self, identity: str, station: _Station, connector_id: int, request: dict[str, Any]
    ) -> bool:
        answer = await self._commands.send(identity, "SetChargingProfile", request)
        if answer.get("status") != "Accepted":
            purpose = request["csChargingProfiles"]["chargingProfilePurpose"]
            self._refused(identity, station, connector_id, f"{purpose} answered {answer.get('status')}")
            return False
        station.refused_at.pop(connector_id, None)
        if connector := self._charge_points.station(identity).connectors.get(connector_id):
            connector.setpoint_problem = None
        now = self._clock.now()
        await self._database.write(lambda conn: profiles.save(conn, identity, request, now))
        return True

    def _refused(self, identity: str, station: _Station, connector_id: int, why: str) -> None:
        station.refused_at[connector_id] = self._clock.now()
        if connector := self._charge_points.station(identity).connectors.get(connector_id):
            connector.setpoint_problem = why
        log.warning("limit not accepted", charge_point=identity, connector=connector_id, why=why)
