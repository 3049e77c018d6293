"""A person's CSV: what is read, and what is refused with file, line and column."""

from __future__ import annotations

import gzip
from datetime import timedelta
from pathlib import Path

import pytest
from replay_builders import NOON, write_series

from csms.errors import InvalidInput
from simulation.series import read_series


def series_file(folder: Path, text: str) -> Path:
    path = folder / "series.csv"
    path.write_text(text)
    return path


def test_plain_and_gzipped_files_read_the_same(tmp_path: Path) -> None:
    plain = read_series(write_series(tmp_path / "a.csv", [0, 1000, 2000]))
    packed = read_series(write_series(tmp_path / "a.csv.gz", [0, 1000, 2000]))
    assert plain == packed
    assert (plain.start_at, plain.end_at, plain.step_s) == (NOON, NOON + timedelta(minutes=3), 60)
    assert plain.pv_w == [0, 1000, 2000]


def test_a_spreadsheet_export_with_mark_and_semicolons_is_read(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    path.write_bytes(
        "\ufefftimestamp_utc;pv_w;load_w\r\n2024-06-03 10:00:00;5;7\r\n2024-06-03 10:01:00;6;8\r\n".encode()
    )
    assert read_series(path).load_w == [7, 8]


def test_other_column_names_and_a_larger_roof(tmp_path: Path) -> None:
    path = series_file(
        tmp_path, "timestamp_utc,roof,pv_w,load_w\n2024-06-03T10:00Z,100,1,5\n2024-06-03T10:01Z,200,1,5\n"
    )
    assert read_series(path, {"pv_w": "roof"}, pv_scale=2.5).pv_w == [250, 500]


def test_a_load_without_phases_is_spread_evenly_and_said_so(tmp_path: Path) -> None:
    series = read_series(write_series(tmp_path / "a.csv", [0, 0], 300))
    assert [phase[0] for phase in series.load_phases_w] == [100, 100, 100]
    assert any("spread evenly" in note for note in series.notes)


def test_phase_columns_are_shares_of_the_load(tmp_path: Path) -> None:
    """Metered phases are rounded one by one: they must not change the house's balance."""
    path = series_file(
        tmp_path,
        "timestamp_utc,pv_w,load_w,load_l1_w,load_l2_w,load_l3_w\n"
        "2024-06-03T10:00:00Z,0,400,198,101,100\n2024-06-03T10:01:00Z,0,300,0,0,0\n",
    )
    l1, l2, l3 = read_series(path).load_phases_w
    assert [sum(minute) for minute in zip(l1, l2, l3, strict=True)] == pytest.approx([400, 300])
    assert l1[0] == pytest.approx(400 * 198 / 399)
    assert l1[1] == 100


def test_only_the_chosen_part_is_read_and_may_be_the_only_good_one(tmp_path: Path) -> None:
    path = series_file(
        tmp_path,
        "timestamp_utc,pv_w,load_w\n2024-06-03T09:00:00Z,,\n2024-06-03T10:00:00Z,1,5\n"
        "2024-06-03T10:01:00Z,2,5\n2024-06-03T10:02:00Z,,\n",
    )
    series = read_series(path, start=NOON, end=NOON + timedelta(minutes=2))
    assert (series.start_at, series.pv_w) == (NOON, [1, 2])


def test_an_inverter_that_consumes_a_little_at_night_counts_as_zero(tmp_path: Path) -> None:
    series = read_series(write_series(tmp_path / "a.csv", [-6, 5000, -3]))
    assert series.pv_w == [0, 5000, 0]
    assert any("2 slightly negative values of pv_w" in note for note in series.notes)


HEADER = "timestamp_utc,pv_w,load_w\n"
FIRST, SECOND = "2024-06-03T10:00:00Z,0,5\n", "2024-06-03T10:01:00Z,0,5\n"


@pytest.mark.parametrize(
    ("text", "where", "expected"),
    [
        (
            HEADER + FIRST + SECOND + "2024-06-03T10:03:00Z,0,5\n",
            "line 4, column timestamp_utc",
            "T10:02:00Z",
        ),
        (HEADER + FIRST + SECOND + "2024-06-03T10:01:30Z,0,5\n", "line 4, column timestamp_utc", "of 60 s"),
        (HEADER + FIRST + FIRST, "line 3, column timestamp_utc", "a time at most 60 s after"),
        (
            HEADER + FIRST + "2024-06-03T10:15Z,0,5\n",
            "line 3, column timestamp_utc",
            "a time at most 60 s after",
        ),
        (HEADER + FIRST + "03.06.2024 10:01,0,5\n", "line 3, column timestamp_utc", "given, a time such as"),
        (HEADER + FIRST + "2024-06-03T10:01:00Z,nan,5\n", "line 3, column pv_w", "'nan' given, a number"),
        (HEADER + FIRST + "2024-06-03T10:01:00Z,1,\n", "line 3, column load_w", "'' given, a number"),
        (HEADER + FIRST + "2024-06-03T10:01:00Z,1\n", "line 3, column load_w", "'' given, a number"),
        (HEADER + FIRST + "2024-06-03T10:01:00Z,-500,5\n", "line 3, column pv_w", "0 or more"),
        ("timestamp_utc,solar,load_w\n" + FIRST + SECOND, "line 1, column pv_w", "--column pv_w=NAME"),
        (HEADER, "no lines", "at least two lines"),
        ("timestamp_utc,pv_w,load_w,load_l1_w\n" + FIRST, "line 2, column load_l2_w", "all three of"),
    ],
)
def test_bad_lines_are_refused_with_their_place(tmp_path: Path, text: str, where: str, expected: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read_series(series_file(tmp_path, text))
    assert "series.csv" in str(refused.value)
    assert where in str(refused.value)
    assert expected in str(refused.value)


def test_a_mapped_column_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="column load_h1_w"):
        read_series(write_series(tmp_path / "a.csv", [0, 0]), {"load_w": "load_h1_w"})


def test_a_period_outside_the_file_is_refused_with_the_files_own(tmp_path: Path) -> None:
    path = write_series(tmp_path / "a.csv", [0, 0])
    with pytest.raises(InvalidInput, match="2024-06-03T10:00:00Z to 2024-06-03T10:01:00Z"):
        read_series(path, start=NOON + timedelta(days=1))


@pytest.mark.parametrize(
    "content",
    [b"not gzip at all", gzip.compress(b"timestamp_utc,pv_w")[:-6], b"\xff\xfe"],
    ids=["no archive", "cut short", "other bytes"],
)
def test_a_broken_archive_is_one_clear_fault(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "series.csv.gz"
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match="readable CSV file"):
        read_series(path)


def test_a_missing_file_is_one_clear_fault(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"nowhere\.csv"):
        read_series(tmp_path / "nowhere.csv")
