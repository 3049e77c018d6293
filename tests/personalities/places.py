"""One building for each character: its own site, fuse and meters, one station and one vehicle, on one server.

The server is the whole App over real sockets; time is virtual. A garage's fuse is shared with a neighbour who
is not controlled; what flows there and at the grid connection is told by Modbus meters.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from csms.app import App
from csms.control_loop import SETTLE_S, WAKING_EVENTS, SiteControl
from csms.domain.site import SiteConfig
from csms.settings import Settings
from optimizer.model import Decision
from simulation.building import Building, Physics
from simulation.charge_point import SimulatedChargePoint
from simulation.clock import VirtualClock
from simulation.outlet import ConnectorHardware
from simulation.personalities import StationCharacter, VehicleCharacter, stations, vehicles
from simulation.photovoltaics import Photovoltaics
from simulation.vehicle import Vehicle
from tests.empty_database import migrated

NOON = datetime(2026, 6, 21, 10, 0, tzinfo=UTC)
STEP_S = 5.0
VOLTAGE_V = 230.0
PHASES = ("L1", "L2", "L3")
LEFT_BY_NEIGHBOUR_A = 12.0
SPARE_A = 4.0
QUIET_LOOKS = 4
QUIET_LOOK_S = 0.001


# Below the range of outgoing connections: dozens are opened before the last one is listened on.
_PORTS = itertools.cycle(range(12_000 + 97 * (os.getpid() % 200), 32_000))


def free_port() -> int:
    for port in _PORTS:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
    raise AssertionError("the ports go round")


@dataclass(frozen=True, slots=True)
class Sample:
    """One moment. setpoint_a: decided; pilot_a: what the station shows; drawn_a: on the grid's phases;
    excess_a: above the garage's fuse. at_s: since the story began."""

    at_s: float
    setpoint_a: float | None
    pilot_a: float
    drawn_a: tuple[float, float, float]
    excess_a: float


