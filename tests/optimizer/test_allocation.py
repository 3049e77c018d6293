"""The exact choice of one minute, as people on site would describe it; and against two oracles."""

from __future__ import annotations

import re
from dataclasses import replace
from random import Random

import pytest
from allocation_instances import anything, heater_without_neutral, relay, station, two_zones
from exact_comparison import difference
from exhaustive_oracle import best_choice, chosen_levels, excess
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from milp_oracle import milp_utility

from optimizer.allocation import allocate
from optimizer.electrical import heater_without_neutral as heater_states
from optimizer.problem import AllocationProblem, CircuitHeadroom, ModulatedLoad, Option, SwitchedLoad

NOTHING = (0.0, 0.0, 0.0)
ROOMY = CircuitHeadroom("main", None, (100.0, 100.0, 100.0))


def heater(
    id: str = "boiler",
    power_w: float = 1000.0,
    *,
    phase: int = 0,
    on_cost_w: float = 0.0,
    circuit: str = "main",
) -> SwitchedLoad:
    current = [0.0, 0.0, 0.0]
    current[phase] = round(power_w / 230, 2)
    on = Option("on", power_w, (current[0], current[1], current[2]), on_cost_w)
    return SwitchedLoad(id, circuit, (Option("off", 0.0, NOTHING), on))


def car(
    id: str = "cp1/1",
    phases: tuple[int, ...] = (0, 1, 2),
    *,
    min_a: float = 6,
    max_a: float = 16,
    step_a: float = 1,
    on_cost_w: float = 0.0,
    off_cost_w: float | None = 0.0,
    circuit: str = "main",
) -> ModulatedLoad:
    return ModulatedLoad(id, circuit, min_a, max_a, step_a, phases, 230.0, on_cost_w, off_cost_w)


def problem(available_w: float, *loads: SwitchedLoad | ModulatedLoad, circuits=(ROOMY,), draw_penalty=20.0):
    return AllocationProblem(available_w, draw_penalty, circuits, loads)


def no_neutral(rated_w: float) -> SwitchedLoad:
    states = heater_states(rated_w, "12", "13")
    options = tuple(Option("+".join(sorted(s.elements)) or "off", s.power_w, s.current_a) for s in states)
    return SwitchedLoad("old-boiler", "main", options)


THREE_ELEMENTS = tuple(heater(f"e{p + 1}", phase=p) for p in range(3))
TIGHT_L1 = (
    CircuitHeadroom("main", None, (100.0, 100.0, 100.0)),
    CircuitHeadroom("zone", "main", (20.0, 63.0, 63.0)),
)

