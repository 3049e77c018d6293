"""What hangs behind the relays: heaters that stop when they are hot, heat pumps with a mind of their own."""

from __future__ import annotations

import math
from collections.abc import Callable

from csms.domain.site import ApplianceConfig, NoNeutralRelays
from csms.domain.site_fields import Phase
from drivers.device import PhaseTriple

PHASES: tuple[Phase, ...] = ("L1", "L2", "L3")
NOTHING: PhaseTriple = (0.0, 0.0, 0.0)
HEATS_AGAIN_AT = 0.94
STANDING_LOSS_W = 60.0
TANK_HOURS = 3.0
COMPRESSOR_DELAY_S = 60.0
COMPRESSOR_MIN_RUN_S = 600.0

IsClosed = Callable[[str], bool]


class Tank:
    """Heat above what people can use, behind a thermostat. [Wh]"""

    def __init__(self, capacity_wh: float, stored_wh: float) -> None:
        self.capacity_wh, self.stored_wh = capacity_wh, stored_wh
        self.is_hot = stored_wh >= capacity_wh

    def step(self, dt_s: float, heating_w: float, drawn_w: float) -> None:
        stored_wh = self.stored_wh + (heating_w - drawn_w - STANDING_LOSS_W) * dt_s / 3600
        self.stored_wh = max(0.0, stored_wh)
        if self.stored_wh >= self.capacity_wh:
            self.is_hot = True
        elif self.stored_wh < HEATS_AGAIN_AT * self.capacity_wh:
            self.is_hot = False


def hot_water_w(hour: float, daily_wh: float) -> float:
    """Heat that people take at this local hour: showers in the morning, kitchen and baths in the evening."""
    morning = math.exp(-(((hour - 7.0) / 0.8) ** 2))
    evening = math.exp(-(((hour - 19.8) / 1.3) ** 2))
    return daily_wh * (0.5 * morning / 0.8 + 0.5 * evening / 1.3) / math.sqrt(math.pi)


def spread(power_w: float, phases: list[Phase]) -> PhaseTriple:
    l1, l2, l3 = (power_w / len(phases) if p in phases else 0.0 for p in PHASES)
    return l1, l2, l3


def add(*triples: PhaseTriple) -> PhaseTriple:
    l1, l2, l3 = (sum(parts) for parts in zip(*triples, strict=True)) if triples else NOTHING
    return l1, l2, l3


class SwitchedAppliance:
    """Takes what its closed relays let through; a water heater or radiator only until its tank is hot."""

    def __init__(self, config: ApplianceConfig, fill: float) -> None:
        self.config = config
        self.phase_power_w = NOTHING
        rated_w = config.rated_power_w or sum(step.power_w for step in config.steps)
        stores_heat = config.kind in ("water_heater", "water_heater_no_neutral", "radiator")
        capacity_wh = TANK_HOURS * rated_w
        self.tank = Tank(capacity_wh, fill * capacity_wh) if stores_heat else None

    def step(self, dt_s: float, hour: float, is_closed: IsClosed) -> None:
        through = self._through_contacts(is_closed)
        if self.tank is not None:
            if self.tank.is_hot:
                through = NOTHING
            self.tank.step(dt_s, sum(through), hot_water_w(hour, 0.7 * self.tank.capacity_wh))
        self.phase_power_w = through

    def _through_contacts(self, is_closed: IsClosed) -> PhaseTriple:
        relays = self.config.relays
        if isinstance(relays, NoNeutralRelays):
            rated_w = self.config.rated_power_w or 0.0
            return no_neutral_power_w(rated_w, is_closed(relays.l1_l2), is_closed(relays.l1_l3))
        closed = (s for s in self.config.steps if all(is_closed(r) for r in s.relays))
        return add(*(spread(s.power_w, s.phases) for s in closed))


def no_neutral_power_w(rated_w: float, l1_l2: bool, l1_l3: bool) -> PhaseTriple:
    """L1 is permanent. One more line: two arms in series at √3 U, half the rated power. Source: ems.md 4."""
    if l1_l2 and l1_l3:
        return rated_w / 3, rated_w / 3, rated_w / 3
    if l1_l2:
        return rated_w / 4, rated_w / 4, 0.0
    return (rated_w / 4, 0.0, rated_w / 4) if l1_l3 else NOTHING


class HeatPump:
    """An SG-Ready heat pump: runs when its buffer wants heat; a closed contact raises the set point.

    The contact is a wish: it starts a minute later, runs at least ten, not at all when the buffer is full.
    """

    BAND = 0.12
    NORMAL_LEVEL, RAISED_LEVEL = 0.55, 1.0
    COP = 3.5

    def __init__(self, config: ApplianceConfig, fill: float) -> None:
        self.config = config
        self.phase_power_w = NOTHING
        self._power_w = config.power_w or 0.0
        capacity_wh = TANK_HOURS * self._power_w * self.COP
        self.tank = Tank(capacity_wh, fill * capacity_wh)
        self._is_running = False
        self._since_s = 0.0

    def step(self, dt_s: float, hour: float, is_closed: IsClosed) -> None:
        is_raised = any(is_closed(r) for r in self.config.relay_refs())
        level = self.RAISED_LEVEL if is_raised else self.NORMAL_LEVEL
        self._regulate(dt_s, self.tank.stored_wh / self.tank.capacity_wh, level)
        power_w = self._power_w if self._is_running else 0.0
        self.tank.step(dt_s, power_w * self.COP, self._heat_demand_w(hour))
        self.phase_power_w = spread(power_w, self.config.phases)

    def _regulate(self, dt_s: float, fill: float, level: float) -> None:
        wants_change = fill >= level if self._is_running else fill < level - self.BAND
        self._since_s += dt_s
        if self._is_running:
            if wants_change and self._since_s >= COMPRESSOR_MIN_RUN_S:
                self._is_running, self._since_s = False, 0.0
        elif not wants_change:
            self._since_s = 0.0
        elif self._since_s >= COMPRESSOR_DELAY_S:
            self._is_running, self._since_s = True, 0.0

    def _heat_demand_w(self, hour: float) -> float:
        return 0.25 * self._power_w * self.COP * (0.7 + 0.6 * math.exp(-(((hour - 6.5) / 3.0) ** 2)))


class Battery:
    """Takes what is left of the sun and gives it back; power + is charging. [Wh, W]"""

    def __init__(self, capacity_wh: float, max_w: float, fill: float = 0.4) -> None:
        self.capacity_wh, self.max_w, self.stored_wh = capacity_wh, max_w, fill * capacity_wh
        self.power_w = 0.0

    def step(self, dt_s: float, surplus_w: float) -> None:
        wanted_w = max(-self.max_w, min(self.max_w, surplus_w))
        if dt_s > 0:
            room_w = (self.capacity_wh - self.stored_wh) * 3600 / dt_s
            wanted_w = max(-self.stored_wh * 3600 / dt_s, min(room_w, wanted_w))
        self.stored_wh += wanted_w * dt_s / 3600
        self.power_w = wanted_w


def simulate_appliance(config: ApplianceConfig, fill: float) -> SwitchedAppliance | HeatPump:
    return HeatPump(config, fill) if config.kind == "sg_ready" else SwitchedAppliance(config, fill)
