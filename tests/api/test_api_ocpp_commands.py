"""OCPP commands over HTTP to a station on a real websocket, and each way they can fail."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import httpx
import pytest
from api_builders import Api
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from csms.ocpp.server import OcppServer

RESET = "/api/v1/charge-points/CP1/ocpp/Reset"


class SilentStation:
    """These stations only answer."""

    async def handle(
        self, identity: str, action: str, payload: dict[str, Any], received_at: datetime
    ) -> dict[str, Any]:
        raise AssertionError(f"{identity} sent {action}")


@pytest.fixture
async def station(api: Api) -> AsyncIterator[ClientConnection]:
    services = api.services
    server = OcppServer(
        services.charge_points, SilentStation(), services.clock, "127.0.0.1", 0, frame_log=services.frames
    )
    await server.start()
    try:
        async with (
            services.events.subscribe() as events,
            connect(
                f"ws://127.0.0.1:{server.port}/CP1", subprotocols=[Subprotocol("ocpp1.6")], proxy=None
            ) as link,
        ):
            while (await asyncio.wait_for(events.get(), 10)).kind != "station.connected":
                pass
            yield link
    finally:
        await server.stop()


async def asked(link: ClientConnection) -> tuple[str, str, dict[str, Any]]:
    """The next call's id, action and payload."""
    kind, message_id, action, payload = json.loads(await asyncio.wait_for(link.recv(), 10))
    assert kind == 2
    return message_id, action, payload


async def test_the_answer_of_the_station_is_the_answer(api: Api, station: ClientConnection) -> None:
    command = asyncio.create_task(api.operator.post(RESET, json={"type": "Soft"}))
    message_id, action, payload = await asked(station)
    assert (action, payload) == ("Reset", {"type": "Soft"})
    await station.send(json.dumps([3, message_id, {"status": "Accepted"}]))
    answer = await command
    assert (answer.status_code, answer.json()) == (200, {"status": "Accepted"})


async def test_the_frames_can_be_read_afterwards(api: Api, station: ClientConnection) -> None:
    command = asyncio.create_task(api.operator.post(RESET, json={"type": "Soft"}))
    message_id, *_ = await asked(station)
    await station.send(json.dumps([3, message_id, {"status": "Accepted"}]))
    await command
    day = {"from": "2026-06-01T00:00:00Z", "to": "2026-06-02T00:00:00Z"}
    frames = (await api.operator.get("/api/v1/charge-points/cp1/messages", params=day)).json()
    assert {(frame["direction"], message_id in frame["text"]) for frame in frames} - {("log", False)} == {
        ("out", True),
        ("in", True),
    }


async def test_a_command_without_a_body_is_an_empty_payload(api: Api, station: ClientConnection) -> None:
    command = asyncio.create_task(api.operator.post("/api/v1/charge-points/CP1/ocpp/ClearCache"))
    message_id, action, payload = await asked(station)
    assert (action, payload) == ("ClearCache", {})
    await station.send(json.dumps([3, message_id, {"status": "Accepted"}]))
    assert (await command).status_code == 200


async def test_a_callerror_is_passed_on_with_code_and_description(
    api: Api, station: ClientConnection
) -> None:
    command = asyncio.create_task(api.operator.post(RESET, json={"type": "Hard"}))
    message_id, *_ = await asked(station)
    await station.send(json.dumps([4, message_id, "NotSupported", "no hard reset here", {}]))
    answer = await command
    assert answer.status_code == 502
    problem = answer.json()
    assert (problem["code"], problem["description"]) == ("NotSupported", "no hard reset here")


async def test_a_station_that_stays_silent_is_a_time_out(api: Api, station: ClientConnection) -> None:
    answer = await api.operator.post(RESET, json={"type": "Soft"}, params={"timeout_s": 0.1})
    assert answer.status_code == 504
    assert answer.json()["detail"] == "charge point 'CP1' did not answer Reset within 0.1 s"


async def test_a_payload_that_breaks_the_schema_never_reaches_the_station(
    api: Api, station: ClientConnection
) -> None:
    answer = await api.operator.post(RESET, json={"type": "Gentle"})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "type")
    missing = await api.operator.post(RESET, json={})
    assert (missing.status_code, missing.json()["errors"][0]["field"]) == (422, "type")
    no_object = await api.operator.post(RESET, json=["Soft"])
    assert no_object.status_code == 422
    command = asyncio.create_task(api.operator.post(RESET, json={"type": "Soft"}))
    _, _, payload = await asked(station)
    assert payload == {"type": "Soft"}
    command.cancel()


async def test_a_station_that_went_away_is_not_connected(api: Api, station: ClientConnection) -> None:
    async with api.services.events.subscribe() as events:
        await station.close()
        while (await asyncio.wait_for(events.get(), 10)).kind != "station.disconnected":
            pass
    answer = await api.operator.post(RESET, json={"type": "Soft"})
    assert (answer.status_code, answer.json()["detail"]) == (409, "charge point 'CP1' is not connected")


async def test_unknown_station_and_unknown_action(api: Api, station: ClientConnection) -> None:
    nobody = await api.operator.post("/api/v1/charge-points/CP9/ocpp/Reset", json={"type": "Soft"})
    assert (nobody.status_code, nobody.json()["detail"]) == (404, "charge point 'CP9' does not exist")
    action: httpx.Response = await api.operator.post("/api/v1/charge-points/CP1/ocpp/SelfDestruct", json={})
    assert action.status_code == 404
    told = "action 'SelfDestruct' does not exist; there are: CancelReservation,"
    assert action.json()["detail"].startswith(told)


async def test_the_state_of_the_station_is_told(api: Api, station: ClientConnection) -> None:
    api.services.charge_points.status("CP1", 1, "Preparing", "NoError", api.services.clock.now())
    told = (await api.viewer.get("/api/v1/charge-points/CP1")).json()
    assert (told["connected"], told["site"], told["registration"]) == (True, "home", "Accepted")
    assert [(c["connector_id"], c["state"]) for c in told["connectors"]] == [(1, "plugged")]
    assert len((await api.viewer.get("/api/v1/charge-points")).json()) == 1


@pytest.mark.parametrize(
    ("key", "value"),
    [("AuthorizationKey", "0123456789abcdef0123"), ("SecurityProfile", "1"), (" authorizationKEY", "0" * 32)],
)
async def test_what_only_an_admin_may_set_has_no_second_door(
    api: Api, station: ClientConnection, key: str, value: str
) -> None:
    """An operator could give a station another password by the raw request."""
    await api.admin.put("/api/v1/charge-points/CP1/authorization-key", json={"send": False})
    path, body = "/api/v1/charge-points/CP1/ocpp/ChangeConfiguration", {"key": key, "value": value}
    refused = await api.operator.post(path, json=body)
    assert refused.status_code == 403
    assert refused.json()["detail"].startswith("a token of role admin is needed to change")
    command = asyncio.create_task(api.admin.post(path, json=body))
    message_id, action, payload = await asked(station)
    assert (action, payload) == ("ChangeConfiguration", body)
    await station.send(json.dumps([3, message_id, {"status": "NotSupported"}]))
    assert (await command).json() == {"status": "NotSupported"}


async def test_an_operator_changes_what_is_no_secret(api: Api, station: ClientConnection) -> None:
    path = "/api/v1/charge-points/CP1/ocpp/ChangeConfiguration"
    command = asyncio.create_task(api.operator.post(path, json={"key": "HeartbeatInterval", "value": "60"}))
    message_id, _, _ = await asked(station)
    await station.send(json.dumps([3, message_id, {"status": "Accepted"}]))
    assert (await command).status_code == 200
