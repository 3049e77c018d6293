"""Remembers how many phases the vehicle of each badge uses: the event "connector.phases_seen" tells.

The next session with it begins with as much sun as these phases need, and is measured anew. The tag of
sessions without a badge stands for any vehicle, and nothing is remembered of it.
"""

from __future__ import annotations

from collections.abc import Callable

from csms.clock import Clock
from csms.services.charge_points import ChargePoints
from csms.services.events import Event, EventBus, Listener
from csms.storage import tag_phases as storage
from csms.storage.database import Database


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
        self._clock, self._stands_for_any = clock, stands_for_any
        self._listener = Listener(events, "phases of tags", ("connector.phases_seen",), self._learn)

    async def start(self) -> None:
        self._listener.start()

    async def stop(self) -> None:
        await self._listener.stop()

    async def _learn(self, event: Event) -> None:
        identity, phases = str(event.data["identity"]), int(event.data["phases"])
        running = self._charge_points.station(identity).connector(event.data["connector_id"]).transaction
        if running is None or running.id != event.data["transaction_id"]:
            return
        running.usual_phases = phases
        id_tag, now = running.id_tag, self._clock.now()
        if id_tag and not self._stands_for_any(identity, id_tag):
            await self._database.write(lambda conn: storage.save(conn, id_tag, phases, now))
