"""The server dies while everybody charges: each station falls back by itself, and is taken up again."""

from __future__ import annotations

from pathlib import Path

import pytest

from csms.domain.station_vendors import make_of
from simulation.personalities import StationCharacter, stations
from simulation.profile_deviations import AcceptsAndIgnores
from tests.personalities.places import Place, Quarter, place
from tests.personalities.story import shine

SAFE_A = 6.0
CLOCKS_APART_S = 120
RECONNECTED_S = 90  # the longest back-off of a simulated station, and a bit


def obedient(frugal: bool) -> list[str]:
    """All that follow any limit. frugal: those whose memory wears, so that the dead-man is not renewed."""

    def follows(station: StationCharacter) -> bool:
        return not any(isinstance(deviation, AcceptsAndIgnores) for deviation in station.model.deviations)

    def is_frugal(station: StationCharacter) -> bool:
        return make_of(station.model.vendor, station.model.model).limits.max_writes_per_day is not None

    return [name for name, one in stations().items() if follows(one) and is_frugal(one) is frugal]


def pilots(places: list[Place]) -> dict[str, float]:
    return {one.name: one.point.limit_a(1) for one in places}


def transactions(places: list[Place]) -> dict[str, int | None]:
    found = {one.name: one.point.outlets[1].transaction for one in places}
    return {name: None if running is None else running.id for name, running in found.items()}


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "names",
    [*(obedient(frugal=False)[n::3] for n in range(3)), obedient(frugal=True)],
    ids=["a third", "another third", "the rest", "with a budget of writes"],
)
async def test_stations_fall_back_to_safe_and_are_adopted_without_a_new_transaction(
    tmp_path: Path, names: list[str]
) -> None:
    quarter = Quarter([place(name, 30_000) for name in names], tmp_path)
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

        dead_man_s = max(quarter.app.limits.pace(one.id).dead_man_s for one in quarter.places)
        await quarter.stop_server()
        await quarter.pass_time(dead_man_s + CLOCKS_APART_S + 60)
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