@dataclass(slots=True)
class Place:
    """A character's building. sun_w, house_w and neighbour_a are what the story sets."""

    name: str
    station: StationCharacter
    vehicle: VehicleCharacter
    need_wh: float
    sun_w: float = 0.0
    house_w: float = 400.0
    neighbour_a: float = 0.0
    samples: list[Sample] = field(default_factory=list)
    config: SiteConfig = field(init=False)
    building: Building = field(init=False)
    point: SimulatedChargePoint = field(init=False)
    car: Vehicle = field(init=False)
    control: SiteControl = field(init=False)
    decision: Decision | None = None
    decided_at: datetime | None = None
    is_woken: bool = False

    def __post_init__(self) -> None:
        self.config = SiteConfig.model_validate(self._site())

    @property
    def id(self) -> str:
        return re.sub(r"\W+", "-", self.name).strip("-")

    @property
    def max_a(self) -> float:
        return self.config.charge_point[0].connectors[0].max_a

    @property
    def fuse_a(self) -> float:
        return self.max_a + SPARE_A

    @property
    def phase_count(self) -> int:
        return min(len(self.station.wiring), self.vehicle.model.phases)

    def _site(self) -> dict[str, Any]:
        bus = {"driver": "modbus", "model": "cg_em24_ethernet", "host": "127.0.0.1", "port": free_port()}

        # An installer names the conductors as they are labelled; a rotation is for the station to tell.
        phases = list(PHASES) if len(self.station.wiring) == 3 else list(self.station.wiring)
        settings = {"max_a": 16, "phases": phases} | self.vehicle.settings | self.station.settings
        fuse_a = settings["max_a"] + SPARE_A
        return {
            "site": {"id": self.id, "name": self.station.name, "timezone": "Europe/Zurich"},
            "circuit": [
                {"id": "main", "limit_a": [200, 200, 200]},
                {"id": "garage", "parent": "main", "limit_a": [fuse_a] * 3},
            ],
            "meter": [
                {"id": "grid", "role": "grid", "unit": 1, **bus},
                {"id": "garage", "role": "zone", "circuit": "garage", "unit": 2, **bus},
            ],
            "charge_point": [
                {
                    "id": self.id,
                    "circuit": "garage",
                    "connectors": [{"id": 1, **settings}],
                }
            ],
        }

    def build(self, clock: VirtualClock, ocpp_url: str) -> None:
        self.building = Building(self.config, Physics(pv=Photovoltaics(peak_kw=0.001)), clock, ocpp_url)
        hardware = ConnectorHardware(1, len(self.station.wiring), self.station.max_a)
        self.point = SimulatedChargePoint(
            ocpp_url, self.id, [hardware], clock=clock, model=self.station.model, tick_s=STEP_S
        )
        per_wh = self.vehicle.model.efficiency / self.vehicle.model.battery_wh
        if self.vehicle.already is None:
            soc, target = 0.2, 0.2 + self.need_wh * per_wh
        else:
            soc, target = self.vehicle.already, self.vehicle.until
            self.need_wh = (target - soc) / per_wh
        self.car = Vehicle(self.vehicle.model, soc, target)

    # --- what flows ---

    def station_a(self) -> tuple[float, float, float]:
        """On the grid's phases."""
        by_phase = dict(zip(self.station.wiring, self.point.current_a(1), strict=False))
        l1, l2, l3 = (by_phase.get(phase, 0.0) for phase in PHASES)
        return l1, l2, l3

    def garage_a(self) -> tuple[float, float, float]:
        """The neighbour hangs on the phase of the station's first conductor."""
        own = self.station_a()
        at = PHASES.index(self.station.wiring[0])
        l1, l2, l3 = (a + (self.neighbour_a if n == at else 0.0) for n, a in enumerate(own))
        return l1, l2, l3

    def show(self) -> None:
        g1, g2, g3 = (VOLTAGE_V * a for a in self.garage_a())
        rest_w = (self.house_w - self.sun_w) / 3
        self.building.meters["garage"].set(power_w=g1 + g2 + g3, phase_power_w=(g1, g2, g3))
        total_w = g1 + g2 + g3 + 3 * rest_w
        self.building.meters["grid"].set(
            power_w=total_w, phase_power_w=(g1 + rest_w, g2 + rest_w, g3 + rest_w)
        )

    def setpoint_a(self) -> float | None:
        return self.decision.connectors[0].limit_a if self.decision is not None else None

    def note(self, at_s: float) -> None:
        excess_a = max(0.0, max(self.garage_a()) - self.fuse_a)
        outlet = self.point.outlets[1]
        sample = Sample(at_s, self.setpoint_a(), outlet.offered_a, self.station_a(), excess_a)
        self.samples.append(sample)

    # --- control ---

    async def decide(self, now: datetime) -> None:
        self.show()
        await self.control.devices.poll()
        self.decision = await self.control.tick()
        self.decided_at, self.is_woken = now, False


def place(name: str, need_wh: float) -> Place:
    """The character of this name: a station and its visitor, or a vehicle at a well-behaved station.

    need_wh: what a vehicle with three phases needs; others in proportion.
    """
    if name in stations():
        station = stations()[name]
        visitor = vehicles()[station.visitor]
    else:
        station, visitor = stations()["Well-behaved"], vehicles()[name]
    phases = min(len(station.wiring), visitor.model.phases)
    return Place(name, station, visitor, need_wh * phases / 3)


