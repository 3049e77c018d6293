"""The program that measures the line's use still runs; what it measures is not judged here."""

from __future__ import annotations

from benchmarks import bus


def test_the_use_of_a_line_is_measured() -> None:
    figures = {figure.what: figure for figure in bus.run(meters=2)}
    assert any(name.startswith("line used, 2 meters") for name in figures)
    assert "failed readings" in figures
