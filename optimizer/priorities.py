"""Classes of priority: the highest chooses first, and exactly, as if the lower ones were off.

Nobody has a priority unless it is given one: then all loads are one class. A minimum time or a mode that
holds a load of a lower class is kept for it, on the fuses too. A start that would end a lower load must be
worth that load's switching as well, or two classes would take turns at a sun that wavers.
"""

from __future__ import annotations

from collections.abc import Sequence

from optimizer.appliances import OFF, Switch
from optimizer.connectors import Outlet
from optimizer.fuses import Fuses
from optimizer.model import Site, Sky
from optimizer.sun import NOTHING_TO_CHOOSE, share_sun


def share_by_class(
    site: Site,
    switches: Sequence[Switch],
    outlets: Sequence[Outlet],
    available_w: float,
    fuses: Fuses,
    sky: Sky,
) -> str:
    """`share_sun`, class by class; claims what is chosen on the fuses. Answers the last class's method."""
    classes = _classes(switches, outlets)
    if len(classes) <= 1:
        method = share_sun(site, switches, outlets, available_w, fuses, sky)
        _claim(switches, outlets, fuses)
        return method
    method = NOTHING_TO_CHOOSE
    left_w = available_w - _claim_what_is_held(switches, outlets, fuses)
    for priority in classes:
        own = [s for s in switches if s.appliance.priority == priority]
        own_outlets = [o for o in outlets if o.connector.priority == priority]
        left_w += _release(own, own_outlets, fuses)
        lower = [s for s in switches if s.appliance.priority < priority]
        lower_outlets = [o for o in outlets if o.connector.priority < priority]
        method = share_sun(site, own, own_outlets, left_w, fuses, sky)
        if _displaces_for_little(own, own_outlets, lower, lower_outlets, left_w):
            method = share_sun(site, own, own_outlets, left_w, fuses, sky, may_start=False)
        left_w -= _claim(own, own_outlets, fuses)
    return method


def _classes(switches: Sequence[Switch], outlets: Sequence[Outlet]) -> list[int]:
    found = {s.appliance.priority for s in switches} | {o.connector.priority for o in outlets}
    return sorted(found, reverse=True)


def _claim_what_is_held(switches: Sequence[Switch], outlets: Sequence[Outlet], fuses: Fuses) -> float:
    """The least that each load takes this minute in any case. [W]"""
    for switch in switches:
        switch.chosen = switch.states[0]
    for outlet in outlets:
        outlet.limit_a = outlet.min_a if outlet.must_on else 0.0
    return _claim(switches, outlets, fuses)


def _claim(switches: Sequence[Switch], outlets: Sequence[Outlet], fuses: Fuses) -> float:
    for switch in switches:
        fuses.take(switch.appliance.circuit, switch.chosen.current_a)
    for outlet in outlets:
        fuses.take(outlet.connector.circuit, outlet.current_at(outlet.limit_a))
    return _taken_w(switches, outlets)


def _release(switches: Sequence[Switch], outlets: Sequence[Outlet], fuses: Fuses) -> float:
    taken_w = _taken_w(switches, outlets)
    for switch in switches:
        fuses.release(switch.appliance.circuit, switch.chosen.current_a)
        switch.chosen = OFF
    for outlet in outlets:
        fuses.release(outlet.connector.circuit, outlet.current_at(outlet.limit_a))
        outlet.limit_a = 0.0
    return taken_w


def _taken_w(switches: Sequence[Switch], outlets: Sequence[Outlet]) -> float:
    return sum(s.chosen.power_w for s in switches) + sum(o.power_at(o.limit_a) for o in outlets)


def _displaces_for_little(
    switches: Sequence[Switch],
    outlets: Sequence[Outlet],
    lower: Sequence[Switch],
    lower_outlets: Sequence[Outlet],
    available_w: float,
) -> bool:
    """Whether something has started that ends a lower load, with less to spare than that load's switching."""
    starts = any(not s.chosen.elements <= s.present.elements for s in switches)
    starts = starts or any(o.limit_a > 0 and not o.is_on and not o.must_on for o in outlets)
    costs_w = [s.toggle_cost_w for s in lower if s.present.elements]
    costs_w += [o.toggle_cost_w for o in lower_outlets if o.is_on]
    if not starts or not costs_w:
        return False
    running_w = sum(s.present.power_w for s in lower)
    running_w += sum(o.power_at(o.min_a) for o in lower_outlets if o.is_on)
    spare_w = available_w - _taken_w(switches, outlets)
    return spare_w < running_w and spare_w < max(costs_w)
