"""Stations that send rubbish, beside five that do not: python -m benchmarks.ocpp_fuzz --frames 100000

A real server process. Every batch of mutated frames ends with a proper heartbeat that must be answered on
the same connection; violations of the websocket protocol go over connections of their own. The five
well-behaved stations notice nothing of it: each of their calls is answered with a result, in time.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import sqlite3
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from benchmarks.figures import Figure, at_most, exactly, show
from benchmarks.frame_mutation import ERROR_CODES, VIOLATIONS, Mutation, handshake_of, mutated_answers
from benchmarks.memory_trace import MemoryTrace
from benchmarks.server_process import ServerProcess, central_system, stored

OCPP = Subprotocol("ocpp1.6")

FRAMES, FUZZERS, GOOD_STATIONS, BATCH = 20_000, 4, 5, 50
PATIENCE_S, ENDS_WITHIN_S, PAUSE_S = 30.0, 0.5, 0.05
EVERY_VIOLATION = 200  # frames
WARM_UP = 50_000  # frames: by then every cache is full, SQLite's last


@dataclass
class Tally:
    sent: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    odd: list[str] = field(default_factory=list)
    ended: Counter[str] = field(default_factory=Counter)
    violations: Counter[str] = field(default_factory=Counter)
    good_calls: int = 0
    good_unanswered: int = 0
    slowest_s: float = 0.0


class Fuzzer:
    """A station that sends mutated frames, and answers what it is asked with mutated answers."""

    def __init__(self, name: str, url: str, frames: int, tally: Tally, seed: int) -> None:
        self._url, self._frames, self._tally = f"{url}/{name}", frames, tally
        self._rng = random.Random(seed)
        self._mutation = Mutation(self._rng)
        self._beats: dict[str, asyncio.Future[None]] = {}

    async def run(self) -> None:
        left = self._frames
        while left > 0:
            async with connect(
                self._url, subprotocols=[OCPP], compression=None, ping_interval=None
            ) as socket:
                listening = asyncio.create_task(self._listen(socket))
                try:
                    while left > 0:
                        await self._batch(socket, listening, min(BATCH, left))
                        left -= min(BATCH, left)
                        if self._rng.random() < 0.01:
                            break  # it comes back, as stations do
                except ConnectionClosed as end:
                    self._tally.ended[f"{end.sent or end.rcvd}"] += 1
                    left -= BATCH
                finally:
                    listening.cancel()

    async def _batch(self, socket: ClientConnection, listening: asyncio.Task[None], frames: int) -> None:
        for _ in range(frames):
            await socket.send(self._mutation.frame(), text=self._rng.random() < 0.95)
        self._tally.sent += frames
        id = f"beat-{self._rng.getrandbits(64):x}"
        answered = self._beats[id] = asyncio.get_running_loop().create_future()
        await socket.send(json.dumps([2, id, "Heartbeat", {}]))
        await asyncio.wait([answered, listening], timeout=PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
        if not answered.done():
            if listening.done():
                listening.result()  # raises why the connection is over
            raise TimeoutError(f"{self._url}: a heartbeat was not answered within {PATIENCE_S:.0f} s")

    async def _listen(self, socket: ClientConnection) -> None:
        async for text in socket:
            try:
                kind, id, *rest = json.loads(text)
                if kind == 2:
                    for answer in mutated_answers(self._rng, id):
                        await socket.send(answer)
                    continue
                name = "result" if kind == 3 else rest[0]
                if kind not in (3, 4) or not (name == "result" or name in ERROR_CODES):
                    raise ValueError(name)
            except (ValueError, IndexError, TypeError):
                self._tally.odd.append(str(text)[:200])
                continue
            self._tally.answers[name] += 1
            if (beat := self._beats.pop(str(id), None)) is not None and not beat.done():
                beat.set_result(None)


class GoodStation:
    """It charges a vehicle, and waits for each answer before it goes on."""

    def __init__(self, name: str, url: str, tally: Tally) -> None:
        self._url, self._tally = f"{url}/{name}", tally
        self._number = 0

    async def run(self) -> None:
        async with connect(
            self._url, subprotocols=[OCPP], compression=None, ping_interval=None
        ) as self._socket:
            await self._ask("BootNotification", {"chargePointVendor": "Good", "chargePointModel": "Station"})
            while True:
                await self._charge()

    async def _charge(self) -> None:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        start = {"connectorId": 1, "idTag": "GOOD", "meterStart": 0, "timestamp": now}
        transaction = (await self._ask("StartTransaction", start)).get("transactionId", -1)
        status = {"connectorId": 1, "errorCode": "NoError", "status": "Charging"}
        await self._ask("StatusNotification", status)
        for value in range(20):
            sample = {"timestamp": now, "sampledValue": [{"value": str(value)}]}
            meter = {"connectorId": 1, "transactionId": transaction, "meterValue": [sample]}
            await self._ask("MeterValues", meter)
            await self._ask("Heartbeat", {})
            await asyncio.sleep(PAUSE_S)
        stop = {"transactionId": transaction, "meterStop": 20, "timestamp": now}
        await self._ask("StopTransaction", stop)

    async def _ask(self, action: str, payload: dict[str, Any]) -> dict[str, Any]:
        self._number += 1
        self._tally.good_calls += 1
        id, began_s = str(self._number), time.monotonic()
        try:
            await self._socket.send(json.dumps([2, id, action, payload]))
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    kind, answered, *rest = json.loads(await self._socket.recv())
                    if kind == 2:
                        refusal = [4, answered, "NotSupported", "", {}]
                        await self._socket.send(json.dumps(refusal))
                    elif answered == id:
                        break
        except (TimeoutError, ConnectionClosed):
            self._tally.good_unanswered += 1
            raise
        self._tally.slowest_s = max(self._tally.slowest_s, time.monotonic() - began_s)
        if kind != 3:
            self._tally.good_unanswered += 1
            return {}
        return dict(rest[0])


async def violate(port: int, tally: Tally, rng: random.Random) -> None:
    """What is no websocket, over a connection of its own; the server ends it or does not mind."""
    name = rng.choice(list(VIOLATIONS))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(PATIENCE_S):
            if not name.startswith("http"):
                writer.write(handshake_of(f"RAW{rng.randrange(3)}"))
                await reader.readuntil(b"\r\n\r\n")
            writer.write(VIOLATIONS[name](rng))
            heard = await _heard(reader, writer)
        tally.violations[f"{name}: {_end_of(heard)}"] += 1
    except TimeoutError:
        tally.violations[f"{name}: NOT ENDED"] += 1
    except OSError:
        tally.violations[f"{name}: cut"] += 1
    finally:
        writer.close()


async def _heard(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """What the server says until the connection is over; one that it does not end is ended from here."""
    heard = b""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(ENDS_WITHIN_S):
            while said := await reader.read(65536):
                heard += said
            return heard
    writer.write_eof()
    return heard + await reader.read()


def _end_of(heard: bytes) -> str:
    """The close code or the HTTP status."""
    if heard.startswith(b"HTTP/1.1 "):
        return f"status {heard[9:12].decode('ascii', 'replace')}"
    code = heard.rpartition(b"\x88")[2][1:3] if b"\x88" in heard else b""
    return f"closed with {int.from_bytes(code, 'big')}" if code else "ended"


async def fuzz(server: ServerProcess, frames: int, seed: int, memory: MemoryTrace) -> Tally:
    tally, rng, url = Tally(), random.Random(seed), f"ws://127.0.0.1:{server.port}"
    good = [
        asyncio.create_task(GoodStation(f"GOOD{n}", url, tally).run()) for n in range(1, GOOD_STATIONS + 1)
    ]
    bad = [
        asyncio.create_task(Fuzzer(f"FUZZ{n}", url, frames // FUZZERS, tally, seed + n).run())
        for n in range(1, FUZZERS + 1)
    ]
    violated = 0
    while not all(task.done() for task in bad):
        await asyncio.wait(bad, timeout=0.1)
        memory.note(tally.sent)
        while violated < tally.sent // EVERY_VIOLATION:
            violated += 1
            await violate(server.port, tally, rng)
    for task in (*bad, *(task for task in good if task.done())):
        task.result()  # raises what ended it
    for task in good:
        task.cancel()
    await asyncio.gather(*good, return_exceptions=True)
    return tally


def figures(tally: Tally, memory: MemoryTrace, log: str, integrity: str) -> list[Figure]:
    lines = log.splitlines()
    faults = sum("Traceback" in line or "[error" in line for line in lines)
    return [
        Figure("mutated frames sent", str(tally.sent)),
        *(Figure(f"answers: {name}", str(count)) for name, count in tally.answers.most_common()),
        exactly("answers that are no OCPP", len(tally.odd)),
        exactly("connections ended by a frame", sum(tally.ended.values())),
        *(Figure(f"no websocket, {name}", str(count)) for name, count in sorted(tally.violations.items())),
        Figure("calls of the undisturbed stations", str(tally.good_calls)),
        exactly("of these not answered with a result", tally.good_unanswered),
        at_most("slowest answer to an undisturbed station", tally.slowest_s, 2.0, " s"),
        *memory.figures(),
        Figure("lines in the log", str(len(lines))),
        exactly("exceptions in the log", faults),
        Figure("database", integrity, "ok", integrity == "ok"),
    ]


def run(frames: int = FRAMES, seed: int = 1, keep_log: Path | None = None) -> list[Figure]:
    with TemporaryDirectory(prefix="csms-fuzz-") as name, central_system(Path(name)) as server:
        memory = MemoryTrace(server, "frames", frames, WARM_UP)
        try:
            tally = asyncio.run(fuzz(server, frames, seed, memory))
        finally:
            log = server.log.read_text(errors="replace")
            if keep_log is not None:
                keep_log.write_text(log)
        with stored(Path(name)) as database:
            integrity = _integrity(database)
    for text in tally.odd[:5]:
        print("odd answer:", text)
    for end, count in tally.ended.items():
        print(f"connection ended {count} times: {end}")
    return figures(tally, memory, log, integrity)


def _integrity(database: sqlite3.Connection) -> str:
    return str(database.execute("PRAGMA quick_check").fetchone()[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=FRAMES)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--log", type=Path, help="keep the server's log in this file")
    options = parser.parse_args()
    show(run(options.frames, options.seed, options.log))


if __name__ == "__main__":
    main()
