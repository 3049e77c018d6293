"""A station that counts its messages from 1 with every boot, and repeats under old ids or new ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from station_being_asked import AskedStation, running_server

START = {"connectorId": 1, "idTag": "A", "meterStart": 1000, "timestamp": "2026-06-01T11:59:50Z"}


def stop_of(transaction_id: int) -> dict[str, Any]:
    return {
        "transactionId": transaction_id,
        "meterStop": 3000,
        "timestamp": "2026-06-01T11:59:58Z",
        "idTag": "A",
    }


async def test_ids_say_nothing_about_what_was_said_before(tmp_path: Path) -> None:
    station = AskedStation()
    async with running_server(tmp_path) as server:
        await server.connect(station)
        begun = (await station.say("StartTransaction", START, "1"))[2]
        assert (await station.say("StartTransaction", START, "2"))[2] == begun  # repeated under a new id
        await server.connect(station)  # booted: it counts from 1 again
        assert "currentTime" in (await station.say("Heartbeat", {}, "1"))[2]
        assert (await station.say("StartTransaction", START, "2"))[2] == begun
    async with running_server(tmp_path) as server:
        await server.connect(station)
        assert (await station.say("StartTransaction", START, "1"))[2] == begun
        ended = (await station.say("StopTransaction", stop_of(begun["transactionId"]), "2"))[2]
        await server.connect(station)
        assert (await station.say("StopTransaction", stop_of(begun["transactionId"]), "1"))[2] == ended
        following = {**START, "meterStart": 3000, "timestamp": "2026-06-01T12:00:00Z"}
        assert (await station.say("StartTransaction", following, "2"))[2] != begun
        rows = await server.app.reporting.transactions()
        assert [row["energy_wh"] for row in rows] == [0, 2000]
