"""An operator looks for what a station said and why it was refused."""

from __future__ import annotations

from datetime import timedelta

import pytest
from api_builders import Api

from tests.services_on_file import NOON

MESSAGES = "/api/v1/charge-points/CP1/messages"
PADDED = "MeterValues.meterValue.sampledValue.value: padded"


@pytest.fixture
async def log(api: Api) -> Api:
    await api.services.charge_points.admit("CP1")
    frames = api.services.frames
    for minute, (direction, action, text, note) in enumerate(
        [
            ("log", None, "connected from 192.0.2.7", None),
            ("in", "BootNotification", '[2,"1","BootNotification",{}]', None),
            ("out", "BootNotification", '[3,"1",{}]', None),
            (
                "in",
                "MeterValues",
                '[2,"2","MeterValues",{}]',
                f"mended: {PADDED}",
            ),
            ("in", "NotifyReport", '[2,"3","NotifyReport",{}]', "NotImplemented"),
        ]
    ):
        at = NOON - timedelta(minutes=10 - minute)
        frames.add("CP1", at, direction, action, "1", text, note)
    return api


async def found(api: Api, **asked: object) -> list[str | None]:
    answer = await api.operator.get(MESSAGES, params=asked)  # type: ignore[arg-type]
    assert answer.status_code == 200, answer.text
    return [frame["action"] or frame["text"] for frame in answer.json()]


async def test_the_log_is_searched(log: Api) -> None:
    assert await found(log) == [
        "NotifyReport",
        "MeterValues",
        "BootNotification",
        "BootNotification",
        "connected from 192.0.2.7",
    ]
    assert await found(log, action="MeterValues") == ["MeterValues"]
    assert await found(log, refused=True) == ["NotifyReport", "MeterValues"]
    assert await found(log, contains="padded") == ["MeterValues"]
    a_minute = {"from": "2026-06-01T11:53:00Z", "to": "2026-06-01T11:54:00Z"}
    assert await found(log, **a_minute) == ["MeterValues"]


async def test_the_log_is_read_page_by_page(log: Api) -> None:
    first = (await log.operator.get(MESSAGES, params={"limit": 2})).json()
    second = (await log.operator.get(MESSAGES, params={"limit": 2, "before": first[-1]["id"]})).json()
    assert [frame["action"] for frame in first + second] == [
        "NotifyReport",
        "MeterValues",
        "BootNotification",
        "BootNotification",
    ]


async def test_frames_carry_badges_so_a_viewer_does_not_see_them(log: Api) -> None:
    assert (await log.viewer.get(MESSAGES)).status_code == 403


async def test_deviations_are_told_in_words_the_most_frequent_first(log: Api) -> None:
    log.services.charge_points.mended("CP1", ["Heartbeat.no payload"])
    log.services.charge_points.mended("CP1", [PADDED, PADDED])
    answer = await log.viewer.get("/api/v1/charge-points/CP1/quirks")
    assert answer.json() == [
        {
            "kind": PADDED,
            "words": "MeterValues: value padded with blanks",
            "count": 2,
            "last_at": "2026-06-01T12:00:00Z",
        },
        {
            "kind": "Heartbeat.no payload",
            "words": "Heartbeat: no payload",
            "count": 1,
            "last_at": "2026-06-01T12:00:00Z",
        },
    ]
    station = (await log.viewer.get("/api/v1/charge-points/CP1")).json()
    assert station["quirks"] == {"Heartbeat.no payload": 1, PADDED: 2}
