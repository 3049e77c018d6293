"""What a household draws that nobody controls, as a pure function of seed and time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from drivers.device import PhaseTriple
from simulation.noise import chance, value_noise

FRIDGE_W, FRIDGE_CYCLE_S, FRIDGE_DUTY = 95.0, 2700.0, 0.38
THERMOSTAT_CYCLE_S = 90.0


@dataclass(frozen=True, slots=True)
class Habit:
    """Something used once a day at about the same local time. thermostat: share of the time it heats."""

    name: str
    phases: tuple[int, ...]
    power_w: float
    hour: float
    spread_h: float
    duration_s: float
    probability: float
    thermostat: float = 1.0


HABITS = (
    Habit("kettle, morning", (0,), 2000, 6.9, 0.5, 180, 0.95),
    Habit("coffee", (0,), 1400, 7.3, 0.6, 240, 0.9),
    Habit("kettle, afternoon", (0,), 2000, 15.5, 1.5, 180, 0.7),
    Habit("stove, noon", (1, 2), 3200, 11.7, 0.4, 1800, 0.6, thermostat=0.55),
    Habit("stove, evening", (1, 2), 4200, 18.4, 0.7, 2700, 0.9, thermostat=0.6),
    Habit("oven", (2,), 2200, 18.7, 0.6, 3000, 0.4, thermostat=0.5),
    Habit("dishwasher", (1,), 1900, 20.3, 0.8, 1500, 0.8),
    Habit("washing machine", (2,), 2000, 9.5, 2.0, 1200, 0.45),
)


class House:
    """scale: 1 = one family's house of about 5000 kWh a year; a building of several flats has more."""

    def __init__(self, seed: int, timezone: str, scale: float = 1.0) -> None:
        self._seed, self._zone, self._scale = seed, ZoneInfo(timezone), scale

    def phase_power_w(self, at: datetime) -> PhaseTriple:
        local = at.astimezone(self._zone)
        second = at.timestamp()
        hour = local.hour + local.minute / 60 + local.second / 3600
        awake = 1.0 * _peak(hour, 7.2, 1.1) + 1.6 * _peak(hour, 19.6, 2.3) + 0.35 * _peak(hour, 13.0, 2.5)
        power_w = [0.0, 0.0, 0.0]
        for phase, base_w, living_w in ((0, 70.0, 220.0), (1, 45.0, 110.0), (2, 55.0, 160.0)):
            flicker = 0.7 + 0.6 * value_noise(self._seed * 5 + phase, second / 240)
            power_w[phase] = (base_w + living_w * awake) * flicker
        if (second / FRIDGE_CYCLE_S + chance(self._seed, 9)) % 1 < FRIDGE_DUTY:
            power_w[1] += FRIDGE_W
        for index, habit in enumerate(HABITS):
            drawn_w = self._habit_power_w(index, habit, local.date().toordinal(), hour)
            for phase in habit.phases:
                power_w[phase] += drawn_w / len(habit.phases)
        l1, l2, l3 = (p * self._scale for p in power_w)
        return l1, l2, l3

    def _habit_power_w(self, index: int, habit: Habit, day: int, hour: float) -> float:
        if chance(self._seed, 20 + index, day, 0) >= habit.probability:
            return 0.0
        begin = habit.hour + (chance(self._seed, 20 + index, day, 1) - 0.5) * 2 * habit.spread_h
        elapsed_s = (hour - begin) * 3600
        if not 0 <= elapsed_s < habit.duration_s:
            return 0.0
        heating = elapsed_s < 240 or (elapsed_s / THERMOSTAT_CYCLE_S) % 1 < habit.thermostat
        return habit.power_w if heating else 0.0


def _peak(hour: float, centre: float, width: float) -> float:
    return math.exp(-(((hour - centre) / width) ** 2))
