"""A database as a new server makes it: migrated once in a process, and copied from then on."""

from __future__ import annotations

import asyncio
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from csms.storage.database import upgrade

SQLITE = "sqlite+aiosqlite:///"


def migrated(url: str) -> str:
    """Put an empty database where `url` says; one that is there already stays as it is."""
    file = Path(url.removeprefix(SQLITE))
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
        file.write_bytes(_empty())
    return url


@cache
def _empty() -> bytes:
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(1) as thread:
        file = Path(folder) / "csms.db"
        thread.submit(asyncio.run, upgrade(f"{SQLITE}{file}")).result()  # a test's own loop may be running
        return file.read_bytes()
