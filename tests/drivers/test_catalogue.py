"""What an installer may write into the site file about a device, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from drivers.catalogue import (
    check_config,
    check_relay_number,
    meter_models,
    model_names,
    open_meter,
    relay_models,
)
from drivers.device import DeviceConfigError


@pytest.mark.parametrize(
    ("entry", "field", "expected"),
    [
        pytest.param({"driver": "knx"}, "driver", '"modbus"', id="driver"),
        pytest.param({"model": "eastron_sdm631"}, "model", "eastron_sdm630", id="mistyped model"),
        pytest.param({"model": "wellpro_wp8024adam"}, "model", "eastron_sdm630", id="relay module as meter"),
        pytest.param({"model": "sma_inverter", "framing": "rtu_over_tcp"}, "framing", "tcp", id="framing"),
    ],
)
def test_a_wrong_entry_is_refused_with_field_and_expectation(bench, entry, field, expected):
    config = {"driver": "modbus", "model": "eastron_sdm630"} | entry
    with pytest.raises(DeviceConfigError) as fault:
        check_config(kind="meter", **config)
    assert (fault.value.field, fault.value.value) == (field, config[field])
    assert expected in fault.value.expected
    with pytest.raises(DeviceConfigError):
        open_meter(bench.buses, id="grid", host="192.0.2.1", **config)


def test_every_model_is_accepted_in_each_framing_it_offers():
    for kind, models in (("meter", meter_models()), ("relay_module", relay_models())):
        for key, model in models.items():
            for framing in (None, *model.wiring.framings):
                check_config(kind=kind, driver="modbus", model=key, framing=framing)
        assert model_names(kind) == {key: model.name for key, model in models.items()}


def test_a_relay_number_beyond_the_module_is_refused():
    check_relay_number("wellpro_wp8024adam", 4)
    with pytest.raises(DeviceConfigError, match="relay: 5 given, a number from 1 to 4 expected"):
        check_relay_number("wellpro_wp8024adam", 5)


async def test_port_framing_and_unit_come_from_the_model_unless_given(bench):
    def bus_of(**entry):
        meter = open_meter(bench.buses, id="m", driver="modbus", host="192.0.2.1", **entry)
        return meter.inner.bus, meter.inner.unit

    tcp, unit = bus_of(model="sma_inverter")
    assert (tcp.port, tcp.framing, unit) == (502, "tcp", 3)
    assert bus_of(model="eastron_sdm630", unit=9) == (tcp, 9)
    rtu, _ = bus_of(model="eastron_sdm630", framing="rtu_over_tcp")
    assert (rtu.port, rtu.framing) == (4196, "rtu_over_tcp")
    assert bus_of(model="abb_a_b", framing="rtu_over_tcp", port=4196)[0] is rtu
    with pytest.raises(DeviceConfigError, match="framing: 'tcp' given, rtu_over_tcp, as other devices"):
        bus_of(model="abb_a_b", framing="tcp", port=4196)


def test_the_handbook_names_every_model_with_its_grade():
    handbook = (Path(__file__).parents[2] / "docs" / "devices.md").read_text(encoding="utf-8")
    for models in (meter_models(), relay_models()):
        for model in models.values():
            assert f"| `{model.key}` | {model.name} | {model.confidence} |" in handbook
