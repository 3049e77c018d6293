"""What the conformance tool does not ask and every field has: refusals at the door, lost answers, crossed and
late frames, broken JSON, connections that end in the middle of a transaction."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from octt_server import OcttServer, rest_client, running_csms
from octt_station import (
    VALID_TAG,
    Connect,
    OcttStation,
    Operator,
    Payload,
    Refusal,
    ago,
    dial,
    wire_time,
)
from station_keys import basic
from websockets.exceptions import InvalidStatus

from csms.app import App
from csms.settings import Settings

KEY = bytes(range(20))

# --- at the door ---


@pytest.fixture(scope="module")
def gatekeeper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OcttServer]:
    """A server where unknown stations wait until somebody lets them in; it asks those it has let in."""
    folder = tmp_path_factory.mktemp("gatekeeper") / "var"
    with running_csms(folder, unknown_charge_points="pending") as server:
        yield server


@pytest.fixture
async def porter(gatekeeper: OcttServer) -> AsyncIterator[Operator]:
    async with rest_client(gatekeeper) as client:
        yield Operator(client)


async def test_a_pending_station_is_configured_then_let_in(gatekeeper: OcttServer, porter: Operator) -> None:
    station = OcttStation("WAITS", await dial(gatekeeper.url("WAITS")))
    await station.boot("Pending")
    await is_refused(station, "Heartbeat", {})
    asked = {"key": "HeartbeatInterval", "value": "120"}
    await porter.command(station, "ChangeConfiguration", asked, {"status": "Accepted"})

    await let_in(porter, station)
    await station.boot("Accepted")  # and then it is asked what it can do
    assert (await station.command()).action == "GetConfiguration"
    await station.disconnect()


async def test_nothing_unasked_comes_to_a_station_in_conformance_mode(
    gatekeeper: OcttServer, porter: Operator
) -> None:
    station = OcttStation("TESTED", await dial(gatekeeper.url("TESTED")))
    await station.boot("Pending")
    await station.disconnect()
    await set_conformance_mode(porter, station, True)
    assert (await porter.request("POST", "/charge-points/TESTED/accept")).status_code == 204
    station = OcttStation("TESTED", await dial(gatekeeper.url("TESTED")))
    await station.boot("Accepted")
    await station.charge()
    await porter.command(station, "ClearCache", {}, {"status": "Accepted"})
    await station.heartbeat()

    await set_conformance_mode(porter, station, False)
    station.expects_commands = True
    await station.boot("Accepted")
    assert (await station.command()).action == "GetConfiguration"
    await station.disconnect()


async def test_a_rejected_station_is_told_so_and_may_ask_again(
    gatekeeper: OcttServer, porter: Operator
) -> None:
    station = OcttStation("UNWANTED", await dial(gatekeeper.url("UNWANTED")))
    await station.boot("Pending")
    assert (await porter.request("POST", "/charge-points/UNWANTED/reject")).status_code == 204
    await station.boot("Rejected")
    await is_refused(station, "StartTransaction", _start_payload(wire_time()))
    await station.disconnect()


async def is_refused(station: OcttStation, action: str, payload: Payload) -> None:
    refusal = await station.ask(action, payload)
    assert isinstance(refusal, Refusal)
    assert refusal.code == "SecurityError"


async def let_in(porter: Operator, station: OcttStation) -> None:
    """One click; the station is asked to boot again, and is still asked things afterwards."""
    station.expects_commands = True
    answer = await porter.request("POST", f"/charge-points/{station.identity}/accept")
    assert answer.status_code == 204, answer.text
    trigger = await station.command("TriggerMessage")
    assert trigger.payload == {"requestedMessage": "BootNotification"}
    await station.reply(trigger, {"status": "Accepted"})


async def set_conformance_mode(porter: Operator, station: OcttStation, on: bool) -> None:
    answer = await porter.request("PATCH", f"/charge-points/{station.identity}", {"conformance_mode": on})
    assert answer.status_code == 200, answer.text


async def test_an_unknown_identity_is_not_found(tmp_path: Path) -> None:
    settings = Settings(
        _env_file=None,  # type: ignore[call-arg]
        data_dir=tmp_path / "var",
        ocpp_host="127.0.0.1",
        ocpp_port=0,
    )
    app = App(settings)
    await app.start(control=False, web=False)
    try:
        with pytest.raises(InvalidStatus) as refused:
            await dial(f"ws://127.0.0.1:{app.ocpp.port}/ocpp/STRANGER")
        assert refused.value.response.status_code == 404
    finally:
        await app.stop()


async def test_a_wrong_password_is_refused_and_the_right_one_let_in(
    server: OcttServer, connect: Connect, operator: Operator, identity: str
) -> None:
    await (await connect()).boot()
    await operator.set_up(identity, profile=1, key=KEY)
    for authorization in (None, basic(identity, b"guessed-by-somebody"), basic("somebody", KEY)):
        with pytest.raises(InvalidStatus) as refused:
            await dial(server.url(identity), authorization=authorization)
        assert refused.value.response.status_code == 401
        assert refused.value.response.headers["WWW-Authenticate"].startswith("Basic")
    await (await connect(authorization=basic(identity, KEY))).boot()


# --- answers that get lost ---


async def test_a_start_repeated_after_a_lost_answer_is_one_transaction(
    station: OcttStation, operator: Operator, connect: Connect
) -> None:
    payload = _start_payload(ago(seconds=5))
    first = await station.call("StartTransaction", payload)
    again = await station.call("StartTransaction", payload)
    await station.lose_power()
    back = await connect()
    once_more = await back.call("StartTransaction", payload)
    assert first == again == once_more
    assert len(await operator.transactions(station.identity)) == 1


async def test_a_stop_repeated_after_a_lost_answer_counts_once(
    station: OcttStation, operator: Operator
) -> None:
    transaction_id = await station.charge()
    at = wire_time()
    for _ in range(2):
        await station.stop(transaction_id, "Local", timestamp=at, idTag=VALID_TAG)
    (transaction,) = await operator.transactions(station.identity)
    assert transaction["energy_wh"] == 3200


async def test_a_station_that_never_learnt_its_transaction_id_sends_minus_one(
    station: OcttStation, operator: Operator, connect: Connect
) -> None:
    await station.status("Preparing")
    await station.say([2, "lost", "StartTransaction", _start_payload(ago(minutes=10))])
    await station.answer_to("lost", "StartTransaction")  # what the station's software never sees
    await station.lose_power()
    back = await connect()
    await back.meter_values(-1, 2000)
    await back.stop(-1, "EVDisconnected")
    await back.unplug()
    (transaction,) = await operator.transactions(station.identity)
    assert transaction["stop_reason"] == "EVDisconnected"
    assert transaction["energy_wh"] == 3200


async def test_a_connection_lost_during_a_transaction_changes_nothing_about_it(
    station: OcttStation, operator: Operator, connect: Connect
) -> None:
    transaction_id = await station.charge()
    await station.meter_values(transaction_id, 1500)
    await station.lose_power()
    back = await connect()  # and does not boot: it never was off
    await back.meter_values(transaction_id, 2500)
    connector = await operator.connector(station.identity)
    assert connector["transaction"]["id"] == transaction_id
    assert connector["transaction"]["energy_wh"] == 1500
    await back.stop(transaction_id, "Local")
    (transaction,) = await operator.transactions(station.identity)
    assert transaction["energy_wh"] == 3200


async def test_the_newest_connection_of_a_station_wins(
    station: OcttStation, operator: Operator, connect: Connect
) -> None:
    newer = await connect()
    assert await station.closed() == 1000
    await newer.heartbeat()
    await operator.command(newer, "ClearCache", {}, {"status": "Accepted"})


# --- frames that cross, come late or are broken ---


async def test_calls_cross(station: OcttStation, operator: Operator) -> None:
    asking = asyncio.create_task(
        operator.request("POST", f"/charge-points/{station.identity}/ocpp/GetConfiguration", {})
    )
    station.expects_commands = True
    command = await station.command("GetConfiguration")
    await station.heartbeat()
    transaction_id = await station.charge()
    await station.reply(command, {"configurationKey": [], "unknownKey": []})
    assert (await asking).status_code == 200
    assert (await operator.connector(station.identity))["transaction"]["id"] == transaction_id


async def test_an_answer_that_comes_too_late_changes_nothing(
    station: OcttStation, operator: Operator
) -> None:
    path = f"/charge-points/{station.identity}/ocpp/ClearCache?timeout_s=1"
    station.expects_commands = True
    asking = asyncio.create_task(operator.request("POST", path, {}))
    command = await station.command("ClearCache")
    assert (await asking).status_code == 504
    await station.reply(command, {"status": "Accepted"})
    await station.heartbeat()
    await operator.command(station, "ClearCache", {}, {"status": "Rejected"})


async def test_an_answer_to_nothing_and_unknown_message_types_are_passed_over(station: OcttStation) -> None:
    for frame in ([3, "never-asked", {}], [4, "never-asked", "GenericError", "", {}], [5, "x", {}], [], 17):
        await station.say(frame)
    await station.heartbeat()


async def test_broken_json_is_answered_where_its_id_can_be_read(station: OcttStation) -> None:
    await station.say("this is no JSON")
    await station.say('[2,"broken","Heartbeat",{"a":]')
    refusal = await station.answer_to("broken", "Heartbeat")
    assert isinstance(refusal, Refusal)
    assert refusal.code == "FormationViolation"
    await station.heartbeat()


@pytest.mark.parametrize(
    ("action", "payload", "code"),
    [
        pytest.param("OpenTheGarage", {}, "NotImplemented", id="no such action"),
        pytest.param("RemoteStartTransaction", {"idTag": "A"}, "NotSupported", id="the wrong way round"),
        pytest.param(
            "StatusNotification",
            {"status": "Charging"},
            "OccurenceConstraintViolation",
            id="a field is missing",
        ),
    ],
)
async def test_what_cannot_be_understood_is_refused_with_its_code(
    station: OcttStation, action: str, payload: dict[str, str], code: str
) -> None:
    refusal = await station.ask(action, payload)
    assert isinstance(refusal, Refusal)
    assert refusal.code == code


async def test_a_station_that_refuses_with_a_call_error_is_quoted(
    station: OcttStation, operator: Operator
) -> None:
    response = await operator.command(station, "ClearCache", {}, Refusal("NotSupported", "no cache"), 502)
    assert (response.json()["code"], response.json()["description"]) == ("NotSupported", "no cache")


def _start_payload(at: str) -> Payload:
    return {"connectorId": 1, "idTag": VALID_TAG, "meterStart": 1000, "timestamp": at}
