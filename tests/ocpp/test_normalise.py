"""Deviations seen on real stations, and what is made of them. Names say who sends such a thing, if known."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csms.domain.normalise import NEVER_REFUSED, normalise, normalise_answer, parse_time
from csms.domain.ocpp_schemas import (
    CORE_ACTIONS_FROM_STATION,
    SchemaViolation,
    schema,
    validate_request,
)

NOW = datetime(2026, 6, 1, 10, 0, tzinfo=UTC)
NOW_TEXT = "2026-06-01T10:00:00Z"
BEFORE = "2026-06-01T09:59:50Z"


def meter_values(*samples, **fields):
    return {"connectorId": 1, "meterValue": [{"timestamp": BEFORE, "sampledValue": list(samples)}], **fields}


def start(**fields):
    return {"connectorId": 1, "idTag": "A", "meterStart": 10, "timestamp": BEFORE, **fields}


def stop(**fields):
    return {"transactionId": 7, "meterStop": 20, "timestamp": BEFORE, **fields}


def status(**fields):
    return {"connectorId": 1, "errorCode": "NoError", "status": "Available", **fields}


# what a person calls it: (action, as sent, as OCPP has it, the repairs)
DEVIATIONS = {
    "null for optional fields": (
        "StatusNotification",
        status(info=None, timestamp=None),
        status(),
        ["info: null", "timestamp: null"],
    ),
    "fields of the vendor's own": ("Heartbeat", {"uptime": 5}, {}, ["uptime: unknown property"]),
    "field names in another case": (
        "StatusNotification",
        {"connectorid": 1, "ErrorCode": "NoError", "status": "Available"},
        status(),
        ["connectorId: spelling", "errorCode: spelling"],
    ),
    "serial and model too long are kept whole (Schneider)": (
        "BootNotification",
        {"chargePointVendor": "V", "chargePointModel": "M" * 23, "chargePointSerialNumber": "S" * 33},
        {"chargePointVendor": "V", "chargePointModel": "M" * 23, "chargePointSerialNumber": "S" * 33},
        ["chargePointModel: longer than 20", "chargePointSerialNumber: longer than 25"],
    ),
    "serial as a number": (
        "BootNotification",
        {"chargePointVendor": "V", "chargePointModel": "M", "meterSerialNumber": 4711},
        {"chargePointVendor": "V", "chargePointModel": "M", "meterSerialNumber": "4711"},
        ["meterSerialNumber: number instead of text"],
    ),
    "info too long is kept whole": (
        "StatusNotification",
        status(info="i" * 60),
        status(info="i" * 60),
        ["info: longer than 50"],
    ),
    "id tag with garbage bytes is kept whole": (
        "StartTransaction",
        start(idTag="T" * 22),
        start(idTag="T" * 22),
        ["idTag: longer than 20"],
    ),
    "error code Error": (
        "StatusNotification",
        status(errorCode="Error"),
        status(errorCode="OtherError", vendorErrorCode="Error"),
        ["errorCode: 'Error' unknown"],
    ),
    "empty error code": (
        "StatusNotification",
        status(errorCode=""),
        status(),
        ["errorCode: empty", "errorCode: missing"],
    ),
    "status of OCPP 1.5": (
        "StatusNotification",
        status(status="Occupied"),
        status(status="Preparing"),
        ["status: 'Occupied' for Preparing"],
    ),
    "status in another case": (
        "StatusNotification",
        status(status="suspendedEv"),
        status(status="SuspendedEV"),
        ["status: 'suspendedEv' for SuspendedEV"],
    ),
    "unknown status": (
        "StatusNotification",
        status(status="Sleeping"),
        status(status="Unavailable", info="Sleeping"),
        ["status: 'Sleeping' unknown"],
    ),
    "unknown stop reason": (
        "StopTransaction",
        stop(reason="Bored"),
        stop(reason="Other"),
        ["reason: 'Bored' unknown"],
    ),
    "connector as text": (
        "StartTransaction",
        start(connectorId="2"),
        start(connectorId=2),
        ["connectorId: number as text"],
    ),
    "register with a fraction": (
        "StartTransaction",
        start(meterStart=10.4),
        start(),
        ["meterStart: fraction"],
    ),
    "transaction id of 64 bits": (
        "StopTransaction",
        stop(transactionId=2**63 - 1),
        stop(transactionId=-1),
        ["transactionId: out of range"],
    ),
    "transaction id -16": (
        "StopTransaction",
        stop(transactionId=-16),
        stop(transactionId=-1),
        ["transactionId: out of range"],
    ),
    "transaction id 0": (
        "MeterValues",
        meter_values({"value": "1"}, transactionId=0),
        meter_values({"value": "1"}, transactionId=-1),
        ["transactionId: out of range"],
    ),
    "no transaction id at the stop": (
        "StopTransaction",
        {"meterStop": 20, "timestamp": BEFORE},
        stop(transactionId=-1),
        ["transactionId: missing"],
    ),
    "time without a zone (Growatt)": (
        "StartTransaction",
        start(timestamp="2026-06-01T09:59:50"),
        start(),
        ["timestamp: time format"],
    ),
    "time with a blank": (
        "StartTransaction",
        start(timestamp="2026-06-01 09:59:50Z"),
        start(),
        ["timestamp: time format"],
    ),
    "time with slashes": (
        "StartTransaction",
        start(timestamp="2026/06/01 09:59:50"),
        start(),
        ["timestamp: time format"],
    ),
    "time with dots, day first": (
        "StartTransaction",
        start(timestamp="01.06.2026 09:59:50"),
        start(),
        ["timestamp: time format"],
    ),
    "time as seconds since 1970": (
        "StartTransaction",
        start(timestamp=1780307990),
        start(),
        ["timestamp: time format"],
    ),
    "no time": (
        "StartTransaction",
        {k: v for k, v in start().items() if k != "timestamp"},
        start(timestamp=NOW_TEXT),
        ["timestamp: missing"],
    ),
    "unreadable optional time": (
        "StatusNotification",
        status(timestamp="soon"),
        status(),
        ["timestamp: time unreadable"],
    ),
    "value as a number": (
        "MeterValues",
        meter_values({"value": 230.5}),
        meter_values({"value": "230.5"}),
        ["meterValue.sampledValue.value: number instead of text"],
    ),
    "value with blanks (evcc)": (
        "MeterValues",
        meter_values({"value": " 0.0"}),
        meter_values({"value": "0.0"}),
        ["meterValue.sampledValue.value: padded"],
    ),
    "value with a decimal comma": (
        "MeterValues",
        meter_values({"value": "1,5"}),
        meter_values({"value": "1.5"}),
        ["meterValue.sampledValue.value: decimal comma"],
    ),
    "empty value among others (Heidelberg)": (
        "MeterValues",
        meter_values({"value": ""}, {"value": "5"}),
        meter_values({"value": "5"}),
        ["meterValue.sampledValue.value: empty"],
    ),
    "value NaN": (
        "MeterValues",
        meter_values({"value": "nan"}, {"value": "5"}),
        meter_values({"value": "5"}),
        ["meterValue.sampledValue.value: not a number"],
    ),
    "no sampled values": (
        "MeterValues",
        meter_values(),
        {"connectorId": 1, "meterValue": []},
        ["meterValue.sampledValue: empty", "meterValue: empty", "meterValue: missing"],
    ),
    "meter value as an object (Huawei)": (
        "MeterValues",
        {"connectorId": 1, "meterValue": {"timestamp": BEFORE, "sampledValue": {"value": "5"}}},
        meter_values({"value": "5"}),
        ["meterValue: object instead of a list", "meterValue.sampledValue: object instead of a list"],
    ),
    "unit Hz": (
        "MeterValues",
        meter_values({"value": "50", "unit": "Hz"}),
        meter_values({"value": "50", "unit": "Hertz"}),
        ["meterValue.sampledValue.unit: 'Hz' for Hertz"],
    ),
    "unit KWH": (
        "MeterValues",
        meter_values({"value": "5", "unit": "KWH"}),
        meter_values({"value": "5", "unit": "kWh"}),
        ["meterValue.sampledValue.unit: 'KWH' for kWh"],
    ),
    "unit °C": (
        "MeterValues",
        meter_values({"value": "5", "unit": "°C"}),
        meter_values({"value": "5", "unit": "Celsius"}),
        ["meterValue.sampledValue.unit: '°C' for Celsius"],
    ),
    "empty unit": (
        "MeterValues",
        meter_values({"value": "5", "unit": ""}),
        meter_values({"value": "5"}),
        ["meterValue.sampledValue.unit: empty"],
    ),
    "phase L1N": (
        "MeterValues",
        meter_values({"value": "5", "phase": "L1N"}),
        meter_values({"value": "5", "phase": "L1-N"}),
        ["meterValue.sampledValue.phase: 'L1N' for L1-N"],
    ),
    "unknown context (Alfen)": (
        "MeterValues",
        meter_values({"value": "5", "context": "Now"}),
        meter_values({"value": "5"}),
        ["meterValue.sampledValue.context: 'Now' unknown"],
    ),
    "unknown measurand is not taken for energy": (
        "MeterValues",
        meter_values({"value": "5", "measurand": "Request.Energy"}),
        meter_values({"value": "5", "measurand": "Request.Energy"}),
        ["meterValue.sampledValue.measurand: 'Request.Energy' unknown"],
    ),
    "measurand that is no text is left out": (
        "MeterValues",
        meter_values({"value": "5", "measurand": []}, {"value": "6"}),
        meter_values({"value": "6"}),
        ["meterValue.sampledValue.measurand: not text"],
    ),
    "data as an object": (
        "DataTransfer",
        {"vendorId": "V", "data": {"a": 1}},
        {"vendorId": "V", "data": '{"a":1}'},
        ["data: object instead of text"],
    ),
}


@pytest.mark.parametrize("name", DEVIATIONS)
def test_a_deviation_is_mended_and_named(name):
    action, sent, expected, repairs = DEVIATIONS[name]
    assert normalise(action, sent, NOW) == (expected, repairs)


PROPER = {
    "Heartbeat": {},
    "StatusNotification": status(timestamp="2026-06-01T12:00:00.5+02:00"),
    "StartTransaction": start(reservationId=3),
    "StopTransaction": stop(
        reason="EVDisconnected",
        transactionData=[
            {"timestamp": BEFORE, "sampledValue": [{"value": "OCMF|{}", "format": "SignedData"}]}
        ],
    ),
    "MeterValues": meter_values(
        {"value": "-1.5e3", "measurand": "Power.Active.Import", "unit": "W", "phase": "L1-N"},
        transactionId=-1,
    ),
}


@pytest.mark.parametrize("action", PROPER)
def test_what_conforms_is_passed_through_untouched(action):
    payload, repairs = normalise(action, PROPER[action], NOW)
    assert payload is PROPER[action]
    assert repairs == []


@pytest.mark.parametrize(
    ("action", "sent", "field"),
    [
        ("StatusNotification", {"connectorId": 1, "errorCode": "NoError"}, "status"),
        ("StatusNotification", status(connectorId="one"), "connectorId"),
        ("FirmwareStatusNotification", {"status": ["Downloading"]}, "status"),
    ],
)
def test_what_cannot_be_mended_is_refused_by_the_field_at_fault(action, sent, field):
    with pytest.raises(SchemaViolation) as refused:
        normalise(action, sent, NOW)
    assert refused.value.field == field


@pytest.mark.parametrize(
    "text", ["", "soon", "0000-00-00T00:00:00Z", "2026-06-31T00:00:00Z", "9999-12-31T23:59:59-14:00", "12345"]
)
def test_what_is_no_time_is_none(text):
    assert parse_time(text) is None


ANSWERS = {
    "status in lower case": (
        "Reset",
        {"status": "accepted"},
        {"status": "Accepted"},
        ["status: 'accepted' for Accepted"],
    ),
    "numbers as configuration values": (
        "GetConfiguration",
        {"configurationKey": [{"key": "A", "readonly": False, "value": 60}]},
        {"configurationKey": [{"key": "A", "readonly": False, "value": "60"}]},
        ["configurationKey.value: number instead of text"],
    ),
    "a value over 500 characters is kept": (
        "GetConfiguration",
        {"configurationKey": [{"key": "A", "readonly": False, "value": "v" * 600}]},
        {"configurationKey": [{"key": "A", "readonly": False, "value": "v" * 600}]},
        ["configurationKey.value: longer than 500"],
    ),
    "readonly left out": (
        "GetConfiguration",
        {"configurationKey": [{"key": "A", "value": "1"}]},
        {"configurationKey": [{"key": "A", "value": "1", "readonly": False}]},
        ["configurationKey.readonly: missing"],
    ),
    "a status of the vendor's own is passed on": (
        "SetChargingProfile",
        {"status": "Later"},
        {"status": "Later"},
        ["status: 'Later' unknown"],
    ),
    "nothing": ("Reset", {}, {}, ["status: not as expected"]),
    "null for a list": ("GetConfiguration", {"unknownKey": None}, {}, ["unknownKey: null"]),
    "as it should be": ("Reset", {"status": "Rejected"}, {"status": "Rejected"}, []),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_answers_are_mended_and_never_refused(name):
    action, sent, expected, repairs = ANSWERS[name]
    assert normalise_answer(action, sent) == (expected, repairs)


# --- whatever comes ---

WORDS = [
    *schema("MeterValues")["properties"],
    *schema("StopTransaction")["properties"],
    *schema("StartTransaction")["properties"],
    *("sampledValue", "value", "unit", "phase", "measurand", "context", "format", "Meter_Value"),
]
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=30)
    | st.sampled_from(
        ["1", " 7,5", "nan", "A", "kWh", "L1", "Hz", "SignedData", "2026-06-01 10:00:00", BEFORE, "1e999"]
    )
)
JSON = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=5), inner, max_size=6)
    ),
    max_leaves=25,
)
PAYLOADS = st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=5), JSON, max_size=8)


def without_liberties(action, payload):
    """Take out what the normaliser leaves: long texts, an empty list, unknown words in sampled values."""
    copy = {k: v for k, v in payload.items() if (k, v) != ("meterValue", [])}
    for key, definition in schema(action)["properties"].items():
        if isinstance(copy.get(key), str):
            assert len(copy[key]) <= 255
            copy[key] = copy[key][: definition.get("maxLength", 255)]
    known = schema("MeterValues")["properties"]["meterValue"]["items"]["properties"]["sampledValue"]["items"][
        "properties"
    ]
    for key in ("meterValue", "transactionData"):
        if key in copy:
            copy[key] = [
                element
                | {
                    "sampledValue": [
                        {
                            k: v
                            for k, v in s.items()
                            if k not in ("measurand", "phase", "unit") or v in known[k]["enum"]
                        }
                        for s in element["sampledValue"]
                    ]
                }
                for element in copy[key]
            ]
    return copy


@given(action=st.sampled_from(sorted(NEVER_REFUSED)), payload=PAYLOADS)
def test_transactions_and_meter_values_always_come_out_usable(action, payload):
    normalised, _ = normalise(action, payload, NOW)
    checked = without_liberties(action, normalised)
    if action == "MeterValues" and "meterValue" not in checked:
        checked["meterValue"] = [{"timestamp": BEFORE, "sampledValue": [{"value": "1"}]}]
    validate_request(action, checked)


@given(action=st.sampled_from(sorted(CORE_ACTIONS_FROM_STATION)), payload=PAYLOADS)
def test_what_was_mended_once_needs_no_mending_again(action, payload):
    try:
        normalised, _ = normalise(action, payload, NOW)
    except SchemaViolation:
        return
    assert normalise(action, normalised, NOW)[0] == normalised


@given(action=st.sampled_from(["GetConfiguration", "Reset", "GetCompositeSchedule"]), payload=PAYLOADS)
def test_no_answer_makes_us_fail(action, payload):
    normalise_answer(action, payload)
