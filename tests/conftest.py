"""Fixtures for every folder of tests.

This folder is a package (`from tests.services_on_file import …`), the folders in it are not: with it on the
import path, tests/drivers would pass for drivers.
"""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from csms.storage.database import Database
from tests.empty_database import migrated


def pytest_collection_finish() -> None:
    """What was imported stays: to look through it for garbage, again and again, took a tenth of the time."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite+aiosqlite:///{tmp_path / 'csms.db'}"


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    database = Database(migrated(url))
    await database.start()
    yield database
    await database.stop()
