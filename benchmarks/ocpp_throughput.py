"""Persisted MeterValues per second of one process, against what does less; latency at half of it."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.ocpp_load import Load
from benchmarks.server_process import ROOT, ServerProcess, central_system, rival, stored

STATIONS, STATIONS_AT_A_STEADY_RATE = 500, 1000
ROUNDS, SECONDS, WARM_UP_S = 3, 6.0, 2.0


def run() -> None:
    with TemporaryDirectory(prefix="csms-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        servers = {
            "csms": stack.enter_context(central_system(folder)),
            "stock": stack.enter_context(rival("stock", folder)),
            "echo": stack.enter_context(rival("echo", folder)),
        }
        print(f"{STATIONS} stations, each sending the next MeterValues when the last is answered")
        print(f"{'':8}{'per second':>11}{'p50':>9}{'p99':>9}{'server':>9}{'per message':>13}{'client':>8}")
        loads: dict[str, list[Load]] = {kind: [] for kind in servers}
        for _ in range(ROUNDS):
            for kind, server in servers.items():
                load = measure(server, STATIONS)
                loads[kind].append(load)
                print(row(kind, load), flush=True)
                if kind == "csms":
                    check(folder, load)
        per_second = {kind: median(load.per_second for load in some) for kind, some in loads.items()}
        print(
            f"{STATIONS_AT_A_STEADY_RATE} stations, in all {per_second['csms'] / 2:.0f} messages per second"
        )
        steady = measure(servers["csms"], STATIONS_AT_A_STEADY_RATE, rate=per_second["csms"] / 2)
        print(row("csms", steady), flush=True)
        check(folder, steady)
        print({kind: round(per_second["csms"] / per_second[kind], 2) for kind in per_second})


def row(kind: str, load: Load) -> str:
    cost_us = 1e6 * load.server_cpu / load.per_second
    return (
        f"{kind:8}{load.per_second:9.0f}/s{load.p50_ms:6.0f} ms{load.p99_ms:6.0f} ms{load.server_cpu:9.0%}"
        f"{cost_us:10.0f} µs{load.client_cpu:8.0%}"
    )


def measure(server: ServerProcess, stations: int, rate: float | None = None) -> Load:
    arguments = ["--port", str(server.port), "--stations", str(stations), "--server-pid", str(server.pid)]
    arguments += ["--seconds", str(SECONDS), "--warm-up", str(WARM_UP_S)]
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
