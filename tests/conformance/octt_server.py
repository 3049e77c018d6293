"""The server as an operator starts it: `csms serve` in its own process, on free ports, in an empty folder."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import httpx
import pytest

from csms.records import opened
from csms.settings import Settings
from tests.api import api_builders


@dataclass(frozen=True)
class OcttServer:
    """Where it listens, and an administrator's token."""

    data_dir: Path
    web_url: str
    port: int
    tls_port: int
    token: str

    def url(self, identity: str) -> str:
        return f"ws://127.0.0.1:{self.port}/ocpp/{identity}"

    def tls_url(self, identity: str) -> str:
        """By the name in the server's certificate."""
        return f"wss://localhost:{self.tls_port}/ocpp/{identity}"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def bearer(server: OcttServer) -> dict[str, str]:
    return {"Authorization": f"Bearer {server.token}"}


def rest_client(server: OcttServer) -> httpx.AsyncClient:
    return api_builders.rest_client(server.web_url, server.token)


@contextmanager
def running_csms(data_dir: Path, **settings: object) -> Iterator[OcttServer]:
    """settings: names as in the environment, in lower case and without CSMS_."""
    tls_port = free_port()
    given: dict[str, object] = {
        "data_dir": data_dir,
        "ocpp_host": "127.0.0.1",
        "ocpp_port": 0,
        "ocpp_tls_hostname": "localhost",
        "ocpp_tls_port": tls_port,
        "web_host": "127.0.0.1",
        "web_port": free_port(),
        "log_format": "json",
        **settings,
    }
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CSMS_")}
    environment |= {f"CSMS_{name.upper()}": str(value) for name, value in given.items()}
    token = asyncio.run(_new_token(data_dir))
    command = [sys.executable, "-m", "csms", "serve"]
    with subprocess.Popen(
        command, env=environment, cwd=data_dir.parent, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            port = _port_when_ready(process, data_dir.with_name("csms.log"))
            web_url = f"http://127.0.0.1:{given['web_port']}"
            yield OcttServer(data_dir, web_url, port, tls_port, token)
        finally:
            process.kill()


async def _new_token(data_dir: Path) -> str:
    """As `csms token create` makes one, without another process."""
    async with opened(Settings(_env_file=None, data_dir=data_dir)) as records:  # type: ignore[call-arg]
        return await records.accounts.create_token("conformance", "admin")


def _port_when_ready(process: subprocess.Popen[str], log: Path) -> int:
    """What it logs from then on is kept in a file."""
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if '"ready"' in line:
            threading.Thread(target=_keep, args=(process.stderr, log), daemon=True).start()
            return int(json.loads(line)["stations"].removeprefix("port ").split()[0].rstrip(","))
    pytest.fail("the server did not start:\n" + "".join(lines))


def _keep(lines: IO[str], log: Path) -> None:
    with log.open("w") as file:
        file.writelines(lines)
