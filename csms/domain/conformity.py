"""Whether a request is as OCPP 1.6 has it, including what its schema cannot say. Pure.

MeterValues are most of what comes, and a station says the same of every sample: only numbers and times are
new. So what is said of a sample is checked by the schema once, and remembered.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import Any

from csms.domain.ocpp_schemas import DATE_TIME, SchemaViolation, validate_request
from csms.domain.spellings import MISSPELT_IN_THE_SCHEMA, UNKNOWN_TRANSACTION

MAX_INTEGER = 2**31 - 1
LONGEST_KIND = 100  # characters said of what a value is; longer is not remembered. OCPP's longest make 80

_DATE_TIME = re.compile(DATE_TIME)
_OF_A_SAMPLE = ("context", "format", "measurand", "phase", "location", "unit")


def conforms(action: str, payload: dict[str, Any]) -> bool:
    if action == "MeterValues" and _are_meter_values(payload):
        return True
    try:
        validate_request(action, payload)
    except SchemaViolation:
        return False
    transaction_id = payload.get("transactionId", 1)
    if transaction_id < 1 and transaction_id != UNKNOWN_TRANSACTION:
        return False
    if any(type(value) is int and abs(value) > MAX_INTEGER for value in payload.values()):
        return False
    if (id_tag := payload.get("idTag")) is not None and id_tag != tidy_tag(id_tag):
        return False
    return all(
        _is_sample(sample)
        for element in payload.get("meterValue") or payload.get("transactionData") or ()
        for sample in element["sampledValue"]
    )


def is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text)) and text == text.strip() and "_" not in text
    except ValueError:
        return False


def tidy_tag(text: str) -> str:
    printable = text if text.isprintable() else "".join(filter(str.isprintable, text))
    return printable.strip()


def _are_meter_values(payload: dict[str, Any]) -> bool:
    """The short way to a yes, for what has just the fields of a request; its no says nothing."""
    connector_id, elements = payload.get("connectorId"), payload.get("meterValue")
    transaction_id = payload.get("transactionId")
    return (
        len(payload) == 2 + ("transactionId" in payload)
        and type(connector_id) is int
        and abs(connector_id) <= MAX_INTEGER
        and (transaction_id is None) == ("transactionId" not in payload)
        and (transaction_id is None or (type(transaction_id) is int and 0 < transaction_id <= MAX_INTEGER))
        and isinstance(elements, list)
        and len(elements) > 0
        and all(map(_is_element, elements))
    )


def _is_element(element: Any) -> bool:
    if not isinstance(element, dict) or len(element) != 2:
        return False
    timestamp, samples = element.get("timestamp"), element.get("sampledValue")
    return (
        isinstance(timestamp, str)
        and _DATE_TIME.match(timestamp) is not None
        and isinstance(samples, list)
        and len(samples) > 0
        and all(map(_is_sample, samples))
    )


def _is_sample(sample: Any) -> bool:
    if not isinstance(sample, dict) or not isinstance(value := sample.get("value"), str):
        return False
    kind = tuple([sample.get(name) for name in _OF_A_SAMPLE])
    try:
        if sum([len(word) for word in kind if word is not None]) > LONGEST_KIND:
            return False
        is_whole = len(sample) == _conforming_fields(kind)
    except TypeError:  # a list or an object where text belongs
        return False
    return is_whole and (is_number(value) or sample.get("format") == "SignedData")


@lru_cache(4096)
def _conforming_fields(kind: tuple[Any, ...]) -> int:
    """How many fields a sample has that says this of its value; 0 if its schema forbids it."""
    said = {name: text for name, text in zip(_OF_A_SAMPLE, kind, strict=True) if text is not None}
    sample = {"value": "0", **said}
    element = {"timestamp": "2026-01-01T00:00:00Z", "sampledValue": [sample]}
    try:
        validate_request("MeterValues", {"connectorId": 1, "meterValue": [element]})
    except SchemaViolation:
        return 0
    return len(sample) if sample.get("unit") not in MISSPELT_IN_THE_SCHEMA else 0
