"""Messages that pass their schema and yet do not say what OCPP 1.6 means by it. Noticed, not changed. Pure.

What is made of them is decided where they are used: registers that are none by `csms.domain.meter_value`,
times by `csms.domain.station_clock` and `csms.services.transaction_records`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from csms.domain.meter_value import DEFAULT_MEASURAND, NO_REGISTER_WH
from csms.domain.station_clock import CLOCK_NEVER_SET

AHEAD_AT_MOST = timedelta(minutes=5)
RATE_UNIT_KEY = "ChargingScheduleAllowedChargingRateUnit"

_UNKNOWN_REGISTERS = (str(NO_REGISTER_WH), f"{NO_REGISTER_WH}.0")
_UNITS_OF = {
    "Power.Active.Import": ("W", "kW"),
    "Power.Active.Export": ("W", "kW"),
    "Power.Offered": ("W", "kW"),
    "Current.Import": ("A",),
    "Current.Export": ("A",),
    "Current.Offered": ("A",),
}
_ALL_UNITS = (None, "Wh", "kWh", "varh", "kvarh", "W", "kW", "VA", "kVA", "var", "kvar", "A", "V", "K")
# Without any unit, W or kW is a guess; the default, Wh, is for energy only (OCPP 1.6, 7.38).
_ODD_UNITS = {
    (measurand, unit): f"{unit or 'missing'} for {measurand}"
    for measurand, units in _UNITS_OF.items()
    for unit in _ALL_UNITS
    if unit not in units
}
_STATUSES_OF_THE_WHOLE_STATION = ("Available", "Unavailable", "Faulted")


def oddities(action: str, payload: Mapping[str, Any], received_at: datetime) -> list[str]:
    """The kinds of them, as `normalise` names its repairs. The payload passes its schema."""
    times = _Times(received_at)
    match action:
        case "MeterValues":
            found = _of_meter_values(payload["meterValue"], "meterValue", times)
            return [*dict.fromkeys(found)] if found else found
        case "StopTransaction":
            data = payload.get("transactionData") or ()
            found = [*_of_transaction(payload, times), *_of_meter_values(data, "transactionData", times)]
            return [*dict.fromkeys(found)]
        case "StartTransaction" | "Authorize":
            return [*_of_transaction(payload, times)]
        case "StatusNotification":
            return [*_of_status(payload, times)]
    return []


def configuration_oddities(answer: Mapping[str, Any]) -> list[str]:
    """Of the answer to GetConfiguration: rate units by their symbols (OCPP 1.6, 9.4.2: Current, Power)."""
    listed = answer.get("configurationKey")
    found = []
    for entry in listed if isinstance(listed, list) else ():
        if isinstance(entry, dict) and str(entry.get("key")).lower() == RATE_UNIT_KEY.lower():
            for part in str(entry.get("value") or "").split(","):
                meant = {"a": "Current", "w": "Power"}.get(part.strip().lower())
                found += [f"{RATE_UNIT_KEY}: {part.strip()!r} for {meant}"] if meant else []
    return found


class _Times:
    """Recognises, mostly without reading it, a time that no event can have."""

    def __init__(self, received_at: datetime) -> None:
        self._latest = received_at + AHEAD_AT_MOST
        self._latest_text = self._latest.astimezone(UTC).isoformat()[:19]

    def of(self, text: str | None, path: str) -> Iterable[str]:
        if not text:
            return
        if text[:4] < str(CLOCK_NEVER_SET.year):
            yield f"{path}: clock never set"
        elif text[:19] > self._latest_text and datetime.fromisoformat(text) > self._latest:
            yield f"{path}: in the future"


def _of_transaction(payload: Mapping[str, Any], times: _Times) -> Iterable[str]:
    yield from times.of(payload.get("timestamp"), "timestamp")
    if payload.get("idTag") == "":
        yield "idTag: empty"
    for field in ("meterStart", "meterStop"):
        if (register_wh := payload.get(field, 0)) < 0 or register_wh == NO_REGISTER_WH:
            yield f"{field}: register not known"


def _of_status(payload: Mapping[str, Any], times: _Times) -> Iterable[str]:
    yield from times.of(payload.get("timestamp"), "timestamp")
    if payload["connectorId"] == 0 and payload["status"] not in _STATUSES_OF_THE_WHOLE_STATION:
        yield f"status: {payload['status']} of connector 0"


def _of_meter_values(data: Iterable[Mapping[str, Any]], path: str, times: _Times) -> list[str]:
    """Most of what comes passes here and has nothing odd: so no more than a look at each sample."""
    found: list[str] = []
    for element in data:
        found += times.of(element["timestamp"], f"{path}.timestamp")
        for sample in element["sampledValue"]:
            measurand = sample.get("measurand")
            if measurand is None or measurand == DEFAULT_MEASURAND:
                if _is_unknown_register(sample["value"]):
                    found.append(f"{path}.sampledValue.value: register not known")
            elif (measurand, unit := sample.get("unit")) in _ODD_UNITS:
                found.append(f"{path}.sampledValue.unit: {_ODD_UNITS[measurand, unit]}")
    return found


def _is_unknown_register(value: str) -> bool:
    return value[:1] == "-" or value in _UNKNOWN_REGISTERS
