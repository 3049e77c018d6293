"""Tells the rest of the system what a decision found out of vehicles: one is to be woken, needs a hand, or
has to be stopped for a fuse."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from optimizer.model import ConnectorDecision, Decision, Demands, Memory

Report = Callable[..., None]

SEEN_FOR = timedelta(seconds=60)  # of charging: some vehicles take their phases one after the other


def tell_of_vehicles(
    report: Report, before: Memory, after: Memory, demands: Demands, decision: Decision
) -> None:
    """report(kind, identity, **data). Events "connector.wake", "connector.needs_hand" once for a vehicle,
    "connector.phases_seen" where a vehicle uses others than its badge promised, "connector.stop" and
    "connector.begin_anew" for a session that no limit holds."""
    for part in decision.connectors:
        _tell_of_last_resort(report, after, part)
        plug_in = after.plug_ins.get(part.id)
        if plug_in is None:
            continue
        identity, _, number = part.id.rpartition("/")
        place = {"connector_id": int(number), "transaction_id": int(plug_in.session)}
        if part.wake is not None:
            report("connector.wake", identity, **place, step=part.wake)
        known = before.plug_ins.get(part.id)
        if plug_in.needs_hand and (known is None or not known.needs_hand):
            report("connector.needs_hand", identity, **place, words=part.reason.text)
        phases, since = _phases_seen(after, part.id), plug_in.taking_since
        is_new = phases is not None and phases != demands.connectors[part.id].usual_phases
        if is_new and since is not None and decision.at - since >= SEEN_FOR:
            report("connector.phases_seen", identity, **place, phases=phases)


def _tell_of_last_resort(report: Report, after: Memory, part: ConnectorDecision) -> None:
    if part.ask is None:
        return
    identity, _, number = part.id.rpartition("/")
    kind = "connector.stop" if part.ask == "stop" else "connector.begin_anew"
    session = after.stops[part.id].session
    assert session is not None
    report(kind, identity, connector_id=int(number), transaction_id=int(session), words=part.reason.text)


def _phases_seen(memory: Memory, id: str) -> int | None:
    connector = memory.connectors.get(id)
    return None if connector is None or connector.phases is None else len(connector.phases)
