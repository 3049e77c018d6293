"""A server process for the crash test: serves some stations at once and says what it acknowledged."""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import timedelta

from central_backend import NOON, Backend, later, open_backend, start, stop, values

STATIONS = 8


def acknowledge(kind: str, identity: str, n: int, transaction_id: int) -> None:
    os.write(1, f"acknowledged {kind} {identity} {n} {transaction_id}\n".encode())


async def keep_charging(backend: Backend, identity: str) -> None:
    await backend.charge_points.admit(identity)
    handle = backend.messages.handle
    for n in range(1_000_000):
        at = later(minutes=n)
        begun = await handle(identity, "StartTransaction", start(at, 100 * n, "B"), at)
        transaction_id = begun["transactionId"]
        acknowledge("start", identity, n, transaction_id)
        read_at = at + timedelta(seconds=20)
        await handle(identity, "MeterValues", values(transaction_id, read_at, 100 * n + 50), read_at)
        acknowledge("meter", identity, n, transaction_id)
        stop_at = at + timedelta(seconds=40)
        await handle(identity, "StopTransaction", stop(transaction_id, stop_at, 100 * n + 80), stop_at)
        acknowledge("stop", identity, n, transaction_id)


async def serve(url: str) -> None:
    backend = await open_backend(url)
    backend.clock.at = NOON
    await asyncio.gather(*(keep_charging(backend, f"CP{n}") for n in range(STATIONS)))


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
