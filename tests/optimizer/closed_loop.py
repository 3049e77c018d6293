"""A small house where decisions have consequences: the meter of a minute sees what the last one decided."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from optimizer import (
    NO_CURRENT,
    Appliance,
    ApplianceDecision,
    ApplianceDemand,
    Circuit,
    Connector,
    ConnectorDecision,
    ConnectorDemand,
    ConnectorState,
    Decision,
    Demands,
    Element,
    Memory,
    Mode,
    PhaseTriple,
    PowerReading,
    Readings,
    Site,
    decide,
)

NOON = datetime(2026, 6, 10, 10, 0, tzinfo=UTC)
VOLTAGE_V = 230.0


def triple(amps: float, phases: tuple[int, ...]) -> PhaseTriple:
    l1, l2, l3 = (amps if phase in phases else 0.0 for phase in range(3))
    return (l1, l2, l3)


def element(id: str, power_w: float = 1000.0, phases: tuple[int, ...] = (0,)) -> Element:
    return Element(id, power_w, triple(power_w / VOLTAGE_V / len(phases), phases))


def heater(id: str = "boiler", mode: Mode = Mode.SOLAR_ONLY, **fields: object) -> Appliance:
    """One 1000 W element unless `elements` says otherwise; no minimum times unless given."""
    chosen: dict[str, object] = {"elements": (element("1"),), "min_on_s": 0.0, "min_off_s": 0.0, **fields}
    return Appliance(id, "main", mode, **chosen)  # type: ignore[arg-type]


def connector(id: str = "CP1/1", mode: Mode = Mode.SOLAR_ONLY, **fields: object) -> Connector:
    """Three phases, 6 to 16 A, no minimum times unless given."""
    chosen: dict[str, object] = {
        "circuit": "main",
        "phases": (0, 1, 2),
        "min_a": 6.0,
        "max_a": 16.0,
        "step_a": 1.0,
        "min_on_s": 0.0,
        "min_off_s": 0.0,
        **fields,
    }
    return Connector(id, mode=mode, **chosen)  # type: ignore[arg-type]


def site(*loads: Appliance | Connector, circuits: tuple[Circuit, ...] = (), **fields: object) -> Site:
    return Site(
        id="home",
        timezone="Europe/Zurich",
        voltage_v=VOLTAGE_V,
        circuits=circuits or (Circuit("main", None, (100.0, 100.0, 100.0)),),
        appliances=tuple(load for load in loads if isinstance(load, Appliance)),
        connectors=tuple(load for load in loads if isinstance(load, Connector)),
        **fields,  # type: ignore[arg-type]
    )


@dataclass
class Car:
    """takes_a: the most it draws. phases: how many of the connector's it uses. session: its transaction.

    departs_at, requested_wh, from_grid: what its driver told. deaf: its station follows no limit.
    """

    takes_a: float = 32.0
    phases: int = 3
    session: str | None = "1"
    state: ConnectorState | None = None
    delivered_wh: float = 0.0
    tells_power: bool = True
    departs_at: datetime | None = None
    requested_wh: float | None = None
    from_grid: bool = True
    deaf: bool = False


@dataclass
class House:
    """surplus_w: PV minus what is not controlled; house_a: the uncontrolled current on the phases."""

    site: Site
    cars: dict[str, Car] = field(default_factory=dict)
    house_a: PhaseTriple = NO_CURRENT
    now: datetime = NOON
    memory: Memory = field(default_factory=Memory)
    on: dict[str, frozenset[str]] = field(default_factory=dict)
    offered_a: dict[str, float] = field(default_factory=dict)
    decision: Decision | None = None
    unreachable: set[str] = field(default_factory=set)
    sub_metered_w: dict[str, float] = field(default_factory=dict)

    def appliance_w(self, appliance: Appliance) -> float:
        on = self.on.get(appliance.id, frozenset())
        if appliance.id in self.sub_metered_w:
            return self.sub_metered_w[appliance.id] if on else 0.0
        for state in appliance.joint_states:
            if state.elements == on:
                return state.power_w
        return sum(e.power_w for e in appliance.elements if e.id in on)

    def car_a(self, connector: Connector) -> float:
        car = self.cars.get(connector.id)
        offered = self.offered_a.get(connector.id, 0.0)
        if car is not None and car.deaf:
            return car.takes_a if car.session is not None else 0.0
        if car is None or car.session is None or car.state is not None or offered < connector.min_a:
            return 0.0
        return min(offered, car.takes_a)

    def controlled_w(self) -> float:
        watts = sum(self.appliance_w(a) for a in self.site.appliances)
        for c in self.site.connectors:
            watts += self.car_a(c) * VOLTAGE_V * min(len(c.phases), self.cars.get(c.id, Car()).phases)
        return watts

    def demands(self) -> Demands:
        appliances = {
            a.id: ApplianceDemand(
                None if a.id in self.unreachable else self.on.get(a.id, frozenset()),
                self.appliance_w(a) if a.id in self.sub_metered_w else None,
            )
            for a in self.site.appliances
        }
        return Demands(appliances, {c.id: self.connector_demand(c) for c in self.site.connectors})

    def connector_demand(self, connector: Connector) -> ConnectorDemand:
        car = self.cars.get(connector.id)
        if car is None:
            return ConnectorDemand(ConnectorState.FREE)
        if car.state is not None or car.session is None:
            return ConnectorDemand(car.state or ConnectorState.PLUGGED)
        amps = self.car_a(connector)
        count = min(len(connector.phases), car.phases)
        return ConnectorDemand(
            ConnectorState.CHARGING if amps else ConnectorState.READY,
            amps * VOLTAGE_V * count if car.tells_power else None,
            triple(amps, tuple(range(count))) if car.tells_power else None,
            self.offered_a.get(connector.id, 0.0),
            car.session,
            car.delivered_wh,
            car.departs_at,
            car.requested_wh,
            from_grid=car.from_grid,
            controllable=not car.deaf,
            deaf=car.deaf,
        )

    def grid_a(self) -> PhaseTriple:
        amps = list(self.house_a)
        for a in self.site.appliances:
            on = self.on.get(a.id, frozenset())
            states = [s for s in a.joint_states if s.elements == on] or [
                e for e in a.elements if e.id in on and not a.joint_states
            ]
            for part in states:
                amps = [x + y for x, y in zip(amps, part.current_a, strict=True)]
        for c in self.site.connectors:
            used = c.phases[: self.cars.get(c.id, Car()).phases]
            amps = [x + y for x, y in zip(amps, triple(self.car_a(c), used), strict=True)]
        return (amps[0], amps[1], amps[2])

    def minute(self, surplus_w: float, *, age_s: float = 0.0, seconds: float = 60.0) -> Decision:
        """Decide on a meter that sees this surplus behind all loads, then wait."""
        reading = PowerReading(
            self.controlled_w() - surplus_w, self.grid_a(), self.now - timedelta(seconds=age_s)
        )
        return self.step(Readings(reading), seconds)

    def step(self, readings: Readings, seconds: float = 60.0) -> Decision:
        self.decision, self.memory = decide(self.site, readings, self.demands(), self.memory, self.now)
        for appliance in self.decision.appliances:
            if appliance.id not in self.unreachable:
                self.on[appliance.id] = appliance.on
        for outlet in self.decision.connectors:
            self.offered_a[outlet.id] = outlet.limit_a
            if outlet.id in self.cars:
                car = self.cars[outlet.id]
                car.delivered_wh += outlet.power_w * seconds / 3600
        self.now += timedelta(seconds=seconds)
        return self.decision

    def set_modes(self, **modes: Mode) -> None:
        self.site = replace(
            self.site,
            appliances=tuple(replace(a, mode=modes.get(a.id, a.mode)) for a in self.site.appliances),
            connectors=tuple(
                replace(c, mode=modes.get(c.id.replace("/", "_"), c.mode)) for c in self.site.connectors
            ),
        )


def load(decision: Decision | None, id: str) -> ApplianceDecision | ConnectorDecision:
    assert decision is not None
    return next(part for part in (*decision.appliances, *decision.connectors) if part.id == id)


def steps_on(decision: Decision | None, id: str = "boiler") -> str:
    part = load(decision, id)
    assert isinstance(part, ApplianceDecision)
    return "".join(sorted(part.on))


def limit_a(decision: Decision | None, id: str = "CP1/1") -> float:
    part = load(decision, id)
    assert isinstance(part, ConnectorDecision)
    return part.limit_a


def why(decision: Decision | None, id: str) -> str:
    return load(decision, id).reason.text
