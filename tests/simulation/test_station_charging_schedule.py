"""What a station makes of its charging profiles."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulation.charging_schedule import (
    Profile,
    RunningTransaction,
    clear,
    composite_periods,
    connector_limit_a,
    install,
    pilot_a,
    read_profile,
    share_station_limit,
    station_limit_a,
)

NOON = datetime(2026, 6, 21, 12, tzinfo=UTC)
STARTED = NOON - timedelta(minutes=30)
CHARGING = RunningTransaction(7, STARTED)
Row = tuple[int, float] | tuple[int, float, int]


def iso(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def profile(
    purpose: str = "TxProfile",
    *rows: Row,
    connector_id: int = 1,
    level: int = 0,
    kind: str = "Absolute",
    **more: Any,
) -> Profile:
    """rows: (startPeriod, limit[, numberPhases]). more: unit, start, duration, and keys of the profile."""
    unit, start, duration = more.pop("unit", "A"), more.pop("start", NOON), more.pop("duration", None)
    names = ("startPeriod", "limit", "numberPhases")
    schedule: dict[str, Any] = {
        "chargingRateUnit": unit,
        "chargingSchedulePeriod": [dict(zip(names, row, strict=False)) for row in rows],
    }
    if start is not None and kind != "Relative":
        schedule["startSchedule"] = iso(start)
    if duration is not None:
        schedule["duration"] = duration
    payload = {
        "chargingProfileId": more.pop("id", 1),
        "stackLevel": level,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": kind,
        "chargingSchedule": schedule,
    }
    return read_profile(connector_id, payload | more)


def limit_a(
    *profiles: Profile, after_s: float = 0, transaction: RunningTransaction | None = CHARGING
) -> float | None:
    return connector_limit_a(profiles, 1, NOON + timedelta(seconds=after_s), transaction, 230)


DEAD_MAN = profile("TxProfile", (0, 12), (900, 6))
SHORT_ON_TOP = profile("TxProfile", (0, 12), level=2, duration=600)
DEFAULT_ON_0 = profile("TxDefaultProfile", (0, 6), connector_id=0, level=9)
DAILY = profile("TxDefaultProfile", (0, 6), (3600, 16), kind="Recurring", recurrencyKind="Daily",
                start=NOON - timedelta(days=3), duration=7200)  # fmt: skip


@pytest.mark.parametrize(
    ("profiles", "after_s", "expected_a"),
    [
        ([], 0, None),
        ([DEAD_MAN], 0, 12),
        ([DEAD_MAN], 899, 12),
        ([DEAD_MAN], 900, 6),
        ([DEAD_MAN], 86_400, 6),
        ([DEAD_MAN], -1, None),
        ([profile("TxProfile", (0, 12), duration=600)], 600, None),
        ([SHORT_ON_TOP, profile("TxProfile", (0, 8), level=1)], 599, 12),
        ([SHORT_ON_TOP, profile("TxProfile", (0, 8), level=1)], 600, 8),
        ([profile("TxProfile", (0, 20)), profile("TxDefaultProfile", (0, 6))], 0, 20),
        ([profile("TxProfile", (0, 20), duration=60), profile("TxDefaultProfile", (0, 6))], 60, 6),
        ([profile("TxDefaultProfile", (0, 6), connector_id=0)], 0, 6),
        ([DEFAULT_ON_0, profile("TxDefaultProfile", (0, 10))], 0, 10),
        ([profile("TxProfile", (0, 10), connector_id=2)], 0, None),
        ([profile("TxProfile", (0, 10), transactionId=7)], 0, 10),
        ([profile("TxProfile", (0, 10), transactionId=8)], 0, None),
        ([profile("TxProfile", (0, 10), (1800, 13), kind="Relative")], 0, 13),
        ([profile("TxProfile", (0, 10), (1801, 13), kind="Relative")], 0, 10),
        ([profile("TxProfile", (0, 6900), unit="W")], 0, 10),
        ([profile("TxProfile", (0, 2300, 1), unit="W")], 0, 10),
        ([profile("TxProfile", (0, 4600, 2), unit="W")], 0, 10),
        ([profile("TxProfile", (0, 10, 3))], 0, 10),
        ([profile("TxProfile", (0, 10), validTo=iso(NOON + timedelta(60)))], 0, 10),
        ([profile("TxProfile", (0, 10), validFrom=iso(NOON + timedelta(seconds=60)))], 59, None),
        ([profile("TxProfile", (0, 10), validTo=iso(NOON + timedelta(seconds=60)))], 60, None),
        ([DAILY], 0, 6),
        ([DAILY], 3600, 16),
        ([DAILY], 7200, None),
        ([DAILY], 86_400 + 3600, 16),
    ],
    ids=["nothing installed: unlimited", "setpoint", "setpoint, last second", "dead man: the safe value",
         "dead man for ever after", "before it begins", "duration over: unlimited", "higher level wins",
         "duration over: next level", "TxProfile overrules TxDefault",
         "expired TxProfile: TxDefault again", "TxDefault on 0 is for each connector",
         "TxDefault of the connector overrules 0", "other connector", "for this transaction",
         "for another transaction", "relative counts from the start", "relative, before",
         "W is three phases", "W on one phase", "W on two phases", "A is per phase", "valid",
         "not valid yet", "not valid any more", "daily, first period", "daily, second period",
         "daily, past its duration", "daily, the day after"],
)  # fmt: skip
def test_the_limit_of_a_connector(profiles: list[Profile], after_s: float, expected_a: float | None):
    assert limit_a(*profiles, after_s=after_s) == expected_a


def test_without_a_transaction_a_tx_profile_says_nothing():
    assert limit_a(profile("TxProfile", (0, 10)), transaction=None) is None
    assert limit_a(profile("TxDefaultProfile", (0, 6)), transaction=None) == 6


def test_the_station_is_capped_by_its_highest_charge_point_max_profile():
    low = profile("ChargePointMaxProfile", (0, 32), connector_id=0, id=1)
    high = profile("ChargePointMaxProfile", (0, 16), connector_id=0, id=2, level=1, duration=60)
    assert station_limit_a([low, high], NOON, 230) == 16
    assert station_limit_a([low, high], NOON + timedelta(seconds=60), 230) == 32
    assert station_limit_a([], NOON, 230) is None


def test_a_profile_replaces_its_id_and_its_slot_and_nothing_else():
    first = profile("TxProfile", (0, 10), id=1, level=3)
    same_id = profile("TxDefaultProfile", (0, 6), id=1)
    same_slot = profile("TxProfile", (0, 16), id=2, level=3)
    elsewhere = profile("TxProfile", (0, 16), id=3, level=3, connector_id=2)
    assert install([first], same_id) == (same_id,)
    assert install([first], same_slot) == (same_slot,)
    assert install([first], elsewhere) == (first, elsewhere)


@pytest.mark.parametrize(
    ("request_", "left"),
    [
        ({}, []),
        ({"id": 2, "stackLevel": 99}, [1, 3]),
        ({"id": 9}, [1, 2, 3]),
        ({"connectorId": 1}, [3]),
        ({"connectorId": 1, "chargingProfilePurpose": "TxProfile"}, [2, 3]),
        ({"chargingProfilePurpose": "TxProfile"}, [2]),
        ({"chargingProfilePurpose": "TxProfile", "stackLevel": 1}, [1, 2]),
    ],
)
def test_clearing(request_: dict[str, Any], left: list[int]):
    installed = [
        profile("TxProfile", (0, 10), id=1),
        profile("TxDefaultProfile", (0, 10), id=2, level=1),
        profile("TxProfile", (0, 10), id=3, level=1, connector_id=2),
    ]
    assert [p.id for p in clear(installed, request_)] == left


@pytest.mark.parametrize(
    ("rows", "more"),
    [([(60, 10)], {}), ([(0, 10), (0, 6)], {}), ([(0, 10), (90, 6), (60, 8)], {}),
     ([(0, 10)], {"kind": "Recurring", "recurrencyKind": "Daily", "start": None}),
     ([(0, 10)], {"kind": "Recurring"}), ([(0, 10)], {"validFrom": "soon"})],
    ids=["does not begin at 0", "two at once", "out of order", "recurring from when?", "recurring how often?",
         "no time"],
)  # fmt: skip
def test_a_schedule_that_makes_no_sense(rows: list[Row], more: dict[str, Any]):
    with pytest.raises(ValueError, match=r"expected|needs|Invalid"):
        profile("TxDefaultProfile", *rows, **more)


@pytest.mark.parametrize(
    ("limit", "step_a", "shown_a"),
    [
        (None, 1, 16),
        (32, 1, 16),
        (5.9, 0.1, 0),
        (6, 1, 6),
        (7.2, 0.1, 7.2),
        (7.9, 1, 7),
        (0, 1, 0),
        (13.7, 0.5, 13.5),
    ],
)
def test_the_pilot_shows_nothing_or_at_least_6_a_rounded_down(
    limit: float | None, step_a: float, shown_a: float
):
    assert pilot_a(limit, 16, step_a) == shown_a


@pytest.mark.parametrize(
    ("wanted_a", "cap_a", "shares_a"),
    [
        ({1: 16, 2: 16}, 32, {1: 16, 2: 16}),
        ({1: 16, 2: 16}, 20, {1: 10, 2: 10}),
        ({1: 16, 2: 8}, 20, {1: 12, 2: 8}),
        ({1: 16, 2: 16}, 11, {1: 11, 2: 0}),
        ({1: 0, 2: 16}, 11, {1: 0, 2: 11}),
        ({1: 16, 2: 16}, 5, {1: 0, 2: 0}),
    ],
)
def test_two_connectors_share_the_stations_limit(
    wanted_a: dict[int, float], cap_a: float, shares_a: dict[int, float]
):
    assert share_station_limit(wanted_a, cap_a) == shares_a


def test_the_composite_schedule_shows_cap_setpoint_dead_man_and_expiry():
    installed = [
        profile("ChargePointMaxProfile", (0, 10), (300, 32), connector_id=0, id=1),
        profile("TxProfile", (0, 12), (900, 6), id=2, start=NOON - timedelta(seconds=60), duration=1800),
        profile("TxDefaultProfile", (0, 8), id=3),
    ]
    periods = composite_periods(installed, 1, NOON, 3600, CHARGING, 230, 32)
    assert [(p.start_s, p.limit) for p in periods] == [(0, 10), (300, 12), (840, 6), (1740, 8)]
    station = composite_periods(installed, 0, NOON, 3600, None, 230, 64)
    assert [(p.start_s, p.limit) for p in station] == [(0, 10), (300, 32)]


@st.composite
def any_profile(draw: st.DrawFn) -> Profile:
    starts = sorted(draw(st.sets(st.integers(1, 4000), max_size=3)))
    unit = draw(st.sampled_from(["A", "W"]))
    rates = st.decimals(0, 40 if unit == "A" else 30_000, places=1).map(float)
    kind = draw(st.sampled_from(["Absolute", "Relative", "Recurring"]))
    purpose, connector_id = draw(
        st.sampled_from(
            [("TxProfile", 1), ("TxDefaultProfile", 1), ("TxDefaultProfile", 0), ("ChargePointMaxProfile", 0)]
        )
    )
    more: dict[str, Any] = {"recurrencyKind": "Daily"} if kind == "Recurring" else {}
    return profile(
        purpose,
        *((s, draw(rates)) for s in [0, *starts]),
        connector_id=connector_id,
        level=draw(st.integers(0, 3)),
        kind=kind,
        unit=unit,
        id=draw(st.integers(1, 9)),
        start=NOON + timedelta(seconds=draw(st.integers(-90_000, 3000))),
        duration=draw(st.none() | st.integers(1, 5000)),
        **more,
    )


@given(st.lists(any_profile(), max_size=6), st.integers(0, 3599))
def test_the_composite_schedule_promises_what_is_then_done(profiles: list[Profile], after_s: int):
    installed: tuple[Profile, ...] = ()
    for new in profiles:
        installed = install(installed, new)
    periods = composite_periods(installed, 1, NOON, 3600, CHARGING, 230, 32)
    at = NOON + timedelta(seconds=after_s)
    own = connector_limit_a(installed, 1, at, CHARGING, 230)
    cap = station_limit_a(installed, at, 230)
    then_a = min(x for x in (own, cap, 32) if x is not None)
    assert [p.limit for p in periods if p.start_s <= after_s][-1] == then_a
    assert periods[0].start_s == 0
    assert all(a.start_s < b.start_s and a.limit != b.limit for a, b in pairwise(periods))


@given(st.lists(any_profile(), max_size=6), st.floats(0, 64), st.sampled_from([0.1, 0.5, 1.0]))
def test_no_pilot_between_0_and_6_a_nor_above_any_limit(profiles: list[Profile], cap_a: float, step_a: float):
    own = connector_limit_a(profiles, 1, NOON, CHARGING, 230)
    wanted = pilot_a(own, 16, step_a)
    shared = share_station_limit({1: wanted, 2: 16.0}, cap_a)
    shown = pilot_a(shared[1], 16, step_a)
    assert shown == 0 or 6 <= shown <= min(16, own if own is not None else 16, cap_a)
    assert sum(shared.values()) <= cap_a + 1e-9