STORIES = {
    "1000 W of sun switches the 1000 W heater on": (problem(1000, heater()), {"boiler": "on"}, 1000),
    "999 W do not: 1 W drawn is worth 20 W of sun, 1000 W too little is worth more": (
        problem(940, heater()),
        {"boiler": "off"},
        0,
    ),
    "a cost above the gain keeps it off": (problem(1200, heater(on_cost_w=1001)), {"boiler": "off"}, 0),
    "three elements follow in steps of 1000 W": (
        problem(2500, *THREE_ELEMENTS),
        {"e1": "off", "e2": "on", "e3": "on"},
        2000,
    ),
    "nominal power alone decides: 1200 + 750 beat 1500": (
        problem(2000, heater("a", 1500), heater("b", 1200), heater("c", 750)),
        {"a": "off", "b": "on", "c": "on"},
        1950,
    ),
    "a heater without neutral runs at half power on two lines": (
        problem(2000, no_neutral(3000)),
        {"old-boiler": "12"},
        1500,
    ),
    "its half power takes √3/2 of the line current: 3.77 A fit where L2 has 3.8 A": (
        problem(2000, no_neutral(3000), circuits=(CircuitHeadroom("main", None, (5.0, 3.8, 3.7)),)),
        {"old-boiler": "12"},
        1500,
    ),
    "and the other pair where only L3 has room": (
        problem(9000, no_neutral(3000), circuits=(CircuitHeadroom("main", None, (5.0, 3.7, 5.0)),)),
        {"old-boiler": "13"},
        1500,
    ),
    "three phases need 4140 W": (problem(4139, car(), draw_penalty=9999), {"cp1/1": 0}, 0),
    "with 4140 W the car starts": (problem(4140, car()), {"cp1/1": 6}, 4140),
    "a car that wants 8 A waits for 8 A": (problem(1500, car(phases=(0,), min_a=8)), {"cp1/1": 0}, 0),
    "0.1 A steps do not drift": (
        problem(1610, car(phases=(0,), max_a=16, step_a=0.1)),
        {"cp1/1": 7.0},
        1610,
    ),
    "the highest step below an odd maximum": (
        problem(9999, car(phases=(0,), max_a=7.3, step_a=0.25)),
        {"cp1/1": 7.25},
        1667.5,
    ),
    "a minimum of 0 A means every step is on": (
        problem(100, car(phases=(0,), min_a=0, max_a=2, on_cost_w=30, off_cost_w=0)),
        {"cp1/1": 0},
        0,
    ),
    "L1 of the zone binds: the single-phase car is cut, the three-phase car stays": (
        problem(
            99999,
            car("wide", circuit="zone", off_cost_w=None, min_a=12),
            car("narrow", (0,), circuit="zone"),
            circuits=TIGHT_L1,
        ),
        {"wide": 14, "narrow": 6},
        14 * 690 + 6 * 230,
    ),
    "a fuse far above counts for the loads far below": (
        problem(
            9999,
            car("deep", (0,), circuit="leaf"),
            circuits=(
                CircuitHeadroom("main", None, (9.5, 0.0, 0.0)),
                CircuitHeadroom("zone", "main", (50.0, 50.0, 50.0)),
                CircuitHeadroom("leaf", "zone", (50.0, 50.0, 50.0)),
            ),
        ),
        {"deep": 9},
        2070,
    ),
    "no sun: nothing runs": (problem(-3000, heater(), car()), {"boiler": "off", "cp1/1": 0}, 0),
    "no sun, but the car must keep charging: at its minimum": (
        problem(-3000, car(phases=(1,), off_cost_w=None)),
        {"cp1/1": 6},
        -20 * 1380,
    ),
    "switching a running car off costs more than a little draw": (
        problem(1370, car(phases=(0,), off_cost_w=1000)),
        {"cp1/1": 6},
        1370 - 200,
    ),
    "equal loads never swap: the running one stays": (
        problem(1000, heater("a", on_cost_w=150), SwitchedLoad("b", "main", heater("b").options)),
        {"a": "off", "b": "on"},
        1000,
    ),
    "a choice worth exactly its cost is not made": (
        problem(500, heater(power_w=500, on_cost_w=500)),
        {"boiler": "off"},
        0,
    ),
    "ties fall to the lowest options in list order": (
        problem(1000, heater("a"), heater("b"), heater("c")),
        {"a": "off", "b": "off", "c": "on"},
        1000,
    ),
    "no penalty: a surplus is used up even if some is drawn": (
        problem(900, heater(), draw_penalty=0.0),
        {"boiler": "on"},
        900,
    ),
    "nothing to decide": (problem(1000), {}, 0),
}


@pytest.mark.parametrize(("given_problem", "choices", "utility_w"), STORIES.values(), ids=STORIES)
def test_story(given_problem: AllocationProblem, choices: dict, utility_w: float) -> None:
    allocation = allocate(given_problem)
    assert allocation.feasible
    assert allocation.choices == choices
    assert allocation.utility_w == pytest.approx(utility_w, abs=1e-6)


def test_locked_loads_that_break_a_fuse_leave_the_rest_off_that_phase_only() -> None:
    locked = SwitchedLoad("oven", "main", (Option("on", 4600, (20.0, 0.0, 0.0)),))
    main = CircuitHeadroom("main", None, (16.0, 16.0, 16.0))
    allocation = allocate(problem(9000, locked, car("l1", (0,)), car("l2", (1,)), circuits=(main,)))
    assert not allocation.feasible
    assert allocation.choices == {"oven": "on", "l1": 0, "l2": 16}


def test_where_every_option_breaks_some_fuse_the_least_excess_wins() -> None:
    either = SwitchedLoad(
        "pump", "main", (Option("l1", 2300, (10.0, 0.0, 0.0)), Option("l2", 2300, (0.0, 10.0, 0.0)))
    )
    main = CircuitHeadroom("main", None, (4.0, 7.0, 9.0))
    allocation = allocate(problem(9000, either, car("l3", (2,)), heater("l2", phase=1), circuits=(main,)))
    assert not allocation.feasible
    assert allocation.choices == {"pump": "l2", "l3": 9, "l2": "off"}


