"""When a session is started for a vehicle without a badge: what was tried, and what is due. Pure.

Only where a cable is in and the station waits (Preparing), a few seconds later: who holds a badge comes
first. What is refused, or begins no session in time, is tried again ever later, then people are told. After a
session that somebody ended, nothing starts by itself until the cable was out: no circle of stops and starts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

BADGE_FIRST = timedelta(seconds=5)
BEGINS_WITHIN = timedelta(seconds=90)  # of an accepted request
RETRY_AFTER = (timedelta(seconds=30), timedelta(minutes=2), timedelta(minutes=10))
MOST_TRIES = len(RETRY_AFTER) + 1
ENDED_BY_NOBODY = ("PowerLoss", "Reboot", "HardReset", "SoftReset", "Lost")

Move = Literal["wait", "ask", "give up"]


@dataclass(frozen=True, slots=True)
class Starting:
    """One plug-in. waiting_since: Preparing. tries: requests so far, the last at asked_at; why: what came of
    it, None = accepted, and its session is awaited. is_ended: somebody ended the session. is_insisted: a
    person wants it to start now. is_told: that it was given up."""

    waiting_since: datetime | None = None
    tries: int = 0
    asked_at: datetime | None = None
    why: str | None = None
    is_ended: bool = False
    is_insisted: bool = False
    is_told: bool = False

    def asked(self, now: datetime, why: str | None) -> Starting:
        return replace(self, tries=self.tries + 1, asked_at=now, why=why, is_insisted=False)

    def insisted(self) -> Starting:
        return Starting(waiting_since=self.waiting_since, is_insisted=True)

    def stopped(self, reason: str | None) -> Starting:
        return Starting(is_ended=reason not in (None, *ENDED_BY_NOBODY))

    @property
    def patience(self) -> timedelta:
        """After the last try, before the next one or the end."""
        if self.why is None:
            return BEGINS_WITHIN
        return RETRY_AFTER[self.tries - 1] if self.tries < MOST_TRIES else timedelta(0)

    def words(self) -> str | None:
        """For people; None: there is nothing to say."""
        if self.is_told:
            return f"did not start without a badge ({self.why or NO_SESSION}): needs a hand"
        if self.is_ended:
            return "its session was ended: it starts again after unplugging, or by hand"
        if not self.tries:
            return None if self.waiting_since is None else "starting without a badge"
        return f"starting without a badge, try {self.tries} of {MOST_TRIES}"


NO_SESSION = "accepted, but no session began"


def seen(known: Starting, status: str | None, is_running: bool, now: datetime) -> Starting:
    """What is known once the connector was looked at. A free one forgets all."""
    if status == "Available" or is_running:
        return Starting()
    if status != "Preparing":
        return replace(known, waiting_since=None)
    return known if known.waiting_since is not None else replace(known, waiting_since=now)


def next_move(known: Starting, status: str | None, now: datetime) -> Move:
    may_ask = status == "Preparing" or (status == "Finishing" and known.is_insisted)
    if not may_ask or known.is_ended or known.is_told:
        return "wait"
    if known.asked_at is not None and now >= known.asked_at:
        if now - known.asked_at < known.patience:
            return "wait"
        return "ask" if known.tries < MOST_TRIES else "give up"
    if known.is_insisted:
        return "ask"
    waited = known.waiting_since is not None and now - known.waiting_since >= BADGE_FIRST
    return "ask" if waited else "wait"
