"""Register tables of meters and relay modules: from TOML to records, and raw words to values and back. Pure.

The format of the tables is described at the head of `data/meters.toml` and `data/relays.toml`.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from drivers.device import Failsafe, Framing

WordOrder = Literal["big", "little"]
Words = list[int]
Extreme = Literal["min", "max"]

_FORMATS = {
    "int16": "h",
    "uint16": "H",
    "int32": "i",
    "uint32": "I",
    "int64": "q",
    "uint64": "Q",
    "float32": "f",
    "float64": "d",
}
_BASE_UNITS = {"V": 1.0, "A": 1.0, "W": 1.0, "kW": 1000.0, "Hz": 1.0, "Wh": 1.0, "kWh": 1000.0, "%": 1.0}
_TRIPLES = ("v", "i", "p")
_SINGLES = ("p_tot", "p_import", "p_export", "f", "e_imp", "e_exp", "soc")
_POWER = frozenset({"p_tot", "p_import", "p_export"})
_DEFAULT_PORTS: dict[Framing, int] = {"tcp": 502, "rtu_over_tcp": 4196}


@dataclass(frozen=True, slots=True)
class Wiring:
    """How a model is reached. framings: the first is the default; ports: the default of each framing."""

    framings: tuple[Framing, ...]
    ports: Mapping[Framing, int]
    unit: int


@dataclass(frozen=True, slots=True)
class Point:
    """One value of a meter. key: "v1" … "p3", "p_tot", "e_imp" …

    factor: raw × factor is in V, A, W, Hz or Wh. not_available: the raw value that means "none".
    """

    key: str
    function: int
    address: int
    type: str
    factor: float
    words: WordOrder
    not_available: int | None

    @property
    def count(self) -> int:
        return struct.calcsize(_FORMATS[self.type]) // 2

    @property
    def is_essential(self) -> bool:
        """A reading without power is none; all else may be missing."""
        return self.key in _POWER


@dataclass(frozen=True, slots=True)
class SettingCheck:
    """A register that holds a setting. warning: what a value other than the expected ones means."""

    function: int
    address: int
    expected: tuple[int, ...]
    warning: str


@dataclass(frozen=True, slots=True)
class MeterModel:
    """setting: read once after each connect. may_count_from_one: some units count their addresses so."""

    key: str
    name: str
    wiring: Wiring
    points: tuple[Point, ...]
    max_registers: int
    gap_s: float
    sign: int
    power_when_not_available_w: float | None
    note: str
    source: str
    confidence: str
    setting: SettingCheck | None = None
    may_count_from_one: bool = False

    def point(self, key: str) -> Point | None:
        return next((p for p in self.points if p.key == key), None)

    def phases(self, kind: str) -> int:
        """How many phases it tells of "v", "i" or "p"."""
        return sum(p.key in (f"{kind}1", f"{kind}2", f"{kind}3") for p in self.points)


@dataclass(frozen=True, slots=True)
class Request:
    """Neighbouring registers that are read at once."""

    function: int
    address: int
    count: int
    points: tuple[Point, ...]

    @property
    def is_essential(self) -> bool:
        return any(p.is_essential for p in self.points)

    def split(self) -> tuple[Request, ...]:
        """One request per value, for a device that refuses them together."""
        return plan(self.points, max_registers=1)

    def decode(self, words: Words) -> dict[str, float | None]:
        return {
            p.key: decode(p, words[p.address - self.address : p.address - self.address + p.count])
            for p in self.points
        }


@dataclass(frozen=True, slots=True)
class BitBlock:
    function: int
    address: int
    count: int


@dataclass(frozen=True, slots=True)
class Pulse:
    """A relay's address here takes a time instead of on or off: it closes, and opens by itself after it."""

    address: int
    unit_s: float
    max_raw: int


@dataclass(frozen=True, slots=True)
class Watchdog:
    """time_address takes the time after which a silent master's relays open; enable_address then takes 1."""

    time_address: int
    unit_s: float
    enable_address: int | None


@dataclass(frozen=True, slots=True)
class RelayModel:
    """coil: address of relay 1, written with FC05. failsafe: what opens relays that nobody commands."""

    key: str
    name: str
    wiring: Wiring
    relays: int
    coil: int
    readback: BitBlock
    inputs: BitBlock | None
    pulse: Pulse | None
    watchdog: Watchdog | None
    failsafe: Failsafe
    note: str
    source: str
    confidence: str


def parse_meters(tables: Mapping[str, Mapping[str, Any]]) -> dict[str, MeterModel]:
    return {key: _meter(key, _with_inherited(tables, key)) for key in tables}


def parse_relays(tables: Mapping[str, Mapping[str, Any]]) -> dict[str, RelayModel]:
    return {key: _relay(key, _with_inherited(tables, key)) for key in tables}


def _with_inherited(tables: Mapping[str, Mapping[str, Any]], key: str) -> dict[str, Any]:
    table = dict(tables[key])
    parent = table.pop("like", None)
    return {**_with_inherited(tables, parent), **table} if parent else table


def _wiring(table: Mapping[str, Any]) -> Wiring:
    return Wiring(
        framings=tuple(table.get("framing", ("tcp", "rtu_over_tcp"))),
        ports={**_DEFAULT_PORTS, **table.get("port", {})},
        unit=table.get("unit", 1),
    )


