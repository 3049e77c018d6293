"""The latest minute of each site, in memory: written by the control loop, read by API and pages."""

from __future__ import annotations

from csms.domain.snapshot import SiteSnapshot
from csms.services.events import EventBus


class LiveSites:
    def __init__(self, events: EventBus) -> None:
        self._events = events
        self._snapshots: dict[str, SiteSnapshot] = {}

    def publish(self, snapshot: SiteSnapshot) -> None:
        """Keep it as the site's latest and tell listeners: event "site.decided".

        When the grid operator begins or ends to shed load: event "site.load_shedding".
        """
        before = self._snapshots.get(snapshot.site_id)
        self._snapshots[snapshot.site_id] = snapshot
        active = snapshot.load_shedding
        if active is not None and active != (before is not None and before.load_shedding is True):
            self._events.publish("site.load_shedding", snapshot.at, site_id=snapshot.site_id, active=active)
        self._events.publish("site.decided", snapshot.at, site_id=snapshot.site_id)

    def get(self, site_id: str) -> SiteSnapshot | None:
        """None: nothing was decided yet."""
        return self._snapshots.get(site_id)
