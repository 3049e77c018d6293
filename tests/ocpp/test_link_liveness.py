"""Dead links are found, live ones are spared; whoever does not read what it is told is not listened to."""

import asyncio
import base64
import shutil
import socket as sockets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress

import pytest
from central_system_under_test import HEARTBEAT, PATIENCE_S, central_system
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol, Side, State

from csms.ocpp import flood_limits

STATION_IP, OUR_IP = "10.219.77.2", "10.219.77.1"

# A station that has no idea of pings: it says a heartbeat, prints what it hears, and answers nothing.
MUTE_STATION = """
import base64, socket, sys
station = socket.create_connection((sys.argv[1], int(sys.argv[2])))
station.sendall(b"GET /CP1 HTTP/1.1\\r\\nHost: x\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n"
    b"Sec-WebSocket-Key: " + base64.b64encode(b"x" * 16) + b"\\r\\nSec-WebSocket-Version: 13\\r\\n"
    b"Sec-WebSocket-Protocol: ocpp1.6\\r\\n\\r\\n")
station.recv(4096)
print("connected", flush=True)
while heard := station.recv(4096):
    print(heard.count(b"\\x89\\x00") * "ping ", flush=True)
"""


def frame(opcode: Opcode, data: bytes) -> bytes:
    return Frame(opcode, data).serialize(mask=True)


LONG_ID = "{:0200}"  # so that answers are long as well
CALLS = b"".join(
    frame(Opcode.TEXT, f'[2,"{LONG_ID.format(n)}","Heartbeat",{{}}]'.encode()) for n in range(500)
)


