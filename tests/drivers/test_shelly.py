"""Shellys of every generation over real HTTP, and what goes wrong with them in the field."""

from __future__ import annotations

from datetime import timedelta

import aiohttp
import pytest
from aioshelly.common import ConnectionOptions
from aioshelly.rpc_device import RpcDevice, WsServer

from drivers.catalogue import open_meter, open_relay_module
from drivers.device import (
    DeviceConfigError,
    DeviceRefused,
    DeviceUnreachable,
    ImplausibleReading,
    ReadbackMismatch,
)
from drivers.polling import MeterPoller
from drivers.shelly_status import plain_reading, rpc_reading
from simulation.shelly_devices import ShellyServer, SimulatedShelly

RPC_RELAYS, PLAIN_RELAYS = "pro_4pm", "1pm"


@pytest.fixture
async def plug_in(bench):
    """Power a simulated Shelly; returns it and what the site file says of its address."""

    async def power(model, password=None):
        shelly = SimulatedShelly(model, bench.clock.now, password)
        server = ShellyServer("127.0.0.1", 0, shelly)
        await server.start()
        bench._stack.push_async_callback(server.stop)
        return shelly, {"driver": "shelly", "host": "127.0.0.1", "port": server.port}

    return power


@pytest.mark.parametrize(
    ("model", "unit", "phase_power_w"),
    [
        pytest.param("pro_3em", None, (-2300.0, 460.0, 1150.0), id="Pro 3EM, three phases"),
        pytest.param("3em", None, (-2300.0, 460.0, 1150.0), id="3EM of generation 1"),
        pytest.param("pro_em", 1, (0.0, 1150.0, 0.0), id="second clamp of a Pro EM"),
        pytest.param("em", 0, (-460.0, 0.0, 0.0), id="first clamp of an EM"),
        pytest.param("plug_gen3", None, (-600.0, 0.0, 0.0), id="balcony PV on a plug"),
        pytest.param("1pm", None, (1800.0, 0.0, 0.0), id="1PM"),
    ],
)
async def test_every_meter_reads_what_it_measures(bench, plug_in, model, unit, phase_power_w):
    shelly, address = await plug_in(model)
    shelly.set(phase_power_w=phase_power_w, voltage_v=(230, 230, 230), import_wh=9000, export_wh=600)
    reading = await open_meter(bench.buses, id="grid", unit=unit, **address).read()
    is_triple = unit is None and model in ("pro_3em", "3em")
    expected = phase_power_w if is_triple else (sum(phase_power_w), 0.0, 0.0)
    assert reading.phase_power_w == pytest.approx(expected)
    assert reading.power_w == pytest.approx(sum(expected))
    if model != "1pm":  # it tells power and energy only
        assert reading.current_a == pytest.approx(tuple(w / 230 for w in expected))
        assert reading.voltage_v == ((230, 230, 230) if is_triple else (230, 0, 0))
    assert reading.import_wh == pytest.approx({"em": 4500}.get(model, 9000))
    assert reading.export_wh == (None if model == "1pm" else pytest.approx({"em": 300}.get(model, 600)))
    assert reading.read_at == bench.clock.now()


async def test_a_clamp_on_the_wrong_phase_and_turned_is_put_right(bench, plug_in):
    shelly, address = await plug_in("pro_3em")
    shelly.set(phase_power_w=(100, 200, -50), import_wh=10, export_wh=20)
    wired = {"invert": True, "phases": ["L2", "L3", "L1"]}
    reading = await open_meter(bench.buses, id="grid", **wired, **address).read()
    assert reading.phase_power_w == (50, -100, -200)
    assert (reading.power_w, reading.import_wh, reading.export_wh) == (-250, 20, 10)


async def test_which_of_several_clamps_is_meant_must_be_said(bench, plug_in):
    _, address = await plug_in("em")
    with pytest.raises(DeviceConfigError, match=r"unit: None given, which of its channels is meant \(0, 1\)"):
        await open_meter(bench.buses, id="pv", **address).read()
    with pytest.raises(DeviceConfigError, match="unit: 2 given"):
        await open_meter(bench.buses, id="pv", unit=2, **address).read()


@pytest.mark.parametrize("model", [RPC_RELAYS, PLAIN_RELAYS])
async def test_a_relay_opens_by_itself_unless_it_is_told_again(bench, plug_in, model):
    """The controller repeats ON each minute; when it dies, the heater is off three minutes later."""
    shelly, address = await plug_in(model)
    module = open_relay_module(bench.buses, id="io1", pulse_s=180, **address)
    assert module.failsafe == "pulse"
    assert module.needs_rearming
    await module.switch(1, True)
    for _ in range(5):
        bench.clock.time += timedelta(seconds=60)
        assert (await module.read_all())[0]
        await module.switch(1, True)
    bench.clock.time += timedelta(seconds=181)
    assert not (await module.read_all())[0]
    await module.switch(1, True)
    await module.switch(1, False)
    assert not shelly.coils[0]
    bench.clock.time += timedelta(seconds=181)
    assert not shelly.coils[0], "a timer that was running must not switch it on again"


