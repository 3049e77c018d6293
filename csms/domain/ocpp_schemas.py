"""The OCPP 1.6 message schemas: which actions exist, and whether a payload is one.

The schemas are those of the `ocpp` package (edition 2 and the security whitepaper), each compiled
when it is first needed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import Any

import fastjsonschema

from csms.errors import InvalidInput

CORE_ACTIONS_FROM_STATION = frozenset(
    {
        "Authorize",
        "BootNotification",
        "DataTransfer",
        "DiagnosticsStatusNotification",
        "FirmwareStatusNotification",
        "Heartbeat",
        "MeterValues",
        "StartTransaction",
        "StatusNotification",
        "StopTransaction",
    }
)
SECURITY_ACTIONS_FROM_STATION = frozenset(
    {
        "LogStatusNotification",
        "SecurityEventNotification",
        "SignCertificate",
        "SignedFirmwareStatusNotification",
    }
)
ACTIONS_FROM_STATION = CORE_ACTIONS_FROM_STATION | SECURITY_ACTIONS_FROM_STATION
ACTIONS_TO_STATION = frozenset(
    {
        "CancelReservation",
        "CertificateSigned",
        "ChangeAvailability",
        "ChangeConfiguration",
        "ClearCache",
        "ClearChargingProfile",
        "DataTransfer",
        "DeleteCertificate",
        "ExtendedTriggerMessage",
        "GetCompositeSchedule",
        "GetConfiguration",
        "GetDiagnostics",
        "GetInstalledCertificateIds",
        "GetLocalListVersion",
        "GetLog",
        "InstallCertificate",
        "RemoteStartTransaction",
        "RemoteStopTransaction",
        "ReserveNow",
        "Reset",
        "SendLocalList",
        "SetChargingProfile",
        "SignedUpdateFirmware",
        "TriggerMessage",
        "UnlockConnector",
        "UpdateFirmware",
    }
)
ACTIONS = ACTIONS_FROM_STATION | ACTIONS_TO_STATION

# What passes is also read by datetime.fromisoformat, always aware and far from the ends of its range.
_CENTURY = r"(?:19|2[01])"
DATE_TIME = (
    rf"(?a)^(?:{_CENTURY}\d\d-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)"
    rf"|02-(?:0[1-9]|1\d|2[0-8]))|(?:{_CENTURY}(?:0[48]|[2468][048]|[13579][26])|2000)-02-29)"
    r"T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d+)?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)\Z"
)
_CODES = {
    "type": "TypeConstraintViolation",
    "required": "OccurenceConstraintViolation",  # the typo is normative (OCPP-J 1.6, 4.2.3)
    "minItems": "OccurenceConstraintViolation",
    "maxItems": "OccurenceConstraintViolation",
    "additionalProperties": "FormationViolation",
}
Validator = Callable[[dict[str, Any]], Any]


class SchemaViolation(InvalidInput):
    """code: the OCPP-J error code this violation is answered with."""

    def __init__(self, field: str, value: Any, expected: str, code: str) -> None:
        super().__init__(field, value, expected)
        self.code = code


def validate_request(action: str, payload: dict[str, Any]) -> None:
    """Check the request of a known action.

    Raises:
        SchemaViolation: an InvalidInput naming the first field at fault.
    """
    _validate(action, payload)


def validate_response(action: str, payload: dict[str, Any]) -> None:
    """Check the answer to a known action.

    Raises:
        SchemaViolation: an InvalidInput naming the first field at fault.
    """
    _validate(f"{action}Response", payload)


@cache
def schema(name: str) -> dict[str, Any]:
    """The JSON schema of an action's request, or of "<action>Response"; references are resolved."""
    text = files("ocpp.v16").joinpath("schemas", f"{name}.json").read_text(encoding="utf-8-sig")
    whole: dict[str, Any] = json.loads(text)
    resolved: dict[str, Any] = _resolved(whole, whole.get("definitions", {}))
    resolved.pop("definitions", None)
    return resolved


def _resolved(node: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(node, list):
        return [_resolved(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    if isinstance(reference := node.get("$ref"), str):
        return _resolved(definitions[reference.rpartition("/")[2]], definitions)
    return {key: _resolved(value, definitions) for key, value in node.items()}


@cache
def _validator(name: str) -> Validator:
    compiled: Validator = fastjsonschema.compile(
        schema(name), formats={"date-time": DATE_TIME}, use_default=False
    )
    return compiled


def _validate(name: str, payload: dict[str, Any]) -> None:
    try:
        _validator(name)(payload)
    except fastjsonschema.JsonSchemaValueException as error:
        raise _violation(error) from None
    except (ArithmeticError, ValueError):  # infinity or NaN where a multiple of 0.1 belongs
        raise SchemaViolation("payload", payload, "finite numbers", "PropertyConstraintViolation") from None


def _violation(error: fastjsonschema.JsonSchemaValueException) -> SchemaViolation:
    field = (error.name or "").removeprefix("data").removeprefix(".")
    value, rule, definition = error.value, str(error.rule), error.definition or {}
    if rule in ("required", "additionalProperties"):
        known, required = definition.get("properties", {}), definition.get("required", [])
        wrong = (
            [key for key in required if key not in value] if rule == "required" else [*value - known.keys()]
        )
        value = None if rule == "required" else value.get(min(wrong))
        field = f"{field}.{min(wrong)}".removeprefix(".")
    code = _CODES.get(rule, "PropertyConstraintViolation")
    return SchemaViolation(field or "payload", value, _expected(rule, definition), code)


def _expected(rule: str, definition: dict[str, Any]) -> str:
    limit = definition.get(rule)
    match rule:
        case "type":
            return f"{'an' if str(limit)[0] in 'aio' else 'a'} {limit}"
        case "enum":
            return "one of " + ", ".join(map(str, limit or ()))
        case "maxLength":
            return f"at most {limit} characters"
        case "format":
            return "a time such as 2026-01-31T12:00:00Z"
        case "multipleOf":
            return f"a multiple of {limit}"
        case "minItems":
            return f"at least {limit} items"
        case "required":
            return "a value"
        case "additionalProperties":
            return "no such field"
    return f"{rule} {limit}"
