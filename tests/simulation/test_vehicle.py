"""What vehicles make of the current they are offered."""

from __future__ import annotations

from dataclasses import replace

import pytest

from simulation.vehicle import PilotState, Vehicle, VehicleModel

CAR = VehicleModel("car", battery_wh=50_000, shortfall_a=0.0)
OLD = VehicleModel("old car", battery_wh=16_000, phases=1, max_a=13, modulates=False)
SLEEPER = VehicleModel("sleeper", battery_wh=40_000, sleep_after_s=1800)


def plugged(model: VehicleModel, soc: float = 0.4, target_soc: float = 1.0) -> Vehicle:
    vehicle = Vehicle(model, soc, target_soc)
    vehicle.plug()
    return vehicle


@pytest.mark.parametrize(
    ("vehicle_phases", "station_phases", "expected"),
    [
        (3, 3, (10, 10, 10)),
        (2, 3, (10, 10, 0)),
        (1, 3, (10, 0, 0)),
        (3, 1, (10, 0, 0)),
        (2, 2, (10, 10, 0)),
    ],
)
def test_it_draws_on_the_phases_that_both_sides_have(
    vehicle_phases: int, station_phases: int, expected: tuple[float, float, float]
):
    vehicle = plugged(replace(CAR, phases=vehicle_phases))
    assert vehicle.step(60, 10, station_phases) == expected


@pytest.mark.parametrize(
    ("min_a", "offered_a", "drawn_a"),
    [(6, 6, 5.7), (8, 6, 0), (8, 8, 7.7), (10, 9.9, 0), (10, 10, 9.7), (6, 32, 15.7), (6, 0, 0)],
    ids=["6 A", "8 A car refuses 6 A", "8 A car takes 8 A", "10 A car refuses 9.9 A", "10 A car takes 10 A",
         "no more than its charger can", "nothing is offered"],
)  # fmt: skip
def test_it_refuses_less_than_its_minimum_and_draws_a_little_less_than_offered(
    min_a: float, offered_a: float, drawn_a: float
):
    vehicle = plugged(replace(CAR, min_a=min_a, shortfall_a=0.3))
    assert vehicle.step(60, offered_a)[0] == pytest.approx(drawn_a)


def test_it_reacts_after_a_while_then_ramps_up_and_lets_go_at_once():
    vehicle = plugged(replace(CAR, reaction_s=8, ramp_a_per_s=2))
    assert vehicle.step(7, 16)[0] == 0
    assert vehicle.pilot_state is PilotState.B
    assert vehicle.step(3, 16)[0] == pytest.approx(6)
    assert vehicle.pilot_state is PilotState.C
    assert vehicle.step(30, 16)[0] == 16
    assert vehicle.step(1, 6)[0] == 6
    assert vehicle.step(1, 0)[0] == 0


def test_it_charges_its_battery_and_stops_at_the_target():
    vehicle = plugged(CAR, soc=0.5, target_soc=0.7)
    vehicle.step(1800, 16)
    # 3 × 230 V × 16 A for half an hour at 90 %
    assert vehicle.soc == pytest.approx(0.5 + 11_040 * 0.5 * 0.9 / 50_000, abs=0.002)
    vehicle.step(2 * 3600, 16)
    assert vehicle.soc == 0.7
    assert vehicle.current_a == 0
    assert vehicle.is_full


def test_it_slows_down_above_80_percent():
    at_half, at_90, at_98 = (plugged(CAR, soc).step(20, 16)[0] for soc in (0.5, 0.9, 0.98))
    assert at_half == 16
    assert at_90 == pytest.approx(8, abs=0.3)
    assert 0 < at_98 < 4


def test_an_old_car_takes_its_full_current_or_nothing():
    assert plugged(OLD).step(60, 6) == (13, 0, 0)
    assert plugged(OLD).step(60, 0) == (0, 0, 0)


def test_a_sleeper_that_waited_in_vain_ignores_an_offer_of_6_a():
    vehicle = plugged(SLEEPER)
    vehicle.step(1799, 0)
    assert not vehicle.is_asleep
    vehicle.step(1, 0)
    assert vehicle.is_asleep
    assert vehicle.step(3600, 6) == (0, 0, 0)
    assert vehicle.pilot_state is PilotState.B


