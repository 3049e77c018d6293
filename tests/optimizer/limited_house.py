"""The small house with what limits it: a battery, an operator's contact, thermostats, one or three phases."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta

from closed_loop import VOLTAGE_V, House, triple

from optimizer import (
    Appliance,
    BatteryReading,
    Connector,
    ConnectorDecision,
    ConnectorDemand,
    ContactReading,
    Decision,
    PhaseTriple,
    PowerReading,
    Readings,
)


@dataclass
class Battery:
    """Holds the grid at `bias_w`. most_w: charging and discharging; room_wh, stored_wh: None = no end."""

    most_w: float = 3000.0
    stored_wh: float = 5000.0
    capacity_wh: float = 10_000.0
    tells_soc: bool = True
    power_w: float = 0.0
    bias_w: float = 0.0

    def regulate(self, surplus_w: float, seconds: float) -> float:
        """Answers what is left for the grid (+ drawn)."""
        power_w = max(-self.most_w, min(self.most_w, surplus_w + self.bias_w))
        room_w = (self.capacity_wh - self.stored_wh) * 3600 / seconds
        self.power_w = max(-self.stored_wh * 3600 / seconds, min(room_w, power_w))
        self.stored_wh += self.power_w * seconds / 3600
        return self.power_w - surplus_w


@dataclass
class LimitedHouse(House):
    """cold: what an appliance takes in parts of its nominal power (0 = its thermostat is open).

    contact: the operator's input, None = not read; contact_age_s, battery_age_s: how old the reading is.
    """

    battery: Battery | None = None
    battery_age_s: float | None = 0.0
    contact: bool | None = None
    contact_read_s_ago: float = 0.0
    cold: dict[str, float] = field(default_factory=dict)
    phase_counts: dict[str, int] = field(default_factory=dict)
    grid_w: float = 0.0

    def appliance_w(self, appliance: Appliance) -> float:
        return House.appliance_w(self, appliance) * self.cold.get(appliance.id, 1.0)

    def phases_of(self, connector: Connector) -> tuple[int, ...]:
        count = self.phase_counts.get(connector.id, 3)
        return connector.phases[: min(count, self.cars[connector.id].phases)]

    def controlled_w(self) -> float:
        watts = sum(self.appliance_w(a) for a in self.site.appliances)
        for c in self.site.connectors:
            if c.id in self.cars:
                watts += self.car_a(c) * VOLTAGE_V * len(self.phases_of(c))
        return watts

    def connector_demand(self, connector: Connector) -> ConnectorDemand:
        demand = super().connector_demand(connector)
        if demand.power_w is None:
            return demand
        count, amps = len(self.phases_of(connector)), self.car_a(connector)
        return replace(demand, power_w=amps * VOLTAGE_V * count, current_a=triple(amps, tuple(range(count))))

    def grid_a(self) -> PhaseTriple:
        amps = list(self.house_a)
        for a in self.site.appliances:
            on, share = self.on.get(a.id, frozenset()), self.cold.get(a.id, 1.0)
            states = [s for s in a.joint_states if s.elements == on] or [
                e for e in a.elements if e.id in on and not a.joint_states
            ]
            for part in states:
                amps = [x + share * y for x, y in zip(amps, part.current_a, strict=True)]
        for c in self.site.connectors:
            if c.id in self.cars:
                flows = triple(self.car_a(c), self.phases_of(c))
                amps = [x + y for x, y in zip(amps, flows, strict=True)]
        return (amps[0], amps[1], amps[2])

    def minute(self, surplus_w: float, *, age_s: float = 0.0, seconds: float = 60.0) -> Decision:
        """A minute of this surplus behind all loads has passed: decide on what its meters saw."""
        rest_w = surplus_w - self.controlled_w()
        self.grid_w, battery = -rest_w, None
        if self.battery is not None:
            self.grid_w = self.battery.regulate(rest_w, seconds)
            soc_pct = 100 * self.battery.stored_wh / self.battery.capacity_wh
            if self.battery_age_s is not None:
                battery = BatteryReading(
                    self.battery.power_w,
                    self.now - timedelta(seconds=self.battery_age_s),
                    soc_pct if self.battery.tells_soc else None,
                )
        contact = None
        if self.contact is not None:
            contact = ContactReading(self.contact, self.now - timedelta(seconds=self.contact_read_s_ago))
        grid = PowerReading(self.grid_w, self.grid_a(), self.now - timedelta(seconds=age_s))
        decision = self.step(Readings(grid, {}, battery, contact), seconds)
        for part in decision.connectors:
            self._note(part)
        return decision

    def _note(self, part: ConnectorDecision) -> None:
        if part.phase_count is not None:
            self.phase_counts[part.id] = part.phase_count
