"""The plain rule of the field, for comparison: once a minute, by nominal power alone, without memory.

On surplus, the largest load whose nominal power it covers is switched on, then the next. On draw, charging
stations go down to their minimum; then the loads necessary to end the draw are switched off: the smallest
one that is enough, else the largest and so on. Timers and modes are obeyed as by any controller. Fuse
limits and minimum times are not part of the rule.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime

from optimizer.model import (
    Appliance,
    Connector,
    ConnectorDemand,
    ConnectorState,
    Demands,
    Mode,
    Readings,
    Site,
    Window,
)
from optimizer.schedule import open_until
from simulation.plant import Setpoints, appliance_draw

Change = tuple[float, str, frozenset[str] | float]
"""Power that one change adds or drops [W], the load, and what it is set to."""

DRAWS_A = 0.5  # a phase that carries less is not in use


class PlainRule:
    def __init__(self, site: Site):
        self._site = site

    def __call__(self, readings: Readings, demands: Demands, now: datetime) -> Setpoints:
        minute = _Minute(self._site, demands)
        surplus_w = -readings.grid.power_w if readings.grid else 0.0
        surplus_w -= minute.obey_modes(now)
        if surplus_w > 0:
            minute.follow(minute.switch_on(surplus_w))
        elif surplus_w < 0:
            minute.switch_off(minute.follow(surplus_w))
        return Setpoints(minute.on, minute.limit_a)


class _Minute:
    """The setpoints of one minute in the making: they begin as they are and are changed step by step."""

    def __init__(self, site: Site, demands: Demands):
        self._site, self._demands = site, demands
        self.on = {a.id: demands.appliances[a.id].on or frozenset() for a in site.appliances}
        self.limit_a = {c.id: self._offered_a(c) for c in site.connectors}
        self._free_appliances: list[Appliance] = []
        self._free_connectors: list[tuple[Connector, float]] = []

    def _offered_a(self, connector: Connector) -> float:
        demand = self._demands.connectors[connector.id]
        return 0.0 if demand.state is ConnectorState.FREE else demand.offered_a or 0.0

    def obey_modes(self, now: datetime) -> float:
        """Set what is not for the sun to decide; the power that this adds. [W]"""
        added_w = 0.0
        for appliance in self._site.appliances:
            forced = _forced_elements(appliance, self._is_open(appliance.windows, now))
            if forced is None:
                self._free_appliances.append(appliance)
                continue
            added_w += _power_w(appliance, forced) - _power_w(appliance, self.on[appliance.id])
            self.on[appliance.id] = forced
        for connector in self._site.connectors:
            forced_a = _forced_a(connector, self._is_open(connector.windows, now))
            least_a = connector.min_a if connector.mode is Mode.MIN_AND_SOLAR else 0.0
            if forced_a is None:
                self._free_connectors.append((connector, least_a))
                forced_a = max(self.limit_a[connector.id], least_a)
            if self._demands.connectors[connector.id].state is not ConnectorState.FREE:
                added_w += (forced_a - self.limit_a[connector.id]) * self._watts_per_amp(connector)
            self.limit_a[connector.id] = forced_a
        return added_w

    def switch_on(self, surplus_w: float) -> float:
        """Largest nominal power first; what is left of the surplus. [W]"""
        while fitting := [change for change in self._starts() if 0 < change[0] <= surplus_w]:
            added_w, load, setting = max(fitting, key=lambda change: change[0])
            self._set(load, setting)
            surplus_w -= added_w
        return surplus_w

    def follow(self, surplus_w: float) -> float:
        """Move charging vehicles by whole steps, up or down; what is left of surplus or draw. [W]"""
        for connector, _ in sorted(self._free_connectors, key=lambda pair: -self._taken_w(pair[0])):
            limit_a = self.limit_a[connector.id]
            if not (connector.modulates and limit_a and self._is_charging(connector)):
                continue
            step_w = self._watts_per_amp(connector) * connector.step_a
            wanted_a = limit_a + math.floor(surplus_w / step_w + 1e-9) * connector.step_a
            target_a = min(max(wanted_a, connector.min_a), connector.max_a)
            surplus_w -= (target_a - limit_a) * self._watts_per_amp(connector)
            self.limit_a[connector.id] = target_a
            if surplus_w >= 0 and target_a < limit_a:
                return 0.0
        return surplus_w

    def switch_off(self, surplus_w: float) -> None:
        """Switch off what is necessary to end the draw."""
        while surplus_w < 0 and (stops := [change for change in self._stops() if change[0] > 0]):
            enough = [change for change in stops if change[0] >= -surplus_w]
            chosen = min(enough, key=lambda c: c[0]) if enough else max(stops, key=lambda c: c[0])
            self._set(chosen[1], chosen[2])
            surplus_w += chosen[0]

    def _starts(self) -> Iterator[Change]:
        for appliance in self._free_appliances:
            on = self.on[appliance.id]
            for more in (on | {e.id} for e in appliance.elements if e.id not in on):
                if _allowed(appliance, more):
                    yield _power_w(appliance, more) - _power_w(appliance, on), appliance.id, more
        for connector, _ in self._free_connectors:
            if self.limit_a[connector.id] == 0 and self._demands.connectors[connector.id].session is not None:
                start_a = connector.min_a if connector.modulates else connector.max_a
                yield start_a * self._watts_per_amp(connector), connector.id, start_a

    def _stops(self) -> Iterator[Change]:
        for appliance in self._free_appliances:
            on = self.on[appliance.id]
            for less in (on - {e} for e in sorted(on)):
                if _allowed(appliance, less):
                    yield _power_w(appliance, on) - _power_w(appliance, less), appliance.id, less
        for connector, least_a in self._free_connectors:
            limit_a = self.limit_a[connector.id]
            if limit_a and not least_a and self._is_charging(connector):
                yield limit_a * self._watts_per_amp(connector), connector.id, 0.0

    def _set(self, load: str, setting: frozenset[str] | float) -> None:
        if isinstance(setting, frozenset):
            self.on[load] = setting
        else:
            self.limit_a[load] = setting

    def _is_open(self, windows: tuple[Window, ...], now: datetime) -> bool:
        return open_until(windows, self._site.timezone, now) is not None

    def _is_charging(self, connector: Connector) -> bool:
        return self._demands.connectors[connector.id].state is ConnectorState.CHARGING

    def _taken_w(self, connector: Connector) -> float:
        return self._demands.connectors[connector.id].power_w or 0.0

    def _watts_per_amp(self, connector: Connector) -> float:
        return self._site.voltage_v * _phases_in_use(connector, self._demands.connectors[connector.id])


def _forced_elements(appliance: Appliance, timer_on: bool) -> frozenset[str] | None:
    """The elements that the mode wants, None = the sun decides."""
    if appliance.mode is Mode.MANUAL:
        return appliance.manual_on
    if appliance.mode is Mode.ON or (timer_on and appliance.mode in (Mode.TIMER_ONLY, Mode.SOLAR_AND_TIMER)):
        if appliance.joint_states:
            return max(appliance.joint_states, key=lambda s: s.power_w).elements
        return frozenset(e.id for e in appliance.elements)
    return None if appliance.mode in (Mode.SOLAR_ONLY, Mode.SOLAR_AND_TIMER) else frozenset()


def _forced_a(connector: Connector, timer_on: bool) -> float | None:
    """The current that the mode wants [A], None = the sun decides."""
    if connector.mode is Mode.MANUAL:
        return connector.manual_a
    if connector.mode in (Mode.ON, Mode.FULL):
        return connector.max_a
    if timer_on and connector.mode in (Mode.TIMER_ONLY, Mode.SOLAR_AND_TIMER):
        return connector.max_a
    free = connector.mode in (Mode.SOLAR_ONLY, Mode.SOLAR_AND_TIMER, Mode.MIN_AND_SOLAR)
    return None if free else 0.0


def _allowed(appliance: Appliance, on: frozenset[str]) -> bool:
    return not appliance.joint_states or any(state.elements == on for state in appliance.joint_states)


def _power_w(appliance: Appliance, on: frozenset[str]) -> float:
    return appliance_draw(appliance, on)[0]


def _phases_in_use(connector: Connector, demand: ConnectorDemand) -> int:
    used = sum(amps > DRAWS_A for amps in demand.current_a or ())
    return used or len(connector.phases)
