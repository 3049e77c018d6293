"""A simulated station of some character beside a central system, and what is asked of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from central_system import CentralSystem

from simulation.charge_point import SimulatedChargePoint
from simulation.vehicle import VehicleModel

NOON = datetime(2026, 6, 21, 12, tzinfo=UTC)
CAR = VehicleModel("car", battery_wh=50_000, reaction_s=2, shortfall_a=0.0, max_a=32)
ONE_PHASE = VehicleModel("small car", battery_wh=50_000, reaction_s=2, shortfall_a=0.0, phases=1)
TAKEN, REFUSED = "Accepted", "Rejected"

Make = Callable[..., Awaitable[SimulatedChargePoint]]


async def status(central: CentralSystem, action: str, payload: dict[str, Any]) -> str:
    return str((await central.call(action, payload))["status"])


def profile(
    *rows: tuple[int, float] | tuple[int, float, int], purpose: str = "TxProfile", **more: Any
) -> dict[str, Any]:
    """From a minute ago on. more: level, kind, unit, transaction, connector, start."""
    periods = [dict(zip(("startPeriod", "limit", "numberPhases"), row, strict=False)) for row in rows]
    kind = more.get("kind", "Absolute")
    schedule: dict[str, Any] = {"chargingRateUnit": more.get("unit", "A"), "chargingSchedulePeriod": periods}
    if kind == "Absolute":
        schedule["startSchedule"] = more.get("start", "2026-06-21T11:59:00Z")
    described: dict[str, Any] = {
        "chargingProfileId": more.get("id", 5),
        "stackLevel": more.get("level", 0),
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": kind,
        "chargingSchedule": schedule,
    }
    if "transaction" in more:
        described["transactionId"] = more["transaction"]
    return {"connectorId": more.get("connector", 1), "csChargingProfiles": described}


async def write(central: CentralSystem, request: dict[str, Any]) -> str:
    return await status(central, "SetChargingProfile", request)


async def sampled(central: CentralSystem) -> list[dict[str, Any]]:
    payload = await central.next("MeterValues")
    return list(payload["meterValue"][0]["sampledValue"])
