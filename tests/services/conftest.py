from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from central_backend import Backend, open_backend


@pytest.fixture
async def backend(url: str) -> AsyncIterator[Backend]:
    backend = await open_backend(url)
    yield backend
    await backend.stop()
