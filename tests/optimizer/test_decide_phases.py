"""Stations that can be told to use one phase of three."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

from closed_loop import NOON, Car, connector, heater, limit_a, load, site, triple, why
from hypothesis import given, settings
from hypothesis import strategies as st
from limited_house import LimitedHouse

from optimizer import (
    NO_CURRENT,
    Circuit,
    ConnectorDecision,
    ConnectorDemand,
    ConnectorState,
    Decision,
    Demands,
    Memory,
    Mode,
    PowerReading,
    Readings,
    decide,
)
from optimizer.model import ConnectorMemory


def garage(mode: Mode = Mode.SOLAR_ONLY, phases: int = 3, **fields: object) -> LimitedHouse:
    station = connector(mode=mode, phase_switching=True, **fields)
    return LimitedHouse(site(station), {"CP1/1": Car(phases=phases)})


def offer(decision: Decision | None) -> tuple[int | None, float]:
    part = load(decision, "CP1/1")
    assert isinstance(part, ConnectorDecision)
    return part.phase_count, part.limit_a


def test_a_small_surplus_starts_on_one_phase() -> None:
    home = garage()
    assert offer(home.minute(1379))[1] == 0
    assert offer(home.minute(1380)) == (1, 6)
    assert why(home.decision, "CP1/1") == "on: 1380 W surplus covers 6 A on one phase (1380 W)"
    assert offer(home.minute(3700)) == (1, 16)


def test_a_large_surplus_starts_on_three() -> None:
    assert offer(garage().minute(6900)) == (3, 10)


def test_up_with_margin_down_where_three_minima_are_not_covered() -> None:
    home = garage()
    home.minute(3000)
    for _ in range(8):
        assert offer(home.minute(4200)) == (1, 16), "3680 W on one phase, 4140 on three: not worth it"
    assert offer(home.minute(4900)) == (3, 7)
    for _ in range(8):
        assert offer(home.minute(4200)) == (3, 6), "the minimum is covered: no way back"
    assert offer(home.minute(3500)) == (1, 15)


def test_it_dwells_seven_minutes() -> None:
    home = garage(min_on_s=600.0)
    home.minute(3000)
    home.minute(6000)
    assert offer(home.decision) == (3, 8)
    counts = [offer(home.minute(3000)) for _ in range(9)]
    assert counts == [(3, 6)] * 6 + [(1, 13)] * 3


def test_from_three_phases_to_one_in_the_evening_with_few_switches() -> None:
    """The sun sinks from 9 kW to nothing in four hours while clouds pass: two kilowatts up and down."""
    home = garage(min_on_s=300.0, min_off_s=300.0)
    counts = []
    for minute in range(240):
        cloud_w = 1000 if (minute // 3) % 2 else -1000
        decision = home.minute(9000 - minute * 37.5 + cloud_w)
        if limit_a(decision) > 0:
            counts.append(offer(decision)[0])
    changes = sum(a != b for a, b in pairwise(counts))
    assert counts[0] == 3
    assert counts[-1] == 1
    assert changes <= 5


def test_never_more_than_four_times_an_hour() -> None:
    home = garage()
    counts = [offer(home.minute(2000.0 if (m // 8) % 2 else 7000.0))[0] for m in range(60)]
    assert sum(a != b for a, b in pairwise(counts)) <= 4


def test_full_gets_all_phases() -> None:
    home = garage()
    home.minute(2000)
    home.set_modes(CP1_1=Mode.FULL)
    assert offer(home.minute(2000)) == (3, 16)


def test_minimum_and_solar_takes_the_minimum_of_one_phase() -> None:
    home = garage(Mode.MIN_AND_SOLAR)
    assert offer(home.minute(0)) == (1, 6)
    assert offer(home.minute(8000)) == (3, 11)


def test_a_one_phase_car_is_seen_and_left_where_it_is() -> None:
    home = garage(phases=1)
    home.minute(6000)
    home.minute(6000)
    assert {offer(home.minute(w))[0] for w in (6000, 2000, 6000, 1500)} == {3}
    assert limit_a(home.decision) == 6


def test_one_phase_counts_on_its_own_phase_of_the_fuse() -> None:
    """Its first phase is the site's L2."""
    station = connector(mode=Mode.MIN_AND_SOLAR, phases=(1, 2, 0), phase_switching=True)
    main = (Circuit("main", None, (20.0, 20.0, 20.0)),)
    home = LimitedHouse(site(station, circuits=main), {"CP1/1": Car()}, house_a=(0.0, 10.0, 0.0))
    assert offer(home.minute(3000)) == (1, 10)
    home.minute(3000)
    assert home.grid_a() == (0.0, 20.0, 0.0)


def test_a_station_that_cannot_choose_is_told_nothing() -> None:
    home = LimitedHouse(site(connector()), {"CP1/1": Car()})
    assert offer(home.minute(5000)) == (None, 7)


