"""Persisted MeterValues per second of one process, against what does less; latency at half of it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.figures import Figure, at_least, at_most
from benchmarks.ocpp_load import Load
from benchmarks.server_process import ROOT, ServerProcess, central_system, rival, stored

STATIONS, STEADY_STATIONS = 500, 1000
BUSY = 0.15  # share of the time that ours waits for a processor
HEADING = (
    f"{'':10}{'per second':>11}{'p50':>9}{'p99':>9}{'server':>9}{'waited':>8}{'per message':>13}{'client':>8}"
)
TURNS, SECONDS, WARM_UP_S = 12, 2.0, 0.8
STEADY_TURNS, STEADY_S = 3, 6.0
SETTLE_S = 10.0  # a station that connects is asked and told some things after 5 s, once

Loads = dict[str, list[Load]]


class LoadProcess:
    """The stations of one server, which send when they are told to."""

    def __init__(self, server: ServerProcess, stations: int, rate: float | None = None) -> None:
        arguments = ["--port", str(server.port), "--stations", str(stations), "--server-pid", str(server.pid)]
        arguments += ["--warm-up", str(WARM_UP_S), "--settle", str(SETTLE_S)]
        arguments += ["--rate", str(rate)] if rate else []
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.ocpp_load", *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> LoadProcess:
        """Returns when all are connected, and asked what the server asks new ones."""
        self._line()
        return self

    def __exit__(self, *_: Any) -> None:
        self._process.communicate()

    def turn(self, seconds: float) -> Load:
        assert self._process.stdin is not None
        print(seconds, file=self._process.stdin, flush=True)
        return Load(**json.loads(self._line()))

    def _line(self) -> str:
        assert self._process.stdout is not None
        if not (line := self._process.stdout.readline()):
            raise RuntimeError("the stations have given up, see above")
        return line


def run(turns: int = TURNS) -> list[Figure]:
    with TemporaryDirectory(prefix="csms-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        csms = stack.enter_context(central_system(folder))
        loads = _in_turns(folder, csms, turns)
        rate = _middle(loads["csms"], lambda load: load.per_second) / 2
        print(f"{STEADY_STATIONS} stations, {rate:.0f} messages per second in all, evenly spread")
        with LoadProcess(csms, STEADY_STATIONS, rate) as stations:
            steady = [stations.turn(STEADY_S) for _ in range(STEADY_TURNS)]
        for load in steady:
            print(row("csms", [load]))
        check(folder, steady[-1])
    p99_ms = _middle(steady, lambda load: load.p99_ms)
    return [*_compared(loads), at_most(f"p99 with {STEADY_STATIONS} stations", p99_ms, 250, " ms", 0)]


def _in_turns(folder: Path, csms: ServerProcess, turns: int) -> Loads:
    """How fast a shared machine is changes within minutes, so the servers take short turns."""
    with ExitStack() as stack:
        servers = {
            "csms": csms,
            "stock": stack.enter_context(rival("stock", folder)),
            "echo": stack.enter_context(rival("echo", folder)),
            "stock uv": stack.enter_context(rival("stock", folder, "--uvloop")),
            "echo uv": stack.enter_context(rival("echo", folder, "--uvloop")),
        }
        all_stations = {
            kind: stack.enter_context(LoadProcess(server, STATIONS)) for kind, server in servers.items()
        }
        loads: Loads = {kind: [] for kind in servers}
        for _ in range(turns):
            for kind, stations in all_stations.items():
                loads[kind].append(stations.turn(SECONDS))
            check(folder, loads["csms"][-1])
    print(
        f"{STATIONS} stations, each sending the next MeterValues when the last is answered: middle of {turns}"
    )
    print(HEADING)
    for kind, some in loads.items():
        print(row(kind, some))
    return loads


def _middle(loads: list[Load], value: Callable[[Load], float]) -> float:
    return median(map(value, loads))


def _compared(loads: Loads) -> list[Figure]:
    """Each turn of ours with the turns beside it. Processor time is less disturbed by other programs."""

    def ratios(kind: str, value: Callable[[Load], float]) -> list[float]:
        pairs = zip(loads["csms"], loads[kind], strict=True)
        return [value(ours) / value(theirs) for ours, theirs in pairs]

    def speed(load: Load) -> float:
        return load.per_second

    def thrift(load: Load) -> float:
        return 1 / load.server_cost_us

    stock, echo = ratios("stock", speed), ratios("echo", speed)
    if (waited := _middle(loads["csms"], lambda load: load.server_waited)) > BUSY:
        print(f"others use this machine: csms had no processor {waited:.0%} of the time, all is too slow")
    costs_us = _middle(loads["csms"], lambda load: load.server_cost_us)
    return [
        Figure(
            f"MeterValues stored per second, {STATIONS} stations",
            f"{_middle(loads['csms'], speed):.0f}, {costs_us:.0f} µs of processor each",
        ),
        at_least("… against the stock `ocpp` routing without a database", median(stock), 8, " ×"),
        at_least("… against a bare `websockets` JSON echo", 100 * median(echo), 50, " %", 0),
        Figure("half of the turns were between", f"{_half(stock, '.1f')} × and {_half(echo, '.0%')}"),
        Figure(
            "the same by processor time per message",
            f"{median(ratios('stock', thrift)):.1f} × and {median(ratios('echo', thrift)):.0%}",
        ),
        Figure(
            "the same against both on uvloop, by messages per second",
            f"{median(ratios('stock uv', speed)):.1f} × and {median(ratios('echo uv', speed)):.0%}",
        ),
    ]


def _half(ratios: list[float], how: str) -> str:
    """Between which values the middle half of them is."""
    quarter, _, three_quarters = quantiles(ratios, n=4)
    return f"{quarter:{how}}-{three_quarters:{how}}"


def row(kind: str, loads: list[Load]) -> str:
    def middle(value: Callable[[Load], float]) -> float:
        return _middle(loads, value)

    return (
        f"{kind:10}{middle(lambda load: load.per_second):9.0f}/s"
        f"{middle(lambda load: load.p50_ms):6.0f} ms{middle(lambda load: load.p99_ms):6.0f} ms"
        f"{middle(lambda load: load.server_cpu):9.0%}{middle(lambda load: load.server_waited):8.0%}"
        f"{middle(lambda load: load.server_cost_us):10.0f} µs{middle(lambda load: load.client_cpu):8.0%}"
    )


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
