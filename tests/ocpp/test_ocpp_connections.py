"""Stations connect, come back, are refused, die: who is connected is always known."""

import asyncio
import socket as sockets

import pytest
from central_system_under_test import BOOT, HEARTBEAT, PATIENCE_S, central_system
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from csms.clock import SystemClock
from csms.domain.site import SiteConfig
from csms.errors import NotConnected, NotFound, StartupError
from csms.ocpp.server import OcppServer
from csms.services import charge_points
from csms.services.charge_points import ChargePoints
from csms.services.events import EventBus
from csms.storage import sites, stations


def garage_with(identity: str) -> SiteConfig:
    return SiteConfig.model_validate(
        {
            "site": {"id": "home", "name": "Home", "timezone": "Europe/Zurich"},
            "circuit": [{"id": "main", "limit_a": [40, 40, 40]}],
            "charge_point": [
                {
                    "id": identity,
                    "circuit": "main",
                    "connectors": [{"id": 1, "phases": ["L1"], "min_a": 6, "max_a": 16}],
                }
            ],
        }
    )


async def test_a_station_boots_beats_and_reports_its_status(system):
    async with system.event("station.connected") as connected:
        station = await system.station()
        assert (await connected).data["identity"] == "CP1"
    boot = await station.ask([2, "1", "BootNotification", BOOT])
    beat = await station.ask([2, "2", "Heartbeat", {}])
    status = await station.ask(
        [2, "3", "StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Available"}]
    )
    assert (boot[:2], boot[2]["status"]) == ([3, "1"], "Accepted")
    assert (beat[:2], list(beat[2])) == ([3, "2"], ["currentTime"])
    assert status == [3, "3", {}]
    assert [action for _, action, _ in system.answers.handled] == [
        "BootNotification",
        "Heartbeat",
        "StatusNotification",
    ]
    assert station.socket.response.headers["Sec-WebSocket-Protocol"] == "ocpp1.6"


@pytest.mark.parametrize("path", ["", "nobody", "CP1/nobody", "CP1%2F", "%00", "x" * 300])
async def test_an_unknown_station_is_answered_404(system, path):
    with pytest.raises(InvalidStatus) as refused:
        await connect(system.url(path), subprotocols=["ocpp1.6"])
    assert refused.value.response.status_code == 404


@pytest.mark.parametrize("path", ["CP1", "/CP1", "ocpp/CP1", "ocpp/CP1/", "cp1", "CP%31", "CP1?token=x"])
async def test_the_identity_is_the_last_part_of_the_path_in_any_case(system, path):
    station = await system.station(path)
    assert await station.is_served()
    assert system.answers.handled == [("CP1", "Heartbeat", {})]


async def test_an_identity_with_a_blank_comes_percent_encoded(tmp_path):
    async with central_system(tmp_path, known=("RDAM 123",)) as system:
        station = await system.station("RDAM%20123")
        assert await station.is_served()
        assert system.charge_points.is_connected("RDAM 123")


async def test_a_station_that_a_site_names_is_known_without_ever_having_connected(tmp_path):
    async with central_system(tmp_path, known=()) as system:
        await system.database.write(lambda conn: sites.save(conn, garage_with("Garage-1")))
        station = await system.station("GARAGE-1")
        assert await station.is_served()
        assert system.charge_points.station("garage-1").identity == "Garage-1"


