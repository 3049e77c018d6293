"""What vehicles do with an offer: sleep, take less, use one phase of three."""

from __future__ import annotations

from datetime import timedelta

import pytest
from closed_loop import NOON, Car, House, connector, element, heater, limit_a, site, steps_on, why

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
from optimizer.electrical import heater_without_neutral

ONE_PHASE = (0,)


def two_cars(**first: object) -> House:
    cars = {"CP1/1": Car(phases=1, **first), "CP2/1": Car(phases=1, delivered_wh=9000)}  # type: ignore[arg-type]
    return House(site(connector(phases=(0,)), connector("CP2/1", phases=(1,))), cars)


def test_a_sleeping_car_keeps_its_offer_and_leaves_its_watts_to_the_other() -> None:
    house = two_cars(takes_a=0.0)
    house.minute(1500)
    assert (limit_a(house.decision, "CP1/1"), limit_a(house.decision, "CP2/1")) == (6, 0)
    for _ in range(2):
        assert limit_a(house.minute(1500), "CP2/1") == 0
    decision = house.minute(1500)
    assert (limit_a(decision, "CP1/1"), limit_a(decision, "CP2/1")) == (6, 6)
    assert why(decision, "CP1/1") == "asleep: offered 6 A for 3 min, takes 0 A"
    assert why(house.minute(1500), "CP1/1") == "asleep: offered 6 A for 4 min, takes 0 A"
    house.cars["CP1/1"].takes_a = 16.0
    house.minute(3000)
    decision = house.minute(3000)
    assert (limit_a(decision, "CP1/1"), limit_a(decision, "CP2/1")) == (6, 7) or (
        limit_a(decision, "CP1/1"),
        limit_a(decision, "CP2/1"),
    ) == (7, 6)


def test_a_sleeping_car_loses_its_offer_when_the_sun_could_not_feed_it() -> None:
    house = two_cars(takes_a=0.0)
    for _ in range(5):
        house.minute(1500)
    decision = house.minute(1000)
    assert (limit_a(decision, "CP1/1"), limit_a(decision, "CP2/1")) == (0, 0)


def test_a_sleeping_car_counts_on_the_fuse() -> None:
    garage = (Circuit("main", None, (20.0, 20.0, 20.0)),)
    loads = (connector(phases=ONE_PHASE), connector("CP2/1", phases=ONE_PHASE, mode=Mode.FULL))
    house = House(site(*loads, circuits=garage), {"CP1/1": Car(takes_a=0, phases=1), "CP2/1": Car(phases=1)})
    house.cars["CP2/1"].session = None
    for _ in range(4):
        house.minute(9000)
    assert why(house.decision, "CP1/1") == "asleep: offered 6 A for 3 min, takes 0 A"
    house.cars["CP2/1"].session = "2"
    decision = house.minute(9000)
    assert (limit_a(decision, "CP1/1"), limit_a(decision, "CP2/1")) == (0, 16)
    assert sum(limit_a(decision, id) for id in ("CP1/1", "CP2/1")) <= 20


def test_a_car_that_takes_less_frees_the_rest() -> None:
    house = two_cars(takes_a=10.0)
    got = [(limit_a(house.minute(5300), "CP1/1"), limit_a(house.decision, "CP2/1")) for _ in range(5)]
    assert sum(got[0]) == 23
    assert got[-1] == (11, 12)
    house.cars["CP1/1"].takes_a = 16.0
    for _ in range(3):
        house.minute(7360)
    assert limit_a(house.decision, "CP1/1") == 16


def test_a_nearly_full_car_counts_for_what_it_takes() -> None:
    house = two_cars()
    house.cars["CP2/1"].session = None
    house.minute(3000)
    house.cars["CP1/1"].takes_a = 3.0
    for _ in range(4):
        house.minute(3000)
    house.cars["CP2/1"].session = "2"
    decision = house.minute(3000)
    assert (limit_a(decision, "CP1/1"), limit_a(decision, "CP2/1")) == (6, 10)
    assert why(decision, "CP1/1") == "offered 6 A, takes only 3.0 A"


def test_a_one_phase_car_on_a_three_phase_station_needs_less_once_seen() -> None:
    house = House(site(connector()), {"CP1/1": Car(phases=1)})
    assert limit_a(house.minute(4139)) == 0
    assert limit_a(house.minute(4140)) == 6
    assert [limit_a(house.minute(w)) for w in (4140, 2300, 1380, 1100)] == [16, 10, 6, 0]
    assert limit_a(house.minute(1380)) == 6, "the same session is remembered"
    house.cars["CP1/1"] = Car(session="2")
    assert limit_a(house.minute(1380)) == 0


def test_without_any_measurement_the_offer_is_taken_for_the_draw() -> None:
    house = House(site(connector(phases=ONE_PHASE)), {"CP1/1": Car(phases=1, tells_power=False)})
    assert [limit_a(house.minute(w)) for w in (2300, 2300, 1900)] == [10, 10, 8]


