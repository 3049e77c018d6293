"""Persisted MeterValues per second of one process, against what does less; latency at half of it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.figures import Figure, at_least, at_most
from benchmarks.ocpp_load import Load
from benchmarks.server_process import ROOT, ServerProcess, central_system, rival, stored

STATIONS, STEADY_STATIONS = 500, 1000
BUSY = 0.15  # share of the time that ours waits for a processor
HEADING = (
    f"{'':8}{'per second':>11}{'p50':>9}{'p99':>9}{'server':>9}{'waited':>8}{'per message':>13}{'client':>8}"
)
ROUNDS, SECONDS, WARM_UP_S = 3, 5.0, 1.5
SETTLE_S = 10.0  # a station that connects is asked and told some things after 5 s, once


def run(rounds: int = ROUNDS) -> list[Figure]:
    with TemporaryDirectory(prefix="csms-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        servers = {
            "csms": stack.enter_context(central_system(folder)),
            "stock": stack.enter_context(rival("stock", folder)),
            "echo": stack.enter_context(rival("echo", folder)),
            "stock uv": stack.enter_context(rival("stock", folder, "--uvloop")),
            "echo uv": stack.enter_context(rival("echo", folder, "--uvloop")),
        }
        print(f"{STATIONS} stations, each sending the next MeterValues when the last is answered")
        print(HEADING)
        loads: dict[str, list[Load]] = {kind: [] for kind in servers}
        for _ in range(rounds):
            for kind, server in servers.items():
                loads[kind].append(_shown(kind, measure(server, STATIONS)))
                if kind == "csms":
                    check(folder, loads[kind][-1])
        rate = median(load.per_second for load in loads["csms"]) / 2
        print(f"{STEADY_STATIONS} stations, {rate:.0f} messages per second in all, evenly spread")
        steady = _shown("csms", measure(servers["csms"], STEADY_STATIONS, rate))
        check(folder, steady)
    return [*_compared(loads), at_most(f"p99 with {STEADY_STATIONS} stations", steady.p99_ms, 250, " ms", 0)]


def _compared(loads: dict[str, list[Load]]) -> list[Figure]:
    """Medians over the rounds. Processor time is less disturbed by whatever else runs on the machine."""

    def ratio(kind: str, value: Callable[[Load], float]) -> float:
        pairs = zip(loads["csms"], loads[kind], strict=True)
        return median(value(ours) / value(theirs) for ours, theirs in pairs)

    def speed(load: Load) -> float:
        return load.per_second

    def thrift(load: Load) -> float:
        return 1 / load.server_cost_us

    costs_us = median(load.server_cost_us for load in loads["csms"])
    if (waited := median(load.server_waited for load in loads["csms"])) > BUSY:
        print(f"others use this machine: csms had no processor {waited:.0%} of the time, all is too slow")
    return [
        Figure(
            f"MeterValues stored per second, {STATIONS} stations",
            f"{median(map(speed, loads['csms'])):.0f}, {costs_us:.0f} µs of processor each",
        ),
        at_least("… against the stock `ocpp` routing without a database", ratio("stock", speed), 8, " ×"),
        at_least("… against a bare `websockets` JSON echo", 100 * ratio("echo", speed), 50, " %", 0),
        Figure(
            "the same by processor time per message",
            f"{ratio('stock', thrift):.1f} × and {ratio('echo', thrift):.0%}",
        ),
        Figure(
            "the same against both on uvloop, by messages per second",
            f"{ratio('stock uv', speed):.1f} × and {ratio('echo uv', speed):.0%}",
        ),
    ]


def _shown(kind: str, load: Load) -> Load:
    print(row(kind, load), flush=True)
    return load


def row(kind: str, load: Load) -> str:
    return (
        f"{kind:8}{load.per_second:9.0f}/s{load.p50_ms:6.0f} ms{load.p99_ms:6.0f} ms{load.server_cpu:9.0%}"
        f"{load.server_waited:8.0%}"
        f"{load.server_cost_us:10.0f} µs{load.client_cpu:8.0%}"
    )


def measure(server: ServerProcess, stations: int, rate: float | None = None) -> Load:
    arguments = ["--port", str(server.port), "--stations", str(stations), "--server-pid", str(server.pid)]
    arguments += ["--seconds", str(SECONDS), "--warm-up", str(WARM_UP_S), "--settle", str(SETTLE_S)]
    arguments += ["--rate", str(rate)] if rate else []
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.ocpp_load", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return Load(**json.loads(done.stdout))


def check(folder: Path, load: Load) -> None:
    """Each message that was acknowledged is in the database, once; else the figures are worth nothing."""
    query = (
        "SELECT m.identity, m.transaction_id, count(*), count(DISTINCT m.dedup_key), max(m.energy_wh),"
        " t.last_register_wh FROM meter_values m JOIN transactions t ON t.id = m.transaction_id"
        " WHERE t.identity = m.identity GROUP BY 1, 2"
    )
    with stored(folder) as database:
        kept = {(identity, id): values for identity, id, *values in database.execute(query)}
    for identity, (transaction_id, messages, register_wh) in load.acknowledged.items():
        expected = [messages, messages, register_wh, register_wh]
        found = kept.get((identity, transaction_id), [0, 0, None, None])
        if found != expected and messages:
            raise RuntimeError(
                f"{identity}, transaction {transaction_id}: {expected} expected, stored {found}"
            )
