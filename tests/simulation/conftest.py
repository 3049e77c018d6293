from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
from central_system import CentralSystem
from odd_station import CAR, NOON, Make, status

from simulation.charge_point import SimulatedChargePoint
from simulation.clock import VirtualClock
from simulation.outlet import ConnectorHardware
from simulation.personalities import stations
from simulation.station_model import StationModel
from simulation.vehicle import Vehicle, VehicleModel


@pytest.fixture
async def central() -> AsyncIterator[CentralSystem]:
    system = CentralSystem()
    await system.start()
    yield system
    await system.stop()


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(NOON)


@pytest.fixture
async def make(central: CentralSystem, clock: VirtualClock) -> AsyncIterator[Make]:
    """The station of a character, connected and registered."""
    async with AsyncExitStack() as running:

        async def build(character: str | StationModel) -> SimulatedChargePoint:
            model, phases = (
                (character, 3)
                if isinstance(character, StationModel)
                else (stations()[character].model, len(stations()[character].wiring))
            )
            hardware = ConnectorHardware(1, phases, 32.0)
            point = SimulatedChargePoint(central.url, "CP 1", [hardware], clock=clock, model=model)
            await point.start()
            running.push_async_callback(point.stop)
            await central.next("StatusNotification", connectorId=1, status="Available")
            return point

        yield build


@pytest.fixture
def drive_in(central: CentralSystem, clock: VirtualClock) -> Callable[..., Awaitable[int]]:
    async def plug_and_start(point: SimulatedChargePoint, car: VehicleModel = CAR) -> int:
        """The transaction's id, with the car charging if it is let."""
        point.plug(1, Vehicle(car, 0.3))
        if point.model.starts_by == "badge":
            assert await point.badge(1, "ANNA")
        elif point.model.starts_by == "remote":
            assert await status(central, "RemoteStartTransaction", {"connectorId": 1, "idTag": "ANNA"}) == (
                "Accepted"
            )
        await central.next("StartTransaction")
        await clock.advance(30)
        transaction = point.outlets[1].transaction
        assert transaction is not None
        assert transaction.id is not None
        return transaction.id

    return plug_and_start
