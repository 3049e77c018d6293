"""What real stations send, made into what OCPP 1.6 says: repairs in front of validation. Pure.

A payload that already conforms is passed through untouched (one schema check). Anything else is
walked along the schema of its action:

- nulls and unknown properties go; property and enum spellings are matched without regard to case,
  blanks, dots, dashes and underscores; a few known aliases ("Hz", "Occupied") are translated;
- numbers as text, text as numbers, fractional Wh, one object where a list belongs are converted;
- over-long text is kept up to MAX_TEXT_LENGTH, which every column holds; certificate requests whole;
- an id tag loses blanks around it and characters that cannot be printed;
- times without a zone are UTC; where one is needed and missing or unreadable, the time of arrival;
- a sampled value that is empty or not a number is left out; one with an unknown measurand, phase or
  unit keeps it as sent, since without it the value would be read as the energy register; so does the
  status of a firmware or log job;
- an unknown status, error code or reason becomes the nearest neutral one, the original is kept in
  a free-text field where there is one;
- what passes and yet does not say what OCPP means by it is named too, and not changed: `oddities`.

`NEVER_REFUSED` actions always come out usable, whatever came in: a station repeats or forgets a
transaction that is refused, so a missing field is filled with a neutral value instead.
Each kind of repair is named once, without positions, so that it can be counted per station.
"""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, datetime
from typing import Any, Final

from csms.domain.conformity import MAX_INTEGER, conforms, is_number, tidy_tag
from csms.domain.ocpp_schemas import (
    DATE_TIME,
    SchemaViolation,
    schema,
    validate_request,
    validate_response,
)
from csms.domain.oddities import configuration_oddities, oddities
from csms.domain.spellings import (
    ALIASES,
    DEFAULTS,
    FIELD_ALIASES,
    MISSPELT_IN_THE_SCHEMA,
    NEUTRAL,
    key,
)
from csms.domain.spellings import UNKNOWN_TRANSACTION as UNKNOWN_TRANSACTION

NEVER_REFUSED = frozenset(
    {"Authorize", "BootNotification", "StartTransaction", "StopTransaction", "MeterValues"}
)
# Steps of a job that the station takes anyway: a word of its own is kept as it is.
JOB_STATUSES = frozenset(
    {
        "DiagnosticsStatusNotification",
        "FirmwareStatusNotification",
        "LogStatusNotification",
        "SignedFirmwareStatusNotification",
    }
)
MAX_REGISTER_WH = 2**53
MAX_TEXT_LENGTH = 255

_NOTHING: Final = object()

_MEANING = ("measurand", "phase", "unit")  # without them a sampled value would mean something else
_LONGEST_WORD = 32
_ID_TAGS = ("idTag", "parentIdTag")
_MOST_KINDS = 50  # of repairs to one message; a flood of fields takes no time
_LONGEST_NAME = 40  # of an unknown property, where it is counted
_QUOTED_LIST = re.compile(r"\s*(?:'[^',]*'\s*,\s*)*'[^',]*'\s*")
USUAL_TIME = re.compile(r"(?a:\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z)")
_TIME_FORMATS = ("%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%d.%m.%Y %H:%M:%S", "%d-%m-%Y %H:%M:%S")


def normalise(
    action: str, payload: dict[str, Any], received_at: datetime
) -> tuple[dict[str, Any], list[str]]:
    """Return the request as OCPP has it, and the repairs that took.

    Every time in it can be read by datetime.fromisoformat and is aware; every sampled value is a number,
    unless it is signed data. It passes its schema, but for long id tags, an empty list of meter values,
    unknown measurands, phases, units and statuses of jobs.

    Raises:
        SchemaViolation: it cannot be repaired. Never for NEVER_REFUSED.
    """
    if conforms(action, payload):
        return payload, oddities(action, payload, received_at)
    repair = _Repair(action, received_at)
    repaired = repair.request(payload)
    if action not in NEVER_REFUSED and not (action in JOB_STATUSES and repaired.get("status")):
        validate_request(action, repaired)
    repair.restore_long_texts()
    odd = oddities(action, repaired, received_at)
    made_up = {kind.removesuffix(": missing") for kind in repair.kinds}
    return repaired, repair.kinds + [kind for kind in odd if kind.partition(": ")[0] not in made_up]


