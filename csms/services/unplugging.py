"""Watches connectors for vehicles that come and go, so that what was wished until unplugged ends then."""

from __future__ import annotations

import structlog

from csms.clock import Clock
from csms.errors import NotFound
from csms.services.charge_points import ChargePoints
from csms.services.events import Event, EventBus, Listener
from csms.services.sites import Sites
from csms.storage.database import STORAGE_FAULTS

log = structlog.get_logger()

TOLD_BY = ("connector.status", "transaction.", "load.target", "load.mode")


class Unplugging:
    def __init__(self, charge_points: ChargePoints, sites: Sites, events: EventBus, clock: Clock) -> None:
        self._charge_points, self._sites, self._clock = charge_points, sites, clock
        self._listener = Listener(events, "unplugging", TOLD_BY, self._hear)

    async def start(self) -> None:
        self._listener.start()
        for point in (point for site in self._sites.all() for point in site.charge_point):
            for connector in point.connectors:
                await self._look(point.id, connector.id)

    async def stop(self) -> None:
        await self._listener.stop()

    async def _hear(self, event: Event) -> None:
        if "identity" in event.data:
            await self._look(event.data["identity"], event.data["connector_id"])
        elif "/" in event.data["load_id"]:  # "CP1/1"
            identity, _, connector_id = event.data["load_id"].rpartition("/")
            await self._look(identity, int(connector_id))

    async def _look(self, identity: str, connector_id: int) -> None:
        """A station that is not connected is taken at its last word."""
        site = self._sites.site_of_charge_point(identity)
        if site is None:
            return
        try:
            station = self._charge_points.station(identity)
            state = station.connector(connector_id).state(self._clock.now())
            point = next(p for p in site.charge_point if p.id.casefold() == identity.casefold())
            await self._sites.wishes.see(site.site.id, f"{point.id}/{connector_id}", state)
        except NotFound:  # it has never called
            return
        except STORAGE_FAULTS as error:
            log.error("not noted that a vehicle came or went", identity=identity, why=str(error))
