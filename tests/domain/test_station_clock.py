"""Stations whose clocks are wrong, and stations that tell of the past."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from csms.domain.station_clock import StationClock, is_historic

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