def normalise_answer(action: str, payload: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return a station's answer to `action` as OCPP has it, and the repairs that took.

    Nothing the station said is left out: what cannot be repaired stays as it is, and is named.
    """
    odd = configuration_oddities(payload) if action == "GetConfiguration" else []
    try:
        validate_response(action, payload)
        if action != "GetConfiguration" or "'" not in str(payload):
            return payload, odd
    except SchemaViolation:
        pass
    repair = _Repair(f"{action}Response", None)
    repaired = repair.request(payload)
    try:
        validate_response(action, repaired)
    except SchemaViolation as violation:
        field = re.sub(r"\[\d+\]", "", violation.field)
        if not any(kind.startswith(f"{field}: ") for kind in repair.kinds):
            repair.note(field, "not as expected")
    return repaired, repair.kinds + odd


def parse_time(text: str) -> datetime | None:
    """Read a time as stations write them. Without a zone it is UTC; None if it is no time at all."""
    if USUAL_TIME.fullmatch(text) and (usual := _from_iso(text)) is not None and 1900 < usual.year < 2199:
        return usual
    cleaned = text.strip().upper().replace("/", "-")
    parsed = _from_epoch(cleaned) or _from_iso(cleaned) or _from_local_format(cleaned.removesuffix("Z"))
    if parsed is None or not 1900 < parsed.year < 2199:
        return None
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)


def _from_epoch(text: str) -> datetime | None:
    """Seconds or milliseconds since 1970."""
    is_epoch = re.fullmatch(r"(?a:\d{10}|\d{13})", text)
    return datetime.fromtimestamp(int(text[:10]), UTC) if is_epoch else None


def _from_iso(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _from_local_format(text: str) -> datetime | None:
    for template in _TIME_FORMATS:
        try:
            return datetime.strptime(text, template).replace(tzinfo=UTC)
        except ValueError:
            continue
    return None


def _written(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


class _Repair:
    """One walk along one schema. received_at: None for an answer, of which nothing is left out."""

    def __init__(self, name: str, received_at: datetime | None) -> None:
        self.kinds: list[str] = []
        self._name, self._received_at = name, received_at
        self._keeps_all = received_at is None
        self._aside: dict[str, str] = {}
        self._long_texts: list[tuple[dict[str, Any], str, str]] = []

    def request(self, payload: dict[str, Any]) -> dict[str, Any]:
        definition = schema(self._name)
        repaired = self._properties(payload, definition, "")
        for field, original in self._aside.items():
            repaired.setdefault(field, original[: definition["properties"][field]["maxLength"]])
        return repaired

    def restore_long_texts(self) -> None:
        """The schema's lengths are those of the wire; here is room for more."""
        for record, name, text in self._long_texts:
            record[name] = text

    def note(self, path: str, kind: str) -> None:
        text = f"{path}: {kind}"
        if len(self.kinds) < _MOST_KINDS and text not in self.kinds:
            self.kinds.append(text if len(self.kinds) < _MOST_KINDS - 1 else "and more")

    def _fit(self, value: Any, definition: dict[str, Any], path: str) -> Any:
        if value is None:
            self.note(path, "null")
            return _NOTHING
        match definition.get("type"):
            case "object":
                return self._object(value, definition, path)
            case "array":
                return self._array(value, definition, path)
            case "integer":
                return self._integer(value, path)
            case "number":
                return self._number(value, path)
            case "boolean":
                return self._boolean(value, path)
            case "string":
                return self._string(value, definition, path)
        return value

    def _object(self, value: Any, definition: dict[str, Any], path: str) -> Any:
        if not isinstance(value, dict):
            self.note(path, "not an object")
            return _NOTHING
        repaired = self._properties(value, definition, path)
        if "measurand" in definition.get("properties", ()) and not self._is_sample(value, repaired, path):
            return _NOTHING
        if any(name not in repaired for name in definition.get("required", ())):
            return _NOTHING
        return repaired

    def _properties(self, value: dict[str, Any], definition: dict[str, Any], path: str) -> dict[str, Any]:
        known: dict[str, Any] = definition.get("properties", {})
        repaired: dict[str, Any] = {}
        for given, item in value.items():
            name = given if given in known else _meant_property(given, known)
            if not name:
                self.note(f"{path}.{given[:_LONGEST_NAME]}".strip("."), "unknown property")
                if self._keeps_all:
                    repaired[given] = item
                continue
            if name != given:
                self.note(f"{path}.{name}".strip("."), "spelling")
            fitted = self._fit(item, known[name], f"{path}.{name}".strip("."))
            if fitted is not _NOTHING:
                repaired[name] = self._cut(fitted, known[name], repaired, name, path)
            elif self._keeps_all and item is not None:
                repaired[name] = item
        self._fill(repaired, definition, path)
        return repaired

    def _cut(
        self, value: Any, definition: dict[str, Any], record: dict[str, Any], name: str, path: str
    ) -> Any:
        """Cut a text to the schema's length; `restore_long_texts` undoes it after the check."""
        limit = definition.get("maxLength")
        if limit is None or not isinstance(value, str) or len(value) <= limit:
            return value
        self.note(f"{path}.{name}".strip("."), f"longer than {limit}")
        if self._keeps_all:
            return value
        self._long_texts.append((record, name, value if name == "csr" else value[:MAX_TEXT_LENGTH]))
        return value[:limit]

    def _fill(self, repaired: dict[str, Any], definition: dict[str, Any], path: str) -> None:
        for name in definition.get("required", ()):
            if name in repaired:
                continue
            full = f"{path}.{name}".strip(".")
            default = DEFAULTS.get(self._name, {}).get(full, _NOTHING)
            if definition["properties"][name].get("format") == "date-time" and self._received_at:
                default = _written(self._received_at)
            if default is not _NOTHING:
                self.note(full, "missing")
                repaired[name] = list(default) if isinstance(default, list) else default

    def _is_sample(self, given: dict[str, Any], sample: dict[str, Any], path: str) -> bool:
        """Tidy a sampled value's number; False if it is none, or not known of what."""
        said = {key(name) for name, item in given.items() if item is not None and key(str(item))}
        text = sample.get("value")
        if not isinstance(text, str) or any(k in said and k not in sample for k in _MEANING):
            return False
        if sample.get("format") == "SignedData" or is_number(text):
            return True
        tidy = text.strip().replace(",", ".")
        if not is_number(tidy):
            self.note(f"{path}.value", "empty" if not tidy else "not a number")
            return False
        self.note(f"{path}.value", "padded" if tidy == text.strip() else "decimal comma")
        sample["value"] = tidy
        return True

    def _array(self, value: Any, definition: dict[str, Any], path: str) -> Any:
        if isinstance(value, dict):
            self.note(path, "object instead of a list")
            value = [value]
        if not isinstance(value, list):
            self.note(path, "not a list")
            return _NOTHING
        fitted = [self._fit(item, definition["items"], path) for item in value]
        if self._keeps_all:
            fitted = [item if new is _NOTHING else new for item, new in zip(value, fitted, strict=True)]
        fitted = [item for item in fitted if item is not _NOTHING]
        if len(fitted) < definition.get("minItems", 0):
            self.note(path, "empty")
            return _NOTHING
        return fitted

    def _integer(self, value: Any, path: str) -> Any:
        number = self._number(value, path)
        if number is _NOTHING:
            return _NOTHING
        whole = round(number)
        if whole != number:
            self.note(path, "fraction")
        if path == "transactionId" and not 0 < whole <= MAX_INTEGER:
            if whole != UNKNOWN_TRANSACTION:
                self.note(path, "out of range")
            return UNKNOWN_TRANSACTION
        limit = MAX_REGISTER_WH if path in ("meterStart", "meterStop") else MAX_INTEGER
        if abs(whole) > limit:
            self.note(path, "out of range")
            return _NOTHING
        return whole

    def _number(self, value: Any, path: str) -> Any:
        number = value
        if isinstance(value, str) and is_number(tidy := value.strip().replace(",", ".")):
            self.note(path, "number as text")
            number = int(tidy) if re.fullmatch(r"(?a:-?\d{1,300})", tidy) else float(tidy)
        if isinstance(number, bool) or not isinstance(number, int | float) or not _is_finite(number):
            self.note(path, "not a number")
            return _NOTHING
        return number

    def _boolean(self, value: Any, path: str) -> Any:
        if isinstance(value, bool):
            return value
        meaning = {"true": True, "1": True, "false": False, "0": False}.get(str(value).strip().lower())
        self.note(path, "truth value as text" if meaning is not None else "not a truth value")
        return _NOTHING if meaning is None else meaning

    def _string(self, value: Any, definition: dict[str, Any], path: str) -> Any:
        leaf = path.rpartition(".")[2]
        if definition.get("format") == "date-time":
            return self._time(value, path)
        if isinstance(value, dict | list) and path == "data":
            try:
                value = json.dumps(value, separators=(",", ":"))
            except (RecursionError, ValueError):
                value = None
            self.note(path, "object instead of text")
        elif isinstance(value, int | float):
            self.note(path, "number instead of text")
            value = json.dumps(value)
        if not isinstance(value, str):
            self.note(path, "not text")
            return _NOTHING
        if "enum" in definition:
            return self._choice(value, definition["enum"], path)
        if leaf in _ID_TAGS:
            return self._id_tag(value, path)
        if self._keeps_all and path == "configurationKey.value" and _QUOTED_LIST.fullmatch(value):
            self.note(path, "quoted list")
            return value.replace("'", "")
        return value

    def _id_tag(self, text: str, path: str) -> str:
        tidy = tidy_tag(text)
        if tidy != text:
            self.note(path, "padded" if text.isprintable() else "unprintable characters")
        return tidy

    def _choice(self, value: str, choices: list[str], path: str) -> Any:
        if value in choices and value not in MISSPELT_IN_THE_SCHEMA:
            return value
        word, leaf = key(value), path.rpartition(".")[2]
        if not word:
            self.note(path, "empty")
            return _NOTHING
        meant = MISSPELT_IN_THE_SCHEMA.get(value) or {key(choice): choice for choice in choices}.get(word)
        meant = meant or ALIASES.get(leaf, {}).get(word)
        if meant in choices:
            self.note(path, f"{value[:40]!r} for {meant}")
            return meant
        self.note(path, f"{value[:40]!r} unknown")
        if leaf in _MEANING or (leaf == "status" and self._name in JOB_STATUSES):
            return value.strip()[:_LONGEST_WORD]
        neutral, kept_in = NEUTRAL.get((self._name, path), (_NOTHING, None))
        if kept_in is not None:
            self._aside[kept_in] = value
        return neutral

    def _time(self, value: Any, path: str) -> Any:
        if isinstance(value, str) and re.match(DATE_TIME, value):
            return value
        parsed = parse_time(str(value)) if isinstance(value, str | int) else None
        is_empty = isinstance(value, str) and not value.strip()
        self.note(path, "empty" if is_empty else "time unreadable" if parsed is None else "time format")
        return _NOTHING if parsed is None else _written(parsed)


def _meant_property(given: str, known: dict[str, Any]) -> str:
    """The property whose name is spelt otherwise; "" if there is none."""
    word = key(given)
    meant = next((name for name in known if key(name) == word), FIELD_ALIASES.get(word, ""))
    return meant if meant in known else ""


def _is_finite(number: float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:  # an integer no float can hold
        return False
