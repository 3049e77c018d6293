"""Numbers and states in the words of the people in the building."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

MODE_WORDS = {
    "off": "Off",
    "on": "On",
    "solar_only": "Sun",
    "solar_and_timer": "Sun + timer",
    "timer_only": "Timer",
    "manual": "By hand",
    "min_and_solar": "Min + sun",
    "full": "Full",
}

MODE_HINTS = {
    "off": "Stays off",
    "on": "Stays on",
    "solar_only": "Runs on surplus sun only",
    "solar_and_timer": "Runs on surplus sun, and during the set times",
    "timer_only": "Runs during the set times only",
    "manual": "You switch it yourself",
    "min_and_solar": "Never below the minimum, more when the sun allows",
    "full": "As fast as the fuses allow",
}

STATE_WORDS = {
    "off": "Off",
    "on": "On",
    "waiting": "Waiting",
    "charging": "Charging",
    "paused": "Paused",
    "plugged": "Plugged in",
    "free": "Free",
    "finished": "Finished",
    "offline": "Offline",
    "fault": "Fault",
    "offered": "Offered",
    "asleep": "Asleep",
    "waking": "Waking",
    "full": "Full",
    "refused": "Badge refused",
    "needs_hand": "Needs a hand",
}

UNKNOWN = "–"
NEAR_DAYS = {-1: "tomorrow", 0: "today", 1: "yesterday"}


def kilowatts(power_w: float | None) -> str:
    """ "3.42", "12.4", "105": always three figures or fewer, without sign and unit."""
    if power_w is None:
        return UNKNOWN
    power_kw = abs(power_w) / 1000
    decimals = 2 if power_kw < 9.995 else 1 if power_kw < 99.95 else 0
    return f"{power_kw:.{decimals}f}"


def kilowatt_hours(energy_wh: float | None) -> str:
    if energy_wh is None:
        return UNKNOWN
    energy_kwh = energy_wh / 1000
    return f"{energy_kwh:.2f}" if energy_kwh < 9.995 else f"{energy_kwh:.1f}"


def amperes(current_a: float | None) -> str:
    return UNKNOWN if current_a is None else f"{current_a:.1f}".removesuffix(".0") + " A"


def age(seconds: float | None) -> str:
    """Coarse, so that a line of devices does not flicker: "now", "40 s", "3 min", "2 h", "5 days"."""
    if seconds is None:
        return "never"
    if seconds < 10:
        return "now"
    if seconds < 60:
        return f"{seconds // 10 * 10:.0f} s"
    if seconds < 3600:
        return f"{seconds // 60:.0f} min"
    if seconds < 48 * 3600:
        return f"{seconds // 3600:.0f} h"
    return f"{seconds // 86_400:.0f} days"


def ago(seconds: float | None) -> str:
    words = age(seconds)
    return words if words in ("never", "now") else f"{words} ago"


def duration(seconds: float) -> str:
    """ "45 s", "12 min", "3 h 05", "50 h 00"."""
    if seconds < 60:
        return f"{max(seconds, 0):.0f} s"
    hours, minutes = divmod(int(seconds // 60), 60)
    return f"{hours} h {minutes:02}" if hours else f"{minutes} min"


def times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"


def when(at: datetime | None, now: datetime, timezone: str) -> str:
    """ "today 14:02", "yesterday 23:59", "12 May 08:30", "31 Dec 2025 08:30": by the clock on the wall."""
    if at is None:
        return "never"
    zone = ZoneInfo(timezone)
    local, today = at.astimezone(zone), now.astimezone(zone).date()
    days = (today - local.date()).days
    if (day := NEAR_DAYS.get(days, "")) == "":
        day = f"{local.day} {local:%b}" + ("" if local.year == today.year else f" {local.year}")
    return f"{day} {local:%H:%M}"


def on_day(at: datetime, timezone: str) -> str:
    """ "12 May 2026 08:30": for what is printed and kept."""
    local = at.astimezone(ZoneInfo(timezone))
    return f"{local.day} {local:%b %Y %H:%M}"


def sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
