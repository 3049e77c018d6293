from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from station_being_asked import Server, running_server


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with running_server(tmp_path) as server:
        yield server