def _meter(key: str, table: Mapping[str, Any]) -> MeterModel:
    raw_points = [
        (f"{kind}{phase}", raw) for kind in _TRIPLES for phase, raw in enumerate(table.get(kind, ()), 1)
    ]
    raw_points += [(single, table[single]) for single in _SINGLES if single in table]
    return MeterModel(
        key=key,
        name=table["name"],
        wiring=_wiring(table),
        points=tuple(_point(point_key, raw, table) for point_key, raw in raw_points),
        max_registers=table["max_regs"],
        gap_s=table.get("gap_ms", 0) / 1000,
        sign=table.get("sign", 1),
        power_when_not_available_w=table.get("power_when_not_available_w"),
        note=table.get("note", ""),
        source=table["source"],
        confidence=table["confidence"],
        setting=_setting(table.get("setting")),
        may_count_from_one=table.get("may_count_from_one", False),
    )


def _setting(table: Mapping[str, Any] | None) -> SettingCheck | None:
    if table is None:
        return None
    return SettingCheck(table["fc"], table["address"], tuple(table["expected"]), table["warning"])


def counted_from_one(model: MeterModel) -> MeterModel:
    """The same model with every value one address further on."""
    return replace(model, points=tuple(replace(p, address=p.address + 1) for p in model.points))


def _point(key: str, raw: tuple[int, str, float, str], table: Mapping[str, Any]) -> Point:
    address, type_, scale, unit = raw
    function = table.get("e_fc", table["fc"]) if key.startswith("e_") else table["fc"]
    not_available = None
    if "int" in type_:
        extreme = table.get("not_available", {}).get("unsigned" if type_[0] == "u" else "signed")
        not_available = _extreme(type_, extreme) if extreme else None
    return Point(key, function, address, type_, scale * _BASE_UNITS[unit], table["words"], not_available)


def _extreme(type_: str, extreme: Extreme) -> int:
    bits: int = 8 * struct.calcsize(_FORMATS[type_])
    lowest, states = (0, 1 << bits) if type_[0] == "u" else (-1 << (bits - 1), 1 << bits)
    return lowest if extreme == "min" else lowest + states - 1


def _relay(key: str, table: Mapping[str, Any]) -> RelayModel:
    readback, inputs = table["readback"], table.get("inputs")
    pulse, watchdog = table.get("pulse"), table.get("watchdog")
    return RelayModel(
        key=key,
        name=table["name"],
        wiring=_wiring(table),
        relays=table["relays"],
        coil=table["coil"],
        readback=BitBlock(readback["fc"], readback["address"], table["relays"]),
        inputs=BitBlock(inputs["fc"], inputs["address"], inputs["n"]) if inputs else None,
        pulse=Pulse(pulse["address"], pulse["unit_ms"] / 1000, pulse["max_raw"]) if pulse else None,
        watchdog=Watchdog(watchdog["time"], watchdog["unit_ms"] / 1000, watchdog.get("enable"))
        if watchdog
        else None,
        failsafe=table["failsafe"],
        note=table.get("note", ""),
        source=table["source"],
        confidence=table["confidence"],
    )


def plan(points: Iterable[Point], max_registers: int) -> tuple[Request, ...]:
    """Group values into requests: never across a gap, never above max_registers, never through a value.

    A value longer than max_registers gets a request of its own.
    """
    requests: list[Request] = []
    for point in sorted(points, key=lambda p: (p.function, p.address)):
        last = requests[-1] if requests else None
        if last and point.function == last.function and point.address <= last.address + last.count:
            count = max(last.count, point.address + point.count - last.address)
            if count <= max(max_registers, last.count):
                requests[-1] = Request(last.function, last.address, count, (*last.points, point))
                continue
        requests.append(Request(point.function, point.address, point.count, (point,)))
    return tuple(requests)


def decode(point: Point, words: Words) -> float | None:
    """[V, A, W, Hz or Wh]; None = the device says that it has no value (NaN, overflow, "not available")."""
    ordered = words if point.words == "big" else words[::-1]
    raw: float = struct.unpack(">" + _FORMATS[point.type], struct.pack(f">{len(ordered)}H", *ordered))[0]
    if raw == point.not_available or not math.isfinite(raw):
        return None
    # Nine digits keep 2305 × 0.1 from becoming 230.50000000000003 without touching what a meter resolves.
    return round(raw * point.factor, 9)


def encode(point: Point, value: float | None) -> Words:
    """The inverse of `decode`, to the resolution of the register.

    Raises:
        ValueError: the value does not fit the register, or it cannot say "no value".
    """
    format_ = ">" + _FORMATS[point.type]
    raw: float
    if "float" in point.type:
        raw = math.nan if value is None else value / point.factor
    elif value is not None:
        raw = round(value / point.factor)
    elif point.not_available is not None:
        raw = point.not_available
    else:
        raise ValueError(f"{point.key}: {point.type} of this model has no pattern for a missing value")
    try:
        packed = struct.pack(format_, raw)
    except (struct.error, OverflowError):
        raise ValueError(f"{point.key}: {value!r} does not fit {point.type}") from None
    words = list(struct.unpack(f">{len(packed) // 2}H", packed))
    return words if point.words == "big" else words[::-1]
