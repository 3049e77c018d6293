"""Stations that refuse or ignore the usual charging profile: what they take is found, kept and shown."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from running_site import RunningSite, car, heater, running, site, station, until

from csms.clock import Clock
from csms.services.frame_log import Wanted
from csms.services.limit_ladder import LimitStatus
from simulation.charge_point import SimulatedChargePoint
from simulation.charging_schedule import Profile, read_profile
from simulation.deviations import Deviation, Deviations, Payload
from simulation.profile_deviations import CannotPause
from simulation.station_link import Answer

ONE_PHASE = station(phases=["L2"], safe_a=6)
Rule = Callable[[Profile], bool]


class DeafStation(SimulatedChargePoint):
    """Accepts what it then does not follow."""

    ignores: Rule = staticmethod(lambda profile: False)

    @property
    def profiles(self) -> tuple[Profile, ...]:  # type: ignore[override]
        return tuple(p for p in self.__dict__["profiles"] if not self.ignores(p))

    @profiles.setter
    def profiles(self, installed: tuple[Profile, ...]) -> None:
        self.__dict__["profiles"] = installed


class WrongClock:
    """A station's own clock, fast (+) or slow (-) by so much."""

    def __init__(self, clock: Clock, fast_s: float) -> None:
        self._clock, self._fast = clock, timedelta(seconds=fast_s)

    def now(self) -> datetime:
        return self._clock.now() + self._fast

    async def sleep(self, seconds: float) -> None:
        await self._clock.sleep(seconds)


def make(
    home: RunningSite, *, rejects: Rule | None = None, ignores: Rule | None = None, id: str = "CP1"
) -> None:
    point = home.points[id]
    if rejects is not None:
        point.model = replace(point.model, rejects=rejects)
    if ignores is not None:
        point.__class__ = DeafStation
        point.ignores = ignores  # type: ignore[attr-defined]


def limits(home: RunningSite, id: str = "CP1") -> LimitStatus:
    return home.app.limits.status(id)


async def written(home: RunningSite, id: str = "CP1") -> list[str]:
    """SetChargingProfile requests so far, as texts."""
    frames = await home.app.frame_log.messages(id, Wanted(action="SetChargingProfile"), 1000)
    return [frame["text"] for frame in frames if frame["direction"] == "out"]


def tx(profile: Profile) -> bool:
    return profile.purpose == "TxProfile"


def everything(profile: Profile) -> bool:
    return True


async def charge_by_ten_amperes(home: RunningSite, minutes: int = 2) -> None:
    await home.arrive(vehicle=car(phases=1))
    home.sun_w = 2400
    await home.minute(minutes)


@pytest.mark.parametrize(
    ("rejects", "way"),
    [
        (tx, "TxDefaultProfile on the connector, level 10, Absolute, A"),
        (lambda p: p.kind == "Absolute", "TxProfile on the connector, level 0, Relative, A"),
        (lambda p: p.unit == "A", "TxProfile on the connector, level 0, Absolute, W"),
        (lambda p: tx(p) or p.stack_level > 0, "TxDefaultProfile on the connector, level 0, Absolute, A"),
        (lambda p: p.connector_id > 0, "TxDefaultProfile on the station, level 10, Absolute, A"),
        (
            lambda p: p.purpose != "ChargePointMaxProfile" or p.stack_level > 0,
            "ChargePointMaxProfile on the station, level 0, Absolute, A",
        ),
    ],
)
async def test_a_refused_way_is_followed_by_the_next_within_the_same_minute(
    folder: Path, rejects: Rule, way: str
) -> None:
    async with running(site(charge_points=[ONE_PHASE]), folder) as home:
        make(home, rejects=rejects)
        await charge_by_ten_amperes(home)
        assert home.points["CP1"].limit_a(1) == 10
        assert limits(home).rung == way
        home.sun_w = 3200
        await home.minute(2)
        assert home.points["CP1"].limit_a(1) == 13
        assert limits(home).state == "follows"
        home.points["CP1"].end(1, "Local")
        await home.minute()
        home.points["CP1"].unplug(1)
        await home.arrive(vehicle=car(phases=1))
        assert home.points["CP1"].limit_a(1) == 6  # the next car begins with the safe value