async def test_a_plain_web_browser_creates_no_station(tmp_path):
    async with central_system(tmp_path, unknown="accept") as system:
        reader, writer = await asyncio.open_connection("127.0.0.1", system.server.port)
        writer.write(b"GET /favicon.ico HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"426" in await asyncio.wait_for(reader.readline(), PATIENCE_S)
        writer.close()
        assert [s.identity for s in system.charge_points.stations()] == ["CP1"]


async def test_without_the_subprotocol_the_handshake_is_finished_and_the_socket_closed(system):
    for offered in (None, ["ocpp2.0.1"]):
        socket = await connect(system.url("CP1"), subprotocols=offered)
        await asyncio.wait_for(socket.wait_closed(), PATIENCE_S)
        assert (socket.close_code, socket.subprotocol) == (1002, None)
        assert "Sec-WebSocket-Protocol" not in socket.response.headers
    assert not system.charge_points.is_connected("CP1")


async def test_offered_an_older_protocol_as_well_it_picks_ocpp_1_6(system):
    station = await system.station(subprotocols=["ocpp0.1", "ocpp1.6"])
    assert station.socket.subprotocol == "ocpp1.6"
    assert await station.is_served()


async def test_the_newest_connection_wins_and_the_old_one_s_late_close_changes_nothing(system):
    old = await system.station()
    assert await old.is_served()
    new = await system.station()
    assert await new.is_served()
    assert await old.closed() == 1000
    assert await new.is_served()
    assert system.charge_points.is_connected("CP1")
    asked = asyncio.create_task(system.commands.send("CP1", "ClearCache", {}))
    call = await new.hear()
    await new.say([3, call[1], {"status": "Accepted"}])
    assert await asked == {"status": "Accepted"}


async def test_the_same_identity_in_another_case_is_the_same_station(system):
    upper = await system.station("CP1")
    assert await upper.is_served()
    lower = await system.station("cp1")
    assert await lower.is_served()
    assert await upper.closed() == 1000
    assert [s.identity for s in system.charge_points.stations()] == ["CP1"]


async def test_a_command_under_way_when_the_station_reconnects_fails_at_once(system):
    old = await system.station()
    asked = asyncio.create_task(system.commands.send("CP1", "ClearCache", {}))
    await old.hear()
    await system.station()
    with pytest.raises(NotConnected):
        await asyncio.wait_for(asked, PATIENCE_S)


async def test_after_a_reconnect_the_old_connection_s_call_is_finished_before_the_next_is_begun(system):
    system.answers.may_go_on.clear()
    old = await system.station()
    await old.say([2, "1", "Heartbeat", {}])
    await asyncio.wait_for(system.answers.arrived.wait(), PATIENCE_S)
    new = await system.station()
    await new.say([2, "2", "Heartbeat", {}])
    await new.say([2, "x", "Nonsense", {}])
    assert (await new.hear())[:2] == [4, "x"]  # so the call before it has been read as well
    system.answers.may_go_on.set()
    assert (await new.hear())[:2] == [3, "2"]
    assert (len(system.answers.handled), system.answers.most_at_once) == (2, 1)


async def test_a_station_that_leaves_is_offline_and_when_it_was_seen_is_kept(system):
    station = await system.station()
    assert await station.is_served()
    async with system.event("station.disconnected") as left:
        await station.socket.close()
        await left
    assert not system.charge_points.is_connected("CP1")
    with pytest.raises(NotConnected):
        await system.commands.send("CP1", "ClearCache", {})
    assert system.charge_points.station("CP1").connector_state(1, SystemClock().now()) == "offline"


async def test_nobody_is_asked_for_a_station_that_does_not_exist(system):
    with pytest.raises(NotFound):
        await system.commands.send("CP9", "ClearCache", {})


async def test_a_silent_dead_link_is_noticed(tmp_path):
    """The station's power fails: no close frame, no answer to pings any more."""
    async with central_system(tmp_path, ping_interval_s=0.1) as system:
        station = await system.station()
        assert await station.is_served()
        pong = await station.socket.ping()  # the station lives: it has answered the first ping by now
        await asyncio.wait_for(pong, PATIENCE_S)
        async with system.event("station.disconnected") as left:
            station.socket.transport.pause_reading()
            await left
        assert not system.charge_points.is_connected("CP1")


async def test_a_pending_station_may_only_boot_until_it_is_accepted(tmp_path):
    async with central_system(tmp_path, unknown="pending", known=()) as system:
        station = await system.station("NEW")
        assert system.charge_points.station("NEW").registration == "Pending"
        refused = await station.ask(HEARTBEAT)
        assert refused[:3] == [4, "hb", "SecurityError"]
        assert (await station.ask([2, "1", "BootNotification", BOOT]))[0] == 3
        await system.charge_points.accept("new")
        asked = await station.hear()
        assert asked[2:] == ["TriggerMessage", {"requestedMessage": "BootNotification"}]
        await station.say([3, asked[1], {"status": "Accepted"}])
        assert await station.is_served()


async def test_an_accepted_station_stays_accepted_over_a_restart_without_booting(tmp_path):
    async with central_system(tmp_path, unknown="accept", known=()) as system:
        await system.station("NEW")
    async with central_system(tmp_path, unknown="reject", known=()) as system:
        station = await system.station("NEW")
        assert await station.is_served()


async def test_a_rejected_station_stays_rejected(tmp_path):
    async with central_system(tmp_path, unknown="accept", known=("CP1",)) as system:
        await system.database.write(lambda conn: stations.set_registration(conn, "CP1", "Rejected"))
    async with central_system(tmp_path, unknown="accept", known=()) as system:
        station = await system.station()
        assert (await station.ask(HEARTBEAT))[2] == "SecurityError"


async def test_a_pending_station_is_accepted_once_a_site_names_it(tmp_path):
    async with central_system(tmp_path, unknown="pending", known=()) as system:
        station = await system.station("NEW")
        assert (await station.ask(HEARTBEAT))[2] == "SecurityError"
        await system.database.write(lambda conn: sites.save(conn, garage_with("NEW")))
        station = await system.station("NEW")
        assert await station.is_served()


@pytest.mark.parametrize(("unknown", "limit"), [("accept", "STATIONS_KEPT"), ("pending", "WAITING_KEPT")])
async def test_strangers_with_ever_new_names_find_no_room_but_known_ones_do(
    tmp_path, monkeypatch, unknown, limit
):
    async with central_system(tmp_path, unknown=unknown) as system:
        monkeypatch.setattr(charge_points, limit, 3 if unknown == "accept" else 2)
        for name in ("NEW1", "NEW2"):
            await system.station(name)
        with pytest.raises(InvalidStatus, match="404"):
            await system.station("NEW3")
        assert len(system.charge_points.stations()) == 3
        await system.database.write(lambda conn: sites.save(conn, garage_with("NEW3")))
        for name in ("CP1", "NEW2", "NEW3"):
            await system.station(name)


async def test_a_port_in_use_is_one_clear_line(system):
    clock = SystemClock()
    charge_points = ChargePoints(system.database, clock, EventBus(), "reject")
    second = OcppServer(
        charge_points, system.answers, clock, "127.0.0.1", system.server.port, frame_log=system.frames
    )
    with pytest.raises(StartupError, match=r"in use.*CSMS_OCPP_PORT") as refused:
        await second.start()
    assert "\n" not in str(refused.value)


async def test_after_stop_the_port_is_free_and_stations_are_told_to_come_back(tmp_path):
    async with central_system(tmp_path) as system:
        station = await system.station()
        assert await station.is_served()
        port = system.server.port
        await system.server.stop()
        assert await station.closed() == 1012
        with sockets.create_server(("127.0.0.1", port)):
            pass


async def test_stations_share_the_room_for_calls_that_wait(tmp_path):
    async with central_system(tmp_path, known=("CP1", "CP2"), waiting_characters=5000) as system:
        loud, quiet = await system.station("CP1"), await system.station("CP2")
        system.answers.may_go_on.clear()
        await loud.say([2, "1", "DataTransfer", {"vendorId": "v", "data": "x" * 6000}])
        await asyncio.wait_for(system.answers.arrived.wait(), PATIENCE_S)
        await quiet.say([2, "1", "Heartbeat", {}])
        assert (await quiet.ask([2, "2", "Heartbeat", {}]))[:3] == [4, "2", "InternalError"]
        system.answers.may_go_on.set()
        assert (await quiet.hear())[:2] == [3, "1"]
        assert (await loud.hear())[:2] == [3, "1"]
        assert (await quiet.ask([2, "2", "Heartbeat", {}]))[:2] == [3, "2"]
