from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from operated_station import House, Station, running_house


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with running_house(tmp_path) as running:
        yield running


@pytest.fixture
async def station(house: House) -> Station:
    """CP1, connected."""
    return await house.arrives()
