"""The line on a station's card that says how limits reach it."""

from __future__ import annotations

from datetime import datetime

from nicegui import ui

from csms.domain.following import in_words
from csms.services.bundle import Services
from csms.services.limit_ladder import LimitStatus
from csms.web.elements import Tag
from csms.web.wording import when

STATES = {
    "untried": "Limits: not written yet",
    "accepted": "Limits: accepted, not yet seen to be followed",
    "follows": "Limits: followed",
    "not_controllable": "Takes no limits: what it charges counts as the house's",
}
CLOCK_WORTH_TELLING_S = 60


class LimitLines:
    def __init__(self, services: Services, identity: str, may_forget: bool) -> None:
        self._services, self._identity = services, identity
        with Tag("details", classes="said-of-it limits") as self._details:
            self._head = Tag("summary")
            self._lines = Tag("ul")
            forget = Tag("button", "Forget and try anew", classes="action", type="button")
            forget.show(may_forget)
            forget.on("click", self._forget, args=[])
        self._shown: list[str] = []

    def show(self, now: datetime, timezone: str) -> None:
        status = self._services.limits.status(self._identity)
        self._details.show(status.state != "untried" or bool(status.failed))
        self._head.say(summary_line(status))
        lines = detail_lines(status, now, timezone)
        for number, connector in sorted(
            self._services.charge_points.station(self._identity).connectors.items()
        ):
            if words := connector.overruled or in_words(connector.following, now):
                lines.append(f"Connector {number} {words}")
        if lines != self._shown:
            self._shown = lines
            self._lines.clear()
            with self._lines:
                for line in lines:
                    Tag("li", line)

    async def _forget(self) -> None:
        await self._services.setpoints.try_anew(self._identity)
        ui.notify(f"{self._identity}: limits are written in the first way again", type="positive")


def summary_line(status: LimitStatus) -> str:
    count = f"writes today: {status.writes_today:,}"
    if status.max_writes_per_day is not None:
        count = f"writes today: {status.writes_today:,} of {status.max_writes_per_day:,}"
    return f"{STATES[status.state]} · {count}"


def detail_lines(status: LimitStatus, now: datetime, timezone: str) -> list[str]:
    lines = []
    if status.rung is not None and status.state != "not_controllable":
        lines.append(f"Written as {status.rung}")
    lines += [f"{how.capitalize()}: {way}" for way, how in status.failed.items()]
    if status.retry_at is not None:
        lines.append(f"Tried again {when(status.retry_at, now, timezone)}, or when it restarts")
    if status.held_back is not None:
        lines.append(f"Last change not written: {status.held_back}")
    if abs(status.clock_behind_s) >= CLOCK_WORTH_TELLING_S:
        behind = "behind" if status.clock_behind_s > 0 else "ahead"
        lines.append(f"Its clock is {abs(status.clock_behind_s):.0f} s {behind}; schedules allow for it")
    return lines
