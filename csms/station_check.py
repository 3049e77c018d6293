"""The part of a site's check that only a running server can do: hold a charging car back and look at the grid
meter, which tells on which phases its station hangs and whether it follows its limit.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from csms.clock import Clock
from csms.control_model import PHASE_INDEX
from csms.domain.charge_point import LiveConnector, Station
from csms.domain.phase_rotation import phase_order
from csms.domain.site import ChargePointConfig, ConnectorConfig, SiteConfig
from csms.domain.station_facts import facts_of
from csms.domain.station_wiring import HeldBack, not_checked
from csms.domain.wiring import Finding, Sample, agreed_change, change, turned
from csms.errors import NotFound
from csms.held_limits import HeldLimits, Place
from csms.services.charge_points import ChargePoints
from csms.services.setpoints import Setpoints

TAKEN_WITHIN_S, LOOK_AGAIN_S = 30.0, 1.0
CAR_FOLLOWS_S, CAR_STARTS_S = 15.0, 45.0
CLEAR_A = 3.0
FEWEST_CYCLES, MOST_CYCLES = 2, 4
HIDDEN_SHARE = 0.2  # of a step, beyond which a battery hides it
RESOLUTION_A = 0.1


@dataclass(frozen=True, slots=True)
class ChargingCar:
    """wired: the site's phases on the station's own. own_a: what it takes on these. offered_a: as accepted.

    min_a: what station and vehicle need, None = it cannot be modulated. problem: why it cannot be held back.
    """

    place: Place
    wired: tuple[int, ...]
    own_a: tuple[float, ...]
    offered_a: float
    min_a: float | None
    problem: str | None = None

    @property
    def id(self) -> str:
        return f"{self.place[0]}/{self.place[1]}"

    @property
    def step_to_a(self) -> float:
        """Down to the minimum where that shows, else a pause."""
        min_a = self.min_a
        return min_a if min_a is not None and max(self.own_a) - min_a >= CLEAR_A else 0.0


class Stations(Protocol):
    """Who is there, what charges, and holding cars back."""

    def connected(self, identity: str) -> bool | None:
        """None = only a running server knows."""
        ...

    def charging(self) -> Sequence[ChargingCar]: ...

    async def hold(self, car: ChargingCar, limit_a: float) -> bool:
        """At most that, and no other connector more than now. False: it was not taken in time."""
        ...

    def let_go(self) -> None: ...


class NoStations:
    """`Stations` without a server."""

    def connected(self, identity: str) -> bool | None:
        return None

    def charging(self) -> Sequence[ChargingCar]:
        return ()

    async def hold(self, car: ChargingCar, limit_a: float) -> bool:
        return False

    def let_go(self) -> None:
        pass


class StationsOfServer:
    """`Stations` of one site, by what the server knows of them."""

    def __init__(
        self,
        config: SiteConfig,
        charge_points: ChargePoints,
        setpoints: Setpoints,
        limits: HeldLimits,
        clock: Clock,
    ) -> None:
        self._config, self._charge_points, self._setpoints = config, charge_points, setpoints
        self._limits, self._clock = limits, clock

    def _station(self, identity: str) -> Station | None:
        try:
            return self._charge_points.station(identity)
        except NotFound:  # it has never called
            return None

    def connected(self, identity: str) -> bool | None:
        station = self._station(identity)
        return station is not None and station.connected

    def charging(self) -> Sequence[ChargingCar]:
        found = []
        for point in self._config.charge_point:
            station = self._station(point.id)
            for connector in point.connectors if station is not None and station.connected else ():
                live = station.connectors.get(connector.id) if station else None
                if live is not None and live.state(self._clock.now()) == "charging":
                    assert station is not None
                    found.append(self._car(point, connector, station, live))
        return found

    def _car(
        self, point: ChargePointConfig, connector: ConnectorConfig, station: Station, live: LiveConnector
    ) -> ChargingCar:
        told = None if connector.phase_rotation else facts_of(station).rotation.get(connector.id)
        wired = tuple(PHASE_INDEX[name] for name in phase_order(connector.phases, told))
        own_a = self._own_a(live, len(wired))
        of_vehicle_a = live.transaction.min_a if live.transaction is not None else None
        min_a = max(connector.min_a, of_vehicle_a or 0.0) if connector.modulates else None
        problem = None
        if not self._setpoints.is_controllable(point.id, connector.id):
            problem = live.setpoint_problem or "its limits do not come from here"
        elif live.transaction is None or live.offered_a is None:
            problem = "no limit has been written to it yet"
        elif not any(own_a):
            problem = "it has not told yet what its car takes"
        place = point.id, connector.id
        return ChargingCar(place, wired, own_a, live.offered_a or 0.0, min_a, problem)

    def _own_a(self, live: LiveConnector, wired: int) -> tuple[float, ...]:
        """As told on each phase; else its power on as many phases as its car is known to use."""
        reading = live.trusted_reading(self._clock.now())
        if reading is None:
            return (0.0,) * wired
        if reading.current_a is not None:
            return tuple(map(abs, reading.current_a[:wired]))
        used = live.following.phases_used or wired
        amps = (reading.power_w or 0.0) / used / self._config.site.voltage_v
        return tuple(amps if n < used else 0.0 for n in range(wired))

    async def hold(self, car: ChargingCar, limit_a: float) -> bool:
        self._limits.hold({**self._offered_now(), car.place: limit_a})
        for _ in range(int(TAKEN_WITHIN_S / LOOK_AGAIN_S)):
            station = self._station(car.place[0])
            live = station.connectors.get(car.place[1]) if station else None
            if live is None or live.transaction is None:
                return False
            if live.offered_a is not None and live.offered_a <= limit_a + RESOLUTION_A:
                return True
            await self._clock.sleep(LOOK_AGAIN_S)
        return False

    def _offered_now(self) -> dict[Place, float]:
        """Also where a car waits: it would take what the other leaves."""
        found = {}
        for point in self._config.charge_point:
            if (station := self._station(point.id)) is not None:
                for connector in point.connectors:
                    live = station.connectors.get(connector.id)
                    if live is not None and live.transaction is not None and live.offered_a is not None:
                        found[point.id, connector.id] = live.offered_a
        return found

    def let_go(self) -> None:
        self._limits.hold({})


class StationCheck:
    """window: the means of the meters for some seconds from now on. batteries: ids of their meters."""

    def __init__(
        self,
        stations: Stations,
        window: Callable[[], Awaitable[Sample]],
        sleep: Callable[[float], Awaitable[None]],
        voltage_v: float,
        batteries: Collection[str],
    ) -> None:
        self._stations, self._window, self._sleep = stations, window, sleep
        self._voltage_v, self._batteries = voltage_v, batteries

    async def step(self, car: ChargingCar) -> HeldBack | Finding:
        """Two to four times down and back; paused twice only, for cars do not bear many starts.

        Raises DeviceError.
        """
        if car.problem is not None:
            return not_checked(car.id, car.problem)
        limit_a = car.step_to_a
        back_s = CAR_FOLLOWS_S if limit_a else CAR_STARTS_S
        held = HeldBack(car.id, car.wired, car.own_a, limit_a, self._voltage_v, 0.0, None)
        changes: list[Sample] = []
        try:
            before = await self._window()
            for _ in range(MOST_CYCLES if limit_a else FEWEST_CYCLES):
                if not await self._stations.hold(car, limit_a):
                    return not_checked(car.id, f"the station has not taken a limit of {limit_a:g} A in time")
                await self._sleep(CAR_FOLLOWS_S)
                low = await self._window()
                if not await self._stations.hold(car, car.offered_a):
                    return not_checked(car.id, "its car has left meanwhile")
                await self._sleep(back_s)
                after = await self._window()
                changes.append(change(before, low, after))
                before = after
                middle = agreed_change(changes, held.expected_w)
                if middle is not None and len(changes) >= FEWEST_CYCLES:
                    return self._seen(held, middle)
        finally:
            self._stations.let_go()
        return not_checked(car.id, "the house's own load or the car moved too much to see it")

    def _seen(self, held: HeldBack, middle: Sample) -> HeldBack | Finding:
        """A home battery takes what the car leaves: nothing of it shows at the grid, or half of it."""
        answer_w = sum(middle.meters_w.get(id, 0.0) for id in self._batteries)
        if abs(answer_w) >= HIDDEN_SHARE * held.expected_w:
            return not_checked(held.id, "the battery took what its car left; put it on standby")
        return replace(held, fell_w=-middle.total_w, fell_phases_w=turned(middle.phases_w))
