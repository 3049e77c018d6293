"""evcc's rule, sample by sample: what the controller is compared with must be what its users know."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from replay_builders import NOON, Replay, boiler, make_site, station

from csms.control_model import control_site
from csms.domain.site import SiteConfig
from optimizer.model import (
    NO_CURRENT,
    ApplianceDemand,
    ConnectorDemand,
    ConnectorState,
    Demands,
    PhaseTriple,
    PowerReading,
    Readings,
)
from simulation.evcc_rule import EvccRule
from simulation.plant import Setpoints

Row = tuple[float, float, float, float]
"""Seconds since the start, grid power [W], what the vehicle takes [A], what it is then to be offered [A]."""

THREE_PHASES = ["L1", "L2", "L3"]
LATER = 600.0  # by then nothing remembers that the vehicle has just come


def vehicle(taken_a: float, phases: int = 1, session: str | None = "session") -> ConnectorDemand:
    if session is None:
        return ConnectorDemand(ConnectorState.FREE)
    state = ConnectorState.CHARGING if taken_a else ConnectorState.READY
    amps = [taken_a if phase < phases else 0.0 for phase in range(3)]
    return ConnectorDemand(state, taken_a * 230 * phases, (amps[0], amps[1], amps[2]), session=session)


def readings(grid_w: float, current_a: PhaseTriple = NO_CURRENT, at: datetime = NOON) -> Readings:
    return Readings(PowerReading(grid_w, current_a, at))


def offers(rows: Sequence[Row], phases: int = 1, **changes: Any) -> list[float]:
    """What a single station is offered at each row."""
    wiring = {"phases": THREE_PHASES} if phases == 3 else {}
    rule = EvccRule(control_site(make_site(charge_points=[station(**wiring, **changes)])))
    found = []
    for elapsed_s, grid_w, taken_a, _ in rows:
        at = NOON + timedelta(seconds=elapsed_s)
        demands = Demands({}, {"CP1/1": vehicle(taken_a, phases)})
        found.append(rule(readings(grid_w, at=at), demands, at).connectors["CP1/1"])
    return found


STORIES: dict[str, list[Row]] = {
    "a vehicle that has just come starts at once, at the minimum": [(0, -3000, 0, 6)],
    "then it follows from its next turn on": [(0, -3000, 0, 6), (30, -1620, 6, 13)],
    "a first sample without sun ends that privilege": [
        (0, 0, 0, 0),
        (30, -1380, 0, 0),
        (60, -1380, 0, 0),
        (90, -1380, 0, 6),
    ],
    "one sample below begins the enable delay anew": [
        (0, 0, 0, 0),
        (30, -1500, 0, 0),
        (60, -1379, 0, 0),
        (90, -1500, 0, 0),
        (120, -1500, 0, 0),
        (150, -1500, 0, 6),
    ],
    "whole amperes, rounded down": [(0, -1380, 0, 6), (30, -229, 6, 6), (60, -231, 6, 7)],
    "never above the maximum": [(0, -9000, 0, 6), (30, -9000, 6, 16), (60, -9000, 16, 16)],
    "it goes down at once as long as the minimum is left": [
        (0, -3000, 0, 6),
        (30, -2300, 6, 16),
        (60, 1000, 16, 11),
    ],
    "held at the minimum for 180 s of draw, then off": [
        (0, -1380, 0, 6),
        (30, 500, 6, 6),
        (60, 500, 6, 6),
        (180, 500, 6, 6),
        (209, 500, 6, 6),
        (210, 500, 6, 0),
    ],
    "one sample of export begins the disable delay anew": [
        (0, -1380, 0, 6),
        (30, 500, 6, 6),
        (180, -1, 6, 6),
        (210, 500, 6, 6),
        (389, 500, 6, 6),
        (390, 500, 6, 0),
    ],
    "neither draw nor export counts as draw": [
        (0, -1380, 0, 6),
        (30, 0, 5, 6),
        (60, 0, 3, 6),
        (240, 0, 3, 0),
    ],
    "it may start again 60 s after it was stopped: there is no minimum time": [
        (0, -1380, 0, 6),
        (30, 900, 6, 6),
        (210, 900, 6, 0),
        (240, -1380, 0, 0),
        (300, -1380, 0, 6),
    ],
    "a vehicle that takes 1 A less than offered is not held down by that": [
        (0, -2300, 0, 6),
        (30, -1000, 6, 10),
        (60, -460, 9, 12),
    ],
    "two more than it takes count at most": [(0, -9000, 0, 6), (30, -9000, 6, 16), (60, 0, 9, 11)],
}


@pytest.mark.parametrize("story", STORIES)
def test_a_single_phase_station(story: str) -> None:
    rows = STORIES[story]
    assert offers(rows) == [expected for *_, expected in rows]


@pytest.mark.parametrize(
    "rows",
    [
        [(0, -4139, 0, 0), (30, -4140, 0, 0), (90, -4140, 0, 6)],
        [(0, -4140, 0, 6), (30, -690, 6, 7), (60, -689, 7, 7)],
    ],
    ids=["needs 4140 W", "an ampere is 690 W"],
)
def test_a_three_phase_station(rows: list[Row]) -> None:
    assert offers(rows, phases=3) == [expected for *_, expected in rows]


def test_a_vehicle_on_one_of_three_phases_is_known_once_it_charges() -> None:
    rule = EvccRule(control_site(make_site(charge_points=[station(phases=THREE_PHASES)])))
    before = Demands({}, {"CP1/1": vehicle(0)})
    assert rule(readings(-4140), before, NOON).connectors == {"CP1/1": 6}
    after = Demands({}, {"CP1/1": vehicle(6, phases=1)})
    assert rule(readings(-460), after, NOON + timedelta(seconds=30)).connectors == {"CP1/1": 8}


@pytest.mark.parametrize(
    ("mode", "rows"),
    [
        ("min_and_solar", [(0, 5000, 0, 6), (30, 5000, 6, 6), (600, 5000, 6, 6), (630, -690, 6, 9)]),
        ("full", [(0, 5000, 0, 16)]),
        ("off", [(0, -5000, 0, 0), (300, -5000, 0, 0)]),
    ],
)
def test_modes(mode: str, rows: list[Row]) -> None:
    assert offers(rows, mode=mode) == [expected for *_, expected in rows]


def test_a_timer_is_a_switch_to_now_from_outside() -> None:
    windows = [{"from": "12:10", "to": "12:20"}]  # the rows begin at 12:00 in Zurich
    rows = [(0, 100, 0, 0), (600, 100, 0, 16), (1199, 4000, 16, 16), (1200, 4000, 16, 6), (1380, 500, 6, 0)]
    assert offers(rows, mode="solar_and_timer", windows=windows) == [expected for *_, expected in rows]
    rows[3:] = [(1200, -9000, 16, 0)]
    assert offers(rows, mode="timer_only", windows=windows) == [expected for *_, expected in rows]


def test_without_a_grid_meter_nothing_is_controlled() -> None:
    rule = EvccRule(control_site(make_site(charge_points=[station(mode="full")])))
    demands = Demands({}, {"CP1/1": vehicle(0)})
    assert rule(Readings(None), demands, NOON).connectors == {"CP1/1": 0}


def test_one_load_point_has_its_turn_every_30_s() -> None:
    """Three stations, sun for all of them: the third one waits until the others had their turn."""
    points = [station(f"CP{n}") for n in (1, 2, 3)]
    rule = EvccRule(control_site(make_site(charge_points=points)))
    demands = Demands({}, {f"CP{n}/1": vehicle(0) for n in (1, 2, 3)})
    seen = [
        list(rule(readings(-9000), demands, NOON + timedelta(seconds=30 * turn)).connectors.values())
        for turn in range(4)
    ]
    assert seen == [[6, 0, 0], [6, 6, 0], [6, 6, 6], [16, 6, 6]]


def relays(site: SiteConfig, rows: Sequence[tuple[float, float]]) -> list[str]:
    """The closed elements of the boiler at each (seconds, grid power)."""
    rule, on = EvccRule(control_site(site)), frozenset[str]()
    seen = []
    for elapsed_s, grid_w in rows:
        at = NOON + timedelta(seconds=elapsed_s)
        setpoints: Setpoints = rule(readings(grid_w, at=at), Demands({"boiler": ApplianceDemand(on)}, {}), at)
        on = setpoints.appliances["boiler"]
        seen.append("".join(sorted(on)))
    return seen


def test_a_relay_starts_after_60_s_of_its_nominal_power_and_stops_after_180_s_of_draw() -> None:
    one = [{"relays": ["io1/1"], "power_w": 1000, "phases": ["L1"]}]
    rows = [(0, -1000), (30, -1000), (60, -1000), (90, 0), (120, 1), (270, 1), (299, 1), (300, 1)]
    seen = relays(make_site([boiler(steps=one)]), rows)
    assert seen == ["", "", "1", "1", "1", "1", "1", ""]


def test_three_relays_are_three_load_points_that_take_turns() -> None:
    """In 90 s each had one turn, in 180 s each is on; a real plant's meter would then show the draw."""
    rows = [(30 * turn, -3000) for turn in range(6)]
    assert relays(make_site([boiler()]), rows) == ["", "", "", "1", "12", "123"]


