"""A running transaction of which nothing is heard: the station is asked, but not bothered."""

from __future__ import annotations

import asyncio

import pytest
from station_being_asked import PATIENCE_S, AskedStation, Server

START = {"connectorId": 1, "idTag": "A", "meterStart": 0, "timestamp": "2026-06-01T12:00:00Z"}


async def asked_for_values(server: Server, station: AskedStation, minutes: int) -> int:
    """How often within that time."""
    station.heard.clear()
    for _ in range(minutes):
        await server.clock.advance(60)
        tasks = list(server.app.stale_readings._asking.values())
        await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE_S)
    return station.triggered.count("MeterValues")


@pytest.fixture
async def station(server: Server) -> AskedStation:
    station = AskedStation()
    await server.connect(station)
    await server.boot(station)
    return station


async def read(server: Server, station: AskedStation) -> None:
    now = server.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
    element = {"timestamp": now, "sampledValue": [{"value": "100"}]}
    await station.say("MeterValues", {"connectorId": 1, "meterValue": [element]})


async def test_a_silent_transaction_is_asked_about_once_a_minute(
    server: Server, station: AskedStation
) -> None:
    assert await asked_for_values(server, station, 5) == 0  # nobody charges
    await station.say("StartTransaction", {**START, "timestamp": server.clock.now().isoformat()})
    assert await asked_for_values(server, station, 2) == 0
    assert await asked_for_values(server, station, 3) == 3
    await read(server, station)
    assert await asked_for_values(server, station, 2) == 0
    assert await asked_for_values(server, station, 1) == 1


@pytest.mark.parametrize("answer", ["Rejected", "NotImplemented"])
async def test_who_cannot_tell_is_not_asked_again_until_it_boots(
    server: Server, station: AskedStation, answer: str
) -> None:
    await station.say("StartTransaction", START)
    station.triggers = answer
    assert await asked_for_values(server, station, 6) == 1
    station.triggers = "Accepted"
    await server.boot(station)
    assert await asked_for_values(server, station, 2) == 2


async def test_a_station_without_triggers_is_not_asked(server: Server, station: AskedStation) -> None:
    station.keys["SupportedFeatureProfiles"] = "Core"
    await server.boot(station)
    await station.say("StartTransaction", START)
    assert await asked_for_values(server, station, 5) == 0
