"""A simulated SMA Energy Meter: its packets, and a sender that multicasts them on this machine."""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence

from drivers.speedwire import GROUP, PORT, PROTOCOL


def packet(
    phase_power_w: Sequence[float],
    serial: int = 1900123456,
    import_wh: float = 0.0,
    export_wh: float = 0.0,
    protocol: int = PROTOCOL,
) -> bytes:
    """Power + is drawn. The reactive and apparent powers of a real packet are left out."""
    total_w = sum(phase_power_w)
    records = b""
    for index, value in ((1, total_w), (2, -total_w)):
        records += _actual(index, round(max(value, 0.0) * 10))
        records += _counter(index, round((import_wh if index == 1 else export_wh) * 3600))
    records += _actual(14, 50_000)
    for first, power_w in zip((20, 40, 60), phase_power_w, strict=True):
        records += _actual(first + 1, round(max(power_w, 0.0) * 10))
        records += _actual(first + 2, round(max(-power_w, 0.0) * 10))
        records += _actual(first + 11, round(abs(power_w) / 230 * 1000))
        records += _actual(first + 12, 230_000)
    records += bytes([144, 0, 0, 0]) + bytes([2, 3, 4, 0x52])  # software version
    body = struct.pack(">HHIIH", protocol, 0x015D, serial, 4711, 0)[:-2] + records
    head = b"SMA\0" + struct.pack(">HHIHH", 4, 0x02A0, 1, len(body), 0x0010)
    return head + body + b"\0\0\0\0"


def _actual(index: int, raw: int) -> bytes:
    return bytes([0, index, 4, 0]) + struct.pack(">I", raw)


def _counter(index: int, raw: int) -> bytes:
    return bytes([0, index, 8, 0]) + struct.pack(">Q", raw)


class SpeedwireSender:
    def __init__(self, group: str = GROUP, port: int = PORT, interface: str = "127.0.0.1") -> None:
        self._target = (group, port)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(interface))
        self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)

    def send(self, data: bytes) -> None:
        self._socket.sendto(data, self._target)

    def close(self) -> None:
        self._socket.close()