def test_a_circuit_is_kept_by_one_current_the_highest_of_its_phases() -> None:
    """20 A per phase, the house draws 12 A on L2: a station on L1 gets 8 A, though its own phase is free."""
    rule = EvccRule(control_site(make_site(charge_points=[station(mode="full")], limit_a=20)))
    demands = Demands({}, {"CP1/1": vehicle(0)})
    assert rule(readings(0, (0.0, 12.0, 0.0)), demands, NOON).connectors == {"CP1/1": 8}
    demands = Demands({}, {"CP1/1": vehicle(8)})
    assert rule(readings(0, (8.0, 16.0, 0.0)), demands, NOON).connectors == {"CP1/1": 12}
    assert rule(readings(0, (8.0, 23.0, 0.0)), demands, NOON).connectors == {"CP1/1": 0}


def test_a_circuit_without_a_meter_adds_all_its_load_points_as_if_on_one_phase() -> None:
    config = make_site(
        charge_points=[station("CP1", mode="full"), station("CP2", mode="full", phases=["L2"])], limit_a=100
    )
    garage = {"id": "garage", "parent": "main", "limit_a": [24] * 3}
    points = [point | {"circuit": "garage"} for point in config.model_dump(by_alias=True)["charge_point"]]
    config = SiteConfig.model_validate(
        config.model_dump(by_alias=True)
        | {"circuit": [*config.model_dump()["circuit"], garage], "charge_point": points}
    )
    rule = EvccRule(control_site(config))
    both = {"CP1/1": vehicle(0), "CP2/1": vehicle(0)}
    assert rule(readings(0), Demands({}, both), NOON).connectors == {"CP1/1": 16, "CP2/1": 0}
    both = {"CP1/1": vehicle(16), "CP2/1": vehicle(0)}
    assert rule(readings(0), Demands({}, both), NOON).connectors == {"CP1/1": 16, "CP2/1": 8}


def test_a_minute_is_two_turns_that_both_see_its_mean(replayed: Replay) -> None:
    """One minute of sun enough for the start, seen at half time: the vehicle charges from then on."""
    run = replayed(
        make_site(charge_points=[station()]),
        [0] * 5 + [3000] * 30,
        load_w=0,
        sessions=[("CP1", 2, 40, 20, 16, 1)],
        compare=["evcc"],
    )
    evcc = run.figures["compare"]["evcc"]
    assert evcc["solar_into_loads_kwh"] > 0
    assert evcc["days"] == run.figures["days"]
    assert evcc["pv_kwh"] == run.figures["pv_kwh"]
