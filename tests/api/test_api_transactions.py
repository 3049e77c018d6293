"""Transactions and badges over the API."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from typing import Any

import pytest
from api_builders import Api

from csms.storage import transactions
from tests.services_on_file import NOON

PATH = "/api/v1/transactions"


@pytest.fixture
async def charged(api: Api) -> None:
    """Three days: two closed transactions of 4 and 8 kWh, one that runs and has taken 1.5 kWh."""
    await api.services.charge_points.admit("CP1")

    async def store(conn: Any) -> None:
        for day, id_tag in enumerate(("04AB", "=HYPERLINK(1)", "04ab")):
            at = NOON + timedelta(days=day)
            transaction_id = await transactions.start(
                conn, identity="CP1", connector_id=1, id_tag=id_tag, start_status="Accepted",
                start_id_tag_info={"status": "Accepted"},
                started_at=at, meter_start_wh=1000.0, start_received_at=at,
            )  # fmt: skip
            if day < 2:
                await transactions.stop(
                    conn, transaction_id, stopped_at=at + timedelta(hours=2),
                    meter_stop_wh=5000.0 + 4000 * day, stop_reason="Local", stop_received_at=at,
                )  # fmt: skip
            else:
                await transactions.raise_registers(conn, [(transaction_id, 2500.0, at)])

    await api.services.database.write(store)


async def found(api: Api, **params: Any) -> list[int]:
    answer = await api.operator.get(PATH, params=params)
    assert answer.status_code == 200, answer.text
    return [row["id"] for row in answer.json()]


@pytest.mark.usefixtures("charged")
async def test_filters(api: Api) -> None:
    assert await found(api) == [3, 2, 1]
    assert await found(api, id_tag="04AB") == [3, 1]
    assert await found(api, open=True) == [3]
    assert await found(api, charge_point="cp1", connector=1) == [3, 2, 1]
    assert await found(api, connector=2) == []
    assert await found(api, **{"from": "2026-06-02T00:00:00Z", "to": "2026-06-03T00:00:00Z"}) == [2]
    assert await found(api, limit=2) == [3, 2]
    assert await found(api, limit=2, before=2) == [1]


@pytest.mark.usefixtures("charged")
async def test_energy_of_closed_and_running_ones(api: Api) -> None:
    rows = (await api.operator.get(PATH)).json()
    assert [(row["energy_wh"], row["stopped_at"]) for row in rows] == [
        (1500.0, None),
        (8000.0, "2026-06-02T14:00:00Z"),
        (4000.0, "2026-06-01T14:00:00Z"),
    ]


@pytest.mark.usefixtures("charged")
@pytest.mark.parametrize("asking", [{"params": {"format": "csv"}}, {"headers": {"Accept": "text/csv"}}])
async def test_as_a_table(api: Api, asking: dict[str, Any]) -> None:
    answer = await api.operator.get(PATH, **asking)
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["energy_wh"] for row in rows] == ["1500.0", "8000.0", "4000.0"]
    assert rows[1]["id_tag"] == "'=HYPERLINK(1)"  # no formula in anybody's spreadsheet
    assert rows[2]["started_at"] == "2026-06-01T12:00:00+00:00"


async def test_an_unknown_station_is_told(api: Api) -> None:
    assert (await api.operator.get(PATH, params={"charge_point": "CP7"})).status_code == 404


async def test_a_badge_is_added_changed_and_removed(api: Api) -> None:
    badge = "/api/v1/id-tags/04AB"
    created = await api.admin.put(badge, json={"name": "Ann", "expires_at": "2027-01-01T00:00:00Z"})
    assert created.status_code == 201
    assert created.json()["expires_at"] == "2027-01-01T00:00:00Z"
    blocked = await api.admin.put("/api/v1/id-tags/04ab", json={"name": "Ann", "blocked": True})
    assert (blocked.status_code, blocked.json()["blocked"]) == (200, True)
    assert len((await api.viewer.get("/api/v1/id-tags")).json()) == 1
    assert (await api.admin.delete(badge)).status_code == 204
    assert (await api.viewer.get(badge)).status_code == 404


async def test_a_badge_is_not_longer_than_ocpp_allows(api: Api) -> None:
    refused = await api.admin.put("/api/v1/id-tags/" + "A" * 21, json={})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "id_tag")


async def test_a_badge_may_be_for_some_stations_and_one_vehicle(api: Api) -> None:
    badge = {"charge_points": ["CP1"], "min_a": 8}
    created = await api.admin.put("/api/v1/id-tags/04AB", json=badge)
    assert {key: created.json()[key] for key in badge} == badge
    refused = await api.admin.put("/api/v1/id-tags/04AB", json={"min_a": 5})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "min_a")


async def test_badges_move_as_a_table(api: Api) -> None:
    table = "id_tag,name,min_a\r\n04AB,Anna,8\r\n04CD,Berta,\r\n"
    taken = await api.admin.post(
        "/api/v1/id-tags/import", content=table, headers={"Content-Type": "text/csv"}
    )
    assert (taken.status_code, taken.json()) == (200, {"imported": 2})
    given = await api.viewer.get("/api/v1/id-tags", params={"format": "csv"})
    assert given.headers["content-type"].startswith("text/csv")
    assert given.text.splitlines()[1:] == ["04AB,Anna,,false,,,,8.0", "04CD,Berta,,false,,,,"]
    refused = await api.admin.post("/api/v1/id-tags/import", content="id_tag\n\nx" + "y" * 20)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "line 3, id_tag")
    assert (await api.admin.post("/api/v1/id-tags/import", content=b"id_tag\n\xff")).status_code == 422


@pytest.mark.parametrize(
    "written", ["2026", "yesterday", "2026-06-01", "2026-06-01T12:00:00", "1780000000.5"]
)
async def test_a_time_that_is_none_is_told_what_one_looks_like(api: Api, written: str) -> None:
    """A year alone was taken for seconds since 1970, and every transaction listed."""
    refused = await api.operator.get("/api/v1/transactions", params={"from": written})
    assert refused.status_code == 422
    (error,) = refused.json()["errors"]
    assert error["expected"] == "a time with its offset expected, such as 2026-06-01T12:00:00Z"
