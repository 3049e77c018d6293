"""A station's old socket and its new one open and close in any order: it is never lost by it."""

import asyncio
import random

from central_system_under_test import PATIENCE_S, CentralSystem, RawStation, central_system
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

ROUNDS = 1000


async def steps(number: int) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


async def opened(system: CentralSystem) -> RawStation:
    url = system.url("CP1")
    return RawStation(await connect(url, subprotocols=["ocpp1.6"], compression=None, ping_interval=None))


async def come_and_go(system: CentralSystem, chance: random.Random) -> None:
    """A socket that says something or nothing and then leaves, politely or without a word."""
    await steps(chance.randrange(30))
    station = await opened(system)
    await steps(chance.randrange(30))
    try:
        if chance.random() < 0.5:
            await station.say('[2,"old","Heartbeat",{}]')
        await steps(chance.randrange(30))
        if chance.random() < 0.5:
            await station.socket.close()
    except ConnectionClosed:
        pass
    station.socket.transport.abort()
    await station.socket.wait_closed()


async def come_and_stay(system: CentralSystem, chance: random.Random) -> RawStation:
    """A socket that is to stay; if it is replaced, it comes back, as stations do."""
    await steps(chance.randrange(60))
    while True:
        station = await opened(system)
        try:
            assert await station.is_served()
            return station
        except ConnectionClosed:
            continue


async def only_one_is_left(system: CentralSystem) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while len(system.server._sockets) > 1:  # noqa: ASYNC110 (the close of the others is told to nobody)
            await asyncio.sleep(0)


async def test_a_thousand_rounds_of_two_sockets_lose_no_registration(tmp_path):
    chance = random.Random(16)
    async with central_system(tmp_path) as system:
        for number in range(ROUNDS):
            staying = asyncio.create_task(come_and_stay(system, chance))
            await come_and_go(system, chance)
            station = await asyncio.wait_for(staying, PATIENCE_S)
            if station.socket.close_code is not None or not await still_there(station):
                station = await come_and_stay(system, chance)  # replaced by the other one at the very end
            await only_one_is_left(system)
            assert system.charge_points.is_connected("CP1"), number
            assert [c.identity for c in system.server._connections.values()] == ["CP1"]
            asked = asyncio.create_task(system.commands.send("CP1", "ClearCache", {}))
            call = await station.hear()
            await station.say([3, call[1], {"status": "Accepted"}])
            assert await asyncio.wait_for(asked, PATIENCE_S) == {"status": "Accepted"}, number
            if chance.random() < 0.5:  # else the next round begins with it still open
                await station.socket.close()
        assert system.answers.most_at_once == 1


async def still_there(station: RawStation) -> bool:
    try:
        return await station.is_served()
    except ConnectionClosed:
        return False
