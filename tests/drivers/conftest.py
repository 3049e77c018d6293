"""A bench with simulated devices on real sockets, and a clock that is moved by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import pytest

from drivers.catalogue import Buses
from drivers.device import Framing
from drivers.modbus_bus import ModbusBus
from simulation.modbus_devices import ModbusConverter, SimulatedDevice


class HandClock:
    """Time stands still unless somebody sleeps or moves it."""

    def __init__(self) -> None:
        self.time = datetime(2026, 6, 21, 10, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


class Bench:
    def __init__(self, clock: HandClock, stack: AsyncExitStack) -> None:
        self.clock = clock
        self.buses = Buses(clock.now, clock.sleep)
        self._stack = stack

    async def converter(self, framing: Framing, units: dict[int, SimulatedDevice]) -> ModbusConverter:
        converter = ModbusConverter("127.0.0.1", 0, framing, units)
        await converter.start()
        self._stack.push_async_callback(converter.stop)
        return converter

    def bus(self, host: str, port: int, framing: Framing, timeout_s: float = 0.5) -> ModbusBus:
        """A bus of its own with a short time-out, for silent devices."""
        bus = ModbusBus(host, port, framing, now=self.clock.now, sleep=self.clock.sleep, timeout_s=timeout_s)
        self._stack.push_async_callback(bus.stop)
        return bus


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def bench(clock: HandClock) -> AsyncIterator[Bench]:
    async with AsyncExitStack() as stack:
        bench = Bench(clock, stack)
        stack.push_async_callback(bench.buses.stop)
        yield bench


@pytest.fixture
async def wire() -> AsyncIterator[Callable[[Callable[[bytes], bytes]], Awaitable[tuple[int, list[bytes]]]]]:
    """Listen on a raw socket: answers each frame with what the function returns, and records the frames."""
    servers: list[asyncio.Server] = []
    writers: list[asyncio.StreamWriter] = []

    async def listen(answer: Callable[[bytes], bytes]) -> tuple[int, list[bytes]]:
        frames: list[bytes] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writers.append(writer)
            while frame := await reader.read(256):
                frames.append(frame)
                writer.write(answer(frame))
                await writer.drain()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        servers.append(server)
        return server.sockets[0].getsockname()[1], frames

    yield listen
    for server in servers:
        server.close()
    for writer in writers:
        writer.close()
        await asyncio.wait_for(writer.wait_closed(), 5)
