"""From steps on the grid meter to what is wired wrongly, without devices."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csms.domain.wiring import Finding, Sample, Step, SwitchedLoad, agreed, change, diagnose

WEST = SwitchedLoad("west/1", "Boiler west", ("io1/1",), (2000, 0, 0))
EAST = SwitchedLoad("east/1", "Boiler east", ("io1/2",), (0, 3000, 0))
PUMP = SwitchedLoad("pump/1", "Pump", ("io1/3",), (0, 0, 750))
HEATER = SwitchedLoad("heater/1", "Heater", ("io1/4",), (1500, 1500, 0))
LOADS = (WEST, EAST, PUMP, HEATER)


def step(load: SwitchedLoad, *phases_w: float, meters_w=None) -> Step:
    l1, l2, l3 = phases_w
    return Step(load, sum(phases_w), (l1, l2, l3), meters_w or {})


def seen(drives: dict[SwitchedLoad, SwitchedLoad], order=(0, 1, 2), sign=1, scale=1.0) -> list[Step]:
    """What a meter shows whose phase order[i] sees the site's phase i, if each relay drives that load."""
    steps = []
    for load in LOADS:
        shown = [0.0, 0.0, 0.0]
        for phase, w in enumerate(drives.get(load, load).expected_w):
            shown[order[phase]] = sign * scale * w
        steps.append(step(load, *shown))
    return steps


def problems(steps: list[Step], inverted=False, unclear=()) -> list[Finding]:
    return [f for f in diagnose(steps, "grid", inverted, unclear) if f.status != "ok"]


@pytest.mark.parametrize("scale", [0.85, 1.0, 1.15])
def test_a_building_that_is_wired_well_has_no_findings(scale):
    assert problems(seen({}, scale=scale)) == []


def test_a_meter_turned_round_is_told_with_both_ways_out():
    (fault,) = problems(seen({}, sign=-1))
    assert (fault.subject, fault.check, fault.status) == ("meter grid", "direction", "fault")
    assert "set `invert = true`" in fault.advice
    (fault,) = problems(seen({}, sign=-1), inverted=True)
    assert "take `invert` out" in fault.advice


@pytest.mark.parametrize(
    ("order", "said"),
    [
        ((1, 2, 0), "rotated: L1 shows as L2, L2 shows as L3, L3 shows as L1"),
        ((2, 0, 1), "rotated: L1 shows as L3, L2 shows as L1, L3 shows as L2"),
        ((1, 0, 2), "exchanged: L1 shows as L2, L2 shows as L1"),
        ((0, 2, 1), "exchanged: L2 shows as L3, L3 shows as L2"),
        ((2, 1, 0), "exchanged: L1 shows as L3, L3 shows as L1"),
    ],
)
def test_every_other_order_of_phases_is_told(order, said):
    (fault,) = problems(seen({}, order=order))
    assert (fault.subject, fault.check) == ("meter grid", "phases")
    assert said in fault.text


def test_two_relays_on_each_others_boilers_are_both_named():
    faults = problems(seen({WEST: EAST, EAST: WEST}))
    assert [(f.subject, f.status) for f in faults] == [("relay io1/1", "fault"), ("relay io1/2", "fault")]
    assert "switches Boiler east (3000 W on L2) instead of Boiler west (2000 W on L1)" in faults[0].text


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("order", [(0, 1, 2), (1, 2, 0), (2, 0, 1), (1, 0, 2)])
def test_three_faults_at_once_are_told_apart(order, sign):
    faults = problems(seen({WEST: EAST, EAST: WEST}, order=order, sign=sign, scale=0.93))
    checks = {(f.subject, f.check) for f in faults}
    assert (("meter grid", "direction") in checks) == (sign < 0)
    assert (("meter grid", "phases") in checks) == (order != (0, 1, 2))
    assert {("relay io1/1", "load"), ("relay io1/2", "load")} <= checks
    assert not any("io1/3" in f.subject or "io1/4" in f.subject for f in faults)


