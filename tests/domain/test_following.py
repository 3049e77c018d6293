"""Does the connector follow? Rows of (seconds after the limit was set, what is measured, what is said)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from csms.domain.charge_point import ConnectorReading
from csms.domain.following import Following, Offer, in_words, observe

NOON = datetime(2026, 6, 21, 10, 0, tzinfo=UTC)


def offer(limit_a: float, before_a: float | None = 16, after_s: float = 0, phases: int = 3) -> Offer:
    return Offer(limit_a, NOON + timedelta(seconds=after_s), before_a, phases, 230)


def measured(after_s: float, *current_a: float, power_w: float | None = None) -> ConnectorReading:
    at = NOON + timedelta(seconds=after_s)
    if not current_a:
        return ConnectorReading(at, power_w=power_w)
    first, second, third = (*current_a, 0.0, 0.0)[:3]
    return ConnectorReading(at, power_w=power_w, current_a=(first, second, third))


def told(*readings: ConnectorReading, of: Offer, known: Following | None = None) -> list[str]:
    found, following = [], known or Following()
    for reading in readings:
        following = observe(following, of, reading)
        found.append(following.state)
    return found


@pytest.mark.parametrize(
    ("limit_a", "readings", "states"),
    [
        (8, [measured(10, 8, 8, 8), measured(70, 8.1, 8, 8)], ["following"] * 2),
        (8, [measured(10, 8.9)], ["following"]),  # within what meters err
        (8, [measured(90, 2)], ["following"]),  # a car that is nearly full
        (8, [measured(-5, 16), measured(10, 16), measured(40, 8)], ["unknown", "late", "following"]),
        (
            8,
            [measured(10, 16), measured(60, 16), measured(61, 16), measured(90, 8)],
            ["late", "late", "not_following", "following"],
        ),
        (0, [measured(30, 0.4), measured(61, 6)], ["following", "late"]),
        (8, [measured(10, 8), measured(600, 16), measured(661, 16)], ["following", "late", "not_following"]),
        (8, [measured(70, power_w=8 * 690)], ["following"]),
        (8, [measured(70, power_w=16 * 690)], ["not_following"]),
        (8, [measured(70, power_w=8 * 690 * 1.09)], ["following"]),  # the voltage may be high
    ],
)
def test_states(limit_a: float, readings: list[ConnectorReading], states: list[str]) -> None:
    assert told(*readings, of=offer(limit_a)) == states


def test_what_the_station_says_it_offers_counts_where_current_is_not_measured() -> None:
    reading = ConnectorReading(NOON + timedelta(seconds=70), offered_a=16, power_w=100)
    assert told(reading, of=offer(8)) == ["not_following"]


def test_measured_current_counts_more_than_an_offer_that_is_stale() -> None:
    reading = ConnectorReading(NOON + timedelta(seconds=70), current_a=(8, 8, 8), offered_a=16)
    assert told(reading, of=offer(8)) == ["following"]


def test_a_station_that_is_late_is_given_more_time_afterwards() -> None:
    first = Following()
    for reading in (measured(10, 16), measured(80, 16), measured(100, 8)):
        first = observe(first, offer(8), reading)
    assert first.delay_s == 100
    after = offer(6, before_a=8, after_s=200)
    assert told(measured(280, 8), measured(345, 8), measured(351, 8), of=after, known=first) == [
        "late",
        "late",
        "not_following",
    ]


def test_a_spike_at_each_set_is_counted_and_borne() -> None:
    following = Following()
    for n in range(3):
        limit = offer(8 + n, before_a=7 + n, after_s=60 * n)
        for reading in (measured(60 * n + 5, 32), measured(60 * n + 30, 8 + n)):
            following = observe(following, limit, reading)
    assert (following.state, following.spikes) == ("following", 3)
    assert "took more for a moment 3×" in (in_words(following, NOON) or "")


@pytest.mark.parametrize(
    ("of", "reading", "proven"),
    [
        (offer(8), measured(30, 7.8, 7.7, 7.8), True),
        (offer(8), measured(30, 4), False),  # the car, not the limit
        (offer(8, before_a=8), measured(30, 7.8), False),  # nothing changed
        (offer(0), measured(30, 0), True),
        (offer(0, before_a=0), measured(30, 0), False),
    ],
)
def test_only_a_change_that_is_seen_proves_that_limits_are_followed(
    of: Offer, reading: ConnectorReading, proven: bool
) -> None:
    charging = observe(Following(), offer(16, after_s=-60), measured(-20, 15.6))
    assert observe(charging, of, reading).proven is proven


@pytest.mark.parametrize(
    ("rows", "floor_rules"),
    [
        ([(0, 8, 6.0), (60, 7, 6.0), (300, 7, 6.0)], True),  # the optimizer follows what is taken
        ([(0, 8, 6.0), (60, 7, 6.0), (240, 7, 6.0)], False),
        ([(0, 8, 6.0), (60, 0, 0.0), (120, 8, 6.0), (300, 7, 6.0)], False),
        ([(0, 7, 6.0), (400, 7, 6.0)], False),  # a vehicle that takes an ampere less
        ([(0, 8, 7.9), (60, 8, 6.0), (400, 7, 6.0)], False),  # it was above it before
        ([(0, 16, 3.0), (400, 16, 3.0)], False),
    ],
)
def test_a_vehicle_that_never_takes_more_than_the_floor_allows(
    rows: list[tuple[float, float, float]], floor_rules: bool
) -> None:
    """Rows of (seconds, limit, what is taken) above a floor of 6 A."""
    known = Following()
    for at_s, limit_a, takes_a in rows:
        beneath = replace(offer(limit_a, after_s=at_s), safe_a=6)
        known = observe(known, beneath, measured(at_s, takes_a))
    assert known.is_held_by_floor(NOON + timedelta(seconds=rows[-1][0])) is floor_rules
    assert not replace(known, has_risen=True).for_next_transaction().is_held_by_floor(NOON)


def test_a_pause_of_a_vehicle_that_took_nothing_proves_nothing() -> None:
    waiting = observe(Following(), offer(16, after_s=-60), measured(-20, 0))
    assert not observe(waiting, offer(0), measured(30, 0)).proven


@pytest.mark.parametrize(
    ("status", "status_at_s", "takes_a", "after_s", "withheld"),
    [
        ("SuspendedEVSE", -600, 0, 149, False),
        ("SuspendedEVSE", -600, 0, 150, True),
        ("SuspendedEVSE", 60, 0, 150, False),  # it has offered something until then
        ("SuspendedEV", -600, 0, 600, False),  # it is the vehicle that takes nothing
        ("Charging", -600, 0, 600, False),
        ("SuspendedEVSE", -600, 6, 600, False),  # its status is late
    ],
)
def test_a_station_says_itself_that_it_offers_nothing(
    status: str, status_at_s: float, takes_a: float, after_s: float, withheld: bool
) -> None:
    known = Following()
    for at_s, limit_a in ((0, 6), (40, 9), (80, 7)):  # the sun moves; what is allowed does not stop
        known = observe(known, offer(limit_a, after_s=at_s), None)
    known = observe(known, offer(7, after_s=80), measured(100, takes_a))
    at = NOON + timedelta(seconds=status_at_s)
    assert known.is_withheld(status, at, NOON + timedelta(seconds=after_s)) is withheld


def test_fewer_phases_than_wired_are_told() -> None:
    following = observe(Following(), offer(10), measured(30, 9.8))
    assert following.phases_used == 1
    assert in_words(following, NOON) == "follows: takes 9.8 A of 10 A on 1 of 3 phases"


def test_a_sentence_for_each_state() -> None:
    now = NOON + timedelta(seconds=75)
    late = observe(Following(), offer(8), measured(20, 15.8))
    assert in_words(late, now) == "takes 15.8 A, allowed are 8 A since 75 s: not there yet"
    deaf = observe(late, offer(8), measured(70, 15.8))
    assert in_words(deaf, now) == "does not follow: takes 15.8 A for 75 s, allowed are 8 A"
    assert in_words(Following(), now) is None