class DeafStation:
    """A station on a plain socket, which reads only when told to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def connected(cls, port: int) -> "DeafStation":
        socket = sockets.socket()
        socket.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
        socket.setblocking(False)
        await asyncio.get_running_loop().sock_connect(socket, ("127.0.0.1", port))
        reader, writer = await asyncio.open_connection(sock=socket, limit=1024)
        key = base64.b64encode(b"0" * 16).decode()
        writer.write(
            f"GET /CP1 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Protocol: ocpp1.6\r\n\r\n".encode()
        )
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE_S)
        return cls(reader, writer)

    async def pour(self, data: bytes, most: int = 64 * 2**20) -> int:
        """Write until the other side takes no more, or the connection ends; returns the bytes written."""
        poured = 0
        with suppress(OSError, TimeoutError):
            while poured < most:
                self.writer.write(data)
                poured += len(data)
                await asyncio.wait_for(self.writer.drain(), 1)
        return poured


async def test_the_kernel_watches_what_is_acknowledged(system):
    station = await system.station()
    assert await station.is_served()
    (socket,) = system.server._sockets
    raw = socket.transport.get_extra_info("socket")
    wanted = {"TCP_USER_TIMEOUT": 35_000, "TCP_KEEPIDLE": 20, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
    had = {name: value for name, value in wanted.items() if hasattr(sockets, name)}
    assert had
    assert {n: raw.getsockopt(sockets.IPPROTO_TCP, getattr(sockets, n)) for n in had} == had
    assert raw.getsockopt(sockets.SOL_SOCKET, sockets.SO_KEEPALIVE)


@pytest.fixture
def wire() -> Iterator[str]:
    """The name of a network namespace with a cable to us, which can be pulled."""
    name = "csms-test-wire"

    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True)

    if shutil.which("ip") is None or not hasattr(sockets, "TCP_USER_TIMEOUT"):
        pytest.skip("network namespaces need Linux and iproute2")
    try:
        ip("netns", "add", name)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no network namespace to be had: {error.stderr.decode().strip()}")
    try:
        ip("link", "add", "csms-test-a", "type", "veth", "peer", "name", "csms-test-b", "netns", name)
        ip("addr", "add", f"{OUR_IP}/30", "dev", "csms-test-a")
        ip("link", "set", "csms-test-a", "up")
        ip("-n", name, "addr", "add", f"{STATION_IP}/30", "dev", "csms-test-b")
        ip("-n", name, "link", "set", "csms-test-b", "up")
        yield name
    finally:
        subprocess.run(["ip", "link", "del", "csms-test-a"], check=False)
        subprocess.run(["ip", "netns", "del", name], check=False)


async def test_a_pulled_cable_is_noticed_though_the_station_never_answers_pings(tmp_path, wire):
    """A live station that ignores pings is spared; once its cable is pulled, the kernel tells."""
    async with central_system(tmp_path, host=OUR_IP, ping_interval_s=0.4) as system:
        station = await asyncio.create_subprocess_exec(
            *("ip", "netns", "exec", wire, sys.executable, "-c", MUTE_STATION),
            *(OUR_IP, str(system.server.port)),
            stdout=subprocess.PIPE,
        )
        try:
            assert (await asyncio.wait_for(station.stdout.readline(), PATIENCE_S)) == b"connected\n"
            pings = 0
            while pings < 8:  # far longer than a dead link would last
                pings += (await asyncio.wait_for(station.stdout.readline(), PATIENCE_S)).count(b"ping")
            assert system.charge_points.is_connected("CP1")
            async with system.event("station.disconnected") as left:
                pulling = ("ip", "-n", wire, "link", "set", "csms-test-b", "down")
                assert await (await asyncio.create_subprocess_exec(*pulling)).wait() == 0
                await left
        finally:
            station.kill()
            await station.wait()


@pytest.mark.parametrize(
    "flood",
    [
        pytest.param(CALLS, id="calls"),
        pytest.param(frame(Opcode.PING, b"x" * 125) * 500, id="pings"),
        pytest.param(frame(Opcode.TEXT, b'[2,"1","Nonsense",{}]') * 500, id="unknown actions"),
    ],
)
async def test_a_station_that_never_reads_is_not_listened_to_and_cut_in_the_end(tmp_path, flood):
    async with central_system(tmp_path, ping_interval_s=0.4, stuck_s=0.5) as system:
        async with system.event("station.disconnected") as left:
            deaf = await DeafStation.connected(system.server.port)
            (socket,) = system.server._sockets
            most_buffered = 0

            async def watch() -> None:
                nonlocal most_buffered
                while True:
                    most_buffered = max(most_buffered, socket.transport.get_write_buffer_size())
                    await asyncio.sleep(0.01)

            watching = asyncio.create_task(watch())
            poured = await deaf.pour(flood)
            assert poured < 64 * 2**20
            await left
            watching.cancel()
        assert most_buffered < 2**20
        deaf.writer.close()
        assert await (await system.station()).is_served()


async def test_a_station_that_reads_late_gets_every_answer(tmp_path):
    async with central_system(tmp_path) as system:
        deaf = await DeafStation.connected(system.server.port)
        (socket,) = system.server._sockets
        ids = [LONG_ID.format(n) for n in range(12_000)]
        pouring = asyncio.create_task(_pour_all(deaf, [f'[2,"{id}","Heartbeat",{{}}]' for id in ids]))
        async with asyncio.timeout(PATIENCE_S):
            while not socket.paused:  # noqa: ASYNC110 (the socket tells nobody)
                await asyncio.sleep(0)
        protocol = Protocol(Side.CLIENT, state=State.OPEN)  # reads frames
        answered: list[str] = []
        while len(answered) < len(ids):
            protocol.receive_data(await asyncio.wait_for(deaf.reader.read(65536), PATIENCE_S))
            frames = [event for event in protocol.events_received() if event.opcode is Opcode.TEXT]
            answered += [bytes(event.data).split(b'"')[1].decode() for event in frames]
        await pouring
        assert sorted(answered) == ids
        deaf.writer.close()


async def _pour_all(station: DeafStation, calls: list[str]) -> None:
    for call in calls:
        station.writer.write(frame(Opcode.TEXT, call.encode()))
        await station.writer.drain()


async def test_an_oversize_frame_is_noted_in_the_frame_log_and_counted(system):
    station = await system.station()
    async with system.event("station.disconnected") as left:
        await station.say("x" * (2**20 + 1))
        assert await station.closed() == 1009
        await left
    assert ("connection closed", "frame over 1 MiB") in system.frames.events
    assert dict(system.charge_points.station("CP1").quirks) == {"frame: frame over 1 MiB": 1}


async def test_frames_that_nobody_understands_are_counted_and_do_not_fill_the_log(system):
    station = await system.station()
    for number in range(500):
        await station.say(f"nonsense {number}")
    await station.say('[2,"1",["Heartbeat"],{}]')
    assert (await station.hear())[:3] == [4, "1", "FormationViolation"]
    assert await station.is_served()
    assert dict(system.charge_points.station("CP1").quirks) == {
        "frame: not JSON": 500,
        "frame: the action is not text": 1,
    }
    notes = [note for _, _, _, text, note in system.frames.rows if text.startswith("nonsense")]
    assert 90 <= len(notes) <= 110
    assert ("in", "Heartbeat", "hb", HEARTBEAT, None) in system.frames.rows


async def test_many_large_calls_at_once_are_refused_so_that_they_are_repeated(system):
    system.answers.may_go_on.clear()
    station = await system.station()
    large = {"vendorId": "v", "data": "x" * 500_000}
    for number in range(8):
        await station.say([2, str(number), "DataTransfer", large])
    refused = [(await station.hear())[:3] for _ in range(4)]
    assert refused == [[4, str(number), "InternalError"] for number in (4, 5, 6, 7)]
    system.answers.may_go_on.set()
    assert [(await station.hear())[:2] for _ in range(4)] == [[3, str(number)] for number in range(4)]


async def test_a_flood_of_unknown_identities_is_stopped_and_a_known_station_of_the_house_is_not(system):
    station = await system.station()
    assert await station.is_served()
    statuses = []
    for number in range(25):
        with pytest.raises(InvalidStatus) as refused:
            await connect(system.url(f"stranger-{number}"), subprotocols=["ocpp1.6"])
        statuses.append(refused.value.response.status_code)
    assert statuses == [404] * 20 + [429] * 5
    assert 1 <= int(refused.value.response.headers["Retry-After"]) <= 30
    assert await (await system.station()).is_served()


async def test_sockets_that_never_say_a_word_make_room_for_each_other_only(tmp_path, monkeypatch):
    monkeypatch.setattr(flood_limits, "HANDSHAKES", 3)
    monkeypatch.setattr(flood_limits, "HANDSHAKE_PATIENCE_S", 0.0)
    async with central_system(tmp_path) as system:
        station = await system.station()
        silent = [await asyncio.open_connection("127.0.0.1", system.server.port) for _ in range(5)]
        for reader, _ in silent[:2]:
            with suppress(ConnectionResetError):
                assert await asyncio.wait_for(reader.read(), PATIENCE_S) == b""
        assert [reader.at_eof() for reader, _ in silent[2:]] == [False] * 3
        assert await station.is_served()
        for _, writer in silent:
            writer.close()
