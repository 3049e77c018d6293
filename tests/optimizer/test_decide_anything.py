"""Whatever a site, its meters and its vehicles do: what a decision never does."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import time, timedelta

from closed_loop import NOON, Car, House, connector, element, heater, site, triple
from hypothesis import given, settings
from hypothesis import strategies as st

from csms.response import PRESETS
from optimizer import Circuit, ConnectorState, Mode, Need, PowerReading, Readings, Response, Site, Window
from optimizer.electrical import heater_without_neutral
from optimizer.memory import memory_from_dict, memory_to_dict

NOONTIME = (Window(frozenset(range(7)), time(12, 3), time(12, 8)),)
CIRCUITS = (Circuit("main", None, (50.0, 40.0, 40.0)), Circuit("garage", "main", (32.0, 32.0, 32.0)))
APPLIANCE_MODES = [m for m in Mode if m not in (Mode.MIN_AND_SOLAR, Mode.FULL)]
STATES = [
    None,
    None,
    None,
    *(s for s in ConnectorState if s not in (ConnectorState.READY, ConnectorState.CHARGING)),
]


@dataclass(frozen=True)
class Twist:
    """What a minute brings. car: index, its state (None: as it behaves), its appetite."""

    surplus_w: int
    house_a: int
    age_s: int
    car: tuple[int, ConnectorState | None, float]
    relays_lost: bool


twists = st.builds(
    Twist,
    surplus_w=st.integers(-6000, 25_000),
    house_a=st.integers(-20, 45),
    age_s=st.sampled_from([0, 0, 0, 0, 60, 100, 200]),
    car=st.tuples(st.integers(0, 2), st.sampled_from(STATES), st.sampled_from([0.0, 4.0, 9.4, 32.0])),
    relays_lost=st.booleans(),
)


@st.composite
def sites(draw: st.DrawFn) -> Site:
    mode = lambda modes: draw(st.sampled_from(list(modes)))  # noqa: E731
    needs = draw(st.sampled_from([(), (Need(time(13), frozenset(range(7)), energy_wh=9000.0),)]))
    stay = {
        "min_on_s": draw(st.sampled_from([0.0, 180.0])),
        "min_off_s": draw(st.sampled_from([0.0, 120.0])),
        "max_starts_per_hour": draw(st.sampled_from([None, 1, 3])),
    }
    steps = (element("1"), element("2", phases=(1,)), element("3", 2000.0, phases=(0, 1, 2)))
    return site(
        heater(
            "steps",
            mode(APPLIANCE_MODES),
            elements=steps,
            manual_on=frozenset("2"),
            windows=NOONTIME,
            needs=needs,
            **stay,
        ),
        heater(
            "old",
            mode(APPLIANCE_MODES),
            elements=(element("a", 1500, (0, 1)), element("b", 1500, (0, 2))),
            joint_states=heater_without_neutral(3000, "a", "b"),
            windows=NOONTIME,
            needs=tuple(replace(need, energy_wh=None, run_s=3000.0) for need in needs),
            **stay,
        ),
        connector(
            "CP0/1",
            mode(Mode),
            circuit="garage",
            manual_a=9.0,
            max_a=32.0,
            windows=NOONTIME,
            start_s=draw(st.sampled_from([0.0, 120.0])),
            wake_by=draw(st.sampled_from([(), ("restart",)])),
            **stay,
        ),
        connector(
            "CP1/1",
            mode(Mode),
            circuit="garage",
            phases=(2,),
            min_a=8.0,
            windows=NOONTIME,
            needs=needs,
            **stay,
        ),
        connector("CP2/1", mode(Mode), phases=(1, 2, 0), modulates=False, windows=NOONTIME, **stay),
        circuits=CIRCUITS,
        response=draw(st.sampled_from([Response(), *(preset.response for preset in PRESETS.values())])),
    )


@settings(max_examples=120, deadline=None)
@given(
    home=sites(),
    minutes=st.lists(twists, min_size=1, max_size=14),
    phases=st.sampled_from([1, 3]),
    told_wh=st.sampled_from([None, 900.0, 20_000.0]),
)
def test_whatever_happens(home: Site, minutes: list[Twist], phases: int, told_wh: float | None) -> None:
    departs_at = None if told_wh is None else NOON + timedelta(minutes=50)
    told = Car(phases=phases, departs_at=departs_at, requested_wh=told_wh)
    house = House(home, {f"CP{n}/1": replace(told) for n in range(3)})
    for twist in minutes:
        n, state, takes_a = twist.car
        house.cars[f"CP{n}/1"] = replace(house.cars[f"CP{n}/1"], state=state, takes_a=takes_a)
        house.unreachable = {"old"} if twist.relays_lost else set()
        house.house_a = triple(twist.house_a, (0, 2))
        before_on, before_a = dict(house.on), dict(house.offered_a)
        reading = PowerReading(
            house.controlled_w() - twist.surplus_w, house.grid_a(), house.now - timedelta(seconds=twist.age_s)
        )
        house.step(Readings(reading))
        currents_are_legal(house)
        circuits_hold(house, twist)
        a_late_meter_raises_nothing(house, twist, before_on, before_a)
        starts_are_counted(house)
        assert memory_from_dict(json.loads(json.dumps(memory_to_dict(house.memory)))) == house.memory
        assert all(part.reason.text and part.reason.code for part in house.decision.appliances)  # type: ignore[union-attr]


def currents_are_legal(house: House) -> None:
    assert house.decision is not None
    for outlet, part in zip(house.site.connectors, house.decision.connectors, strict=True):
        least = outlet.min_a if outlet.modulates else outlet.max_a
        assert part.limit_a == 0 or least <= part.limit_a <= outlet.max_a
        takes_part = house.connector_demand(outlet).state in (ConnectorState.READY, ConnectorState.CHARGING)
        assert takes_part or part.limit_a == 0
        assert part.reason.text


def circuits_hold(house: House, twist: Twist) -> None:
    """The garage has no meter: its limits must add up. Nothing of ours runs on an overloaded main phase."""
    assert house.decision is not None
    amps = [0.0, 0.0, 0.0]
    for outlet, part in zip(house.site.connectors, house.decision.connectors, strict=True):
        memory = house.memory.connectors.get(outlet.id)
        phases = memory.phases if memory is not None and memory.phases else outlet.phases
        if outlet.circuit == "garage":
            amps = [a + b for a, b in zip(amps, triple(part.limit_a, phases), strict=True)]
    assert max(amps) <= 32 + 1e-6
    if twist.age_s == 0 and twist.house_a > 40 and not house.unreachable:
        for outlet, part in zip(house.site.connectors, house.decision.connectors, strict=True):
            assert part.limit_a == 0 or 2 not in outlet.phases or house.cars[outlet.id].phases == 1
        assert not house.decision.feasible


def starts_are_counted(house: House) -> None:
    """Whom no person sets going starts no more often than it may; all of a run here is within one hour."""
    by_sun_or_timer = {
        load.id: load.max_starts_per_hour
        for load in (*house.site.appliances, *house.site.connectors)
        if load.mode in (Mode.SOLAR_ONLY, Mode.SOLAR_AND_TIMER, Mode.TIMER_ONLY)
    }
    for (load, _), run in house.memory.runs.items():
        most = by_sun_or_timer.get(load)
        assert most is None or len(run.starts) <= most


def a_late_meter_raises_nothing(
    house: House, twist: Twist, before_on: dict[str, frozenset[str]], before_a: dict[str, float]
) -> None:
    assert house.decision is not None
    if twist.age_s <= 90:
        return
    for appliance, part in zip(house.site.appliances, house.decision.appliances, strict=True):
        if appliance.mode is Mode.SOLAR_ONLY and not (part.need and part.need.forced):
            assert part.on <= before_on.get(appliance.id, frozenset())
    for outlet, limit in zip(house.site.connectors, house.decision.connectors, strict=True):
        if outlet.mode is Mode.SOLAR_ONLY and not (limit.need and limit.need.forced):
            assert limit.limit_a <= before_a.get(outlet.id, 0.0)


@settings(max_examples=100, deadline=None)
@given(
    surpluses=st.lists(st.integers(-4000, 20_000), min_size=1, max_size=15),
    sizes=st.lists(st.integers(200, 3500), min_size=1, max_size=4),
)
def test_nothing_starts_without_its_surplus(surpluses: list[int], sizes: list[int]) -> None:
    loads = [heater(f"h{i}", elements=(element("1", watts),)) for i, watts in enumerate(sizes)]
    house = House(
        site(*loads, connector(), connector("CP2/1", phases=(1,))), {"CP1/1": Car(), "CP2/1": Car(phases=1)}
    )
    for w in surpluses:
        before = {id for id, on in house.on.items() if on} | {id for id, a in house.offered_a.items() if a}
        decision = house.minute(w)
        after = {a.id for a in decision.appliances if a.on} | {c.id for c in decision.connectors if c.limit_a}
        expected_w = sum(p.power_w for p in (*decision.appliances, *decision.connectors))
        if after - before:
            assert expected_w <= w + 1e-6
        elif after:
            # with a penalty of 20 and a toggle of 3/4 of a load at most, staying on may draw a twelfth
            assert expected_w * 11 / 12 <= max(w, 0) + 1e-6
        idle = [watts for i, watts in enumerate(sizes) if f"h{i}" not in after]
        assert all(w - expected_w < 1.0 * watts for watts in idle), (
            "no heater waits for sun that is left over"
        )
