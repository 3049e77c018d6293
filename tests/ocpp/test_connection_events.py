"""What happens to a station's connection is told in its frame log, between the frames."""

import asyncio
import gc

import pytest
from websockets.exceptions import InvalidStatus
from websockets.frames import Frame
from websockets.server import ServerProtocol

from csms.errors import CallFailed
from csms.ocpp.connection import StationConnection
from csms.ocpp.station_socket import Socket


async def test_coming_being_replaced_and_leaving_are_logged(system):
    first = await system.station()
    second = await system.station()
    assert await first.closed() == 1000
    await second.socket.close()
    await system.server.stop()
    assert sorted(what for what, _ in system.frames.events) == [
        "connected from 127.0.0.1",
        "connected from 127.0.0.1",
        "disconnected (1000)",
        "disconnected (1000: replaced by a newer connection)",
    ]
    assert all(why is None for _, why in system.frames.events)


async def test_a_station_without_subprotocol_is_told_apart(system):
    station = await system.station(subprotocols=["ocpp2.0.1"])
    assert await station.closed() == 1002
    assert system.frames.events == [("connection closed", "no subprotocol ocpp1.6 offered")]


async def test_strangers_leave_nothing_in_the_log(system):
    with pytest.raises(InvalidStatus, match="404"):
        await system.station("STRANGER")
    assert system.frames.events == []


async def test_connections_that_are_over_leave_nothing_in_memory(system):
    """Freed at once: the garbage collector seldom comes round to what is old."""
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            station = await system.station()
            await station.socket.close()
        station = await system.station()
        asking = asyncio.create_task(system.charge_points.link("CP1").call("Reset", {"type": "Soft"}, 60))
        await station.hear()
        asking.cancel()  # whoever asked has gone, and the answer is still owed when the connection ends
        await asyncio.wait([asking])
        del asking
        await station.socket.close()
        station = await system.station()
        station.socket.transport.write(b"no websocket frame")
        assert await station.closed() == 1002
        station = await system.station()
        station.socket.transport.write(masked_frame(1, b"{") + masked_frame(0, b"") * 4100)
        assert await station.closed() == 1009
        await system.server.stop()
        assert living(StationConnection, Socket, ServerProtocol, Frame) == []
    finally:
        gc.enable()


async def test_a_call_that_failed_leaves_nothing_in_memory(system):
    """Nor does its failure, which knows all that waited for the answer."""
    gc.collect()
    gc.disable()
    try:
        station = await system.station()
        asking = asyncio.create_task(system.charge_points.link("CP1").call("Reset", {"type": "Soft"}, 10))
        _, id, *_ = await station.hear()
        await station.say([4, id, "NotSupported", "", {}])
        await asyncio.wait([asking])
        assert isinstance(asking.exception(), CallFailed)
        del asking
        assert living(CallFailed) == []
    finally:
        gc.enable()


def masked_frame(first_byte: int, data: bytes) -> bytes:
    return bytes((first_byte, 0x80 | len(data))) + bytes(4) + data


def living(*types: type) -> list[object]:
    return [thing for thing in gc.get_objects() if type(thing) in types]
