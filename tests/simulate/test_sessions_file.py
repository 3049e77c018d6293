"""Vehicles' sessions: whose they are, and what is refused."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from replay_builders import NOON, write_sessions

from csms.errors import InvalidInput
from simulation.sessions import read_sessions

CONNECTORS = ["CP1/1", "CP1/2", "CP2/1"]


def test_a_charge_point_means_its_first_connector(tmp_path: Path) -> None:
    path = write_sessions(tmp_path / "s.csv", ("CP2", 30, 60, 2, 16, 1), ("CP1/2", 0, 60, 3.5, 32, 3))
    first, second = read_sessions(path, CONNECTORS)
    assert (first.connector, second.connector) == ("CP1/2", "CP2/1")
    assert (first.energy_wh, first.max_a, first.phases) == (3500, 32, 3)
    assert second.arrival_at == NOON + timedelta(minutes=30)


def test_declared_departure_and_need_are_read_from_other_columns_and_may_be_empty(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    path.write_text(
        "garage,arrival_utc,departure_utc,energy_kwh,max_current_a,phases,leaves,wants\n"
        "CP1,2024-06-03T10:00:00Z,2024-06-03T12:00:00Z,5,16,1,2024-06-03T12:30:00Z,6\n"
        "CP1,2024-06-03T13:00:00Z,2024-06-03T14:00:00Z,5,16,1,,\n"
    )
    columns = {"station_id": "garage", "declared_departure_utc": "leaves", "requested_kwh": "wants"}
    told, silent = read_sessions(path, CONNECTORS, columns)
    assert (told.declared_departure_at, told.requested_wh) == (NOON + timedelta(hours=2, minutes=30), 6000)
    assert (silent.declared_departure_at, silent.requested_wh) == (None, None)


def test_stations_are_mapped_by_hand_or_left_out(tmp_path: Path) -> None:
    path = write_sessions(
        tmp_path / "s.csv", ("AG-1", 0, 9, 1, 16, 1), ("AG-2", 1, 9, 1, 16, 1), ("CP2", 2, 9, 1, 16, 1)
    )
    sessions = read_sessions(path, CONNECTORS, stations={"AG-1": "CP1/2", "AG-2": "none"})
    assert [s.connector for s in sessions] == ["CP1/2", "CP2/1"]


def test_auto_maps_unknown_stations_in_order_of_appearance_to_free_connectors(tmp_path: Path) -> None:
    path = write_sessions(
        tmp_path / "s.csv", ("B", 5, 9, 1, 16, 1), ("A", 0, 9, 1, 16, 1), ("CP1", 2, 9, 1, 16, 1)
    )
    placed = {s.station_id: s.connector for s in read_sessions(path, CONNECTORS, stations="auto")}
    assert placed == {"B": "CP1/2", "A": "CP2/1", "CP1": "CP1/1"}


def test_unknown_stations_are_listed_with_the_way_to_map_them(tmp_path: Path) -> None:
    path = write_sessions(tmp_path / "s.csv", ("AG-1", 0, 9, 1, 16, 1), ("AG-2", 1, 9, 1, 16, 1))
    with pytest.raises(InvalidInput) as refused:
        read_sessions(path, CONNECTORS)
    for part in ("s.csv", "AG-1, AG-2", "--station AG-1=CP1/1 --station AG-2=CP1/2", "--station auto"):
        assert part in str(refused.value)


def test_auto_needs_a_connector_for_each_station(tmp_path: Path) -> None:
    path = write_sessions(tmp_path / "s.csv", ("A", 0, 9, 1, 16, 1), ("B", 1, 9, 1, 16, 1))
    with pytest.raises(InvalidInput, match=r"2 stations in s\.csv' given, at most 1"):
        read_sessions(path, ["CP1/1"], stations="auto")


@pytest.mark.parametrize(
    ("stations", "expected"),
    [
        ({"AG-9": "CP1"}, "one of the station ids in s.csv: AG-1"),
        ({"AG-1": "CP7"}, "a connector of the site: CP1/1"),
    ],
)
def test_a_mapping_that_leads_nowhere_is_refused(
    tmp_path: Path, stations: dict[str, str], expected: str
) -> None:
    path = write_sessions(tmp_path / "s.csv", ("AG-1", 0, 9, 1, 16, 1))
    with pytest.raises(InvalidInput, match=expected):
        read_sessions(path, CONNECTORS, stations=stations)


@pytest.mark.parametrize(
    ("row", "column", "expected"),
    [
        (("CP1", 9, 9, 1, 16, 1), "departure_utc", "a time after"),
        (("CP1", 0, 9, -1, 16, 1), "energy_kwh", "0 or more"),
        (("CP1", 0, 9, 1, 0, 1), "max_current_a", "more than 0 A"),
        (("CP1", 0, 9, 1, 16, 4), "phases", "1, 2 or 3"),
        (("CP1", 0, 9, float("inf"), 16, 1), "energy_kwh", "a number"),
    ],
)
def test_impossible_sessions_are_refused_with_their_place(
    tmp_path: Path, row: tuple[str, int, int, float, float, int], column: str, expected: str
) -> None:
    path = write_sessions(tmp_path / "s.csv", ("CP1", 0, 5, 1, 16, 1), row)
    with pytest.raises(InvalidInput, match=rf"s\.csv line 3, column {column}.*{expected}"):
        read_sessions(path, CONNECTORS)
