"""The upper bound: no controller may beat it, and it must be what another formulation says as well."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import chain, combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from replay_builders import NOON, Replay, boiler, make_site, station

from csms.control_model import control_site
from csms.errors import InvalidInput
from optimizer.model import Circuit, PhaseTriple
from simulation.bound import perfect_foresight
from simulation.plant import DailyNeed
from simulation.scenario import CONTROLLERS, Scenario, run_controller
from simulation.score import score
from simulation.series import Series
from simulation.sessions import Session

PHASE_W = 230.0
NO_NEUTRAL = {
    "id": "heater",
    "kind": "water_heater_no_neutral",
    "circuit": "main",
    "rated_power_w": 3000,
    "relays": {"l1_l2": "io1/4", "l1_l3": "io1/5"},
}
NOON_WINDOW = [{"from": "12:05", "to": "12:10"}]


def days(
    pv_w: Sequence[float],
    load_w: Sequence[float] | float = 0.0,
    *,
    appliances: Sequence[dict[str, Any]] = (),
    points: Sequence[dict[str, Any]] = (),
    sessions: Sequence[Session] = (),
    limit_a: float = 100.0,
    daily_wh: float | None = None,
) -> Scenario:
    """From noon on, minute by minute; the house is spread evenly over the phases."""
    loads_w = [float(load_w)] * len(pv_w) if isinstance(load_w, int | float) else list(load_w)
    third = [load / 3 for load in loads_w]
    series = Series(NOON, 60.0, list(pv_w), loads_w, (third, third, third))
    needs = {a["id"]: DailyNeed(energy_wh=daily_wh) for a in appliances} if daily_wh is not None else {}
    site = control_site(make_site(appliances, points, limit_a=limit_a))
    return Scenario(site, series, sorted(sessions, key=lambda s: s.arrival_at), needs)


def stay(
    number: int, arrival: int, departure: int, kwh: float, max_a: float = 16.0, phases: int = 1
) -> Session:
    times = (NOON + timedelta(minutes=minute) for minute in (arrival, departure))
    return Session(f"CP{number}", f"CP{number}/1", *times, kwh * 1000, max_a, phases)


def bound_wh(scenario: Scenario) -> float:
    return sum(perfect_foresight(scenario).solar_wh.values())


def test_sun_is_kept_for_the_vehicle_that_leaves_first() -> None:
    """Who charges the patient one first loses an hour of sun when the other has gone."""
    scenario = days(
        [3680] * 120,
        points=[station("CP1"), station("CP2")],
        sessions=[stay(1, 0, 60, 3.68), stay(2, 0, 120, 3.68)],
    )
    found = perfect_foresight(scenario)
    assert found.solar_wh == pytest.approx({"CP1/1": 3680, "CP2/1": 3680})
    assert found.missing_wh == pytest.approx(0, abs=1e-6)


def test_a_cloud_below_the_minimum_current_still_counts_for_the_bound() -> None:
    scenario = days([690] * 60, points=[station()], sessions=[stay(1, 0, 60, 5)])
    assert bound_wh(scenario) == pytest.approx(690)


def test_an_appliance_takes_its_daily_need_once_a_local_day() -> None:
    """24 hours of sun from 12:00 on, local time: half belongs to each of two days."""
    scenario = days([5000] * 24 * 60, appliances=[boiler()], daily_wh=4000)
    assert bound_wh(scenario) == pytest.approx(8000)


def test_a_load_that_is_off_takes_nothing() -> None:
    assert bound_wh(days([5000] * 60, appliances=[boiler(mode="off")])) == 0


def test_who_waits_for_a_taken_connector_takes_only_when_it_is_free() -> None:
    sessions = [stay(1, 0, 60, 1), stay(1, 10, 90, 10)]
    scenario = days([3680] * 120, points=[station()], sessions=sessions)
    assert bound_wh(scenario) == pytest.approx(1000 + 3680 / 2)


@pytest.mark.parametrize(("limit_a", "load_w", "expected_w"), [(16, 0, 3680), (8, 0, 3340), (8, 690, 3340)])
def test_the_fuse_bounds_each_phase(limit_a: float, load_w: float, expected_w: float) -> None:
    """Of 4500 W of sun to spare a third reaches the station's phase from the roof, the rest through 8 A."""
    pv_w = [4500 + load_w] * 60
    scenario = days(pv_w, load_w, points=[station()], sessions=[stay(1, 0, 60, 99)], limit_a=limit_a)
    assert bound_wh(scenario) == pytest.approx(expected_w)


@pytest.mark.parametrize(("sun_w", "expected_w"), [(1000, 1000), (3000, 3000), (9000, 3000)])
def test_a_heater_without_a_neutral_takes_up_to_its_rated_power(sun_w: float, expected_w: float) -> None:
    """Its three states are no steps for the bound, but two halves do not add up to more than the whole."""
    assert bound_wh(days([sun_w] * 60, appliances=[NO_NEUTRAL])) == pytest.approx(expected_w)


@pytest.mark.parametrize(
    ("limit_a", "expected_w"),
    [((2.0, 2.0, 2.0), 3 * 2 * PHASE_W), ((2.0, 2.0, 0.0), 3**0.5 * 2 * PHASE_W), ((0.0, 2.0, 2.0), 0)],
    ids=["all lines alike", "between two lines", "the permanent line is barred"],
)
def test_the_same_heater_behind_a_small_fuse(limit_a: PhaseTriple, expected_w: float) -> None:
    scenario = days([9000] * 60, appliances=[NO_NEUTRAL])
    circuits = (*scenario.site.circuits, Circuit("attic", "main", limit_a))
    heater = replace(scenario.site.appliances[0], circuit="attic")
    scenario = replace(scenario, site=replace(scenario.site, circuits=circuits, appliances=(heater,)))
    assert bound_wh(scenario) == pytest.approx(expected_w)


