"""Firmware updates and log uploads: which statuses there are, and which of them are an end. Pure.

Besides the statuses that stations report there are ours: Asked (on its way), Accepted, Refused (by the
station, also with a CALLERROR), Unanswered (outcome unknown), NothingToUpload, FileReceived, Canceled
(another took its place) and NoNews (nothing heard for too long).

Source: OCPP 1.6 ed. 2, 7.24 and 7.25; Improved security for OCPP 1.6-J ed. 3, 6.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Literal

from csms.domain.normalise import parse_time

FIRMWARE_ACTIONS = frozenset({"UpdateFirmware", "SignedUpdateFirmware"})
LOG_ACTIONS = frozenset({"GetDiagnostics", "GetLog"})
NO_NEWS_AFTER = timedelta(hours=24)

_SUCCESSES = frozenset({"Installed", "Uploaded"})
# A station that was told to retry goes on after these; others of them were our guess.
MAY_GO_ON = frozenset(
    {
        "DownloadFailed",
        "InstallationFailed",
        "InstallVerificationFailed",
        "InvalidSignature",
        "UploadFailed",
        "UploadFailure",
        "BadMessage",
        "NotSupportedOperation",
        "PermissionDenied",
        "NothingToUpload",
        "FileReceived",
        "NoNews",
    }
)
_REFUSALS = frozenset({"Refused", "Rejected", "InvalidCertificate", "RevokedCertificate", "Canceled"})
Direction = Literal["fetch", "leave"]


def ends_job(status: str) -> bool:
    return status in _SUCCESSES or status in MAY_GO_ON or status in _REFUSALS


def status_of_answer(action: str, answer: dict[str, Any]) -> str:
    """The job's status after the station's answer. UpdateFirmware is answered with nothing at all."""
    if action == "GetDiagnostics":
        return "Accepted" if answer.get("fileName") else "NothingToUpload"
    status = answer.get("status")
    if action == "UpdateFirmware" or status == "AcceptedCanceled":
        return "Accepted"
    return status if isinstance(status, str) and status else "Unanswered"


def is_without_news(job: dict[str, Any], now: datetime) -> bool:
    """Nothing heard for a day since it was asked for, and since it was to begin."""
    request = job["request"]
    firmware = request.get("firmware") or {}
    planned = (request.get("retrieveDate"), firmware.get("retrieveDateTime"), firmware.get("installDateTime"))
    moments = [parse_time(text) for text in planned if text]
    news_at: datetime = max([job["updated_at"], *(at for at in moments if at is not None)])
    return now - news_at >= NO_NEWS_AFTER
