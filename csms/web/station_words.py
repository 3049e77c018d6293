"""What stations answer, in words for operators: their statuses and their refusals."""

from __future__ import annotations

import re

from csms.errors import CallFailed, CallTimeout, CsmsError, NotConnected

_ERROR_CODES = {
    "NotImplemented": "it does not know this request",
    "NotSupported": "it does not support this",
    "InternalError": "it has an internal error",
    "ProtocolError": "the request is incomplete to it",
    "SecurityError": "its security does not allow it",
    "FormationViolation": "it takes the request for malformed",
    "FormatViolation": "it takes the request for malformed",
    "PropertyConstraintViolation": "it does not take one of the values",
    "OccurenceConstraintViolation": "it misses a field, or has one too many",
    "OccurrenceConstraintViolation": "it misses a field, or has one too many",
    "TypeConstraintViolation": "it expects another kind of value",
    "GenericError": "it does not say why",
}
_RESERVE_ANSWERS = {
    "Faulted": "the connector is faulted",
    "Occupied": "the connector is occupied",
    "Rejected": "it takes no reservations, or not this one",
    "Unavailable": "the connector is out of service",
}
CONNECTOR_STATES = {
    "Available": "Free",
    "Preparing": "Plugged in",
    "SuspendedEV": "Paused by the vehicle",
    "SuspendedEVSE": "Paused by the station",
    "Unavailable": "Out of service",
}
RESERVATION_STATES = {
    "Asked": ("No answer", "waiting"),
    "Accepted": ("Stands", "on"),
    "Refused": ("Refused", "fault"),
    "Cancelled": ("Cancelled", "off"),
    "Used": ("Used", "off"),
    "Expired": ("Over", "off"),
}
LIST_STATES = {
    "Accepted": "Taken by the station",
    "Waiting": "Waits for the station: it is sent when the station is back",
    "Unanswered": "No answer: the station has the old list or the new one",
    "TooLong": "Not sent: the station holds fewer badges than there are",
    "Failed": "The station could not take it",
    "NotSupported": "The station keeps no list",
    "VersionMismatch": "The station has a list that was not sent from here, so what is in it is not known",
}
JOB_STATES = {
    "Asked": "On its way",
    "Accepted": "Taken on",
    "Unanswered": "No answer",
    "NothingToUpload": "Nothing to upload",
    "FileReceived": "File is here",
    "Uploaded": "Uploaded",
    "Canceled": "Gave way to another",
    "NoNews": "No news for a day",
    "BadMessage": "Request not understood",
    "NotSupportedOperation": "Not supported",
}
ISSUED_STATES = {
    "Sent": ("No answer", "waiting"),
    "Accepted": ("Holds", "on"),
    "Rejected": ("Not taken", "fault"),
    "Failed": ("Not delivered", "fault"),
    "Revoked": ("Revoked", "fault"),
}
STOP_REASONS = {
    "Local": "By the driver",  # also what it means that a station gives none
    "EVDisconnected": "Unplugged",
    "Remote": "By this server",
    "DeAuthorized": "Badge not accepted",
    "EmergencyStop": "Emergency stop",
    "PowerLoss": "Power failure",
    "HardReset": "Station restarted, at once",
    "SoftReset": "Station restarted",
    "Reboot": "Station restarted by itself",
    "UnlockCommand": "Connector unlocked",
    "Other": "For another reason",
}
CERTIFICATE_TYPES = {
    "CentralSystemRootCertificate": "Root of central systems",
    "ManufacturerRootCertificate": "Root of the maker",
}


def refusal_in_words(error: CsmsError) -> str:
    match error:
        case CallFailed(code=code, description=description):
            said = f"{code}: {description}" if description else code
            return f"the station refused: {error_code_in_words(code)} ({said})"
        case CallTimeout(identity=identity, action=action, timeout_s=timeout_s):
            asked = spaced(action).lower()
            return f"no answer of {identity} to “{asked}” within {timeout_s:g} s: it may have done it, or not"
        case NotConnected(identity=identity):
            return f"{identity} is not connected: nothing was asked of it"
    return str(error)


def stop_in_words(reason: str | None, note: str | None = None) -> str:
    """How a session ended. reason: OCPP's; None = the station gave none. note: of who closed it by hand."""
    if reason == "Lost":
        told = "the station never told its end"
        return f"closed by {note}" if note else told
    return STOP_REASONS.get(reason or "Local") or spaced(str(reason))


def error_code_in_words(code: str) -> str:
    return _ERROR_CODES.get(code, "it does not say why")


def reservation_answer(answer: str | None) -> str:
    """Of a refused one: a status, or the code of a CALLERROR."""
    if answer is None:
        return ""
    return _RESERVE_ANSWERS.get(answer) or f"{error_code_in_words(answer)} ({answer})"


def spaced(word: str) -> str:
    """ "TamperDetectionActivated": "Tamper detection activated"; OCPP's words are made of words."""
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z][a-z0-9]*|[a-z0-9]+|[^A-Za-z0-9\s]+", word) or [word]
    told = [part if part.isupper() and len(part) > 1 else part.lower() for part in parts]
    text = " ".join(told)
    return text[:1].upper() + text[1:]


def job_state(status: str) -> tuple[str, str]:
    """(words, colour): also of what stations make up themselves."""
    words = JOB_STATES.get(status) or spaced(status)
    if status in ("Installed", "Uploaded", "FileReceived"):
        return words, "on"
    if status in ("NothingToUpload", "Canceled"):
        return words, "off"
    is_bad = "Fail" in status or status in _BAD_ENDS
    return words, "fault" if is_bad else "waiting"


_BAD_ENDS = frozenset(
    {
        "Refused",
        "Rejected",
        "Unanswered",
        "NoNews",
        "BadMessage",
        "NotSupportedOperation",
        "PermissionDenied",
        "InvalidSignature",
        "InvalidCertificate",
        "RevokedCertificate",
    }
)
