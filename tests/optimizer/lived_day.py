"""Whole days minute by minute, for loads that must have something by a time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta

from closed_loop import Car, House, element, load

from optimizer import Need, NeedProgress, Site
from optimizer.memory import memory_from_dict, memory_to_dict

EVERY_DAY = frozenset(range(7))
THREE = tuple(element(str(n), phases=(n - 1,)) for n in (1, 2, 3))
MORNING = datetime(2026, 6, 10, 4, 0, tzinfo=UTC)  # 06:00 in Zurich, a Wednesday


def hot_by(until: str, kwh: float, days: frozenset[int] = EVERY_DAY) -> Need:
    return Need(time.fromisoformat(until), days, energy_wh=kwh * 1000)


def runs_by(until: str, hours: float) -> Need:
    return Need(time.fromisoformat(until), EVERY_DAY, run_s=hours * 3600)


def at(text: str, day: int = 10, month: int = 6) -> datetime:
    """UTC of a Swiss summer time."""
    return datetime.combine(date(2026, month, day), time.fromisoformat(text), UTC) - timedelta(hours=2)


class Day:
    """A house lived through minute by minute, with what each load got from the grid and when it ran."""

    def __init__(self, home: Site, cars: dict[str, Car] | None = None, now: datetime = MORNING) -> None:
        self.house = House(home, cars or {}, now=now)
        self.on_at: dict[str, list[datetime]] = {}
        self.codes: dict[str, list[str]] = {}
        self.got_wh: dict[str, float] = {}
        self.minute_wh: dict[str, list[tuple[datetime, float]]] = {}
        self.drawn_wh = 0.0

    def until(self, end: datetime, sun_w: Callable[[datetime], float] = lambda _: 0.0) -> Day:
        house = self.house
        while house.now < end:
            now, surplus_w = house.now, sun_w(house.now)
            decision = house.minute(surplus_w)
            for part in (*decision.appliances, *decision.connectors):
                self.codes.setdefault(part.id, []).append(part.reason.code)
            power_w = 0.0
            for a in house.site.appliances:
                self._note(a.id, house.appliance_w(a), now)
                power_w += house.appliance_w(a)
            for c in house.site.connectors:
                phases = min(len(c.phases), house.cars.get(c.id, Car()).phases)
                taken_w = house.car_a(c) * 230 * phases
                self._note(c.id, taken_w, now)
                power_w += taken_w
            self.drawn_wh += max(0.0, power_w - max(0.0, surplus_w)) / 60
        return self

    def _note(self, id: str, power_w: float, now: datetime) -> None:
        self.got_wh[id] = self.got_wh.get(id, 0.0) + power_w / 60
        self.minute_wh.setdefault(id, []).append((now, power_w / 60))
        if power_w > 0:
            self.on_at.setdefault(id, []).append(now)

    def began(self, id: str) -> datetime:
        return self.on_at[id][0]

    def starts(self, id: str) -> int:
        times = self.on_at.get(id, [])
        return sum(i == 0 or at - times[i - 1] > timedelta(minutes=1) for i, at in enumerate(times))

    def need(self, id: str) -> NeedProgress:
        need = load(self.house.decision, id).need
        assert need is not None
        return need

    def restart(self) -> None:
        self.house.memory = memory_from_dict(memory_to_dict(self.house.memory))


def minutes(first: datetime, second: datetime) -> float:
    return (second - first).total_seconds() / 60
