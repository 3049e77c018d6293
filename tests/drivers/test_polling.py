"""Pollers: what the control loop gets to see while devices come and go."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from drivers.device import DeviceUnreachable, MeterReading
from drivers.modbus import ModbusMeter, ModbusRelayModule
from drivers.polling import MeterPoller, RelayModulePoller
from simulation.modbus_devices import SimulatedMeter, SimulatedRelayModule

NOON = datetime(2026, 6, 21, 12, 0, tzinfo=UTC)


class Script:
    """A meter that says these powers (or faults) at these seconds after noon."""

    id = "grid"

    def __init__(self, clock, *steps):
        self.clock, self.steps = clock, list(steps)

    async def read(self):
        after_s, power = self.steps.pop(0)
        self.clock.time = NOON + timedelta(seconds=after_s)
        if isinstance(power, Exception):
            raise power
        return MeterReading(power, self.clock.time, current_a=(power / 230, 0.0, 0.0), import_wh=after_s)


def at(seconds):
    return NOON + timedelta(seconds=seconds)


async def poller_after(clock, *steps, interval_s=10):
    poller = MeterPoller(Script(clock, *steps), interval_s, clock.now, clock.sleep)
    for _ in steps:
        await poller.poll()
    return poller


SILENT = DeviceUnreachable("no answer")


@pytest.mark.parametrize(
    ("steps", "seen_at", "mean_w"),
    [
        pytest.param([(0, 500), (10, 500), (20, 500)], 30, 500, id="steady"),
        pytest.param([(0, 0), (10, 1000)], 20, 500, id="half and half"),
        pytest.param([(0, 0), (5, 1000)], 20, 750, id="weighted by the time each stood"),
        pytest.param(
            [(0, 9000), (30, 1000), (40, 1000)], 61, 1000, id="older than the window does not count"
        ),
        pytest.param([(5, 100), (15, 400), (17, SILENT), (50, 400)], 60, 325, id="a gap is not filled"),
        pytest.param([(0, 800)], 0, 800, id="a single sample of this instant"),
        pytest.param([(0, 800)], 61, None, id="nothing in the window"),
        pytest.param([(0, SILENT)], 10, None, id="nothing ever"),
    ],
)
async def test_the_mean_over_a_minute(clock, steps, seen_at, mean_w):
    poller = await poller_after(clock, *steps)
    mean = poller.mean(60, at(seen_at))
    if mean_w is None:
        assert mean is None
    else:
        assert mean.power_w == pytest.approx(mean_w)
        assert mean.current_a == pytest.approx((mean_w / 230, 0, 0))


async def test_the_mean_tells_when_its_last_sample_was_taken(clock):
    poller = await poller_after(clock, (0, 100), (10, 300))
    mean = poller.mean(60, at(25))
    assert (mean.read_at, mean.import_wh) == (at(10), 10)


async def test_a_failing_meter_is_asked_less_often_and_its_last_reading_ages(clock):
    pauses = []

    async def sleep(seconds):
        pauses.append(seconds)
        if len(pauses) == 7:
            raise asyncio.CancelledError
        await asyncio.sleep(0)

    steps = [(0, 100)] + [(1, SILENT)] * 5 + [(200, 50)]
    poller = MeterPoller(Script(clock, *steps), 5, clock.now, sleep)
    with pytest.raises(asyncio.CancelledError):
        await poller.run()
    assert pauses[1:6] == [pytest.approx(p, abs=1) for p in (5, 10, 20, 30, 30)]
    assert (poller.problem, poller.latest.power_w) == (None, 50)
    assert (poller.statistics.reads, poller.statistics.failures) == (2, 5)


async def test_after_a_restart_of_the_converter_readings_resume(bench):
    simulated = SimulatedMeter("eastron_sdm630")
    simulated.set(power_w=700)
    converter = await bench.converter("rtu_over_tcp", {1: simulated})
    bus = bench.bus(converter.host, converter.port, "rtu_over_tcp")
    poller = MeterPoller(ModbusMeter(bus, 1, simulated.model, "grid"), 5, bench.clock.now, bench.clock.sleep)
    await poller.poll()
    assert (poller.problem, poller.latest.power_w) == (None, 700)
    await converter.stop()
    simulated.set(power_w=900)
    for _ in range(4):
        await bench.clock.sleep(5)
        await poller.poll()
    assert "no connection" in poller.problem
    assert poller.latest.power_w == 700
    assert poller.latest.age_s(bench.clock.now()) > 20
    await converter.start()
    await bench.clock.sleep(10)
    await poller.poll()
    assert (poller.problem, poller.latest.power_w) == (None, 900)
    assert poller.latest.age_s(bench.clock.now()) < 1


async def test_relay_states_are_kept_with_their_time(bench):
    simulated = SimulatedRelayModule("wellpro_wp8024adam", bench.clock.now)
    simulated.set_input(1, True)
    converter = await bench.converter("rtu_over_tcp", {1: simulated})
    bus = bench.bus(converter.host, converter.port, "rtu_over_tcp")
    module = ModbusRelayModule(bus, 1, simulated.model, "io1")
    poller = RelayModulePoller(module, 5, bench.clock.now, bench.clock.sleep, with_inputs=True)
    assert poller.states is None
    await module.switch(2, True)
    await poller.poll()
    read_at = bench.clock.now()
    simulated.unreachable = True
    await bench.clock.sleep(5)
    await poller.poll()
    assert "unit 1: no answer" in poller.problem
    assert poller.states == (False, True, False, False)
    assert poller.inputs == (True,) + (False,) * 7
    assert poller.inputs_read_at == read_at
