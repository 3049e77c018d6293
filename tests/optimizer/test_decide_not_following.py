"""Stations that cannot be controlled, or do not follow: what they take is reckoned with as it is measured."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from closed_loop import connector, element, heater, limit_a, site, steps_on, why
from hypothesis import given
from hypothesis import strategies as st

from csms.decide_at_fuses import decide_at_fuses
from optimizer import (
    ApplianceDemand,
    Circuit,
    ConnectorDemand,
    ConnectorState,
    Demands,
    Memory,
    Mode,
    PowerReading,
    Readings,
    decide,
)

NOON = datetime(2026, 6, 21, 10, 0, tzinfo=UTC)
MAIN = Circuit("main", None, (100.0, 100.0, 100.0))
GARAGE = (MAIN, Circuit("garage", "main", (32.0, 32.0, 32.0)))


def charging(takes_a: float, offered_a: float | None = None, **more: bool) -> ConnectorDemand:
    current_a = (takes_a, 0.0, 0.0)
    offered_a = takes_a if offered_a is None else offered_a
    return ConnectorDemand(ConnectorState.CHARGING, takes_a * 230, current_a, offered_a, "1", **more)


def grid(power_w: float, *current_a: float) -> Readings:
    first, second, third = current_a or (power_w / 230, 0.0, 0.0)
    return Readings(PowerReading(power_w, (first, second, third), NOON))


def test_what_an_uncontrollable_station_takes_is_no_surplus_for_others() -> None:
    """The heater of 2 kW sees an export of 500 W, not the 3.7 kW that the station takes."""
    home = site(heater("boiler", element(2000)), connector("CP1/1", phases=(0,)))
    demands = Demands({"boiler": ApplianceDemand(frozenset())}, {"CP1/1": charging(16, controllable=False)})
    decision, _ = decide(home, grid(-500), demands, Memory(), NOON)
    assert steps_on(decision, "boiler") == ""
    assert why(decision, "CP1/1") == "not controlled from here: what it takes counts as the house's"


@pytest.mark.parametrize(("takes_a", "left_a"), [(0.0, 32), (16.0, 16), (24.0, 8)])
def test_it_is_reserved_on_a_circuit_that_nobody_measures(takes_a: float, left_a: float) -> None:
    home = site(
        connector("CP1/1", phases=(0,), circuit="garage", max_a=32.0),
        connector("CP2/1", phases=(0,), circuit="garage", max_a=32.0, mode=Mode.FULL),
        circuits=GARAGE,
    )
    deaf = charging(takes_a, controllable=False)
    demands = Demands({}, {"CP1/1": deaf, "CP2/1": charging(6)})
    decision, _ = decide(home, grid((takes_a + 6) * 230), demands, Memory(), NOON)
    assert limit_a(decision, "CP2/1") == left_a


def test_what_a_station_takes_beyond_its_offer_stays_on_the_fuse_until_it_follows() -> None:
    home = site(
        connector("CP1/1", phases=(0,), circuit="garage", max_a=32.0, mode=Mode.FULL),
        connector("CP2/1", phases=(0,), circuit="garage", max_a=32.0, mode=Mode.FULL),
        circuits=GARAGE,
    )
    demands = Demands({}, {"CP1/1": charging(20, offered_a=6, is_over=True), "CP2/1": charging(6)})
    decision, _ = decide(home, grid(26 * 230), demands, Memory(), NOON)
    assert limit_a(decision, "CP1/1") + limit_a(decision, "CP2/1") + (20 - 6) <= 32


@given(
    takes=st.lists(st.sampled_from([0.0, 6.0, 10.0, 16.0]), min_size=1, max_size=4),
    house_a=st.integers(0, 30),
)
def test_operators_profiles_make_way_only_if_a_fuse_needs_it_and_as_few_as_do(
    takes: list[float], house_a: int
) -> None:
    ids = [f"CP{n}/1" for n in range(len(takes))]
    home = site(*(connector(id, phases=(0,)) for id in ids), circuits=(Circuit("main", None, (40.0,) * 3),))
    held = {id: charging(a, controllable=False) for id, a in zip(ids, takes, strict=True)}
    readings = grid((sum(takes) + house_a) * 230)
    decision, _, demands = decide_at_fuses(home, readings, Demands({}, held), Memory(), NOON, set(ids))
    taken_back = [id for id in ids if demands.connectors[id].controllable]
    over_a = sum(takes) + house_a - 40
    assert decision.feasible
    if over_a <= 0:
        assert taken_back == []
    else:
        freed_a = {id: takes[ids.index(id)] for id in taken_back}
        assert sum(freed_a.values()) >= over_a
        assert all(sum(freed_a.values()) - a < over_a for a in freed_a.values())
