"""A one-minute loop as one would write it in an afternoon, for sites with stations only.

Each minute the vehicles come in the order of what they have got, least first: as many as the last minute's
sun carries get their minimum, then the first are raised by whole amperes. Who was offered current and took
none is full.
"""

from __future__ import annotations

import math
from datetime import datetime

from optimizer.model import Connector, ConnectorDemand, Demands, Readings, Site
from simulation.plant import Setpoints


class LeastServedFirst:
    def __init__(self, site: Site):
        self._site = site
        self._full = set[str]()

    def __call__(self, readings: Readings, demands: Demands, now: datetime) -> Setpoints:
        taken_w = sum(demand.power_w or 0.0 for demand in demands.connectors.values())
        sun_w = taken_w - readings.grid.power_w if readings.grid else 0.0
        wanting = sorted(
            (c for c in self._site.connectors if self._wants(demands.connectors[c.id])),
            key=lambda c: demands.connectors[c.id].delivered_wh,
        )
        limits_a = dict.fromkeys(demands.connectors, 0.0)
        for connector in wanting:
            if self._watts(connector, connector.min_a) <= sun_w:
                limits_a[connector.id] = connector.min_a
                sun_w -= self._watts(connector, connector.min_a)
        for connector in wanting:
            if limits_a[connector.id] and sun_w > 0:
                room_a = math.floor(sun_w / self._watts(connector, 1.0))
                more_a = min(room_a, connector.max_a - connector.min_a)
                limits_a[connector.id] += more_a
                sun_w -= self._watts(connector, more_a)
        return Setpoints({}, limits_a)

    def _wants(self, demand: ConnectorDemand) -> bool:
        if demand.session is not None and demand.offered_a and not demand.power_w:
            self._full.add(demand.session)
        return demand.session is not None and demand.session not in self._full

    def _watts(self, connector: Connector, amps: float) -> float:
        return amps * self._site.voltage_v * len(connector.phases)
