"""Classes of priority, where somebody wants them: the higher is served first, within one all is exact."""

from __future__ import annotations

from closed_loop import Car, House, connector, element, heater, limit_a, site, steps_on
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer import Mode


def one_step(id: str, power_w: float, priority: int = 0, **fields: object):  # type: ignore[no-untyped-def]
    return heater(id, elements=(element("1", power_w),), priority=priority, **fields)


def running(house: House) -> str:
    return "".join(id for id in ("a", "b", "c", "d") if house.on.get(id))


def test_the_higher_class_comes_first_though_the_lower_would_use_more() -> None:
    house = House(site(one_step("a", 1000, priority=5), one_step("b", 1500)))
    assert [running(house)] + [(house.minute(w), running(house))[1] for w in (900, 1600, 2500)] == [
        "", "", "a", "ab"
    ]  # fmt: skip


def test_a_running_lower_load_gives_way() -> None:
    house = House(site(one_step("a", 1000, priority=5), one_step("b", 900)))
    house.minute(950)
    assert running(house) == "b"
    house.minute(1040)
    assert running(house) == "b", "40 W to spare are not worth switching both"
    house.minute(1200)
    assert running(house) == "a"


def test_within_a_class_the_choice_is_exact() -> None:
    loads = [one_step("a", 600, 3), one_step("b", 1100, 3), one_step("c", 1300, 3), one_step("d", 500)]
    house = House(site(*loads))
    house.minute(1950)
    assert running(house) == "ac", "600 + 1300 use more than 600 + 1100; 50 W are left for d"
    house.minute(2450)
    assert "d" not in running(house) or "bc" in running(house)


def test_a_waver_does_not_make_two_classes_take_turns() -> None:
    house = House(site(one_step("a", 1000, priority=5), one_step("b", 900)))
    house.minute(950)
    states = [(house.minute(w), running(house))[1] for w in (1050, 970, 1060, 980, 1100, 990)]
    assert states == ["b"] * 6


def test_a_minimum_time_of_the_lower_class_is_kept() -> None:
    house = House(site(one_step("a", 1000, priority=5), one_step("b", 900, min_on_s=600.0)))
    house.minute(950)
    house.minute(1300)
    assert running(house) == "b"
    house.minute(1900)
    assert running(house) == "ab"


def test_cars_and_boilers_are_of_one_kind() -> None:
    cars = {"CP1/1": Car(phases=1), "CP2/1": Car(phases=1)}
    stations = (connector("CP1/1", phases=(0,)), connector("CP2/1", phases=(1,), priority=2))
    house = House(site(one_step("a", 1000, priority=1), *stations), cars)
    decision = house.minute(3700)
    assert (limit_a(decision, "CP2/1"), limit_a(decision, "CP1/1"), steps_on(decision, "a")) == (16, 0, "")
    decision = house.minute(6300)
    assert (limit_a(decision, "CP2/1"), steps_on(decision, "a"), limit_a(decision, "CP1/1")) == (16, "1", 7)


def test_where_a_fuse_is_short_the_higher_is_raised_first() -> None:
    stations = [connector(f"CP{n}/1", Mode.FULL, phases=(0,), max_a=32.0, priority=n) for n in (1, 2)]
    house = House(site(*stations, circuits=()), {s.id: Car(phases=1) for s in stations})
    house.house_a = (60.0, 0.0, 0.0)
    decision = house.minute(0)
    assert [limit_a(decision, "CP2/1"), limit_a(decision, "CP1/1")] == [32, 8]


@settings(max_examples=60, deadline=None)
@given(
    surpluses=st.lists(st.integers(-1000, 9000), min_size=1, max_size=8),
    priorities=st.lists(st.integers(0, 9), min_size=4, max_size=4),
)
def test_with_priorities_nothing_is_drawn_and_equal_classes_change_nothing(
    surpluses: list[int], priorities: list[int]
) -> None:
    def home(ranks: list[int]) -> House:
        loads = [one_step(id, w, p) for id, w, p in zip("abc", (610, 1130, 2000), ranks, strict=False)]
        return House(site(*loads, connector(phases=(0,), priority=ranks[3])), {"CP1/1": Car(phases=1)})

    ranked, equal, plain = home(priorities), home([7] * 4), home([0] * 4)
    for w in surpluses:
        decision = ranked.minute(w)
        expected_w = sum(p.power_w for p in (*decision.appliances, *decision.connectors))
        assert expected_w * 11 / 12 <= max(w, 0) + 1e-6
        one, other = equal.minute(w), plain.minute(w)
        assert [a.on for a in one.appliances] == [a.on for a in other.appliances]
        assert [c.limit_a for c in one.connectors] == [c.limit_a for c in other.connectors]


@settings(max_examples=40, deadline=None)
@given(
    surplus_w=st.integers(-1000, 9000),
    before_w=st.integers(-1000, 9000),
    priorities=st.lists(st.integers(0, 2), min_size=4, max_size=4),
)
def test_a_constant_sun_settles_with_priorities_too(
    surplus_w: int, before_w: int, priorities: list[int]
) -> None:
    loads = [one_step(id, w, p) for id, w, p in zip("abc", (610, 1130, 2000), priorities, strict=False)]
    house = House(site(*loads, connector(phases=(0,), priority=priorities[3])), {"CP1/1": Car(phases=1)})
    for w in (before_w, surplus_w, surplus_w, surplus_w):
        settled = house.minute(w)
    for _ in range(3):
        again = house.minute(surplus_w)
        assert [a.on for a in again.appliances] == [a.on for a in settled.appliances]
        assert [c.limit_a for c in again.connectors] == [c.limit_a for c in settled.connectors]
