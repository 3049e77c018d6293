"""Time that a person sets."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from simulation.clock import ScaledClock, VirtualClock

NOON = datetime(2026, 6, 21, 12, tzinfo=UTC)


async def test_sleepers_wake_in_the_order_of_their_time_and_see_it():
    clock = VirtualClock(NOON)
    woken: list[tuple[str, float]] = []

    async def sleeper(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((name, (clock.now() - NOON).total_seconds()))

    async with asyncio.TaskGroup() as tasks:
        for name, seconds in (("late", 60), ("early", 5), ("early too", 5)):
            tasks.create_task(sleeper(name, seconds))
        await clock.advance(59)
        assert woken == [("early", 5), ("early too", 5)]
        await clock.advance(1)
    assert woken[-1] == ("late", 60)


async def test_who_sleeps_again_within_the_span_is_woken_again():
    clock = VirtualClock(NOON)
    ticks: list[datetime] = []

    async def tick() -> None:
        while True:
            await clock.sleep(10)
            ticks.append(clock.now())

    ticking = asyncio.create_task(tick())
    await clock.advance(35)
    ticking.cancel()
    assert ticks == [NOON + timedelta(seconds=s) for s in (10, 20, 30)]
    assert clock.now() == NOON + timedelta(seconds=35)


async def test_a_cancelled_sleeper_does_not_stop_the_clock():
    clock = VirtualClock(NOON)
    sleeping = asyncio.create_task(clock.sleep(10))
    await clock.advance(1)
    sleeping.cancel()
    await clock.advance(60)
    assert clock.now() == NOON + timedelta(seconds=61)


async def test_an_accelerated_hour_passes_in_no_time():
    clock = ScaledClock(NOON, speed=360_000)
    async with asyncio.timeout(5):
        await clock.sleep(3600)
    assert clock.now() >= NOON + timedelta(seconds=3600)


@pytest.mark.parametrize("speed", [0, -1])
def test_time_does_not_stand_still_or_run_backwards(speed: float):
    with pytest.raises(ValueError, match="speed"):
        ScaledClock(NOON, speed)
