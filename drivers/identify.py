"""What is a Modbus unit? Told by its identification registers, else by which table gives plausible numbers.

Only reads, one question at a time. Sources of the registers: docs of the makers as named in `data/*.toml`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from drivers.catalogue import meter_models, relay_models
from drivers.device import DeviceError, DeviceRefused, DeviceUnreachable, MeterReading
from drivers.modbus import ModbusMeter
from drivers.modbus_bus import ModbusBus, NoConnection
from drivers.registers import Point, decode

Certainty = Literal["sure", "likely", "guess"]

_SUNSPEC_BASES = (40000, 0, 50000)
_SUNSPEC_MARK = [0x5375, 0x6E53]
_SUNSPEC_END, _SUNSPEC_MOST_MODELS = 0xFFFF, 30
_METER_MODELS = range(201, 220)
_VOLT, _HERTZ = (180.0, 270.0), (49.0, 51.0)
_CARLO_GAVAZZI: Mapping[str, Collection[int]] = {
    "cg_em300": {331, 332, 335, 336, 341, 345, 346, 355, *range(1744, 1751), 1856, *range(1760, 1767)},
    "cg_em24_ethernet": range(1648, 1654),
}
_ABB_TYPES = {0x42323120: "B21", 0x42323320: "B23", 0x42323420: "B24"}


@dataclass(frozen=True, slots=True)
class Identified:
    """driver, model: as in a site file; no model where the driver finds it out. also: other candidates."""

    kind: Literal["meter", "relay_module", "unknown"]
    driver: str
    model: str
    name: str
    certainty: Certainty
    detail: str = ""
    also: tuple[str, ...] = ()


async def identify(bus: ModbusBus, unit: int) -> Identified | None:
    """None = nobody answers at this unit. Raises NoConnection."""
    if not await _answers(bus, unit):
        return None
    for ask in (_sunspec, _abb, _carlo_gavazzi, _addressed_relays):
        if (found := await ask(bus, unit)) is not None:
            return found
    return await _plausible_meter(bus, unit) or await _relays(bus, unit) or _UNKNOWN


_UNKNOWN = Identified("unknown", "", "", "answers, but is none of the known models", "guess")


async def _answers(bus: ModbusBus, unit: int) -> bool:
    try:
        await bus.read_registers(unit, 3, 0, 1)
    except DeviceRefused:
        return True
    except NoConnection:
        raise
    except DeviceUnreachable:
        return False
    return True


async def _words(bus: ModbusBus, unit: int, function: int, address: int, count: int) -> list[int]:
    """Empty where it refuses or is silent."""
    try:
        return await bus.read_registers(unit, function, address, count)
    except DeviceError:
        return []


async def _sunspec(bus: ModbusBus, unit: int) -> Identified | None:
    for base in _SUNSPEC_BASES:
        if await _words(bus, unit, 3, base, 2) != _SUNSPEC_MARK:
            continue
        maker = _text(await _words(bus, unit, 3, base + 4, 16))
        type_ = _text(await _words(bus, unit, 3, base + 20, 16))
        serial = _text(await _words(bus, unit, 3, base + 52, 16))
        models = [id async for id in _sunspec_models(bus, unit, base + 2)]
        name = " ".join(part for part in (maker, type_) if part) or "SunSpec device"
        role = "meter" if any(id in _METER_MODELS for id in models) else "inverter"
        detail = f"SunSpec {role}, models {', '.join(map(str, models))}" + (
            f", serial {serial}" if serial else ""
        )
        return Identified("meter", "sunspec", "", name, "sure", detail)
    return None


async def _sunspec_models(bus: ModbusBus, unit: int, address: int) -> AsyncIterator[int]:
    for _ in range(_SUNSPEC_MOST_MODELS):
        header = await _words(bus, unit, 3, address, 2)
        if len(header) < 2 or header[0] == _SUNSPEC_END:
            return
        yield header[0]
        address += 2 + header[1]


def _text(words: Iterable[int]) -> str:
    raw = b"".join(word.to_bytes(2, "big") for word in words)
    return raw.split(b"\0")[0].decode("ascii", "replace").strip()


async def _abb(bus: ModbusBus, unit: int) -> Identified | None:
    words = await _words(bus, unit, 3, 0x8960, 2)
    type_ = _ABB_TYPES.get(words[0] << 16 | words[1]) if len(words) == 2 else None
    if type_ is None:
        return None
    serial = await _words(bus, unit, 3, 0x8900, 2)
    detail = f"{type_}, serial {serial[0] << 16 | serial[1]}" if len(serial) == 2 else type_
    return Identified("meter", "modbus", "abb_a_b", meter_models()["abb_a_b"].name, "sure", detail)


async def _carlo_gavazzi(bus: ModbusBus, unit: int) -> Identified | None:
    words = await _words(bus, unit, 4, 0x000B, 1)
    for model, codes in _CARLO_GAVAZZI.items():
        if words and words[0] in codes:
            name = meter_models()[model].name
            return Identified("meter", "modbus", model, name, "sure", f"model code {words[0]}")
    return None


async def _addressed_relays(bus: ModbusBus, unit: int) -> Identified | None:
    """Modules that tell their own unit address in a register of their own."""
    for model, address in (("waveshare_modbus_relay", 0x4000), ("ebyte_me31_axax4040", 0x07E8)):
        if await _words(bus, unit, 3, address, 1) == [unit] and await _count_coils(bus, unit):
            return Identified("relay_module", "modbus", model, relay_models()[model].name, "likely")
    return None


async def _plausible_meter(bus: ModbusBus, unit: int) -> Identified | None:
    """The tables under which the unit tells a mains voltage and frequency; the fullest first."""
    scored: list[tuple[int, str, MeterReading]] = []
    first_looks: dict[tuple[int, int, int], list[int]] = {}
    for key, model in meter_models().items():
        point = model.point("v1") or model.point("f")
        if point is None:
            continue  # power alone can be anything
        place = (point.function, point.address, point.count)
        if place not in first_looks:
            first_looks[place] = await _words(bus, unit, *place)
        if not _is_mains(point, first_looks[place]):
            continue
        try:
            reading = await ModbusMeter(bus, unit, replace(model, gap_s=0.0), key).read()
        except DeviceError:
            continue
        if (score := _score(reading)) > 0:
            scored.append((score, key, reading))
    if not scored:
        return None
    best = max(score for score, _, _ in scored)
    keys = [key for score, key, _ in scored if score == best]
    reading = next(reading for score, _, reading in scored if score == best)
    volts = "/".join(f"{v:.0f}" for v in reading.voltage_v or () if v)
    detail = f"{volts} V, {reading.power_w:.0f} W" if volts else f"{reading.power_w:.0f} W"
    name = meter_models()[keys[0]].name
    certainty: Certainty = "likely" if len(keys) == 1 else "guess"
    return Identified("meter", "modbus", keys[0], name, certainty, detail, tuple(keys[1:]))


def _is_mains(point: Point, words: list[int]) -> bool:
    value = decode(point, words) if len(words) == point.count else None
    low, high = _VOLT if point.key == "v1" else _HERTZ
    return value is not None and low <= value <= high


def _score(reading: MeterReading) -> int:
    volts = sum(_VOLT[0] <= v <= _VOLT[1] for v in reading.voltage_v or ())
    is_hertz = reading.frequency_hz is not None and _HERTZ[0] <= reading.frequency_hz <= _HERTZ[1]
    if not volts and not is_hertz:
        return 0
    told = (reading.phase_power_w, reading.current_a, reading.import_wh, reading.export_wh)
    return 2 * volts + 3 * is_hertz + sum(value is not None for value in told)


async def _relays(bus: ModbusBus, unit: int) -> Identified | None:
    """Relay modules look alike, and many answer for more relays than they have: a person must choose."""
    count = await _count_coils(bus, unit)
    fitting = [key for key, m in relay_models().items() if m.readback.address == 0 and m.relays <= count]
    if not count:
        return None
    detail = f"answers for {count} relays"
    return Identified("relay_module", "modbus", "", "relay module", "guess", detail, tuple(fitting))


async def _count_coils(bus: ModbusBus, unit: int) -> int:
    """As many of the usual numbers of relays as it lets itself be asked for at once; 0 = none."""
    most = 0
    for count in (4, 6, 8, 16, 30, 32):
        try:
            await bus.read_bits(unit, 1, 0, count)
        except DeviceError:
            break
        most = count
    return most
