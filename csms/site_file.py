"""The site file: TOML to `SiteConfig` and back. A wrong file is refused whole, each fault with its line."""

from __future__ import annotations

import json
import pathlib
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from csms.domain.site import Fault, ReferenceFaults, SiteConfig
from csms.errors import StartupError
from csms.services.device_check import device_faults
from csms.settings import Settings
from drivers.catalogue import use_device_files
from drivers.device_files import DeviceFileError

Path = tuple[str | int, ...]
TABLES = ("site", "battery", "load_shedding")
LISTS = ("circuit", "meter", "relay_module", "appliance", "charge_point")


@dataclass(frozen=True, slots=True)
class SiteFileFault:
    """One thing that is wrong. line: 1-based, None = the whole file."""

    line: int | None
    key: str
    value: str
    expected: str

    def __str__(self) -> str:
        where = f"line {self.line}: " if self.line else ""
        return f"{where}{self.key} = {self.value}: {self.expected}"


class SiteFileError(Exception):
    """The file is refused. faults: everything that is wrong with it."""

    def __init__(self, faults: list[SiteFileFault]) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.faults = faults


def take_device_files(settings: Settings) -> None:
    """Models of the folder `devices` in DATA_DIR. Raises StartupError."""
    try:
        use_device_files(settings.data_dir / "devices")
    except DeviceFileError as error:
        raise StartupError(str(error)) from None


def read_site_file(path: pathlib.Path) -> SiteConfig:
    """Read a site file.

    Raises:
        StartupError: unreadable, or wrong: every fault on a line of its own.
    """
    try:
        return read_site(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise StartupError(f"site file {path}: {error}") from None
    except SiteFileError as error:
        raise StartupError("\n".join(f"site file {path}: {fault}" for fault in error.faults)) from None


def read_site(text: str) -> SiteConfig:
    """Read a site file.

    Raises:
        SiteFileError: with every fault found.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        number = int(line.group(1)) if line else None
        raise SiteFileError([SiteFileFault(number, "TOML", "not readable", str(error))]) from None
    try:
        site = SiteConfig.model_validate(data)
    except ValidationError as error:
        raise SiteFileError(faults_of(error, text)) from None
    lines = KeyLines(text)
    if unfit := device_faults(site):
        raise SiteFileError([_located(fault, lines) for fault in unfit])
    return site


def faults_of(error: ValidationError, text: str = "") -> list[SiteFileFault]:
    """In order of their lines, if there is a text."""
    lines = KeyLines(text)
    faults = [fault for detail in error.errors() for fault in _faults(detail, lines)]
    return sorted(faults, key=lambda fault: fault.line or 0)


def _faults(detail: ErrorDetails, lines: KeyLines) -> Iterator[SiteFileFault]:
    if _is_other_branch(detail):
        return
    cause = detail.get("ctx", {}).get("error")
    if isinstance(cause, ReferenceFaults):
        yield from (_located(fault, lines) for fault in cause.faults)
        return
    path = tuple(p for p in detail["loc"] if not (isinstance(p, str) and _is_union_branch(p)))
    if detail["type"] == "extra_forbidden":
        yield SiteFileFault(lines.of(path), _dotted(path), _shown(detail["input"]), "unknown key")
    elif detail["type"] == "missing":
        yield SiteFileFault(lines.of(path[:-1]), _dotted(path), "missing", "this key is required")
    else:
        message = detail["msg"].removeprefix("Value error, ")
        yield SiteFileFault(lines.of(path), _dotted(path), _shown(detail["input"]), message)


def _located(fault: Fault, lines: KeyLines) -> SiteFileFault:
    path, value, expected = fault
    return SiteFileFault(lines.of(path), _dotted(path), _shown(value), f"{expected} expected")


def _is_union_branch(part: str) -> bool:
    """Pydantic names the branch of a union it tried inside the path: not a key of the file."""
    return part == "NoNeutralRelays" or part.startswith("list[")


def _is_other_branch(detail: ErrorDetails) -> bool:
    """`relays` is a table or a list: a table is not told that it is no list, nor the other way round."""
    branch = next((p for p in detail["loc"] if isinstance(p, str) and _is_union_branch(p)), "")
    wrong_shape = {"NoNeutralRelays": list, "list[": dict}.get(
        branch[:5] if branch.startswith("list[") else branch
    )
    return wrong_shape is not None and isinstance(detail["input"], wrong_shape)


def _dotted(path: Path) -> str:
    return ".".join(map(str, path))


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 80 else text[:77] + "…"


class KeyLines:
    """Finds the line of a key. tomllib tells none, so table headers and keys at line starts are counted."""

    _HEADER = re.compile(r"^\s*\[\[?\s*([A-Za-z0-9_.\-]+)\s*\]\]?")
    _KEY = re.compile(r"^\s*([A-Za-z0-9_\-]+)\s*=")

    def __init__(self, text: str) -> None:
        self._lines: dict[Path, int] = {}
        counts: dict[str, int] = {}
        table: Path = ()
        for number, line in enumerate(text.splitlines(), 1):
            if header := self._HEADER.match(line):
                name = header.group(1)
                if line.lstrip().startswith("[["):
                    counts[name] = counts.get(name, -1) + 1
                    table = (name, counts[name])
                    self._lines.setdefault((name,), number)
                else:
                    table = tuple(name.split("."))
                self._lines[table] = number
            elif key := self._KEY.match(line):
                self._lines.setdefault((*table, key.group(1)), number)

    def of(self, path: Path) -> int | None:
        """The line of the key, or of the nearest table around it."""
        for length in range(len(path), 0, -1):
            if (line := self._lines.get(tuple(path[:length]))) is not None:
                return line
        return None


def write_site(site: SiteConfig) -> str:
    """Write a site file that reads back as an equal site."""
    data = site.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    parts = [f"[{table}]\n" + _keys(data[table]) for table in TABLES if table in data]
    for table in LISTS:
        parts += [f"[[{table}]]\n" + _keys(entry) for entry in data.get(table, [])]
    return "\n".join(parts)


def _keys(table: Mapping[str, Any]) -> str:
    return "".join(f"{key} = {_toml(value)}\n" for key, value in table.items() if value is not None)


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k} = {_toml(v)}" for k, v in value.items() if v is not None) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
