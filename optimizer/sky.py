"""How much the sun moves, and so how much of it can be counted on for the minute that begins.

The grid meter tells the minute that has passed. Under moving clouds the next one is another: what was seen
is taken back by a share of its recent unrest, the mean change from one minute to the next. Under an even
sky nothing is taken back. See docs/adr/0008.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from optimizer.connectors import Outlet
from optimizer.electrical import legal_current
from optimizer.model import Response, Sky

HALF_LIFE_S = 60.0
FORGOTTEN_AFTER_S = 600.0
EVEN_W = 50.0
"""Unrest up to this much is the house's, not the sky's, and is not worth a margin."""

SOFT_W = 500.0
"""Keeps a small surplus from losing all of itself to its own unrest."""


def watch(known: Sky | None, sun_w: float, is_short: bool, now: datetime) -> Sky:
    """The sky as this minute's meter shows it.

    sun_w: what is there for all loads [W]. is_short: less than the minima of the vehicles that charge.
    """
    short_at = None
    if is_short:
        short_at = now if known is None or known.short_at is None else known.short_at
    passed_s = FORGOTTEN_AFTER_S if known is None else (now - known.at).total_seconds()
    if known is None or not 0 <= passed_s < FORGOTTEN_AFTER_S:
        return Sky(now, sun_w, 0.0, short_at)
    fresh = 1 - 0.5 ** (passed_s / HALF_LIFE_S)
    change_w = abs(sun_w - known.sun_w)
    return Sky(now, sun_w, known.unrest_w + fresh * (change_w - known.unrest_w), short_at)


def sure_of(available_w: float, sky: Sky, caution: float) -> float:
    """What of the available power can be counted on [W]; all of it under an even sky or without caution."""
    unrest_w = max(0.0, sky.unrest_w - EVEN_W)
    if available_w <= 0:
        return available_w
    return available_w / (1 + caution * unrest_w / (available_w + SOFT_W))


def waits_for_sun(response: Response, sky: Sky, outlets: Sequence[Outlet], available_w: float) -> bool:
    """Whether what charges is kept at its minimum through a cloud: for a while, and if half of it is sun."""
    if sky.short_at is None:
        return False
    waited_s = (sky.at - sky.short_at).total_seconds()
    charging = [outlet for outlet in outlets if outlet.is_on]
    if waited_s >= response.patience_s or 2 * available_w < sum(o.power_at(o.min_a) for o in charging):
        return False
    for outlet in charging:
        outlet.waits_s = waited_s
    return True


def hold_back(outlets: Sequence[Outlet], excess_w: float) -> None:
    """Take so much from what charges, the first one first, each down to its minimum at most."""
    for outlet in outlets:
        if excess_w <= 0:
            return
        if outlet.limit_a <= outlet.min_a:
            continue
        before_a, step_a = outlet.limit_a, outlet.connector.step_a
        wanted_a = max(outlet.min_a, before_a - excess_w / outlet.watts_per_a)
        outlet.limit_a = legal_current(wanted_a, outlet.min_a, before_a, step_a)
        outlet.held_back = True
        excess_w -= outlet.power_at(before_a - outlet.limit_a)
