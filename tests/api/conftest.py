from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from api_builders import Api, house, rest_client, serving

from tests.services_on_file import SetClock, running_services


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    """The API over real HTTP, with the house `home` described."""
    async with AsyncExitStack() as stack:
        services = await stack.enter_async_context(running_services(tmp_path, SetClock()))
        address = await stack.enter_async_context(serving(services))
        clients = {}
        for role in ("admin", "operator", "viewer", None):
            token = await services.accounts.create_token("test", role) if role else None
            clients[role or "nobody"] = await stack.enter_async_context(rest_client(address, token))
        created = await clients["admin"].put("/api/v1/sites/home", json=house())
        assert created.status_code == 201, created.text
        yield Api(services, address, **clients)
