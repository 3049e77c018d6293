"""Models that a site adds by data files of its own, written as `data/meters.toml` and `data/relays.toml` are.

A file has tables `[meter.KEY]` and `[relay_module.KEY]`. They win over the product's own of the same key, and
may take what they do not say from any other by `like`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from drivers.device import Failsafe, Framing
from drivers.registers import parse_meters, parse_relays, plan

Tables = dict[str, dict[str, Any]]

_KINDS = ("meter", "relay_module")
_ASSUMED = {"source": "device file of this site", "confidence": "C"}
_METER_KEYS = {
    "name", "fc", "e_fc", "words", "max_regs", "gap_ms", "unit", "framing", "port", "sign", "not_available",
    "power_when_not_available_w", "v", "i", "p", "p_tot", "p_import", "p_export", "f", "e_imp", "e_exp",
    "soc", "note", "source", "confidence", "setting", "may_count_from_one", "like",
}  # fmt: skip
_RELAY_KEYS = {
    "name", "framing", "port", "unit", "relays", "coil", "readback", "inputs", "pulse", "watchdog",
    "failsafe", "note", "source", "confidence", "like",
}  # fmt: skip


class DeviceFileError(Exception):
    """A data file is refused. The text names file, table and key."""


def with_device_files(folder: Path, meters: Tables, relays: Tables) -> tuple[Tables, Tables]:
    """The product's tables with those of the folder over them; a folder that is not there adds nothing.

    Raises:
        DeviceFileError: the first thing that is wrong.
    """
    tables = {"meter": dict(meters), "relay_module": dict(relays)}
    for path in sorted(folder.glob("*.toml")):
        added = _read(path)
        for kind in _KINDS:
            _check_keys(path, kind, added.get(kind, {}))
            tables[kind] |= {key: _ASSUMED | table for key, table in added.get(kind, {}).items()}
        for kind in _KINDS:
            for key in added.get(kind, {}):
                _try(path, kind, key, tables[kind])
    return tables["meter"], tables["relay_module"]


def _read(path: Path) -> dict[str, Any]:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as fault:
        raise DeviceFileError(f"{path}: {fault}") from None
    for kind, models in content.items():
        if kind not in _KINDS or not isinstance(models, dict):
            raise DeviceFileError(
                f"{path}: {kind!r} given, tables [meter.KEY] or [relay_module.KEY] expected"
            )
    return content


def _check_keys(path: Path, kind: str, models: Mapping[str, Any]) -> None:
    known = _METER_KEYS if kind == "meter" else _RELAY_KEYS
    for key, table in models.items():
        if not isinstance(table, dict):
            raise DeviceFileError(f"{path}: {kind}.{key} = {table!r} given, a table expected")
        for unknown in sorted(set(table) - known):
            raise DeviceFileError(
                f"{path}: {kind}.{key}.{unknown} is not known, one of {', '.join(sorted(known))} expected"
            )


def _try(path: Path, kind: str, key: str, tables: Tables) -> None:
    """Whether it becomes a model that can be asked."""
    try:
        if kind == "meter":
            meter = parse_meters(tables)[key]
            plan(meter.points, meter.max_registers)
            _expect(path, kind, key, "words", {p.words for p in meter.points}, ("big", "little"))
            framings = meter.wiring.framings
        else:
            relays = parse_relays(tables)[key]
            _expect(path, kind, key, "failsafe", {relays.failsafe}, get_args(Failsafe))
            framings = relays.wiring.framings
    except KeyError as fault:
        raise DeviceFileError(f"{path}: {kind}.{key}: key or value {fault} is missing or not known") from None
    except (TypeError, ValueError, AttributeError, RecursionError) as fault:
        raise DeviceFileError(
            f"{path}: {kind}.{key}: not as described in docs/devices.md ({fault})"
        ) from None
    _expect(path, kind, key, "framing", set(framings), get_args(Framing))
    if kind == "meter" and not any(point.is_essential for point in meter.points):
        raise DeviceFileError(
            f"{path}: {kind}.{key} tells no power: p_tot, or p_import and p_export expected"
        )


def _expect(path: Path, kind: str, key: str, name: str, given: set[Any], known: tuple[str, ...]) -> None:
    for value in given - set(known):
        raise DeviceFileError(f"{path}: {kind}.{key}.{name} = {value!r} given, {' or '.join(known)} expected")
