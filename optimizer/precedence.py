"""Who charges first where the sun does not suffice for all."""

from __future__ import annotations

from datetime import datetime

from optimizer.connectors import Outlet

TYPICAL_STAY_S = 4 * 3600.0
TYPICAL_NEED_WH = 15_000.0
TYPICAL_POWER_W = 7_400.0
OVERSTAYED_S = 3600.0
"""A driver who said to leave and is still there is taken to leave within this time."""


def urgency_s(outlet: Outlet, now: datetime) -> float:
    """The vehicle's laxity: how long it could still wait and be charged in time. The least comes first. [s]

    Of what its driver has not told something usual is assumed, the same for all: among vehicles of which
    nothing is known, the one that got least comes first.
    """
    demand = outlet.demand
    stays_s, need_wh, power_w = TYPICAL_STAY_S, TYPICAL_NEED_WH, TYPICAL_POWER_W
    if demand.departs_at is not None:
        left_s = (demand.departs_at - now).total_seconds()
        stays_s = left_s if left_s > 0 else OVERSTAYED_S
        power_w = outlet.power_at(outlet.connector.max_a)
    if demand.requested_wh is not None:
        need_wh = demand.requested_wh
    missing_wh = need_wh - demand.delivered_wh
    return stays_s - 3600 * missing_wh / power_w
