"""Stations that come and go without end: python -m benchmarks.ocpp_reconnects --times 20000

A real server process. Each time a station connects, boots and leaves, cut off or in an orderly way, mostly in
the middle of what it is asked then. Nothing of it may stay in memory.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from benchmarks.figures import Figure, exactly, show
from benchmarks.memory_trace import MemoryTrace
from benchmarks.server_process import central_system

OCPP = Subprotocol("ocpp1.6")
TIMES, STATIONS, PATIENCE_S = 20_000, 4, 30.0
WARM_UP = 10_000  # by then SQLite's cache is full
BOOT = {"chargePointVendor": "Vendor", "chargePointModel": "Model"}


async def come_and_go(url: str, is_cut: bool) -> None:
    async with connect(url, subprotocols=[OCPP], compression=None, ping_interval=None) as socket:
        await socket.send(json.dumps([2, "boot", "BootNotification", BOOT]))
        async with asyncio.timeout(PATIENCE_S):
            while json.loads(await socket.recv())[:2] != [3, "boot"]:
                pass
        if is_cut:
            socket.transport.abort()


async def reconnect(port: int, times: int, memory: MemoryTrace) -> int:
    """Returns how often the boot was answered."""
    numbers = count(1)

    async def station(name: str) -> None:
        while (n := next(numbers)) <= times:
            await come_and_go(f"ws://127.0.0.1:{port}/{name}", is_cut=n % 3 == 0)
            memory.note(n)

    await asyncio.gather(*(station(f"GONE{n}") for n in range(STATIONS)))
    return times


def run(times: int = TIMES) -> list[Figure]:
    with TemporaryDirectory(prefix="csms-reconnects-") as name, central_system(Path(name)) as server:
        memory = MemoryTrace(server, "connections", times, WARM_UP)
        done = asyncio.run(reconnect(server.port, times, memory))
        faults = server.log.read_text(errors="replace").count("Traceback")
    return [
        Figure("connections made, booted and ended", str(done)),
        *memory.figures(),
        exactly("exceptions in the log", faults),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=TIMES)
    show(run(parser.parse_args().times))


if __name__ == "__main__":
    main()