async def test_every_relay_and_input_is_told_apart(bench, plug_in):
    shelly, address = await plug_in("pro_4pm")
    module = open_relay_module(bench.buses, id="io1", **address)
    await module.switch(3, True)
    assert await module.read_all() == shelly.coils == (False, False, True, False)
    shelly.set_input(2, True)
    assert await module.read_inputs() == (False, True, False, False)
    with pytest.raises(DeviceRefused, match="HTTP 404"):
        await module.switch(5, True)
    with pytest.raises(DeviceConfigError, match="relay: 9 given"):
        await module.switch(9, True)


async def test_an_old_firmware_without_timers_is_not_trusted(bench, plug_in):
    shelly, address = await plug_in("pro_4pm")
    shelly.ignores_timers = True
    module = open_relay_module(bench.buses, id="io1", pulse_s=180, **address)
    with pytest.raises(ReadbackMismatch, match="took no time after which it opens"):
        await module.switch(1, True)
    await module.switch(1, False)


async def test_a_welded_contact_is_noticed(bench, plug_in):
    shelly, address = await plug_in("1pm")
    module = open_relay_module(bench.buses, id="io1", **address)
    await module.switch(1, True)
    shelly.stuck.add(1)
    with pytest.raises(ReadbackMismatch, match="relay 1 was switched off but reads on"):
        await module.switch(1, False)


@pytest.mark.parametrize("model", ["pro_4pm", "1pm"])
async def test_with_a_password_only_who_knows_it_is_let_in(bench, plug_in, monkeypatch, model):
    shelly, address = await plug_in(model, password="sunny side")
    monkeypatch.setenv("DEVICE_SHELLY", "sunny side")
    monkeypatch.setenv("DEVICE_WRONG", "cloudy side")
    module = open_relay_module(bench.buses, id="io1", password="env:DEVICE_SHELLY", **address)
    await module.switch(1, True)
    shelly.restart()
    assert not (await module.read_all())[0], "its old login challenge is void, a new one is answered"
    for password in (None, "env:DEVICE_WRONG"):
        stranger = open_relay_module(bench.buses, id="io1", password=password, **address)
        with pytest.raises(DeviceRefused, match=r"login refused\. Check the password"):
            await stranger.switch(1, True)
    forgotten = open_relay_module(bench.buses, id="io1", password="env:DEVICE_UNSET", **address)
    with pytest.raises(DeviceConfigError, match="a variable DEVICE_UNSET in the server's environment"):
        await forgotten.read_all()
    assert not shelly.coils[0]


async def test_a_busy_moment_is_waited_out_and_a_busy_hour_reported(bench, plug_in):
    shelly, address = await plug_in("pro_3em")
    meter = open_meter(bench.buses, id="grid", **address)
    shelly.busy = 1
    assert (await meter.read()).power_w == 0
    shelly.busy = 10
    with pytest.raises(DeviceRefused, match="busy"):
        await meter.read()


async def test_a_shelly_that_restarts_is_a_problem_until_it_is_back(bench, plug_in):
    shelly, address = await plug_in("pro_3em")
    shelly.set(power_w=300)
    meter = open_meter(bench.buses, id="grid", **address)
    poller = MeterPoller(meter, 5, bench.clock.now, bench.clock.sleep)
    await poller.poll()
    shelly.unreachable = True
    await poller.poll()
    assert "no connection. Check its address, its supply" in poller.problem
    assert poller.latest.power_w == 300
    shelly.unreachable = False
    shelly.half_json = True
    await poller.poll()
    assert "not JSON" in poller.problem
    shelly.half_json = False
    await poller.poll()
    assert poller.problem is None


async def test_a_silent_address_is_unreachable(bench):
    with pytest.raises(DeviceUnreachable, match=r"Shelly 127\.0\.0\.1: no connection"):
        await open_meter(bench.buses, id="m", driver="shelly", host="127.0.0.1", port=9).read()


@pytest.mark.parametrize(
    ("status", "why"),
    [
        ({"em:0": {"total_act_power": None}}, "tells no power"),
        ({"em:0": {"total_act_power": "12"}}, "a number expected"),
        ({"em:0": {"total_act_power": 1.0, "errors": ["power_meter_failure"]}}, "power_meter_failure"),
        ({"em:0": {"total_act_power": float("nan")}}, "a number expected"),
    ],
)
def test_what_cannot_be_true_is_refused(clock, status, why):
    with pytest.raises(ImplausibleReading, match=why):
        rpc_reading(status, None, clock.now())


def test_a_generation_1_meter_that_says_it_is_not_valid_is_refused(clock):
    parts = [{"power": 3.0, "voltage": 230.0, "is_valid": n != 1} for n in range(3)]
    with pytest.raises(ImplausibleReading, match="not valid"):
        plain_reading({"emeters": parts}, None, clock.now())


async def test_another_implementation_understands_the_simulated_shelly(bench, plug_in):
    """aioshelly, written for real devices, sees the relay that our driver switched."""
    shelly, address = await plug_in("pro_4pm")
    module = open_relay_module(bench.buses, id="io1", pulse_s=180, **address)
    await module.switch(2, True)
    options = ConnectionOptions(address["host"], port=address["port"])
    async with aiohttp.ClientSession() as session:
        peer = await RpcDevice.create(session, WsServer(), options)
        try:
            await peer.initialize()
            assert peer.status["switch:1"]["output"] is True
            assert peer.status["switch:1"]["timer_duration"] == 180
            await peer.call_rpc("Switch.Set", {"id": 0, "on": True, "toggle_after": 60})
        finally:
            await peer.shutdown()
    assert await module.read_all() == shelly.coils == (True, True, False, False)
