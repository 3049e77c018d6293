"""Several vehicles, too little sun: who begins, who makes room, and that nobody is left out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from closed_loop import Car, House, connector, limit_a, site
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer import Response

MORNING = datetime(2026, 6, 10, 5, 0, tzinfo=UTC)
STAY = {"phases": (0,), "min_on_s": 300.0, "min_off_s": 300.0}


def garage(count: int, **car: object) -> House:
    ids = [f"CP{n}/1" for n in range(1, count + 1)]
    return House(
        site(*(connector(id, **STAY) for id in ids), response=Response(follow_caution=0.2, patience_s=120.0)),
        {id: Car(from_grid=False, phases=1, **car) for id in ids},  # type: ignore[arg-type]
        now=MORNING,
    )


@settings(max_examples=6, deadline=None)
@given(sun_w=st.integers(2 * 1380, 2 * 3680), wobble_w=st.integers(0, 500))
def test_sun_for_two_of_eight_vehicles_gives_each_a_share_of_a_long_day(sun_w: int, wobble_w: int) -> None:
    house = garage(8)
    starts, on = 0, set[str]()
    for minute in range(14 * 60):
        decision = house.minute(sun_w + wobble_w * (minute % 3 - 1))
        now_on = {part.id for part in decision.connectors if part.limit_a}
        starts, on = starts + len(now_on - on), now_on
    served_wh = [car.delivered_wh for car in house.cars.values()]
    assert min(served_wh) >= 0.3 * sum(served_wh) / 8
    assert starts <= 40


def test_who_leaves_soonest_for_what_it_needs_starts_first() -> None:
    house = garage(3, requested_wh=10_000.0)
    for id, hours in (("CP1/1", 9), ("CP2/1", 4), ("CP3/1", 6)):
        house.cars[id].departs_at = MORNING + timedelta(hours=hours)
    decision = house.minute(1500)
    assert [limit_a(decision, id) for id in house.cars] == [0, 6, 0]


def test_the_larger_need_comes_first_where_all_leave_together() -> None:
    house = garage(2, departs_at=MORNING + timedelta(hours=8))
    house.cars["CP1/1"].requested_wh, house.cars["CP2/1"].requested_wh = 5_000.0, 20_000.0
    decision = house.minute(1500)
    assert [limit_a(decision, id) for id in house.cars] == [0, 6]


def test_a_driver_who_overstays_is_not_forgotten() -> None:
    """Said to leave an hour ago, is still there, has got nothing: may leave at any moment."""
    house = garage(2, requested_wh=8_000.0)
    house.cars["CP1/1"].departs_at = MORNING + timedelta(hours=9)
    house.cars["CP2/1"].departs_at = MORNING - timedelta(hours=1)
    decision = house.minute(1500)
    assert [limit_a(decision, id) for id in house.cars] == [0, 6]


def test_who_charges_makes_room_after_a_long_turn_only() -> None:
    """An hour at 16 A brings 3.7 kWh: more than the lead that a turn must have."""
    house = garage(2)
    turns = [[part.id for part in house.minute(3700).connectors if part.limit_a] for _ in range(400)]
    changes = [minute for minute in range(1, 400) if turns[minute] != turns[minute - 1]]
    assert turns[0] == ["CP1/1"]
    assert all(len(charging) == 1 for charging in turns)
    assert all(b - a >= 60 for a, b in zip([0, *changes], changes, strict=False))
    assert 2 <= len(changes) <= 6


def test_who_had_enough_takes_no_turn_from_others() -> None:
    house = garage(2)
    house.minute(8000)
    house.minute(8000)
    house.cars["CP2/1"].takes_a = 0.0
    for _ in range(10):
        house.minute(8000)
    for _ in range(7):
        decision = house.minute(0)
    assert [limit_a(decision, id) for id in house.cars] == [0, 0]
    assert house.cars["CP1/1"].delivered_wh > house.cars["CP2/1"].delivered_wh
    decision = house.minute(1500)
    assert [limit_a(decision, id) for id in house.cars] == [6, 0]
