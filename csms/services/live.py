"""The latest minute of each site, in memory: written by the control loop, read by API and pages."""

from __future__ import annotations

from csms.domain.snapshot import SiteSnapshot
from csms.services.events import EventBus


class LiveSites:
    def __init__(self, events: EventBus) -> None:
        self._events = events
        self._snapshots: dict[str, SiteSnapshot] = {}

    def publish(self, snapshot: SiteSnapshot) -> None:
        """Keep it as the site's latest and tell listeners: event "site.decided"."""
        self._snapshots[snapshot.site_id] = snapshot
        self._events.publish("site.decided", snapshot.at, site_id=snapshot.site_id)

    def get(self, site_id: str) -> SiteSnapshot | None:
        """None: nothing was decided yet."""
        return self._snapshots.get(site_id)
