"""What a station makes up, number after number, takes no more room than the stations there are."""

from __future__ import annotations

import pytest
from central_backend import NOON, Backend, later, start, status, stop

from csms.domain.charge_point import CONNECTORS_KEPT
from csms.errors import NotFound
from csms.services.limit_ladder import LimitLadder
from csms.services.station_messages import MORE_CONNECTORS
from csms.storage import transactions
from csms.storage.transactions import MOST_LOOKED_AT


async def test_the_status_of_ever_new_connectors_is_neither_kept_nor_stored(backend: Backend) -> None:
    for connector_id in range(CONNECTORS_KEPT + 3):
        await backend.say("StatusNotification", status("Preparing", NOON, connector_id))
    await backend.say("StatusNotification", status("Charging", later(minutes=1), 7))
    station = backend.charge_points.station("CP1")
    assert len(backend.rows("connector_status")) == len(station.connectors) == CONNECTORS_KEPT
    assert backend.live(7).status == "Charging"
    assert station.quirks[MORE_CONNECTORS] == 3


async def test_among_sessions_that_never_end_only_the_newest_are_looked_at_for_a_stop(
    backend: Backend,
) -> None:
    """Each on a connector of its own; the stop names none of them."""
    for n in range(1, MOST_LOOKED_AT + 6):
        await backend.say("StartTransaction", start(later(seconds=n), connector_id=n))
    end = later(hours=1)
    async with backend.database.read() as conn:
        found = await transactions.stoppable(conn, "CP1", end, 8000)
    assert [row["connector_id"] for row in found] == list(range(6, MOST_LOOKED_AT + 6))
    await backend.say("StopTransaction", stop(-1, end, 8000, idTag="BADGE1"), end)
    assert sum(row["stop_received_at"] is not None for row in await backend.transactions()) == 1


async def test_among_stops_that_nothing_fits_only_some_are_looked_at_for_a_start(backend: Backend) -> None:
    for n in range(MOST_LOOKED_AT + 5):
        await backend.say("StopTransaction", stop(-1, later(minutes=n + 1), idTag=f"OTHER{n}"))
    async with backend.database.read() as conn:
        found = await transactions.unmatched_stops_since(conn, "CP1", NOON)
    assert [row["stopped_at"] for row in found] == [later(minutes=n + 1) for n in range(MOST_LOOKED_AT)]
    await backend.say("StartTransaction", start(), later(hours=9))
    assert [row["stop_received_at"] for row in await backend.transactions()] == [None]


async def test_whoever_asks_for_limits_of_stations_that_do_not_exist_leaves_no_record(
    backend: Backend,
) -> None:
    limits = LimitLadder(backend.database, backend.charge_points, backend.clock)
    for n in range(3):
        with pytest.raises(NotFound):
            limits.status(f"NOBODY{n}")
        with pytest.raises(NotFound):
            await limits.forget(f"NOBODY{n}")
    assert limits._stations == {}
