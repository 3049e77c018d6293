"""Which way limits are written to each station: what it refused, what it ignored, what it follows.

In memory, loaded at start, stored after each change. What one station was seen to follow is where the next
of the same vendor, model and firmware begins. A station for which no way is left is not controllable: what
it takes counts as the house's, and it is left alone for a while.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

import structlog

from csms.clock import Clock
from csms.domain.charge_point import Station
from csms.domain.charging_profile import profile_abilities
from csms.domain.profile_ladder import (
    Failure,
    LearntLimits,
    Rung,
    learnt_from_dict,
    rungs,
    without_transaction,
)
from csms.domain.station_vendors import LimitHints, make_of
from csms.domain.write_pace import WritePace, WritesToday
from csms.services.charge_points import ChargePoints
from csms.storage import station_limits
from csms.storage.database import STORAGE_FAULTS, Database

log = structlog.get_logger()

DEAF_AFTER = 2  # ways that were accepted and not followed, and none that was
LONGEST_PAUSE_S = 60.0  # that any station is known to want between two profiles

State = Literal["untried", "accepted", "follows", "not_controllable"]


@dataclass(frozen=True, slots=True)
class LimitStatus:
    """For people and programs. rung: in words, None = no way is left. failed: way -> how it failed.

    held_back: why the last wish was not written, None = it was. clock_behind_s: ahead is negative.
    """

    state: State
    rung: str | None
    failed: dict[str, Failure]
    retry_at: datetime | None
    writes_today: int
    max_writes_per_day: int | None
    clock_behind_s: float
    held_back: str | None


@dataclass(frozen=True, slots=True)
class _Chosen:
    """A rung, and the records that it was chosen by: each is replaced, never changed."""

    configuration: dict[str, str | None]
    learnt: LearntLimits
    of_same_model: str | None
    rung: Rung | None

    def holds_for(self, station: Station, learnt: LearntLimits, of_same_model: str | None) -> bool:
        is_same = self.configuration is station.configuration and self.learnt is learnt
        return is_same and self.of_same_model == of_same_model


@dataclass(slots=True)
class _Known:
    """with_transactions, without: what was learnt of the station while it charges with them, and freely."""

    with_transactions: LearntLimits = field(default_factory=LearntLimits)
    without: LearntLimits = field(default_factory=LearntLimits)
    written: WritesToday = field(default_factory=WritesToday)
    max_per_day: int | None = None
    pause_s: float = 0.0  # the station was seen to refuse what comes faster
    held_back: str | None = None
    is_saved: bool = True
    is_given_up: bool = False  # told as an event, until it is controllable again
    chosen: _Chosen | None = None

    @property
    def learnt(self) -> LearntLimits:
        return self.without if self.with_transactions.charges_freely else self.with_transactions

    def learn(self, learnt: LearntLimits) -> None:
        if learnt == self.learnt:
            return
        if self.with_transactions.charges_freely:
            self.without = learnt
        else:
            self.with_transactions, self.is_saved = learnt, False


class LimitLadder:
    """Identities are compared without regard to case, as everywhere."""

    def __init__(self, database: Database, charge_points: ChargePoints, clock: Clock) -> None:
        self._database, self._charge_points, self._clock = database, charge_points, clock
        self._stations: dict[str, _Known] = {}
        self._of_model: dict[tuple[str, ...], str] = {}

    async def start(self) -> None:
        async with self._database.read() as conn:
            rows = await station_limits.load_all(conn)
        for row in rows:
            known = self._known(row["identity"])
            known.written = WritesToday(row["writes_day"], row["writes"], row["last_write_at"])
            try:
                known.with_transactions = learnt_from_dict(row["learnt"])
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                log.error("learnt limits not readable", charge_point=row["identity"], why=repr(error))
            self._remember_for_model(known.with_transactions)
            self._charge_points.recall_charging_freely(
                row["identity"], known.with_transactions.charges_freely
            )

    # --- what to do now ---

    def known_rung(self, identity: str) -> Rung | None:
        """The way that would be taken now, and is if it works. None = not controllable. Raises NotFound."""
        return self._next(self._known(identity), self._charge_points.station(identity))

    def rung(self, identity: str) -> Rung | None:
        """The way to write a limit to the station now. None: that was the last one. Raises NotFound."""
        known, found = self._known(identity), self.known_rung(identity)
        if found is None and not self._is_waiting(known):
            failed = known.learnt.failed
            self._change(identity, known.learnt.all_failed(self._clock.now()))
            self._give_up(identity, known, failed)
        return found

    def is_proven(self, identity: str, rung: Rung) -> bool:
        learnt = self._known(identity).learnt
        return learnt.proven and learnt.rung == rung.key

    def is_controllable(self, identity: str) -> bool:
        return not self._is_waiting(self._known(identity))

    def is_deaf(self, identity: str) -> bool:
        """Is it likely that no limit holds the station? All ways have failed, or all so far and several of
        them were accepted and not followed."""
        learnt = self._known(identity).learnt
        ignored = sum(how == "ignored" for how in learnt.failed.values())
        return not self.is_controllable(identity) or (not learnt.proven and ignored >= DEAF_AFTER)

    def pace(self, identity: str) -> WritePace:
        hints = _hints(self._charge_points.station(identity))
        configured = self._known(identity).max_per_day
        pause_s = max(hints.write_pause_s, self._known(identity).pause_s)
        return WritePace(configured or hints.max_writes_per_day, pause_s)

    def was_too_soon(self, identity: str, rung: Rung) -> bool:
        """Does the last accepted write explain a refusal of the same way? Then the next ones come slower."""
        known, now = self._known(identity), self._clock.now()
        since_s = known.written.since_s(now)
        if known.learnt.rung != rung.key or since_s is None or since_s >= LONGEST_PAUSE_S:
            return False
        known.pause_s = LONGEST_PAUSE_S
        return True

    def limit_writes(self, identity: str, max_per_day: int | None) -> None:
        """A budget of accepted profiles for a day; None = what is known of the make."""
        self._known(identity).max_per_day = max_per_day

    def written(self, identity: str) -> WritesToday:
        return self._known(identity).written

    def hold_back(self, identity: str, why: str | None) -> None:
        self._known(identity).held_back = why

    def status(self, identity: str) -> LimitStatus:
        """Raises NotFound."""
        station, known = self._charge_points.station(identity), self._known(identity)
        now, learnt = self._clock.now(), known.learnt
        rung, waiting = self._next(known, station), self._is_waiting(known)
        is_known = rung is not None and learnt.rung == rung.key
        state: State = "not_controllable" if waiting else "untried"
        if is_known and not waiting:
            state = "follows" if learnt.proven else "accepted"
        return LimitStatus(
            state=state,
            rung=None if rung is None else rung.key,
            failed=dict(learnt.failed),
            retry_at=learnt.retry_at if waiting else None,
            writes_today=known.written.on(now.date()),
            max_writes_per_day=self.pace(identity).max_per_day,
            clock_behind_s=station.clock.behind().total_seconds(),
            held_back=known.held_back,
        )

    # --- what became of it ---

    def wrote(self, identity: str) -> None:
        """The station has accepted a profile, whichever."""
        known = self._known(identity)
        known.written, known.is_saved = known.written.one_more(self._clock.now()), False

    def accepted(self, identity: str, rung: Rung) -> None:
        self.wrote(identity)
        self._works(identity, rung, proven=False)

    def follows(self, identity: str, rung: Rung) -> None:
        """What is measured shows that the station is held by what was written this way."""
        self._works(identity, rung, proven=True)

    def fails(self, identity: str, rung: Rung, how: Failure, why: str, all_of_purpose: bool = False) -> None:
        """all_of_purpose: the station's answer speaks of the purpose, whatever the form."""
        failed = [rung]
        if all_of_purpose:
            candidates = self._candidates(self._charge_points.station(identity))
            failed = [r for r in candidates if (r.purpose, r.on_station) == (rung.purpose, rung.on_station)]
        self._fail(identity, rung, failed, how, why)

    def counted_less(self, identity: str, rung: Rung, why: str) -> bool:
        """The station accepts a limit and offers nothing. Is there a way that counts the watts otherwise?"""
        candidates = self._candidates(self._charge_points.station(identity))
        if failed := self._known(identity).learnt.counted_less(candidates, rung):
            self._fail(identity, rung, failed, "withheld", why)
        return bool(failed)

    def is_floored(self, identity: str, rung: Rung, why: str) -> bool:
        """It offers no more than the floor that lies beneath. Is there a way without one?"""
        candidates = self._candidates(self._charge_points.station(identity))
        if failed := self._known(identity).learnt.floored(candidates, rung):
            self._fail(identity, rung, failed, "floored", why)
        return bool(failed)

    def never_pauses(self, identity: str) -> bool:
        return self._known(identity).learnt.never_pauses

    def does_not_pause(self, identity: str, why: str) -> None:
        """It follows, but for a limit of 0, which it takes for its least current."""
        self._change(identity, replace(self._known(identity).learnt, never_pauses=True))
        log.warning("station does not pause", charge_point=identity, why=why)
        self._charge_points.report("station.never_pauses", identity, words=why)

    def booted(self, identity: str) -> None:
        known = self._known(identity)
        model = _model(self._charge_points.station(identity))
        self._change(identity, known.learnt.booted(model, self._clock.now()))
        self._tell_regained(identity, known)

    async def forget(self, identity: str) -> None:
        """Begin anew with this station: a person has changed something there. Raises NotFound."""
        station, known = self._charge_points.station(identity), self._known(identity)
        if known.learnt.rung is not None and self._of_model.get(_model(station)) == known.learnt.rung:
            del self._of_model[_model(station)]
        known.without = LearntLimits()
        self._change(identity, LearntLimits(of_model=_model(station), from_the_top=True))
        self._tell_regained(identity, known)
        await self.save(identity)

    async def save(self, identity: str) -> None:
        """Store what has changed; without a database it is found out again after a restart."""
        known, spelled = self._known(identity), self._charge_points.station(identity).identity
        if known.is_saved:
            return
        known.is_saved = True
        learnt, written = known.with_transactions, known.written
        try:
            await self._database.write(lambda conn: station_limits.save(conn, spelled, learnt, written))
        except STORAGE_FAULTS as error:
            known.is_saved = False
            log.error("learnt limits not recorded", charge_point=identity, why=str(error))

    # --- inside ---

    def _fail(self, identity: str, rung: Rung, failed: list[Rung], how: Failure, why: str) -> None:
        self._change(identity, self._known(identity).learnt.fails(failed, how))
        log.warning("way of writing limits failed", charge_point=identity, way=rung.key, how=how, why=why)
        self._charge_points.report("station.limit_way_failed", identity, way=rung.key, how=how, why=why)

    def _known(self, identity: str) -> _Known:
        known = self._stations.setdefault(identity.casefold(), _Known())
        freely = self._charge_points.charges_freely(identity)
        if known.with_transactions.charges_freely != freely:
            known.with_transactions = replace(known.with_transactions, charges_freely=freely)
            known.is_saved, known.chosen = False, None
        return known

    def _candidates(self, station: Station) -> tuple[Rung, ...]:
        found = rungs(profile_abilities(station.configuration), _hints(station))
        return without_transaction(found) if station.charges_freely else found

    def _next(self, known: _Known, station: Station) -> Rung | None:
        """Asked for often, so kept as long as nothing changes that it depends on."""
        if self._is_waiting(known):
            return None
        of_same_model = None if station.charges_freely else self._of_model.get(_model(station))
        kept = known.chosen
        if kept is None or not kept.holds_for(station, known.learnt, of_same_model):
            rung = known.learnt.next_rung(self._candidates(station), of_same_model, self._clock.now())
            kept = known.chosen = _Chosen(station.configuration, known.learnt, of_same_model, rung)
        return kept.rung

    def _is_waiting(self, known: _Known) -> bool:
        retry_at = known.learnt.retry_at
        return retry_at is not None and self._clock.now() < retry_at

    def _works(self, identity: str, rung: Rung, *, proven: bool) -> None:
        known, model = self._known(identity), _model(self._charge_points.station(identity))
        self._change(identity, known.learnt.works(rung, model, proven=proven))
        self._remember_for_model(known.with_transactions)
        self._tell_regained(identity, known)

    def _remember_for_model(self, learnt: LearntLimits) -> None:
        if learnt.proven and learnt.rung is not None and any(learnt.of_model):
            self._of_model[learnt.of_model] = learnt.rung

    def _change(self, identity: str, learnt: LearntLimits) -> None:
        self._known(identity).learn(learnt)

    def _give_up(self, identity: str, known: _Known, failed: Mapping[str, Failure]) -> None:
        if not known.is_given_up:
            known.is_given_up = True
            log.error("station takes no limit in any way", charge_point=identity)
            retry_at = known.learnt.retry_at
            self._charge_points.report(
                "station.not_controllable", identity, retry_at=retry_at, failed=dict(failed)
            )

    def _tell_regained(self, identity: str, known: _Known) -> None:
        if known.is_given_up and not self._is_waiting(known):
            known.is_given_up = False
            self._charge_points.report("station.controllable", identity, way=known.learnt.rung)


def _hints(station: Station) -> LimitHints:
    return make_of(station.vendor, station.model).limits


def _model(station: Station) -> tuple[str, ...]:
    return (station.vendor or "", station.model or "", station.firmware_version or "")
