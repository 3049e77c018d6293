"""SunSpec devices over a real socket: found by themselves, read with their factors, checked by others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import sunspec2
from sunspec2.modbus.client import SunSpecModbusClientDeviceTCP

from drivers.catalogue import check_config, open_meter
from drivers.device import DeviceConfigError, DeviceRefused, ImplausibleReading
from drivers.sunspec_models import MODELS
from simulation.sunspec_devices import SimulatedSunSpec

NAMES = {
    "inverter": {"p_tot": "W", "i1": "AphA", "i3": "AphC", "v1": "PhVphA", "f": "Hz", "e_exp": "WH"},
    "meter": {"p_tot": "W", "p1": "WphA", "p3": "WphC", "i2": "AphB", "v1": "PhVphA", "v3": "PhVphC",
              "f": "Hz", "e_exp": "TotWhExp", "e_imp": "TotWhImp"},
    701: {"p_tot": "W", "p1": "WL1", "p2": "WL2", "p3": "WL3", "i1": "AL1", "v3": "VL3", "f": "Hz",
          "e_exp": "TotWhInj", "e_imp": "TotWhAbs"},
}  # fmt: skip


async def open_simulated(bench, device, model="", unit=1):
    converter = await bench.converter("tcp", {unit: device})
    return open_meter(
        bench.buses, id="m", driver="sunspec", model=model, host="127.0.0.1", port=converter.port, unit=unit
    )


def meter_image(number, **more):
    device = SimulatedSunSpec([number], **more)
    for key, value in {"p_tot": -2950, "p1": -1000, "p2": -1000, "p3": -950}.items():
        device.set(key, value, number)
    for phase in "123":
        device.set(f"v{phase}", 2301, number, factor=-1)
        device.set(f"i{phase}", 435, number, factor=-2)
    device.set("e_imp", 123, number, factor=2)
    device.set("e_exp", 456, number, factor=2)
    return device


@pytest.mark.parametrize("base", [40000, 0, 50000])
async def test_a_meter_is_found_wherever_its_chain_begins(bench, base):
    reading = await (await open_simulated(bench, meter_image(203, base=base), unit=200)).read()
    assert reading.power_w == -2950
    assert reading.phase_power_w == (-1000, -1000, -950)
    assert reading.current_a == pytest.approx((-4.35, -4.35, -4.35))
    assert reading.voltage_v == pytest.approx((230.1, 230.1, 230.1))
    assert (reading.import_wh, reading.export_wh) == (12_300, 45_600)


async def test_a_solaredge_meter_counts_the_other_way_round(bench):
    """The inverter comes first, its meter is a second device in the chain; energies keep their names."""
    device = SimulatedSunSpec([103, 1, 203], maker="SolarEdge ")
    device.set("p_tot", 3000, 103)
    device.set("p_tot", 2950, 203)
    device.set("e_imp", 7, 203)
    device.set("e_exp", 9, 203)
    meter = await (await open_simulated(bench, device)).read()
    assert (meter.power_w, meter.import_wh, meter.export_wh) == (-2950, 7, 9)
    assert (await (await open_simulated(bench, device, "inverter")).read()).power_w == -3000


async def test_scale_factors_that_change_between_polls_never_spoil_a_reading(bench):
    device = meter_image(203)
    meter = await open_simulated(bench, device)
    for raw, factor in ((-295, 1), (-29500, -1), (-2950, 0)):
        for key in ("p1", "p2", "p3"):
            device.set(key, None, 203)
        device.set("p_tot", raw, 203, factor=factor)
        assert (await meter.read()).power_w == pytest.approx(-2950)
    device.set_factor("p_tot", 40, 203)
    with pytest.raises(ImplausibleReading, match="scale factor of 40, −10 to 10 expected"):
        await meter.read()
    device.set_factor("p_tot", 0, 203)
    assert (await meter.read()).power_w == -2950


async def test_an_inverter_asleep_delivers_nothing_and_a_meter_without_power_is_refused(bench):
    night = SimulatedSunSpec([103])
    reading = await (await open_simulated(bench, night)).read()
    assert (reading.power_w, reading.voltage_v, reading.export_wh) == (0, None, None)
    with pytest.raises(ImplausibleReading, match=r"SunSpec model 213.*tells no power"):
        await (await open_simulated(bench, SimulatedSunSpec([213]))).read()


async def test_the_sun_on_a_hybrid_is_that_of_its_strings(bench):
    device = SimulatedSunSpec([103, 160])
    device.set("p_tot", 800, 103)  # 4 kW of sun, of which 3.2 kW go into the battery
    device.set_strings([2500, 1500])
    assert (await (await open_simulated(bench, device, "dc")).read()).power_w == -4000


async def test_a_firmware_update_that_moves_the_models_is_noticed(bench):
    device = meter_image(203)
    meter = await open_simulated(bench, device)
    await meter.read()
    device.build([1, 160, 203])
    device.set("p_tot", 77, 203)
    with pytest.raises(ImplausibleReading, match="have moved"):
        await meter.read()
    assert (await meter.read()).power_w == 77


async def test_the_wrong_unit_or_a_device_without_sunspec_is_told_so(bench):
    with pytest.raises(DeviceRefused, match=r"speaks no SunSpec.*Fronius' meter has 200 or 240"):
        await (await open_simulated(bench, SimulatedSunSpec([203], base=30000))).read()
    with pytest.raises(
        DeviceConfigError, match=r"one that 127\.0\.0\.1:\d+ unit 1 has \(SunSpec models 1, 103\)"
    ):
        await (await open_simulated(bench, SimulatedSunSpec([103]), "meter")).read()


@pytest.mark.parametrize("model", ["203", "meter:2", "inverter", "dc", "701", ""])
def test_what_may_stand_in_the_site_file(model):
    check_config(kind="meter", driver="sunspec", model=model)


@pytest.mark.parametrize("model", ["999", "eastron_sdm630", "meter:0", "203:"])
def test_what_may_not_stand_in_the_site_file(model):
    with pytest.raises(DeviceConfigError, match='nothing, "meter", "inverter", "dc" or one of 101'):
        check_config(kind="meter", driver="sunspec", model=model)


@pytest.mark.parametrize("number", sorted(n for n in MODELS if n != 160))
def test_every_offset_is_that_of_the_published_model(number):
    """pysunspec2 carries the alliance's own definitions."""
    published = json.loads(
        (Path(sunspec2.__file__).parent / "models" / "json" / f"model_{number}.json").read_text()
    )["group"]["points"]
    offsets, at = {}, 0
    for point in published:
        offsets[point["name"]], at = (at, point["type"], point.get("sf")), at + point["size"]
    model = MODELS[number]
    for key, name in NAMES.get(number, NAMES[model.kind]).items():
        offset, type_, factor = offsets[name]
        ours = model.points[key]
        assert (ours.offset, ours.type) == (offset, type_), name
        assert ours.factor_at == (offsets[factor][0] if factor else None), name


async def test_another_implementation_reads_the_simulated_device_alike(bench):
    """pysunspec2 finds the same models and the same values, scale factors applied."""
    import asyncio

    device = meter_image(203)
    converter = await bench.converter("tcp", {1: device})

    def read_it():
        peer = SunSpecModbusClientDeviceTCP(slave_id=1, ipaddr="127.0.0.1", ipport=converter.port, timeout=5)
        try:
            peer.scan()
            points = peer.models[203][0]
            return {
                name: getattr(points, name).cvalue for name in ("W", "WphC", "AphA", "PhVphA", "TotWhExp")
            }
        finally:
            peer.close()

    told = await asyncio.to_thread(read_it)
    assert told == pytest.approx(
        {"W": -2950, "WphC": -950, "AphA": 4.35, "PhVphA": 230.1, "TotWhExp": 45_600}
    )
