"""Charging stations through the real path: meter, decision, charging profile, what the station allows."""

from __future__ import annotations

from pathlib import Path

import pytest
from running_site import car, heater, running, site, station, until

from csms.services.frame_log import Wanted

ONE_PHASE = station(phases=["L2"], safe_a=0)
THREE_PHASES = station(phases=["L1", "L2", "L3"], safe_a=0)


@pytest.mark.parametrize(
    ("wired", "surplus_w", "limit_a"),
    [
        (THREE_PHASES, 4140, 6),
        (THREE_PHASES, 4139, 0),
        (THREE_PHASES, 5600, 8),
        (ONE_PHASE, 1380, 6),
        (ONE_PHASE, 1379, 0),
        (ONE_PHASE, 9000, 16),
    ],
)
async def test_charging_starts_at_six_ampere_of_sun(
    folder: Path, wired: dict[str, object], surplus_w: float, limit_a: float
) -> None:
    async with running(site(charge_points=[wired]), folder) as home:
        await home.arrive()
        home.sun_w = surplus_w
        await home.minute()
        assert home.points["CP1"].limit_a(1) == limit_a


async def test_the_limit_is_zero_or_at_least_the_minimum(folder: Path) -> None:
    eight = station(phases=["L1"], min_a=8, max_a=16, safe_a=0)
    async with running(site(charge_points=[eight]), folder) as home:
        await home.arrive(vehicle=car(phases=1, min_a=8))
        for sun_w in (500, 1500, 1839, 1840, 2500, 3000, 1900, 1700, 900, 0, 0, 0, 0, 0, 2000):
            home.sun_w = sun_w
            await home.minute()
        seen = home.limits_seen["CP1"]
        assert all(limit == 0 or 8 <= limit <= 16 for limit in seen)
        assert {0, 8, 10, 13} <= set(seen)


async def test_car_and_boiler_share_the_sun(folder: Path) -> None:
    async with running(site([heater(1000, 1000, 1000)], [ONE_PHASE]), folder) as home:
        await home.arrive(vehicle=car(phases=1))
        home.sun_w = 5200
        await home.minute(3)
        grid_w = sum(home.flows_w())
        assert -230 - 92 <= grid_w <= 0  # less than one more ampere is left over, nothing is drawn
        assert home.load("CP1/1").state == "charging"


async def test_the_floor_is_written_once_and_the_control_profile_only_when_needed(folder: Path) -> None:
    async with running(site(charge_points=[ONE_PHASE]), folder) as home:
        await home.arrive()
        home.sun_w = 3000
        await home.minute(10)
        sent = await home.app.frame_log.messages("CP1", Wanted(action="SetChargingProfile"))
        texts = [frame["text"] for frame in sent if frame["direction"] == "out"]
        assert sum("TxDefaultProfile" in text for text in texts) == 1
        # The first limit, and one renewal of the dead-man after seven and a half minutes.
        assert sum('"TxProfile"' in text for text in texts) == 2


async def test_a_station_that_takes_watts_only_gets_watts(folder: Path) -> None:
    async with running(site(charge_points=[ONE_PHASE]), folder) as home:
        home.points["CP1"].configuration.store("ChargingScheduleAllowedChargingRateUnit", "Power")
        home.points["CP1"].power_cycle(off_s=1)
        configuration = home.app.charge_points.station("CP1").configuration
        await home.pass_time(120)
        await until(
            lambda: home.app.charge_points.station("CP1").configuration is not configuration, "asked anew"
        )
        await home.app.provisioning.settle()
        await home.arrive()
        home.sun_w = 2400
        await home.minute()
        assert home.points["CP1"].limit_a(1) == pytest.approx(10, abs=0.01)


async def test_an_empty_bay_and_a_car_without_badge_get_nothing(folder: Path) -> None:
    async with running(site(charge_points=[ONE_PHASE]), folder) as home:
        home.sun_w = 5000
        await home.minute()
        assert home.load("CP1/1").state == "free"
        home.points["CP1"].plug(1, car())
        await home.minute()
        assert home.load("CP1/1").state == "plugged"
        assert "badge" in home.load("CP1/1").reason
