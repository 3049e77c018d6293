"""Setpoints on their way to the stations: what should apply, and whether it does.

`want` is called by the control loop once a minute and returns at once. One task per station brings
the station to what is wanted, so that a mute station delays no other. `LimitWriter` writes where something
differs and is worth it: the floor once, the control profile when its limit changes or its dead-man time is
half over. `LimitLadder` knows the way that the station takes them; where one fails the next is tried at once.
`verify` compares what is measured: a way that is not followed has failed.

A profile that a person or a program has had written (`ChargingProfiles`) and that rules instead of the
floor or the control profile is not fought with: nothing of ours is written in its place until it is
cleared, its time or transaction is over, or the station boots. The connector's setpoint_problem says so.
Until then its vehicle is not controlled, and the other loads make room for it. Only where that is not
enough for a fuse does the profile have to make way, and people are told.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import structlog

from csms.clock import Clock
from csms.domain.charge_point import ConnectorReading, Station
from csms.domain.charging_profile import ConnectorWiring, offered_now
from csms.domain.control_slot import Wish, control_slots
from csms.domain.following import Following, in_words, observe
from csms.domain.installed_profile import InstalledProfile
from csms.domain.profile_ladder import FIRST, Rung
from csms.domain.station_clock import EXACT_ENOUGH
from csms.errors import CallTimeout, NotConnected
from csms.services.charge_points import ChargePoints
from csms.services.charging_profiles import ChargingProfiles
from csms.services.commands import Commands
from csms.services.limit_ladder import LimitLadder
from csms.services.limit_writer import PHASE_PAUSE_S, LimitWriter, StationWrites

__all__ = ["Setpoints", "Wish"]

log = structlog.get_logger()

AT_ONCE = timedelta(seconds=5)
NO_WAY_LEFT = "the station takes no limit in any way, so what it takes counts as the house's"


@dataclass(slots=True)
class _Station:
    """rewritten: connectors whose limit was written once more because they did not follow. later: goes on
    with what takes a moment."""

    writes: StationWrites = field(default_factory=StationWrites)
    rewritten: set[int] = field(default_factory=set)
    task: asyncio.Task[None] | None = None
    later: asyncio.Task[None] | None = None


class Setpoints:
    """Identities are compared without regard to case, as everywhere."""

    def __init__(
        self,
        charge_points: ChargePoints,
        commands: Commands,
        profiles: ChargingProfiles,
        ladder: LimitLadder,
        clock: Clock,
    ) -> None:
        self._charge_points, self._clock = charge_points, clock
        self._profiles, self._ladder = profiles, ladder
        self.writer = LimitWriter(charge_points, commands, profiles, ladder, clock)
        self._stations: dict[str, _Station] = {}

    async def stop(self) -> None:
        tasks = [t for s in self._stations.values() for t in (s.task, s.later) if t is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- what is wanted ---

    def want(self, identity: str, wishes: dict[int, Wish], max_writes_per_day: int | None = None) -> None:
        """Hold the station's connectors to these limits from now on. max_writes_per_day: a budget for it,
        None = what is known of its make."""
        self._ladder.limit_writes(identity, max_writes_per_day)
        self._hold(identity, wishes)

    def _hold(self, identity: str, wishes: dict[int, Wish]) -> None:
        station = self._known(identity)
        station.writes.wishes = wishes
        if self._may_write(identity) and (station.task is None or station.task.done()):
            station.task = asyncio.create_task(
                self._reconcile(identity, station), name=f"setpoints {identity}"
            )

    def renew(self, identity: str) -> None:
        """Bring the station to what was wanted last, also where it has just refused: it may take it now."""
        writes = self._known(identity).writes
        writes.floors.clear()
        self._hold(identity, dict(writes.wishes))

    async def begin(self, identity: str, wishes: dict[int, Wish]) -> None:
        """The station has just told what it takes: bring it to what was wanted last, or, if nobody has wanted
        anything yet, write the floor of these wishes."""
        known, rung = self._known(identity), self._ladder.known_rung(identity)
        if known.writes.wishes or rung is None or not self._may_write(identity):
            self.renew(identity)
            return
        try:
            for connector_id in wishes:
                await self.writer.write_floor(
                    identity, StationWrites(wishes, known.writes.floors), rung, connector_id
                )
        except (NotConnected, CallTimeout) as error:
            log.warning("floor not written", charge_point=identity, why=str(error))
        finally:
            await self._ladder.save(identity)

    async def settle(self) -> None:
        """Wait until every station has been brought to what is wanted, or has refused."""
        running = [s.task for s in self._stations.values() if s.task is not None and not s.task.done()]
        await asyncio.gather(*running, return_exceptions=True)

    async def booted(self, identity: str) -> None:
        """The station's profiles may be gone: none counts as accepted. It may take others now, too."""
        self._known(identity).writes.floors.clear()
        self._ladder.booted(identity)
        await self._profiles.forget(identity)

    async def try_anew(self, identity: str) -> None:
        """Forget what was learnt of the station and begin with the first way again. Raises NotFound."""
        await self._ladder.forget(identity)
        self._known(identity).rewritten.clear()
        self.renew(identity)

    # --- what applies ---

    def is_controllable(self, identity: str, connector_id: int) -> bool:
        """Do its limits come from here? Not if it takes none, or if an operator's own profile rules."""
        is_taking_limits = self._ladder.is_controllable(identity)
        return is_taking_limits and self._outranking(identity, connector_id) is None

    def never_pauses(self, identity: str) -> bool:
        """Was it seen to take a limit of 0 for its least current?"""
        return self._ladder.never_pauses(identity)

    def is_deaf(self, identity: str, connector_id: int) -> bool:
        """Does its vehicle take more than it was allowed, at a station that follows no limit?"""
        connector = self._charge_points.station(identity).connectors.get(connector_id)
        if connector is None or connector.transaction is None or self.is_outranked(identity, connector_id):
            return False
        if self._ladder.is_controllable(identity) and not connector.following.is_over:
            return False
        return self._cannot_be_less(identity, connector_id) or self._ladder.is_deaf(identity)

    def is_outranked(self, identity: str, connector_id: int) -> bool:
        """Does an operator's own profile rule instead of the control profile?"""
        return self._outranking(identity, connector_id) is not None

    def offered_a(self, identity: str, wiring: ConnectorWiring, transaction_id: int | None) -> float | None:
        """What the control profile of this transaction offers now, or an operator's that rules instead.
        None = there is none, or it cannot be told. [A]"""
        connector = self._charge_points.station(identity).connectors.get(wiring.connector_id)
        running = connector.transaction if connector is not None else None
        held = self._outranking(identity, wiring.connector_id)
        if running is not None and held is not None:
            return held.offers_a(wiring, running.started_at, self._clock.now())
        control = self.writer.installed(identity, wiring.connector_id, transaction_id)
        if connector is None or control is None:
            return None
        now, rung = self.writer.station_time(identity), self._ladder.known_rung(identity) or FIRST
        spread = rung.spread_over(wiring.phases, connector.following.phases_used)
        began_at = running.started_at if running is not None else None
        return offered_now(control.request, wiring, now, began_at, spread)

    def is_unanswered(self, identity: str, connector_id: int) -> bool:
        """Was a limit sent there last that the station has not accepted?"""
        return connector_id in self._known(identity).writes.not_taken

    def verify(self, identity: str, connector_id: int) -> None:
        """Compare the newest measurement with what is offered. A way that is not followed has failed."""
        live = self._charge_points.station(identity)
        connector = live.connectors.get(connector_id)
        if connector is None or not live.is_limited_at(connector_id) or connector.following.offer is None:
            return
        now, before = self._clock.now(), connector.following
        offer = connector.following.offer
        if offer.at > now:  # by a clock that was set back
            offer = replace(offer, at=now)
        reading = _in_our_time(connector.trusted_reading(now), live, now)
        after = observe(before, offer, reading)
        connector.following = after
        rung = self._ladder.known_rung(identity)
        if rung is None or self.is_outranked(identity, connector_id):
            return
        if after.state == "following":
            self._known(identity).rewritten.discard(connector_id)
        if after.proven and not self._ladder.is_proven(identity, rung):
            self._ladder.follows(identity, rung)
        if after.state != before.state and "not_following" in (after.state, before.state):
            kind = "connector.not_following" if after.is_over else "connector.following"
            words = in_words(after, now)
            self._charge_points.report(kind, identity, connector_id=connector_id, words=words)
        if after.state == "not_following":
            self._not_followed(identity, connector_id, rung)
        elif after.is_withheld(connector.status, connector.status_at, now):
            self._withheld(identity, rung, after)
        elif after.is_held_by_floor(now):
            self._held_by_floor(identity, rung, after)

    # --- inside ---

    def _known(self, identity: str) -> _Station:
        return self._stations.setdefault(identity.casefold(), _Station())

    def _may_write(self, identity: str) -> bool:
        known = self._charge_points
        return known.is_connected(identity) and known.may_send_unsolicited(identity)

    def _outranking(self, identity: str, connector_id: int) -> InstalledProfile | None:
        rung = self._ladder.known_rung(identity) or FIRST
        place = 0 if rung.on_station else connector_id
        return self._profiles.outranking(identity, place, rung.purpose)

    def _not_followed(self, identity: str, connector_id: int, rung: Rung) -> None:
        """What is proven to work is written once more first: the station may have lost it."""
        station = self._known(identity)
        if connector_id in station.writes.to_rewrite:
            return  # about to be
        if self._cannot_be_less(identity, connector_id):
            return  # all that was to be learnt is known
        if self._ladder.is_proven(identity, rung) and connector_id not in station.rewritten:
            station.rewritten.add(connector_id)
            station.writes.to_rewrite.add(connector_id)
        elif self._only_does_not_pause(identity, connector_id, rung):
            return  # from the next minute on nobody asks it to
        else:
            station_now = self._charge_points.station(identity)
            connectors = station_now.connectors
            why = in_words(connectors[connector_id].following, self._clock.now()) or "not followed"
            self._ladder.fails(identity, rung, "ignored", why)
            station.rewritten.clear()
            charging = {number for number in connectors if station_now.is_limited_at(number)}
            station.writes.to_rewrite.update(charging & set(station.writes.wishes))
        self._hold(identity, dict(station.writes.wishes))

    def _cannot_be_less(self, identity: str, connector_id: int) -> bool:
        """Its station never pauses, and it takes the least that it can."""
        following = self._charge_points.station(identity).connector(connector_id).following
        return self._ladder.never_pauses(identity) and following.keeps_minimum

    def _only_does_not_pause(self, identity: str, connector_id: int, rung: Rung) -> bool:
        """It takes its least current instead of nothing, by a way that works otherwise; or by its default
        profile, beneath which no floor could be what holds it there."""
        following = self._charge_points.station(identity).connector(connector_id).following
        is_certain = self._ladder.is_proven(identity, rung) or rung.purpose == "TxDefaultProfile"
        if not following.keeps_minimum or not is_certain:
            return False
        self._ladder.does_not_pause(identity, in_words(following, self._clock.now()) or "takes more than 0 A")
        return True

    def _withheld(self, identity: str, rung: Rung, following: Following) -> None:
        """The watts may be taken for more phases than meant, which leaves less than a vehicle needs."""
        offered_a = following.offer.limit_a if following.offer is not None else 0.0
        if self._ladder.is_proven(identity, rung):
            return
        why = f"offers nothing, allowed are {offered_a:g} A"
        has_floor_of_0 = following.offer is not None and following.offer.safe_a == 0
        is_otherwise = self._ladder.counted_less(identity, rung, why)
        if is_otherwise or (has_floor_of_0 and self._ladder.is_floored(identity, rung, why)):
            self._rewrite(identity)

    def _held_by_floor(self, identity: str, rung: Rung, following: Following) -> None:
        limit_a = following.offer.limit_a if following.offer is not None else 0.0
        why = f"takes {following.takes_a or 0:.1f} A as its floor allows, not the {limit_a:g} A of its limit"
        if self._ladder.is_floored(identity, rung, why):
            self._rewrite(identity)

    def _rewrite(self, identity: str) -> None:
        """All its limits, the way that is next."""
        writes = self._known(identity).writes
        writes.to_rewrite.update(writes.wishes)
        self._hold(identity, dict(writes.wishes))

    async def _reconcile(self, identity: str, station: _Station) -> None:
        done: dict[int, Wish] | None = None
        try:
            while done is not station.writes.wishes:  # wishes that came while we were writing count at once
                done, station.writes.is_switching = station.writes.wishes, False
                # The running transactions first: a fuse may wait for a limit, nothing waits for the floor.
                await self._write_limits(identity, station.writes)
                if rung := self._ladder.known_rung(identity):
                    for connector_id in sorted(done):
                        await self.writer.write_floor(identity, station.writes, rung, connector_id)
            if station.writes.is_switching and (station.later is None or station.later.done()):
                station.later = asyncio.create_task(self._go_on(identity), name=f"phases of {identity}")
        except NotConnected:
            return  # it has refused nothing: the control loop is woken when it comes back
        except CallTimeout as error:
            log.warning("limit not answered", charge_point=identity, why=str(error))
        finally:
            await self._ladder.save(identity)

    async def _go_on(self, identity: str) -> None:
        """After the pause in which phases are changed."""
        await self._clock.sleep(PHASE_PAUSE_S)
        self._hold(identity, dict(self._known(identity).writes.wishes))

    async def _write_limits(self, identity: str, writes: StationWrites) -> None:
        """By the first way that the station takes. Each that fails is not tried again, so this ends."""
        live = self._charge_points.station(identity)
        while (rung := self._ladder.rung(identity)) is not None:
            for slot in control_slots(rung, writes.wishes, live):
                if not await self.writer.write_limit(identity, writes, rung, slot):
                    break
            else:
                return
        for connector_id in writes.wishes:
            if connector := live.connectors.get(connector_id):
                connector.setpoint_problem = NO_WAY_LEFT


def _in_our_time(
    reading: ConnectorReading | None, station: Station, now: datetime
) -> ConnectorReading | None:
    """With the time of our clock. Clocks that are off by more are corrected where readings arrive, but for
    the first one; one from the future tells nothing."""
    if reading is None:
        return None
    behind = station.clock.behind()
    at = reading.at + behind if abs(behind) <= EXACT_ENOUGH else reading.at
    return reading._replace(at=at) if at <= now + AT_ONCE else None