@settings(max_examples=60, deadline=None)
@given(
    surpluses=st.lists(st.integers(-1000, 13_000), min_size=2, max_size=40),
    mode=st.sampled_from([Mode.SOLAR_ONLY, Mode.MIN_AND_SOLAR, Mode.FULL, Mode.MANUAL]),
    car_phases=st.sampled_from([1, 3]),
    fuse_a=st.sampled_from([12.0, 25.0]),
)
def test_whatever_the_sun_does_the_rules_of_phases_hold(
    surpluses: list[int], mode: Mode, car_phases: int, fuse_a: float
) -> None:
    main = (Circuit("main", None, (fuse_a,) * 3),)
    stations = (
        connector(mode=mode, phase_switching=True, manual_a=9.0),
        connector("CP2/1", phases=(1, 2, 0), phase_switching=True),
        heater(),
    )
    home = LimitedHouse(site(*stations, circuits=main), {"CP1/1": Car(phases=car_phases), "CP2/1": Car()})
    changed_at: dict[str, list[int]] = {"CP1/1": [], "CP2/1": []}
    for minute, w in enumerate(surpluses):
        before = dict(home.phase_counts)
        decision = home.minute(w)
        amps = [0.0, 0.0, 0.0]
        for outlet, part in zip(home.site.connectors, decision.connectors, strict=True):
            assert part.phase_count in (1, 3)
            assert part.limit_a == 0 or 6 <= part.limit_a <= 16
            used = home.phases_of(outlet)
            amps = [a + b for a, b in zip(amps, triple(part.limit_a, used), strict=True)]
            known = before.get(outlet.id)
            if known not in (None, part.phase_count) and home.memory.connectors[outlet.id].phase_changes:
                changed_at[outlet.id].append(minute)
        assert max(amps) <= fuse_a + 1e-6
    for times in changed_at.values():
        assert all(b - a >= 7 for a, b in pairwise(times))


def test_a_one_phase_car_on_a_rotated_station_loads_the_phase_it_is_wired_to() -> None:
    """The station's L1 is the site's L2: fuse, draw and memory mean that one."""
    station = connector(mode=Mode.FULL, phases=(1, 2, 0))
    main = (Circuit("main", None, (25.0, 25.0, 25.0)),)
    home = LimitedHouse(site(station, circuits=main), {"CP1/1": Car(phases=1)}, house_a=(20.0, 2.0, 2.0))
    assert limit_a(home.minute(0)) == 0, "until it is seen it may use all three, and L1 has 5 A left"
    home.house_a = (15.0, 2.0, 2.0)
    home.minute(0)
    home.house_a = (22.0, 2.0, 2.0)
    assert limit_a(home.minute(0)) == 16, "now it is known to hang on L2 alone"
    assert home.memory.connectors["CP1/1"].phases == (1,)


@settings(max_examples=40, deadline=None)
@given(
    before_w=st.integers(-1000, 13_000),
    surplus_w=st.integers(-1000, 13_000),
    car_phases=st.sampled_from([1, 3]),
)
def test_a_constant_sun_settles_on_a_number_of_phases(before_w: int, surplus_w: int, car_phases: int) -> None:
    home = garage(phases=car_phases)
    for w in (before_w, before_w, *[surplus_w] * 9):
        settled = offer(home.minute(w))
    assert [offer(home.minute(surplus_w)) for _ in range(10)] == [settled] * 10


def test_a_station_that_does_not_switch_is_taken_for_what_it_draws() -> None:
    """It was told one phase and goes on with three: the fuses of all three must bear it."""
    home = garage()
    for _ in range(9):
        home.minute(7000)
    home.minute(3000)
    assert offer(home.decision)[0] == 1
    for _ in range(3):
        home.phase_counts["CP1/1"] = 3
        home.minute(3000)
    assert home.memory.connectors["CP1/1"].phase_count == 3


def test_a_station_that_does_not_switch_and_tells_power_only_is_taken_for_what_it_draws() -> None:
    """Told 10 A on one phase it draws 6.9 kW: another car's fuse must bear three times 10 A."""
    garage = (Circuit("main", None, (99.0, 99.0, 99.0)), Circuit("garage", "main", (20.0, 20.0, 20.0)))
    switching = connector(mode=Mode.MIN_AND_SOLAR, phase_switching=True, circuit="garage", min_a=10.0)
    other = connector("CP2/1", Mode.FULL, phases=(1,), circuit="garage", max_a=20.0)
    now = NOON + timedelta(minutes=5)
    known = ConnectorMemory(
        10.0, NOON, "1", offered_at=NOON, taking_at=NOON, phase_count=1, phase_changes=(NOON,)
    )
    demands = Demands(
        {},
        {
            "CP1/1": ConnectorDemand(ConnectorState.CHARGING, 6900.0, None, 10.0, "1"),
            "CP2/1": ConnectorDemand(ConnectorState.READY, 0.0, NO_CURRENT, 6.0, "2"),
        },
    )
    reading = Readings(PowerReading(6900.0, (10.0, 10.0, 10.0), now))
    decision, memory = decide(
        site(switching, other, circuits=garage), reading, demands, Memory(connectors={"CP1/1": known}), now
    )
    assert memory.connectors["CP1/1"].phase_count == 3
    assert limit_a(decision, "CP2/1") == 10
