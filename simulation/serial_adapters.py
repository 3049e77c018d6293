"""Simulated adapters that bring a serial line to TCP: a P1 port that tells, an M-Bus line that answers."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import Mapping

from drivers.device import PhaseTriple


class _Adapter:
    """port 0 takes a free one; it stays over a restart."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self.host, self.port = host, port
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in self._writers:
            writer.close()
        if self._serving:
            await asyncio.wait(self._serving, timeout=5)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        if (task := asyncio.current_task()) is not None:
            self._serving.add(task)
            task.add_done_callback(self._serving.discard)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await self._speak(reader, writer)
        writer.close()
        self._writers.discard(writer)

    async def _speak(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise NotImplementedError


class SimulatedP1(_Adapter):
    """`tell` sends one telegram to whoever listens; a newcomer first hears the end of one."""

    async def _speak(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"1-0:72.7.0(229.0*V)\r\n!ABCD\r\n" + self.last)
        await reader.read()

    last = b""

    def tell(self, telegram: bytes) -> None:
        self.last = telegram
        for writer in self._writers:
            writer.write(telegram)


def telegram(phase_power_w: PhaseTriple, import_wh: float = 0.0, export_wh: float = 0.0) -> bytes:
    """DSMR 5, with its checksum. Power + is drawn."""
    total_w = sum(phase_power_w)
    lines = [
        "/ISK5\\2M550T-1012", "", "1-3:0.2.8(50)", "0-0:1.0.0(260621100000S)",
        f"1-0:1.8.1({import_wh / 2000:010.3f}*kWh)", f"1-0:1.8.2({import_wh / 2000:010.3f}*kWh)",
        f"1-0:2.8.1({export_wh / 1000:010.3f}*kWh)", "1-0:2.8.2(000000.000*kWh)",
        f"1-0:1.7.0({max(total_w, 0) / 1000:06.3f}*kW)", f"1-0:2.7.0({max(-total_w, 0) / 1000:06.3f}*kW)",
    ]  # fmt: skip
    for first, power_w in zip((20, 40, 60), phase_power_w, strict=True):
        lines += [
            f"1-0:{first + 12}.7.0(230.0*V)",
            f"1-0:{first + 11}.7.0({round(abs(power_w) / 230):03d}*A)",
            f"1-0:{first + 1}.7.0({max(power_w, 0) / 1000:06.3f}*kW)",
            f"1-0:{first + 2}.7.0({max(-power_w, 0) / 1000:06.3f}*kW)",
        ]
    body = "\r\n".join([*lines, "!"])
    return f"{body}{_crc16(body.encode()):04X}\r\n".encode()


def _crc16(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
    return crc


class SimulatedMbus(_Adapter):
    """Primary address -> the data records of its answer; an address that is not there is silent."""

    def __init__(self, units: Mapping[int, bytes]) -> None:
        super().__init__()
        self.units = dict(units)
        self.asked = 0

    async def _speak(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            frame = await reader.readexactly(5)
            unit = frame[2]
            if unit not in self.units:
                continue
            if frame[1] == 0x40:
                writer.write(b"\xe5")
            else:
                self.asked += 1
                writer.write(long_frame(unit, self.units[unit]))


def mbus_records(power_w: int, import_wh: int, export_wh: int) -> bytes:
    """Energy, power, energy delivered, last month's energy and that of one tariff, as 32-bit integers."""
    month, tariff = 5, 7
    return b"".join(
        head + struct.pack("<i", value)
        for head, value in (
            (bytes([0x44, 0x03]), month),
            (bytes([0x04, 0x03]), import_wh),
            (bytes([0x04, 0x2B]), power_w),
            (bytes([0x04, 0x83, 0x3C]), export_wh),
            (bytes([0x84, 0x10, 0x03]), tariff),
        )
    )


def long_frame(unit: int, records: bytes) -> bytes:
    fixed = bytes.fromhex("785634127704140201000000")
    body = bytes([0x08, unit, 0x72]) + fixed + records
    return bytes([0x68, len(body), len(body), 0x68]) + body + bytes([sum(body) & 0xFF, 0x16])
