"""ConnectorPhaseRotation as stations write it."""

from __future__ import annotations

import pytest

from csms.domain.phase_rotation import phase_order, rotations

STR = ("L2", "L3", "L1")
RST = ("L1", "L2", "L3")


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ("1.STR", {1: STR}),
        ("0.RST,1.RST,2.STR", {1: RST, 2: STR}),
        ("0.STR", {1: STR, 2: STR}),
        (" 1.str , 2.RST ", {1: STR, 2: RST}),
        ("1STR", {1: STR}),
        ("1.Unknown,2.NotApplicable", {}),
        ("1.RSS", {}),
        ("RST", {}),
        ("", {}),
        (None, {}),
    ],
)
def test_rotations(told: str | None, found: dict[int, tuple[str, str, str]]) -> None:
    assert rotations(told, {0, 1, 2}) == found


@pytest.mark.parametrize(
    ("described", "told", "order"),
    [
        (["L1", "L2", "L3"], STR, STR),
        (["L1", "L2", "L3"], None, RST),
        (["L3", "L1", "L2"], STR, ("L3", "L1", "L2")),  # whoever wrote that has looked at the wiring
        (["L2"], STR, ("L2",)),
    ],
)
def test_the_site_file_wins_where_it_says_something(
    described: list[str], told: tuple[str, str, str] | None, order: tuple[str, ...]
) -> None:
    assert tuple(phase_order(described, told)) == order
