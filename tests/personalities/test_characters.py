"""Every character through plug-in, sun, cloud, sun, target and unplug on the whole server.

All that are selected run at once; `-k Wallbox` selects. `python -m tests.personalities` prints the figures.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from simulation.personalities import stations, vehicles
from tests.personalities.coping import COPING
from tests.personalities.expectations import DEVIATING, Outcome, expected
from tests.personalities.story import Row, play

MOST_WRITES = 40  # in the hour; a station that has to be found out takes most of them
GROUPS = 6  # so that none takes long, and cores share them evenly
NAMES = [*stations(), *vehicles()]
CHARACTERS = [
    pytest.param(name, marks=pytest.mark.xdist_group(f"characters {n % GROUPS}"))
    for n, name in enumerate(NAMES)
]


@pytest.fixture(scope="module")
def told() -> dict[str, Row]:
    """What has been played so far."""
    return {}


@pytest.fixture
def row(name: str, told: dict[str, Row], request: pytest.FixtureRequest, tmp_path: Path) -> Row:
    """The first to ask plays the story for all of its group that are selected."""
    if name not in told:
        items = [item for item in request.session.items if item.path == request.path]
        selected = [item.callspec.params["name"] for item in items if hasattr(item, "callspec")]
        group = [n for n in selected if NAMES.index(n) % GROUPS == NAMES.index(name) % GROUPS]
        told.update({row.name: row for row in asyncio.run(play(group, tmp_path))})
    return told[name]


@pytest.mark.timeout(500)  # the first of a group plays for all of it
@pytest.mark.parametrize("name", CHARACTERS)
def test_character(name: str, row: Row) -> None:
    assert not row.odd_limits, "limits between 0 and the minimum were written"
    assert row.writes <= MOST_WRITES, row
    outcome = Outcome(
        row.follows, row.gets_its_energy, not row.excess_s, row.is_recorded_right, row.is_left_free
    )
    assert outcome == expected(name), row


def test_expectations_are_about_characters_that_exist() -> None:
    assert set(NAMES) >= DEVIATING.keys()
    assert set(NAMES) == COPING.keys()


def test_the_page_of_stations_tells_of_every_character() -> None:
    page = (Path(__file__).parents[2] / "docs" / "stations.md").read_text(encoding="utf-8")
    assert [name for name in NAMES if f"| {name} |" not in page] == []
