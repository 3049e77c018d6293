"""A house with a garage, and the API over real HTTP."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import uvicorn

from csms.api.application import create_api
from csms.services.bundle import Services

# Made once: by itself each client loads the authorities of the machine, which takes longer than most stories.
NO_AUTHORITIES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def rest_client(address: str = "", token: str | None = None) -> httpx.AsyncClient:
    """A client over plain HTTP."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.AsyncClient(
        base_url=address, headers=headers, trust_env=False, timeout=60, verify=NO_AUTHORITIES
    )


@asynccontextmanager
async def serving(services: Services) -> AsyncIterator[str]:
    """The API's address. Connections wait in the socket's queue until the server takes them."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    config = uvicorn.Config(create_api(services), log_level="warning", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task


@dataclass
class Api:
    """A client for each role."""

    services: Services
    address: str
    admin: httpx.AsyncClient
    operator: httpx.AsyncClient
    viewer: httpx.AsyncClient
    nobody: httpx.AsyncClient


def house(**parts: Any) -> dict[str, Any]:
    """A small site as the API takes it; `parts` replace whole lists."""
    site: dict[str, Any] = {
        "site": {"id": "home", "name": "Sonnenweg 4", "timezone": "Europe/Zurich"},
        "circuit": [
            {"id": "main", "limit_a": [40, 40, 40]},
            {"id": "garage", "parent": "main", "limit_a": [32, 32, 32]},
        ],
        "meter": [{"id": "grid", "role": "grid", "driver": "modbus", "model": "eastron_sdm630", "host": "m"}],
        "relay_module": [{"id": "io1", "driver": "modbus", "model": "wellpro_wp8024adam", "host": "r"}],
        "appliance": [
            {
                "id": "boiler",
                "kind": "water_heater",
                "circuit": "main",
                "mode": "solar_and_timer",
                "windows": [{"days": "mon-sun", "from": "02:00", "to": "05:00"}],
                "steps": [
                    {"relays": ["io1/1"], "power_w": 1000, "phases": ["L1"]},
                    {"relays": ["io1/2"], "power_w": 1000, "phases": ["L2"]},
                ],
            }
        ],
        "charge_point": [{"id": "CP1", "circuit": "garage", "connectors": [{"id": 1, "max_a": 16}]}],
    }
    return site | parts
