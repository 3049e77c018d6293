"""The customer port P1 of smart meters, behind a serial-Ethernet adapter: a telegram every 1 to 10 s."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import datetime
from typing import Any

from drivers import extras
from drivers.access import Access
from drivers.device import (
    DeviceConfigError,
    DeviceError,
    DeviceUnreachable,
    ImplausibleReading,
    MeterReading,
    Now,
    PhaseTriple,
    Sleep,
)
from drivers.values import with_direction

SPECIFICATIONS = {
    "": "V5", "2.2": "V2_2", "4": "V4", "5": "V5", "5B": "BELGIUM_FLUVIUS", "5L": "LUXEMBOURG_SMARTY",
    "5S": "SWEDEN", "Q3D": "Q3D",
}  # fmt: skip
OLDEST_S = 30.0
_RETRY_S = 5.0
_LONGEST_TELEGRAM = 16_384


def check_specification(model: str) -> None:
    """Raises DeviceConfigError."""
    if model not in SPECIFICATIONS:
        known = ", ".join(f'"{name}"' for name in SPECIFICATIONS if name)
        raise DeviceConfigError("model", model, f"nothing (DSMR 5) or one of {known}")


def reading_of(telegram: str, model: str, read_at: datetime) -> MeterReading:
    """Raises ImplausibleReading: wrong checksum, or no power; DeviceConfigError: the extra is missing."""
    specifications = extras.load("p1", "dsmr_parser.telegram_specifications")
    parsers, faults = extras.load("p1", "dsmr_parser.parsers"), extras.load("p1", "dsmr_parser.exceptions")
    try:
        parsed = parsers.TelegramParser(getattr(specifications, SPECIFICATIONS[model])).parse(telegram)
    except (faults.ParseError, faults.InvalidChecksumError) as fault:
        raise ImplausibleReading(f"telegram not readable: {fault}") from None
    drawn_w = _told(parsed, "CURRENT_ELECTRICITY_USAGE")
    delivered_w = _told(parsed, "CURRENT_ELECTRICITY_DELIVERY")
    if drawn_w is None:
        raise ImplausibleReading("telegram tells no power: check its specification (model)")
    phase_power_w = _triple(
        [
            None if (plus := _told(parsed, f"INSTANTANEOUS_ACTIVE_POWER_L{n}_POSITIVE")) is None
            else plus - (_told(parsed, f"INSTANTANEOUS_ACTIVE_POWER_L{n}_NEGATIVE") or 0.0)
            for n in (1, 2, 3)
        ]
    )  # fmt: skip
    current_a = _triple([_told(parsed, f"INSTANTANEOUS_CURRENT_L{n}") for n in (1, 2, 3)])
    return MeterReading(
        power_w=drawn_w - (delivered_w or 0.0),
        read_at=read_at,
        phase_power_w=phase_power_w,
        current_a=with_direction(current_a, phase_power_w),
        voltage_v=_triple([_told(parsed, f"INSTANTANEOUS_VOLTAGE_L{n}") for n in (1, 2, 3)]),
        import_wh=_energy(parsed, "USED", "IMPORTED"),
        export_wh=_energy(parsed, "DELIVERED", "EXPORTED"),
    )


def _told(parsed: Any, name: str) -> float | None:
    """In W, Wh, V or A."""
    found = getattr(parsed, name, None)
    if found is None or found.value is None:
        return None
    return float(found.value) * (1000 if found.unit in ("kW", "kWh") else 1)


def _energy(parsed: Any, of_tariffs: str, total: str) -> float | None:
    tariffs = [_told(parsed, f"ELECTRICITY_{of_tariffs}_TARIFF_{n}") for n in (1, 2)]
    known = [wh for wh in tariffs if wh is not None]
    return sum(known) if known else _told(parsed, f"ELECTRICITY_{total}_TOTAL")


def _triple(values: list[float | None]) -> PhaseTriple | None:
    """A one-phase connection tells L1 only."""
    l1, l2, l3 = values
    return None if l1 is None else (l1, l2 or 0.0, l3 or 0.0)


class P1Meter:
    """A `Meter`. Listens from its first reading on, and connects again after every loss."""

    def __init__(
        self, access: Access, model: str, id: str, now: Now, sleep: Sleep, timeout_s: float = 12.0
    ) -> None:
        check_specification(model)
        if access.port is None:
            raise DeviceConfigError("port", None, "the TCP port of the adapter")
        self.id = id
        self._access, self._model = access, model
        self._now, self._sleep, self._timeout_s = now, sleep, timeout_s
        self._task: asyncio.Task[None] | None = None
        self._reading: MeterReading | None = None
        self._fault: DeviceError | None = None
        self._told = asyncio.Event()

    def __str__(self) -> str:
        return f"P1 {self._access.host}:{self._access.port}"

    async def read(self) -> MeterReading:
        """Raises DeviceError."""
        extras.load("p1", "dsmr_parser")
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=str(self))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._told.wait(), self._timeout_s)
        if self._fault is not None:
            raise self._fault
        if self._reading is None or self._reading.age_s(self._now()) > OLDEST_S:
            raise DeviceUnreachable(f"{self}: no telegram. Check the cable and the adapter's baud rate")
        return self._reading

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                reader, writer = await asyncio.open_connection(
                    self._access.host, self._access.port, limit=_LONGEST_TELEGRAM
                )
            except OSError as fault:
                self._tell(DeviceUnreachable(f"{self}: no connection ({fault}). Check host, port and supply"))
            else:
                with contextlib.suppress(asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
                    await self._listen(reader)
                writer.close()
                self._tell(DeviceUnreachable(f"{self}: the connection broke off"))
            await self._sleep(_RETRY_S)

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        """A telegram goes from "/" to "!" and its checksum; of the first one the head is mostly missed."""
        while True:
            raw = await reader.readuntil(b"!") + await reader.readuntil(b"\n")
            start = raw.find(b"/")
            if start < 0:
                continue
            try:
                reading = reading_of(raw[start:].decode("ascii", "replace"), self._model, self._now())
            except ImplausibleReading as fault:
                self._tell(ImplausibleReading(f"{self}: {fault}"))
            else:
                self._reading = reading
                self._tell(None)

    def _tell(self, fault: DeviceError | None) -> None:
        self._fault = fault
        self._told.set()
