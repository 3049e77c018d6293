"""What is old goes, and nothing else."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from central_backend import NOON, Backend, start, stop, values

from csms.services import retention
from csms.services.files import Files
from csms.services.frame_log import FrameLog
from csms.services.retention import Retention

DAYS = [NOON + timedelta(days=n) for n in range(10)]
KEPT = DAYS[-3:]


@pytest.fixture
async def ten_days(
    backend: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Retention]:
    """Each day a charge, a stop of nothing we know, a frame and a decision of two sites; then it is the
    eleventh day."""
    monkeypatch.setattr(retention, "REMOVED_AT_ONCE", 2)
    frames = FrameLog(backend.database)
    for at in DAYS:
        begun = await backend.say("StartTransaction", start(at), at)
        await backend.say("MeterValues", values(begun["transactionId"], at, 1500), at)
        await backend.say("StopTransaction", stop(begun["transactionId"], at), at)
        await backend.say("StopTransaction", stop(9999, at), at, identity="CP2")
        frames.add("CP1", at, "in", "Heartbeat", "1", "[]", None)
        for site_id in ("home", "cabin"):
            await backend.reporting.record_minute(site_id, at, {}, {}, {}, {})
    await frames.flush()
    backend.clock.at = DAYS[-1] + timedelta(days=1)
    tidied = Retention(backend.database, backend.clock, Files(tmp_path), 3.5, 3.5, 3.5, 3.5)
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


async def test_stops_of_nothing_we_know_go_when_they_are_old(ten_days: Retention, backend: Backend) -> None:
    await ten_days.tidy()
    assert times(backend, "unmatched_stops", "received_at") == KEPT
    await backend.say("StopTransaction", stop(9999, KEPT[0]), identity="CP2")  # repeated: known still
    assert len(backend.rows("unmatched_stops")) == len(KEPT)


async def test_nothing_is_touched_while_it_is_new(ten_days: Retention, backend: Backend) -> None:
    backend.clock.at = NOON
    await ten_days.tidy()
    assert len(backend.rows("frames")) == len(backend.rows("meter_values")) == 10
    assert len(backend.rows("unmatched_stops")) == 10
    assert len(backend.rows("decisions")) == 20


async def test_logs_that_stations_left_go_after_a_season_and_firmware_stays(
    backend: Backend, tmp_path: Path
) -> None:
    async def content() -> AsyncIterator[bytes]:
        yield b"log"

    files = Files(tmp_path)
    image = files.image((await files.save_image("fw.bin", content())).name)
    old = files.left("CP1", (await files.leave("CP1", 1, "log.txt", content())).name)
    new = files.left("CP1", (await files.leave("CP1", 2, "log.txt", content())).name)
    now = backend.clock.now().timestamp()
    for path, age_days in ((image, 400), (old, 91), (new, 89)):
        os.utime(path, (now - age_days * 86_400,) * 2)

    await Retention(backend.database, backend.clock, files).tidy()

    assert [path.exists() for path in (image, old, new)] == [True, False, True]
