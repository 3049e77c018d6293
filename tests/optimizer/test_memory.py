"""A stored minute can be decided again, after a restart too."""

from __future__ import annotations

import json
from datetime import time

from closed_loop import Car, House, connector, element, heater, site
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer import Circuit, Memory, Mode, PowerReading, Readings, Window, decide
from optimizer.electrical import heater_without_neutral
from optimizer.memory import (
    decision_from_dict,
    decision_to_dict,
    inputs_from_dict,
    inputs_to_dict,
    memory_from_dict,
    memory_to_dict,
)

NIGHT = (Window(frozenset({0, 5}), time(22), time(6, 30)),)


def rich_house() -> House:
    old = heater(
        "old",
        elements=(element("a", 1500, (0, 1)), element("b", 1500, (0, 2))),
        joint_states=heater_without_neutral(3000, "a", "b"),
        min_on_s=180.0,
    )
    parts = (
        old,
        heater(
            "night", mode=Mode.SOLAR_AND_TIMER, windows=NIGHT, manual_on=frozenset({"1"}), min_off_s=120.0
        ),
        connector(min_on_s=120.0),
        connector("CP2/1", phases=(1,), mode=Mode.FULL),
    )
    circuits = (Circuit("main", None, (40.0, 40.0, 40.0), metered=True),)
    return House(site(*parts, circuits=circuits), {"CP1/1": Car(takes_a=9.3), "CP2/1": Car(phases=1)})


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(-3000, 12_000), min_size=1, max_size=12))
def test_a_stored_minute_gives_the_same_decision_and_memory(surpluses: list[int]) -> None:
    house = rich_house()
    for w in surpluses:
        house.minute(w)
    reading = PowerReading(house.controlled_w() - 2500.5, house.grid_a(), house.now)
    readings = Readings(reading, {"main": reading})
    inputs = (house.site, readings, house.demands(), house.memory, house.now)
    stored = json.loads(json.dumps(inputs_to_dict(*inputs)))
    assert inputs_from_dict(stored) == inputs
    assert decide(*inputs_from_dict(stored)) == decide(*inputs)


def test_decision_and_memory_survive_json() -> None:
    house = rich_house()
    for w in (9000, 9000, 2000, 0):
        decision = house.minute(w)
    assert house.memory.elements
    assert house.memory.connectors
    assert house.memory.other_a
    assert memory_from_dict(json.loads(json.dumps(memory_to_dict(house.memory)))) == house.memory
    assert decision_from_dict(json.loads(json.dumps(decision_to_dict(decision)))) == decision
    assert memory_from_dict(memory_to_dict(Memory())) == Memory()


def test_a_restart_in_between_changes_no_decision() -> None:
    straight, restarted = rich_house(), rich_house()
    for w in (9000, 3000, 0, 0, 5000, 1200, 7000, -500, 4000):
        restarted.memory = memory_from_dict(json.loads(json.dumps(memory_to_dict(restarted.memory))))
        assert straight.minute(w) == restarted.minute(w)


def test_a_memory_stored_before_a_field_existed_is_still_read() -> None:
    data = {
        "elements": [[["boiler", "1"], {"on": True, "changed_at": "2026-06-10T10:00:00+00:00"}]],
        "connectors": {"CP1/1": {"limit_a": 6.0, "changed_at": None}},
    }
    memory = memory_from_dict(data)
    assert memory.elements["boiler", "1"].taking_at is None
    assert memory.connectors["CP1/1"].session is None
    assert memory.other_a == {}
