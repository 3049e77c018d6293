from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from central_backend import Backend, open_backend


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite+aiosqlite:///{tmp_path / 'csms.db'}"


@pytest.fixture
async def backend(url: str) -> AsyncIterator[Backend]:
    backend = await open_backend(url)
    yield backend
    await backend.stop()
