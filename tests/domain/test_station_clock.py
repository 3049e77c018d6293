"""Stations whose clocks are wrong, and stations that tell of the past."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from csms.domain.station_clock import ClockOffset, StationClock, is_historic

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)


def test_a_right_clock_is_believed() -> None:
    clock = StationClock()
    for n in range(5):
        at = NOON + 10 * n * SECOND
        assert clock.true_time(at - 30 * SECOND, at) == at - 30 * SECOND


@pytest.mark.parametrize("error", [2 * HOUR, -HOUR, timedelta(days=-20_000)])
def test_a_clock_that_is_off_by_the_same_is_corrected_from_the_second_message_on(error: timedelta) -> None:
    clock = StationClock()
    assert clock.true_time(NOON + error, NOON) == NOON + error
    for n in range(1, 5):
        at = NOON + 10 * n * SECOND
        assert clock.true_time(at + error, at) == at


def test_a_queue_replayed_at_once_stays_in_the_past() -> None:
    clock = StationClock()
    for n in range(50):
        measured = NOON - HOUR + 10 * n * SECOND
        received = NOON + n * SECOND / 10
        assert clock.true_time(measured, received) == measured


def test_a_clock_set_right_again_is_believed_again() -> None:
    clock = StationClock()
    for n in range(3):
        clock.true_time(NOON + 2 * HOUR + 10 * n * SECOND, NOON + 10 * n * SECOND)
    at = NOON + 60 * SECOND
    assert clock.true_time(at - SECOND, at) == at - SECOND


@pytest.mark.parametrize(
    ("happened", "historic"),
    [
        (NOON - timedelta(minutes=9), False),
        (NOON - timedelta(minutes=11), True),
        (NOON + HOUR, False),
        (datetime(1970, 1, 1, 0, 5, tzinfo=UTC), False),
    ],
)
def test_what_is_told_late_is_historic_unless_the_clock_was_never_set(
    happened: datetime, historic: bool
) -> None:
    assert is_historic(happened, NOON) is historic


def behind_after(*samples: tuple[float, float]) -> float:
    """Rows of (when it came [s], how much later than it says [s])."""
    offset = ClockOffset()
    for at_s, lag_s in samples:
        received_at = NOON + timedelta(seconds=at_s)
        offset.told_measurement(received_at - timedelta(seconds=lag_s), received_at)
    return offset.behind().total_seconds()


@pytest.mark.parametrize(
    ("samples", "behind_s"),
    [
        ([(0, 120), (30, 121), (60, 120)], 120),  # two minutes slow
        ([(0, -120), (30, -119), (60, -120)], -120),  # two minutes fast
        ([(0, 120), (30, 121)], 0),  # too early to tell
        ([(0, 120), (1, 120), (2, 120), (3, 120)], 0),  # one burst is one sample
        ([(0, 3), (30, 1), (60, 2)], 0),  # the network
        ([(0, 900), (30, 122), (60, 120), (90, 600), (120, 121)], 120),  # some waited in a queue
        ([(0, 3600), (30, 1800), (60, 900)], 0),  # a queue that is being replayed
        ([(0, 120), (30, 120), (60, 120), (90, 0), (120, 1)], 0),  # its clock was set
        ([(0, -7200), (30, -7200), (60, -7199)], -7200),  # local time told as UTC
    ],
)
def test_how_far_a_clock_is_off(samples: list[tuple[float, float]], behind_s: float) -> None:
    assert behind_after(*samples) == behind_s


def test_measurements_stamped_with_the_beginning_of_their_interval_are_no_slow_clock() -> None:
    offset = ClockOffset()
    offset.told_status(NOON, NOON + SECOND)
    for n in range(1, 9):
        received_at = NOON + n * timedelta(minutes=15)
        offset.told_measurement(received_at - timedelta(minutes=15), received_at)
    assert offset.behind() == timedelta(0)


def test_a_change_of_status_that_came_late_does_not_make_a_fast_clock_slower() -> None:
    offset = ClockOffset()
    for n in range(1, 4):
        received_at = NOON + n * timedelta(minutes=1)
        offset.told_measurement(received_at + timedelta(minutes=2), received_at)
    offset.told_status(NOON + timedelta(minutes=6), NOON + timedelta(minutes=4, seconds=55))
    assert offset.behind() == timedelta(minutes=-2)
