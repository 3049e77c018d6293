"""Stored minutes decided again: does this version decide as the stored one did?

A minute is an object with `inputs` and `outcome`, as `GET /api/v1/sites/{site}/decisions` answers them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from optimizer.decide import decide
from optimizer.memory import decision_to_dict, inputs_from_dict
from optimizer.model import Decision


class MinuteError(ValueError):
    """The text holds no stored minute; says where and what was expected."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """differences: "path: stored, now" of everything that is not as it was stored."""

    decision: Decision
    differences: tuple[str, ...]


def read_minutes(text: str) -> list[Mapping[str, Any]]:
    """Minutes in the order of their time: a JSON list of them, a single one, or one on each line.

    Raises:
        MinuteError: not JSON, or an item without inputs and outcome.
    """
    minutes = _parse(text)
    for i, minute in enumerate(minutes):
        for key in ("inputs", "outcome"):
            if not isinstance(minute, dict) or not isinstance(minute.get(key), dict):
                raise MinuteError(f"[{i}].{key}: an object expected, as in the answer of …/decisions")
    return sorted(minutes, key=lambda minute: str(minute["inputs"].get("now")))


def _parse(text: str) -> list[Any]:
    try:
        data = json.loads(text)
    except ValueError as error:
        lines = [line for line in text.splitlines() if line.strip()]
        if len(lines) < 2:
            raise MinuteError(f"input: not JSON: {error}") from None
        try:
            return [json.loads(line) for line in lines]
        except ValueError:
            raise MinuteError(f"input: not JSON: {error}") from None
    return data if isinstance(data, list) else [data]


def replay(minute: Mapping[str, Any]) -> Replayed:
    """Decide a stored minute again.

    Raises:
        MinuteError: the inputs are not those of a minute.
    """
    try:
        inputs = inputs_from_dict(minute["inputs"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise MinuteError(f"inputs: not what a minute was given: {error!r}") from None
    decision, _ = decide(*inputs)
    differences = _differences("outcome", minute["outcome"], decision_to_dict(decision))
    return Replayed(decision, tuple(differences))


def _differences(path: str, stored: Any, now: Any) -> Iterator[str]:
    if isinstance(stored, dict) and isinstance(now, dict):
        for key in [*stored, *(key for key in now if key not in stored)]:
            yield from _differences(f"{path}.{key}", stored.get(key), now.get(key))
    elif isinstance(stored, list) and isinstance(now, list) and len(stored) == len(now):
        for i, (was, this) in enumerate(zip(stored, now, strict=True)):
            name = was.get("id", i) if isinstance(was, dict) else i
            yield from _differences(f"{path}[{name}]", was, this)
    elif stored != now:
        yield f"{path}: stored {json.dumps(stored)}, now {json.dumps(now)}"