async def test_watts_for_three_phases_are_not_taken_for_more_amperes_of_a_car_on_one(folder: Path) -> None:
    """The station spreads them over its three phases, whatever the car uses: 10 A are 10 A."""
    async with running(site(charge_points=[station(safe_a=6)]), folder) as home:
        make(home, rejects=lambda p: p.unit == "A")
        await home.arrive(vehicle=car(phases=1))
        home.sun_w = 5000
        await home.minute(4)
        home.sun_w = 2400
        await home.minute(3)
        assert limits(home).rung == "TxProfile on the connector, level 0, Absolute, W"
        live = home.app.charge_points.station("CP1").connector(1)
        assert (live.following.phases_used, live.offered_a) == (1, home.points["CP1"].limit_a(1))
        assert live.offered_a == home.load("CP1/1").setpoint_a == 10


class NoAnswerTo(Deviation):
    """To the profiles of a rule it says nothing, and takes none."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule

    def answer(
        self, station: SimulatedChargePoint, action: str, payload: Payload, usual: Callable[[], Answer]
    ) -> Answer:
        if action == "SetChargingProfile":
            profile = read_profile(payload["connectorId"], payload["csChargingProfiles"])
            if self.rule(profile):
                return Answer({"status": "Accepted"}, None, after_s=1e6)
        return usual()


async def test_a_way_that_is_not_answered_three_times_is_left(folder: Path) -> None:
    """A call without an answer may be a lost packet, three in a row are not."""
    async with running(site(charge_points=[ONE_PHASE]), folder) as home:
        home.app.setpoints.writer.answered_within_s = 0.2
        absolute = NoAnswerTo(lambda p: tx(p) and p.kind == "Absolute")
        home.points["CP1"].deviations = Deviations([absolute])
        first = "TxProfile on the connector, level 0, Absolute, A"
        await charge_by_ten_amperes(home, minutes=2)
        assert limits(home).rung == first
        problem = home.app.charge_points.station("CP1").connector(1).setpoint_problem
        assert (problem or "").startswith("TxProfile: ")
        await home.minute(3)
        assert limits(home).failed == {first: "refused"}
        assert limits(home).rung == "TxProfile on the connector, level 0, Relative, A"
        assert home.points["CP1"].limit_a(1) == 10
        assert (
            len([text for text in await written(home) if '"TxProfile"' in text and "Absolute" in text]) == 3
        )


async def test_an_ignored_way_is_left_when_the_car_takes_too_much_for_a_minute(folder: Path) -> None:
    """It accepts the TxProfile and charges on at full power; its default profile it follows."""
    deaf = station(phases=["L2"], safe_a=16)
    async with running(site(charge_points=[deaf]), folder) as home:
        make(home, ignores=tx)
        async with home.app.events.subscribe("connector.not_following", "station.limit_way") as events:
            await charge_by_ten_amperes(home, minutes=1)
            assert home.points["CP1"].limit_a(1) == 16
            await home.minute(4)  # in the first, the minimum is kept for it as through a cloud
            kinds = [events.get_nowait().kind for _ in range(events.qsize())]
        assert kinds == ["connector.not_following", "station.limit_way_failed"]
        assert limits(home).rung == "TxProfile on the connector, level 0, Relative, A"
        await home.minute(12)
        assert limits(home).state == "follows"
        assert limits(home).rung == "TxDefaultProfile on the connector, level 10, Absolute, A"
        assert home.points["CP1"].limit_a(1) == 10
        assert (home.load("CP1/1").limit_words or "").startswith("follows: takes")


async def test_a_station_that_ignores_everything_is_the_houses_and_left_alone(folder: Path) -> None:
    config = site([heater(2000)], [ONE_PHASE])
    async with running(config, folder) as home:
        make(home, ignores=everything)
        async with home.app.events.subscribe("station.not_controllable") as events:
            await home.arrive(vehicle=car(phases=1, battery_kwh=500))
            home.sun_w = 2000
            await home.minute(75)
            assert events.get_nowait().data["identity"] == "CP1"
        assert limits(home).state == "not_controllable"
        before = len(await written(home))
        await home.minute(20)
        assert len(await written(home)) == before
        assert home.load("CP1/1").power_w == pytest.approx(3680, rel=0.05)
        assert home.closed() == set()  # its draw is no surplus that the heater could have
        assert "counts as the house's" in home.load("CP1/1").reason
        home.sun_w = 6500
        await home.minute(2)
        assert home.closed() == {"1"}


async def test_a_deaf_station_is_stopped_before_its_fuse_blows_and_begins_anew_when_there_is_room(
    folder: Path,
) -> None:
    """Nobody else can make room. The building restarts its server in between; the driver gets the energy."""
    config = site(charge_points=[ONE_PHASE], circuits=[{"id": "main", "limit_a": [25, 25, 25]}])
    async with running(config, folder) as home:
        make(home, ignores=everything)
        await home.arrive(vehicle=car(phases=1, battery_kwh=500))
        home.sun_w = 2000
        await home.minute(8)
        first = home.app.charge_points.station("CP1").connector(1).transaction
        assert first is not None
        home.house_w = home.sun_w + 3 * 230 * 12
        async with home.app.events.subscribe("connector.stopped_for_fuse") as events:
            await home.minute(2)
            assert await asyncio.wait_for(events.get(), 20)
        await home.drained()
        assert max(home.flows_w()) / 230 <= 25
        await home.minute()
        assert home.load("CP1/1").reason_code == "stopped"
        assert any("main fuse L2 25 A was exceeded" in words for words in home.snapshot.warnings)
        await home.stop_server()
        await home.start_server()
        await home.clock.advance(90)
        await until(lambda: home.app.charge_points.is_connected("CP1"), "the station is back")
        await home.minute(6)
        assert home.points["CP1"].outlets[1].transaction is None
        home.house_w = 0
        await home.minute(6)
        await home.drained()
        again = home.app.charge_points.station("CP1").connector(1).transaction
        assert again is not None
        assert (again.id_tag, again.id) == ("badge", first.id + 1)


async def test_what_was_learnt_survives_a_restart_and_serves_the_next_station_of_the_model(
    folder: Path,
) -> None:
    config = site(charge_points=[ONE_PHASE, station("CP2", phases=["L3"], safe_a=6)])
    async with running(config, folder) as home:
        for id in ("CP1", "CP2"):
            make(home, rejects=tx, id=id)
        await charge_by_ten_amperes(home)
        home.sun_w = 3200
        await home.minute(2)
        assert limits(home).state == "follows"
        await home.stop_server()
        await home.start_server()
        await home.clock.advance(90)
        await until(lambda: home.app.charge_points.is_connected("CP2"), "the stations are back")
        await home.minute()
        assert limits(home).state == "follows"
        await home.arrive("CP2", car(phases=1))
        home.sun_w = 7000
        await home.minute(2)
        assert home.points["CP2"].limit_a(1) >= 6
        assert not any('"TxProfile"' in text for text in await written(home, "CP2"))


async def test_forgotten_by_an_operator_it_begins_with_the_first_way_again(folder: Path) -> None:
    async with running(site(charge_points=[ONE_PHASE]), folder) as home:
        make(home, rejects=tx)
        await charge_by_ten_amperes(home)
        make(home, rejects=lambda profile: False)
        await home.app.setpoints.try_anew("CP1")
        await home.app.setpoints.settle()
        assert limits(home).rung == "TxProfile on the connector, level 0, Absolute, A"
        assert home.points["CP1"].limit_a(1) == 10
        assert {p.purpose for p in home.points["CP1"].profiles} == {"TxProfile", "TxDefaultProfile"}
        assert len(home.points["CP1"].profiles) == 2  # the default of the way before is gone


@pytest.mark.parametrize("fast_s", [-120, 120])
async def test_a_clock_two_minutes_off_shifts_neither_limit_nor_dead_man(folder: Path, fast_s: float) -> None:
    async with running(site(charge_points=[ONE_PHASE]), folder) as home:
        point = home.points["CP1"]
        point.clock = WrongClock(home.clock, fast_s)
        await charge_by_ten_amperes(home, minutes=5)
        assert limits(home).clock_behind_s == pytest.approx(-fast_s, abs=2)
        home.sun_w = 3200
        await home.minute()
        profile = next(p for p in point.profiles if tx(p))
        assert profile.start_at is not None
        age_s = (point.clock.now() - profile.start_at).total_seconds()
        assert age_s == pytest.approx(60, abs=5)
        assert point.limit_a(1) == 13
        await home.kill_server()
        await home.clock.advance(16 * 60)
        assert point.limit_a(1) == 6
        await home.start_server()


def sun_and_clouds(minute: int) -> float:
    return 3600 if minute // 3 % 2 else 2000


async def test_a_station_with_a_write_budget_keeps_to_it_and_still_protects_the_fuse(folder: Path) -> None:
    frugal: dict[str, Any] = {**station(phases=["L1"], safe_a=6), "max_profile_writes_per_day": 10}
    config = site(charge_points=[frugal], circuits=[{"id": "main", "limit_a": [20, 20, 20]}])
    async with running(config, folder) as home:
        await home.arrive(vehicle=car(phases=1, battery_kwh=500))
        for minute in range(100):
            home.sun_w = sun_and_clouds(minute)
            await home.minute()
        count = limits(home).writes_today
        assert 3 <= count <= 10
        assert limits(home).max_writes_per_day == 10
        home.sun_w, home.house_w = 9000, 0
        await home.minute(20)
        limit_a = home.points["CP1"].limit_a(1)
        home.house_w = 3 * 230 * 12 + 9000  # 12 A on each phase, net of the sun
        await home.minute(2)
        assert home.points["CP1"].limit_a(1) <= 8 < limit_a


async def test_an_operators_profile_makes_way_only_when_a_fuse_needs_it(folder: Path) -> None:
    config = site(charge_points=[ONE_PHASE], circuits=[{"id": "main", "limit_a": [25, 25, 25]}])
    schedule = {
        "startSchedule": "2026-06-20T00:00:00Z",
        "chargingRateUnit": "A",
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16}],
    }
    own = {
        "chargingProfileId": 77,
        "stackLevel": 3,
        "chargingProfilePurpose": "TxProfile",
        "chargingProfileKind": "Absolute",
        "chargingSchedule": schedule,
    }
    async with running(config, folder) as home:
        await charge_by_ten_amperes(home)
        request = {"connectorId": 1, "csChargingProfiles": own}
        await home.app.commands.send("CP1", "SetChargingProfile", request)
        await home.minute(3)
        assert home.points["CP1"].limit_a(1) == 16
        async with home.app.events.subscribe("station.profile_overruled") as events:
            home.house_w = 3 * 230 * 15 + home.sun_w  # with what the car takes that is 31 A on L2
            await home.minute(2)
            told = events.get_nowait().data
        assert (told["charging_profile_id"], told["connector_id"]) == (77, 1)
        assert home.points["CP1"].limit_a(1) <= 10
        assert "operator's profile 77 was replaced" in (home.load("CP1/1").limit_words or "")
        await home.minute(2)
        assert max(home.flows_w()) / 230 <= 25
        profiles = [(p.purpose, p.stack_level) for p in home.points["CP1"].profiles]
        assert sorted(profiles) == [("TxDefaultProfile", 0), ("TxProfile", 3)]


async def test_after_a_reset_a_setting_that_was_changed_is_found(folder: Path) -> None:
    """An installer enables external limits at the station and restarts it."""
    async with running(site(charge_points=[ONE_PHASE]), folder) as home:
        make(home, rejects=everything)
        await charge_by_ten_amperes(home)
        assert limits(home).state == "not_controllable"
        make(home, rejects=lambda profile: False)
        home.points["CP1"].power_cycle(off_s=1)
        await home.minute(8)
        assert limits(home).state == "follows"
        assert home.points["CP1"].limit_a(1) == 10


async def test_a_station_that_charges_without_transactions_is_held_by_a_cap(folder: Path) -> None:
    """It says so by current that belongs to no transaction; until then what flows counts as the house's. A
    restart does not forget it, and with its first transaction it is a station like others."""
    config = site(charge_points=[ONE_PHASE], circuits=[{"id": "main", "limit_a": [40, 40, 40]}])
    async with running(config, folder) as home:
        point = home.points["CP1"]
        outlet = point.outlets[1]
        point.model, outlet.is_free = replace(point.model, starts_by="free"), True
        point.plug(1, car(phases=1))
        home.sun_w = 2400
        async with home.app.events.subscribe("station.charges_freely") as events:
            await home.minute()
            assert home.load("CP1/1").reason_code == "not_controllable"
            await home.minute(3)
            assert events.qsize() == 1
        assert limits(home).rung == "ChargePointMaxProfile on the station, level 0, Absolute, A"
        assert point.limit_a(1) == 10
        home.sun_w = 0
        await home.minute(10)
        assert point.limit_a(1) == 0
        await home.stop_server()
        await home.start_server()
        await home.clock.advance(90)
        await until(lambda: home.app.charge_points.is_connected("CP1"), "the station is back")
        await home.minute()
        home.sun_w = 3200
        await home.minute(7)
        assert point.limit_a(1) == 13
        point.unplug(1)
        await home.minute()
        point.model, outlet.is_free = replace(point.model, starts_by="badge"), False
        await charge_by_ten_amperes(home, minutes=7)
        assert limits(home).rung == "TxProfile on the connector, level 0, Absolute, A"
        assert {p.purpose for p in point.profiles} == {"TxProfile", "TxDefaultProfile"}
        assert point.limit_a(1) == 10


async def test_a_station_that_ends_sessions_when_paused_is_paused_no_more(folder: Path) -> None:
    """It says "Other" a moment after 0 A, to one driver and to the next. The third one is not stranded."""
    async with running(site(charge_points=[ONE_PHASE]), folder) as home:
        point = home.points["CP1"]
        for _ in range(2):
            await charge_by_ten_amperes(home, minutes=7)
            assert point.limit_a(1) == 10
            home.sun_w = 0
            while point.limit_a(1) > 0:
                await home.minute()
            point.end(1, "Other")
            await home.drained()
            point.unplug(1)
            await home.minute()
        await charge_by_ten_amperes(home, minutes=7)
        home.sun_w = 0
        await home.minute(15)
        assert point.limit_a(1) == 6
        assert home.load("CP1/1").reason == "this station cannot pause: minimum of 6 A kept"


async def test_a_station_that_takes_a_pause_for_its_minimum_is_known_after_the_first(folder: Path) -> None:
    """It follows all other limits, also over a restart of the server. Where its fuse cannot carry even that,
    its session is stopped; a person who says that it was repaired is believed."""
    config = site(charge_points=[ONE_PHASE], circuits=[{"id": "main", "limit_a": [20, 20, 20]}])
    async with running(config, folder) as home:
        home.points["CP1"].deviations = Deviations([CannotPause()])
        async with home.app.events.subscribe("station.never_pauses") as events:
            await charge_by_ten_amperes(home, minutes=7)
            home.sun_w = 0
            await home.minute(9)
            assert events.qsize() == 1
        assert home.load("CP1/1").reason == "this station cannot pause: minimum of 6 A kept"
        assert (limits(home).state, limits(home).failed) == ("follows", {})
        await home.stop_server()
        await home.start_server()
        await home.clock.advance(90)
        await until(lambda: home.app.charge_points.is_connected("CP1"), "the station is back")
        home.sun_w = 2400
        await home.minute(3)
        assert home.points["CP1"].limit_a(1) == 10
        home.sun_w, home.house_w = 0, 3 * 230 * 17
        await home.minute(4)
        await home.drained()
        assert home.points["CP1"].outlets[1].transaction is None
        assert home.load("CP1/1").reason_code == "stopped"
        await home.app.setpoints.try_anew("CP1")
        assert not home.app.setpoints.never_pauses("CP1")


async def test_a_refusal_just_after_the_last_write_is_about_pace(folder: Path) -> None:
    """The way was accepted before; it is kept, and written more slowly from then on."""
    async with running(site(charge_points=[ONE_PHASE]), folder) as home:
        taken: list[datetime] = []

        def comes_too_soon(profile: Profile) -> bool:
            now = home.clock.now()
            if taken and now - taken[-1] < timedelta(seconds=30):
                return True
            taken.append(now)
            return False

        make(home, rejects=comes_too_soon)
        await charge_by_ten_amperes(home, minutes=7)
        home.sun_w = 3600
        await home.minute(3)
        home.sun_w = 3600 - 4 * 230
        while home.clock.now() - taken[-1] > timedelta(seconds=1):
            await home.minute()
        home.house_w = 2000
        await home.pass_time(20)
        await home.decide()
        assert limits(home).failed == {}
        problem = home.app.charge_points.station("CP1").connector(1).setpoint_problem
        assert problem == "TxProfile: answered Rejected: too soon after the last write"
        await home.minute()
        assert limits(home).held_back is None
        assert limits(home).rung == "TxProfile on the connector, level 0, Absolute, A"
        assert home.points["CP1"].limit_a(1) == home.load("CP1/1").setpoint_a
