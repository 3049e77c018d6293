"""P1 and M-Bus behind adapters, over real TCP."""

from __future__ import annotations

import asyncio
import importlib.util
from datetime import timedelta

import pytest

from drivers.catalogue import Buses, check_config, open_meter
from drivers.device import DeviceConfigError, DeviceUnreachable, ImplausibleReading
from drivers.mbus import MbusLine, MbusMeter
from drivers.p1 import P1Meter
from simulation.serial_adapters import SimulatedMbus, SimulatedP1, mbus_records, telegram


@pytest.fixture
async def p1(bench):
    adapter = SimulatedP1()
    await adapter.start()
    bench._stack.push_async_callback(adapter.stop)
    bench.buses = Buses(bench.clock.now, asyncio.sleep)
    bench._stack.push_async_callback(bench.buses.stop)
    return adapter


def open_p1(bench, adapter, model=""):
    return open_meter(bench.buses, id="grid", driver="p1", model=model, host="127.0.0.1", port=adapter.port)


async def told(meter, adapter, data):
    meter.inner._told.clear()
    adapter.tell(data)
    await asyncio.wait_for(meter.inner._told.wait(), 10)


async def test_a_smart_meter_tells_by_its_p1_port(bench, p1):
    p1.last = telegram((-2300, 460, 1150), import_wh=12_000, export_wh=7000)
    reading = await open_p1(bench, p1).read()
    assert reading.power_w == -690
    assert reading.phase_power_w == (-2300, 460, 1150)
    assert reading.current_a == (-10, 2, 5)
    assert reading.voltage_v == (230, 230, 230)
    assert (reading.import_wh, reading.export_wh) == (12_000, 7000)


async def test_a_garbled_telegram_is_refused_and_the_next_one_believed(bench, p1):
    p1.last = telegram((100, 0, 0))
    meter = open_p1(bench, p1)
    await meter.read()
    await told(meter, p1, telegram((900, 0, 0)).replace(b"00.900", b"07.900"))
    with pytest.raises(ImplausibleReading, match="telegram not readable"):
        await meter.read()
    await told(meter, p1, telegram((300, 0, 0)))
    assert (await meter.read()).power_w == 300
    bench.clock.time += timedelta(seconds=31)
    with pytest.raises(DeviceUnreachable, match="no telegram"):
        await meter.read()


async def test_an_adapter_without_supply_is_a_problem_at_once(bench, p1):
    p1.last = telegram((100, 0, 0))
    meter = P1Meter(open_p1(bench, p1).inner._access, "", "m", bench.clock.now, asyncio.sleep)
    bench._stack.push_async_callback(meter.stop)
    await meter.read()
    meter._told.clear()
    await p1.stop()
    await asyncio.wait_for(meter._told.wait(), 10)
    with pytest.raises(DeviceUnreachable, match="the connection broke off"):
        await meter.read()


async def test_mbus_meters_are_told_apart_by_their_primary_address(bench):
    adapter = SimulatedMbus({5: mbus_records(-1500, 12_345, 678), 6: mbus_records(40, 1, 2)})
    await adapter.start()
    bench._stack.push_async_callback(adapter.stop)
    at = {"driver": "mbus", "host": "127.0.0.1", "port": adapter.port}
    meter = open_meter(bench.buses, id="flat", unit=5, **at)
    reading = await meter.read()
    assert (reading.power_w, reading.import_wh, reading.export_wh) == (-1500, 12_345, 678)
    assert (await open_meter(bench.buses, id="shop", unit=6, **at).read()).power_w == 40
    bench.clock.time += timedelta(seconds=20)
    assert await meter.read() == reading, "the slow line is not asked again so soon"
    assert adapter.asked == 2
    bench.clock.time += timedelta(seconds=20)
    await meter.read()
    assert adapter.asked == 3


async def test_a_wrong_primary_address_is_silent(bench):
    adapter = SimulatedMbus({5: mbus_records(0, 0, 0)})
    await adapter.start()
    bench._stack.push_async_callback(adapter.stop)
    access = open_meter(bench.buses, id="m", driver="p1", host="127.0.0.1", port=adapter.port).inner._access
    with pytest.raises(DeviceUnreachable, match=r"unit 9: no answer\. Check its primary address"):
        await MbusMeter(MbusLine(access, bench.clock.now, timeout_s=0.1), 9, "m").read()
    adapter.units[5] = bytes.fromhex("04ff")
    with pytest.raises(ImplausibleReading, match="unit 5"):
        await MbusMeter(MbusLine(access, bench.clock.now), 5, "m").read()


@pytest.mark.parametrize("driver", ["p1", "mbus"])
def test_a_missing_library_is_told_by_the_name_of_its_extra(monkeypatch, driver):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DeviceConfigError, match=rf"pip install 'helianthus\[{driver}\]'"):
        check_config(kind="meter", driver=driver)


def test_an_unknown_specification_is_refused():
    with pytest.raises(DeviceConfigError, match='"5B"'):
        check_config(kind="meter", driver="p1", model="6")
