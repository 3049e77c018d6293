"""The sums of a database are those of its sessions, whatever is known of their registers."""

from __future__ import annotations

from datetime import timedelta

import pytest
from central_backend import NOON, Backend, later

from csms.services.reporting import Wanted
from csms.storage import transactions

REGISTERS = [  # start, last read, stop [Wh], reason
    (0.0, None, None, None),
    (1000.0, 1500.0, None, None),
    (1000.0, 1500.0, 2000.0, "Local"),
    (1000.0, 2500.0, 2000.0, "Lost"),
    (1000.0, None, 900.0, None),
    (1000.0, None, 4000.0, "Lost"),
]


async def _recorded(backend: Backend) -> None:
    await backend.charge_points.admit("CP1")
    for hour, (start_wh, last_wh, stop_wh, reason) in enumerate(REGISTERS):
        at = later(hours=hour)
        values = {
            "identity": "CP1", "connector_id": 1, "id_tag": "Anna" if hour % 2 else " Berta",
            "started_at": at, "start_received_at": at, "start_status": "Accepted", "start_id_tag_info": {},
            "stop_reason": reason, "meter_start_wh": start_wh, "last_register_wh": last_wh,
            "meter_stop_wh": stop_wh,
            "stopped_at": None if stop_wh is None else at + timedelta(minutes=30),
        }  # fmt: skip
        await backend.database.write(lambda conn, values=values: transactions.start(conn, **values))


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Wanted(), 6),
        (Wanted(id_tag="anna"), 3),
        (Wanted(start=later(hours=2)), 4),
        (Wanted(end=later(hours=2)), 2),
        (Wanted(open_only=True), 2),
        (Wanted(lost_only=True), 2),
        (Wanted("NOBODY"), 0),
    ],
)
async def test_totals_are_those_of_the_sessions(backend: Backend, wanted: Wanted, found: int) -> None:
    await _recorded(backend)
    rows = await backend.reporting.sessions(wanted, 100)
    assert await backend.reporting.totals(wanted) == {
        "sessions": found,
        "energy_wh": sum(row["energy_wh"] for row in rows),
        "running": sum(row["stopped_at"] is None for row in rows),
        "lost": sum(row["stop_reason"] == "Lost" for row in rows),
    }
    assert len(rows) == found


async def test_the_use_of_a_badge_is_what_began_since_and_where_it_was_last(backend: Backend) -> None:
    """Stations spell a badge in capitals or not, or with a blank before it."""
    await _recorded(backend)
    use = await backend.reporting.use_of_badges(NOON + timedelta(hours=2))
    assert {tag: (row["energy_wh"], row["identity"], row["started_at"]) for tag, row in use.items()} == {
        "anna": (4500.0, "CP1", later(hours=5)),
        "berta": (1000.0, "CP1", later(hours=4)),
    }
