"""People with electric vehicles: when they come, with whose badge, when they leave; by seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import count
from zoneinfo import ZoneInfo

from csms.clock import Clock
from csms.domain.site import ConnectorConfig, SiteConfig
from simulation.charge_point import SimulatedChargePoint
from simulation.noise import chance
from simulation.vehicle import Vehicle, VehicleModel

BADGES = {
    "Anna": "04A1F2C0",
    "Beat": "04B7D310",
    "Chiara": "04C9E544",
    "David": "04D2A681",
    "Elif": "04E83B17",
    "Fabio": "04F05C92",
}
"""Who lives here, and their id tags: the central system has to know these."""

FAMILY_CAR = VehicleModel("family car", battery_wh=60_000)
CITY_CAR = VehicleModel("city car", battery_wh=38_000, phases=1, max_a=32.0)
TWO_PHASE_CAR = VehicleModel("two-phase car", battery_wh=36_000, phases=2)
PLUG_IN_HYBRID = VehicleModel("plug-in hybrid", battery_wh=12_000, phases=1)
CHOOSY_CAR = VehicleModel("car that needs 8 A", battery_wh=52_000, min_a=8.0)
SLEEPER = VehicleModel("car that falls asleep", battery_wh=41_000, sleep_after_s=1800)
OLD_CAR = VehicleModel("old car", battery_wh=16_000, phases=1, max_a=13.0, modulates=False)
FLEET = (FAMILY_CAR, CITY_CAR, PLUG_IN_HYBRID, TWO_PHASE_CAR, FAMILY_CAR, CHOOSY_CAR)

DAY_ARRIVALS_H = (9.3, 11.2, 12.8)
BADGE_ATTEMPTS = 3
STATE_AFTER_WAITING_S = 8 * 3600.0


@dataclass(frozen=True, slots=True)
class Visit:
    arrive_at: datetime
    leave_at: datetime
    id_tag: str
    vehicle: VehicleModel
    soc: float
    target_soc: float


def visits(
    site: SiteConfig, index: int, connector: ConnectorConfig, first: date, seed: int
) -> Iterator[Visit]:
    """Who uses the index-th connector of the site, from this day on, without end and without overlap.

    By day a visitor, by night a resident; at the last of several connectors the resident's car stays
    plugged in over the day, and sleeps.
    """
    zone = ZoneInfo(site.site.timezone)
    tags = list(BADGES.values())
    connectors = sum(len(p.connectors) for p in site.charge_point)
    is_sleeper = index == connectors - 1 and connectors > 1
    for day in (first + timedelta(days=n) for n in count()):
        dice = [chance(seed, 70 + index, day.toordinal(), n) for n in range(8)]
        if not is_sleeper:
            arrive_h = DAY_ARRIVALS_H[index % 3] + 0.7 * dice[0]
            stay = _at(day, arrive_h, zone), _at(day, 15.5 + 1.5 * dice[1], zone)
            model = _fitting(connector, FLEET[(index + int(2 * dice[2])) % len(FLEET)])
            yield Visit(*stay, tags[index % len(tags)], model, 0.2 + 0.35 * dice[3], 0.9)
        leave_h = 24 + (15.5 if is_sleeper else 6.8) + dice[4]
        stay = _at(day, 17.8 + 1.5 * dice[5], zone), _at(day, leave_h, zone)
        model = _fitting(connector, SLEEPER if is_sleeper or connectors == 1 else FAMILY_CAR)
        yield Visit(*stay, tags[(index + 3) % len(tags)], model, 0.3 + 0.3 * dice[6], 1.0)


def _fitting(connector: ConnectorConfig, model: VehicleModel) -> VehicleModel:
    """Where the current does not vary stands the old car; a choosy one only where its minimum is set."""
    if not connector.modulates:
        return OLD_CAR
    return FAMILY_CAR if model.min_a > connector.min_a else model


def _at(day: date, hour: float, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone) + timedelta(hours=hour)


async def come_and_go(
    point: SimulatedChargePoint, connector_id: int, stays: Iterator[Visit], clock: Clock
) -> None:
    """Live these visits at one connector until cancelled. Those who came before now are there already."""
    await point.registered.wait()
    for visit in stays:
        if visit.leave_at <= clock.now():
            continue
        await clock.sleep(max(0.0, (visit.arrive_at - clock.now()).total_seconds()))
        vehicle = Vehicle(visit.vehicle, visit.soc, visit.target_soc)
        point.plug(connector_id, vehicle)
        waited_s = (clock.now() - visit.arrive_at).total_seconds()
        vehicle.step(min(waited_s, STATE_AFTER_WAITING_S), offered_a=0.0)
        await _badge(point, connector_id, visit.id_tag, clock)
        await clock.sleep(max(0.0, (visit.leave_at - clock.now()).total_seconds()))
        point.unplug(connector_id)


async def _badge(point: SimulatedChargePoint, connector_id: int, id_tag: str, clock: Clock) -> None:
    for _ in range(BADGE_ATTEMPTS):
        await clock.sleep(20)
        if await point.badge(connector_id, id_tag):
            return
