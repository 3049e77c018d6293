"""The database with its sites and accounts, for commands: nothing listens and nobody is asked."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from csms.clock import SystemClock
from csms.errors import StartupError
from csms.services.accounts import Accounts
from csms.services.events import EventBus
from csms.services.sites import Sites
from csms.settings import Settings
from csms.site_file import take_device_files
from csms.storage.database import Database, upgrade


@dataclass(frozen=True, slots=True)
class Records:
    sites: Sites
    accounts: Accounts


@contextlib.asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Records]:
    """Raises StartupError."""
    take_device_files(settings)
    await prepare_database(settings)
    database, clock, events = Database(settings.effective_database_url()), SystemClock(), EventBus()
    records = Records(Sites(database, clock, events), Accounts(database, clock, events))
    await database.start()
    try:
        await records.sites.start()
        yield records
    finally:
        await database.stop()


async def prepare_database(settings: Settings) -> None:
    """The embedded database is made and migrated here. Raises StartupError."""
    url = settings.effective_database_url()
    if settings.nats_url is not None:
        raise StartupError("CSMS_NATS_URL is set: this version runs as a single node, unset it")
    if not url.startswith("sqlite+aiosqlite:"):
        raise StartupError(
            "CSMS_DATABASE_URL: this version keeps its data in SQLite, sqlite+aiosqlite:///FILE expected"
        )
    await upgrade(url)
