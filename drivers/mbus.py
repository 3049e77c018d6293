"""M-Bus meters behind an Ethernet converter: slow, for sub-metering and reports rather than for control."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

from drivers import extras
from drivers.access import Access
from drivers.device import DeviceConfigError, DeviceUnreachable, ImplausibleReading, MeterReading, Now
from drivers.values import first_phase

LEAST_PAUSE_S = 30.0
_UNITS = ("W", "Wh")
_NEGATIVE_ONLY = 0x3C
_NOT_OF_NOW = 0xF0  # of the first byte: more bytes (tariff, storage), stored, minimum or maximum
_ACK = b"\xe5"


class MbusLine:
    """One converter: one question at a time, by a connection of its own, as most converters hold but one."""

    def __init__(self, access: Access, now: Now, timeout_s: float = 5.0) -> None:
        if access.port is None:
            raise DeviceConfigError("port", None, "the TCP port of the M-Bus converter")
        self.access, self.now = access, now
        self._timeout_s = timeout_s
        self._lock = asyncio.Lock()

    async def ask(self, unit: int) -> bytes:
        """The long frame that one primary address answers. Raises DeviceUnreachable, ImplausibleReading."""
        async with self._lock:
            try:
                async with asyncio.timeout(self._timeout_s):
                    reader, writer = await asyncio.open_connection(self.access.host, self.access.port)
                    try:
                        return await self._exchange(reader, writer, unit)
                    finally:
                        writer.close()
            except TimeoutError:
                raise DeviceUnreachable(
                    f"M-Bus {self.access.host} unit {unit}: no answer. Check its primary address, the line, "
                    "and the converter's baud rate (2400 8E1 is usual)"
                ) from None
            except (OSError, asyncio.IncompleteReadError) as fault:
                raise DeviceUnreachable(f"M-Bus {self.access.host}: no connection ({fault})") from None

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, unit: int) -> bytes:
        writer.write(short_frame(0x40, unit))  # initialise: so that it answers from its first telegram on
        if await reader.readexactly(1) != _ACK:
            raise ImplausibleReading(f"M-Bus {self.access.host} unit {unit}: did not acknowledge")
        writer.write(short_frame(0x5B, unit))
        head = await reader.readexactly(4)
        if head[0] != 0x68 or head[1] != head[2] or head[3] != 0x68:
            raise ImplausibleReading(f"M-Bus {self.access.host} unit {unit}: answered no long frame")
        return head + await reader.readexactly(head[1] + 2)


class MbusMeter:
    """A `Meter`. It is asked at most every 30 s; the reading says how old it is."""

    def __init__(self, line: MbusLine, unit: int, id: str) -> None:
        self.id = id
        self._line, self._unit = line, unit
        self._last: MeterReading | None = None

    async def read(self) -> MeterReading:
        """Raises DeviceError."""
        now = self._line.now()
        if self._last is None or not 0 <= self._last.age_s(now) < LEAST_PAUSE_S:
            extras.load("mbus", "meterbus")
            frame = await self._line.ask(self._unit)
            try:
                self._last = reading_of(frame, self._line.now())
            except ImplausibleReading as fault:
                raise ImplausibleReading(
                    f"M-Bus {self._line.access.host} unit {self._unit}: {fault}"
                ) from None
        return self._last


def short_frame(control: int, unit: int) -> bytes:
    return bytes([0x10, control, unit, (control + unit) & 0xFF, 0x16])


def reading_of(frame: bytes, read_at: datetime) -> MeterReading:
    """Its first present values, of power and of energy. Raises ImplausibleReading, DeviceConfigError."""
    meterbus = extras.load("mbus", "meterbus")
    try:
        told = [_present(record) for record in meterbus.load(frame).records]
    except Exception as fault:  # the library raises all kinds of errors on a broken frame
        raise ImplausibleReading(f"frame not readable ({type(fault).__name__})") from None
    found: dict[str, float] = {}
    for name, value in told:
        if value is not None:
            found.setdefault(name, value)
    if "W" not in found:
        raise ImplausibleReading("tells no power")
    return first_phase(found["W"], read_at, import_wh=found.get("Wh"), export_wh=found.get("export"))


def _present(record: Any) -> tuple[str, float | None]:
    """Unit, or "export", and value of a record of now: no maximum, no stored month, no tariff's own."""
    if record.dib.parts[0] & _NOT_OF_NOW:
        return "", None
    unit = str(record.unit)
    if unit not in _UNITS:
        return unit, None
    is_export = unit == "Wh" and _NEGATIVE_ONLY in list(record.vib.parts)
    return "export" if is_export else unit, float(record.value)
