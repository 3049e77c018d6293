"""Which way a limit is written next: the likeliest first, what was learnt before that, and an end to it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csms.domain.charging_profile import ProfileAbilities
from csms.domain.profile_ladder import (
    FIRST,
    LearntLimits,
    Rung,
    learnt_from_dict,
    learnt_to_dict,
    rungs,
)
from csms.domain.station_vendors import LimitHints, make_of

NOON = datetime(2026, 6, 21, 10, 0, tzinfo=UTC)
NO_HINTS = LimitHints()
MODEL = ("ABB", "Terra AC", "1.8.21")

abilities = st.builds(
    ProfileAbilities,
    only_unit=st.sampled_from([None, "A", "W"]),
    max_periods=st.none() | st.integers(1, 30),
    max_stack_level=st.none() | st.integers(0, 10_000),
    switches_phases=st.booleans(),
)
makes = st.sampled_from(["ABB", "Easee", "Wall Box Chargers", "myenergi", "Timxon", "EVBox", "Someone"])


def in_short(rung: Rung) -> str:
    place = {"TxProfile": "Tx", "TxDefaultProfile": "Def", "ChargePointMaxProfile": "Max"}[rung.purpose]
    unit = rung.unit + {"wired": "", "used": "t", "three": "3"}[rung.counts]
    return f"{place}{0 if rung.on_station else 'N'}.{rung.stack_level}.{rung.kind[:3]}.{unit}"


@pytest.mark.parametrize(
    ("told", "hints", "begins_with"),
    [
        (
            ProfileAbilities(max_stack_level=3),
            NO_HINTS,
            ["TxN.0.Abs.A", "TxN.0.Rel.A", "TxN.0.Abs.W", "TxN.3.Abs.A"],
        ),
        (
            ProfileAbilities(only_unit="A"),
            NO_HINTS,
            ["TxN.0.Abs.A", "TxN.0.Rel.A", "DefN.0.Abs.A", "DefN.0.Rel.A", "Def0.0.Abs.A", "Def0.0.Rel.A"],
        ),
        (ProfileAbilities(only_unit="W"), NO_HINTS, ["TxN.0.Abs.W", "TxN.0.Rel.W", "TxN.0.Abs.Wt"]),
        (
            ProfileAbilities(only_unit="A", max_stack_level=16),
            make_of("ABB", "Terra AC").limits,
            ["TxN.0.Abs.A", "TxN.0.Rel.A", "DefN.0.Abs.A"],
        ),
        (
            ProfileAbilities(only_unit="A", max_stack_level=8),
            make_of("myenergi", "zappi").limits,
            ["DefN.8.Abs.A", "DefN.8.Rel.A", "DefN.0.Abs.A", "Def0.8.Abs.A"],
        ),
        (ProfileAbilities(only_unit="A"), make_of("Easee", "Home").limits, ["TxN.0.Abs.A", "DefN.0.Abs.A"]),
    ],
)
def test_what_is_likely_comes_first(
    told: ProfileAbilities, hints: LimitHints, begins_with: list[str]
) -> None:
    found = [in_short(rung) for rung in rungs(told, hints)]
    assert found[: len(begins_with)] == begins_with


def test_the_last_resort_is_a_cap_of_the_whole_station() -> None:
    assert in_short(rungs(ProfileAbilities(only_unit="A"), NO_HINTS)[-1]) == "Max0.0.Abs.A"


@given(told=abilities, vendor=makes)
def test_there_is_always_a_way_and_never_the_same_twice(told: ProfileAbilities, vendor: str) -> None:
    found = rungs(told, make_of(vendor, None).limits)
    assert 1 <= len(found) <= 50
    assert len({rung.key for rung in found}) == len(found)
    if told.only_unit is not None:
        assert {rung.unit for rung in found} == {told.only_unit}
    assert all(rung.stack_level == 0 for rung in found) or not make_of(vendor, None).limits.only_level_0


@given(told=abilities, vendor=makes, ignored=st.lists(st.booleans(), min_size=60, max_size=60))
def test_a_station_that_takes_nothing_is_left_alone_after_each_way_once(
    told: ProfileAbilities, vendor: str, ignored: list[bool]
) -> None:
    candidates = rungs(told, make_of(vendor, None).limits)
    learnt, tried = LearntLimits(), []
    while (rung := learnt.next_rung(candidates, None, NOON)) is not None:
        tried.append(rung)
        learnt = learnt.fails([rung], "ignored" if ignored[len(tried)] else "refused")
    assert sorted(map(in_short, tried)) == sorted(in_short(r) for r in candidates if r.counts != "three")
    waiting = learnt.all_failed(NOON)
    assert waiting.next_rung(candidates, None, NOON + timedelta(seconds=59)) is None
    assert waiting.next_rung(candidates, None, NOON + timedelta(hours=6)) is not None


def test_it_is_asked_again_ever_more_seldom() -> None:
    learnt, waits, now = LearntLimits(), [], NOON
    for _ in range(6):
        learnt = learnt.fails([FIRST], "refused").all_failed(now)
        assert learnt.retry_at is not None
        waits.append(round((learnt.retry_at - now).total_seconds() / 60))
        now = learnt.retry_at
    assert waits == [1, 10, 60, 360, 360, 360]


def test_what_works_stays_and_serves_the_next_of_its_model() -> None:
    candidates = rungs(ProfileAbilities(), NO_HINTS)
    fourth = candidates[3]
    learnt = LearntLimits().works(fourth, MODEL, proven=True)
    assert learnt.next_rung(candidates, None, NOON) == fourth
    assert LearntLimits().next_rung(candidates, fourth.key, NOON) == fourth
    assert LearntLimits().next_rung(candidates, "a way of an older version", NOON) == candidates[0]


def test_after_a_reset_what_was_refused_is_tried_again_once_a_day_but_not_what_was_ignored() -> None:
    candidates = rungs(ProfileAbilities(only_unit="A"), NO_HINTS)
    learnt = LearntLimits(of_model=MODEL)
    learnt = learnt.fails([candidates[0]], "ignored").fails([candidates[1]], "refused")
    learnt = learnt.works(candidates[2], MODEL, proven=True)
    booted = learnt.booted(MODEL, NOON)
    assert booted.next_rung(candidates, None, NOON) == candidates[1]
    again = booted.fails([candidates[1]], "refused").works(candidates[2], MODEL, proven=False)
    assert again.booted(MODEL, NOON + timedelta(hours=1)).next_rung(candidates, None, NOON) == candidates[2]
    assert again.booted(MODEL, NOON + timedelta(days=1)).next_rung(candidates, None, NOON) == candidates[1]


def test_where_nothing_is_offered_the_watts_are_counted_otherwise() -> None:
    """More than is meant is allowed only to a station that offers nothing of less; if it takes more, that
    was not it."""
    candidates = rungs(ProfileAbilities(only_unit="W"), NO_HINTS)
    learnt = LearntLimits()
    seen = []
    for _ in range(2):
        rung = learnt.next_rung(candidates, None, NOON)
        assert rung is not None
        seen.append(rung.counts)
        learnt = learnt.fails(learnt.counted_less(candidates, rung), "withheld")
    last = learnt.next_rung(candidates, None, NOON)
    assert last is not None
    assert (seen, last.key) == (
        ["wired", "used"],
        "TxProfile on the connector, level 0, Absolute, W for three phases",
    )
    assert learnt.counted_less(candidates, last) == []
    learnt = learnt.fails([last], "ignored")
    assert learnt.next_rung(candidates, None, NOON) == candidates[0]
    assert learnt.failed == {last.key: "ignored"}


def test_where_the_floor_rules_the_limit_takes_its_place() -> None:
    """Ways with a floor beneath are better than none: they come again if all others are refused."""
    candidates = rungs(ProfileAbilities(only_unit="A", max_stack_level=10), NO_HINTS)
    learnt = LearntLimits().works(FIRST, MODEL, proven=True)
    learnt = learnt.fails(learnt.floored(candidates, FIRST), "floored")
    rung = learnt.next_rung(candidates, None, NOON)
    assert rung is not None
    assert (in_short(rung), learnt.floored(candidates, rung)) == ("DefN.0.Abs.A", [])
    without = [one for one in candidates if not one.has_floor_beneath]
    assert learnt.fails(without, "refused").next_rung(candidates, None, NOON) == FIRST
    assert LearntLimits().floored(rungs(ProfileAbilities(), make_of("Easee", None).limits)[:1], FIRST) == []


def test_amperes_cannot_be_counted_otherwise() -> None:
    candidates = rungs(ProfileAbilities(), NO_HINTS)
    assert LearntLimits().counted_less(candidates, FIRST) == []


def test_other_firmware_is_another_station() -> None:
    learnt = LearntLimits(of_model=MODEL).fails([FIRST], "ignored")
    assert learnt.booted(("ABB", "Terra AC", "1.8.32"), NOON).next_rung([FIRST], None, NOON) == FIRST


@given(
    failed=st.dictionaries(st.sampled_from([r.key for r in rungs(ProfileAbilities(), NO_HINTS)]),
                           st.sampled_from(["refused", "ignored", "withheld", "floored"])),
    rounds=st.integers(0, 9),
    waits=st.booleans(),
)  # fmt: skip
def test_what_was_learnt_survives_storage(failed: dict[str, str], rounds: int, waits: bool) -> None:
    learnt = LearntLimits(
        rung=FIRST.key,
        proven=True,
        failed=failed,  # type: ignore[arg-type]
        rounds=rounds,
        retry_at=NOON if waits else None,
        of_model=MODEL,
    )
    assert learnt_from_dict(learnt_to_dict(learnt)) == learnt
