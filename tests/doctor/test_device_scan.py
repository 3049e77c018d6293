"""`csms device scan`: what is found in a cabinet whose drawings are lost."""

from __future__ import annotations

import asyncio
import json
import tomllib
from datetime import UTC, datetime

import pytest
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from csms.device_scan import addresses, chosen_ports, found_to_dict, scan, shelly_identity, snippet, units
from csms.errors import InvalidInput
from simulation.modbus_devices import ModbusConverter, SimulatedMeter, SimulatedRelayModule
from simulation.serial_line import SerialLine


def nothing(text: str) -> None:
    pass


def now() -> datetime:
    return datetime.now(UTC)


async def test_an_unknown_rs485_line_is_told_unit_by_unit_and_only_read():
    meters = {1: "eastron_sdm630", 2: "abb_a_b", 3: "cg_em24_rs485", 4: "eastron_sdm120_230"}
    converter = ModbusConverter(
        "127.0.0.1",
        0,
        "rtu_over_tcp",
        {unit: SimulatedMeter(model) for unit, model in meters.items()}
        | {8: SimulatedRelayModule("wellpro_wp8024adam", now)},
    )
    await converter.start()
    line = SerialLine(converter)
    await line.start()
    try:
        found = await scan(["127.0.0.1"], [(line.port, "rtu_over_tcp")], range(1, 10), nothing, http_port=1)
    finally:
        await line.stop()
        await converter.stop()
    by_unit = {device.unit: device.what for device in found}
    assert sorted(by_unit) == [1, 2, 3, 4, 8]
    assert {unit: by_unit[unit].model for unit in meters} == meters
    assert "230/230/230 V" in by_unit[1].detail
    assert (by_unit[8].kind, by_unit[8].certainty) == ("relay_module", "guess")
    assert "wellpro_wp8024adam" in by_unit[8].also
    assert {request[1] for request in line.requests} <= {1, 2, 3, 4}, "nothing is written"
    entries = tomllib.loads(snippet(found))
    assert [(m["model"], m["unit"]) for m in entries["meter"]] == [(m, u) for u, m in meters.items()]
    assert entries["relay_module"][0]["port"] == line.port
    assert json.dumps([found_to_dict(device) for device in found])


async def test_a_sunspec_inverter_is_told_by_its_own_words():
    words = [0x5375, 0x6E53, 1, 66]
    words += _words("Fronius", 16) + _words("Symo GEN24", 16) + [0] * 16 + _words("12345", 16) + [0, 0]
    words += [103, 50] + [0] * 50 + [0xFFFF, 0]
    register = SimData(40000, values=words, datatype=DataType.REGISTERS)
    server = ModbusTcpServer([SimDevice(1, simdata=[register])], address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    port = server.transport.sockets[0].getsockname()[1]
    try:
        (found,) = await scan(["127.0.0.1"], [(port, "tcp")], [1], nothing, http_port=1)
    finally:
        await server.shutdown()
    assert (found.what.driver, found.what.name, found.what.certainty) == (
        "sunspec",
        "Fronius Symo GEN24",
        "sure",
    )
    assert found.what.detail == "SunSpec inverter, models 1, 103, serial 12345"


def _words(text: str, count: int) -> list[int]:
    raw = text.encode().ljust(2 * count, b"\0")
    return [int.from_bytes(raw[i : i + 2], "big") for i in range(0, 2 * count, 2)]


async def test_a_shelly_says_who_it_is_without_login():
    told = {"id": "shellypro4pm-a", "mac": "A8", "model": "SPSW-104PE16EU", "gen": 2, "app": "Pro4PM"}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.readline() == b"GET /shelly HTTP/1.1\r\n":
            body = json.dumps(told | {"auth_en": True}).encode()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        (found,) = await scan(["127.0.0.1"], [], [], nothing, http_port=port)
    assert (found.what.kind, found.what.driver, found.what.name) == (
        "relay_module",
        "shelly",
        "Shelly Pro4PM",
    )
    assert found.what.detail == "generation 2, A8, needs its password"
    assert tomllib.loads(snippet([found]))["relay_module"] == [
        {"id": "io1", "driver": "shelly", "host": "127.0.0.1"}
    ]


@pytest.mark.parametrize(
    ("told", "kind", "name"),
    [
        ({"mac": "1", "type": "SHEM-3", "auth": False}, "meter", "Shelly SHEM-3"),
        ({"mac": "1", "gen": 2, "app": "Pro3EM"}, "meter", "Shelly Pro3EM"),
        ({"mac": "1", "type": "SHSW-PM"}, "relay_module", "Shelly SHSW-PM"),
    ],
)
def test_generations_of_shellys_say_it_differently(told, kind, name):
    found = shelly_identity(told)
    assert (found.kind, found.name) == (kind, name)


def test_only_the_addresses_a_person_names_are_asked():
    assert addresses("meter.local") == ["meter.local"]
    assert addresses("192.0.2.8/30") == ["192.0.2.9", "192.0.2.10"]
    with pytest.raises(InvalidInput, match="at most 256 addresses"):
        addresses("192.0.0.0/16")
    with pytest.raises(InvalidInput, match=r"a network such as 192\.0\.2\.0/28"):
        addresses("192.0.2/x")


@pytest.mark.parametrize("text", ["0", "248", "7-3", "one", ""])
def test_units_that_cannot_be_are_refused(text):
    with pytest.raises(InvalidInput, match="--units"):
        units(text)


def test_units_and_ports():
    assert units("1-3,71,2") == (1, 2, 3, 71)
    assert chosen_ports(None, None) == [(502, "tcp"), (1502, "tcp"), (4196, "rtu_over_tcp")]
    assert chosen_ports(4196, None) == [(4196, "rtu_over_tcp")]
    assert chosen_ports(8899, None) == [(8899, "tcp"), (8899, "rtu_over_tcp")]
    assert chosen_ports(8899, "tcp") == [(8899, "tcp")]


async def test_nobody_at_the_address_is_no_fault():
    assert await scan(["127.0.0.1"], [(1, "tcp")], [1, 2], nothing, http_port=1) == []
