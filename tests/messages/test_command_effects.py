"""Whatever becomes of a command, those that keep records of it are told once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from csms.errors import CallFailed, CallTimeout, CsmsError, InvalidInput, NotConnected
from csms.services.command_effects import Command, CommandEffect
from tests.ocpp.central_system_under_test import CentralSystem, central_system

UNLOCK = {"connectorId": 1}


class Diary(CommandEffect):
    def __init__(self) -> None:
        self.entries: list[tuple[str, Any]] = []

    async def before(self, command: Command) -> None:
        self.entries.append(("before", command.payload))

    async def answered(self, command: Command, answer: dict[str, Any]) -> None:
        self.entries.append(("answered", answer))

    async def failed(self, command: Command, error: CsmsError) -> None:
        self.entries.append(("failed", type(error)))


class Careless(CommandEffect):
    async def answered(self, command: Command, answer: dict[str, Any]) -> None:
        raise KeyError("no such thing")


class Strict(CommandEffect):
    async def before(self, command: Command) -> None:
        raise InvalidInput("connectorId", command.payload["connectorId"], "a connector it has")


@pytest.fixture
async def system(tmp_path: Path) -> AsyncIterator[CentralSystem]:
    async with central_system(tmp_path) as running:
        yield running


async def test_an_answer_is_told_to_every_effect_though_one_of_them_fails(system: CentralSystem) -> None:
    diary = Diary()
    system.commands.on("UnlockConnector", Careless())
    system.commands.on("UnlockConnector", diary)
    station = await system.station()
    asked = asyncio.create_task(system.commands.send("CP1", "UnlockConnector", UNLOCK))
    call = await station.hear()
    await station.say([3, call[1], {"status": "unlocked"}])
    assert await asked == {"status": "Unlocked"}
    assert diary.entries == [("before", UNLOCK), ("answered", {"status": "Unlocked"})]


async def test_a_refusal_by_callerror_is_told(system: CentralSystem) -> None:
    diary = Diary()
    system.commands.on("UnlockConnector", diary)
    station = await system.station()
    asked = asyncio.create_task(system.commands.send("CP1", "UnlockConnector", UNLOCK))
    call = await station.hear()
    await station.say([4, call[1], "NotSupported", "", {}])
    with pytest.raises(CallFailed):
        await asked
    assert diary.entries[1:] == [("failed", CallFailed)]


async def test_silence_and_a_broken_link_are_told_as_an_unknown_outcome(system: CentralSystem) -> None:
    diary = Diary()
    system.commands.on("UnlockConnector", diary)
    station = await system.station()
    with pytest.raises(CallTimeout):
        await system.commands.send("CP1", "UnlockConnector", UNLOCK, timeout_s=0.05)
    await station.socket.close()
    station = await system.station()
    asked = asyncio.create_task(system.commands.send("CP1", "UnlockConnector", UNLOCK))
    await station.hear()
    station.socket.transport.abort()
    with pytest.raises(NotConnected):
        await asked
    assert [entry for entry in diary.entries if entry[0] == "failed"] == [
        ("failed", CallTimeout),
        ("failed", NotConnected),
    ]


async def test_without_a_connection_nothing_is_recorded(system: CentralSystem) -> None:
    diary = Diary()
    system.commands.on("UnlockConnector", diary)
    with pytest.raises(NotConnected):
        await system.commands.send("CP1", "UnlockConnector", UNLOCK)
    assert diary.entries == []


async def test_an_effect_may_stop_a_command_before_it_is_sent(system: CentralSystem) -> None:
    system.commands.on("UnlockConnector", Strict())
    station = await system.station()
    with pytest.raises(InvalidInput, match="a connector it has"):
        await system.commands.send("CP1", "UnlockConnector", UNLOCK)
    assert await station.is_served()  # nothing came before


@pytest.mark.parametrize("number", [2**31, -(2**31), 10**30])
async def test_a_number_that_no_station_can_read_is_not_sent(system: CentralSystem, number: int) -> None:
    station = await system.station()
    update = {"listVersion": number, "updateType": "Full"}
    with pytest.raises(InvalidInput, match="listVersion"):
        await system.commands.send("CP1", "SendLocalList", update)
    assert await station.is_served()
