"""Vehicles that are offered current and take none: those that sleep are woken, those that are full not."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from closed_loop import Car, House, connector, heater, limit_a, site, steps_on, why
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer import Circuit, ConnectorState, Decision, Mode, PowerReading, Readings
from optimizer.memory import memory_from_dict, memory_to_dict

SUN_W = 1500.0  # for 6 A on one phase
ONE = {"phases": (0,)}


@dataclass
class Sleeper(Car):
    """Sleeps after a pause, or from the start, until it is offered nothing and then wakes_a for a minute."""

    phases: int = 1
    asleep: bool = True
    wakes_a: float = 10.0
    offers: list[float] = field(default_factory=list)

    def live_on(self, offered_a: float) -> None:
        self.offers.append(offered_a)
        before = self.offers[1:-1][-2:]
        if 0.0 in before and offered_a >= self.wakes_a:
            self.asleep = False
        elif offered_a == 0 and self.delivered_wh:
            self.asleep = True
        self.takes_a = 0.0 if self.asleep else 32.0


@dataclass
class Garage(House):
    limits: list[float] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)

    def minute(self, surplus_w: float, *, age_s: float = 0.0, seconds: float = 60.0) -> Decision:
        for id, car in self.cars.items():
            if isinstance(car, Sleeper):
                car.live_on(self.offered_a.get(id, 0.0))
        decision = super().minute(surplus_w, age_s=age_s, seconds=seconds)
        self.limits.append(limit_a(decision, "CP1/1"))
        self.codes.append(next(c.reason.code for c in decision.connectors if c.id == "CP1/1"))
        return decision

    def minutes(self, count: int, surplus_w: float = SUN_W) -> Garage:
        for _ in range(count):
            self.minute(surplus_w)
        return self


def garage(car: Car, **fields: object) -> Garage:
    return Garage(site(connector(**{**ONE, **fields})), {"CP1/1": car})  # type: ignore[arg-type]


def test_a_vehicle_that_sleeps_is_offered_nothing_and_then_ten_ampere_until_it_takes() -> None:
    home = garage(Sleeper()).minutes(12)
    assert home.limits == [6, 6, 6, 6, 6, 6, 0, 10, 6, 6, 6, 6]
    assert home.codes[:4] + home.codes[5:8] == [
        "on",
        "offered",
        "offered",
        "asleep",
        "asleep",
        "waking",
        "waking",
    ]
    assert home.codes[8:] == ["on"] * 4


@pytest.mark.parametrize(
    ("wakes_a", "pushes"),
    [(10.0, [10]), (13.0, [10, 10, 13]), (16.0, [10, 10, 13, 13, 16]), (99.0, [10, 10, 13, 13, 16, 16])],
)
def test_three_rounds_of_two_minutes_each_larger_than_the_last(wakes_a: float, pushes: list[float]) -> None:
    home = garage(Sleeper(wakes_a=wakes_a)).minutes(90)
    assert [limit for limit in home.limits if limit > 6] == pushes
    assert home.codes[-1] == ("needs_hand" if wakes_a == 99 else "on")


def test_rounds_come_ever_further_apart() -> None:
    home = garage(Sleeper(wakes_a=99)).minutes(90)
    begun = [i for i in range(1, 90) if home.codes[i] == "waking" and home.codes[i - 1] != "waking"]
    assert begun == [6, 19, 52]
    assert home.limits.count(0) == 3


def test_a_vehicle_that_no_push_wakes_needs_a_hand_and_keeps_its_offer() -> None:
    home = garage(Sleeper(wakes_a=99)).minutes(180)
    assert why(home.decision, "CP1/1") == "the vehicle takes no power: full or asleep; needs a hand"
    assert home.limits[-60:] == [6] * 60
    home.cars["CP1/1"] = Car(phases=1)
    assert home.minutes(3).codes[-1] == "on"


def test_a_vehicle_that_stops_by_itself_is_full_and_never_woken() -> None:
    home = garage(Car(phases=1)).minutes(50)
    home.cars["CP1/1"].takes_a = 0.0
    home.minutes(240)
    assert set(home.codes[52:]) == {"has_enough"}
    assert set(home.limits) == {6}
    home.minutes(5, surplus_w=0).minutes(60)
    assert "waking" not in home.codes
    assert why(home.decision, "CP1/1") == "full: the vehicle takes no more"


def test_a_vehicle_that_falls_asleep_in_a_pause_is_woken_after_each_of_them() -> None:
    home = garage(Sleeper(asleep=False))
    for _ in range(4):
        home.minutes(20).minutes(10, surplus_w=0)
    pushes = [i for i in range(1, len(home.limits)) if home.limits[i] == 10 and home.limits[i - 1] == 0]
    assert len(pushes) == 3, "once in each pause but the first time, when it was awake"
    assert "needs_hand" not in home.codes


def test_however_often_it_falls_asleep_pushes_end() -> None:
    home = garage(Sleeper(asleep=False))
    for _ in range(15):
        home.minutes(20).minutes(10, surplus_w=0)
    assert sum(a == 0 and b == 10 for a, b in zip(home.limits, home.limits[1:], strict=False)) == 9


@pytest.mark.parametrize(
    ("demand", "code"),
    [
        ({"soc_percent": 100.0}, "has_enough"),
        ({"soc_percent": 55.0}, "waking"),
        ({"requested_wh": 5000.0, "delivered_wh": 4900.0}, "has_enough"),
        ({"requested_wh": 5000.0, "delivered_wh": 1000.0}, "waking"),
    ],
)
def test_what_is_known_of_its_battery_tells_full_from_asleep(demand: dict[str, float], code: str) -> None:
    class Told(Garage):
        def connector_demand(self, outlet):  # type: ignore[no-untyped-def]
            return replace(super().connector_demand(outlet), **demand)

    home = Told(site(connector(phases=(0,))), {"CP1/1": Sleeper(wakes_a=99)})
    assert home.minutes(7).codes[-1] == code


@pytest.mark.parametrize(
    ("taken_min", "code"),
    [(1, "waking"), (20, "has_enough")],
)
def test_one_that_gives_up_after_a_moment_is_not_full(taken_min: int, code: str) -> None:
    home = garage(Car(phases=1, takes_a=6.0)).minutes(taken_min)
    home.cars["CP1/1"].takes_a = 0.0
    assert code in home.minutes(8).codes[-2:]


def test_nobody_gives_way_for_a_push() -> None:
    """The boiler goes on with the sun that the sleeping car leaves."""
    home = Garage(site(heater(), connector(**ONE)), {"CP1/1": Sleeper(wakes_a=99)})  # type: ignore[arg-type]
    home.minutes(5, surplus_w=2600)
    on = [steps_on(home.minute(2600)) for _ in range(6)]
    assert on == ["1"] * 6
    assert 10 in home.limits


@pytest.mark.parametrize(("fuse_a", "push_a"), [(40.0, 10), (28.0, 9), (20.0, 6)])
def test_a_push_takes_what_the_fuse_has_left(fuse_a: float, push_a: float) -> None:
    loads = (connector(**ONE), connector("CP2/1", mode=Mode.MANUAL, manual_a=13.0, **ONE))  # type: ignore[arg-type]
    circuits = (Circuit("main", None, (fuse_a,) * 3),)  # type: ignore[arg-type]
    home = Garage(site(*loads, circuits=circuits), {"CP1/1": Sleeper(wakes_a=99), "CP2/1": Car(phases=1)})
    home.house_a = (6.0, 0.0, 0.0)
    home.minutes(7, surplus_w=7000)
    assert limit_a(home.minute(7000), "CP1/1") == (push_a if fuse_a > 25 else 0)


def test_two_at_once_the_others_later() -> None:
    """After a power cut a whole garage sleeps: it is not woken by one great surge."""
    outlets = [connector(f"CP{n}/1", **ONE) for n in range(1, 6)]  # type: ignore[arg-type]
    home = Garage(site(*outlets), {c.id: Sleeper(wakes_a=99) for c in outlets})
    busiest = 0
    for _ in range(40):
        decision = home.minute(9000)
        busiest = max(busiest, sum(c.reason.code == "waking" for c in decision.connectors))
    assert busiest == 2
    assert all(p.pushes for p in home.memory.plug_ins.values())


@pytest.mark.parametrize("twist", ["off", "meter lost", "unplugged"])
def test_a_round_is_given_up(twist: str) -> None:
    home = garage(Sleeper()).minutes(7)
    assert home.codes[-1] == "waking"
    if twist == "off":
        home.set_modes(CP1_1=Mode.OFF)
    elif twist == "unplugged":
        home.cars["CP1/1"].state = ConnectorState.FREE
    home.minute(SUN_W, age_s=400 if twist == "meter lost" else 0)
    assert home.limits[-1] == 0
    assert home.codes[-1] != "waking"
    assert twist != "unplugged" or not home.memory.plug_ins


def test_a_round_is_a_start_and_none_is_made_without_one_left() -> None:
    home = garage(Sleeper(wakes_a=99), max_starts_per_day=2).minutes(90)
    assert (home.limits.count(0), home.memory.plug_ins["CP1/1"].pushes) == (1, 1)


def test_no_push_without_sun_to_charge_by() -> None:
    assert set(garage(Sleeper()).minutes(60, surplus_w=500).limits) == {0}


def test_a_person_who_wants_it_full_wakes_it_at_night_too() -> None:
    home = garage(Sleeper(), mode=Mode.FULL).minutes(10, surplus_w=-500)
    assert home.codes[6:9] == ["waking", "waking", "full"]
    assert home.limits[-1] == 16


def test_then_the_station_is_asked_for_what_its_owner_allows() -> None:
    home = garage(Sleeper(wakes_a=99), wake_by=("restart", "reset"))
    asked = []
    for minute in range(140):
        decision = home.minute(SUN_W)
        wake = decision.connectors[0].wake
        if wake is not None:
            asked.append(wake)
            home.cars["CP1/1"].session = f"anew {minute}"
    assert asked == ["restart", "reset"]
    assert home.codes[-1] == "needs_hand"
    assert home.memory.plug_ins["CP1/1"].pushes == 3, "the plug-in is the same"


def test_another_vehicle_is_another_chance() -> None:
    home = garage(Sleeper(wakes_a=99)).minutes(90)
    home.cars["CP1/1"] = Sleeper(wakes_a=10, session="2")
    assert home.minutes(10).codes[-1] == "on"


def test_a_station_that_can_choose_changes_its_phases_too() -> None:
    """Each change between one phase and three interrupts the pilot signal."""
    home = garage(Sleeper(wakes_a=99), phases=(0, 1, 2), phase_switching=True)
    pushed = []
    for _ in range(90):
        part = home.minute(1500).connectors[0]
        if part.reason.code == "waking" and part.limit_a > 0:
            pushed.append(part.phase_count)
    assert pushed == [1, 1, 1, 1, 3, 3]


def test_memory_of_a_plug_in_survives_a_restart() -> None:
    home = garage(Sleeper(wakes_a=99)).minutes(6)
    assert memory_from_dict(memory_to_dict(home.memory)) == home.memory
    older = memory_to_dict(home.memory)
    del older["plug_ins"]
    assert memory_from_dict(older).plug_ins == {}


# --- a short start ---


def test_a_short_start_charges_at_the_minimum_once() -> None:
    home = garage(Car(phases=1), start_s=120.0, min_on_s=300.0).minutes(10, surplus_w=0)
    assert home.limits == [6, 6, 6, 0, 0, 0, 0, 0, 0, 0]
    assert home.codes[:3] == ["start"] * 3


def test_a_short_start_of_a_car_that_does_not_begin_ends() -> None:
    home = garage(Car(phases=1, takes_a=0.0), start_s=120.0).minutes(20, surplus_w=0)
    assert home.limits == [6] * 7 + [0] * 13


@pytest.mark.parametrize("mode", [Mode.OFF, Mode.MANUAL])
def test_a_person_who_switched_it_off_is_obeyed(mode: Mode) -> None:
    assert set(garage(Car(phases=1), start_s=120.0, mode=mode).minutes(5, 0).limits) == {0}


@settings(max_examples=60, deadline=None)
@given(
    minutes=st.lists(
        st.tuples(st.integers(-2000, 9000), st.integers(0, 14), st.sampled_from([0.0, 0.0, 3.0, 9.4, 32.0])),
        min_size=8,
        max_size=40,
    ),
    start_s=st.sampled_from([0.0, 120.0]),
    mode=st.sampled_from([Mode.SOLAR_ONLY, Mode.FULL, Mode.MIN_AND_SOLAR]),
)
def test_pushes_keep_within_fuses_and_their_number(
    minutes: list[tuple[int, int, float]], start_s: float, mode: Mode
) -> None:
    """Two cars on a small fuse: its limits add up, nine pushes at most, none for one that takes."""
    outlets = [connector(f"CP{n}/1", mode, start_s=start_s, **ONE) for n in (1, 2)]  # type: ignore[arg-type]
    home = Garage(
        site(*outlets, circuits=(Circuit("main", None, (20.0,) * 3),)), {c.id: Car(phases=1) for c in outlets}
    )  # type: ignore[arg-type]
    pushes = dict.fromkeys(home.cars, 0)
    for surplus_w, house_a, takes_a in minutes:
        home.cars["CP1/1"].takes_a = takes_a
        home.cars["CP2/1"].takes_a = 0.0
        home.house_a = (float(house_a), 0.0, 0.0)
        taking = {id for id, car in home.cars.items() if min(home.offered_a.get(id, 0.0), car.takes_a) >= 1}
        reading = PowerReading(home.controlled_w() - surplus_w, home.grid_a(), home.now)
        decision = home.step(Readings(reading))
        assert sum(c.limit_a for c in decision.connectors) <= max(0.0, 20 - house_a) + 1e-6
        for part in decision.connectors:
            plug_in = home.memory.plug_ins[part.id]
            assert part.limit_a == 0 or part.limit_a >= 6
            assert not (part.id in taking and plug_in.step in ("rest", "push"))
            pushes[part.id] = plug_in.pushes
    assert max(pushes.values()) <= 9
