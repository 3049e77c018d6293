"""A line that is shared, slow, noisy or half dead: who is served, and what is believed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from drivers.catalogue import Buses, meter_models, open_relay_module, relay_models
from drivers.device import DeviceConfigError, DeviceRefused, DeviceUnreachable
from drivers.modbus import ModbusMeter, ModbusRelayModule
from drivers.modbus_bus import BusPool, ModbusBus
from drivers.polling import MeterPoller
from simulation.modbus_devices import SimulatedMeter, SimulatedRelayModule
from simulation.serial_line import SerialLine

SDM72 = meter_models()["eastron_sdm72_v1"]


@pytest.fixture
async def line(bench) -> AsyncIterator:
    lines = []

    async def string(units, **how):
        converter = await bench.converter("rtu_over_tcp", units)
        lines.append(SerialLine(converter, **how))
        await lines[-1].start()
        return lines[-1], bench.bus("127.0.0.1", lines[-1].port, "rtu_over_tcp", timeout_s=0.3)

    yield string
    for one in lines:
        await one.stop()


def meter(power_w: float, model: str = "eastron_sdm72_v1") -> SimulatedMeter:
    simulated = SimulatedMeter(model)
    simulated.set(power_w=power_w)
    return simulated


async def power_w(bus: ModbusBus, unit: int = 1) -> list[int]:
    """Raw words of the power register: what a late answer would falsify."""
    return await bus.read_registers(unit, 4, 0x34, 2)


class OneBehind:
    """A converter that gives out each answer only when the next question comes."""

    def __init__(self):
        self.held = b""

    def __call__(self, request: bytes, answer: bytes) -> list[bytes]:
        given, self.held = self.held, answer
        return [given]


async def test_a_converter_that_is_one_answer_behind_never_gives_one_value_for_another(line, bench):
    """Power and energy are asked in answers of the same length: only their order tells them apart."""
    wire, bus = await line({1: meter(1000)})
    energy = await bus.read_registers(1, 4, 0x48, 2)
    power = await power_w(bus)
    assert energy != power
    wire.fault = OneBehind()
    for _ in range(6):
        for address, truth in ((0x48, energy), (0x34, power)):
            with contextlib.suppress(DeviceUnreachable):
                assert await bus.read_registers(1, 4, address, 2) == truth
    wire.fault = None
    await bench.clock.sleep(60)  # every pause is over
    assert await power_w(bus) == power


async def test_a_late_answer_is_not_taken_for_the_next_question(line):
    wire, bus = await line({1: meter(1000)})
    energy, power = await bus.read_registers(1, 4, 0x48, 2), await power_w(bus)
    late: list[bytes] = []

    def keep(request: bytes, answer: bytes) -> list[bytes]:
        late.append(answer)
        wire.fault = lambda request, answer: [late.pop(), answer] if late else [answer]
        return []

    wire.fault = keep
    with pytest.raises(DeviceUnreachable, match="no answer within"):
        await power_w(bus)
    assert await bus.read_registers(1, 4, 0x48, 2) == energy != power
    assert not late, "the late answer of the power came first"


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        pytest.param(lambda request, answer: [b"\x02" + answer[1:]], "other bytes came", id="wrong unit"),
        pytest.param(lambda request, answer: [answer[:-3]], "other bytes came", id="cut short"),
        pytest.param(
            lambda request, answer: [answer[:-1] + bytes([answer[-1] ^ 1])], "other bytes", id="checksum"
        ),
        pytest.param(lambda request, answer: [], r"no answer within 0\.3 s", id="nothing"),
    ],
)
async def test_what_is_no_answer_is_not_believed_and_the_line_recovers(line, fault, problem):
    wire, bus = await line({1: meter(1000)}, fault=fault)
    with pytest.raises(DeviceUnreachable, match=problem):
        await power_w(bus)
    wire.fault = None
    assert (await ModbusMeter(bus, 1, SDM72, "m").read()).power_w == 1000
    assert bus.load().errors == 1


async def test_an_answer_in_pieces_among_noise_is_put_together(line):
    def pieces(request: bytes, answer: bytes) -> list[bytes]:
        return [b"\xff\x00", request, answer[:2], answer[2:], b"\x00"]

    _, bus = await line({1: meter(1234)}, fault=pieces)
    for _ in range(3):
        assert (await ModbusMeter(bus, 1, SDM72, "m").read()).power_w == 1234


async def test_a_second_master_on_the_line_is_told_by_what_comes_unasked(line):
    wire, bus = await line({1: meter(1000)})
    await power_w(bus)
    wire.say(bytes.fromhex("07 04 04 42 C8 00 00 6F 5A"))
    async with asyncio.timeout(5):
        while not bus.load().unasked_bytes:
            assert await power_w(bus) == [0x447A, 0]
    assert bus.load().unasked_bytes == 9


@pytest.mark.parametrize("code", [5, 6])
async def test_a_busy_device_is_asked_again_while_others_are_served(line, code):
    busy, other = meter(1000), meter(50)
    busy.refuse(code)
    wire, bus = await line({1: busy, 2: other})
    asked = asyncio.create_task(power_w(bus))
    async with asyncio.timeout(5):
        await wire.asked.wait()
    assert (await ModbusMeter(bus, 2, SDM72, "m").read()).power_w == 50
    assert not asked.done()
    busy.refuse(None)
    assert await asked == [0x447A, 0]


@pytest.mark.parametrize(
    ("code", "fault", "said"),
    [
        (1, DeviceRefused, "illegal function"),
        (2, DeviceRefused, "illegal address"),
        (3, DeviceRefused, "illegal value"),
        (4, DeviceRefused, "device failure"),
        (5, DeviceRefused, "still working on it"),
        (6, DeviceRefused, "busy"),
        (7, DeviceRefused, "cannot do it"),
        (8, DeviceRefused, "memory error"),
        (10, DeviceUnreachable, "no answer"),
        (11, DeviceUnreachable, "no answer"),
    ],
)
async def test_every_exception_is_told_in_words(line, code, fault, said):
    simulated = meter(1000)
    simulated.refuse(code)
    wire, bus = await line({1: simulated})
    with pytest.raises(fault, match=said):
        await power_w(bus)
    assert len(wire.requests) == (4 if code in (5, 6) else 1), "busy is asked again"


async def test_every_meter_on_a_line_is_read_equally_often_and_each_reading_in_one_go(line):
    units = {n: meter(n * 100, "cg_em24_rs485") for n in range(1, 6)}
    wire, bus = await line(units)
    meters = [ModbusMeter(bus, n, units[n].model, str(n)) for n in units]

    async def read_on(one: ModbusMeter) -> None:
        for _ in range(3):
            assert (await one.read()).power_w == one.unit * 100

    await asyncio.gather(*map(read_on, meters))
    visits = [a for a, b in zip(wire.requests, [*wire.requests[1:], b"\0"], strict=True) if a[0] != b[0]]
    assert [request[0] for request in visits] == [1, 2, 3, 4, 5] * 3


async def test_a_relay_is_switched_and_read_back_before_any_meter_is_asked_on(line):
    module = SimulatedRelayModule("wellpro_wp8024adam", lambda: datetime.now(UTC))
    units = {n: meter(n, "cg_em24_rs485") for n in (1, 2, 3)}
    wire, bus = await line({**units, 9: module})
    reads = [asyncio.create_task(ModbusMeter(bus, n, units[n].model, str(n)).read()) for n in units]
    async with asyncio.timeout(5):
        await wire.asked.wait()
    before = len(wire.requests)
    await ModbusRelayModule(bus, 9, module.model, "io1").switch(2, True)
    asked = [(request[0], request[1]) for request in wire.requests[before:]]
    assert asked.index((9, 5)) <= 1, "behind what was on the line already, at most"
    assert asked[asked.index((9, 5)) + 1] == (9, 1)
    assert [r.power_w for r in await asyncio.gather(*reads)] == [1, 2, 3]


async def test_one_of_twenty_meters_pulled_leaves_the_others_fresh(line):
    def now() -> datetime:
        return datetime.now(UTC)

    units = {n: meter(n, "abb_a_b") for n in range(1, 21)}
    wire, _ = await line(units)
    bus = ModbusBus("127.0.0.1", wire.port, "rtu_over_tcp", now=now, sleep=asyncio.sleep)
    bus.run_at(19_200)
    pollers = [
        MeterPoller(ModbusMeter(bus, n, units[n].model, str(n)), 1.0, now, asyncio.sleep) for n in units
    ]
    await asyncio.gather(*(poller.poll() for poller in pollers))
    tasks = [asyncio.create_task(poller.run()) for poller in pollers]
    try:
        async with asyncio.timeout(30):
            units[7].unreachable = True
            while not bus.load().units[6].is_absent:
                await asyncio.sleep(0.05)
                assert max(p.latest.age_s(now()) for p in pollers if p.id != "7") < 5
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await bus.stop()


async def test_absent_units_cost_a_fifth_of_the_line_at_most_and_come_back_together(line, bench):
    units = {n: meter(n) for n in range(1, 5)}
    wire, bus = await line(units)
    for simulated in units.values():
        simulated.unreachable = True
    for _ in range(3):
        await asyncio.gather(*(power_w(bus, n) for n in units), return_exceptions=True)
    assert all(unit.is_absent for unit in bus.load().units)
    bench.clock.time = bench.clock.time.replace(hour=11)
    before = len(wire.requests)
    for n in units:
        with pytest.raises(DeviceUnreachable):
            await power_w(bus, n)
    assert len(wire.requests) == before + 1, "one probe, then the line is left to those that live"
    for simulated in units.values():
        simulated.unreachable = False
    await bench.clock.sleep(30)
    for n in units:
        assert len(await power_w(bus, n)) == 2
    assert not any(unit.is_absent for unit in bus.load().units)


async def test_a_dead_converter_does_not_hold_up_another(line, bench):
    _, alive = await line({1: meter(700)})
    dead, _ = await line({1: meter(1)}, fault=lambda request, answer: [])
    silent = bench.bus("127.0.0.1", dead.port, "rtu_over_tcp", timeout_s=60)
    waiting = asyncio.create_task(power_w(silent))
    for _ in range(5):
        assert (await ModbusMeter(alive, 1, SDM72, "m").read()).power_w == 700
    assert not waiting.done()
    waiting.cancel()


async def test_the_time_a_unit_gets_follows_how_it_answers(line):
    """A meter that always answers at once is not waited for as long as one that was never heard."""
    wire, bus = await line({1: meter(1000)})
    for _ in range(12):
        await power_w(bus)
    wire.fault = lambda request, answer: []
    with pytest.raises(DeviceUnreachable, match=r"no answer within 0\.1 s"):
        await power_w(bus)
    with pytest.raises(DeviceUnreachable, match=r"no answer within 0\.2 s, 2 times in a row"):
        await power_w(bus)
    assert bus.load().units[0].answer_s < 0.1


async def test_two_sites_on_one_converter_share_its_only_connection(line, bench):
    wire, _ = await line({1: meter(100), 2: meter(200)})
    pool = BusPool(bench.clock.now, bench.clock.sleep)
    house, flat = (Buses(bench.clock.now, bench.clock.sleep, pool) for _ in range(2))
    buses = [site.bus("127.0.0.1", wire.port, "rtu_over_tcp") for site in (house, flat)]
    assert buses[0] is buses[1]
    powers = await asyncio.gather(*(ModbusMeter(b, n, SDM72, "m").read() for n, b in enumerate(buses, 1)))
    assert [reading.power_w for reading in powers] == [100, 200]
    assert [load.connections for load in pool.loads()] == [1]
    wrong = Buses(bench.clock.now, bench.clock.sleep, pool)
    wrong.bus("127.0.0.1", 1, "tcp")
    with pytest.raises(DeviceConfigError, match="framing: 'tcp' given, rtu_over_tcp"):
        wrong.bus("127.0.0.1", wire.port, "tcp")
    wrong.give_up()
    corrected = Buses(bench.clock.now, bench.clock.sleep, pool)
    corrected.bus("127.0.0.1", 1, "rtu_over_tcp")
    corrected.give_up()
    await house.stop()
    assert (await ModbusMeter(buses[1], 2, SDM72, "m").read()).power_w == 200
    await flat.stop()
    assert pool.loads() == []


async def test_told_the_baud_rate_the_line_is_used_without_needless_pauses(line, bench):
    _, bus = await line({1: meter(100)})
    bus.run_at(9600)
    begin = bench.clock.now()
    for _ in range(11):
        await power_w(bus)
    assert (bench.clock.now() - begin).total_seconds() == pytest.approx(10 * 3.5 * 11 / 9600, abs=1e-4)
    gateway = ModbusBus("127.0.0.1", 502, "tcp", now=bench.clock.now, sleep=bench.clock.sleep)
    with pytest.raises(DeviceConfigError, match="baud: 9600 given, none"):
        gateway.run_at(9600)


async def test_the_load_of_a_line_is_told(line):
    units = {1: meter(100), 2: meter(200)}
    _, bus = await line(units)
    assert bus.load().requests_per_s == 0
    units[2].unreachable = True
    for n in (1, 1, 2):
        await asyncio.gather(power_w(bus, n), return_exceptions=True)
    load = bus.load()
    assert (load.connected, load.requests, load.errors, load.connections) == (True, 3, 1, 1)
    assert 0 < load.line_share <= 1
    assert [(u.unit, u.requests, u.errors, u.age_s is None) for u in load.units] == [
        (1, 2, 0, False),
        (2, 1, 1, True),
    ]


FAILSAFES = {
    key: {"pulse": "pulse_s", "watchdog": "watchdog_s"}[model.failsafe]
    for key, model in relay_models().items()
    if model.failsafe in ("pulse", "watchdog")
}


@pytest.mark.parametrize("model", sorted(FAILSAFES))
async def test_a_killed_controller_leaves_no_relay_closed_that_can_open_by_itself(bench, model):
    simulated = SimulatedRelayModule(model, bench.clock.now)
    framing = simulated.model.wiring.framings[0]
    converter = await bench.converter(framing, {1: simulated})
    module = open_relay_module(
        bench.buses,
        id="io1",
        driver="modbus",
        model=model,
        host=converter.host,
        port=converter.port,
        **{FAILSAFES[model]: 180.0},
    )
    for number in (1, simulated.model.relays):
        await module.switch(number, True)
    await bench.buses.stop()
    await bench.clock.sleep(179)
    assert sum(simulated.coils) == 2
    await bench.clock.sleep(2)
    assert not any(simulated.coils)
