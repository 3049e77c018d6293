"""Tells the rest of the system what a decision found out of vehicles: one is to be woken, or needs a hand."""

from __future__ import annotations

from collections.abc import Callable

from optimizer.model import Decision, Memory

Report = Callable[..., None]


def tell_of_vehicles(report: Report, before: Memory, after: Memory, decision: Decision) -> None:
    """report(kind, identity, **data). Events "connector.wake" and, once, "connector.needs_hand"."""
    for part in decision.connectors:
        identity, _, number = part.id.rpartition("/")
        known, plug_in = before.plug_ins.get(part.id), after.plug_ins.get(part.id)
        if part.wake is not None and plug_in is not None:
            report(
                "connector.wake",
                identity,
                connector_id=int(number),
                step=part.wake,
                transaction_id=int(plug_in.session),
            )
        if plug_in is not None and plug_in.needs_hand and not (known is not None and known.needs_hand):
            report("connector.needs_hand", identity, connector_id=int(number), words=part.reason.text)
