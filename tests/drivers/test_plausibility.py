"""What a meter tells is believed only where it can be true; the reading before stays until it is stale."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.catalogue import open_meter
from drivers.device import DeviceUnreachable, ImplausibleReading, MeterReading
from drivers.plausibility import Plausibility
from drivers.polling import MeterPoller
from simulation.modbus_devices import SimulatedMeter

START = datetime(2026, 6, 21, 10, 0, tzinfo=UTC)
FUSE_W = 3 * 40 * 230.0


def told(after_s=0.0, power_w=1000.0, volt_v=230.0, import_wh=50_000.0, export_wh=9000.0):
    return MeterReading(
        power_w,
        START + timedelta(seconds=after_s),
        voltage_v=None if volt_v is None else (volt_v, 231.0, 229.0),
        import_wh=import_wh,
        export_wh=export_wh,
    )


@pytest.mark.parametrize(
    ("readings", "why"),
    [
        pytest.param([told(power_w=float("nan"))], "power_w is nan", id="NaN"),
        pytest.param([told(), told(5, import_wh=float("inf"))], "import_wh is inf", id="infinity"),
        pytest.param([told(power_w=99_000)], r"99\.0 kW, more than 83 kW cannot flow", id="beyond the fuse"),
        pytest.param([told(power_w=-99_000)], "cannot flow here", id="beyond the fuse, delivered"),
        pytest.param([told(), told(5, import_wh=12.0)], r"drawn fell from 50\.00 to 0\.01 kWh", id="falls"),
        pytest.param([told(), told(5, export_wh=99_000.0)], "delivered jumped from 9.00", id="jumps"),
        pytest.param([told(), told(5, volt_v=24.0)], "voltage of L1 reads 24 V", id="voltage of no phase"),
        pytest.param(
            [told(60 * m) for m in range(12)], "frozen: exactly the same values for 11", id="frozen"
        ),
    ],
)
def test_the_last_of_these_is_refused(readings, why):
    check = Plausibility(3 * FUSE_W)
    for reading in readings[:-1]:
        check.check(reading)
    with pytest.raises(ImplausibleReading, match=why):
        check.check(readings[-1])


@pytest.mark.parametrize(
    "readings",
    [
        pytest.param([told(60 * m, power_w=0.0) for m in range(600)], id="PV at night: 0 W for ten hours"),
        pytest.param([told(60 * m, power_w=-3.0) for m in range(600)], id="an inverter's standby"),
        pytest.param([told(60 * m, volt_v=230 + m % 2 / 10) for m in range(60)], id="a steady load"),
        pytest.param(
            [told(60 * m, volt_v=None, import_wh=None, export_wh=None) for m in range(60)],
            id="nothing but a power, nobody can tell",
        ),
        pytest.param([told(), told(5, import_wh=49_995.0)], id="rounding of a difference"),
        pytest.param([told(), told(36_000, import_wh=250_000.0)], id="ten hours without an answer"),
        pytest.param([told(), told(5, import_wh=None), told(10)], id="energies that are told now and then"),
    ],
)
def test_these_are_all_believed(readings):
    check = Plausibility(3 * FUSE_W)
    for reading in readings:
        check.check(reading)


def test_an_exchanged_meter_is_believed_at_its_third_word():
    check = Plausibility(FUSE_W)
    check.check(told())
    for after_s in (5, 10):
        with pytest.raises(ImplausibleReading, match="fell"):
            check.check(told(after_s, import_wh=3.0))
    check.check(told(15, import_wh=3.0))
    check.check(told(20, import_wh=4.0))


@given(st.lists(st.floats(-27_000, 27_000), min_size=1, max_size=30))
def test_any_power_that_can_flow_is_believed(powers):
    check = Plausibility(FUSE_W)
    for n, power_w in enumerate(powers):
        check.check(replace(told(5 * n, power_w), phase_power_w=(power_w, 0.0, 0.0)))


async def test_a_frozen_meter_is_a_problem_and_its_last_living_word_goes_stale(bench):
    """Its gateway answers on from its memory; nobody must believe the morning's surplus all day."""
    simulated = SimulatedMeter("eastron_sdm630")
    simulated.set(power_w=-3000)
    converter = await bench.converter("tcp", {1: simulated})
    meter = open_meter(
        bench.buses, id="grid", driver="modbus", model="eastron_sdm630", host="127.0.0.1", port=converter.port
    )
    poller = MeterPoller(meter, 60, bench.clock.now, bench.clock.sleep)
    for _ in range(20):
        await poller.poll()
        await bench.clock.sleep(60)
    assert poller.problem is None
    simulated.frozen = True
    for _ in range(16):
        await poller.poll()
        await bench.clock.sleep(60)
    assert "frozen: exactly the same values" in poller.problem
    assert "readings refused so far" in poller.problem
    assert poller.latest.age_s(bench.clock.now()) > 180
    simulated.frozen = False
    simulated.set(power_w=-2900)
    await poller.poll()
    assert (poller.problem, poller.latest.power_w) == (None, -2900)


@pytest.mark.parametrize(
    ("model", "value", "warning"),
    [
        ("cg_em300", 0, "measurement mode A"),
        ("cg_em500", 0, "measurement mode A"),
        ("cg_em24_rs485", 0, "not set to application H"),
        ("cg_em24_ethernet", 3, "not set to application H"),
    ],
)
async def test_a_setting_that_hides_the_export_is_told(bench, model, value, warning):
    simulated = SimulatedMeter(model)
    simulated.set_setting(value)
    converter = await bench.converter("tcp", {1: simulated})
    meter = open_meter(
        bench.buses, id="grid", driver="modbus", model=model, host="127.0.0.1", port=converter.port
    )
    await meter.read()
    assert warning in meter.warning
    await converter.stop()  # the installer was at the meter
    simulated.set_setting(simulated.model.setting.expected[0])
    await converter.start()
    with suppress(DeviceUnreachable):  # if the loss shows only now
        await meter.read()
    await bench.clock.sleep(1)
    await meter.read()
    assert meter.warning is None


async def test_a_schneider_that_counts_from_one_is_found_out(bench):
    simulated = SimulatedMeter("schneider_iem3000")
    simulated.set(power_w=-4200, import_wh=5000)
    simulated.count_from_one()
    converter = await bench.converter("tcp", {1: simulated})
    meter = open_meter(
        bench.buses, id="g", driver="modbus", model="schneider_iem3000", host="127.0.0.1", port=converter.port
    )
    reading = await meter.read()
    assert (reading.power_w, reading.import_wh) == (pytest.approx(-4200), 5000)
