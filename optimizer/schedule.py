"""When a timer is on. Windows are told in the site's local time and end on the same clock they start on."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from optimizer.model import Window

ONE_DAY = timedelta(days=1)


def open_until(windows: Iterable[Window], timezone: str, now: datetime) -> datetime | None:
    """The UTC time at which the windows open at `now` will all be closed; None outside every window.

    An edge that falls into the hour a spring night leaves out moves on by that hour, so that the window
    still runs; in the hour an autumn night repeats, an edge means its first occurrence (PEP 495, fold 0).
    """
    zone = ZoneInfo(timezone)
    today = now.astimezone(zone).date()
    until: datetime | None = None
    for window in windows:
        for day in (today - ONE_DAY, today):
            if day.weekday() not in window.days:
                continue
            last_day = day + ONE_DAY if window.end <= window.start else day
            start_at = datetime.combine(day, window.start, zone).astimezone(UTC)
            end_at = datetime.combine(last_day, window.end, zone).astimezone(UTC)
            if start_at <= now < end_at and (until is None or end_at > until):
                until = end_at
    return until