class Quarter:
    """All places on one server and one clock."""

    def __init__(self, places: Iterable[Place], folder: Path) -> None:
        self.places = list(places)
        self.clock = VirtualClock(NOON)
        self.app: App
        self._folder, self._port = folder, free_port()
        self._woken: set[str] = set()
        self._listener: asyncio.Task[None] | None = None
        for one in self.places:
            one.build(self.clock, f"ws://127.0.0.1:{self._port}")

    async def open(self) -> None:
        for one in self.places:
            for converter in one.building.listeners():
                await converter.start()
            one.show()
        await self.start_server()
        for one in self.places:
            await one.point.start()
        await self.pass_time(30)

    async def close(self) -> None:
        for one in self.places:
            await one.point.stop()
        await self.stop_server()
        for one in self.places:
            for converter in one.building.listeners():
                await converter.stop()

    async def start_server(self) -> None:
        settings = Settings(
            _env_file=None,  # type: ignore[call-arg]
            data_dir=self._folder,
            ocpp_host="127.0.0.1",
            ocpp_port=self._port,
        )
        self.app = App(settings, self.clock)
        migrated(settings.effective_database_url())
        await self.app.start(control=False, web=False)
        known = {config.site.id for config in self.app.sites.all()}
        for one in self.places:
            if one.config.site.id not in known:
                await self.app.sites.apply(one.config)
            one.control = self.app.control._control(one.config)
            await one.control.recall()
        ready = asyncio.Event()
        self._listener = asyncio.create_task(self._listen(ready))
        await ready.wait()

    async def stop_server(self) -> None:
        if self._listener is not None:
            self._listener.cancel()
        for one in self.places:
            await one.control.devices.stop()
        await self.app.stop()

    async def recorded_wh(self, one: Place) -> float:
        """Energy of its transactions as the server has it."""
        return sum(row["energy_wh"] for row in await self.app.reporting.transactions(identity=one.id))

    async def _listen(self, ready: asyncio.Event) -> None:
        """What wakes the control between two minutes."""
        async with self.app.events.subscribe(*WAKING_EVENTS) as queue:
            ready.set()
            while True:
                event = await queue.get()
                self._woken.add(str(event.data.get("identity", "")).casefold())

    # --- time ---

    async def pass_time(self, seconds: float) -> None:
        """The world and the wires move on in small steps; the control decides only where it is woken."""
        for _ in range(round(seconds / STEP_S)):
            await self.clock.advance(STEP_S)
            await self.quiet()
            now = self.clock.now()
            for one in self.places:
                one.note((now - NOON).total_seconds())
            await self._decide([one for one in self.places if self._is_due(one, now)])

    async def minutes(self, count: int) -> None:
        for _ in range(count):
            await self._decide(self.places)
            await self.quiet()
            await self.pass_time(60)

    async def _decide(self, places: list[Place]) -> None:
        """All at once: buses have a pace of their own, in real seconds."""
        await asyncio.gather(*(one.decide(self.clock.now()) for one in places))

    def _is_due(self, one: Place, now: datetime) -> bool:
        """Woken between two minutes, and not just before."""
        if one.id.casefold() in self._woken:
            self._woken.discard(one.id.casefold())
            one.is_woken = True
        is_settled = one.decided_at is not None and (now - one.decided_at).total_seconds() >= SETTLE_S
        return one.is_woken and is_settled

    async def quiet(self) -> None:
        """Until nothing has come or gone on any wire for a while."""
        same, before = 0, -1
        while same < QUIET_LOOKS:
            await asyncio.sleep(QUIET_LOOK_S)
            waiting = sum(len(one.point.unsent) for one in self.places if one.point.registered.is_set())
            now = sum(one.point.frames for one in self.places)
            same = same + 1 if now == before and not waiting else 0
            before = now

    # --- people ---

    async def arrive(self, one: Place) -> None:
        """A driver plugs in and does what the station asks for: a badge, or a start by telephone."""
        one.point.plug(1, one.car)
        if one.station.model.starts_by == "badge":
            await one.point.badge(1, "driver")
        elif one.station.model.starts_by == "remote":
            payload = {"connectorId": 1, "idTag": "driver"}
            asking = self.app.commands.send(one.id, "RemoteStartTransaction", payload)
            self._asking = asyncio.create_task(asking)  # a slow station answers when time has passed
