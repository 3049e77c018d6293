"""For the machines that watch: events, health, metrics, OpenAPI."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from api_builders import Api, rest_client, serving
from test_api_live_and_history import snapshot

from csms.domain.snapshot import LineSnapshot, LineUnitSnapshot
from tests.services_on_file import NOON, SetClock, running_services


def clock_of(api: Api) -> SetClock:
    assert isinstance(api.services.clock, SetClock)
    return api.services.clock


async def test_events_are_told_as_they_happen(api: Api) -> None:
    async with (
        asyncio.timeout(10),
        api.viewer.stream("GET", "/api/v1/events", params={"kind": "load."}) as stream,
    ):
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = stream.aiter_lines()
        assert await anext(lines) == ": listening"
        api.services.live.publish(snapshot())  # another kind: not asked for
        await api.services.sites.set_appliance_mode("boiler", "off")
        told = [line async for line in _until_data(lines)]
    assert told[-2] == "event: load.mode"
    assert json.loads(told[-1].removeprefix("data: ")) == {
        "at": "2026-06-01T12:00:00+00:00",
        "site_id": "home",
        "load_id": "boiler",
        "mode": "off",
        "manual": None,
    }


async def _until_data(lines: Any) -> Any:
    async for line in lines:
        yield line
        if line.startswith("data:"):
            return


async def test_the_process_is_alive_without_a_token(api: Api) -> None:
    assert (await api.nobody.get("/healthz")).json() == {"status": "ok", "version": "1.2.3"}


async def test_a_fresh_server_is_ready_until_its_first_decision_is_overdue(api: Api) -> None:
    assert (await api.nobody.get("/readyz")).status_code == 200
    clock_of(api).at += timedelta(seconds=181)
    late = await api.nobody.get("/readyz")
    assert late.status_code == 503
    assert late.json()["reasons"] == ["site home: no decision for 181 s"]


async def test_a_control_loop_that_stopped_is_noticed(api: Api) -> None:
    api.services.live.publish(snapshot())
    clock_of(api).at += timedelta(seconds=180)
    assert (await api.nobody.get("/readyz")).status_code == 200
    clock_of(api).at += timedelta(seconds=1)
    late = await api.nobody.get("/readyz")
    assert late.json()["reasons"] == ["site home: last decision for 181 s"]


async def test_a_database_that_went_away_is_noticed(tmp_path: Path) -> None:
    async with running_services(tmp_path, SetClock()) as services, serving(services) as address:
        await services.database.stop()
        async with rest_client(address) as client:
            answer = await client.get("/readyz")
            assert answer.status_code == 503
            assert answer.json()["reasons"][0].startswith("database:")
            assert (await client.get("/healthz")).status_code == 200


async def test_metrics(api: Api) -> None:
    unit = LineUnitSnapshot(1, 2.0, 0.05, 90, 4, True)
    line = LineSnapshot("m:502", True, 5.0, 0.5, 0.25, 90, 4, 0, (unit,))
    api.services.live.publish(replace(snapshot(), lines=(line,)))
    clock_of(api).at = NOON + timedelta(seconds=30)
    await api.services.charge_points.admit("CP1")
    api.services.charge_points.mended("CP1", ["MeterValues, value trimmed"])
    text = (await api.nobody.get("/metrics")).text
    for line in (
        "csms_stations 1.0",
        "csms_stations_connected 0.0",
        'csms_station_quirks_total{charge_point="CP1",kind="MeterValues, value trimmed"} 1.0',
        'csms_site_power_watts{kind="grid",site="home"} -640.0',
        'csms_site_decision_age_seconds{site="home"} 30.0',
        'csms_device_ok{device="grid",kind="meter",site="home"} 1.0',
        'csms_line_share{line="m:502"} 0.25',
        'csms_line_requests_total{line="m:502"} 90.0',
        'csms_line_errors_total{line="m:502"} 4.0',
        'csms_line_units_absent{line="m:502"} 1.0',
        'csms_line_unit_age_seconds{line="m:502",unit="1"} 2.0',
    ):
        assert line in text.splitlines()


async def test_openapi_tells_everything(api: Api) -> None:
    document = (await api.nobody.get("/api/v1/openapi.json")).json()
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    assert set(document["components"]["schemas"]["Problem"]["properties"]) >= {
        "type",
        "title",
        "detail",
        "errors",
    }
    paths = document["paths"]
    assert {
        "/api/v1/sites/{site_id}/live",
        "/api/v1/charge-points/{identity}/ocpp/{action}",
        "/readyz",
    } <= set(paths)
    operations = [(p, m, o) for p, methods in paths.items() for m, o in methods.items()]
    for path, method, operation in operations:
        assert operation["summary"], (method, path)
        if path.startswith("/api/"):
            assert operation["security"] == [{"token": []}], (method, path)
            assert operation["responses"]["401"]["content"].keys() == {"application/problem+json"}
    identifiers = [operation["operationId"] for *_, operation in operations]
    assert len(set(identifiers)) == len(identifiers)
    references = _references(document)
    assert {r.rpartition("/")[2] for r in references} <= set(document["components"]["schemas"])
    assert "HTTPValidationError" not in references


def _references(node: Any) -> set[str]:
    if isinstance(node, dict):
        own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
        return own.union(*(_references(value) for value in node.values()))
    if isinstance(node, list):
        return set().union(*(_references(value) for value in node))
    return set()
