"""What is old goes, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest
from central_backend import NOON, Backend, start, stop, values

from csms.services import retention
from csms.services.frame_log import FrameLog
from csms.services.retention import Retention

DAYS = [NOON + timedelta(days=n) for n in range(10)]
KEPT = DAYS[-3:]


@pytest.fixture
async def ten_days(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Retention]:
    """Each day a charge, a frame and a decision of two sites; then it is the eleventh day."""
    monkeypatch.setattr(retention, "REMOVED_AT_ONCE", 2)
    frames = FrameLog(backend.database)
    for at in DAYS:
        begun = await backend.say("StartTransaction", start(at), at)
        await backend.say("MeterValues", values(begun["transactionId"], at, 1500), at)
        await backend.say("StopTransaction", stop(begun["transactionId"], at), at)
        frames.add("CP1", at, "in", "Heartbeat", "1", "[]", None)
        for site_id in ("home", "cabin"):
            await backend.reporting.record_minute(site_id, at, {}, {}, {}, {})
    await frames.flush()
    backend.clock.at = DAYS[-1] + timedelta(days=1)
    tidied = Retention(backend.database, backend.clock, 3.5, 3.5, 3.5)
    yield tidied
    await tidied.stop()


def times(backend: Backend, table: str, column: str) -> list[datetime]:
    return sorted(datetime.fromisoformat(f"{row[column]}+00:00") for row in backend.rows(table))


async def test_frames_decisions_and_meter_values_go_when_they_are_old(
    ten_days: Retention, backend: Backend
) -> None:
    await ten_days.tidy()
    assert times(backend, "frames", "at") == KEPT
    assert times(backend, "meter_values", "received_at") == KEPT
    assert times(backend, "decisions", "at") == sorted(KEPT * 2)
    assert len(backend.rows("site_minutes")) == 20
    assert [row["energy_wh"] for row in await backend.transactions()] == [7000] * 10


async def test_nothing_is_touched_while_it_is_new(ten_days: Retention, backend: Backend) -> None:
    backend.clock.at = NOON
    await ten_days.tidy()
    assert len(backend.rows("frames")) == len(backend.rows("meter_values")) == 10
    assert len(backend.rows("decisions")) == 20
