"""An installer adds a model by a data file, without code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from drivers.catalogue import check_relay_number, meter_models, open_meter, relay_models, use_device_files
from drivers.device_files import DeviceFileError
from simulation.modbus_devices import SimulatedMeter

HANDBOOK = Path(__file__).parents[2] / "docs" / "devices.md"
METER = """
[meter.acme]
name = "Acme"
fc = 4
words = "big"
max_regs = 60
p_tot = [52, "float32", 1, "W"]
"""


@pytest.fixture
def folder(tmp_path):
    yield tmp_path / "devices"
    use_device_files(tmp_path / "no such folder")


def put(folder, text, name="own.toml"):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    use_device_files(folder)


async def test_the_file_of_the_handbook_is_read_and_its_meter_measures(folder, bench):
    (example,) = re.findall(r"```toml\n(# var/devices.*?)```", HANDBOOK.read_text(), re.S)
    put(folder, example)
    assert meter_models()["acme_3p"].confidence == "C"
    check_relay_number("wellpro_of_the_cellar", 16)
    assert relay_models()["wellpro_of_the_cellar"].inputs == relay_models()["wellpro_wp8024adam"].inputs
    simulated = SimulatedMeter("acme_3p")
    simulated.set(phase_power_w=(100, 200, -50), import_wh=7000)
    converter = await bench.converter("tcp", {1: simulated})
    meter = open_meter(
        bench.buses, id="m", driver="modbus", model="acme_3p", host="127.0.0.1", port=converter.port
    )
    reading = await meter.read()
    assert (reading.power_w, reading.import_wh) == (250, 7000)


def test_an_own_file_wins_over_ours_and_ours_return_without_it(folder):
    ours = meter_models()["eastron_sdm630"].max_registers
    put(folder, '[meter.eastron_sdm630]\nlike = "eastron_sdm120_230"\nname = "Old SDM630"\nmax_regs = 10\n')
    assert (meter_models()["eastron_sdm630"].max_registers, ours) == (10, 80)
    use_device_files(folder.parent / "nowhere")
    assert meter_models()["eastron_sdm630"].max_registers == 80


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param("[meter.acme", "own.toml", id="no TOML"),
        pytest.param("[charger.acme]", r"\[meter\.KEY\] or \[relay_module\.KEY\] expected", id="other kind"),
        pytest.param(METER + "volts = 3", "meter.acme.volts is not known", id="unknown key"),
        pytest.param(METER.replace("fc = 4\n", ""), "'fc' is missing", id="missing key"),
        pytest.param(METER.replace('"float32"', '"float31"'), "'float31'", id="unknown type"),
        pytest.param(METER.replace('"W"', '"MW"'), "'MW'", id="unknown unit"),
        pytest.param(METER.replace("p_tot", "f"), "tells no power", id="no power"),
        pytest.param(METER.replace('[52, "float32", 1, "W"]', "52"), "not as described", id="no point"),
        pytest.param('[meter.a]\nlike = "b"\nname = "A"', "'b' is missing or not known", id="like nothing"),
        pytest.param('[meter.a]\nlike = "a"\nname = "A"', "not as described", id="like itself"),
        pytest.param(METER.replace('"big"', '"middle"'), "big or little expected", id="word order"),
        pytest.param(
            '[relay_module.a]\nlike = "wellpro_wp8024adam"\nfailsafe = "hope"', "pulse or", id="fail-safe"
        ),
        pytest.param("[relay_module]\nacme = 4", "a table expected", id="no table"),
    ],
)
def test_a_wrong_file_is_refused_with_its_name_and_key(folder, text, why):
    with pytest.raises(DeviceFileError, match=why) as fault:
        put(folder, text)
    assert "own.toml" in str(fault.value)
    assert "eastron_sdm630" in meter_models(), "what was known before still is"
