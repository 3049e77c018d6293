"""A session that follows no limit is stopped before a fuse blows, and begun anew when there is room."""

from __future__ import annotations

from closed_loop import Car, House, connector, load, site, why
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer import Circuit, ConnectorDecision, ConnectorState, Mode

MAIN = (Circuit("main", None, (25.0, 25.0, 25.0)),)
NEIGHBOUR = (12.0, 0.0, 0.0)


def deaf_house(*more: str, takes_a: float = 16.0, mode: Mode = Mode.SOLAR_ONLY) -> House:
    ids = ["CP1/1", *more]
    stations = [connector(id, mode=mode if id == "CP1/1" else Mode.FULL) for id in ids]
    return House(site(*stations, circuits=MAIN), {"CP1/1": Car(takes_a, deaf=True)})


def asked(house: House, id: str = "CP1/1") -> str | None:
    part = load(house.decision, id)
    assert isinstance(part, ConnectorDecision)
    return part.ask


def asked_in(house: House, minutes: int, id: str = "CP1/1") -> list[str | None]:
    found = []
    for _ in range(minutes):
        house.minute(0.0)
        found.append(asked(house, id))
    return found


def stop(house: House, id: str = "CP1/1") -> None:
    house.cars[id].session, house.cars[id].state = None, ConnectorState.FINISHED


def begin(house: House, session: str, id: str = "CP1/1") -> None:
    house.cars[id].session, house.cars[id].state = session, None


def test_it_is_stopped_in_the_second_minute_above_the_fuse_and_people_are_told() -> None:
    house = deaf_house()
    assert asked_in(house, 3) == [None, None, None]
    house.house_a = NEIGHBOUR
    assert asked_in(house, 2) == [None, "stop"]
    text = why(house.decision, "CP1/1")
    assert text == (
        "stopped: its station follows no limit, and main fuse L1 25 A was exceeded; "
        "begins anew when 16 A are free"
    )
    assert asked_in(house, 1) == ["stop"]  # it has not heard
    stop(house)
    assert asked_in(house, 10) == [None] * 10
    assert why(house.decision, "CP1/1") == text


def test_a_fuse_that_is_exceeded_for_a_moment_stops_nobody() -> None:
    house = deaf_house()
    for _ in range(3):
        house.house_a = NEIGHBOUR
        assert asked_in(house, 1) == [None]
        house.house_a = (0.0, 0.0, 0.0)
        assert asked_in(house, 1) == [None]


def test_it_begins_anew_once_there_has_been_room_for_a_while() -> None:
    house = deaf_house()
    house.house_a = NEIGHBOUR
    asked_in(house, 2)
    stop(house)
    asked_in(house, 3)
    house.house_a = (8.0, 0.0, 0.0)
    assert asked_in(house, 4) == [None, None, None, "start"]
    begin(house, "2")
    assert asked_in(house, 3) == [None, None, None]
    assert house.memory.stops["CP1/1"].stops == 1
    del house.cars["CP1/1"]
    house.minute(0.0)
    assert house.memory.stops == {}


def test_each_time_it_waits_longer() -> None:
    house, waited = deaf_house(), []
    for n in range(3):
        house.house_a = NEIGHBOUR
        asked_in(house, 2)
        stop(house)
        house.house_a = (0.0, 0.0, 0.0)
        waited.append(asked_in(house, 40).index("start") + 1)
        begin(house, str(n + 2))
    assert waited == [5, 10, 20]


def test_a_station_that_does_not_begin_anew_needs_a_hand() -> None:
    house = deaf_house()
    house.house_a = NEIGHBOUR
    asked_in(house, 2)
    stop(house)
    house.house_a = (0.0, 0.0, 0.0)
    assert asked_in(house, 30).count("start") == 3
    assert why(house.decision, "CP1/1").endswith("it did not begin anew: needs a hand")
    begin(house, "2")  # by a person, with a badge
    house.minute(0.0)
    assert "stopped" not in why(house.decision, "CP1/1")


def test_others_make_room_first() -> None:
    house = deaf_house("CP2/1")
    house.cars["CP2/1"] = Car(phases=3)
    assert asked_in(house, 4) == [None] * 4
    house.house_a = (9.0, 0.0, 0.0)
    assert asked_in(house, 5) == [None] * 5
    assert load(house.decision, "CP2/1").reason.code == "limited"


def test_of_two_deaf_ones_the_greedier_stops_if_that_suffices() -> None:
    house = deaf_house("CP2/1", takes_a=8.0)
    house.cars["CP2/1"] = Car(16.0, deaf=True)
    house.house_a = (4.0, 4.0, 4.0)
    asked_in(house, 2)
    assert (asked(house, "CP1/1"), asked(house, "CP2/1")) == (None, "stop")


def test_one_that_was_switched_off_by_hand_meanwhile_does_not_begin_anew() -> None:
    house = deaf_house()
    house.house_a = NEIGHBOUR
    asked_in(house, 2)
    stop(house)
    house.house_a = (0.0, 0.0, 0.0)
    house.set_modes(CP1_1=Mode.OFF)
    assert asked_in(house, 20) == [None] * 20


@settings(max_examples=40, deadline=None)
@given(
    takes_a=st.lists(st.integers(6, 16), min_size=1, max_size=4),
    house_a=st.lists(st.integers(0, 30), min_size=1, max_size=8),
)
def test_what_is_deaf_never_exceeds_the_fuse_into_a_third_minute(
    takes_a: list[int], house_a: list[int]
) -> None:
    """And no more are stopped than have to be."""
    ids = [f"CP{n}/1" for n, _ in enumerate(takes_a, 1)]
    house = deaf_house(*ids[1:], takes_a=takes_a[0])
    house.cars = {id: Car(float(amps), deaf=True) for id, amps in zip(ids, takes_a, strict=True)}
    for amps in house_a:
        house.house_a = (float(amps), 0.0, 0.0)
        for _ in range(2):
            house.minute(0.0)
            told = [id for id in ids if asked(house, id) == "stop"]
            for id in told:
                stop(house, id)
        drawn_a = [house.cars[id].takes_a for id in ids if house.cars[id].session is not None]
        assert sum(drawn_a) + amps <= 25 or not drawn_a
        least_a = min((house.cars[id].takes_a for id in told), default=99.0)
        assert sum(drawn_a) + amps + least_a > 25
