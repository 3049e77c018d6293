"""Profiles that simulated stations refuse, and what becomes of those that they take."""

from __future__ import annotations

from typing import Any

import pytest
from odd_station import CAR, NOON, REFUSED, TAKEN, Make, profile, status, write

from simulation.vehicle import Vehicle

# --- profiles that are refused ---


@pytest.mark.parametrize(
    ("character", "request_", "answer"),
    [
        ("ABB Terra AC", {"level": 0, "names": True}, TAKEN),
        ("ABB Terra AC", {"level": 1, "names": True}, REFUSED),
        ("ABB Terra AC", {"level": 0}, REFUSED),
        ("Wallbox", {"kind": "Absolute"}, REFUSED),
        ("Wallbox", {"kind": "Relative"}, TAKEN),
        ("Wallbox, firmware 5", {"level": 1}, REFUSED),
        ("Wallbox, firmware 5", {"level": 0}, TAKEN),
        ("Schneider EVlink Pro AC", {"purpose": "ChargePointMaxProfile", "connector": 0}, REFUSED),
        ("Schneider EVlink Pro AC", {"purpose": "TxDefaultProfile"}, REFUSED),
        ("Schneider EVlink Pro AC", {}, TAKEN),
        ("Easee Charge", {"purpose": "TxDefaultProfile"}, REFUSED),
        ("Easee Charge", {"kind": "Relative"}, REFUSED),
        ("Easee Charge", {"level": 1}, REFUSED),
        ("Easee Charge", {}, TAKEN),
        ("EVBox Elvi", {"purpose": "ChargePointMaxProfile", "connector": 0}, REFUSED),
        ("EVBox Elvi", {"purpose": "TxDefaultProfile"}, TAKEN),
        ("Timxon", {}, REFUSED),
        ("Timxon", {"purpose": "ChargePointMaxProfile", "connector": 0}, REFUSED),
        ("Timxon", {"purpose": "TxDefaultProfile"}, TAKEN),
        ("myenergi Zappi", {"purpose": "TxDefaultProfile", "connector": 0}, REFUSED),
        ("myenergi Zappi", {"purpose": "TxDefaultProfile"}, TAKEN),
        ("One period only", {"rows": [(0, 16), (600, 6)]}, REFUSED),
        ("One period only", {"rows": [(0, 16)]}, TAKEN),
        ("Autel MaxiCharger", {"purpose": "ChargePointMaxProfile", "connector": 0}, TAKEN),
    ],
)
async def test_profiles_that_a_character_refuses(
    make: Make, drive_in, central, character: str, request_: dict[str, Any], answer: str
):
    wanted = dict(request_)
    transaction = await drive_in(await make(character))
    if wanted.pop("names", False):
        wanted["transaction"] = transaction
    rows = wanted.pop("rows", [(0, 10)])
    assert await write(central, profile(*rows, **wanted)) == answer


@pytest.mark.parametrize(
    ("character", "request_"),
    [
        ("Huawei FusionCharge", profile((0, 10), unit="A")),
        ("go-e", profile((0, 4000), unit="W")),
        (
            "Autel MaxiCharger",
            profile((0, 10), purpose="ChargePointMaxProfile", connector=0, kind="Relative"),
        ),
    ],
)
async def test_profiles_that_are_an_error_to_a_character(
    make: Make, drive_in, central, character: str, request_: dict[str, Any]
):
    await drive_in(await make(character))
    kind, code, *_ = await central.raw_call("SetChargingProfile", request_)
    assert (kind, code) == (4, "PropertyConstraintViolation")


async def test_wallbox_takes_a_default_only_with_a_vehicle(make: Make, drive_in, central):
    point = await make("Wallbox")
    default = profile((0, 10), purpose="TxDefaultProfile", kind="Relative")
    assert await write(central, default) == REFUSED
    await drive_in(point)
    assert await write(central, default) == TAKEN


async def test_easee_takes_25_schedules_a_day(make: Make, drive_in, central, clock):
    point = await make("Easee Charge")
    await drive_in(point)
    answers = [await write(central, profile((0, 6 + n % 3))) for n in range(26)]
    assert answers == [TAKEN] * 25 + [REFUSED]
    assert [w.accepted for w in point.profile_writes].count(True) == 25
    await clock.advance(12.5 * 3600)
    assert await write(central, profile((0, 10))) == TAKEN


async def test_zappi_rejects_what_comes_too_soon(make: Make, drive_in, central, clock):
    await drive_in(await make("myenergi Zappi"))
    default = profile((0, 10), purpose="TxDefaultProfile")
    assert await write(central, default) == TAKEN
    await clock.advance(20)
    assert await write(central, default) == REFUSED
    await clock.advance(10)
    assert await write(central, default) == TAKEN


# --- profiles that are taken, and what becomes of them ---


async def test_a_profile_is_accepted_and_ignored(make: Make, drive_in, central, clock):
    point = await make("Heidelberg connect.business")
    await drive_in(point)
    assert await write(central, profile((0, 8))) == TAKEN
    await clock.advance(60)
    assert point.limit_a(1) == 32
    assert point.profiles == ()


