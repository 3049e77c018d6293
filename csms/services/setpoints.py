"""Setpoints on their way to the stations: what should apply, what was accepted, what needs writing again.

`want` is called by the control loop once a minute and returns at once. One task per station brings
the station to what is wanted, so that a mute station delays no other. Writes happen only when
something differs: the floor once, the control profile when its limit changes or its dead-man time
is half over.

A profile that a person or a program has had written (`ChargingProfiles`) and that rules instead of the
floor or the control profile is not fought with: nothing of ours is written in its place until it is
cleared, its time or transaction is over, or the station boots. The connector's setpoint_problem says so.
Until then its vehicle is not controlled: only the other loads make room for it where a fuse is near.
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
    number_phases,
    offered_now,
    profile_abilities,
    with_number_phases,
)
from csms.domain.installed_profile import OURS
from csms.errors import CallTimeout, CsmsError, NotConnected
from csms.services.charge_points import ChargePoints
from csms.services.charging_profiles import ChargingProfiles
from csms.services.commands import Commands

log = structlog.get_logger()

DEAD_MAN_S = 15 * 60
RENEW_AFTER = timedelta(seconds=DEAD_MAN_S / 2)
OUTRANKED = "an operator's own profile rules instead"
RETRY_AFTER = timedelta(seconds=30)  # a station that refused is asked again with the next minute, not sooner


@dataclass(frozen=True, slots=True)
class Wish:
    """What a connector should be held to. [A] safe_a: what it falls back to when nobody speaks to it.

    number_phases: how many phases it is to use; None = the station is not told.
    """

    wiring: ConnectorWiring
    limit_a: float
    safe_a: float
    number_phases: int | None = None


@dataclass(slots=True)
class _Station:
    wishes: dict[int, Wish] = field(default_factory=dict)
    refused_at: dict[tuple[int, str], datetime] = field(default_factory=dict)
    task: asyncio.Task[None] | None = None


class Setpoints:
    """Identities are compared without regard to case, as everywhere."""

    def __init__(
        self, charge_points: ChargePoints, commands: Commands, profiles: ChargingProfiles, clock: Clock
    ) -> None:
        self._charge_points, self._commands, self._clock = charge_points, commands, clock
        self._profiles = profiles
        self._stations: dict[str, _Station] = {}

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
        """The station's profiles may be gone (restart): none counts as accepted."""
        self._known(identity).refused_at = {}
        await self._profiles.forget(identity)

    def offered_a(self, identity: str, wiring: ConnectorWiring, transaction_id: int) -> float | None:
        """What the control profile of this transaction offers now, or an operator's that rules instead.
        None = there is none, or it cannot be told. [A]"""
        connector = self._charge_points.station(identity).connectors.get(wiring.connector_id)
        running = connector.transaction if connector is not None else None
        held = self._profiles.outranking(identity, wiring.connector_id, "TxProfile")
        if running is not None and held is not None:
            return held.offers_a(wiring, running.started_at, self._clock.now())
        control = self._profiles.ours(identity, wiring.connector_id, "TxProfile")
        if control is None or control.profile.get("transactionId") != transaction_id:
            return None
        return offered_now(control.request, wiring, self._clock.now())

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
        abilities = profile_abilities(self._charge_points.station(identity).configuration)
        floor = self._numbered(identity, floor_profile(wish.safe_a, wish.wiring, abilities))
        if self._is_outranked(identity, connector_id, "TxDefaultProfile"):
            return
        written = self._profiles.ours(identity, connector_id, "TxDefaultProfile")
        if written is None or written.request != floor:
            await self._write(identity, station, connector_id, floor)

    async def _control(self, identity: str, station: _Station, connector_id: int) -> None:
        live = self._charge_points.station(identity)
        wish, connector = station.wishes.get(connector_id), live.connectors.get(connector_id)
        if wish is None or connector is None or connector.transaction is None:
            return
        now, id = self._clock.now(), connector.transaction.id
        abilities = profile_abilities(live.configuration)
        control = control_profile(wish.limit_a, wish.safe_a, id, wish.wiring, abilities, now, DEAD_MAN_S)
        control = self._numbered(identity, with_number_phases(control, wish.number_phases, wish.wiring))
        if self._is_outranked(identity, connector_id, "TxProfile"):
            connector.offered_a = self.offered_a(identity, wish.wiring, id)
            return
        limit_a = offered_now(control, wish.wiring, now)
        written = self._profiles.ours(identity, connector_id, "TxProfile")
        is_new = self.offered_a(identity, wish.wiring, id) != limit_a
        if written is not None and wish.number_phases is not None:
            is_new = is_new or number_phases(written.request) != wish.number_phases
        needs_writing = is_new or self._is_due(identity, connector_id, wish)
        if needs_writing and not await self._write(identity, station, connector_id, control):
            return
        if connector.offered_a != limit_a:
            connector.offered_a, connector.offered_at = limit_a, self._clock.now()

    def _is_due(self, identity: str, connector_id: int, wish: Wish) -> bool:
        """A limit equal to the floor needs no dead-man, so it is never written again."""
        written = self._profiles.ours(identity, connector_id, "TxProfile")
        is_old = written is None or not self._is_within(written.accepted_at, RENEW_AFTER)
        return wish.limit_a != wish.safe_a and is_old

    def _numbered(self, identity: str, request: dict[str, Any]) -> dict[str, Any]:
        """Under another number where an operator's profile has this one: it would be replaced."""
        profile = request["csChargingProfiles"]
        number = self._profiles.free_number(identity, profile["chargingProfileId"])
        return {**request, "csChargingProfiles": {**profile, "chargingProfileId": number}}

    def _is_outranked(self, identity: str, connector_id: int, purpose: str) -> bool:
        """Whether an operator's profile rules there; told to people in the connector's problem."""
        held = self._profiles.outranking(identity, connector_id, purpose)
        connector = self._charge_points.station(identity).connectors.get(connector_id)
        if connector is None:
            return held is not None
        begin = f"{purpose}: {OUTRANKED}"
        if held is not None:
            connector.setpoint_problem = f"{begin} (chargingProfileId {held.number})"
        elif (connector.setpoint_problem or "").startswith(begin):
            connector.setpoint_problem = None
        return held is not None

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
        answer = await self._commands.send(identity, "SetChargingProfile", request, origin=OURS)
        if answer.get("status") != "Accepted":
            self._refused(identity, station, connector_id, purpose, f"answered {answer.get('status')}")
            return False
        station.refused_at.pop((connector_id, purpose), None)
        if connector := self._charge_points.station(identity).connectors.get(connector_id):
            connector.setpoint_problem = None
        return True

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