def test_a_higher_voltage_does_not_end_in_a_standing_draw() -> None:
    """At 240 V a car takes more watts per ampere than the site's 230 V say."""
    station = connector(phases=ONE_PHASE)
    memory, offered_a = Memory(), 0.0
    for minute in range(4):
        power_w = offered_a * 240
        state = ConnectorState.CHARGING if offered_a else ConnectorState.READY
        demand = ConnectorDemand(state, power_w, (offered_a, 0, 0), offered_a, "1")
        now = NOON + timedelta(minutes=minute)
        readings = Readings(PowerReading(power_w - 2310, None, now))
        decision, memory = decide(site(station), readings, Demands({}, {"CP1/1": demand}), memory, now)
        offered_a = limit_a(decision)
    assert offered_a == 9


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        (ConnectorState.FREE, "free: nobody plugged in"),
        (ConnectorState.PLUGGED, "plugged in, waiting for a badge"),
        (ConnectorState.FINISHED, "finished: the cable is still in"),
        (ConnectorState.FAULTED, "the station reports a fault"),
        (ConnectorState.OFFLINE, "station not connected"),
    ],
)
@pytest.mark.parametrize("mode", [Mode.SOLAR_ONLY, Mode.FULL])
def test_a_connector_without_a_transaction_gets_nothing(
    state: ConnectorState, sentence: str, mode: Mode
) -> None:
    house = House(site(connector(mode=mode)), {"CP1/1": Car(state=state)})
    decision = house.minute(20_000)
    assert limit_a(decision) == 0
    assert why(decision, "CP1/1") == sentence


def test_a_boiler_whose_thermostat_opened_stays_on_and_leaves_its_watts_to_the_car() -> None:
    house = House(
        site(heater(elements=(element("1", 3000),)), connector(phases=ONE_PHASE)),
        {"CP1/1": Car(phases=1, session=None)},
        sub_metered_w={"boiler": 3000.0},
    )
    assert steps_on(house.minute(3200)) == "1"
    house.sub_metered_w["boiler"] = 0.0
    house.cars["CP1/1"].session = "1"
    for _ in range(2):
        assert limit_a(house.minute(3200)) == 0
    decision = house.minute(3200)
    assert (steps_on(decision), limit_a(decision)) == ("1", 13)
    assert why(decision, "boiler") == "on but takes nothing: its own thermostat is open"
    assert steps_on(house.minute(2000)) == ""


def test_an_offer_the_station_did_not_accept_puts_nobody_to_sleep() -> None:
    house = two_cars(takes_a=0.0)
    for _ in range(6):
        house.minute(1500)
        house.offered_a["CP1/1"] = 0.0
    assert why(house.decision, "CP1/1") == "offered 6 A: the vehicle takes nothing yet"
    for _ in range(5):
        house.minute(1500)
    assert why(house.decision, "CP1/1").startswith("asleep: offered 6 A")


def test_a_station_that_tells_power_only() -> None:
    """10 A on three phases, told as watts; a car that takes less is noticed all the same."""
    station, memory, offered_a = connector(), Memory(), 0.0
    limits = []
    for minute in range(6):
        power_w = min(offered_a, 10.0) * 690
        state = ConnectorState.CHARGING if offered_a else ConnectorState.READY
        demand = ConnectorDemand(state, power_w, None, offered_a, "1")
        now = NOON + timedelta(minutes=minute)
        readings = Readings(PowerReading(power_w - 12_000, None, now))
        decision, memory = decide(site(station), readings, Demands({}, {"CP1/1": demand}), memory, now)
        offered_a = limit_a(decision)
        limits.append(offered_a)
    assert limits == [16, 16, 11, 11, 11, 11]
    assert why(decision, "CP1/1") == "on at 11 A: the vehicle takes no more"


def test_a_station_that_reports_one_phase_of_three_is_told_by_its_power() -> None:
    demand = ConnectorDemand(ConnectorState.CHARGING, 6900.0, (10.0, 0.0, 0.0), 10.0, "1")
    readings = Readings(PowerReading(0.0, (10.0, 10.0, 10.0), NOON))
    decision, memory = decide(site(connector()), readings, Demands({}, {"CP1/1": demand}), Memory(), NOON)
    assert limit_a(decision) == 10
    assert memory.connectors["CP1/1"].phases is None
    assert memory.other_a == {"main": (0.0, 0.0, 0.0)}


def test_a_boiler_that_takes_more_than_its_plate_says_ends_no_draw_of_others() -> None:
    house = House(
        site(heater(elements=(element("1", 1000),)), connector(phases=ONE_PHASE)),
        {"CP1/1": Car(phases=1, session=None)},
        sub_metered_w={"boiler": 1150.0},
    )
    assert steps_on(house.minute(2540)) == "1"
    house.cars["CP1/1"].session = "1"
    got = [(steps_on(house.minute(2540)), limit_a(house.decision)) for _ in range(4)]
    assert got[-1] == ("1", 6)
    assert house.decision is not None
    assert house.decision.appliances[0].power_w == 1150


def test_a_car_that_has_had_enough_keeps_no_more_than_its_minimum() -> None:
    house = two_cars()
    assert limit_a(house.minute(3600), "CP1/1") == 15
    house.cars["CP1/1"].takes_a = 0.0
    decision = house.minute(3600)
    assert (limit_a(decision, "CP1/1"), limit_a(decision, "CP2/1")) == (6, 9)


def test_a_heater_without_neutral_is_known_by_its_sub_meter() -> None:
    old = heater(
        elements=(element("a", 1500, (0, 1)), element("b", 1500, (0, 2))),
        joint_states=heater_without_neutral(3000, "a", "b"),
    )
    house = House(site(old), sub_metered_w={"boiler": 1380.0})
    assert steps_on(house.minute(1500)) == "a"
    for _ in range(2):
        decision = house.minute(1400)
    assert steps_on(decision) == "a"
    assert why(decision, "boiler") == "1 of 2 steps on; next needs 1620 W, 20 W left"