def amperes(most: int) -> st.SearchStrategy[float]:
    return st.integers(0, most).map(lambda n: n / 4)


triples = st.tuples(amperes(40), amperes(40), amperes(40))
watts = st.integers(0, 40).map(lambda n: n * 62.5)
costs = st.sampled_from([0.0, 0.0, 50.0, 125.0, 150.0, 312.5, 1000.0])


@st.composite
def small_problems(draw: st.DrawFn) -> AllocationProblem:
    circuits = [CircuitHeadroom("c0", None, draw(triples))]
    for n in range(1, draw(st.integers(1, 4))):
        parent = draw(st.sampled_from([None, *(c.id for c in circuits)]))
        circuits.append(CircuitHeadroom(f"c{n}", parent, draw(triples)))
    loads = []
    for n in range(draw(st.integers(0, 4))):
        circuit = draw(st.sampled_from(circuits)).id
        loads.append(draw(switched(f"s{n}", circuit) if draw(st.booleans()) else modulated(f"m{n}", circuit)))
    if loads and draw(st.booleans()):
        loads.append(replace(loads[0], id="twin"))
    available_w = draw(st.integers(-20, 150)) * 62.5 + draw(st.sampled_from([0.0, 0.0, 10.1]))
    draw_penalty = draw(st.sampled_from([20.0, 20.0, 1.0, 0.5, 0.0, 3.7]))
    return AllocationProblem(available_w, draw_penalty, tuple(draw(st.permutations(circuits))), tuple(loads))


@st.composite
def switched(draw: st.DrawFn, id: str, circuit: str) -> SwitchedLoad:
    options = tuple(
        Option(f"o{k}", draw(watts), draw(st.one_of(st.just(NOTHING), triples)), draw(costs))
        for k in range(draw(st.integers(1, 4)))
    )
    return SwitchedLoad(id, circuit, options)


@st.composite
def modulated(draw: st.DrawFn, id: str, circuit: str) -> ModulatedLoad:
    min_a = draw(st.sampled_from([0.0, 1.0, 2.5, 6.0]))
    max_a = min_a + draw(st.sampled_from([0.0, 0.7, 1.0, 3.0]))
    phases = draw(st.sampled_from([(0,), (1,), (2,), (0, 1), (2, 0), (0, 1, 2)]))
    step_a, voltage_v = (
        draw(st.sampled_from([0.1, 0.25, 1.0, 2.0])),
        draw(st.sampled_from([125.0, 250.0, 231.4])),
    )
    if step_a == 0.1:
        max_a = min(max_a, min_a + 0.7)
    can_run = min_a > 0 or max_a >= step_a
    off_cost_w = draw(st.one_of(st.none(), costs)) if can_run else draw(costs)
    return ModulatedLoad(id, circuit, min_a, max_a, step_a, phases, voltage_v, draw(costs), off_cost_w)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(small_problems())
def test_small_problems_are_answered_as_by_trying_everything(given_problem: AllocationProblem) -> None:
    feasible, choices, utility_w = best_choice(given_problem)
    allocation = allocate(given_problem)
    assert allocation.feasible == feasible
    assert allocation.utility_w == pytest.approx(float(utility_w), abs=1e-6)
    assert allocation.choices == choices


def among_many(given_problem: AllocationProblem) -> AllocationProblem:
    """The same decision in a building where two dozen other loads are locked off."""
    off = (Option("off", 0.0, NOTHING),)
    circuit = given_problem.circuits[0].id
    locked = tuple(SwitchedLoad(f"locked{n}", circuit, off) for n in range(24))
    return replace(given_problem, loads=(*locked, *given_problem.loads))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(small_problems(), st.booleans())
def test_many_loads_are_answered_as_by_trying_everything(
    given_problem: AllocationProblem, twin: bool
) -> None:
    """Also where stations are taken together, equal answers fall to the first in list order."""
    if twin and len(given_problem.loads) < 4:
        twins = tuple(replace(load, id=f"{load.id}-twin") for load in given_problem.loads[-1:])
        given_problem = replace(given_problem, loads=(*twins, *given_problem.loads))
    many = among_many(given_problem)
    feasible, choices, utility_w = best_choice(many)
    allocation = allocate(many)
    assert allocation.feasible == feasible
    assert allocation.utility_w == pytest.approx(float(utility_w), abs=1e-6)
    assert allocation.choices == choices


