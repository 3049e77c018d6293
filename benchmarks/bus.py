"""How often 32 meters on one RS485 line are read, beside what the line could carry.

The line is simulated on a real socket: every request and answer takes its characters at 19,200 baud, every
meter its turnaround. What the bus leaves unused is its own doing.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import uvloop

from benchmarks.figures import Figure, at_least, at_most
from drivers.catalogue import Buses, open_meter
from drivers.modbus import ModbusMeter
from drivers.modbus_frames import Query, line_bytes
from drivers.polling import MeterPoller
from drivers.registers import plan
from simulation.modbus_devices import ModbusConverter, SimulatedMeter
from simulation.serial_line import SerialLine

METERS = 32
MODEL = "abb_a_b"
BAUD = 19_200
TURNAROUND_S = 0.02
ROUNDS = 4


def run(meters: int = METERS) -> list[Figure]:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # as the server runs
        return runner.run(_measure(meters))


def _now() -> datetime:
    return datetime.now(UTC)


async def _measure(count: int) -> list[Figure]:
    units = ModbusConverter(
        "127.0.0.1", 0, "rtu_over_tcp", {unit: SimulatedMeter(MODEL) for unit in range(1, count + 1)}
    )
    await units.start()
    line = SerialLine(units, BAUD, TURNAROUND_S)
    await line.start()
    buses = Buses(_now, asyncio.sleep)
    meters = [_meter(buses, line, unit) for unit in range(1, count + 1)]
    meters[0].bus.run_at(BAUD)
    pollers = [MeterPoller(meter, 0.0, _now, asyncio.sleep) for meter in meters]
    best_s = count * _reading_s(line, meters[0])
    loop = asyncio.get_running_loop()
    await meters[0].read()  # connected
    line.busy_s, began_s = 0.0, loop.time()
    polling = [asyncio.create_task(poller.run()) for poller in pollers]
    await asyncio.sleep(ROUNDS * best_s)
    used, took_s = line.busy_s, loop.time() - began_s
    reads = [poller.statistics.reads for poller in pollers]
    for task in polling:
        task.cancel()
    await asyncio.gather(*polling, return_exceptions=True)
    await buses.stop()
    await line.stop()
    await units.stop()
    return [
        at_least(f"line used, {count} meters at {BAUD} baud", 100 * used / took_s, 90, " %"),
        Figure("each meter read every", f"{took_s / (sum(reads) / count):.2f} s", f"line: {best_s:.2f} s"),
        at_most("readings of the most less the least served", max(reads) - min(reads), 1, digits=0),
        at_most("failed readings", sum(poller.statistics.failures for poller in pollers), 0, digits=0),
    ]


def _meter(buses: Buses, line: SerialLine, unit: int) -> ModbusMeter:
    return open_meter(
        buses,
        id=f"m{unit}",
        driver="modbus",
        model=MODEL,
        host=line.host,
        port=line.port,
        unit=unit,
        framing="rtu_over_tcp",
    )


def _reading_s(line: SerialLine, meter: ModbusMeter) -> float:
    requests = plan(meter.model.points, meter.model.max_registers)
    return sum(line.exchange_s(line_bytes(Query(1, r.function, r.address, r.count))) for r in requests)
