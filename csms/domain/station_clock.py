"""How far a station's clock is off, told from the times in its messages. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

EXACT_ENOUGH = timedelta(seconds=60)
STEADY_WITHIN = timedelta(seconds=10)
FAR_ENOUGH_APART = timedelta(seconds=5)
HISTORIC_AFTER = timedelta(minutes=10)
OFFSET_SAMPLES, OFFSET_SAMPLES_NEEDED = 5, 3
SAMPLES_APART = timedelta(seconds=20)
OFFSET_THAT_MATTERS = timedelta(seconds=20)  # schedules start a minute in the past anyway
CLOCK_NEVER_SET = datetime(2010, 1, 1, tzinfo=UTC)  # stations that boot without a network begin in 1970


def is_historic(happened_at: datetime, received_at: datetime) -> bool:
    """Told from the station's queue, long after it happened? A clock that was never set says nothing."""
    return happened_at > CLOCK_NEVER_SET and received_at - happened_at > HISTORIC_AFTER


def is_over(
    status: str | None, status_at: datetime | None, started_at: datetime, start_received_at: datetime
) -> bool:
    """Has a transaction without a stop ended all the same, as far as its connector's status tells?

    The connector is free, and was so after the start by the station's own clock (status_at), or else
    the start was told only long after it happened.
    """
    if status != "Available":
        return False
    was_free_later = status_at is not None and started_at < status_at
    return was_free_later or is_historic(started_at, start_received_at)


@dataclass(slots=True)
class StationClock:
    """A station with local time marked as UTC lags by the same hours in every message, while messages
    replayed from a queue lag less and less. The former is corrected, the latter are old indeed."""

    lag: timedelta | None = None
    received_at: datetime | None = None
    is_off: bool = False

    def true_time(self, measured_at: datetime, received_at: datetime) -> datetime:
        """When it was measured by our clock, as well as can be told."""
        lag = received_at - measured_at
        is_steady = self.lag is not None and abs(lag - self.lag) <= STEADY_WITHIN
        if abs(lag) <= EXACT_ENOUGH or not is_steady:
            self.is_off = False
        elif self.received_at is not None and received_at - self.received_at >= FAR_ENOUGH_APART:
            self.is_off = True
        self.lag, self.received_at = lag, received_at
        return received_at if self.is_off else measured_at


@dataclass(slots=True)
class ClockOffset:
    """How far a station's clock is behind ours (ahead: negative), from the times in what it sends now.

    Messages are late by what they waited, never early: the least lag of the last ones is the clock's. A
    queue that is replayed comes in one burst with lags that differ, so samples are taken apart and must
    agree. Some stations stamp what they measure with the beginning of the interval: their clock is not
    slow if the last change of status came in time.
    """

    lags: deque[timedelta] = field(default_factory=lambda: deque(maxlen=OFFSET_SAMPLES))
    sampled_at: datetime | None = None
    lag_of_status: timedelta | None = None

    def told_measurement(self, measured_at: datetime, received_at: datetime) -> None:
        if self.sampled_at is None or abs(received_at - self.sampled_at) >= SAMPLES_APART:
            self.lags.append(received_at - measured_at)
            self.sampled_at = received_at

    def told_status(self, status_at: datetime, received_at: datetime) -> None:
        self.told_measurement(status_at, received_at)
        self.lag_of_status = received_at - status_at

    def behind(self) -> timedelta:
        """Zero until some samples agree, and where it is too little to matter."""
        if len(self.lags) < OFFSET_SAMPLES_NEEDED:
            return timedelta(0)
        least, second = sorted(self.lags)[:2]
        if second - least > STEADY_WITHIN:
            return timedelta(0)
        of_status = self.lag_of_status
        if of_status is not None and -OFFSET_THAT_MATTERS < of_status < least - STEADY_WITHIN:
            least = of_status
        return least if abs(least) >= OFFSET_THAT_MATTERS else timedelta(0)