def test_free_draw_makes_every_power_above_the_surplus_as_good() -> None:
    """Without a penalty 188 W and 63 W are equally good for 62.5 W of sun: the first in the list wins."""
    loads = [
        SwitchedLoad(id, "main", (Option("on", watts, NOTHING), Option("off", 0.0, NOTHING)))
        for id, watts in (("a", 62.5), ("b", 125.0))
    ]
    assert allocate(problem(62.5, *loads, draw_penalty=0.0)).choices == {"a": "on", "b": "on"}


def test_stations_alike_take_their_amperes_from_the_last() -> None:
    """Three cars, room for 15 A: which of them run and with how much is the first in list order."""
    zone = CircuitHeadroom("main", None, (15.0, 15.0, 15.0))
    cars = [car(f"cp{n}/1", max_a=9) for n in range(3)]
    given_problem = among_many(problem(99999, *cars, circuits=(zone,)))
    assert allocate(given_problem).choices == best_choice(given_problem)[1]
    assert [allocate(given_problem).choices[f"cp{n}/1"] for n in range(3)] == [0, 6, 9]


def odd_knapsack(seed: int, count: int) -> AllocationProblem:
    """Heaters with odd currents on all phases that could fill two fuses in countless ways, none exactly."""
    rng = Random(seed)
    main = CircuitHeadroom("main", None, (count * 2.01, count * 2.13, count * 1.93))
    zone = CircuitHeadroom("zone", "main", (count * 1.21, count * 1.13, count * 1.17))
    loads = []
    for n in range(count):
        l1, l2, l3 = (round(rng.uniform(1, 9), 2) for _ in range(3))
        circuit = rng.choice(("main", "zone"))
        on = Option("on", round(230 * (l1 + l2 + l3), 1), (l1, l2, l3), 100.0)
        loads.append(SwitchedLoad(f"h{n}", circuit, (Option("off", 0.0, NOTHING), on)))
    return problem(500_000, *loads, circuits=(main, zone))


def test_a_search_that_is_stopped_says_so_and_how_much_it_may_have_missed() -> None:
    given_problem = odd_knapsack(1, 30)
    allocation = allocate(given_problem)
    stopped = re.fullmatch(
        r"pools, stopped after [0-9]+ states: at most ([0-9.]+) W short of the best", allocation.method
    )
    assert stopped
    assert allocation.feasible
    assert excess(given_problem, chosen_levels(given_problem, allocation.choices)) == 0
    assert 0 < float(stopped[1]) < 0.01 * allocation.utility_w
    assert allocate(given_problem) == allocation


def test_ties_beyond_what_is_looked_through_are_said_to_be_as_found() -> None:
    given_problem = odd_knapsack(1, 26)
    allocation = allocate(given_problem)
    assert allocation.method == "pools, ties as found"
    assert allocate(given_problem) == allocation


def test_a_thousand_loads_behind_a_fuse_that_binds() -> None:
    """More than the interpreter's depth of calls."""
    zone = CircuitHeadroom("main", None, (63.0, 63.0, 63.0))
    heaters = [heater(f"h{n}", on_cost_w=float(n % 7)) for n in range(1100)]
    allocation = allocate(problem(20_000, *heaters, circuits=(zone,)))
    assert (allocation.feasible, allocation.power_w, allocation.utility_w) == (True, 14_000, 14_000)


def test_a_thousand_different_loads_are_told_apart_by_their_sums() -> None:
    """A campus on a sunny day, no fuse near its limit: within 60 W of what could be had in parts."""
    rng = Random(1)
    wide = CircuitHeadroom("main", None, (1e6, 1e6, 1e6))
    loads = [relay(rng, f"r{n}", "main") for n in range(500)] + [
        station(rng, f"c{n}", "main") for n in range(500)
    ]
    allocation = allocate(problem(500_000, *loads, circuits=(wide,)))
    assert allocation.method == "budget"
    assert abs(allocation.power_w - 500_000) < 60
    assert allocation == allocate(problem(500_000, *loads, circuits=(wide,)))


