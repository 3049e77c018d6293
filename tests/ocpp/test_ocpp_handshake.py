"""How stations knock: paths, headers and subprotocols as they come in the field."""

import asyncio
import base64
import tracemalloc

import pytest
from central_system_under_test import PATIENCE_S, central_system
from websockets.frames import Frame, Opcode

KNOWN = ("CP1", "RDAM 123", "a+b", "Größe-1", "100%", "EVB-P1,2:3", "ДК-7")

# path: the identity, None: unknown
PATHS = {
    "/CP1": "CP1",
    "/cp1": "CP1",
    "//CP1": "CP1",
    "/CP1/": "CP1",
    "/CP1//": "CP1",
    "/ocpp/CP1": "CP1",
    "/steve/websocket/CentralSystemService/CP1": "CP1",
    "/ocpp/CP1/?key=1&id=CP9": "CP1",
    "/CP1?": "CP1",
    "/%43P1": "CP1",
    "/CP1/CP9": None,
    "/CP1%2F": None,
    "/CP9/%2E%2E/CP1": "CP1",
    "/RDAM%20123": "RDAM 123",
    "/rdam%20123/": "RDAM 123",
    "/RDAM+123": None,
    "/a+b": "a+b",
    "/a%2Bb": "a+b",
    "/A%2bB": "a+b",
    "/a%20b": None,
    "/Gr%C3%B6%C3%9Fe-1": "Größe-1",
    "/gr%c3%b6%c3%9fe-1": "Größe-1",
    "/GR%C3%96SSE-1": "Größe-1",
    "/Gr%F6%DFe-1": None,
    "/100%25": "100%",
    "/100%": "100%",
    "/EVB-P1,2:3": "EVB-P1,2:3",
    "/EVB-P1%2C2%3A3": "EVB-P1,2:3",
    "/%D0%B4%D0%BA-7": "ДК-7",
    "/": None,
    "/%20": None,
    "/%00": None,
    "/CP1%0A": None,
}


class Knock:
    """A handshake as written by hand."""

    def __init__(self, system) -> None:
        self.system = system
        self.writer: asyncio.StreamWriter | None = None

    async def __call__(self, path: str = "/CP1", **headers: str | None) -> tuple[int, dict[str, str]]:
        """The status and the headers of the answer. A header given as None is left out."""
        reader, self.writer = await asyncio.open_connection("127.0.0.1", self.system.server.port)
        self.reader = reader
        fields: dict[str, str | None] = {
            "Host": "csms",
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec_WebSocket_Key": base64.b64encode(b"0" * 16).decode(),
            "Sec_WebSocket_Version": "13",
            "Sec_WebSocket_Protocol": "ocpp1.6",
        } | headers
        lines = [f"{name.replace('_', '-')}: {value}" for name, value in fields.items() if value is not None]
        self.writer.write("\r\n".join([f"GET {path} HTTP/1.1", *lines, "", ""]).encode())
        head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE_S)).decode().split("\r\n")
        answer = dict(line.split(": ", 1) for line in head[1:] if line)
        return int(head[0].split(" ")[1]), answer

    async def is_served(self) -> bool:
        self.writer.write(Frame(Opcode.TEXT, b'[2,"hb","Heartbeat",{}]').serialize(mask=True))
        heard = await asyncio.wait_for(self.reader.readuntil(b"}]"), PATIENCE_S)
        return b'[3,"hb",{"currentTime"' in heard

    async def close_code(self) -> int:
        heard = await asyncio.wait_for(self.reader.readuntil(b"required"), PATIENCE_S)
        return int.from_bytes(heard.partition(b"\x88")[2][1:3], "big")


@pytest.fixture
async def knock(system):
    knocking = Knock(system)
    yield knocking
    if knocking.writer is not None:
        knocking.writer.close()


@pytest.mark.parametrize("path", PATHS)
async def test_who_a_path_means(tmp_path, path):
    async with central_system(tmp_path, known=KNOWN) as system:
        knock, identity = Knock(system), PATHS[path]
        status, _ = await knock(path)
        assert status == (404 if identity is None else 101)
        if identity is not None:
            assert await knock.is_served()
            assert [s.identity for s in system.charge_points.stations() if s.connected] == [identity]
        knock.writer.close()


@pytest.mark.parametrize(
    "headers",
    [
        {"Connection": None},
        {"Connection": "keep-alive"},
        {"Connection": "keep-alive, Upgrade"},
        {"Connection": "upgrade", "Upgrade": "WebSocket"},
        {"Sec_WebSocket_Protocol": "ocpp0.1, ocpp1.6"},
        {"Sec_WebSocket_Protocol": "ocpp1.6,ocpp1.5"},
        {"Sec_WebSocket_Extensions": "permessage-deflate; client_max_window_bits"},
        {"Origin": "http://10.0.0.1"},
        {"Content_Length": "0"},
    ],
    ids=str,
)
async def test_headers_as_stations_send_them(knock, headers):
    status, answer = await knock(**headers)
    assert (status, answer["Sec-WebSocket-Protocol"]) == (101, "ocpp1.6")
    assert "Sec-WebSocket-Extensions" not in answer  # no compression
    assert await knock.is_served()


@pytest.mark.parametrize("offered", [None, "", "ocpp1.5", "ocpp2.0.1", "OCPP1.6", ","])
async def test_without_the_subprotocol_the_socket_is_closed_after_the_handshake(knock, offered):
    status, answer = await knock(Sec_WebSocket_Protocol=offered)
    assert (status, answer.get("Sec-WebSocket-Protocol")) == (101, None)
    assert await knock.close_code() == 1002


@pytest.mark.parametrize("offered", [None, "", "ocpp1.5", "OCPP1.6"])
async def test_a_station_that_may_do_without_the_subprotocol_is_served(system, knock, offered):
    system.charge_points.station("CP1").options = {"assume_subprotocol": True}
    status, answer = await knock(Sec_WebSocket_Protocol=offered)
    assert (status, answer.get("Sec-WebSocket-Protocol")) == (101, None)
    assert await knock.is_served()


async def test_a_station_that_speaks_ocpp_2_only_is_never_served(system, knock):
    system.charge_points.station("CP1").options = {"assume_subprotocol": True}
    await knock(Sec_WebSocket_Protocol="ocpp2.0.1")
    assert await knock.close_code() == 1002


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Upgrade": None}, 426),
        ({"Upgrade": "h2c"}, 426),
        ({"Sec_WebSocket_Key": None}, 400),
        ({"Sec_WebSocket_Version": "8"}, 400),
    ],
    ids=str,
)
async def test_what_is_no_websocket_is_refused(system, knock, headers, status):
    assert (await knock(**headers))[0] == status
    assert not system.charge_points.is_connected("CP1")


async def test_a_megabyte_of_headers_is_not_kept_as_long_as_the_connection_lasts(knock):
    tracemalloc.start()
    try:
        status, _ = await knock(**{f"X_{n}": "x" * 8000 for n in range(100)})
        assert status == 101
        assert await knock.is_served()
        assert tracemalloc.get_traced_memory()[0] < 400_000
    finally:
        tracemalloc.stop()
