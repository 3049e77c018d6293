"""The faults that cross a package border inside csms.

CsmsError
├── NotFound               no such site, charge point, transaction …            (HTTP 404)
├── InvalidInput           names field, value and what was expected             (HTTP 422)
├── TooLarge               a file over its limit                                (HTTP 413)
├── NoSpace                the disk is full                                     (HTTP 507)
├── AlreadyRunning         what may run once at a time                          (HTTP 409)
├── NotPossible            what the state of things does not allow              (HTTP 409)
├── NotConnected           the charge point has no open connection              (HTTP 409)
├── CallFailed             the charge point answered with a CALLERROR           (HTTP 502)
├── CallTimeout            the charge point did not answer in time              (HTTP 504)
└── StartupError           the server cannot start: one clear line, exit code 1
"""

from __future__ import annotations

from typing import Any


class CsmsError(Exception):
    pass


class NotFound(CsmsError):
    def __init__(self, kind: str, id: str) -> None:
        super().__init__(f"{kind} {id!r} does not exist")
        self.kind, self.id = kind, id


class InvalidInput(CsmsError):
    """field: dotted path, e.g. "csChargingProfiles.chargingSchedule.duration"."""

    def __init__(self, field: str, value: Any, expected: str) -> None:
        super().__init__(f"{field}: {value!r} given, {expected} expected")
        self.field, self.value, self.expected = field, value, expected


class TooLarge(CsmsError):
    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"at most {limit_bytes} bytes are taken")
        self.limit_bytes = limit_bytes


class NoSpace(CsmsError):
    def __init__(self) -> None:
        super().__init__("the disk is full: nothing was stored")


class AlreadyRunning(CsmsError):
    def __init__(self, what: str) -> None:
        super().__init__(f"{what} is running already")


class NotPossible(CsmsError):
    """The message says what stands in the way, and what to do instead."""


class NotConnected(CsmsError):
    def __init__(self, identity: str) -> None:
        super().__init__(f"charge point {identity!r} is not connected")
        self.identity = identity


class CallFailed(CsmsError):
    """code: an OCPP-J error code; description and details as the charge point sent them."""

    def __init__(self, code: str, description: str = "", details: Any = None) -> None:
        super().__init__(f"{code}: {description}" if description else code)
        self.code, self.description, self.details = code, description, details or {}


class CallTimeout(CsmsError):
    def __init__(self, identity: str, action: str, timeout_s: float) -> None:
        super().__init__(f"charge point {identity!r} did not answer {action} within {timeout_s:g} s")
        self.identity, self.action, self.timeout_s = identity, action, timeout_s


class StartupError(CsmsError):
    pass