def test_without_the_solver_the_way_to_install_it_is_told(
    replayed: Replay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "highspy", None)
    with pytest.raises(InvalidInput, match=r"pip install 'helianthus\[bound\]'"):
        replayed(make_site([boiler()]), [0] * 5, compare=["bound"])


# --- against a second formulation: the least cut, by trying every subset of takers ---


def least_cut_wh(scenario: Scenario) -> float:
    """Max flow = min cut. Single-phase vehicles behind one fuse.

    Of any set of vehicles, sun and fuse let through at most Σ_t min(sun, Σ_phase min(fuse, maxima)); those
    outside the set get at most their energy. The least such sum over all sets is the most that can flow.
    """
    sun_w = np.maximum(np.array(scenario.series.pv_w) - np.array(scenario.series.load_w), 0)
    (circuit,) = scenario.site.circuits
    pv_w = np.array(scenario.series.pv_w) / 3
    rooms_w = [
        np.maximum(circuit.limit_a[p] * PHASE_W - np.array(scenario.series.load_phases_w[p]) + pv_w, 0)
        for p in range(3)
    ]
    phase_of = {c.id: c.phases[0] for c in scenario.site.connectors}
    most_w = {c.id: c.max_a * PHASE_W for c in scenario.site.connectors}
    subsets = chain.from_iterable(
        combinations(scenario.sessions, n) for n in range(len(scenario.sessions) + 1)
    )
    least = math.inf
    for inside in subsets:
        wanted_w = [np.zeros_like(sun_w) for _ in range(3)]
        for s in inside:
            first, last = (round((t - NOON).total_seconds() / 60) for t in (s.arrival_at, s.departure_at))
            wanted_w[phase_of[s.connector]][first:last] += min(most_w[s.connector], s.max_a * PHASE_W)
        through = sum(np.minimum(w, room) for w, room in zip(wanted_w, rooms_w, strict=True))
        outside_wh = sum(s.energy_wh for s in scenario.sessions if s not in inside)
        least = min(least, outside_wh + float(np.minimum(sun_w, through).sum()) / 60)
    return least


@st.composite
def vehicles_at_three_stations(draw: st.DrawFn) -> Scenario:
    minutes = draw(st.integers(8, 40))
    blocks = draw(st.lists(st.sampled_from([0.0, 500.0, 1500.0, 4000.0, 9000.0]), min_size=1, max_size=8))
    load_w = draw(st.lists(st.sampled_from([0.0, 300.0, 2500.0]), min_size=1, max_size=3))
    pv_w = [blocks[i * len(blocks) // minutes] for i in range(minutes)]
    loads_w = [load_w[i * len(load_w) // minutes] for i in range(minutes)]
    sessions = []
    for number in range(1, draw(st.integers(1, 3)) + 1):
        free_from = 0
        for _ in range(draw(st.integers(0, 2))):
            arrival = draw(st.integers(free_from, minutes - 1))
            free_from = draw(st.integers(arrival + 1, minutes))
            kwh = draw(st.sampled_from([0.0, 0.1, 0.4, 1.0, 5.0]))
            sessions.append(stay(number, arrival, free_from, kwh, draw(st.sampled_from([10.0, 16.0, 32.0]))))
            if free_from >= minutes:
                break
    points = [station(f"CP{n}", phases=[draw(st.sampled_from(["L1", "L2", "L3"]))]) for n in (1, 2, 3)]
    limit_a = draw(st.sampled_from([8.0, 14.0, 100.0]))
    return days(pv_w, loads_w, points=points, sessions=sessions, limit_a=limit_a)


@settings(max_examples=150, deadline=None)
@given(vehicles_at_three_stations())
def test_the_optimum_is_the_least_cut(scenario: Scenario) -> None:
    assert bound_wh(scenario) == pytest.approx(least_cut_wh(scenario), abs=1e-3)


@st.composite
def mixed_sites(draw: st.DrawFn) -> Scenario:
    """Vehicles, a boiler of three elements, a heater without a neutral, a fuse that may bind."""
    base = draw(vehicles_at_three_stations())
    appliances = [
        a
        | {
            "mode": draw(st.sampled_from(["solar_only", "on", "solar_and_timer"])),
            "min_on_min": 5,
            "windows": NOON_WINDOW,
        }
        for a in (boiler(), NO_NEUTRAL)
    ]
    points = [
        station(c.id.split("/")[0], phases=[f"L{c.phases[0] + 1}"], max_a=32,
                mode=draw(st.sampled_from(["solar_only", "full", "min_and_solar"])))
        for c in base.site.connectors
    ]  # fmt: skip
    return days(
        base.series.pv_w,
        base.series.load_w,
        appliances=appliances,
        points=points,
        sessions=base.sessions,
        limit_a=draw(st.sampled_from([25.0, 100.0])),
        daily_wh=draw(st.sampled_from([None, 200.0, 1000.0])),
    )


@settings(max_examples=60, deadline=None)
@given(mixed_sites())
def test_no_controller_is_above_the_bound(scenario: Scenario) -> None:
    """Unless it goes above a fuse limit, as those that do not know of fuses may."""
    most_kwh = bound_wh(scenario) / 1000
    for name in CONTROLLERS:
        figures = score(run_controller(scenario, name))
        if not figures["fuse_excess_s"]:
            assert figures["solar_into_loads_kwh"] <= most_kwh + 1e-3, name
