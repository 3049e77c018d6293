from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from secure_system import System, secure_system


@pytest.fixture
async def system(tmp_path: Path) -> AsyncIterator[System]:
    """A central system with ws and wss that knows the station CP1 and refuses others."""
    async with secure_system(tmp_path) as running:
        yield running
