"""What MQTT messages say: numbers inside JSON, ON and OFF. Pure."""

from __future__ import annotations

import json
import math
from typing import Any

from drivers.device import ImplausibleReading

UNITS = {
    "W": 1.0,
    "kW": 1000.0,
    "V": 1.0,
    "A": 1.0,
    "mA": 0.001,
    "Hz": 1.0,
    "Wh": 1.0,
    "kWh": 1000.0,
    "%": 1.0,
}


def number_at(payload: str, path: str) -> float:
    """path: "ENERGY.Power" or "phases.0.w"; "" = the whole message. Raises ImplausibleReading."""
    value = value_at(payload, path)
    try:
        found = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        found = math.nan
    if not math.isfinite(found):
        raise ImplausibleReading(f"{path or 'message'} is {_short(value)}, a number expected")
    return found


def value_at(payload: str, path: str) -> Any:
    """Raises ImplausibleReading: no JSON, or no such key."""
    if not path:
        return payload.strip()
    try:
        value: Any = json.loads(payload)
    except ValueError:
        raise ImplausibleReading(f"message {_short(payload)} is not whole JSON") from None
    for step in path.split("."):
        try:
            value = value[int(step)] if isinstance(value, list) else value[step]
        except (KeyError, IndexError, TypeError, ValueError):
            raise ImplausibleReading(f"message {_short(payload)} has no {path}") from None
    return value


def table(payload: str) -> dict[str, Any]:
    """The message as a JSON object; {} if it is none."""
    try:
        value = json.loads(payload)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"
