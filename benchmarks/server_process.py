"""Servers to be measured: each a process on a port of its own, what it stores in a folder."""

from __future__ import annotations

import contextlib
import os
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
START_TIMEOUT_S = 30.0


class ServerProcess:
    """`start` returns when the port is listened on; `kill` is kill -9."""

    def __init__(self, arguments: list[str], port: int, folder: Path, **environment: str) -> None:
        self.port = port
        self._arguments, self._folder = [sys.executable, *arguments], folder
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("CSMS_")}
        self._environment = inherited | {"PYTHONPATH": str(ROOT)} | environment
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> Path:
        return self._folder / f"{self.port}.log"

    def start(self) -> None:
        """Raises: RuntimeError with the end of the server's log, if it does not come up."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._arguments, cwd=self._folder, env=self._environment, stdout=log, stderr=log
            )
        patience_s = time.monotonic() + START_TIMEOUT_S
        while not _is_listened_on(self.port):
            if self._process.poll() is not None or time.monotonic() > patience_s:
                self.kill()
                raise RuntimeError(f"{self._arguments} did not start:\n{self.log.read_text()[-2000:]}")
            time.sleep(0.02)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def memory_bytes(self) -> int:
        """What it has in RAM."""
        resident = Path(f"/proc/{self.pid}/statm").read_text().split()[1]
        return int(resident) * os.sysconf("SC_PAGE_SIZE")

    def cpu_s(self) -> float:
        return cpu_s_of(self.pid)

    def __enter__(self) -> ServerProcess:
        self.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.kill()


def central_system(folder: Path) -> ServerProcess:
    """`csms serve` as it is installed: SQLite, frame log, page and control loop, without a site."""
    port, web_port = free_port(), free_port()
    return ServerProcess(
        ["-m", "csms", "serve"],
        port,
        folder,
        CSMS_DATA_DIR=str(folder),
        CSMS_OCPP_HOST="127.0.0.1",
        CSMS_OCPP_PORT=str(port),
        CSMS_WEB_HOST="127.0.0.1",
        CSMS_WEB_PORT=str(web_port),
        CSMS_UNKNOWN_CHARGE_POINTS="accept",
        CSMS_LOG_LEVEL="WARNING",
    )


def rival(kind: str, folder: Path, *more: str) -> ServerProcess:
    port = free_port()
    return ServerProcess(["-m", "benchmarks.ocpp_rivals", kind, "--port", str(port), *more], port, folder)


@contextlib.contextmanager
def stored(folder: Path) -> Iterator[sqlite3.Connection]:
    """What the central system has committed in its folder; also while it runs."""
    with contextlib.closing(sqlite3.connect(f"file:{folder / 'csms.db'}?mode=ro", uri=True)) as database:
        yield database


def cpu_s_of(pid: int) -> float:
    """Processor time that a process has used, all its threads together."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def waited_s_of(pid: int) -> float:
    """How long its main thread has been ready to run but had no processor: others had them. 0 = not known."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except OSError:
        return 0.0


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _is_listened_on(port: int) -> bool:
    with socket.socket() as prober:
        return prober.connect_ex(("127.0.0.1", port)) == 0
