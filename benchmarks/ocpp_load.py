"""Stations that send MeterValues as fast as they are answered, or at a steady rate: a process of its own.

echo 6 | python -m benchmarks.ocpp_load --port 9000 --stations 500 [--rate 1500]

Each station begins a transaction, then waits. For each line of the standard input, which says how many
seconds, they send 12 sampled values (1.9 kB) at a time, with a later time and a higher register in each.
What was measured is printed as a line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import sys
from collections import deque
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from time import perf_counter, process_time, time

import uvloop

from benchmarks.server_process import cpu_s_of, waited_s_of
from benchmarks.station_socket import TEXT, StationSocket, header, refusal_of

CONNECTING_AT_ONCE = 50
ANSWER_TIMEOUT_S = 30.0
START_REGISTER_WH = 1_000_000


@dataclass(slots=True)
class Load:
    """What the stations saw. acknowledged: identity -> [transaction id, messages, last register in Wh]."""

    messages: int
    seconds: float
    p50_ms: float
    p99_ms: float
    worst_ms: float
    client_cpu: float  # share of a core
    server_cpu: float
    server_waited: float  # share of the time that its main thread had to wait for a processor
    acknowledged: dict[str, tuple[int, int, int]]

    @property
    def per_second(self) -> float:
        return self.messages / self.seconds

    @property
    def server_cost_us(self) -> float:
        """Processor time of the server per message, all its threads together."""
        return 1e6 * self.server_cpu / self.per_second


class Station(StationSocket):
    """Sends its next MeterValues when told, or by itself as soon as the last is answered."""

    def __init__(self, identity: str, run: Run) -> None:
        super().__init__(identity)
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.acknowledged = 0
        self.transaction_id = 0
        self.register_wh = START_REGISTER_WH
        self.waiting_for = b""
        self._run = run
        self._due: deque[float] = deque()
        self._due_at_s = 0.0
        self._frame = b""

    def opened(self) -> None:
        self.waiting_for = b"start-%s-%x" % (self.identity.encode(), self._run.number)
        start = {
            "connectorId": 1,
            "idTag": self.identity,
            "meterStart": START_REGISTER_WH,
            "timestamp": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
        }
        self.send(json.dumps([2, self.waiting_for.decode(), "StartTransaction", start]).encode())

    def received(self, text: bytes) -> None:
        is_ours = bool(self.waiting_for) and self.waiting_for in text[:60]  # an echo sends back the very call
        if text[1:2] == b"2" and not is_ours:
            self.send(refusal_of(text))
            return
        if not is_ours:
            sys.exit(
                f"{self.identity} got {text.decode()!r}, an answer to {self.waiting_for.decode()} expected"
            )
        self.waiting_for = b""
        if not self._frame:
            answer = json.loads(text)[2]
            self.transaction_id = answer.get("transactionId", 1) if isinstance(answer, dict) else 1
            self._frame = frame_of(self.identity, self.transaction_id, self._run.number)
            self.ready.set_result(None)
            return
        self.acknowledged += 1
        now_s = perf_counter()
        self._run.answered(now_s, now_s - self._due_at_s)
        if self._due:
            self._send_next(self._due.popleft())
        elif self._run.is_saturating:
            self._send_next(now_s)
        else:
            self._run.fell_silent()

    def lost(self, why: str) -> None:
        if not self._run.is_over:
            sys.exit(f"{self.identity} lost its connection: {why}")

    def due(self, at_s: float) -> None:
        """To be sent now, or as soon as the message before it is answered; the time counts from now on."""
        if self.waiting_for:
            self._due.append(at_s)
        else:
            self._send_next(at_s)

    def _send_next(self, due_at_s: float) -> None:
        self._due_at_s = due_at_s
        self.register_wh += 3
        number = self.acknowledged + 1
        self.waiting_for = b"-%012d" % number
        values = (number, self._run.time_text(), self.register_wh, 7000 + number % 400, 10 + number % 6)
        self.send_frame(self._frame % values)


def frame_of(identity: str, transaction_id: int, run: int) -> bytes:
    """A whole websocket frame; left open are message number, time, register, power and current, each of
    a fixed width."""
    fixed = {"context": "Sample.Periodic", "format": "Raw", "location": "Outlet"}
    samples = [
        {"value": "%09d", "measurand": "Energy.Active.Import.Register", "unit": "Wh", **fixed},
        {"value": "%05d.5", "measurand": "Power.Active.Import", "unit": "W", **fixed},
    ]
    for number, phase in enumerate(("L1", "L2", "L3"), 1):
        current = "%02d.25" if phase == "L1" else f"1{number}.31"
        of_phase = (
            ("Current.Import", current, "A"),
            ("Voltage", f"23{number}.4", "V"),
            ("Power.Active.Import", f"24{number}0.6", "W"),
        )
        for measurand, value, unit in of_phase:
            samples.append({"value": value, "measurand": measurand, "phase": phase, "unit": unit, **fixed})
    samples.append(
        {"value": "41.5", "measurand": "Temperature", "unit": "Celsius", **fixed, "location": "Body"}
    )
    payload = {
        "connectorId": 1,
        "transactionId": transaction_id,
        "meterValue": [{"timestamp": "%s", "sampledValue": samples}],
    }
    id = f"{identity:.14}-{run:08x}-%012d"
    text = json.dumps([2, id, "MeterValues", payload], separators=(",", ":")).encode()
    example = text % (1, b"2026-01-01T00:00:00.000Z", 1, 1, 1)
    return header(TEXT, len(example)).replace(b"%", b"%%") + text


def _itself(station: Station) -> Station:
    return station


class Run:
    """One measurement with its stations."""

    def __init__(self, port: int, stations: int, server_pid: int | None) -> None:
        self.number = int(time()) & 0xFFFFFFFF
        self.is_saturating = self.is_over = False
        self._is_measuring = self._is_draining = False
        self._all_answered = asyncio.Event()
        self._port, self._server_pid, self._count = port, server_pid, stations
        self._stations: list[Station] = []
        self._latencies_s: list[float] = []
        self._second, self._second_text = 0, b""

    def answered(self, _now_s: float, latency_s: float) -> None:
        if self._is_measuring:
            self._latencies_s.append(latency_s)

    def fell_silent(self) -> None:
        """A station sends nothing more for now."""
        if self._is_draining and not any(station.waiting_for for station in self._stations):
            self._all_answered.set()

    def time_text(self) -> bytes:
        now = time()
        second = int(now)
        if second != self._second:
            self._second = second
            self._second_text = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S").encode()
        return b"%s.%03dZ" % (self._second_text, int((now - second) * 1000))

    async def measure(self, warm_up_s: float, seconds: float, rate: float | None) -> Load:
        """rate: messages per second of all stations together; None = as fast as they are answered."""
        sending = asyncio.create_task(self._send_steadily(rate) if rate else self._saturate())
        await asyncio.sleep(warm_up_s)
        self._latencies_s.clear()
        self._is_measuring, started_s = True, perf_counter()
        cpu_s, server_s, waited_s = process_time(), *self._server_s()
        await asyncio.sleep(seconds)
        self._is_measuring, lasted_s = False, perf_counter() - started_s
        cpu_s, used_s, kept_waiting_s = process_time() - cpu_s, *self._server_s()
        sending.cancel()
        self.is_saturating = False
        await self._drain()
        ordered = sorted(self._latencies_s)
        return Load(
            messages=len(ordered),
            seconds=lasted_s,
            p50_ms=1000 * ordered[len(ordered) // 2],
            p99_ms=1000 * ordered[len(ordered) * 99 // 100],
            worst_ms=1000 * ordered[-1],
            client_cpu=cpu_s / lasted_s,
            server_cpu=(used_s - server_s) / lasted_s,
            server_waited=(kept_waiting_s - waited_s) / lasted_s,
            acknowledged={
                s.identity: (s.transaction_id, s.acknowledged, s.register_wh) for s in self._stations
            },
        )

    async def connect(self) -> None:
        loop = asyncio.get_running_loop()
        self._stations = [Station(f"BENCH{n:05}", self) for n in range(self._count)]
        for first in range(0, len(self._stations), CONNECTING_AT_ONCE):
            some = self._stations[first : first + CONNECTING_AT_ONCE]
            for station in some:
                await loop.create_connection(partial(_itself, station), "127.0.0.1", self._port)
            await asyncio.wait_for(asyncio.gather(*(station.ready for station in some)), ANSWER_TIMEOUT_S)

    async def _saturate(self) -> None:
        self.is_saturating = True
        for station in self._stations:
            station.due(perf_counter())

    async def _send_steadily(self, rate: float) -> None:
        """Evenly: the stations one after the other. What comes late is counted from when it was due."""
        began_s, sent = perf_counter(), 0
        while True:
            while (due_s := began_s + sent / rate) <= perf_counter():
                self._stations[sent % len(self._stations)].due(due_s)
                sent += 1
            await asyncio.sleep(max(0.001, due_s - perf_counter()))

    async def _drain(self) -> None:
        """Until all that was sent is answered."""
        self._is_draining = True
        self.fell_silent()
        await asyncio.wait_for(self._all_answered.wait(), ANSWER_TIMEOUT_S)
        self._is_draining = False
        self._all_answered.clear()

    def _server_s(self) -> tuple[float, float]:
        """Processor time the server has used, and has waited for."""
        if self._server_pid is None:
            return 0.0, 0.0
        return cpu_s_of(self._server_pid), waited_s_of(self._server_pid)


async def _turns(given: argparse.Namespace) -> None:
    run = Run(given.port, given.stations, given.server_pid)
    await run.connect()
    await asyncio.sleep(given.settle)
    print(flush=True)
    while seconds := await asyncio.to_thread(sys.stdin.readline):
        load = await run.measure(given.warm_up, float(seconds), given.rate)
        print(json.dumps(asdict(load)), flush=True)
    run.is_over = True


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--port", type=int, required=True)
    options.add_argument("--stations", type=int, default=500)
    options.add_argument("--settle", type=float, default=0.0, help="seconds of silence when all are there")
    options.add_argument("--warm-up", type=float, default=2.0, help="seconds of a turn before it counts")
    options.add_argument(
        "--rate", type=float, help="messages per second in all; default: as fast as they can"
    )
    options.add_argument("--server-pid", type=int, help="to measure its processor time as well")
    given = options.parse_args()
    gc.disable()
    uvloop.run(_turns(given))


if __name__ == "__main__":
    main()
