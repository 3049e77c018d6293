"""Setpoints as stations are told them: OCPP 1.6 sections 3.13 and 7.8 to 7.14."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csms.domain.charging_profile import (
    ConnectorWiring,
    ControlLimit,
    ProfileAbilities,
    control_profile,
    floor_profile,
    offered_now,
    profile_abilities,
    wire_limit,
)
from csms.domain.profile_ladder import FIRST, Rung

NOON = datetime(2026, 6, 21, 10, 0, tzinfo=UTC)
THREE_PHASES = ConnectorWiring(1, 3, 230)
ONE_PHASE = ConnectorWiring(2, 1, 230)
AMPERES, WATTS = FIRST, Rung(unit="W")
ANY = ProfileAbilities()


def held_for_15_minutes(limit_a: float, safe_a: float, transaction_id: int = 77) -> ControlLimit:
    return ControlLimit(limit_a, safe_a, dead_man_s=900, transaction_id=transaction_id)


@pytest.mark.parametrize(
    ("reported", "unit"),
    [
        (None, None),
        ("Current", "A"),
        ("A", "A"),
        ("Current,Power", None),
        ("Current, Power", None),
        ("A,W", None),
        ("Power", "W"),
        ("W", "W"),
        ("whatever", None),
    ],
)
def test_a_station_may_name_the_only_unit_it_takes(reported: str | None, unit: str | None) -> None:
    configuration = {"ChargingScheduleAllowedChargingRateUnit": reported}
    assert profile_abilities(configuration).only_unit == unit


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
    request = control_profile(held_for_15_minutes(10, 6), THREE_PHASES, AMPERES, ANY, NOON)
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
    request = control_profile(held_for_15_minutes(6, 6), THREE_PHASES, AMPERES, ANY, NOON)
    assert len(request["csChargingProfiles"]["chargingSchedule"]["chargingSchedulePeriod"]) == 1


def test_a_station_with_one_period_gets_a_schedule_that_ends() -> None:
    request = control_profile(
        held_for_15_minutes(10, 6), THREE_PHASES, AMPERES, ProfileAbilities(max_periods=1), NOON
    )
    schedule = request["csChargingProfiles"]["chargingSchedule"]
    assert schedule["duration"] == 960
    assert schedule["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 10.0}]


def schedule(control: ControlLimit, wiring: ConnectorWiring, rung: Rung) -> dict[str, Any]:
    request = control_profile(control, wiring, rung, ANY, NOON)
    found: dict[str, Any] = request["csChargingProfiles"]["chargingSchedule"]
    return found


def test_watts_are_told_with_the_phases_that_are_wired() -> None:
    one = schedule(held_for_15_minutes(6, 0), ONE_PHASE, WATTS)
    assert one["chargingSchedulePeriod"][0] == {"startPeriod": 0, "limit": 1380.0, "numberPhases": 1}
    three = schedule(held_for_15_minutes(6, 0), THREE_PHASES, WATTS)
    assert three["chargingSchedulePeriod"][0] == {"startPeriod": 0, "limit": 4140.0}


def test_the_floor_is_the_same_request_every_day() -> None:
    floor = floor_profile(6, THREE_PHASES, AMPERES, ANY)
    assert floor == floor_profile(6, THREE_PHASES, AMPERES, ANY)
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
    rung = Rung(unit=unit)  # type: ignore[arg-type]
    request = control_profile(held_for_15_minutes(limit, safe), ONE_PHASE, rung, ANY, NOON)
    offered = offered_now(request, ONE_PHASE, NOON + timedelta(minutes=minutes))
    assert offered == pytest.approx(limit if minutes < 15 else safe, abs=0.001)
