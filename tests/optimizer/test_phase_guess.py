"""How many phases a vehicle uses, where its station does not tell the currents."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from closed_loop import NOON, Car, House, connector, limit_a, site

from optimizer import (
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
from optimizer.phase_guess import guess_by_power


@pytest.mark.parametrize(
    ("power_w", "offered_a", "phases"),
    [
        (1380, 6, 1),
        (1250, 6, 1),  # cars take a little less than offered
        (2760, 6, 2),
        (4140, 6, 3),
        (3900, 6, 3),
        (1840, 8, 1),
        (3680, 16, None),  # one phase at 16 A, two at 8, three at 5.3
        (11_040, 16, 3),
        (7360, 16, None),
        (700, 6, None),  # nearly full: it tells nothing
        (6000, 6, None),  # more than it may: the limit is not followed
    ],
)
def test_power_tells_the_phases_where_only_one_number_fits(
    power_w: float, offered_a: float, phases: int | None
) -> None:
    demand = ConnectorDemand(ConnectorState.CHARGING, power_w, None, offered_a, "1")
    assert guess_by_power(connector(), demand, 230.0) == phases


def test_a_station_that_tells_power_only_lets_a_one_phase_car_rise() -> None:
    """Taken for three phases at 2 A each it looked nearly full, and stayed at its minimum for ever."""
    memory, offered_a, limits = Memory(), 0.0, []
    for minute in range(8):
        power_w = offered_a * 230
        state = ConnectorState.CHARGING if offered_a else ConnectorState.READY
        demand = ConnectorDemand(state, power_w, None, offered_a, "1")
        now = NOON + timedelta(minutes=minute)
        readings = Readings(PowerReading(power_w - 4200, None, now))
        decision, memory = decide(site(connector()), readings, Demands({}, {"CP1/1": demand}), memory, now)
        offered_a = limit_a(decision)
        limits.append(offered_a)
    assert limits[0] == 6
    assert limits[-1] == 16


class Known(House):
    """The vehicle that comes with this badge used so many phases before."""

    usual = 1

    def connector_demand(self, outlet):  # type: ignore[no-untyped-def]
        return replace(super().connector_demand(outlet), usual_phases=self.usual)


def test_a_badge_whose_car_used_one_phase_starts_at_six_ampere_of_one() -> None:
    home = Known(site(connector()), {"CP1/1": Car(phases=1)})
    assert [limit_a(home.minute(w)) for w in (1379, 1380)] == [0, 6]


def test_another_car_with_that_badge_is_noticed_within_a_minute() -> None:
    home = Known(site(connector()), {"CP1/1": Car(phases=3)})
    assert [limit_a(home.minute(1400)) for _ in range(2)] == [6, 0]
    assert limit_a(home.minute(4140)) == 6


def test_fuses_reckon_with_all_phases_until_currents_show_fewer() -> None:
    """The second and third phase are full: a car that is thought to use the first only does not start."""
    circuits = (Circuit("main", None, (30.0, 10.0, 10.0)),)
    home = Known(site(connector(mode=Mode.FULL), circuits=circuits), {"CP1/1": Car(phases=1)})
    home.house_a = (0.0, 3.0, 3.0)
    assert limit_a(home.minute(9000)) == 7
    assert limit_a(home.minute(9000)) == 16, "measured: it uses the first phase only"
