"""The last resort at a fuse: a session that no limit holds is stopped, and begun anew once there is room.

Only of a station that is deaf: it was found to follow no limit. If what its vehicle takes exceeds a fuse,
although all other loads have made room, and still does in the next minute, its session is stopped; of several
as few as suffice, those that take the most first. When the fuses have carried as much again for a while the
station is asked to begin it anew: the later the more often that happened, and a few times at most.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from optimizer.connectors import TAKING_A, Outlet
from optimizer.electrical import add_currents
from optimizer.fuses import Fuse, Fuses
from optimizer.model import ConnectorState, Mode, PhaseTriple, StopMemory

EXCEEDED_FOR_S = 45.0  # a breaker bears that; by then others have made room and meters have told it
ROOM_FOR_S, REST_S = 180.0, 300.0
BEGINS_WITHIN_S, MOST_STARTS = 120.0, 3
MAY_BEGIN = (ConnectorState.PLUGGED, ConnectorState.FINISHED)


def last_resort(
    outlets: Sequence[Outlet], fuses: Fuses, known: Mapping[str, StopMemory], now: datetime
) -> dict[str, StopMemory]:
    """What is remembered from this minute on of what is to be stopped, and of what was. Sets the outlets'
    stop. fuses: after all other loads have got their share."""
    if not known and not any(outlet.demand.deaf for outlet in outlets):
        return {}
    guilty = _guilty(outlets, fuses)
    found = {}
    for outlet in outlets:
        id, state = outlet.connector.id, outlet.demand.state
        before = known.get(id, StopMemory())
        if state is ConnectorState.FREE:
            continue
        if outlet.demand.session is not None:
            after = _running(outlet, before, guilty.get(id), now)
        elif state in MAY_BEGIN and before.session is not None:
            after = _stopped(outlet, before, fuses, now)
        else:
            after = before
        outlet.stop = after
        if after != StopMemory():
            found[id] = after
    return found


def _guilty(outlets: Sequence[Outlet], fuses: Fuses) -> dict[str, Fuse]:
    """The deaf ones that would have to stop for the fuses to hold, and which fuse it is about."""
    able = [outlet for outlet in outlets if _is_deaf(outlet)]
    found: dict[str, Fuse] = {}
    stopped: list[Outlet] = []
    for outlet in sorted(able, key=lambda outlet: -max(outlet.drawn_a)):
        if (fuse := fuses.exceeded_by(outlet.connector.circuit, outlet.drawn_a)) is not None:
            found[outlet.connector.id] = fuse
            stopped.append(outlet)
            fuses.release(outlet.connector.circuit, _reserved(outlet))
    for outlet in stopped[:-1]:  # one that was stopped before a larger excess was known
        fuses.take(outlet.connector.circuit, _reserved(outlet))
        if fuses.exceeded_by(outlet.connector.circuit, outlet.drawn_a) is None:
            del found[outlet.connector.id]
        else:
            fuses.release(outlet.connector.circuit, _reserved(outlet))
    for outlet in stopped:
        if outlet.connector.id in found:
            fuses.take(outlet.connector.circuit, _reserved(outlet))
    return found


def _is_deaf(outlet: Outlet) -> bool:
    demand = outlet.demand
    is_measured = demand.current_a is not None or demand.power_w is not None
    return demand.deaf and demand.session is not None and is_measured and max(outlet.drawn_a) >= TAKING_A


def _reserved(outlet: Outlet) -> PhaseTriple:
    if not outlet.is_ours:
        return outlet.drawn_a
    return add_currents(outlet.beyond_limit_a(), outlet.current_at(outlet.limit_a))


def _running(outlet: Outlet, before: StopMemory, fuse: Fuse | None, now: datetime) -> StopMemory:
    session = outlet.demand.session
    if before.session not in (None, session):  # it has begun anew
        before = StopMemory(stops=before.stops)
    if fuse is None:
        return StopMemory(stops=before.stops)
    over_at = before.over_at or now
    if not _has_passed(over_at, EXCEEDED_FOR_S, now):
        return replace(before, over_at=over_at)
    return StopMemory(
        over_at=over_at,
        session=session,
        stopped_at=now,
        taken_a=outlet.drawn_a,
        fuse=f"{fuse.circuit} fuse L{fuse.phase + 1} {fuse.limit_a:g} A",
        stops=before.stops if before.session == session else before.stops + 1,
    )


def _stopped(outlet: Outlet, before: StopMemory, fuses: Fuses, now: datetime) -> StopMemory:
    circuit = outlet.connector.circuit
    if fuses.blocking(circuit, before.taken_a) is not None or fuses.is_silent(circuit):
        return replace(before, over_at=None, room_at=None)
    before = replace(before, over_at=None, room_at=before.room_at or now)
    is_due = _has_passed(before.room_at, ROOM_FOR_S, now) and _has_passed(
        before.stopped_at, REST_S * 2 ** (before.stops - 1), now
    )
    is_awaited = before.asked_at is not None and not _has_passed(before.asked_at, BEGINS_WITHIN_S, now)
    if not is_due or is_awaited or outlet.connector.mode is Mode.OFF:
        return before
    if before.tries >= MOST_STARTS:
        return replace(before, needs_hand=True)
    fuses.take(circuit, before.taken_a)
    return replace(before, tries=before.tries + 1, asked_at=now)


def stop_or_start(outlet: Outlet, now: datetime) -> str | None:
    """What the station is to be asked for from this minute on: "stop", "start" or nothing."""
    if outlet.stop is None:
        return None
    if outlet.stop.stopped_at == now:
        return "stop"
    return "start" if outlet.stop.asked_at == now else None


def _has_passed(since: datetime | None, seconds: float, now: datetime) -> bool:
    return since is not None and now - since >= timedelta(seconds=seconds)
