"""The words of OCPP 1.6 as stations spell them, and what stands in for what they leave out. Tables."""

from __future__ import annotations

import re
from typing import Any

from csms.domain.charge_point import UNKNOWN_REGISTER_WH

UNKNOWN_TRANSACTION = -1  # what a station sends that never learnt its transactionId (OCPP 1.6 errata)

# What a field becomes that is missing and cannot be.
DEFAULTS: dict[str, dict[str, Any]] = {
    "Authorize": {"idTag": ""},
    "BootNotification": {"chargePointVendor": "unknown", "chargePointModel": "unknown"},
    "DataTransfer": {"vendorId": ""},
    "MeterValues": {"connectorId": 1, "meterValue": []},
    "StartTransaction": {"connectorId": 1, "idTag": "", "meterStart": UNKNOWN_REGISTER_WH},
    "StatusNotification": {"errorCode": "NoError"},
    "StopTransaction": {"transactionId": UNKNOWN_TRANSACTION, "meterStop": UNKNOWN_REGISTER_WH},
    "GetConfigurationResponse": {"configurationKey.readonly": False},
}

# Unknown enum value -> what it becomes, and the field that keeps the original.
NEUTRAL: dict[tuple[str, str], tuple[str, str | None]] = {
    ("StatusNotification", "errorCode"): ("OtherError", "vendorErrorCode"),
    ("StatusNotification", "status"): ("Unavailable", "info"),
    ("StopTransaction", "reason"): ("Other", None),
}

# Values that stand for others, by field and `key`.
ALIASES: dict[str, dict[str, str]] = {
    "unit": {
        "hz": "Hertz",
        "°c": "Celsius",
        "c": "Celsius",
        "degc": "Celsius",
        "f": "Fahrenheit",
        "kelvin": "K",
        "%": "Percent",
        "amp": "A",
        "amps": "A",
        "ampere": "A",
        "amperes": "A",
        "volt": "V",
        "volts": "V",
        "watt": "W",
        "watts": "W",
        "kilowatt": "kW",
        "watthour": "Wh",
        "watthours": "Wh",
        "kilowatthour": "kWh",
        "kilowatthours": "kWh",
    },
    "phase": {
        "r": "L1",
        "s": "L2",
        "t": "L3",
        "l2l1": "L1-L2",
        "l3l2": "L2-L3",
        "l1l3": "L3-L1",
    },
    "status": {
        "occupied": "Preparing",
        "idle": "Available",
        "suspended": "SuspendedEVSE",
        "uploadfailure": "UploadFailed",
        "uploadfailed": "UploadFailure",
    },
    "reason": {"evdisconnect": "EVDisconnected", "unlock": "UnlockCommand", "poweroff": "PowerLoss"},
}
MISSPELT_IN_THE_SCHEMA = {"Celcius": "Celsius"}  # both pass
FIELD_ALIASES = {"metervalues": "meterValue", "sampledvalues": "sampledValue"}


def key(text: str) -> str:
    """What is left of a word when case, blanks, dots, dashes and underscores do not count."""
    return re.sub(r"[\s._-]", "", text).casefold()
