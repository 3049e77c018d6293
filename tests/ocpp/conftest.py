from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from central_system_under_test import CentralSystem, central_system


@pytest.fixture
async def system(tmp_path: Path) -> AsyncIterator[CentralSystem]:
    """A central system that knows the station CP1 and refuses others."""
    async with central_system(tmp_path) as running:
        yield running
