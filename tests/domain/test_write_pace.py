"""How often limits are written: deadband, pauses, and a budget for stations whose memory wears."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csms.domain.write_pace import LimitChange, WritePace, WritesToday

NOON = datetime(2026, 6, 21, 10, 0, tzinfo=UTC)
USUAL, EASEE = WritePace(), WritePace(max_per_day=25)


def written(count: int, s_ago: float) -> WritesToday:
    return WritesToday(NOON.date(), count, NOON - timedelta(seconds=s_ago))


@pytest.mark.parametrize(
    ("pace", "change", "count", "s_ago", "waits"),
    [
        (USUAL, LimitChange(None, 6, 1), 0, 1, None),
        (USUAL, LimitChange(10, 10.5, 1), 9, 300, "not worth"),
        (USUAL, LimitChange(10, 10.5, 0.5), 9, 300, None),
        (USUAL, LimitChange(10, 11, 1), 9, 29, "only just now"),
        (USUAL, LimitChange(10, 11, 1), 9, 30, None),
        (USUAL, LimitChange(10, 14, 1), 9, 9, "only just now"),
        (USUAL, LimitChange(10, 14, 1), 9, 10, None),
        (USUAL, LimitChange(6, 0, 1), 9, 10, None),
        (USUAL, LimitChange(10, 9, 1, is_urgent=True), 9, 0, None),
        (WritePace(pause_s=60), LimitChange(0, 10, 1), 9, 59, "only just now"),
        (EASEE, LimitChange(10, 11, 1), 3, 7200, "not worth"),  # coarsely
        (EASEE, LimitChange(10, 13, 1), 3, 600, "not so soon"),
        (EASEE, LimitChange(10, 13, 1), 3, 864, None),
        (EASEE, LimitChange(6, 0, 1), 3, 600, None),  # pauses as long as there is anything left
        (EASEE, LimitChange(0, 6, 1), 9, 600, None),  # the first starts of a day at once
        (EASEE, LimitChange(0, 6, 1), 10, 600, "not so soon"),
        (EASEE, LimitChange(10, 13, 1), 20, 7200, "kept for pauses"),
        (EASEE, LimitChange(10, 0, 1), 24, 7200, None),
        (EASEE, LimitChange(10, 0, 1), 25, 7200, "used up"),
        (EASEE, LimitChange(None, 6, 1), 25, 7200, "used up"),
        (EASEE, LimitChange(10, 6, 1, is_urgent=True), 25, 1, None),
    ],
)
def test_what_is_written_and_what_waits(
    pace: WritePace, change: LimitChange, count: int, s_ago: float, waits: str | None
) -> None:
    why = pace.waits_for(change, written(count, s_ago), NOON)
    assert (why is None) if waits is None else (why is not None and waits in why)


def test_a_new_day_has_a_new_budget() -> None:
    yesterday = WritesToday(NOON.date() - timedelta(days=1), 25, NOON - timedelta(hours=12))
    assert EASEE.waits_for(LimitChange(10, 13, 1), yesterday, NOON) is None
    assert yesterday.one_more(NOON) == WritesToday(NOON.date(), 1, NOON)


def test_a_clock_set_back_holds_nothing_up() -> None:
    later = WritesToday(NOON.date(), 3, NOON + timedelta(hours=3))
    assert EASEE.waits_for(LimitChange(10, 13, 1), later, NOON) is None


def test_the_dead_man_grows_as_the_budget_shrinks_and_is_not_renewed_for_its_own_sake() -> None:
    assert [WritePace(n).dead_man_s for n in (None, 1000, 100, 25, 5)] == [900, 900, 1728, 6912, 34_560]
    assert USUAL.renews_dead_man
    assert not EASEE.renews_dead_man


@given(
    most=st.integers(5, 200),
    limits=st.lists(st.sampled_from([0, *range(6, 33)]), min_size=1, max_size=300),
    apart_s=st.integers(1, 3600),
)
def test_sun_alone_never_exceeds_the_budget(most: int, limits: list[int], apart_s: int) -> None:
    pace, done, now, old_a = WritePace(most), WritesToday(), NOON, None
    for limit_a in limits:
        if pace.waits_for(LimitChange(old_a, limit_a, 1), done, now) is None:
            done, old_a = done.one_more(now), float(limit_a)
        assert done.on(now.date()) <= most
        now += timedelta(seconds=apart_s)
