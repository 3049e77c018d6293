"""Deviations in words that a person understands."""

from __future__ import annotations

import pytest

from csms.domain.quirk_words import in_words


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("MeterValues.meterValue.sampledValue.value: padded", "MeterValues: value padded with blanks"),
        (
            "MeterValues.meterValue.sampledValue.unit: 'Hz' for Hertz",
            "MeterValues: unit 'Hz' instead of Hertz",
        ),
        (
            "BootNotification.chargePointSerialNumber: longer than 25",
            "BootNotification: chargePointSerialNumber longer than 25 characters",
        ),
        (
            "StatusNotification.errorCode: 'Error' unknown",
            "StatusNotification: errorCode 'Error', which OCPP does not have",
        ),
        (
            "StartTransaction.timestamp: clock never set",
            "StartTransaction: timestamp from before the clock was set",
        ),
        ("Heartbeat.action 'heartbeat'", "Heartbeat: action 'heartbeat'"),
        ("Heartbeat.uptime: unknown property", "Heartbeat: uptime a field that OCPP does not have"),
        ("MeterValues.malformed JSON mended", "MeterValues: malformed JSON, mended"),
        (
            "Reset answer, status: 'accepted' for Accepted",
            "Answer to Reset: status 'accepted' instead of Accepted",
        ),
        ("ClearCache answer, code missing", "Answer to ClearCache: code missing"),
        ("frame: not JSON", "A frame that is no JSON"),
        ("frame: NotImplemented: NotifyReport", "NotifyReport refused: NotImplemented"),
        ("frame: the action is not text", "The action is not text"),
        ("other", "Further kinds, counted together"),
        ("something of an older version", "something of an older version"),
    ],
)
def test_a_kind_in_words(kind: str, words: str) -> None:
    assert in_words(kind) == words