def test_more_sun_than_numbers_hold_behind_a_full_fuse() -> None:
    zone = CircuitHeadroom("main", None, (20.0, 20.0, 20.0))
    allocation = allocate(problem(1e12, heater(), car(), circuits=(zone,)))
    assert allocation.choices == {"boiler": "on", "cp1/1": 15}


def test_many_loads_that_must_take_one_of_two_phases_exceed_both_alike() -> None:
    """Twenty pumps of odd currents on L1 or L2, with room for half of them: 2 ** 20 ways to exceed."""
    rng = Random(3)
    pumps = []
    for n in range(20):
        amps = round(rng.uniform(2, 9), 3)
        either = (Option("l1", 230 * amps, (amps, 0.0, 0.0)), Option("l2", 230 * amps, (0.0, amps, 0.0)))
        pumps.append(SwitchedLoad(f"p{n}", "main", either))
    main = CircuitHeadroom("main", None, (25.0, 25.0, 25.0))
    given_problem = problem(9000, *pumps, circuits=(main,))
    allocation = allocate(given_problem)
    assert not allocation.feasible
    assert difference(given_problem, allocation) is None


@pytest.mark.parametrize("block", range(10))
def test_problems_over_every_feature_are_answered_as_by_highs(block: int) -> None:
    """The first of those of `python -m benchmarks allocation`, which goes through 5,000."""
    for seed in range(20 * block, 20 * block + 20):
        given_problem = anything(Random(seed))
        assert difference(given_problem, allocate(given_problem)) is None, seed


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(small_problems(), st.randoms(use_true_random=False))
def test_order_of_circuits_and_loads(given_problem: AllocationProblem, random: Random) -> None:
    allocation = allocate(given_problem)
    circuits, loads = list(given_problem.circuits), list(given_problem.loads)
    random.shuffle(circuits)
    random.shuffle(loads)
    assert allocate(replace(given_problem, circuits=tuple(circuits))) == allocation
    reordered = allocate(replace(given_problem, loads=tuple(loads)))
    assert reordered.utility_w == pytest.approx(allocation.utility_w, abs=1e-6)


def mid_size_problem(seed: int) -> AllocationProblem:
    """Relays, heaters without neutral and stations behind fuses that bind for about half the seeds."""
    rng = Random(seed)
    zone_a = rng.choice((16.0, 25.0, 32.0, 63.0))
    base = two_zones(rng, rng.randrange(2, 13), rng.randrange(0, 6), rng.uniform(-500, 700 * zone_a), zone_a)
    extra = (
        heater_without_neutral(rng, "old-boiler", rng.choice(("main", "a"))),
        relay(rng, "odd", "b", rng.uniform(300, 3000)),
        station(rng, "guest/1", "main"),
    )
    return replace(
        base, loads=(*base.loads, *extra[: rng.randrange(4)]), draw_penalty=rng.choice((20.0, 2.0, 0.3))
    )


@pytest.mark.parametrize("seed", range(150))
def test_mid_size_problems_are_answered_as_by_highs(seed: int) -> None:
    given_problem = mid_size_problem(seed)
    allocation, optimum = allocate(given_problem), milp_utility(given_problem)
    assert allocation.feasible == (optimum is not None)
    if optimum is not None:
        assert allocation.utility_w == pytest.approx(optimum, abs=1e-6)


@pytest.mark.parametrize(("relays", "stations", "zone_a"), [(16, 12, 25.0), (18, 14, 32.0), (40, 30, 63.0)])
@pytest.mark.parametrize("seed", range(4))
def test_a_sunny_noon_with_full_zones_is_answered_as_by_highs(
    relays: int, stations: int, zone_a: float, seed: int
) -> None:
    rng = Random(seed)
    noon = two_zones(rng, relays, stations, rng.uniform(1.0, 1.4) * 1000 * zone_a, zone_a)
    assert allocate(noon).utility_w == pytest.approx(milp_utility(noon), abs=1e-6)


def test_equal_stations_share_a_full_zone_whoever_is_on() -> None:
    zone = CircuitHeadroom("main", None, (40.0, 40.0, 40.0))
    cars = [car(f"cp{n}/1", on_cost_w=200.0) for n in range(30)]
    allocation = allocate(problem(99999, *cars, circuits=(zone,)))
    assert sum(allocation.choices.values()) == 40
    assert sorted(a for a in allocation.choices.values() if a)[0] >= 6
    assert allocation.utility_w == 40 * 690 - 3 * 200
