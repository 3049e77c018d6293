"""Does a connector follow its limit? Told from what the station measures. Pure.

Accepted is not applied. What counts is, in this order: current on each phase, the current that the station
says it offers, power. A vehicle that takes less than it is offered follows; one that takes more by so much
and for so long that neither meter nor ramp explains it does not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from csms.domain.charge_point import ConnectorReading

State = Literal["unknown", "following", "late", "not_following"]

# Meters are good to 2 %, stations round to their step, and a vehicle's control swings by some tenths.
MORE_BY_A, MORE_BY = 1.0, 0.05
HIGH_VOLTAGE = 1.1  # watts tell of amperes only as far as the voltage is known
PATIENCE_S, MOST_PATIENCE_S = 60.0, 180.0
AT_MOST_BELOW_A = 2.0  # a vehicle as close as this to its limit shows that it is held there
CLEAR_A, CARRYING_A = 3.0, 1.0
PAUSABLE_A = 6.0
FLOOR_RULES_S, AT_FLOOR_A = 300.0, 0.7
CLEARLY_MORE_A, A_STEP_MORE_A = 1.6, 0.8  # to begin with, and once the limit has come down to what is taken
WITHHELD_S = 150.0  # by then an on-board charger has begun; whether a vehicle sleeps is asked later


@dataclass(frozen=True, slots=True)
class Offer:
    """What the station has accepted. [A per phase] before_a: what it was until then. phases: wired. safe_a:
    the floor that lies beneath, None = none."""

    limit_a: float
    at: datetime
    before_a: float | None
    phases: int
    voltage_v: float
    safe_a: float | None = None

    @property
    def allowed_a(self) -> float:
        """What may be measured of a station that follows."""
        return self.limit_a + max(MORE_BY_A, MORE_BY * self.limit_a)


@dataclass(frozen=True, slots=True)
class Following:
    """takes_a: the most on a phase. over_since: it takes more than allowed since. spikes: how often it took
    more for a moment after a limit was set that did not lower it. delay_s: the longest it took to follow a
    reduction. phases_used: None = cannot be told. proven: it was seen to be held at a limit. allowed_since:
    what a vehicle needs at least was allowed without a pause since. took_a: when the offer changed last.
    at_floor_since: it takes what the floor beneath allows, though more is allowed since. has_risen: it
    was seen to take more than its floor, ever."""

    state: State = "unknown"
    offer: Offer | None = None
    takes_a: float | None = None
    over_since: datetime | None = None
    spikes: int = 0
    delay_s: float = 0.0
    phases_used: int | None = None
    proven: bool = False
    allowed_since: datetime | None = None
    took_a: float | None = None
    at_floor_since: datetime | None = None
    has_risen: bool = False

    @property
    def patience_s(self) -> float:
        """It may take half as long again as it was seen to take."""
        return min(MOST_PATIENCE_S, max(PATIENCE_S, 1.5 * self.delay_s))

    def for_next_transaction(self) -> Following:
        """Only the station's habits are kept; the next vehicle is another one."""
        return Following(spikes=self.spikes, delay_s=self.delay_s, has_risen=self.has_risen)

    @property
    def is_over(self) -> bool:
        return self.state in ("late", "not_following")

    def is_withheld(self, status: str | None, status_at: datetime | None, now: datetime) -> bool:
        """Does the station itself say that it offers nothing, for long, although it may? It was never seen to
        be held at a limit: then it would have reasons of its own."""
        if self.proven or self.allowed_since is None or status != "SuspendedEVSE" or not self.takes_nothing:
            return False
        since = self.allowed_since if status_at is None else max(self.allowed_since, status_at)
        return (now - since).total_seconds() >= WITHHELD_S

    @property
    def keeps_minimum(self) -> bool:
        """Does it take what a pilot signal offers at least, although it is to pause?"""
        is_paused = self.offer is not None and self.offer.limit_a == 0
        return is_paused and self.takes_a is not None and self.takes_a <= PAUSABLE_A + MORE_BY_A

    def is_held_by_floor(self, now: datetime) -> bool:
        """Does the floor seem to rule, not the limit above it? Some stations let the lowest one win."""
        since = self.at_floor_since
        return not self.has_risen and since is not None and (now - since).total_seconds() >= FLOOR_RULES_S

    @property
    def takes_nothing(self) -> bool:
        return self.takes_a is not None and self.takes_a < CARRYING_A


