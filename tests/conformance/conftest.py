"""One server for all cases of a process; every case has a station of its own, named after it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any
from zlib import crc32

import httpx
import pytest
from octt_server import OcttServer, bearer, rest_client, running_csms
from octt_station import ID_TAGS, Connect, OcttStation, Operator, dial


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OcttServer]:
    """Any station may come, and none is asked anything that no operator asks for."""
    folder = tmp_path_factory.mktemp("conformance") / "var"
    with running_csms(folder, unknown_charge_points="accept", conformance_mode=True) as server:
        with httpx.Client(base_url=server.web_url, headers=bearer(server), trust_env=False) as client:
            for id_tag, body in ID_TAGS.items():
                assert client.put(f"/api/v1/id-tags/{id_tag}", json=body).status_code == 201
        yield server


@pytest.fixture
async def operator(server: OcttServer) -> AsyncIterator[Operator]:
    async with rest_client(server) as client:
        yield Operator(client)


@pytest.fixture
def identity(request: pytest.FixtureRequest) -> str:
    """TC_004_1 and the like: the case's own station."""
    words = str(request.node.name).removeprefix("test_").split("_")
    number = [word for word in words[1:3] if word.isdigit()]
    return "_".join(["TC", *number]) if number else f"CP_{crc32(request.node.name.encode()):08x}"


@pytest.fixture
async def connect(server: OcttServer, identity: str) -> AsyncIterator[Connect]:
    """Connect the case's station, once or again. At the end of the case nothing may have come unasked."""
    stations: list[OcttStation] = []

    async def connect(url: str | None = None, **options: Any) -> OcttStation:
        station = OcttStation(identity, await dial(url or server.url(identity), **options))
        stations.append(station)
        return station

    yield connect
    for station in stations:
        await station.finish()


@pytest.fixture
async def station(connect: Connect) -> OcttStation:
    """Connected, booted, all connectors available."""
    station = await connect()
    await station.boot()
    return station
