"""Who plugs in charges, without a badge: when a station is asked to start, and when no more."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from csms.domain.free_start import MOST_TRIES, Starting, next_move, seen

NOON = datetime(2026, 6, 21, 12, tzinfo=UTC)
REFUSED = "RemoteStartTransaction answered Rejected"


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("answer", "asked_at_s"),
    [
        (REFUSED, [5, 35, 155, 755]),  # ever further apart
        (None, [5, 95, 185, 275]),  # accepted, but no session comes
    ],
)
def test_a_start_that_fails_is_tried_again_ever_later_and_then_given_up(
    answer: str | None, asked_at_s: list[int]
) -> None:
    known, asked, given_up = Starting(), [], None
    for second in range(0, 1000, 5):
        known = seen(known, "Preparing", False, at(second))
        move = next_move(known, "Preparing", at(second))
        if move == "ask":
            asked.append(second)
            known = known.asked(at(second), answer)
        elif move == "give up":
            given_up = second
            break
    assert asked == asked_at_s
    assert len(asked) == MOST_TRIES
    assert given_up == (760 if answer else 365)


@pytest.mark.parametrize("status", ["Available", "Finishing", "Unavailable", "Faulted", "Reserved", None])
def test_only_where_the_station_waits(status: str | None) -> None:
    known = Starting()
    for second in range(0, 600, 5):
        known = seen(known, status, False, at(second))
        assert next_move(known, status, at(second)) == "wait"


@pytest.mark.parametrize(
    ("reason", "moves"),
    [("Local", "wait"), ("Remote", "wait"), ("DeAuthorized", "wait"), ("PowerLoss", "ask"), (None, "ask")],
)
def test_what_somebody_ended_does_not_begin_again(reason: str | None, moves: str) -> None:
    known = Starting().stopped(reason)
    known = seen(known, "Preparing", False, at(0))
    assert next_move(known, "Preparing", at(60)) == moves
    known = seen(seen(known, "Available", False, at(90)), "Preparing", False, at(100))
    assert next_move(known, "Preparing", at(110)) == "ask", "the next vehicle"


def test_a_session_that_runs_is_not_begun_again_though_the_status_lags() -> None:
    known = seen(Starting(waiting_since=at(0)), "Preparing", True, at(20))
    assert next_move(known, "Preparing", at(20)) == "wait"


def test_a_person_who_wants_it_now_is_not_kept_waiting() -> None:
    ended = Starting().stopped("Local")
    assert next_move(seen(ended, "Finishing", False, at(0)), "Finishing", at(0)) == "wait"
    assert next_move(ended.insisted(), "Finishing", at(0)) == "ask"
    assert next_move(ended.insisted().asked(at(0), REFUSED), "Finishing", at(400)) == "wait", "once"


def test_a_clock_that_is_set_back_does_not_end_the_tries() -> None:
    known = seen(Starting(), "Preparing", False, at(0)).asked(at(3600), REFUSED)
    assert next_move(known, "Preparing", at(10)) == "ask"


@pytest.mark.parametrize(
    ("known", "words"),
    [
        (Starting(), None),
        (Starting(waiting_since=NOON), "starting without a badge"),
        (Starting(NOON, tries=2), "starting without a badge, try 2 of 4"),
        (Starting(NOON, tries=4, is_told=True), "accepted, but no session began): needs a hand"),
        (Starting(NOON, tries=4, why=REFUSED, is_told=True), f"({REFUSED}): needs a hand"),
        (Starting(is_ended=True), "its session was ended"),
    ],
)
def test_words_for_people(known: Starting, words: str | None) -> None:
    assert (known.words() is None) if words is None else (words in (known.words() or ""))