def observe(known: Following, offer: Offer, reading: ConnectorReading | None) -> Following:
    """What is known once this reading is in. None, or from before the offer: it tells nothing of it."""
    if known.offer != offer:
        since = (known.allowed_since or offer.at) if offer.limit_a >= PAUSABLE_A else None
        took_a = known.took_a if known.takes_a is None else known.takes_a
        known = replace(
            known,
            state="unknown",
            offer=offer,
            over_since=None,
            takes_a=None,
            allowed_since=since,
            took_a=took_a,
        )
    if reading is None or reading.at < offer.at:
        return known
    takes_a, limit_of_reading_a = _taken_a(reading, offer)
    if takes_a is None:
        return known
    phases_used = _phases_used(reading) or known.phases_used
    seen = _beside_floor(replace(known, takes_a=takes_a, phases_used=phases_used), takes_a, offer, reading.at)
    if takes_a > limit_of_reading_a:
        since = known.over_since or (offer.at if known.state == "unknown" else reading.at)
        is_lasting = (reading.at - since).total_seconds() > known.patience_s
        return replace(seen, over_since=since, state="not_following" if is_lasting else "late")
    if known.over_since is not None:
        seen = _caught_up(seen, offer, reading.at)
    proven = known.proven or _is_held(takes_a, offer, known.took_a or 0.0)
    return replace(seen, state="following", over_since=None, proven=proven)


def _beside_floor(seen: Following, takes_a: float, offer: Offer, at: datetime) -> Following:
    if not offer.safe_a:
        return replace(seen, at_floor_since=None)
    more_a = CLEARLY_MORE_A if seen.at_floor_since is None else A_STEP_MORE_A
    is_there = abs(takes_a - offer.safe_a) <= AT_FLOOR_A and offer.limit_a >= offer.safe_a + more_a
    has_risen = seen.has_risen or takes_a > offer.safe_a + MORE_BY_A
    return replace(
        seen, at_floor_since=(seen.at_floor_since or at) if is_there else None, has_risen=has_risen
    )


def _taken_a(reading: ConnectorReading, offer: Offer) -> tuple[float | None, float]:
    """(what it takes, what it may take) on a phase. Power is spread over the wired phases."""
    if reading.current_a is not None:
        return max(map(abs, reading.current_a)), offer.allowed_a
    if reading.offered_a is not None:
        return reading.offered_a, offer.allowed_a
    if reading.power_w is not None:
        return reading.power_w / (offer.phases * offer.voltage_v), offer.allowed_a * HIGH_VOLTAGE
    return None, offer.allowed_a


def _phases_used(reading: ConnectorReading) -> int | None:
    if reading.current_a is None or max(reading.current_a) < CLEAR_A:
        return None
    return sum(amps >= CARRYING_A for amps in reading.current_a)


def _caught_up(seen: Following, offer: Offer, at: datetime) -> Following:
    was_lowered = offer.before_a is not None and offer.before_a > offer.limit_a
    if not was_lowered:
        return replace(seen, spikes=seen.spikes + 1)
    return replace(seen, delay_s=max(seen.delay_s, (at - offer.at).total_seconds()))


def _is_held(takes_a: float, offer: Offer, took_a: float) -> bool:
    """Is it plain that the limit, not the vehicle, decides? Only a change shows it."""
    if offer.before_a is None or offer.before_a == offer.limit_a:
        return False
    if offer.limit_a == 0:
        return offer.before_a >= PAUSABLE_A and took_a >= CARRYING_A > takes_a
    return takes_a >= offer.limit_a - AT_MOST_BELOW_A


def in_words(following: Following, now: datetime) -> str | None:
    """A sentence for people; None: there is nothing to say yet."""
    offer, takes_a = following.offer, following.takes_a
    if offer is None or following.state == "unknown" or takes_a is None:
        return None
    since_s = round((now - (following.over_since or offer.at)).total_seconds())
    if following.state == "late":
        return f"takes {takes_a:.1f} A, allowed are {offer.limit_a:g} A since {since_s} s: not there yet"
    if following.state == "not_following":
        return f"does not follow: takes {takes_a:.1f} A for {since_s} s, allowed are {offer.limit_a:g} A"
    used = following.phases_used
    fewer = f" on {used} of {offer.phases} phases" if used is not None and used < offer.phases else ""
    habits = []
    if following.delay_s > PATIENCE_S:
        habits.append(f"late by up to {following.delay_s:.0f} s")
    if following.spikes:
        habits.append(f"took more for a moment {following.spikes}×")
    more = f" ({', '.join(habits)})" if habits else ""
    return f"follows: takes {takes_a:.1f} A of {offer.limit_a:g} A{fewer}{more}"
