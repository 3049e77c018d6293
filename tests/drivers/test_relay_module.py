"""Relay modules over a real socket: simulated devices, and the frames of the manuals byte for byte."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta

import pytest

from drivers.catalogue import open_relay_module, relay_models
from drivers.device import DeviceConfigError, DeviceUnreachable, ReadbackMismatch
from drivers.modbus import ModbusMeter, ModbusRelayModule
from simulation.modbus_devices import SimulatedMeter, SimulatedRelayModule

EVERY_MODEL_AND_FRAMING = [
    (m, f) for m, model in sorted(relay_models().items()) for f in model.wiring.framings
]


async def open_simulated(bench, simulated, framing=None, **times):
    framing = framing or simulated.model.wiring.framings[0]
    converter = await bench.converter(framing, {1: simulated})
    module = open_relay_module(
        bench.buses,
        id="io1",
        driver="modbus",
        model=simulated.model.key,
        host=converter.host,
        port=converter.port,
        framing=framing,
        **times,
    )
    return module, converter


@pytest.mark.parametrize(("model", "framing"), EVERY_MODEL_AND_FRAMING)
async def test_every_module_switches_and_reads_back(bench, model, framing):
    moves = []
    simulated = SimulatedRelayModule(model, bench.clock.now, lambda *move: moves.append(move))
    module, _ = await open_simulated(bench, simulated, framing)
    last = simulated.model.relays
    assert await module.read_all() == (False,) * last
    await module.relay(last).switch(True)
    await module.switch(1, True)
    await module.switch(last, False)
    assert moves == [(last, True), (1, True), (last, False)]
    assert await module.read_all() == simulated.coils == (True,) + (False,) * (last - 1)
    assert await module.relay(1).read()
    assert module.relay(1).id == "io1/1"
    assert module.failsafe == simulated.model.failsafe


@pytest.mark.parametrize("model", sorted(m for m, model in relay_models().items() if model.inputs))
async def test_every_module_with_inputs_reads_the_load_shedding_contact(bench, model):
    simulated = SimulatedRelayModule(model, bench.clock.now)
    module, _ = await open_simulated(bench, simulated)
    contact = module.input(2)
    assert not await contact.read()
    simulated.set_input(2, True)
    assert await contact.read()
    assert (await module.read_inputs())[:3] == (False, True, False)
    assert await module.read_all() == (False,) * simulated.model.relays


async def test_a_welded_contact_is_noticed(bench):
    simulated = SimulatedRelayModule("wellpro_wp8024adam", bench.clock.now)
    module, _ = await open_simulated(bench, simulated)
    await module.switch(3, True)
    simulated.stuck.add(3)
    with pytest.raises(ReadbackMismatch, match="relay 3 was switched off but reads on"):
        await module.switch(3, False)
    await module.switch(4, True)
    assert simulated.coils == (False, False, True, True)


async def test_a_slow_contact_gets_a_moment_to_follow(bench, wire):
    read_backs = iter(["01 01 01 00 51 88", "01 01 01 01 90 48"])
    port, frames = await wire(lambda frame: frame if frame[1] == 5 else bytes.fromhex(next(read_backs)))
    module = open_relay_module(
        bench.buses, id="io1", driver="modbus", model="wellpro_wp8024adam", host="127.0.0.1", port=port
    )
    await module.switch(1, True)
    assert [frame[1] for frame in frames] == [5, 1, 1]


async def test_a_module_without_supply_is_unreachable_and_returns(bench):
    simulated = SimulatedRelayModule("moxa_iologik_e1214", bench.clock.now)
    converter = await bench.converter("tcp", {1: simulated})
    bus = bench.bus(converter.host, converter.port, "tcp")
    module = ModbusRelayModule(bus, 1, simulated.model, "io1")
    simulated.unreachable = True
    with pytest.raises(DeviceUnreachable):
        await module.switch(1, True)
    simulated.unreachable = False
    await module.switch(1, True)
    assert simulated.coils[0]


async def test_meter_and_relays_share_one_converter(bench):
    meter, relays = (
        SimulatedMeter("eastron_sdm630"),
        SimulatedRelayModule("wellpro_wp8024adam", bench.clock.now),
    )
    meter.set(power_w=-1200)
    converter = await bench.converter("rtu_over_tcp", {1: relays, 2: meter})
    bus = bench.buses.bus(converter.host, converter.port, "rtu_over_tcp")
    module = ModbusRelayModule(bus, 1, relays.model, "io1")
    await module.switch(2, True)
    assert (await ModbusMeter(bus, 2, meter.model, "grid").read()).power_w == -1200
    assert await module.read_all() == (False, True, False, False)
    assert bus.connections == 1


async def test_the_wellpro_speaks_the_frames_of_its_manual(bench, wire):
    manual = {
        "01 05 00 00 FF 00 8C 3A": "01 05 00 00 FF 00 8C 3A",
        "01 01 00 00 00 04 3D C9": "01 01 01 03 11 89",
        "01 02 00 00 00 08 79 CC": "01 02 01 C2 20 19",
    }
    port, frames = await wire(lambda frame: bytes.fromhex(manual[frame.hex(" ").upper()]))
    module = open_relay_module(
        bench.buses, id="io1", driver="modbus", model="wellpro_wp8024adam", host="127.0.0.1", port=port
    )
    await module.switch(1, True)
    assert await module.read_all() == (True, True, False, False)
    active = await module.read_inputs()
    assert [n for n, on in enumerate(active, 1) if on] == [2, 7, 8]
    assert [f.hex(" ").upper() for f in frames[:2]] == list(manual)[:2]
    assert frames[-1] == bytes.fromhex("01 02 00 00 00 08 79 CC")


async def test_our_simulated_wellpro_answers_the_frames_of_its_manual(bench):
    """Behind its RS485 converter, whoever asks: also FC0F, which our driver does not use."""
    simulated = SimulatedRelayModule("wellpro_wp8024adam", bench.clock.now)
    for number in (2, 7, 8):
        simulated.set_input(number, True)
    converter = await bench.converter("rtu_over_tcp", {1: simulated})
    reader, writer = await asyncio.open_connection(converter.host, converter.port)
    for asked, answered in {
        "01 05 00 00 FF 00 8C 3A": "01 05 00 00 FF 00 8C 3A",
        "01 0F 00 00 00 04 01 03 7E 97": "01 0F 00 00 00 04 54 08",
        "01 01 00 00 00 04 3D C9": "01 01 01 03 11 89",
        "01 02 00 00 00 08 79 CC": "01 02 01 C2 20 19",
    }.items():
        writer.write(bytes.fromhex(asked))
        expected = bytes.fromhex(answered)
        assert await asyncio.wait_for(reader.readexactly(len(expected)), 5) == expected
    writer.close()
    assert simulated.coils == (True, True, False, False)


async def test_a_waveshare_pulse_is_the_frame_of_its_wiki(bench, wire):
    answers = {"05": lambda frame: frame, "01": lambda frame: bytes.fromhex("01 01 01 01 90 48")}
    port, frames = await wire(lambda frame: answers[f"{frame[1]:02x}"](frame))
    module = open_relay_module(
        bench.buses,
        id="io1",
        driver="modbus",
        model="waveshare_modbus_relay",
        host="127.0.0.1",
        port=port,
        pulse_s=0.7,
    )
    await module.switch(1, True)
    await module.switch(1, True)
    pulse = bytes.fromhex("01 05 02 00 00 07 8D B0")
    assert [f for f in frames if f[1] == 5] == [pulse, pulse]


@pytest.mark.parametrize("framing", ["tcp", "rtu_over_tcp"])
async def test_a_pulse_ends_by_itself_unless_repeated(bench, framing):
    moves = []
    simulated = SimulatedRelayModule(
        "waveshare_modbus_relay", bench.clock.now, lambda *move: moves.append(move)
    )
    module, _ = await open_simulated(bench, simulated, framing, pulse_s=150)
    await module.switch(2, True)
    bench.clock.time += timedelta(seconds=100)
    await module.switch(2, True)
    bench.clock.time += timedelta(seconds=100)
    assert (await module.read_all())[1]
    bench.clock.time += timedelta(seconds=60)
    assert not (await module.read_all())[1]
    await module.switch(2, True)
    await module.switch(2, False)
    assert moves == [(2, True), (2, False)] * 2


@pytest.mark.parametrize("model", ["wago_750", "wirenboard_wbmr6"])
async def test_relays_with_a_watchdog_open_when_the_master_is_silent(bench, model):
    simulated = SimulatedRelayModule(model, bench.clock.now)
    module, _ = await open_simulated(bench, simulated, "tcp", watchdog_s=30)
    await module.switch(1, True)
    bench.clock.time += timedelta(seconds=29)
    assert (await module.read_all())[0]
    bench.clock.time += timedelta(seconds=31)
    assert simulated.coils == (False,) * simulated.model.relays


async def test_the_watchdog_is_set_again_after_the_module_restarted(bench):
    simulated = SimulatedRelayModule("wirenboard_wbmr6", bench.clock.now)
    converter = await bench.converter("tcp", {1: simulated})
    bus = bench.bus(converter.host, converter.port, "tcp")
    module = ModbusRelayModule(bus, 1, simulated.model, "io1", watchdog_s=30)
    await module.read_all()
    await converter.stop()
    converter.units[1] = restarted = SimulatedRelayModule("wirenboard_wbmr6", bench.clock.now)
    await converter.start()
    with suppress(DeviceUnreachable):  # if the loss shows only now
        await module.read_all()
    await bench.clock.sleep(1)
    await module.switch(1, True)
    assert restarted.coils[0]
    bench.clock.time += timedelta(seconds=31)
    assert not restarted.coils[0]


@pytest.mark.parametrize(
    ("model", "times", "field"),
    [
        pytest.param("wellpro_wp8024adam", {"pulse_s": 60}, "pulse_s", id="no pulse"),
        pytest.param("wellpro_wp8024adam", {"watchdog_s": 60}, "watchdog_s", id="no watchdog"),
        pytest.param("waveshare_modbus_relay", {"pulse_s": 3300}, "pulse_s", id="pulse too long"),
        pytest.param("wirenboard_wbmr6", {"watchdog_s": 0}, "watchdog_s", id="watchdog that never acts"),
    ],
)
def test_times_the_device_cannot_keep_are_refused(bench, model, times, field):
    with pytest.raises(DeviceConfigError) as fault:
        open_relay_module(bench.buses, id="io1", driver="modbus", model=model, host="127.0.0.1", **times)
    assert fault.value.field == field


@pytest.mark.parametrize("number", [0, 5])
async def test_a_relay_the_module_does_not_have_is_refused(bench, number):
    module = open_relay_module(
        bench.buses, id="io1", driver="modbus", model="wellpro_wp8024adam", host="127.0.0.1"
    )
    with pytest.raises(DeviceConfigError, match=r"relay: . given, a number from 1 to 4 expected"):
        module.relay(number)
    with pytest.raises(DeviceConfigError, match="a number from 1 to 8 expected"):
        module.input(9)
