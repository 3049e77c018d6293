"""One limit to one station: whether it is worth a write, the write itself, and what its answer means."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import structlog

from csms.clock import Clock
from csms.domain.charge_point import LiveConnector, Station
from csms.domain.charging_profile import (
    START_IN_THE_PAST,
    control_profile,
    floor_profile,
    offered_now,
    profile_abilities,
)
from csms.domain.control_slot import ControlSlot, Wish
from csms.domain.following import Offer, observe
from csms.domain.installed_profile import OURS, InstalledProfile
from csms.domain.normalise import parse_time
from csms.domain.profile_ladder import RETRY_AFTER, UNKNOWN_PURPOSE, Rung
from csms.domain.write_pace import LimitChange, WritePace
from csms.errors import CallFailed, CallTimeout
from csms.services.charge_points import ChargePoints
from csms.services.charging_profiles import ChargingProfiles
from csms.services.commands import Commands
from csms.services.limit_ladder import LimitLadder

log = structlog.get_logger()

OUTRANKED = "an operator's own profile rules instead"
PHASE_PAUSE_S = 10.0  # contactors are changed without current
YOUNG = timedelta(seconds=10)  # some stations do not know their transaction's number yet
MUTE_AFTER = 3  # unanswered calls in a row
ANSWERED_WITHIN_S = 75.0  # over some mobile links answers take 40 s; a new limit would wait for them as well
CLOCK_MOVED = timedelta(seconds=30)


@dataclass(slots=True)
class FloorRefusals:
    """How often, and when the floor may be tried again."""

    count: int
    retry_at: datetime


@dataclass(slots=True)
class StationWrites:
    """What is wanted of a station, and how its last answers were.

    refused, unanswered: control profiles in a row. to_rewrite: connectors whose limit is to be written at
    once, even if nothing differs: they do not follow. not_taken: connectors whose limit was sent and has not
    been accepted. is_switching: one offers nothing for a moment before it
    changes its phases, so that there is more to write.
    """

    wishes: dict[int, Wish] = field(default_factory=dict)
    floors: dict[int, FloorRefusals] = field(default_factory=dict)
    refused: int = 0
    unanswered: int = 0
    to_rewrite: set[int] = field(default_factory=set)
    not_taken: set[int] = field(default_factory=set)
    is_switching: bool = False


@dataclass(frozen=True, slots=True)
class _Draft:
    """A control profile about to be written. written: what is there for the same, offering old_a now."""

    request: dict[str, Any]
    limit_a: float
    written: InstalledProfile | None
    old_a: float | None
    overruled: InstalledProfile | None


class LimitWriter:
    def __init__(
        self,
        charge_points: ChargePoints,
        commands: Commands,
        profiles: ChargingProfiles,
        ladder: LimitLadder,
        clock: Clock,
    ) -> None:
        self._charge_points, self._commands, self._clock = charge_points, commands, clock
        self._profiles, self._ladder = profiles, ladder
        self.answered_within_s = ANSWERED_WITHIN_S

    def station_time(self, identity: str) -> datetime:
        """What the station's clock shows now, as well as can be told."""
        return self._clock.now() - self._charge_points.station(identity).clock.behind()

    def installed(
        self, identity: str, connector_id: int, transaction_id: int | None
    ) -> InstalledProfile | None:
        """The newest control profile that holds for the connector and its transaction."""
        for one in self._profiles.ours(identity):
            if one.is_floor or one.connector_id not in (connector_id, 0):
                continue
            if one.purpose != "TxProfile" or one.profile.get("transactionId") == transaction_id:
                return one
        return None

    # --- the control profile ---

    async def write_limit(self, identity: str, station: StationWrites, rung: Rung, slot: ControlSlot) -> bool:
        """Bring one control profile to what is wanted. False: the station does not take it this way.

        Raises CallTimeout, NotConnected.
        """
        live = self._charge_points.station(identity)
        connectors = [live.connectors[n] for n in slot.connectors if n in live.connectors]
        held = self._operators(identity, slot.connector_id, rung.purpose, connectors)
        if held is not None and not slot.wish.overrules:
            self._offer(slot, connectors, self._of_operator(held, slot), None)
            return True
        pace = self._ladder.pace(identity)
        if pace.max_per_day is None and (pausing := self._before_other_phases(identity, slot)) is not None:
            slot, station.is_switching = pausing, True
        draft = self._draft(identity, connectors, rung, slot, held, pace)
        is_forced = held is not None or not station.to_rewrite.isdisjoint(slot.connectors)
        is_needed = is_forced or self._differs(draft, slot, live, pace)
        why = self._waits_for(identity, draft, slot, pace, is_forced) if is_needed else None
        self._ladder.hold_back(identity, why)
        floor_a = slot.wish.safe_a if rung.has_floor_beneath else None
        if not is_needed or why is not None:
            station.not_taken.difference_update(slot.connectors)
            self._offer(slot, connectors, draft.old_a, floor_a)
            return True
        station.not_taken.update(slot.connectors)
        if not await self._send(identity, station, rung, slot, draft):
            return station.refused > 0  # to be tried again as it is, with the next minute
        self._offer(slot, connectors, draft.limit_a, floor_a, is_new=is_forced)
        station.to_rewrite.difference_update(slot.connectors)
        station.not_taken.difference_update(slot.connectors)
        await self._clear_leftovers(identity, rung, draft.request["csChargingProfiles"]["chargingProfileId"])
        return True

    def _before_other_phases(self, identity: str, slot: ControlSlot) -> ControlSlot | None:
        """Nothing on the phases of before, as long as current would flow while their number changes. None: it
        may change now. A pause costs a write, which a station with a budget of them cannot spare."""
        wish, running = slot.wish, slot.transaction
        written = self.installed(identity, slot.connector_id, running.id if running else None)
        before = _number_phases(written.request) if written is not None else None
        if written is None or before is None or wish.number_phases in (None, before):
            return None
        age = self._clock.now() - written.accepted_at
        offered_a = offered_now(
            written.request, wish.wiring, self.station_time(identity), running.started_at if running else None
        )
        is_paused = offered_a == 0 and age >= timedelta(seconds=PHASE_PAUSE_S)
        if is_paused or wish.limit_a == 0 or not wish.pauses:
            return None
        return replace(slot, wish=replace(wish, limit_a=0.0, number_phases=before))

    def _draft(
        self,
        identity: str,
        connectors: list[LiveConnector],
        rung: Rung,
        slot: ControlSlot,
        held: InstalledProfile | None,
        pace: WritePace,
    ) -> _Draft:
        """An operator's profile that has to make way is replaced in its own place, and ours stays there."""
        now, wiring, running = self.station_time(identity), slot.wish.wiring, slot.transaction
        written = self.installed(identity, slot.connector_id, running.id if running else None)
        if held is not None:
            rung = rung.at_level(held.slot[2])
        elif written is not None and any(connector.overruled for connector in connectors):
            rung = rung.at_level(written.slot[2])
        abilities = profile_abilities(self._charge_points.station(identity).configuration)
        request = control_profile(slot.limit(pace.dead_man_s), wiring, rung, abilities, now)
        request = self._numbered(identity, request)
        began_at = running.started_at if running else None
        spread = rung.spread_over(wiring.phases, slot.phases_used)
        old_a = None
        if written is not None:
            old_a = offered_now(written.request, wiring, now, began_at, spread)
        limit_a = offered_now(request, wiring, now, began_at, spread)
        return _Draft(request, limit_a, written, old_a, overruled=held)

    def _differs(self, draft: _Draft, slot: ControlSlot, live: Station, pace: WritePace) -> bool:
        """Also if only the dead-man is half over, or the station's clock has turned out to be another. A
        limit equal to the floor needs no dead-man, so it is never written again."""
        written = draft.written
        if (
            written is None
            or draft.old_a != draft.limit_a
            or _shape(written.request) != _shape(draft.request)
        ):
            return True
        start = parse_time(written.profile["chargingSchedule"].get("startSchedule") or "")
        if start is not None:
            assumed = written.accepted_at - START_IN_THE_PAST - start
            if abs(assumed - live.clock.behind()) >= CLOCK_MOVED:
                return True
        if not pace.renews_dead_man or draft.limit_a == slot.wish.safe_a:
            return False
        age = self._clock.now() - written.accepted_at
        return not timedelta(0) <= age < timedelta(seconds=pace.dead_man_s / 2)

    def _waits_for(
        self, identity: str, draft: _Draft, slot: ControlSlot, pace: WritePace, is_forced: bool
    ) -> str | None:
        """The same limit again is no change to be weighed."""
        old_a, new_a, wish = draft.old_a, draft.limit_a, slot.wish
        if old_a == new_a:
            return None
        is_less = old_a is not None and (new_a < old_a or _has_fewer_phases(draft))
        is_urgent = is_forced or (wish.is_urgent and is_less)
        is_urgent = is_urgent or (wish.is_asked_for and (old_a is None or (old_a == 0) != (new_a == 0)))
        change = LimitChange(old_a, new_a, wish.step_a, is_urgent)
        return pace.waits_for(change, self._ladder.written(identity), self._clock.now())

    async def _send(
        self, identity: str, station: StationWrites, rung: Rung, slot: ControlSlot, draft: _Draft
    ) -> bool:
        """False: refused. What it means is known by then."""
        try:
            answer = await self._set(identity, draft.request)
        except CallTimeout as error:
            station.unanswered += 1
            self._problem(identity, slot.connectors, rung.purpose, str(error))
            if station.unanswered >= MUTE_AFTER:
                station.unanswered = 0
                self._ladder.fails(identity, rung, "refused", str(error))
            raise
        except CallFailed as error:
            self._was_refused(identity, station, rung, slot, str(error), error.code in UNKNOWN_PURPOSE)
            return False
        station.unanswered = 0
        if (status := answer.get("status")) != "Accepted":
            self._was_refused(identity, station, rung, slot, f"answered {status}", status in UNKNOWN_PURPOSE)
            return False
        station.refused = 0
        self._ladder.accepted(identity, rung)
        self._problem(identity, slot.connectors, rung.purpose, None)
        if draft.overruled is not None:
            self._tell_overruled(identity, slot, draft.overruled)
        return True

    def _was_refused(
        self,
        identity: str,
        station: StationWrites,
        rung: Rung,
        slot: ControlSlot,
        why: str,
        all_of_purpose: bool,
    ) -> None:
        """A way that is known to work is given up with the second refusal only; a transaction that has only
        just begun or is over explains one, too, and so does the last write if it was only just now."""
        if self._ladder.was_too_soon(identity, rung):
            self._problem(identity, slot.connectors, rung.purpose, f"{why}: too soon after the last write")
            station.refused = 1
            return
        self._problem(identity, slot.connectors, rung.purpose, why)
        station.refused += 1
        if rung.needs_transaction and self._transaction_explains(identity, slot):
            return
        if station.refused == 1 and self._ladder.is_proven(identity, rung):
            return
        station.refused = 0
        self._ladder.fails(identity, rung, "refused", why, all_of_purpose)

    def _transaction_explains(self, identity: str, slot: ControlSlot) -> bool:
        running = self._charge_points.station(identity).connector(slot.connector_id).transaction
        if running is None or slot.transaction is None or running.id != slot.transaction.id:
            return True
        return timedelta(0) <= self.station_time(identity) - running.started_at < YOUNG

    async def _clear_leftovers(self, identity: str, rung: Rung, written: int) -> None:
        """What lies there by ways that have been left would rule, or cap, the profile just written."""
        for one in self._profiles.ours(identity):
            in_this_way = (one.purpose, one.connector_id == 0) == (rung.purpose, rung.on_station)
            if one.is_floor:
                belongs = rung.has_floor_beneath
            else:
                belongs = one.number == written or (in_this_way and one.slot[2] == rung.stack_level)
            if belongs:
                continue
            try:
                await self._commands.send(identity, "ClearChargingProfile", {"id": one.number}, origin=OURS)
            except CallFailed as error:
                log.warning("old profile not cleared", charge_point=identity, why=str(error))

    # --- the floor ---

    async def write_floor(self, identity: str, station: StationWrites, rung: Rung, connector_id: int) -> None:
        """Where it has a place of its own. A station that refuses it is asked again ever more seldom.

        Raises CallTimeout, NotConnected.
        """
        wish, refusals = station.wishes.get(connector_id), station.floors.get(connector_id)
        now = self._clock.now()
        if wish is None or not rung.has_floor_beneath or (refusals and now < refusals.retry_at):
            return
        live = self._charge_points.station(identity)
        abilities = profile_abilities(live.configuration)
        floor = self._numbered(identity, floor_profile(wish.safe_a, wish.wiring, rung, abilities))
        connector = live.connectors.get(connector_id)
        if self._operators(identity, connector_id, "TxDefaultProfile", [connector] if connector else []):
            return
        written = [p for p in self._profiles.ours(identity) if p.is_floor and p.connector_id == connector_id]
        if written and written[0].request == floor:
            return
        try:
            answer = await self._set(identity, floor)
            why = None if answer.get("status") == "Accepted" else f"answered {answer.get('status')}"
        except CallFailed as error:
            why = str(error)
        self._problem(identity, (connector_id,), "TxDefaultProfile", why)
        if why is None:
            station.floors.pop(connector_id, None)
            self._ladder.wrote(identity)
            return
        count = refusals.count + 1 if refusals else 1
        wait = RETRY_AFTER[min(count, len(RETRY_AFTER)) - 1]
        station.floors[connector_id] = FloorRefusals(count, now + wait)

    # --- inside ---

    async def _set(self, identity: str, request: dict[str, Any]) -> dict[str, Any]:
        return await self._commands.send(
            identity, "SetChargingProfile", request, self.answered_within_s, origin=OURS
        )

    def _numbered(self, identity: str, request: dict[str, Any]) -> dict[str, Any]:
        """Under another number where an operator's profile has this one: it would be replaced."""
        profile = request["csChargingProfiles"]
        number = self._profiles.free_number(identity, profile["chargingProfileId"])
        return {**request, "csChargingProfiles": {**profile, "chargingProfileId": number}}

    def _operators(
        self, identity: str, connector_id: int, purpose: str, connectors: list[LiveConnector]
    ) -> InstalledProfile | None:
        """The operator's profile that rules there; told to people in the connectors' problem."""
        held = self._profiles.outranking(identity, connector_id, purpose)
        begin = f"{purpose}: {OUTRANKED}"
        for connector in connectors:
            if held is not None:
                connector.setpoint_problem = f"{begin} (chargingProfileId {held.number})"
            elif (connector.setpoint_problem or "").startswith(begin):
                connector.setpoint_problem = None
        return held

    def _of_operator(self, held: InstalledProfile, slot: ControlSlot) -> float | None:
        began_at = slot.transaction.started_at if slot.transaction else self._clock.now()
        return held.offers_a(slot.wish.wiring, began_at, self._clock.now())

    def _offer(
        self,
        slot: ControlSlot,
        connectors: list[LiveConnector],
        limit_a: float | None,
        floor_a: float | None,
        is_new: bool = False,
    ) -> None:
        """What the station offers from now on. floor_a: of the floor that lies beneath. is_new: although it
        is the same, its measurements start anew; until then it offered what it took."""
        now, wiring = self._clock.now(), slot.wish.wiring
        for connector in connectors:
            if not slot.is_taken or (connector.offered_a == limit_a and not is_new):
                continue
            before_a = slot.wish.safe_a if connector.offered_a is None else connector.offered_a
            if is_new and connector.following.is_over and connector.following.takes_a is not None:
                before_a = connector.following.takes_a
            connector.offered_a, connector.offered_at = limit_a, now
            if limit_a is not None:
                offer = Offer(limit_a, now, before_a, wiring.phases, wiring.voltage_v, floor_a)
                connector.following = observe(connector.following, offer, None)

    def _problem(self, identity: str, connectors: tuple[int, ...], purpose: str, why: str | None) -> None:
        """why: None = solved; what is wrong with another purpose stays."""
        known = self._charge_points.station(identity).connectors
        for connector in (known[number] for number in connectors if number in known):
            if why is not None:
                connector.setpoint_problem = f"{purpose}: {why}"
            elif not (connector.setpoint_problem or "").startswith(OTHER_PURPOSES[purpose]):
                connector.setpoint_problem = None
        if why is not None:
            log.warning(
                "limit not accepted", charge_point=identity, connectors=connectors, purpose=purpose, why=why
            )

    def _tell_overruled(self, identity: str, slot: ControlSlot, held: InstalledProfile) -> None:
        words = f"a fuse would have been exceeded: the operator's profile {held.number} was replaced"
        for number in slot.connectors:
            self._charge_points.station(identity).connector(number).overruled = words
        log.warning("operator's profile replaced", charge_point=identity, profile=held.number)
        self._charge_points.report(
            "station.profile_overruled",
            identity,
            connector_id=held.connector_id,
            purpose=held.purpose,
            charging_profile_id=held.number,
            words=words,
        )


OTHER_PURPOSES = {
    "TxProfile": ("TxDefaultProfile", "ChargePointMaxProfile"),
    "TxDefaultProfile": ("TxProfile", "ChargePointMaxProfile"),
    "ChargePointMaxProfile": ("TxProfile", "TxDefaultProfile"),
}


def _number_phases(request: dict[str, Any]) -> int | None:
    row = request["csChargingProfiles"]["chargingSchedule"]["chargingSchedulePeriod"][0]
    found: int | None = row.get("numberPhases")
    return found


def _has_fewer_phases(draft: _Draft) -> bool:
    before = _number_phases(draft.written.request) if draft.written is not None else None
    after = _number_phases(draft.request)
    return before is not None and after is not None and after < before


def _shape(request: dict[str, Any]) -> tuple[Any, ...]:
    """All of a control profile but its times and limits."""
    profile = request["csChargingProfiles"]
    schedule = profile["chargingSchedule"]
    return (
        request["connectorId"],
        profile["chargingProfilePurpose"],
        profile["stackLevel"],
        profile["chargingProfileKind"],
        profile.get("transactionId"),
        schedule["chargingRateUnit"],
        _number_phases(request),
    )
