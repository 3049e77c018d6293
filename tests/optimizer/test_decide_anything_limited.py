"""Whatever batteries, operators, thermostats and drivers do at once: what a decision never does."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

from closed_loop import Car, connector, element, heater, site, triple
from hypothesis import given, settings
from hypothesis import strategies as st
from limited_house import Battery, LimitedHouse

from optimizer import (
    BatteryPolicy,
    BatteryRule,
    Circuit,
    ConnectorState,
    LoadShedding,
    Mode,
    PowerReading,
    Readings,
    Site,
    decide,
)
from optimizer.memory import inputs_from_dict, inputs_to_dict, memory_from_dict, memory_to_dict

CIRCUITS = (Circuit("main", None, (40.0, 40.0, 40.0)), Circuit("garage", "main", (25.0, 25.0, 25.0)))
APPLIANCE_MODES = [m for m in Mode if m not in (Mode.MIN_AND_SOLAR, Mode.FULL)]


@dataclass(frozen=True)
class Twist:
    surplus_w: int
    contact: bool | None
    battery_age_s: float | None
    share: float
    takes_a: float
    state: ConnectorState | None


twists = st.builds(
    Twist,
    surplus_w=st.integers(-9000, 20_000),
    contact=st.sampled_from([False, False, False, True, None]),
    battery_age_s=st.sampled_from([0.0, 0.0, 0.0, 100.0, 200.0, None]),
    share=st.sampled_from([0.0, 1.0, 1.0, 1.3]),
    takes_a=st.sampled_from([0.0, 4.0, 9.4, 32.0, 32.0]),
    state=st.sampled_from([None, None, None, ConnectorState.FREE, ConnectorState.OFFLINE]),
)


@st.composite
def sites(draw: st.DrawFn) -> Site:
    priority = lambda: draw(st.sampled_from([0, 0, 5]))  # noqa: E731
    stay = {"min_on_s": draw(st.sampled_from([0.0, 300.0])), "min_off_s": draw(st.sampled_from([0.0, 120.0]))}
    policy = draw(st.sampled_from([None, *BatteryPolicy]))
    steps = (element("1", 1500), element("2", 900, (1,)))
    return site(
        heater("a", draw(st.sampled_from(APPLIANCE_MODES)), elements=steps, priority=priority(), **stay),
        heater("b", elements=(element("1", 2000, (2,)),), priority=priority(), **stay),
        connector("CP1/1", draw(st.sampled_from(list(Mode))), circuit="garage", phase_switching=True,
                  manual_a=9.0, priority=priority(), **stay),
        connector("CP2/1", circuit="garage", phases=(2, 0, 1), phase_switching=True, **stay),
        connector("CP3/1", draw(st.sampled_from(list(Mode))), circuit="garage", phases=(1,), **stay),
        circuits=CIRCUITS,
        battery=None if policy is None else BatteryRule(policy, 50.0),
        load_shedding=draw(st.sampled_from([None, LoadShedding(0.0), LoadShedding(6.0, frozenset("b"))])),
        import_limit_w=draw(st.sampled_from([None, 5000.0])),
    )  # fmt: skip


@settings(max_examples=120, deadline=None)
@given(home=sites(), minutes=st.lists(twists, min_size=1, max_size=14))
def test_whatever_happens(home: Site, minutes: list[Twist]) -> None:
    house = LimitedHouse(home, {f"CP{n}/1": Car() for n in (1, 2, 3)})
    house.battery = Battery() if home.battery else None
    for twist in minutes:
        house.cars["CP1/1"] = replace(house.cars["CP1/1"], takes_a=twist.takes_a, state=twist.state)
        house.cold, house.contact, house.battery_age_s = (
            {"b": twist.share},
            twist.contact,
            twist.battery_age_s,
        )
        house.memory = memory_from_dict(json.loads(json.dumps(memory_to_dict(house.memory))))
        decision = house.minute(twist.surplus_w)
        amps = [0.0, 0.0, 0.0]
        for outlet, part in zip(home.connectors, decision.connectors, strict=True):
            assert part.limit_a == 0 or outlet.min_a <= part.limit_a <= outlet.max_a
            assert part.reason.code
            assert part.reason.text
            if house.cars[outlet.id].state is not ConnectorState.OFFLINE:
                flows = triple(part.limit_a, house.phases_of(outlet))
                amps = [a + b for a, b in zip(amps, flows, strict=True)]
            if decision.load_shedding and home.load_shedding:
                assert part.limit_a <= home.load_shedding.limit_a
        assert max(amps) <= 25 + 1e-6
        assert all(part.reason.text and part.reason.code for part in decision.appliances)
        assert twist.contact is not True or not home.load_shedding or decision.load_shedding


@settings(max_examples=40, deadline=None)
@given(home=sites(), minutes=st.lists(twists, min_size=1, max_size=8))
def test_a_stored_minute_is_decided_again_alike(home: Site, minutes: list[Twist]) -> None:
    house = LimitedHouse(home, {f"CP{n}/1": Car() for n in (1, 2, 3)})
    house.battery = Battery() if home.battery else None
    for twist in minutes:
        house.cold, house.contact = {"b": twist.share}, twist.contact
        house.minute(twist.surplus_w)
    readings = Readings(PowerReading(-1000.0, house.grid_a(), house.now))
    stored = inputs_to_dict(home, readings, house.demands(), house.memory, house.now)
    again = decide(*inputs_from_dict(json.loads(json.dumps(stored))))
    assert decide(home, readings, house.demands(), house.memory, house.now) == again
