"""kill -9 at any moment: what was acknowledged is there, and what is repeated counts once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from acknowledging_server import STATIONS
from central_backend import Backend, later, open_backend, start

HERE = Path(__file__).parent


def acknowledged_until_killed(url: str, lines: int) -> list[tuple[str, str, int, int]]:
    """(kind, identity, n, transaction id) of what the process acknowledged before it was killed."""
    process = subprocess.Popen(
        [sys.executable, str(HERE / "acknowledging_server.py"), url],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{HERE}{os.pathsep}{HERE.parents[1]}"},
    )
    assert process.stdout is not None
    said = [process.stdout.readline() for _ in range(lines)]
    process.send_signal(signal.SIGKILL)
    said += process.stdout.read().splitlines(keepends=True)
    process.stdout.close()
    assert process.wait() == -signal.SIGKILL
    whole = [line.split()[1:] for line in said if line.startswith("acknowledged ") and line.endswith("\n")]
    return [(kind, identity, int(n), int(id)) for kind, identity, n, id in whole]


@pytest.mark.parametrize("lines", [40, 197, 800])
async def test_everything_acknowledged_is_there_exactly_once(url: str, lines: int) -> None:
    acknowledged = acknowledged_until_killed(url, lines)
    assert acknowledged
    backend = await open_backend(url)
    try:
        await check(backend, acknowledged)
    finally:
        await backend.stop()


async def check(backend: Backend, acknowledged: list[tuple[str, str, int, int]]) -> None:
    rows = {row["id"]: row for row in backend.rows("transactions")}
    read = {row["transaction_id"] for row in backend.rows("meter_values")}
    for kind, identity, n, transaction_id in acknowledged:
        row = rows[transaction_id]
        assert (row["identity"], row["meter_start_wh"]) == (identity, 100 * n)
        if kind == "meter":
            assert transaction_id in read
        if kind == "stop":
            assert row["meter_stop_wh"] == 100 * n + 80
    # Each station, not having heard the last answer, repeats its last start.
    for number in range(STATIONS):
        of_station = [row for row in rows.values() if row["identity"] == f"CP{number}"]
        if of_station:
            last = max(of_station, key=lambda row: row["id"])
            n = int(last["meter_start_wh"]) // 100
            again = await backend.say(
                "StartTransaction", start(later(minutes=n), 100 * n, "B"), identity=f"CP{number}"
            )
            assert again["transactionId"] == last["id"]
    assert len(backend.rows("transactions")) == len(rows)
