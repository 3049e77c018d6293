"""Frames are kept without holding up the stations."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from central_backend import NOON, Backend, later
from sqlalchemy.ext.asyncio import AsyncConnection

from csms.services import frame_log
from csms.services.frame_log import FrameLog, Wanted


@pytest.fixture
def frames(backend: Backend) -> FrameLog:
    return FrameLog(backend.database)


def add(frames: FrameLog, n: int, direction: str = "in", action: str | None = "Heartbeat") -> None:
    frames.add("CP1", later(seconds=n), direction, action, f"m{n}", f'[2,"m{n}"]', None)


async def test_messages_are_read_newest_first_with_what_still_waits(frames: FrameLog) -> None:
    for n in range(5):
        add(frames, n)
    frames.add("CP2", NOON, "in", "Heartbeat", "x", "[]", None)
    add(frames, 5, "out", None)
    assert [m["message_id"] for m in await frames.messages("CP1")] == ["m5", "m4", "m3", "m2", "m1", "m0"]
    wanted = Wanted(later(seconds=1), later(seconds=5), "Heartbeat")
    some = await frames.messages("CP1", wanted, limit=2)
    assert [m["message_id"] for m in some] == ["m4", "m3"]
    assert some[0]["at"] == later(seconds=4)


async def test_frames_of_one_moment_keep_their_order_among_those_of_other_stations(frames: FrameLog) -> None:
    for n in range(4):
        for identity in ("CP2", "CP1", "CP3"):
            frames.add(identity, NOON, "in", "Heartbeat", f"{identity}-{n}", "[]", None)
    assert [m["message_id"] for m in await frames.messages("CP1")] == ["CP1-3", "CP1-2", "CP1-1", "CP1-0"]
    last = (await frames.messages("CP1", limit=2))[-1]
    older = await frames.messages("CP1", Wanted(before_id=last["id"]))
    assert [m["message_id"] for m in older] == ["CP1-1", "CP1-0"]


async def test_what_comes_while_frames_are_written_waits_for_the_next_time(
    frames: FrameLog, backend: Backend
) -> None:
    """Else the log of a busy server would be part of every commit that meter values wait for."""

    async def say_more() -> None:
        add(frames, 3)

    for n in range(3):
        add(frames, n)
    await asyncio.gather(frames.flush(), say_more())
    assert len(backend.rows("frames")) == 3
    assert [m["message_id"] for m in await frames.messages("CP1")] == ["m3", "m2", "m1", "m0"]


async def test_what_waits_at_the_end_is_written(frames: FrameLog, backend: Backend) -> None:
    await frames.start()
    for n in range(4500):
        add(frames, n)
    await frames.stop()
    assert len(backend.rows("frames")) == 4500
    assert frames.dropped == 0


@asynccontextmanager
async def open_job(backend: Backend) -> AsyncIterator[None]:
    """A transaction of another writer, open meanwhile: rows wait for its end."""
    inside, end = asyncio.Event(), asyncio.Event()

    async def job(conn: AsyncConnection) -> None:
        inside.set()
        await end.wait()

    writing = asyncio.create_task(backend.database.write(job))
    await inside.wait()
    try:
        yield
    finally:
        end.set()
        await writing


async def test_what_is_about_to_be_written_at_the_end_is_written(frames: FrameLog, backend: Backend) -> None:
    async with open_job(backend):
        add(frames, 1)
        await frames.start()
        await asyncio.sleep(0)  # it has taken the frame
        stopping = asyncio.create_task(frames.stop())
        await asyncio.sleep(0)
    await stopping
    assert len(backend.rows("frames")) == 1


async def test_a_reader_who_leaves_takes_no_frames_along(frames: FrameLog, backend: Backend) -> None:
    async with open_job(backend):
        add(frames, 1)
        reading = asyncio.create_task(frames.messages("CP1"))
        for _ in range(3):
            await asyncio.sleep(0)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    assert len(await frames.messages("CP1")) == 1


async def test_a_frame_that_cannot_be_stored_does_not_end_the_log(frames: FrameLog) -> None:
    frames.add("CP1", NOON, "in", "DataTransfer", "m", "half a pair: \ud800", None)
    await frames.flush()
    assert frames.dropped == 1
    add(frames, 1)
    assert len(await frames.messages("CP1")) == 1


async def test_frames_beyond_what_can_wait_are_dropped_and_counted(
    frames: FrameLog, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frame_log, "QUEUE_LIMIT", 10)
    for n in range(15):
        add(frames, n)
    await frames.flush()
    assert len(backend.rows("frames")) == 10
    assert frames.dropped == 5


async def test_long_frames_wait_up_to_a_limit_of_their_own(
    frames: FrameLog, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty thousand of them would be a gigabyte, should the disk hang; once written there is room again."""
    monkeypatch.setattr(frame_log, "QUEUE_CHARACTERS", 3500)
    for texts in (5, 3):
        for _ in range(texts):
            frames.add("CP1", NOON, "in", "DataTransfer", "m", "x" * 1000, None)
        await frames.flush()
    assert len(backend.rows("frames")) == 6
    assert frames.dropped == 2


async def test_without_a_database_frames_are_lost_but_nothing_else_happens(
    frames: FrameLog, backend: Backend
) -> None:
    add(frames, 1)
    await backend.database.stop()
    await frames.flush()
    assert frames.dropped == 1


async def test_an_endless_frame_is_cut(frames: FrameLog) -> None:
    frames.add("CP1", NOON, "in", "A" * 100, "m" * 100, "x" * 1_000_000, "too long")
    (message,) = await frames.messages("CP1")
    assert len(message["text"]) == frame_log.LONGEST_TEXT + 1
    assert message["note"] == "too long"


async def test_only_what_was_refused_or_repaired(frames: FrameLog) -> None:
    add(frames, 1)
    frames.add("CP1", later(seconds=2), "in", "MeterValues", "x", "[2]", "mended: value: padded")
    (message,) = await frames.messages("CP1", Wanted(noted=True))
    assert message["message_id"] == "x"


async def test_a_text_is_found_in_the_frame_or_its_note_whatever_the_case(frames: FrameLog) -> None:
    frames.add("CP1", later(seconds=1), "in", "Authorize", "a", '{"idTag":"04a2_91C"}', None)
    frames.add(
        "CP1", later(seconds=2), "in", "Authorize", "b", '{"idTag":"04a2x91C"}', "mended: idTag: padded"
    )
    found = {
        text: [m["message_id"] for m in await frames.messages("CP1", Wanted(contains=text))]
        for text in ("04A2", "a2_91", "PADDED", "%")
    }
    assert found == {"04A2": ["b", "a"], "a2_91": ["a"], "PADDED": ["b"], "%": []}


async def test_page_by_page(frames: FrameLog) -> None:
    for n in range(7):
        add(frames, n // 3)  # several within the same second
    read: list[str] = []
    wanted = Wanted()
    while page := await frames.messages("CP1", wanted, limit=2):
        read += [message["message_id"] for message in page]
        wanted = Wanted(before_id=page[-1]["id"])
    assert read == ["m2", "m1", "m1", "m1", "m0", "m0", "m0"]


async def test_what_happens_to_the_connection_is_no_message(frames: FrameLog) -> None:
    frames.add("CP1", NOON, "log", None, None, "connected from 192.0.2.7", None)
    add(frames, 1)
    assert [m["direction"] for m in await frames.messages("CP1")] == ["in", "log"]
    assert dict(frames.counts) == {("in", "Heartbeat"): 1}
