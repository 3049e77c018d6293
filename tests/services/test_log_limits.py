"""What one station causes does not fill the log; what the others cause is all there."""

import pytest
import structlog

from csms.logs import KINDS_OF_LINES, LINES_AT_ONCE, LineLimits


def written(limits, method="warning", **line):
    try:
        return limits(None, method, line)
    except structlog.DropEvent:
        return None


def test_a_station_s_lines_are_limited_and_those_left_out_are_counted():
    now_s = 0.0
    limits = LineLimits(lambda: now_s)
    lines = [written(limits, event="station refused", charge_point="CP1") for _ in range(100)]
    assert [line is not None for line in lines] == [True] * LINES_AT_ONCE + [False] * (100 - LINES_AT_ONCE)
    assert written(limits, event="station refused", charge_point="CP2") is not None
    assert written(limits, event="station connected", charge_point="CP1") is not None
    now_s = 60.0
    assert written(limits, event="station refused", charge_point="CP1")["left_out"] == 100 - LINES_AT_ONCE
    assert "left_out" not in written(limits, event="station refused", charge_point="CP1")


@pytest.mark.parametrize(
    ("method", "line"),
    [("error", {"charge_point": "CP1"}), ("exception", {"charge_point": "CP1"}), ("info", {})],
)
def test_errors_and_what_no_station_caused_are_never_left_out(method, line):
    limits = LineLimits(lambda: 0.0)
    assert all(written(limits, method, event="x", **line) for _ in range(100))


def test_what_is_remembered_is_bounded():
    limits = LineLimits(lambda: 0.0)
    for number in range(KINDS_OF_LINES + 100):
        written(limits, event="unknown charge point refused", charge_point=f"X{number}")
    assert len(limits._allowances) == KINDS_OF_LINES
