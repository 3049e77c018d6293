"""What happens at a site and what happened, over the API."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from api_builders import Api

from csms.domain.snapshot import DeviceSnapshot, LoadSnapshot, SiteSnapshot
from tests.services_on_file import NOON

HISTORY = "/api/v1/sites/home/history"


def snapshot() -> SiteSnapshot:
    boiler = LoadSnapshot(
        "boiler", "Boiler", "water_heater", "solar_only", ("off", "solar_only"), "waiting", 0.0, True,
        "waiting: 640 W surplus, needs 1000 W", "waiting", {"surplus_w": 640.0}, steps=("1", "2"),
    )  # fmt: skip
    meter = DeviceSnapshot("grid", "meter", "Grid", True, 2.0, None, -640.0)
    return SiteSnapshot(
        "home", "Sonnenweg 4", NOON, -640.0, -1000.0, None, 360.0, 0.0, 640.0, 640.0, (boiler,), (meter,)
    )


async def record(api: Api, minutes: int, grid_w: float = -600.0) -> None:
    for n in range(minutes):
        powers = {
            "grid_w": grid_w - n,
            "pv_w": -1000.0,
            "house_w": 400.0,
            "controlled_w": 0.0,
            "loads_w": {"boiler": 0},
        }
        await api.services.reporting.record_minute(
            "home", NOON + timedelta(minutes=n), powers, {"n": n}, {"surplus_w": 600.0 + n}, {}
        )


async def history(api: Api, **params: Any) -> list[dict[str, Any]]:
    answer = await api.viewer.get(HISTORY, params={"from": "2026-06-01T12:00:00Z", **params})
    assert answer.status_code == 200, answer.text
    rows: list[dict[str, Any]] = answer.json()
    return rows


async def test_live_tells_every_load_with_its_reason(api: Api) -> None:
    before = await api.viewer.get("/api/v1/sites/home/live")
    assert before.status_code == 404
    api.services.live.publish(snapshot())
    live = (await api.viewer.get("/api/v1/sites/home/live")).json()
    assert (live["grid_w"], live["battery_w"], live["at"]) == (-640.0, None, "2026-06-01T12:00:00Z")
    assert live["loads"][0]["reason"] == "waiting: 640 W surplus, needs 1000 W"
    assert live["devices"][0]["ok"] is True


async def test_history_gives_means_per_step(api: Api) -> None:
    await record(api, 10)
    rows = await history(api, to="2026-06-01T12:10:00Z", step=300)
    assert [(row["at"], row["grid_w"]) for row in rows] == [
        ("2026-06-01T12:00:00Z", -602.0),
        ("2026-06-01T12:05:00Z", -607.0),
    ]


async def test_an_offset_may_arrive_unescaped(api: Api) -> None:
    await record(api, 5)
    answer = await api.viewer.get(f"{HISTORY}?from=2026-06-01T14:00:00+02:00&to=2026-06-01T14:05:00+02:00")
    assert len(answer.json()) == 1


async def test_a_time_without_an_offset_is_refused(api: Api) -> None:
    for path in (HISTORY, "/api/v1/sites/home/decisions", "/api/v1/charge-points/CP1/messages"):
        refused = await api.operator.get(path, params={"from": "2026-06-01T12:00:00"})
        assert refused.status_code == 422
        error = refused.json()["errors"][0]
        assert (error["field"], error["value"]) == ("from", "2026-06-01T12:00:00")
        assert "2026-06-01T12:00:00Z" in error["expected"]


async def test_a_span_that_ends_before_it_begins_is_refused(api: Api) -> None:
    refused = await api.viewer.get(
        HISTORY, params={"from": "2026-06-02T00:00:00Z", "to": "2026-06-01T00:00:00Z"}
    )
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "from")


@pytest.mark.parametrize(
    ("days", "step", "status"),
    [(365, 60, 422), (31, 300, 422), (365, 3600, 422), (31, 900, 200), (7, 300, 200)],
)
async def test_too_many_points_at_once_are_refused(api: Api, days: int, step: int, status: int) -> None:
    begin = (NOON - timedelta(days=days)).isoformat()
    answer = await api.viewer.get(HISTORY, params={"from": begin, "to": NOON.isoformat(), "step": step})
    assert answer.status_code == status
    if status == 422:
        error = answer.json()["errors"][0]
        assert (error["field"], error["value"]) == ("step", step)
        assert "at most 3000 points" in error["expected"]


async def test_decisions_come_newest_first(api: Api) -> None:
    await record(api, 3)
    answer = await api.viewer.get(
        "/api/v1/sites/home/decisions",
        params={"from": "2026-06-01T11:00:00Z", "to": "2026-06-01T13:00:00Z", "limit": 2},
    )
    assert [(row["inputs"]["n"], row["outcome"]["surplus_w"]) for row in answer.json()] == [
        (2, 602.0),
        (1, 601.0),
    ]


async def test_history_of_an_unknown_site(api: Api) -> None:
    assert (await api.viewer.get("/api/v1/sites/nowhere/history")).status_code == 404