@pytest.mark.parametrize(
    ("offers", "wakes"),
    [
        ([(60, 0), (70, 10), (30, 10)], True),
        ([(300, 16), (30, 16)], True),
        ([(300, 6), (300, 16)], False),
        ([(300, 6), (30, 0), (75, 12)], True),
        ([(50, 16), (10, 0), (50, 16)], False),
    ],
    ids=["0 then 10 A for a minute", "16 A straight after the night", "raised from 6 A without a pause",
         "6 A, pause, 12 A", "never a whole minute"],
)  # fmt: skip
def test_what_wakes_a_sleeper(offers: list[tuple[float, float]], wakes: bool):
    vehicle = plugged(SLEEPER)
    vehicle.step(2000, 0)
    for seconds, offered_a in offers:
        vehicle.step(seconds, offered_a)
    assert vehicle.is_asleep is not wakes
    assert (vehicle.current_a > 0) is wakes


def test_a_sleeper_wakes_when_replugged():
    vehicle = plugged(SLEEPER)
    vehicle.step(2000, 0)
    vehicle.unplug()
    assert vehicle.pilot_state is PilotState.A
    vehicle.plug()
    assert vehicle.step(60, 6)[0] > 5


def test_a_charging_sleeper_stays_awake():
    vehicle = plugged(SLEEPER)
    vehicle.step(4000, 6)
    assert vehicle.current_a > 5


def test_the_length_of_the_steps_makes_no_difference():
    coarse, fine = plugged(CAR), plugged(CAR)
    for _ in range(60):
        coarse.step(10, 12)
    for _ in range(1200):
        fine.step(0.5, 12)
    assert coarse.soc == pytest.approx(fine.soc, abs=1e-4)


def test_one_that_is_not_fed_at_first_sleeps_soon_and_one_that_was_fed_does_not():
    model = replace(CAR, sleep_unfed_after_s=300)
    hungry, fed = plugged(model), plugged(model)
    fed.step(60, 6)
    for vehicle in (hungry, fed):
        vehicle.step(301, 0)
        vehicle.step(60, 8)
    assert (hungry.is_asleep, fed.is_asleep) == (True, False)
    assert hungry.current_a == 0
    assert fed.current_a == 8


def test_one_that_only_a_hand_wakes_sleeps_through_a_pulse():
    vehicle = plugged(replace(SLEEPER, wakes_by_pulse=False))
    vehicle.step(2000, 0)
    vehicle.step(300, 16)
    assert vehicle.is_asleep
    vehicle.unplug()
    vehicle.plug()
    assert vehicle.step(60, 6)[0] > 5


@pytest.mark.parametrize(
    ("least_a", "offered_a", "has_fault"), [(8, 6, True), (8, 8, False), (8, 0, False), (10, 9, True)]
)
def test_an_offer_below_its_minimum_is_an_error_to_it_until_it_is_replugged(
    least_a: float, offered_a: float, has_fault: bool
):
    vehicle = plugged(replace(CAR, min_a=least_a, faults_below_min=True))
    vehicle.step(31, offered_a)
    assert vehicle.has_fault is has_fault
    vehicle.step(60, 16)
    assert (vehicle.current_a == 0) is has_fault
    vehicle.unplug()
    vehicle.plug()
    assert vehicle.step(60, 16)[0] > 15


@pytest.mark.parametrize(("apart_s", "has_fault"), [(60, True), (400, False)])
def test_a_touchy_one_bears_three_starts_in_ten_minutes(apart_s: float, has_fault: bool):
    vehicle = plugged(replace(CAR, tolerated_starts=3))
    for _ in range(4):
        vehicle.step(60, 6)
        vehicle.step(apart_s, 0)
    vehicle.step(60, 6)
    assert vehicle.has_fault is has_fault
    assert (vehicle.current_a == 0) is has_fault


def test_one_that_trickles_never_stops():
    vehicle = plugged(replace(CAR, trickle_a=0.4), soc=0.9, target_soc=0.9)
    assert vehicle.step(3600, 16)[0] == pytest.approx(0.4)
    assert vehicle.step(60, 0)[0] == 0
