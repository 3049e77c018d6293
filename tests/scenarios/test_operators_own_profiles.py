"""An operator writes a charging profile of his own: control makes way, says so, and takes over again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from running_site import RunningSite, car, running, site, station, until

ONE_PHASE = station(phases=["L2"], safe_a=6)
STATION = "CP1"


def own(purpose: str, limit_a: float, connector_id: int = 1, number: int = 77, **more: Any) -> dict[str, Any]:
    """Told to start a day before anything happens, so that it applies at once."""
    schedule = {
        "startSchedule": "2026-06-20T00:00:00Z",
        "chargingRateUnit": "A",
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit_a}],
    }
    return {
        "connectorId": connector_id,
        "csChargingProfiles": {
            "chargingProfileId": number,
            "stackLevel": 0,
            "chargingProfilePurpose": purpose,
            "chargingProfileKind": "Absolute",
            "chargingSchedule": schedule,
            **more,
        },
    }


async def write(home: RunningSite, request: dict[str, Any]) -> None:
    answer = await home.app.commands.send(STATION, "SetChargingProfile", request)
    assert answer == {"status": "Accepted"}


def known(home: RunningSite) -> list[tuple[int, str, int, bool]]:
    """What we believe to be there: connector, purpose, number, ours."""
    profiles = home.app.profiles.of_station(STATION)
    return [(one.connector_id, one.purpose, one.number, one.is_ours) for one in profiles]


def really(home: RunningSite) -> list[tuple[int, str, int]]:
    found = [(p.connector_id, p.purpose, p.id) for p in home.points[STATION].profiles]
    return sorted(found)


def problem(home: RunningSite) -> str | None:
    return home.app.charge_points.station(STATION).connector(1).setpoint_problem


async def test_a_profile_for_the_session_rules_until_it_is_cleared(folder: Path) -> None:
    async with running(site(charge_points=[ONE_PHASE]), folder) as home:
        await home.arrive(vehicle=car(phases=1))
        home.sun_w = 2400
        await home.minute(2)
        assert home.points[STATION].limit_a(1) == 10
        async with home.app.events.subscribe("station.profiles_changed") as events:
            await write(home, own("TxProfile", 13))
            assert events.get_nowait().data["charging_profile_id"] == 77
        await home.minute(2)
        assert home.points[STATION].limit_a(1) == 13
        assert problem(home) == ("TxProfile: an operator's own profile rules instead (chargingProfileId 77)")
        assert home.app.charge_points.station(STATION).connector(1).offered_a == 13
        await home.app.commands.send(STATION, "ClearChargingProfile", {"id": 77})
        await until(lambda: (1, "TxProfile", 2, True) in known(home), "control has taken over")
        await home.app.setpoints.settle()
        assert home.points[STATION].limit_a(1) == 6  # with the safe value, until it has decided anew
        await home.minute()
        assert home.points[STATION].limit_a(1) == 10
        assert problem(home) is None


async def test_a_profile_for_the_session_goes_with_it(folder: Path) -> None:
    async with running(site(charge_points=[ONE_PHASE]), folder) as home:
        await home.arrive(vehicle=car(phases=1))
        home.sun_w = 2400
        await home.minute()
        await write(home, own("TxProfile", 13, stackLevel=3))
        assert [number for _, _, number, _ in known(home)] == [1, 2, 77]
        home.points[STATION].end(1, "Local")
        live = home.app.charge_points.station(STATION).connector(1)
        await until(lambda: live.transaction is None, "the session is over")
        assert known(home) == [(1, "TxDefaultProfile", 1, True)]


async def test_a_default_of_ones_own_keeps_the_floor_away_also_over_a_restart(folder: Path) -> None:
    async with running(site(charge_points=[ONE_PHASE]), folder) as home:
        await home.minute()
        await write(home, own("TxDefaultProfile", 8))
        await home.minute()
        assert known(home) == [(1, "TxDefaultProfile", 77, False)]
        await home.stop_server()
        await home.start_server()
        await home.clock.advance(90)
        await until(lambda: home.app.charge_points.is_connected(STATION), "the station is back")
        await home.minute()
        assert really(home) == [(1, "TxDefaultProfile", 77)]
        await home.app.commands.send(STATION, "ClearChargingProfile", {})
        await until(lambda: really(home) == [(1, "TxDefaultProfile", 1)], "the floor is back")


async def test_a_number_of_ours_taken_by_an_operator_makes_ours_take_another(folder: Path) -> None:
    async with running(site(charge_points=[ONE_PHASE]), folder) as home:
        await home.minute()
        await write(home, own("ChargePointMaxProfile", 32, connector_id=0, number=1))
        await home.minute()
        assert really(home) == [(0, "ChargePointMaxProfile", 1), (1, "TxDefaultProfile", 10_001)]
        assert [entry[:3] for entry in known(home)] == really(home)


async def test_a_station_that_says_it_has_none_is_given_the_floor_again(folder: Path) -> None:
    async with running(site(charge_points=[ONE_PHASE]), folder) as home:
        await home.minute()
        home.points[STATION].profiles = ()
        answer = await home.app.commands.send(STATION, "ClearChargingProfile", {})
        assert answer == {"status": "Unknown"}
        await until(lambda: really(home) == [(1, "TxDefaultProfile", 1)], "the floor is back")