async def test_a_write_makes_the_current_leap_for_a_moment(make: Make, drive_in, central, clock):
    point = await make("Wallbox")
    await drive_in(point)
    await write(central, profile((0, 8), kind="Relative"))
    assert point.limit_a(1) == 32
    await clock.advance(10)
    assert point.limit_a(1) == 8


@pytest.mark.parametrize(
    ("asked_a", "shown_a"), [(7.9, 6), (8, 8), (12.9, 10), (13, 13), (16, 16), (5, 0), (0, 0)]
)
async def test_steps_are_rounded_down(make: Make, drive_in, central, asked_a: float, shown_a: float):
    point = await make("NEcharge")
    await drive_in(point)
    await write(central, profile((0, asked_a)))
    assert point.limit_a(1) == shown_a


async def test_0_a_is_no_pause(make: Make, drive_in, central, clock):
    point = await make("EVBox Elvi")
    await drive_in(point)
    await write(central, profile((0, 0)))
    await clock.advance(60)
    assert point.current_a(1)[0] == 6


async def test_of_a_default_and_the_limit_above_it_the_lower_one_holds(make: Make, drive_in, central):
    point = await make("KEBA P30")
    await drive_in(point)
    for default_a, limit_a in ((8, 16), (16, 10), (0, 10)):
        await write(central, profile((0, default_a), purpose="TxDefaultProfile", id=1))
        await write(central, profile((0, limit_a)))
        assert point.limit_a(1) == min(default_a, limit_a)


async def test_0_w_ends_the_transaction_and_it_is_stuck_until_unplugged(make: Make, drive_in, central, clock):
    point = await make("Huawei FusionCharge")
    await drive_in(point)
    assert await write(central, profile((0, 6900), unit="W")) == TAKEN
    await clock.advance(10)
    assert point.limit_a(1) == 10
    await write(central, profile((0, 0), unit="W"))
    await clock.advance(5)
    await central.next("StopTransaction", reason="Other")
    await central.next("StatusNotification", connectorId=1, status="Preparing")
    assert await status(central, "RemoteStartTransaction", {"connectorId": 1, "idTag": "ANNA"}) == REFUSED
    point.unplug(1)
    await drive_in(point)


async def test_the_limit_after_a_pause_is_forgotten_once(make: Make, drive_in, central, clock):
    point = await make("go-e")
    await drive_in(point)
    for limit_a in (0, 10):
        await write(central, profile((0, limit_a)))
        await clock.advance(10)
    assert point.limit_a(1) == 32
    await write(central, profile((0, 10)))
    await clock.advance(10)
    assert point.limit_a(1) == 10
    for limit_a in (0, 10):
        await write(central, profile((0, limit_a)))
        await clock.advance(10)
    assert point.limit_a(1) == 10


async def test_it_waits_before_each_start(make: Make, drive_in, central, clock):
    point = await make("Random start delay")
    await drive_in(point)
    assert point.outlets[1].status == "SuspendedEVSE"
    await clock.advance(300)
    assert point.current_a(1)[0] == 32
    await write(central, profile((0, 0)))
    await clock.advance(10)
    await write(central, profile((0, 10)))
    await clock.advance(290)
    assert point.current_a(1)[0] == 0
    await clock.advance(30)
    assert point.current_a(1)[0] == 10


@pytest.mark.parametrize(
    ("character", "expected"), [("Alfen Eve", (10, 0, 0)), ("Well-behaved", (10, 10, 10))]
)
async def test_number_phases_switches_or_does_nothing(
    make: Make, drive_in, central, clock, character: str, expected: tuple[float, float, float]
):
    point = await make(character)
    transaction = await drive_in(point)
    await write(central, profile((0, 10, 1), transaction=transaction))
    await clock.advance(60)
    assert point.current_a(1) == expected
    await write(central, profile((0, 10, 3), transaction=transaction))
    await clock.advance(60)
    assert point.current_a(1) == (10, 10, 10)


@pytest.mark.parametrize(("character", "shown_a"), [("Ignores numberPhases", 6), ("Well-behaved", 18)])
async def test_watts_are_divided_by_three_whatever_number_phases_says(
    make: Make, drive_in, central, character: str, shown_a: float
):
    point = await make(character)
    await drive_in(point)
    await write(central, profile((0, 4140, 1), unit="W"))
    assert point.limit_a(1) == shown_a


@pytest.mark.parametrize(
    ("character", "limits"),
    [
        # seconds after noon -> A: a schedule that begins at noon, and changes ten minutes later
        ("Clock two minutes slow", {60: 32, 150: 10, 690: 10, 750: 6}),
        ("Clock two minutes fast", {0: 10, 470: 10, 490: 6}),
        ("Well-behaved", {0: 10, 590: 10, 610: 6}),
    ],
)
async def test_a_schedule_is_followed_by_the_stations_own_clock(
    make: Make, drive_in, central, clock, character: str, limits: dict[int, float]
):
    point = await make(character)
    point.plug(1, Vehicle(CAR, 0.3))
    assert await point.badge(1, "ANNA")
    await central.next("StartTransaction")
    assert await write(central, profile((0, 10), (600, 6), start="2026-06-21T12:00:00Z")) == TAKEN
    for at_s, limit_a in limits.items():
        await clock.advance(at_s - (clock.now() - NOON).total_seconds())
        assert point.limit_a(1) == limit_a, at_s
