"""Setpoints as stations are told them: OCPP 1.6 sections 3.13 and 7.8 to 7.14."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csms.domain.charging_profile import (
    ConnectorWiring,
    ProfileAbilities,
    control_profile,
    floor_profile,
    number_phases,
    offered_now,
    profile_abilities,
    wire_limit,
    with_number_phases,
)

NOON = datetime(2026, 6, 21, 10, 0, tzinfo=UTC)
THREE_PHASES = ConnectorWiring(1, 3, 230)
ONE_PHASE = ConnectorWiring(2, 1, 230)
AMPERES = ProfileAbilities("A", None)
WATTS = ProfileAbilities("W", None)


@pytest.mark.parametrize(
    ("reported", "unit"),
    [
        (None, "A"),
        ("Current", "A"),
        ("A", "A"),
        ("Current,Power", "A"),
        ("Current, Power", "A"),
        ("A,W", "A"),
        ("Power", "W"),
        ("W", "W"),
    ],
)
def test_the_unit_is_the_one_the_station_takes(reported: str | None, unit: str) -> None:
    configuration = {"ChargingScheduleAllowedChargingRateUnit": reported}
    assert profile_abilities(configuration).unit == unit


@pytest.mark.parametrize(("periods", "takes"), [(None, True), ("24", True), ("1", False), ("many", True)])
def test_dead_man_needs_two_periods(periods: str | None, takes: bool) -> None:
    assert profile_abilities({"ChargingScheduleMaxPeriods": periods}).takes_dead_man is takes


@pytest.mark.parametrize(
    ("limit_a", "unit", "phases", "wire"),
    [
        (6, "A", 3, 6.0),
        (6, "A", 1, 6.0),
        (8.19, "A", 3, 8.1),
        (13.7, "A", 3, 13.7),
        (6, "W", 3, 4140.0),
        (6, "W", 1, 1380.0),
        (0, "W", 3, 0.0),
        (6.33, "W", 1, 1455.9),
    ],
)
def test_limits_on_the_wire_are_rounded_down(limit_a: float, unit: str, phases: int, wire: float) -> None:
    assert wire_limit(limit_a, unit, phases, 230) == wire  # type: ignore[arg-type]


def test_control_profile_holds_for_the_transaction_then_falls_back() -> None:
    request = control_profile(10, 6, 77, THREE_PHASES, AMPERES, NOON, dead_man_s=900)
    profile = request["csChargingProfiles"]
    assert request["connectorId"] == 1
    assert profile["chargingProfilePurpose"] == "TxProfile"
    assert profile["transactionId"] == 77
    assert profile["chargingSchedule"] == {
        "startSchedule": "2026-06-21T09:59:00Z",
        "chargingRateUnit": "A",
        "chargingSchedulePeriod": [
            {"startPeriod": 0, "limit": 10.0},
            {"startPeriod": 960, "limit": 6.0},
        ],
    }


def test_a_limit_equal_to_the_floor_needs_no_dead_man() -> None:
    request = control_profile(6, 6, 77, THREE_PHASES, AMPERES, NOON, dead_man_s=900)
    assert len(request["csChargingProfiles"]["chargingSchedule"]["chargingSchedulePeriod"]) == 1


def test_a_station_with_one_period_gets_a_schedule_that_ends() -> None:
    request = control_profile(10, 6, 77, THREE_PHASES, ProfileAbilities("A", 1), NOON, dead_man_s=900)
    schedule = request["csChargingProfiles"]["chargingSchedule"]
    assert schedule["duration"] == 960
    assert schedule["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 10.0}]


def test_watts_are_told_with_the_phases_that_are_wired() -> None:
    one = control_profile(6, 0, 1, ONE_PHASE, WATTS, NOON, 900)["csChargingProfiles"]["chargingSchedule"]
    assert one["chargingSchedulePeriod"][0] == {"startPeriod": 0, "limit": 1380.0, "numberPhases": 1}
    three = control_profile(6, 0, 1, THREE_PHASES, WATTS, NOON, 900)["csChargingProfiles"]["chargingSchedule"]
    assert three["chargingSchedulePeriod"][0] == {"startPeriod": 0, "limit": 4140.0}


def test_the_floor_is_the_same_request_every_day() -> None:
    floor = floor_profile(6, THREE_PHASES, AMPERES)
    assert floor == floor_profile(6, THREE_PHASES, AMPERES)
    assert floor["csChargingProfiles"]["chargingProfilePurpose"] == "TxDefaultProfile"
    assert "transactionId" not in floor["csChargingProfiles"]


@given(
    limit=st.integers(6, 32) | st.just(0),
    safe=st.sampled_from([0, 6]),
    unit=st.sampled_from(["A", "W"]),
    minutes=st.integers(0, 60),
)
def test_what_is_offered_is_the_limit_until_the_dead_man_time(
    limit: int, safe: int, unit: str, minutes: int
) -> None:
    abilities = ProfileAbilities(unit)  # type: ignore[arg-type]
    request = control_profile(limit, safe, 1, ONE_PHASE, abilities, NOON, dead_man_s=900)
    offered = offered_now(request, ONE_PHASE, NOON + timedelta(minutes=minutes))
    assert offered == pytest.approx(limit if minutes < 15 else safe, abs=0.001)


def test_one_phase_of_three_is_told_with_the_limit() -> None:
    request = control_profile(10, 0, 7, THREE_PHASES, AMPERES, NOON, 900)
    told = with_number_phases(request, 1, THREE_PHASES)
    periods = told["csChargingProfiles"]["chargingSchedule"]["chargingSchedulePeriod"]
    assert periods == [
        {"startPeriod": 0, "limit": 10.0, "numberPhases": 1},
        {"startPeriod": 960, "limit": 0.0, "numberPhases": 1},
    ]
    assert (number_phases(request), number_phases(told)) == (None, 1)
    assert with_number_phases(request, None, THREE_PHASES) == request


@pytest.mark.parametrize("count", [1, 3])
def test_watts_on_one_phase_are_a_third_and_read_back_as_the_same_amperes(count: int) -> None:
    request = control_profile(10, 0, 7, THREE_PHASES, WATTS, NOON, 900)
    told = with_number_phases(request, count, THREE_PHASES)
    assert (
        told["csChargingProfiles"]["chargingSchedule"]["chargingSchedulePeriod"][0]["limit"] == 2300 * count
    )
    assert offered_now(told, THREE_PHASES, NOON) == 10
