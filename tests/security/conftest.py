import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from secure_system import System, secure_system


@pytest.fixture(scope="session")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder a central system leaves after its first run: most of its time goes into making keys."""
    folder = tmp_path_factory.mktemp("first_run")

    async def run() -> None:
        async with secure_system(folder):
            pass

    asyncio.run(run())
    return folder


@pytest.fixture
async def system(first_run: Path, tmp_path: Path) -> AsyncIterator[System]:
    """A central system with ws and wss that knows the station CP1 and refuses others."""
    shutil.copytree(first_run, tmp_path, dirs_exist_ok=True)
    async with secure_system(tmp_path) as running:
        yield running
