"""A whole site in one process: real sockets on both sides; time, sun and house are set by the story."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from csms.app import App
from csms.control_loop import SiteControl
from csms.domain.site import SiteConfig
from csms.domain.snapshot import LoadSnapshot, SiteSnapshot
from csms.settings import Settings
from optimizer.model import Decision
from simulation.building import Building, Physics, WiringFaults
from simulation.charge_point import SimulatedChargePoint
from simulation.clock import VirtualClock
from simulation.photovoltaics import Photovoltaics
from simulation.vehicle import Vehicle, VehicleModel
from tests.empty_database import migrated

NOON = datetime(2026, 6, 21, 10, 0, tzinfo=UTC)
NO_SUN = Physics(pv=Photovoltaics(peak_kw=0.001), house_scale=0.0)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def until(condition: Callable[[], bool], what: str, timeout_s: float = 20) -> None:
    """Wait for the other side of a real socket."""
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.002)
    assert condition(), what


def site(
    appliances: list[dict[str, Any]] | None = None,
    charge_points: list[dict[str, Any]] | None = None,
    circuits: list[dict[str, Any]] | None = None,
    meters: list[dict[str, Any]] | None = None,
    timezone: str = "Europe/Zurich",
    modules: list[dict[str, Any]] | None = None,
    has_grid_meter: bool = True,
    **tables: Any,
) -> SiteConfig:
    """A grid meter, a line with a relay module, and what the story needs. tables: battery={…} …

    The meters need no pauses between two requests, which pass in real time.
    """
    grid = {"id": "grid", "role": "grid", "unit": 1}
    network = {"driver": "modbus", "host": "127.0.0.1", "port": free_port(), "model": "cg_em24_ethernet"}
    line = {"driver": "modbus", "host": "127.0.0.1", "port": free_port(), "framing": "rtu_over_tcp"}
    return SiteConfig.model_validate(
        {
            "site": {"id": "home", "name": "Home", "timezone": timezone},
            "circuit": circuits or [{"id": "main", "limit_a": [100, 100, 100]}],
            "meter": [
                {**network, **meter} for meter in [*([grid] if has_grid_meter else []), *(meters or [])]
            ],
            "relay_module": [
                {"model": "wellpro_wp8024adam", **line, **module}
                for module in [{"id": "io1", "unit": 10}, *(modules or [])]
            ],
            "appliance": appliances or [],
            "charge_point": charge_points or [],
            **tables,
        }
    )


def heater(*powers_w: float, **keys: Any) -> dict[str, Any]:
    """A water heater with one relay a step, on L1, L2, L3 in turn."""
    steps = [
        {"relays": [f"io1/{n + 1}"], "power_w": power_w, "phases": [f"L{n % 3 + 1}"]}
        for n, power_w in enumerate(powers_w)
    ]
    return {"id": "boiler", "kind": "water_heater", "circuit": "main", "steps": steps, **keys}


def station(id: str = "CP1", circuit: str = "main", **connector: Any) -> dict[str, Any]:
    return {"id": id, "circuit": circuit, "connectors": [{"id": 1, **connector}]}


class RunningSite:
    """`sun_w` and `house_w` are what the story sets; the rest follows from relays and vehicles.

    battery_max_w: a battery that brings the grid to 0 W with as much, both ways.
    """

    def __init__(
        self,
        config: SiteConfig,
        folder: Path,
        clock: VirtualClock,
        ocpp_port: int,
        faults: WiringFaults | None = None,
    ) -> None:
        self.config, self.clock, self._folder, self._ocpp_port = config, clock, folder, ocpp_port
        self.sun_w = 0.0
        self.house_w = 0.0
        self.battery_max_w = 0.0
        self.limits_seen: dict[str, list[float]] = {p.id: [] for p in config.charge_point}
        url = f"ws://127.0.0.1:{ocpp_port}"
        self.building = Building(config, NO_SUN, clock, url, tick_s=5.0, faults=faults)
        self.app: App
        self.control: SiteControl

    # --- the server ---

    async def start_server(self) -> None:
        settings = Settings(
            _env_file=None,  # type: ignore[call-arg]
            data_dir=self._folder,
            ocpp_host="127.0.0.1",
            ocpp_port=self._ocpp_port,
        )
        self.app = App(settings, self.clock)
        migrated(settings.effective_database_url())
        await self.app.start(control=False, web=False)
        if not self.app.sites.all():
            await self.app.sites.apply(self.config)
        self.control = SiteControl(
            self.config,
            self.app.sites,
            self.app.charge_points,
            self.app.setpoints,
            self.app.reporting,
            self.app.live,
            self.clock,
        )
        await self.control.recall()
        await self.control.devices.poll()

    async def stop_server(self) -> None:
        await self.control.devices.stop()
        await self.app.stop()

    async def kill_server(self) -> None:
        """Nothing is told to anybody: sockets close, that is all."""
        await self.stop_server()

    # --- time ---

    async def minute(self, minutes: int = 1) -> Decision:
        """The world moves on one minute, then the controller looks and acts."""
        for _ in range(minutes):
            self.show()
            await self.pass_time(60)
            self.show()
            await self.control.devices.poll()
            decision = await self.control.tick()
            await self.app.setpoints.settle()
            for id, point in self.points.items():
                self.limits_seen[id].append(point.limit_a(1))
        return decision

    async def pass_time(self, seconds: float) -> None:
        """Stations live on and the server has taken in all that they sent.

        What they had to say before is heard first: one that waits for an answer would miss how time moves on.
        """
        await self.drained()
        await self.clock.advance(seconds)
        await self.drained()

    async def drained(self) -> None:
        connected = [p for p in self.points.values() if p.is_connected]
        await until(lambda: all(p.is_heard_out for p in connected), "stations have said everything")

    async def provisioned(self) -> None:
        """Every station has booted and been asked what it can do."""
        for id, point in self.points.items():
            async with asyncio.timeout(20):
                await point.registered.wait()
            await until(lambda id=id: bool(self.app.charge_points.station(id).configuration), "asked")  # type: ignore[misc]
        await self.app.provisioning.settle()
        await self.drained()

    def show(self) -> None:
        """Put the present flows on the grid meter: the sun on all phases evenly, loads on their own."""
        l1, l2, l3 = self.flows_w()
        battery_w = max(-self.battery_max_w, min(self.battery_max_w, -(l1 + l2 + l3)))
        l1, l2, l3 = (flow + battery_w / 3 for flow in (l1, l2, l3))
        if "accu" in self.building.meters:
            self.building.meters["accu"].set(power_w=battery_w)
        if "grid" in self.building.meters:
            self.building.meters["grid"].set(power_w=l1 + l2 + l3, phase_power_w=(l1, l2, l3))

        for meter in self.config.meter:
            if meter.role == "zone" and meter.circuit is not None:
                self.building.meters[meter.id].set(phase_power_w=self._through_w(meter.circuit))

    def _through_w(self, circuit: str) -> tuple[float, float, float]:
        """Through the fuse of a circuit that has charge points only."""
        flows = [0.0, 0.0, 0.0]
        for point in self.config.charge_point:
            if point.circuit == circuit:
                for phase, watts in enumerate(self.building.connector_w(point.id, 1)):
                    flows[phase] += watts
        return flows[0], flows[1], flows[2]

    async def decide(self) -> None:
        """Look and act now, as when the control is woken between two minutes."""
        self.show()
        await self.control.devices.poll()
        await self.control.tick()
        await self.app.setpoints.settle()

    def flows_w(self) -> tuple[float, float, float]:
        flows = [(self.house_w - self.sun_w) / 3] * 3
        for appliance in self.config.appliance:
            for n, step in enumerate(appliance.steps, 1):
                if str(n) in self.closed(appliance.id):
                    for phase in step.phases:
                        flows[int(phase[1]) - 1] += step.power_w / len(step.phases)
        for point in self.config.charge_point:
            for phase, watts in enumerate(self.building.connector_w(point.id, 1)):
                flows[phase] += watts
        return flows[0], flows[1], flows[2]

    # --- what is there to see ---

    @property
    def points(self) -> dict[str, SimulatedChargePoint]:
        return self.building.charge_points

    def closed(self, appliance_id: str = "boiler") -> set[str]:
        """Steps whose coil is closed in the Modbus device."""
        appliance = next(a for a in self.config.appliance if a.id == appliance_id)
        return {
            str(n)
            for n, step in enumerate(appliance.steps, 1)
            if all(self._is_closed(relay) for relay in step.relays)
        }

    def _is_closed(self, relay: str) -> bool:
        module, number = relay.split("/")
        return self.building.relay_modules[module].coils[int(number) - 1 : int(number)] == (True,)

    @property
    def snapshot(self) -> SiteSnapshot:
        snapshot = self.app.live.get("home")
        assert snapshot is not None
        return snapshot

    def load(self, id: str = "boiler") -> LoadSnapshot:
        return next(load for load in self.snapshot.loads if load.id == id)

    # --- people ---

    async def arrive(self, id: str = "CP1", vehicle: Vehicle | None = None, id_tag: str = "badge") -> None:
        """A driver plugs in and holds the badge to the station."""
        point = self.points[id]
        point.plug(1, vehicle or car())
        await self.pass_time(5)
        assert await point.badge(1, id_tag)
        await self.pass_time(5)
        live = self.app.charge_points.station(id).connector(1)
        await until(lambda: live.transaction is not None, "the transaction has started")


def car(phases: int = 3, max_a: float = 16, battery_kwh: float = 60, **keys: Any) -> Vehicle:
    """A car that takes what it is offered, at once."""
    model = VehicleModel("car", phases=phases, max_a=max_a, battery_wh=battery_kwh * 1000, **keys)
    return Vehicle(model, soc=0.1)


@contextlib.asynccontextmanager
async def running(
    config: SiteConfig,
    folder: Path,
    start: datetime = NOON,
    clock: VirtualClock | None = None,
    faults: WiringFaults | None = None,
) -> AsyncIterator[RunningSite]:
    """Devices, stations and server up; the first decision is made by the story's first minute."""
    clock = clock or VirtualClock(start)
    running_site = RunningSite(config, folder, clock, free_port(), faults)
    async with contextlib.AsyncExitStack() as stack:
        for converter in running_site.building.listeners():
            await converter.start()
            stack.push_async_callback(converter.stop)
        running_site.show()
        await running_site.start_server()
        stack.push_async_callback(lambda: running_site.stop_server())
        for point in running_site.points.values():
            await point.start()
            stack.push_async_callback(point.stop)
        await running_site.provisioned()
        yield running_site
