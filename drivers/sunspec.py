"""Inverters and meters that describe themselves by SunSpec, over Modbus."""

from __future__ import annotations

import re
from dataclasses import dataclass

from drivers.device import DeviceConfigError, DeviceRefused, ImplausibleReading, MeterReading
from drivers.modbus_bus import ModbusBus
from drivers.sunspec_models import (
    MODELS,
    MOST_STRINGS,
    SunSpecModel,
    reading_of,
    strings_length,
    strings_reading,
)

_BASES = (40000, 0, 50000)
_MARK = [0x5375, 0x6E53]  # "SunS"
_END = 0xFFFF
_COMMON = 1
_MAKER = (2, 16)
_LONGEST_CHAIN = 64
_CHOICE = re.compile(r"(meter|inverter|dc|[1-9]\d{2})(?::([1-9]))?")


@dataclass(frozen=True, slots=True)
class Place:
    """One model of a device's chain. maker: of the common model before it."""

    number: int
    address: int
    length: int
    maker: str


def check_choice(choice: str) -> None:
    """Raises DeviceConfigError."""
    match = _CHOICE.fullmatch(choice)
    if choice and (match is None or (match[1].isdigit() and int(match[1]) not in MODELS)):
        known = ", ".join(map(str, sorted(MODELS)))
        raise DeviceConfigError(
            "model",
            choice,
            f'nothing, "meter", "inverter", "dc" or one of {known}, with ":2" for the second,',
        )


class SunSpecMeter:
    """A `Meter`. choice: "meter", "inverter", "dc" (the strings of a hybrid) or a model's number; with ":2"
    the second of its kind in the device; "" = its meter, else its inverter.

    The chain of models is read once, and again when the device no longer has what was found where it was.
    """

    def __init__(self, bus: ModbusBus, unit: int, choice: str, id: str) -> None:
        check_choice(choice)
        self.id = id
        self.bus, self.unit = bus, unit
        self._choice = choice
        self._place: Place | None = None

    def __str__(self) -> str:
        return f"{self.bus} unit {self.unit}"

    async def read(self) -> MeterReading:
        """Raises DeviceError."""
        place = self._place or await self._find()
        try:
            reading = await self._read(place)
        except (DeviceRefused, ImplausibleReading):
            self._place = None
            raise
        self._place = place
        return reading

    async def _find(self) -> Place:
        places = await read_chain(self.bus, self.unit)
        found = _chosen(self._choice, places)
        if found is None:
            known = ", ".join(str(p.number) for p in places)
            raise DeviceConfigError("model", self._choice, f"one that {self} has (SunSpec models {known})")
        return found

    async def _read(self, place: Place) -> MeterReading:
        model = MODELS[place.number]
        count = self._length(model, place)
        words = await self.bus.read_registers(self.unit, 3, place.address, count)
        read_at = self.bus.now()
        if words[:2] != [place.number, place.length]:
            raise ImplausibleReading(f"{self}: its SunSpec models have moved, they are looked for again")
        try:
            if model.kind == "dc":
                return strings_reading(words, read_at)
            # SolarEdge's meters count what is delivered as positive, unlike everybody else's.
            turned = model.kind == "meter" and place.maker.startswith("SolarEdge")
            return reading_of(model, words, read_at, -1 if turned else 1)
        except ImplausibleReading as fault:
            raise ImplausibleReading(f"{self} (SunSpec model {place.number}): {fault}") from None

    def _length(self, model: SunSpecModel, place: Place) -> int:
        if model.kind != "dc":
            return model.length
        strings = min((place.length + 2 - strings_length(0)) // 20, MOST_STRINGS)
        return strings_length(strings)


async def read_chain(bus: ModbusBus, unit: int) -> list[Place]:
    """Every model that a device has, in its order. Raises DeviceRefused (no SunSpec), DeviceUnreachable."""
    address = await _find_base(bus, unit) + 2
    places: list[Place] = []
    maker = ""
    while len(places) < _LONGEST_CHAIN:
        number, length = await bus.read_registers(unit, 3, address, 2)
        if number == _END:
            break
        if number == _COMMON:
            maker = _text(await bus.read_registers(unit, 3, address + _MAKER[0], _MAKER[1]))
        places.append(Place(number, address, length, maker))
        address += length + 2
    return places


async def _find_base(bus: ModbusBus, unit: int) -> int:
    for base in _BASES:
        try:
            if await bus.read_registers(unit, 3, base, 2) == _MARK:
                return base
        except DeviceRefused:
            continue
    raise DeviceRefused(
        f"{bus} unit {unit}: speaks no SunSpec. Switch it on in the device, and check the unit (Fronius' "
        "meter has 200 or 240, Kostal 71)"
    )


def _chosen(choice: str, places: list[Place]) -> Place | None:
    if not choice:
        return _chosen("meter", places) or _chosen("inverter", places)
    match = _CHOICE.fullmatch(choice)
    assert match is not None, "checked when it was opened"
    wanted, nth = match[1], int(match[2] or 1)
    fitting = [p for p in places if p.number in MODELS and wanted in (MODELS[p.number].kind, str(p.number))]
    return fitting[nth - 1] if len(fitting) >= nth else None


def _text(words: list[int]) -> str:
    raw = b"".join(word.to_bytes(2, "big") for word in words)
    return raw.split(b"\0")[0].decode("ascii", "replace").strip()
