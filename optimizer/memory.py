"""The optimizer's records as plain data for JSON and back, so that a stored minute can be decided again.

Every record becomes an object of its fields; tuples and sets become lists (sets sorted), times ISO 8601
texts, and mappings whose keys are pairs become lists of [key, value]. The way back is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from datetime import datetime, time, timedelta
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from optimizer.model import Decision, Demands, Memory, Readings, Site

Record = TypeVar("Record")
Decoder = Callable[[Any], Any]


def memory_to_dict(memory: Memory) -> dict[str, Any]:
    return to_plain(memory)  # type: ignore[no-any-return]


def memory_from_dict(data: Mapping[str, Any]) -> Memory:
    """Raises KeyError, TypeError or ValueError if the data is not a memory."""
    return from_plain(Memory, data)


def decision_to_dict(decision: Decision) -> dict[str, Any]:
    return to_plain(decision)  # type: ignore[no-any-return]


def decision_from_dict(data: Mapping[str, Any]) -> Decision:
    return from_plain(Decision, data)


def inputs_to_dict(
    site: Site, readings: Readings, demands: Demands, memory: Memory, now: datetime
) -> dict[str, Any]:
    """Everything that `decide` was given in a minute."""
    return {
        "site": to_plain(site),
        "readings": to_plain(readings),
        "demands": to_plain(demands),
        "memory": to_plain(memory),
        "now": now.isoformat(),
    }


def inputs_from_dict(data: Mapping[str, Any]) -> tuple[Site, Readings, Demands, Memory, datetime]:
    """The arguments of `decide`, in order."""
    return (
        from_plain(Site, data["site"]),
        from_plain(Readings, data["readings"]),
        from_plain(Demands, data["demands"]),
        from_plain(Memory, data["memory"]),
        datetime.fromisoformat(data["now"]),
    )


DUE = ("due_at",)
"""Fields that name a time of the calendar, whatever a clock showed."""


def set_back(memory: Memory, by: timedelta) -> Memory:
    """The same memory by a clock that was ahead by so much: what was a minute ago still was."""
    earlier: Memory = _set_back(memory, by)
    return earlier


def _set_back(value: Any, by: timedelta) -> Any:
    if isinstance(value, datetime):
        return value - by
    if isinstance(value, tuple):
        return tuple(_set_back(item, by) for item in value)
    if isinstance(value, Mapping):
        return {key: _set_back(item, by) for key, item in value.items()}
    if not is_dataclass(value) or isinstance(value, type):
        return value
    moved = {n: _set_back(getattr(value, n), by) for n in _field_names(type(value)) if n not in DUE}
    return replace(value, **moved)


def to_plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, datetime | time):
        return value.isoformat()
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, tuple):
        return [to_plain(item) for item in value]
    if isinstance(value, Mapping):
        if any(isinstance(key, tuple) for key in value):
            return [[list(key), to_plain(item)] for key, item in value.items()]
        return {key: to_plain(item) for key, item in value.items()}
    record: Any = type(value)
    return {name: to_plain(getattr(value, name)) for name in _field_names(record)}


def from_plain(record: type[Record], data: Any) -> Record:
    hint: Any = record
    return _decoder(hint)(data)  # type: ignore[no-any-return]


@cache
def _field_names(record: Any) -> tuple[str, ...]:
    return tuple(field.name for field in fields(record))


@cache
def _decoder(hint: Any) -> Decoder:
    """How data of this type is read back. Fields that older data lacks keep their defaults."""
    if is_dataclass(hint) and isinstance(hint, type):
        return _record_decoder(hint)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is UnionType:
        inner = _decoder(next(a for a in arguments if a is not NoneType))
        return lambda data: None if data is None else inner(data)
    if origin is tuple:
        inner = _decoder(arguments[0])
        return lambda data: tuple(inner(item) for item in data)
    if origin is frozenset:
        inner = _decoder(arguments[0])
        return lambda data: frozenset(inner(item) for item in data)
    if origin is Mapping:
        return _mapping_decoder(*arguments)
    if hint in (datetime, time):
        return hint.fromisoformat  # type: ignore[no-any-return]
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint
    return lambda data: data


def _record_decoder(record: Any) -> Decoder:
    hints = get_type_hints(record)
    decoders = {name: _decoder(hints[name]) for name in _field_names(record)}
    return lambda data: record(**{n: d(data[n]) for n, d in decoders.items() if n in data})


def _mapping_decoder(key: Any, value: Any) -> Decoder:
    read_value = _decoder(value)
    if get_origin(key) is tuple:
        return lambda data: {tuple(pair): read_value(item) for pair, item in data}
    return lambda data: {name: read_value(item) for name, item in data.items()}
