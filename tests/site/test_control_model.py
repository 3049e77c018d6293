"""The described site as the optimizer gets it."""

from __future__ import annotations

from pathlib import Path

import pytest

from csms.control_model import control_site, element_relays
from csms.domain.site import ResponseName
from csms.response import PRESETS
from csms.site_file import read_site
from optimizer.model import Mode

EXAMPLES = Path(__file__).parents[2] / "examples"
HOUSE = read_site((EXAMPLES / "house.toml").read_text())
BUILDING = read_site((EXAMPLES / "apartment_building.toml").read_text())


def test_three_elements_on_three_phases() -> None:
    boiler = control_site(HOUSE).appliances[0]
    assert [e.power_w for e in boiler.elements] == [1000, 1000, 1000]
    assert boiler.elements[1].current_a == pytest.approx((0, 1000 / 230, 0))
    assert element_relays(HOUSE.appliance[0]) == {"1": ("io1/1",), "2": ("io1/2",), "3": ("io1/3",)}


def test_a_heater_without_neutral_gives_half_its_power_on_one_relay() -> None:
    boiler = next(a for a in control_site(BUILDING).appliances if a.id == "boiler")
    states = {state.elements: state for state in boiler.joint_states}
    half = states[frozenset({"l1_l2"})]
    assert half.power_w == 3000
    assert half.current_a == pytest.approx((7.53, 7.53, 0), abs=0.01)
    assert states[frozenset({"l1_l2", "l1_l3"})].current_a == pytest.approx((8.70, 8.70, 8.70), abs=0.01)


def test_a_heat_pump_contact_is_never_toggled_faster_than_its_controller_allows() -> None:
    heat_pump = next(a for a in control_site(BUILDING).appliances if a.id == "heat-pump")
    assert heat_pump.min_on_s >= 1200
    assert heat_pump.min_off_s >= 1200


def test_two_sg_ready_contacts_never_show_the_blocked_state() -> None:
    data = BUILDING.model_dump(by_alias=True)
    heat_pump = next(a for a in data["appliance"] if a["id"] == "heat-pump")
    heat_pump["relays"] = ["io1/1", "io1/4"]
    data["appliance"] = [a for a in data["appliance"] if a["id"] != "pool-pump"]
    site = control_site(type(BUILDING).model_validate(data))
    appliance = next(a for a in site.appliances if a.id == "heat-pump")
    assert {state.elements for state in appliance.joint_states} == {
        frozenset(),
        frozenset({"1"}),
        frozenset({"1", "2"}),
    }


def test_a_mode_set_by_hand_wins_over_the_description() -> None:
    site = control_site(HOUSE, {"boiler": ("manual", ["2"]), "CP1/1": ("manual", 10)})
    assert site.appliances[0].mode is Mode.MANUAL
    assert site.appliances[0].manual_on == {"2"}
    assert site.connectors[0].manual_a == 10


def test_a_single_phase_station_knows_its_phase() -> None:
    assert control_site(HOUSE).connectors[0].phases == (1,)


@pytest.mark.parametrize("name", PRESETS)
def test_the_response_of_a_site_reaches_all_its_loads(name: ResponseName) -> None:
    data = HOUSE.model_dump(by_alias=True)
    data["site"]["response"] = name
    data["appliance"][0]["min_on_min"] = None
    site, preset = control_site(type(HOUSE).model_validate(data)), PRESETS[name]
    assert site.response == preset.response
    assert site.appliances[0].min_on_s == preset.heater_min_on_s
    assert {a.switching_cost_w for a in site.appliances} == {preset.appliance_cost_w}
    assert {c.min_on_s for c in site.connectors} == {preset.connector_min_on_s}


def test_a_motor_stays_on_for_ten_minutes_unless_the_site_says_otherwise() -> None:
    data = BUILDING.model_dump(by_alias=True)
    pump = next(a for a in data["appliance"] if a["id"] == "pool-pump")
    for said, min_on_s in ((None, 600), (25, 1500), (0, 0)):
        pump["min_on_min"] = said
        site = control_site(type(BUILDING).model_validate(data))
        assert next(a.min_on_s for a in site.appliances if a.id == "pool-pump") == min_on_s


def test_a_limit_of_starts_reaches_appliance_and_connector() -> None:
    data = BUILDING.model_dump(by_alias=True)
    data["appliance"][0]["max_starts_per_hour"] = 3
    data["charge_point"][0]["connectors"][0]["max_starts_per_day"] = 20
    site = control_site(type(BUILDING).model_validate(data))
    assert site.appliances[0].max_starts_per_hour == 3
    assert site.connectors[0].max_starts_per_day == 20
