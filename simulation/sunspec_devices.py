"""Simulated SunSpec devices: a chain of models in a register image, put on a `ModbusConverter`."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence

from pymodbus.constants import ExcCodes
from pymodbus.simulator import DataType, SimData, SimDevice

from drivers.sunspec_models import MODELS, SunSpecPoint
from simulation.modbus_devices import SimulatedDevice

_LENGTHS = {1: 66, 160: 48, 701: 153}
_LENGTHS_OF_KIND = {10: 50, 11: 60, 20: 105, 21: 124}
_MISSING = {"int16": 0x8000, "uint16": 0xFFFF, "acc32": 0, "uint32": 0xFFFFFFFF, "uint64": (1 << 64) - 1}
_UNSIGNED = {"int16": "H", "uint16": "H", "acc32": "I", "uint32": "I", "uint64": "Q"}


class SimulatedSunSpec(SimulatedDevice):
    """models: the chain after its first common model; a further 1 begins a sub-device.

    Everything is "not implemented" until it is set.
    """

    def __init__(self, models: Sequence[int], base: int = 40000, maker: str = "Helianthus") -> None:
        super().__init__()
        self.base, self.maker = base, maker
        self.starts: list[tuple[int, int]] = []
        self._image: dict[int, int] = {}
        self.build([1, *models])

    def build(self, models: Sequence[int]) -> None:
        """Lay the chain out anew, as a firmware update may."""
        self._image, self.starts = {}, []
        self._put(self.base, [0x5375, 0x6E53])
        address = self.base + 2
        for number in models:
            length = _LENGTHS.get(number) or _LENGTHS_OF_KIND[number // 10]
            self.starts.append((number, address))
            self._put(address, [number, length, *[0] * length])
            self._blank(number, address)
            address += length + 2
        self._put(address, [0xFFFF, 0])

    def _blank(self, number: int, address: int) -> None:
        if number == 1:
            self._put(address + 2, _text(self.maker, 16))
            self._put(address + 18, _text("Simulated", 16))
        elif number == 160:
            self._put(address + 4, [0])
            self._put(address + 8, [2])
        else:
            for key in MODELS[number].points:
                self.set(key, None, number)

    def set(self, key: str, value: float | None, number: int, factor: int = 0, nth: int = 1) -> None:
        """One point of the nth model of this number: value × 10^factor; None = not implemented."""
        point = MODELS[number].points[key]
        start = self._start(number, nth)
        self._put(start + point.offset, _words(point, value))
        if point.factor_at is not None:
            self._put(start + point.factor_at, [0x8000 if value is None else factor & 0xFFFF])

    def set_strings(self, powers: Sequence[int], factor: int = 0) -> None:
        start = self._start(160, 1)
        self._put(start + 4, [factor & 0xFFFF])
        for n, raw in enumerate(powers):
            self._put(start + 10 + 20 * n + 11, [raw])

    def set_factor(self, key: str, raw: int, number: int) -> None:
        at = MODELS[number].points[key].factor_at
        assert at is not None
        self._put(self._start(number, 1) + at, [raw])

    def _start(self, number: int, nth: int) -> int:
        return [address for known, address in self.starts if known == number][nth - 1]

    def _put(self, address: int, words: Sequence[int]) -> None:
        self._image.update(enumerate(words, address))

    def sim_device(self, unit: int) -> SimDevice:
        block = SimData(self.base, values=[0] * 1000, datatype=DataType.REGISTERS)
        return SimDevice(unit, simdata=[block], action=self._answer)

    async def _answer(
        self,
        function: int,
        start: int,
        address: int,
        count: int,
        registers: list[int],
        written: list[int] | list[bool] | None,
    ) -> ExcCodes | None:
        if written is not None or function != 3:
            return ExcCodes.ILLEGAL_FUNCTION
        if any(asked not in self._image for asked in range(address, address + count)):
            return ExcCodes.ILLEGAL_ADDRESS
        for known, word in self._image.items():
            registers[known - start] = word
        return self._refusal(address, count)


def _words(point: SunSpecPoint, value: float | None) -> list[int]:
    if point.type == "float32":
        packed = struct.pack(">f", math.nan if value is None else value)
    else:
        format_ = ">" + _UNSIGNED[point.type]
        raw = _MISSING[point.type] if value is None else round(value) % (1 << 8 * struct.calcsize(format_))
        packed = struct.pack(format_, raw)
    return list(struct.unpack(f">{len(packed) // 2}H", packed))


def _text(text: str, registers: int) -> list[int]:
    return list(struct.unpack(f">{registers}H", text.encode().ljust(2 * registers, b"\0")))
