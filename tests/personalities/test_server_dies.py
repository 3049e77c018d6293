"""The server dies while everybody charges: each station falls back by itself, and is taken up again."""

from __future__ import annotations

from pathlib import Path

import pytest

from csms.domain.write_pace import DEAD_MAN_S
from simulation.personalities import stations
from tests.personalities.expectations import expected
from tests.personalities.places import Place, Quarter, place
from tests.personalities.story import shine

SAFE_A = 6.0
CLOCKS_APART_S = 120
RECONNECTED_S = 90  # the longest back-off of a simulated station, and a bit


def obedient() -> list[str]:
    """Those that Helianthus controls today."""
    outcomes = {name: expected(name).today or expected(name).must for name in stations()}
    return [name for name, outcome in outcomes.items() if outcome.follows and outcome.energy]


def pilots(places: list[Place]) -> dict[str, float]:
    return {one.name: one.point.limit_a(1) for one in places}


def transactions(places: list[Place]) -> dict[str, int | None]:
    found = {one.name: one.point.outlets[1].transaction for one in places}
    return {name: None if running is None else running.id for name, running in found.items()}


@pytest.mark.timeout(300)
async def test_stations_fall_back_to_safe_and_are_adopted_without_a_new_transaction(tmp_path: Path) -> None:
    quarter = Quarter([place(name, 20_000) for name in obedient()], tmp_path)
    await quarter.open()
    try:
        await quarter.minutes(1)
        for one in quarter.places:
            await quarter.arrive(one)
        shine(quarter, 11.5)
        await quarter.minutes(7)
        charging, begun = pilots(quarter.places), transactions(quarter.places)
        assert all(pilot_a > SAFE_A for pilot_a in charging.values()), charging
        without = {one.name for one in quarter.places if one.station.model.starts_by == "free"}
        assert {name for name, id in begun.items() if id is None} == without

        await quarter.stop_server()
        await quarter.pass_time(DEAD_MAN_S + CLOCKS_APART_S + 60)
        assert pilots(quarter.places) == dict.fromkeys(charging, SAFE_A)

        await quarter.start_server()
        await quarter.pass_time(RECONNECTED_S)
        await quarter.minutes(2)
        again = pilots(quarter.places)
        assert {name for name, pilot_a in again.items() if pilot_a <= SAFE_A} == set(), again
        assert transactions(quarter.places) == begun
        stored = {
            one.name: await quarter.app.reporting.transactions(identity=one.id) for one in quarter.places
        }
        assert {name: [row["id"] for row in rows] for name, rows in stored.items()} == {
            name: [] if id is None else [id] for name, id in begun.items()
        }
    finally:
        await quarter.close()
