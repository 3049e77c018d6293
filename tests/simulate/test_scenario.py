"""What a controller is shown of the days it runs through."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from replay_builders import NOON, make_site, station

from csms.control_model import control_site
from optimizer.model import Demands, Readings
from simulation.plant import Setpoints
from simulation.scenario import Scenario, at_interval, replay
from simulation.series import Series
from simulation.sessions import Session


def sunny_minutes(step_s: float = 60.0, steps: int = 5) -> Series:
    pv_w = [1000.0 * n for n in range(steps)]
    nothing = [0.0] * steps
    return Series(NOON, step_s, pv_w, nothing, (nothing, nothing, nothing))


def one_station(series: Series, *sessions: Session) -> Scenario:
    return Scenario(control_site(make_site(charge_points=[station()])), series, sessions)


class Witness:
    """Charges at once and writes down what it was shown."""

    def __init__(self) -> None:
        self.seen: list[tuple[Readings, Demands, datetime]] = []

    def __call__(self, readings: Readings, demands: Demands, now: datetime) -> Setpoints:
        self.seen.append((readings, demands, now))
        return Setpoints({}, {"CP1/1": 16.0})


def test_a_controller_never_sees_the_minute_it_acts_in() -> None:
    witness = Witness()
    replay(one_station(sunny_minutes()), witness)
    grids = [readings.grid for readings, _, _ in witness.seen]
    assert grids[0] is None
    assert [grid.power_w for grid in grids[1:] if grid] == [0, -1000, -2000, -3000]


def test_what_the_driver_declared_is_known_and_what_really_happens_is_not() -> None:
    """The driver says 40 minutes and 6 kWh; the vehicle stays for 4 and takes 5 kWh at most."""
    declared_at = NOON + timedelta(minutes=40)
    told = Session("CP1", "CP1/1", NOON, NOON + timedelta(minutes=4), 5000, 16, 1, declared_at, 6000)
    witness = Witness()
    replay(one_station(sunny_minutes(), told), witness)
    demands = [demands.connectors["CP1/1"] for _, demands, _ in witness.seen]
    assert {(d.departs_at, d.requested_wh) for d in demands[:4]} == {(declared_at, 6000)}
    assert (demands[4].session, demands[4].departs_at, demands[4].requested_wh) == (None, None, None)


def test_a_silent_driver_leaves_the_controller_without_a_need() -> None:
    silent = Session("CP1", "CP1/1", NOON, NOON + timedelta(minutes=4), 5000, 16, 1)
    witness = Witness()
    replay(one_station(sunny_minutes(), silent), witness)
    demand = witness.seen[1][1].connectors["CP1/1"]
    assert demand.session is not None
    assert (demand.departs_at, demand.requested_wh) == (None, None)


@pytest.mark.parametrize(
    ("step_s", "cut_s", "interval_s"),
    [(60, 30, 30), (30, 30, 30), (10, 10, 30), (20, 20, 40), (45, 22.5, 22.5), (1, 1, 30)],
)
def test_a_loop_of_30_s_on_any_step(step_s: float, cut_s: float, interval_s: float) -> None:
    scenario = at_interval(one_station(sunny_minutes(step_s)), 30)
    assert (scenario.series.step_s, scenario.interval_s) == (cut_s, interval_s)
    assert scenario.series.end_at == NOON + timedelta(seconds=5 * step_s)


def test_cut_steps_keep_their_means() -> None:
    cut = sunny_minutes(steps=3).cut(2)
    assert cut.pv_w == [0, 0, 1000, 1000, 2000, 2000]
    assert [len(phase_w) for phase_w in cut.load_phases_w] == [6, 6, 6]
