"""Meters over a real socket, against simulated devices."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from drivers.catalogue import meter_models, open_meter
from drivers.device import DeviceRefused, DeviceUnreachable, ImplausibleReading
from drivers.modbus import ModbusMeter
from drivers.modbus_bus import ModbusBus
from drivers.registers import plan
from simulation.modbus_devices import SimulatedMeter

EVERY_MODEL_AND_FRAMING = [
    (m, f) for m, model in sorted(meter_models().items()) for f in model.wiring.framings
]


async def open_simulated(bench, simulated, framing="tcp", invert=False):
    converter = await bench.converter(framing, {1: simulated})
    return open_meter(
        bench.buses,
        id="grid",
        driver="modbus",
        model=simulated.model.key,
        host=converter.host,
        port=converter.port,
        unit=1,
        framing=framing,
        invert=invert,
    )


@pytest.mark.parametrize(("model", "framing"), EVERY_MODEL_AND_FRAMING)
async def test_every_meter_reads_what_it_measures(bench, model, framing):
    simulated = SimulatedMeter(model)
    phases = simulated.model.phases("p")
    phase_power_w = (-2300.0, 0.0, 0.0) if phases == 1 else (-2300.0, 460.0, 1150.0)
    simulated.set(phase_power_w=phase_power_w, voltage_v=(230, 231, 229), import_wh=123_400, export_wh=67_900)
    meter = await open_simulated(bench, simulated, framing)
    reading = await meter.read()
    assert reading.power_w == pytest.approx(sum(phase_power_w), abs=0.1)
    known = {p.key for p in simulated.model.points}
    voltage_v = (230, 0, 0) if simulated.model.phases("v") == 1 else (230, 231, 229)
    assert reading.voltage_v == (pytest.approx(voltage_v) if "v1" in known else None)
    assert reading.phase_power_w == (pytest.approx(phase_power_w, abs=0.1) if phases else None)
    assert reading.import_wh == (pytest.approx(123_400) if "e_imp" in known else None)
    assert reading.export_wh == (pytest.approx(67_900) if "e_exp" in known else None)
    assert reading.frequency_hz == (pytest.approx(50) if "f" in known else None)
    if phases and "i1" in known:
        current_a = tuple(p / v for p, v in zip(phase_power_w, (230, 231, 229), strict=True))
        assert reading.current_a == pytest.approx(current_a, abs=0.1)


async def test_a_meter_wired_the_other_way_is_inverted(bench):
    simulated = SimulatedMeter("eastron_sdm630")
    simulated.set(phase_power_w=(-1000, -1000, 230), import_wh=100, export_wh=9000)
    reading = await (await open_simulated(bench, simulated, invert=True)).read()
    assert reading.power_w == pytest.approx(1770)
    assert reading.phase_power_w == pytest.approx((1000, 1000, -230))
    assert reading.current_a == pytest.approx((4.3478, 4.3478, -1), abs=0.001)
    assert (reading.import_wh, reading.export_wh) == (pytest.approx(9000), pytest.approx(100))


async def test_a_producing_inverter_is_negative_and_asleep_at_night(bench):
    simulated = SimulatedMeter("sma_inverter")
    simulated.set(power_w=-4200, export_wh=1_000_000)
    meter = await open_simulated(bench, simulated)
    assert await meter.inner.bus.read_registers(1, 3, 30775, 2) == [0, 4200], "counts generation as positive"
    reading = await meter.read()
    assert (reading.power_w, reading.export_wh) == (-4200, 1_000_000)
    simulated.set_register("p_tot", None)
    simulated.set_register("e_exp", None)
    reading = await meter.read()
    assert (reading.power_w, reading.export_wh) == (0, None)


async def test_a_variant_without_export_energy_still_reads(bench):
    simulated = SimulatedMeter("cg_em24_rs485")
    simulated.set(power_w=-900, import_wh=5000)
    simulated.refuse(2, range(0x5C, 0x5E))
    reading = await (await open_simulated(bench, simulated, "rtu_over_tcp")).read()
    assert (reading.power_w, reading.import_wh, reading.export_wh) == (-900, 5000, None)


async def test_a_refused_export_energy_beside_the_import_does_not_take_it_along(bench):
    simulated = SimulatedMeter("schneider_iem3000")
    simulated.set(power_w=690, import_wh=5000)
    simulated.refuse(2, range(0xC87, 0xC8B))
    meter = await open_simulated(bench, simulated)
    for _ in range(2):
        reading = await meter.read()
        assert (reading.import_wh, reading.export_wh) == (5000, None)
    simulated.refuse(None)
    bench.clock.time += timedelta(minutes=11)
    assert (await meter.read()).export_wh == 0


async def test_a_refused_power_is_told_with_address_and_exception(bench):
    simulated = SimulatedMeter("eastron_sdm630")
    simulated.refuse(2, range(0x34, 0x36))
    meter = await open_simulated(bench, simulated)
    with pytest.raises(
        DeviceRefused, match=r"unit 1: refused function 4 at address 52 .*illegal address"
    ) as fault:
        await meter.read()
    assert fault.value.code == 2


async def test_a_busy_meter_is_asked_for_everything_again(bench):
    simulated = SimulatedMeter("eastron_sdm630")
    simulated.set(import_wh=7000)
    simulated.refuse(6, range(0x46, 0x4C))
    meter = await open_simulated(bench, simulated)
    assert (await meter.read()).import_wh is None
    simulated.refuse(None)
    assert (await meter.read()).import_wh == 7000


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        pytest.param("p_tot", None, "tells no power", id="power is NaN"),
        pytest.param("v2", 24.0, "voltage of L2 reads 24 V", id="voltage of no phase"),
        pytest.param("p_tot", 5000.0, "5000 W in total, but 3000 W", id="phases do not add up"),
    ],
)
async def test_what_cannot_be_true_is_no_reading(bench, key, value, problem):
    simulated = SimulatedMeter("eastron_sdm630")
    simulated.set(power_w=3000)
    simulated.set_register(key, value)
    meter = await open_simulated(bench, simulated)
    with pytest.raises(ImplausibleReading, match=problem):
        await meter.read()


async def test_a_load_that_switches_between_two_requests_is_no_fault(bench):
    simulated = SimulatedMeter("eastron_sdm630")
    converter = await bench.converter("rtu_over_tcp", {1: simulated})

    async def heater_switches_in_the_pause(seconds):
        simulated.set(power_w=3000)
        await bench.clock.sleep(seconds)

    bus = ModbusBus(
        converter.host,
        converter.port,
        "rtu_over_tcp",
        now=bench.clock.now,
        sleep=heater_switches_in_the_pause,
    )
    reading = await ModbusMeter(bus, 1, simulated.model, "grid").read()
    await bus.stop()
    assert (reading.power_w, reading.phase_power_w) == (3000, (1000, 1000, 1000))


async def test_a_missing_phase_value_leaves_the_phases_out(bench):
    simulated = SimulatedMeter("abb_a_b")
    simulated.set(power_w=600)
    simulated.set_register("p2", None)
    simulated.set_register("v3", 0.0)
    reading = await (await open_simulated(bench, simulated)).read()
    assert (reading.power_w, reading.phase_power_w, reading.voltage_v) == (600, None, (230, 230, 0))


@pytest.mark.parametrize("framing", ["tcp", "rtu_over_tcp"])
async def test_a_silent_unit_does_not_take_its_neighbour_along(bench, framing):
    silent, working = SimulatedMeter("eastron_sdm630"), SimulatedMeter("abb_a_b")
    working.set(power_w=1500)
    silent.unreachable = True
    converter = await bench.converter(framing, {1: silent, 2: working})
    bus = bench.bus(converter.host, converter.port, framing)
    dead = ModbusMeter(bus, 1, silent.model, "dead")
    alive = ModbusMeter(bus, 2, working.model, "alive")
    for _ in range(4):
        fault, reading = await asyncio.gather(dead.read(), alive.read(), return_exceptions=True)
        assert isinstance(fault, DeviceUnreachable)
        assert reading.power_w == 1500
    with pytest.raises(
        DeviceUnreachable, match=f"{converter.port} unit 1: no answer within 0.5 s, 3 times in a row"
    ):
        await dead.read()
    silent.unreachable = False
    bench.clock.time += timedelta(seconds=6)
    assert (await dead.read()).power_w == 0


async def test_an_answer_of_another_unit_is_not_taken(bench, wire):
    from pymodbus.framer.rtu import FramerRTU

    def answer(frame):
        payload = bytes([2, frame[1], 2 * frame[5]]) + bytes(2 * frame[5])
        return payload + FramerRTU.compute_CRC(payload).to_bytes(2, "big")

    port, frames = await wire(answer)
    meter = ModbusMeter(
        bench.bus("127.0.0.1", port, "rtu_over_tcp"), 1, meter_models()["eastron_sdm72_v1"], "m"
    )
    with pytest.raises(DeviceUnreachable, match=r"unit 1: no answer within 0\.5 s\. Check its supply"):
        await meter.read()
    assert frames == [bytes.fromhex("01 04 00 34 00 02 30 05")]


async def test_a_shorter_answer_than_asked_is_not_taken(bench, wire):
    def answer(frame):
        return frame[:4] + bytes([0, 5, frame[6], 4, 2, 0, 0])

    port, _ = await wire(answer)
    meter = ModbusMeter(bench.bus("127.0.0.1", port, "tcp"), 1, meter_models()["eastron_sdm72_v1"], "m")
    with pytest.raises(DeviceUnreachable, match="no other program polls the same converter"):
        await meter.read()


async def test_a_gateway_without_answer_from_the_meter_counts_as_silence(bench):
    simulated = SimulatedMeter("abb_a_b")
    simulated.refuse(0x0B)
    meter = await open_simulated(bench, simulated)
    with pytest.raises(DeviceUnreachable, match="unit 1: no answer"):
        await meter.read()


async def test_nobody_at_the_address_is_told_and_not_hammered(bench):
    converter = await bench.converter("tcp", {1: SimulatedMeter("abb_a_b")})
    await converter.stop()
    bus = bench.bus("127.0.0.1", converter.port, "tcp")
    meter = ModbusMeter(bus, 1, meter_models()["abb_a_b"], "grid")
    with pytest.raises(
        DeviceUnreachable, match=f"127.0.0.1:{converter.port}: no connection. Check host and port"
    ):
        await meter.read()
    await converter.start()
    with pytest.raises(DeviceUnreachable):
        await meter.read()
    await bench.clock.sleep(1)
    assert (await meter.read()).power_w == 0
    assert bus.connections == 1


async def test_a_stopped_bus_answers_who_still_waits(bench, wire):
    asked = asyncio.Event()

    def swallow(frame):
        asked.set()
        return b""

    port, _ = await wire(swallow)
    bus = bench.bus("127.0.0.1", port, "tcp", timeout_s=60)
    model = meter_models()["abb_a_b"]
    reads = [asyncio.create_task(ModbusMeter(bus, 1, model, "m").read()) for _ in range(2)]
    await asyncio.wait_for(asked.wait(), 5)
    await bus.stop()
    faults = await asyncio.wait_for(asyncio.gather(*reads, return_exceptions=True), 5)
    assert [str(f) for f in faults] == [f"{bus}: stopped"] * 2


async def test_a_bus_that_is_stopped_as_an_answer_comes_in_stops(bench):
    converter = await bench.converter("tcp", {1: SimulatedMeter("abb_a_b")})
    for turns in range(12):  # of the event loop: in one of them the very answer arrives
        bus = bench.bus(converter.host, converter.port, "tcp")
        meter = ModbusMeter(bus, 1, meter_models()["abb_a_b"], "m")
        await meter.read()  # connected
        reading = asyncio.create_task(meter.read())
        for _ in range(turns):
            await asyncio.sleep(0)
        async with asyncio.timeout(5):
            await bus.stop()
            await asyncio.gather(reading, return_exceptions=True)


async def test_requests_to_one_line_keep_the_pause_of_its_slowest_meter(bench):
    converter = await bench.converter(
        "rtu_over_tcp", {1: SimulatedMeter("eastron_sdm630"), 2: SimulatedMeter("abb_a_b")}
    )
    bus = bench.bus(converter.host, converter.port, "rtu_over_tcp")
    ModbusMeter(bus, 1, meter_models()["eastron_sdm630"], "slow")
    other = ModbusMeter(bus, 2, meter_models()["abb_a_b"], "other")
    begin = bench.clock.now()
    await other.read()
    requests = len(plan(other.model.points, other.model.max_registers))
    assert (bench.clock.now() - begin).total_seconds() == pytest.approx(0.1 * (requests - 1))


async def test_a_reading_is_as_old_as_its_power(bench):
    simulated = SimulatedMeter("cg_em24_rs485")
    meter = await open_simulated(bench, simulated, "rtu_over_tcp")
    await meter.read()  # asks for its settings, too
    reading = await meter.read()
    assert reading.age_s(bench.clock.now()) == pytest.approx(6 * 0.05), "six requests after that of the power"
