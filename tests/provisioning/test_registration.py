"""Who is accepted, who waits, who is refused; and what each may say and be told."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from station_being_asked import BOOT, PATIENCE_S, AskedStation, Server, running_server

from csms.errors import InvalidInput


async def test_a_pending_station_waits_and_is_accepted_with_one_word(tmp_path: Path) -> None:
    station = AskedStation()
    async with running_server(tmp_path, unknown_charge_points="pending") as server:
        await server.connect(station)
        answer = await server.boot(station)
        assert (answer["status"], answer["interval"]) == ("Pending", 60)
        assert station.heard == []
        assert (await station.say("Heartbeat", {}))[2] == "SecurityError"
        async with server.app.events.subscribe("station.accepted") as accepted:
            await server.app.charge_points.accept("cp1")
            await asyncio.wait_for(accepted.get(), PATIENCE_S)
        await asyncio.wait_for(station.asked.wait(), PATIENCE_S)
        assert station.triggered == ["BootNotification"]
        answer = await server.boot(station)
        assert (answer["status"], answer["interval"]) == ("Accepted", 60)
        assert len(station.heard_of("GetConfiguration")) == 2
        await server.app.charge_points.accept("cp1")  # once more changes nothing
        await server.settle()
        assert station.triggered.count("BootNotification") == 1


async def test_a_pending_station_may_be_read_and_set_and_triggered_but_not_started(tmp_path: Path) -> None:
    station = AskedStation()
    async with running_server(tmp_path, unknown_charge_points="pending") as server:
        await server.connect(station)
        await server.boot(station)
        send = server.app.commands.send
        await send("CP1", "ChangeConfiguration", {"key": "Colour", "value": "blue"})
        assert (await send("CP1", "GetConfiguration", {"key": ["Colour"]}))["configurationKey"]
        status = {"connectorId": 1, "status": "Available", "errorCode": "NoError"}
        assert (await station.say("StatusNotification", status))[0] == 4
        await send("CP1", "TriggerMessage", {"requestedMessage": "StatusNotification"})
        assert (await station.say("StatusNotification", status))[0] == 3
        assert (await station.say("Heartbeat", {}))[0] == 4
        await server.clock.advance(120)
        assert (await station.say("StatusNotification", status))[0] == 4
        for action, payload in (
            ("RemoteStartTransaction", {"idTag": "A"}),
            ("RemoteStopTransaction", {"transactionId": 1}),
        ):
            with pytest.raises(InvalidInput, match="an accepted station"):
                await send("CP1", action, payload)


async def test_a_rejected_station_is_told_so_with_every_boot_until_it_is_accepted(server: Server) -> None:
    station = AskedStation()
    await server.connect(station)
    await server.boot(station)
    await server.app.charge_points.reject("CP1")
    before = len(station.heard)
    answer = await server.boot(station)
    assert (answer["status"], answer["interval"]) == ("Rejected", 300)
    assert (await station.say("Heartbeat", {}))[2] == "SecurityError"
    await server.clock.advance(600)
    assert len(station.heard) == before
    await server.app.charge_points.accept("CP1")
    assert (await station.say("Heartbeat", {}))[0] == 3


async def test_a_station_that_is_refused_in_mid_question_is_asked_no_more(server: Server) -> None:
    station = AskedStation(mute={"GetConfiguration"})
    await server.connect(station)
    async with server.app.events.subscribe("station.rejected") as refused:
        await station.say("BootNotification", BOOT)
        await asyncio.wait_for(station.asked.wait(), PATIENCE_S)
        await server.app.charge_points.reject("CP1")
        await asyncio.wait_for(refused.get(), PATIENCE_S)
    await server.settle()  # without waiting for the answer that never comes
    assert [action for action, _ in station.heard] == ["GetConfiguration"]


async def test_rejected_is_remembered_over_a_restart(tmp_path: Path) -> None:
    async with running_server(tmp_path) as server:
        await server.connect(AskedStation())
        await server.app.charge_points.reject("CP1")
        await server.app.charge_points.set_options("CP1", {"assume_subprotocol": True})
    async with running_server(tmp_path) as server:
        station = AskedStation()
        await server.connect(station)
        assert (await station.say("Heartbeat", {}))[2] == "SecurityError"
        assert server.station().options == {"assume_subprotocol": True}


async def test_an_option_that_does_not_exist_is_named(server: Server) -> None:
    await server.connect(AskedStation())
    with pytest.raises(InvalidInput, match="'colour' given, one of conformance_mode, assume_subprotocol"):
        await server.app.charge_points.set_options("CP1", {"colour": True})