def test_a_load_on_another_phase_is_the_loads_own_fault_while_all_others_are_right():
    steps = [*seen({})[1:], step(WEST, 0, 0, 2000)]
    (fault,) = problems(steps)
    assert fault.subject == "relay io1/1"
    assert "takes 2000 W on L3, but is described with 2000 W on L1" in fault.text


def test_one_load_alone_does_not_accuse_the_meter():
    """A single boiler on another phase says nothing of the other phases."""
    found = diagnose([step(WEST, 0, 2000, 0)], "grid", False)
    assert {(f.check, f.status) for f in found} == {
        ("direction", "ok"),
        ("phases", "inconclusive"),
        ("load", "fault"),
    }


def test_half_the_power_is_a_matter_for_the_description():
    (warning,) = problems([*seen({})[1:], step(WEST, 1000, 0, 0)])
    assert (warning.status, warning.subject) == ("warning", "relay io1/1")
    assert "takes 1000 W on L1, but is described with 2000 W on L1" in warning.text


def test_a_hot_boiler_is_no_fault():
    found = problems([*seen({})[1:], step(WEST, 3, -8, 0)])
    assert [(f.status, f.subject) for f in found] == [("inconclusive", "relay io1/1")]
    nothing = diagnose([step(WEST, 3, -8, 0)], "grid", False)
    assert {f.status for f in nothing} == {"inconclusive"}


def test_a_meter_without_phases_still_tells_direction_and_size():
    bare = [Step(s.load, -s.total_w, None, {}) for s in seen({WEST: EAST, EAST: WEST})]
    found = problems(bare)
    assert [(f.subject, f.check) for f in found] == [
        ("meter grid", "direction"),
        ("relay io1/1", "load"),
        ("relay io1/2", "load"),
    ]


@pytest.mark.parametrize(
    ("shown_w", "status", "said"),
    [
        (1980, "ok", "shows Boiler west"),
        (-1980, "fault", "the direction is reversed"),
        (0, "fault", "does not measure Boiler west"),
    ],
)
def test_a_loads_own_meter_is_checked_by_the_same_step(shown_w, status, said):
    load = SwitchedLoad("west/1", "Boiler west", ("io1/1",), (2000, 0, 0), meter="west-meter")
    steps = [*seen({})[1:], step(load, 2000, 0, 0, meters_w={"west-meter": shown_w, "grid": 2000})]
    (finding,) = [f for f in diagnose(steps, "grid", False) if f.subject == "meter west-meter"]
    assert finding.status == status
    assert said in finding.text


def flat(total_w: float) -> Sample:
    return Sample(total_w, (total_w, 0.0, 0.0), {})


def test_a_slow_drift_of_the_sun_is_taken_out():
    assert change(flat(-4000), flat(-1900), flat(-3800)).total_w == 2000


@pytest.mark.parametrize(
    ("seen_w", "agreed_w"),
    [
        pytest.param([2000, 1950], 1975, id="quiet"),
        pytest.param([2000, 4000, 2010], 2005, id="a kettle once"),
        pytest.param([2000, 4000], None, id="two that differ"),
        pytest.param([2000, 4000, 700, 3000], None, id="a restless house"),
        pytest.param([2000, 2010, 4000, 4010], None, id="two against two"),
        pytest.param([2000], None, id="once is not enough"),
    ],
)
def test_a_step_counts_when_most_repetitions_agree(seen_w, agreed_w):
    found = agreed(WEST, [flat(w) for w in seen_w])
    assert (found.total_w if found else None) == agreed_w


@given(
    st.permutations(range(3)),
    st.sampled_from([1, -1]),
    st.floats(0.85, 1.15),
    st.lists(st.floats(-40, 40), min_size=12, max_size=12),
)
def test_noise_and_tolerance_never_change_the_verdict(order, sign, scale, noise):
    steps = [
        step(s.load, *(w + noise[3 * n + i] for i, w in enumerate(s.phases_w or ())))
        for n, s in enumerate(seen({}, order=tuple(order), sign=sign, scale=scale))
    ]
    checks = {f.check for f in problems(steps)}
    assert checks == {
        name for name, wrong in (("direction", sign < 0), ("phases", order != [0, 1, 2])) if wrong
    }
