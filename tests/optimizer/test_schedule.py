"""Timers in local time, on the two nights a year that are an hour short or long too."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

import pytest

from optimizer import Window
from optimizer.schedule import open_until

ZURICH = "Europe/Zurich"
EVERY_DAY = frozenset(range(7))


def window(start: str, end: str, days: frozenset[int] = EVERY_DAY) -> Window:
    return Window(days, time.fromisoformat(start), time.fromisoformat(end))


def open_minutes(windows: list[Window], start: str, hours: int = 24) -> list[datetime]:
    begin = datetime.fromisoformat(start).replace(tzinfo=UTC)
    minutes = (begin + timedelta(minutes=i) for i in range(hours * 60))
    return [at for at in minutes if open_until(windows, ZURICH, at) is not None]


@pytest.mark.parametrize(
    ("start", "end", "night", "first", "last", "count"),
    [
        ("02:00", "05:00", "2026-06-09T20:00", "2026-06-10T00:00", "2026-06-10T02:59", 180),
        ("02:00", "05:00", "2026-03-28T20:00", "2026-03-29T01:00", "2026-03-29T02:59", 120),
        ("02:00", "05:00", "2026-10-24T20:00", "2026-10-25T00:00", "2026-10-25T03:59", 240),
        ("22:00", "06:00", "2026-03-28T18:00", "2026-03-28T21:00", "2026-03-29T03:59", 420),
        ("22:00", "06:00", "2026-10-24T18:00", "2026-10-24T20:00", "2026-10-25T04:59", 540),
        # the half hour that a spring night leaves out runs right after, that of an autumn night once
        ("02:15", "02:45", "2026-03-28T20:00", "2026-03-29T01:15", "2026-03-29T01:44", 30),
        ("02:15", "02:45", "2026-10-24T20:00", "2026-10-25T00:15", "2026-10-25T00:44", 30),
    ],
)
def test_a_window_runs_on_every_night(
    start: str, end: str, night: str, first: str, last: str, count: int
) -> None:
    opened = open_minutes([window(start, end)], night, 14)
    assert opened[0] == datetime.fromisoformat(first).replace(tzinfo=UTC)
    assert opened[-1] == datetime.fromisoformat(last).replace(tzinfo=UTC)
    assert len(opened) == count


def test_a_window_over_midnight_belongs_to_the_day_it_starts_on() -> None:
    friday_night = window("23:00", "01:00", frozenset({4}))
    opened = open_minutes([friday_night], "2026-06-11T22:00", 72)
    assert opened[0] == datetime(2026, 6, 12, 21, 0, tzinfo=UTC)  # Friday 23:00
    assert opened[-1] == datetime(2026, 6, 12, 22, 59, tzinfo=UTC)  # Saturday 00:59
    assert len(opened) == 120


def test_weekdays_only() -> None:
    opened = open_minutes([window("12:00", "12:01", frozenset(range(5)))], "2026-06-07T22:00", 7 * 24)
    assert [at.weekday() for at in opened] == [0, 1, 2, 3, 4]


def test_equal_ends_mean_the_whole_day() -> None:
    opened = open_minutes([window("00:00", "00:00", frozenset({2}))], "2026-06-08T22:00", 72)
    assert len(opened) == 24 * 60
    assert opened[0] == datetime(2026, 6, 9, 22, 0, tzinfo=UTC)


def test_of_overlapping_windows_the_last_end_counts() -> None:
    now = datetime(2026, 6, 10, 1, 0, tzinfo=UTC)
    windows = [window("02:00", "05:00"), window("02:30", "06:00")]
    assert open_until(windows, ZURICH, now) == datetime(2026, 6, 10, 4, 0, tzinfo=UTC)


def test_the_end_itself_is_outside() -> None:
    assert open_until([window("02:00", "05:00")], ZURICH, datetime(2026, 6, 10, 3, 0, tzinfo=UTC)) is None
    assert open_until([], ZURICH, datetime(2026, 6, 10, 3, 0, tzinfo=UTC)) is None
