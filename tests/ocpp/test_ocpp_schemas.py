"""Requests and answers against the OCPP 1.6 schemas: what passes, and what the refusal says."""

import pytest

from csms.domain.ocpp_schemas import (
    ACTIONS,
    ACTIONS_FROM_STATION,
    ACTIONS_TO_STATION,
    SchemaViolation,
    schema,
    validate_request,
    validate_response,
)


def profile_with(limit):
    return {
        "connectorId": 1,
        "csChargingProfiles": {
            "chargingProfileId": 1,
            "stackLevel": 0,
            "chargingProfilePurpose": "TxProfile",
            "chargingProfileKind": "Absolute",
            "chargingSchedule": {
                "chargingRateUnit": "A",
                "startSchedule": "2028-02-29T00:00:00Z",
                "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit}],
            },
        },
    }


@pytest.mark.parametrize("limit", [0, 6, 8.1, 13.7, 0.3, 16.0, 11040.1])
def test_limits_with_one_decimal_pass_though_no_float_is_a_multiple_of_a_tenth(limit):
    validate_request("SetChargingProfile", profile_with(limit))


@pytest.mark.parametrize("limit", [8.15, 6.01, float("inf"), float("nan"), 10**400])
def test_other_limits_do_not(limit):
    with pytest.raises(SchemaViolation) as refused:
        validate_request("SetChargingProfile", profile_with(limit))
    assert refused.value.code == "PropertyConstraintViolation"


START = {"connectorId": 1, "idTag": "A", "meterStart": 0, "timestamp": "2026-06-01T10:00:00Z"}
SCHEDULE = "csChargingProfiles.chargingSchedule"


@pytest.mark.parametrize(
    ("action", "payload", "field", "code"),
    [
        ("StartTransaction", START | {"connectorId": "1"}, "connectorId", "TypeConstraintViolation"),
        ("StartTransaction", START | {"connectorId": True}, "connectorId", "TypeConstraintViolation"),
        ("StartTransaction", START | {"idTag": "A" * 21}, "idTag", "PropertyConstraintViolation"),
        ("StartTransaction", START | {"timestamp": "today"}, "timestamp", "PropertyConstraintViolation"),
        ("StartTransaction", START | {"colour": "red"}, "colour", "FormationViolation"),
        ("StartTransaction", {"idTag": "A"}, "connectorId", "OccurenceConstraintViolation"),
        ("MeterValues", {"connectorId": 1, "meterValue": []}, "meterValue", "OccurenceConstraintViolation"),
        (
            "MeterValues",
            {
                "connectorId": 1,
                "meterValue": [{"timestamp": START["timestamp"], "sampledValue": [{"value": "1"}, {}]}],
            },
            "meterValue[0].sampledValue[1].value",
            "OccurenceConstraintViolation",
        ),
        (
            "SetChargingProfile",
            profile_with("6"),
            f"{SCHEDULE}.chargingSchedulePeriod[0].limit",
            "TypeConstraintViolation",
        ),
        (
            "GetLog",
            {"logType": "All", "requestId": 1, "log": {"remoteLocation": "ftp://x"}},
            "logType",
            "PropertyConstraintViolation",
        ),
    ],
)
def test_a_violation_names_the_field_and_its_error_code(action, payload, field, code):
    with pytest.raises(SchemaViolation) as refused:
        validate_request(action, payload)
    assert (refused.value.field, refused.value.code) == (field, code)


@pytest.mark.parametrize(
    "time",
    [
        "2026-06-01T10:00:00Z",
        "2026-06-01T10:00:00.123Z",
        "2026-06-01T10:00:00+02:00",
        "2028-02-29T23:59:59Z",
        "2026-06-01T10:00:00.0000000Z",
    ],
)
def test_proper_times_pass(time):
    validate_request("StartTransaction", START | {"timestamp": time})


@pytest.mark.parametrize(
    "time",
    [
        "2026-06-01T10:00:00",
        "2026-02-29T00:00:00Z",
        "2026-06-01 10:00:00Z",
        "2026-13-01T10:00:00Z",
        "٢٠٢٦-06-01T10:00:00Z",
    ],
)
def test_improper_times_do_not(time):
    with pytest.raises(SchemaViolation):
        validate_request("StartTransaction", START | {"timestamp": time})


def test_answers_are_checked_too():
    validate_response("GetConfiguration", {"unknownKey": ["x"]})
    with pytest.raises(SchemaViolation, match="status"):
        validate_response("Reset", {"status": "Perhaps"})


def test_every_action_has_schemas_for_both_ways():
    both_ways = ACTIONS_FROM_STATION & ACTIONS_TO_STATION
    assert both_ways == {"DataTransfer"}
    assert len(ACTIONS) == 39
    for action in ACTIONS:
        assert schema(action)["type"] == schema(f"{action}Response")["type"] == "object"
