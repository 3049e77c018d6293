"""Remembers how many phases the vehicle of each badge uses: the event "connector.phases_seen" tells.

The next session with it begins with as much sun as these phases need, and is measured anew. The tag of
sessions without a badge stands for any vehicle, and nothing is remembered of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from csms.clock import Clock
from csms.services.charge_points import ChargePoints
from csms.services.events import Event, EventBus
from csms.storage import tag_phases as storage
from csms.storage.database import STORAGE_FAULTS, Database

log = structlog.get_logger()


class TagPhases:
    """stands_for_any(identity, id tag): it is no vehicle's own."""

    def __init__(
        self,
        database: Database,
        charge_points: ChargePoints,
        events: EventBus,
        clock: Clock,
        stands_for_any: Callable[[str, str], bool],
    ) -> None:
        self._database, self._charge_points = database, charge_points
        self._events, self._clock, self._stands_for_any = events, clock, stands_for_any
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        ready = asyncio.Event()
        self._task = asyncio.create_task(self._listen(ready), name="phases of tags")
        await ready.wait()

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _listen(self, ready: asyncio.Event) -> None:
        async with self._events.subscribe("connector.phases_seen") as queue:
            ready.set()
            while True:
                event = await queue.get()
                try:
                    await self._learn(event)
                except STORAGE_FAULTS as error:
                    log.error("phases of a tag not stored", why=str(error))

    async def _learn(self, event: Event) -> None:
        identity, phases = str(event.data["identity"]), int(event.data["phases"])
        running = self._charge_points.station(identity).connector(event.data["connector_id"]).transaction
        if running is None or running.id != event.data["transaction_id"]:
            return
        running.usual_phases = phases
        id_tag, now = running.id_tag, self._clock.now()
        if id_tag and not self._stands_for_any(identity, id_tag):
            await self._database.write(lambda conn: storage.save(conn, id_tag, phases, now))
