"""Setpoints as stations are told them: OCPP 1.6 sections 3.13 and 7.8 to 7.14."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csms.domain.charge_point import LiveConnector, OpenTransaction, Station
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
from csms.domain.control_slot import Wish, control_slots
from csms.domain.profile_ladder import FIRST, Rung, rungs
from csms.domain.station_vendors import LimitHints

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


every_rung = st.sampled_from(rungs(ProfileAbilities(max_stack_level=5), LimitHints()))


@given(
    limit=st.floats(0, 80),
    safe=st.floats(0, 80),
    rung=every_rung,
    phases=st.integers(1, 3),
    used=st.none() | st.integers(1, 3),
    switched=st.sampled_from([None, 1, 3]),
    periods=st.sampled_from([None, 1, 2]),
    volts=st.sampled_from([230.0, 231.7, 240.0]),
    behind_s=st.integers(-100_000, 100_000),
)
def test_nothing_between_zero_and_six_amperes_is_ever_offered(
    limit: float,
    safe: float,
    rung: Rung,
    phases: int,
    used: int | None,
    switched: int | None,
    periods: int | None,
    volts: float,
    behind_s: int,
) -> None:
    wiring, can = (
        ConnectorWiring(1, phases, volts),
        ProfileAbilities(max_periods=periods, switches_phases=True),
    )
    control = ControlLimit(limit, safe, 900, 77, NOON, switched, used)
    request = control_profile(control, wiring, rung, can, NOON - timedelta(seconds=behind_s))
    rows = request["csChargingProfiles"]["chargingSchedule"]["chargingSchedulePeriod"]
    counted = switched or {"wired": phases, "used": used or phases, "three": 3}[rung.counts]
    for row in rows:
        assert row["startPeriod"] >= 0
        amps = row["limit"] if rung.unit == "A" else row["limit"] / volts / counted
        assert amps == 0 or amps >= 6 - 0.001  # watts are cut to tenths
        assert amps <= max(limit, safe) + 1e-9
        assert round(row["limit"], 1) == row["limit"]


def test_a_relative_schedule_falls_back_in_time_where_it_counts_from_the_start_of_the_transaction() -> None:
    began_at = NOON - timedelta(minutes=20)
    control = replace(held_for_15_minutes(10, 6), began_at=began_at)
    request = control_profile(control, ONE_PHASE, Rung(kind="Relative"), ANY, NOON)
    rows = request["csChargingProfiles"]["chargingSchedule"]["chargingSchedulePeriod"]
    assert [(row["startPeriod"], row["limit"]) for row in rows] == [(0, 10.0), (35 * 60, 6.0)]
    assert "startSchedule" not in request["csChargingProfiles"]["chargingSchedule"]
    assert offered_now(request, ONE_PHASE, NOON, began_at) == 10
    assert offered_now(request, ONE_PHASE, NOON + timedelta(minutes=15), began_at) == 6


@pytest.mark.parametrize(
    ("rung", "abilities", "switched", "limit", "number_phases"),
    [
        (AMPERES, ANY, 1, 10.0, 1),  # the site says that it switches
        (AMPERES, ProfileAbilities(switches_phases=True), 1, 10.0, 1),
        (AMPERES, ProfileAbilities(switches_phases=True), None, 10.0, None),
        (WATTS, ProfileAbilities(switches_phases=True), 1, 2300.0, 1),
        (WATTS, ProfileAbilities(switches_phases=True), 3, 6900.0, 3),
        (WATTS, ANY, None, 6900.0, None),
        (Rung(unit="W", counts="used"), ANY, None, 2300.0, None),  # the vehicle uses one
    ],
)
def test_number_of_phases_on_the_wire(
    rung: Rung, abilities: ProfileAbilities, switched: int | None, limit: float, number_phases: int | None
) -> None:
    control = replace(held_for_15_minutes(10, 6), number_phases=switched, phases_used=1)
    request = control_profile(control, THREE_PHASES, rung, abilities, NOON)
    row = request["csChargingProfiles"]["chargingSchedule"]["chargingSchedulePeriod"][0]
    assert (row["limit"], row.get("numberPhases")) == (limit, number_phases)


@pytest.mark.parametrize(
    ("keys", "switches"),
    [
        ({}, False),
        ({"ConnectorSwitch3to1PhaseSupported": "true"}, True),
        ({"connectorswitch3to1phasesupported": "TRUE"}, True),
        ({"ACPhaseSwitchingSupported": "true"}, True),
        ({"ConnectorSwitch3to1PhaseSupported": "false"}, False),
    ],
)
def test_phase_switching_is_announced(keys: dict[str, str | None], switches: bool) -> None:
    assert profile_abilities(keys).switches_phases is switches


def running(session: bool) -> LiveConnector:
    return LiveConnector(transaction=OpenTransaction(7, "badge", NOON, 0.0) if session else None)


@pytest.mark.parametrize(
    ("rung", "sessions", "limits"),
    [
        (FIRST, (True, False), [(1, 10.0)]),
        (Rung("TxDefaultProfile"), (True, False), [(1, 10.0), (2, 6.0)]),
        (Rung("TxDefaultProfile", on_station=True), (True, True), [(0, 8.0)]),
        (Rung("TxDefaultProfile", on_station=True), (True, False), [(0, 10.0)]),
        (Rung("ChargePointMaxProfile", on_station=True), (True, True), [(0, 18.0)]),
        (Rung("ChargePointMaxProfile", on_station=True), (False, False), [(0, 12.0)]),
    ],
)
def test_where_limits_of_two_connectors_are_written(
    rung: Rung, sessions: tuple[bool, bool], limits: list[tuple[int, float]]
) -> None:
    wishes = {1: Wish(ConnectorWiring(1, 3, 230), 10, 6), 2: Wish(ConnectorWiring(2, 3, 230), 8, 6)}
    connectors = {n: running(session) for n, session in enumerate(sessions, 1)}
    slots = control_slots(rung, wishes, Station("CP1", "Accepted", connectors=connectors))
    assert [(slot.connector_id, slot.wish.limit_a) for slot in slots] == limits


def test_a_vehicle_that_charges_without_a_transaction_is_limited_like_one_with() -> None:
    """The second connector is taken, the first is not: between two vehicles it offers the safe value."""
    wishes = {1: Wish(ConnectorWiring(1, 3, 230), 10, 6), 2: Wish(ConnectorWiring(2, 3, 230), 8, 6)}
    connectors = {1: LiveConnector("Available"), 2: LiveConnector("Charging")}
    free = Station("CP1", "Accepted", connectors=connectors, charges_freely=True)
    default = control_slots(Rung("TxDefaultProfile"), wishes, free)
    assert [(slot.connector_id, slot.wish.limit_a) for slot in default] == [(1, 6.0), (2, 8.0)]
    (cap,) = control_slots(Rung("ChargePointMaxProfile", on_station=True), wishes, free)
    assert (cap.wish.limit_a, cap.wish.safe_a) == (8.0, 12.0)
    assert control_slots(FIRST, wishes, free) == []
