"""Which reductions a fuse waits for: less was decided, and what is still offered does not fit any more.

A limit may be written late: to spare the station's memory, or since the last one was only just now. As long
as the fuses can carry what is offered until then, that does no harm.
"""

from __future__ import annotations

from collections.abc import Sequence

from optimizer.connectors import Outlet
from optimizer.electrical import add_currents, phase_currents
from optimizer.fuses import Fuses
from optimizer.model import PhaseTriple
from optimizer.phase_switching import phases_in_use


def needed_reductions(outlets: Sequence[Outlet], fuses: Fuses) -> frozenset[str]:
    """Ids of connectors whose reduction may not wait. fuses: after all loads have got their share."""
    needed, carried = set(), []
    for outlet in outlets:
        circuit, more = outlet.connector.circuit, _offered_beyond(outlet)
        if max(more) <= 0:
            continue
        if fuses.blocking(circuit, more) is not None:
            needed.add(outlet.connector.id)
        else:
            fuses.take(circuit, more)
            carried.append((circuit, more))
    for circuit, more in carried:
        fuses.release(circuit, more)
    return frozenset(needed)


def _offered_beyond(outlet: Outlet) -> PhaseTriple:
    """What it offers until now beyond what is decided and reckoned with, on the phases in use. [A]"""
    offered_a = outlet.demand.offered_a if outlet.takes_part else None
    before = phase_currents(offered_a or 0.0, phases_in_use(outlet.connector, outlet.memory))
    after = add_currents(outlet.current_at(outlet.limit_a), outlet.unanswered_a())
    l1, l2, l3 = (max(0.0, amps - left) for amps, left in zip(before, after, strict=True))
    return (l1, l2, l3)
