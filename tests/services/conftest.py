from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from central_backend import Backend, HandClock, open_backend
from described_home import home

from csms.services.events import EventBus
from csms.services.sites import Sites
from csms.storage.database import Database


@pytest.fixture
async def backend(url: str) -> AsyncIterator[Backend]:
    backend = await open_backend(url)
    yield backend
    await backend.stop()


@pytest.fixture
def events() -> EventBus:
    return EventBus()


@pytest.fixture
async def sites(database: Database, events: EventBus) -> Sites:
    """They know the described home."""
    sites = Sites(database, HandClock(), events)
    await sites.start()
    await sites.apply(home())
    return sites
