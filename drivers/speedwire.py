"""SMA's Energy Meter and Sunny Home Manager: they tell their values about once a second by multicast."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Mapping
from datetime import datetime

from drivers.device import (
    DeviceConfigError,
    DeviceUnreachable,
    ImplausibleReading,
    MeterReading,
    Now,
    PhaseTriple,
)
from drivers.values import with_direction

GROUP, PORT = "239.12.255.254", 9522
PROTOCOL = 0x6069
OLDEST_S = 15.0

_HEAD = struct.Struct(">4sHHIHHH")  # "SMA\0", 4, tag, group, length, tag, protocol
_TAGS = (0x02A0, 0x0010)
_RECORDS_FROM = 28
_WATT, _VOLT_AMPERE, _HERTZ, _WH = 0.1, 0.001, 0.001, 1 / 3600
_ACTUAL, _COUNTER = 4, 8
_PHASES = ((21, 22, 31, 32), (41, 42, 51, 52), (61, 62, 71, 72))

Values = Mapping[tuple[int, int], int]
"""(OBIS index, type) -> raw value."""


def parse(packet: bytes) -> tuple[int, Values] | None:
    """Serial number and values; None = a packet of another SMA device or protocol.

    Raises:
        ImplausibleReading: it is cut short.
    """
    if len(packet) < _RECORDS_FROM or packet[:4] != b"SMA\0":
        return None
    _, _, tag, _, length, second_tag, protocol = _HEAD.unpack_from(packet)
    if (tag, second_tag) != _TAGS or protocol != PROTOCOL:
        return None
    end = length + 16
    if end > len(packet):
        raise ImplausibleReading(f"a packet of {len(packet)} bytes, {end} expected")
    serial = struct.unpack_from(">I", packet, 20)[0]
    values: dict[tuple[int, int], int] = {}
    at = _RECORDS_FROM
    while at + 8 <= end:
        channel, index, kind = packet[at], packet[at + 1], packet[at + 2]
        size = 8 if kind == _COUNTER else 4
        if channel == 0 and at + 4 + size <= end:
            values[index, kind] = int.from_bytes(packet[at + 4 : at + 4 + size], "big")
        at += 4 + size
    return serial, values


def reading_of(values: Values, read_at: datetime) -> MeterReading:
    """Raises ImplausibleReading: no power."""
    total_w = _balance(values, 1, 2)
    if total_w is None:
        raise ImplausibleReading("tells no power")
    phase_power_w = _triple([_balance(values, p[0], p[1]) for p in _PHASES])
    current_a = _triple([_scaled(values, p[2], _VOLT_AMPERE) for p in _PHASES])
    return MeterReading(
        power_w=total_w,
        read_at=read_at,
        phase_power_w=phase_power_w,
        current_a=with_direction(current_a, phase_power_w),
        voltage_v=_triple([_scaled(values, p[3], _VOLT_AMPERE) for p in _PHASES]),
        frequency_hz=_scaled(values, 14, _HERTZ),
        import_wh=_scaled(values, 1, _WH, _COUNTER),
        export_wh=_scaled(values, 2, _WH, _COUNTER),
    )


def _scaled(values: Values, index: int, scale: float, kind: int = _ACTUAL) -> float | None:
    raw = values.get((index, kind))
    return None if raw is None else round(raw * scale, 6)


def _balance(values: Values, drawn: int, delivered: int) -> float | None:
    drawn_w, delivered_w = _scaled(values, drawn, _WATT), _scaled(values, delivered, _WATT)
    return None if drawn_w is None or delivered_w is None else round(drawn_w - delivered_w, 6)


def _triple(values: list[float | None]) -> PhaseTriple | None:
    known = [v for v in values if v is not None]
    return (known[0], known[1], known[2]) if len(known) == 3 else None


class SpeedwireListener(asyncio.DatagramProtocol):
    """Everything that SMA meters tell on this network, the newest of each serial number and sender."""

    def __init__(self, now: Now, group: str = GROUP, port: int = PORT, interface: str = "0.0.0.0") -> None:
        self._now, self._group, self._port, self._interface = now, group, port, interface
        self._told: dict[tuple[str, int], MeterReading] = {}
        self._transport: asyncio.DatagramTransport | None = None
        self._first = asyncio.Event()

    async def start(self) -> None:
        """Raises DeviceUnreachable: the port cannot be listened on."""
        if self._transport is not None:
            return
        listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_UDP)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # other programs listen, too
            listener.bind(("", self._port))
            member = socket.inet_aton(self._group) + socket.inet_aton(self._interface)
            listener.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
            listener.setblocking(False)
        except OSError as fault:
            listener.close()
            raise DeviceUnreachable(f"SMA multicast {self._group}:{self._port}: {fault}") from None
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, sock=listener)

    def datagram_received(self, data: bytes, addr: tuple[str | int, ...]) -> None:
        """A packet that cannot be read is let go: the next one comes in a second."""
        with contextlib.suppress(ImplausibleReading):
            if (found := parse(data)) is not None:
                serial, values = found
                self._told[str(addr[0]), serial] = reading_of(values, self._now())
                self._first.set()

    async def newest(self, wanted: str, timeout_s: float) -> MeterReading:
        """wanted: the meter's address or serial number. Raises DeviceError."""
        await self.start()
        fitting = self._fitting(wanted)
        if not fitting:
            self._first.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._first.wait(), timeout_s)
            fitting = self._fitting(wanted)
        if len(fitting) > 1:
            serials = ", ".join(str(serial) for _, serial in sorted(fitting))
            raise DeviceConfigError("host", wanted, f"the serial number of one of its meters ({serials})")
        if not fitting:
            heard = ", ".join(f"{serial} at {host}" for host, serial in sorted(self._told)) or "nobody"
            raise DeviceUnreachable(
                f"SMA meter {wanted}: not heard, but {heard}. Multicast must reach this machine: same "
                "network, no VLAN between, Docker with the host's network; else use Modbus (sma_shm2_modbus)"
            )
        (told,) = fitting.values()
        if told.age_s(self._now()) > OLDEST_S:
            raise DeviceUnreachable(f"SMA meter {wanted}: silent for {told.age_s(self._now()):.0f} s")
        return told

    def _fitting(self, wanted: str) -> dict[tuple[str, int], MeterReading]:
        """Those that speak; if none does, the one that fell silent last."""
        fitting = {key: told for key, told in self._told.items() if wanted in (key[0], str(key[1]))}
        speaking = {key: t for key, t in fitting.items() if t.age_s(self._now()) <= OLDEST_S}
        return speaking or dict(sorted(fitting.items(), key=lambda entry: entry[1].read_at)[-1:])

    async def stop(self) -> None:
        if self._transport is not None:
            self._transport.close()
            self._transport = None


class SpeedwireMeter:
    """A `Meter`. wanted: its address, or its serial number where several have one address."""

    def __init__(self, listener: SpeedwireListener, wanted: str, id: str, timeout_s: float = 3.0) -> None:
        self.id = id
        self._listener, self._wanted, self._timeout_s = listener, wanted, timeout_s

    async def read(self) -> MeterReading:
        return await self._listener.newest(self._wanted, self._timeout_s)
