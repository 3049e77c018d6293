"""Modes and targets that hold until a vehicle is unplugged: kept, and forgotten when it is.

"Full until unplugged", "20 kWh by seven". They hold for the vehicle that is there, or for the next one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from typing import Any

from csms.clock import Clock
from csms.domain.plug_in_wish import NO_WISH, PLUGGED_STATES, PlugInWish
from csms.services.events import EventBus
from csms.storage import plug_in_wishes as storage
from csms.storage.database import Database


class PlugInWishes:
    """Each change is committed first, then seen here, then told: events "load.mode", "load.target" and, when
    a vehicle goes, "load.unplugged"."""

    def __init__(self, database: Database, clock: Clock, events: EventBus) -> None:
        self._database, self._clock, self._events = database, clock, events
        self._wishes: dict[tuple[str, str], PlugInWish] = {}
        self._change = asyncio.Lock()

    async def start(self) -> None:
        async with self._database.read() as conn:
            self._wishes = await storage.load_all(conn)

    def of(self, site_id: str, load_id: str) -> PlugInWish:
        return self._wishes.get((site_id, load_id), NO_WISH)

    async def set_mode(self, site_id: str, load_id: str, mode: str | None, manual: Any = None) -> None:
        """None: as otherwise, again."""
        async with self._change:
            wish = self.of(site_id, load_id)
            if mode is None and wish.mode is None:
                return
            await self._keep(site_id, load_id, replace(wish, mode=mode, manual=manual))
            self._tell("load.mode", site_id, load_id, mode=mode, manual=manual, until="unplugged")

    async def set_target(
        self, site_id: str, load_id: str, departs_at: datetime | None, requested_wh: float | None
    ) -> None:
        async with self._change:
            wish = self.of(site_id, load_id)
            await self._keep(
                site_id, load_id, replace(wish, departs_at=departs_at, requested_wh=requested_wh)
            )
            told_at = departs_at.isoformat() if departs_at else None
            self._tell("load.target", site_id, load_id, departs_at=told_at, requested_wh=requested_wh)

    async def see(self, site_id: str, load_id: str, state: str) -> None:
        """Take in what the connector is doing now: its wish is over once the cable is out again."""
        wish = self.of(site_id, load_id)
        if wish.is_empty() or wish.was_plugged == (state in PLUGGED_STATES):
            return
        async with self._change:
            wish = self.of(site_id, load_id)
            if wish.was_plugged and state == "free":
                await self._keep(site_id, load_id, NO_WISH)
                self._tell("load.unplugged", site_id, load_id)
            elif not wish.was_plugged and state in PLUGGED_STATES:
                await self._keep(site_id, load_id, replace(wish, was_plugged=True))

    def forget(self, site_id: str, kept: Collection[str] = ()) -> None:
        """The site has changed or is gone; the database has forgotten them already."""
        gone = [key for key in self._wishes if key[0] == site_id and key[1] not in kept]
        for key in gone:
            del self._wishes[key]

    async def _keep(self, site_id: str, load_id: str, wish: PlugInWish) -> None:
        if wish.is_empty():
            await self._database.write(lambda conn: storage.remove(conn, site_id, load_id))
            self._wishes.pop((site_id, load_id), None)
            return
        now = self._clock.now()
        await self._database.write(lambda conn: storage.save(conn, site_id, load_id, wish, now))
        self._wishes[site_id, load_id] = wish

    def _tell(self, kind: str, site_id: str, load_id: str, **data: Any) -> None:
        self._events.publish(kind, self._clock.now(), site_id=site_id, load_id=load_id, **data)
