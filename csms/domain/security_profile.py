"""The security profiles: which means of connecting each asks for.

0 nothing, 1 Basic authentication, 2 Basic authentication over TLS, 3 a client certificate over TLS. A station
connects by its own profile's means only; one that is being moved up may use both until it first succeeds on
the new one. Source: OCPP 1.6 security whitepaper, section 3 and A05.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PROFILES = (0, 1, 2, 3)


@dataclass(frozen=True, slots=True)
class Means:
    """How a station comes.

    password: was the one it sent right? None = it sent none. "unset" = it sent one, but it is not known which
    it has. certificate_problem: why its client certificate is not taken; None = it is.
    """

    is_tls: bool
    password: Literal["right", "wrong", "unset"] | None = None
    certificate_problem: str | None = "no client certificate was sent"


@dataclass(frozen=True, slots=True)
class Refused:
    """needs_password: it may try again with credentials (401), else it came by the wrong means (403)."""

    reason: str
    needs_password: bool


def refusal(profile: int, means: Means) -> Refused | None:
    """Why a station of this profile may not connect by these means; None = it may.

    The transport is looked at first: whoever comes by the wrong one learns nothing about the password.
    """
    match profile:
        case 0:
            return _wrong_password(means) if means.password == "wrong" else None
        case 1:
            if means.is_tls:
                return Refused("its security profile 1 asks for ws, it came over TLS", needs_password=False)
        case _:
            if not means.is_tls:
                return Refused(f"its security profile {profile} asks for TLS", needs_password=False)
    if profile == 3:
        problem = means.certificate_problem
        return None if problem is None else Refused(problem, needs_password=False)
    return None if means.password == "right" else _wrong_password(means)


def profile_used(profile: int, pending: int | None, means: Means) -> int | Refused:
    """The profile by which it is let in: the pending one wherever its means fit, else its present one."""
    if pending is not None and refusal(pending, means) is None:
        return pending
    refused = refusal(profile, means)
    return profile if refused is None else refused


def _wrong_password(means: Means) -> Refused:
    match means.password:
        case None:
            reason = "no password was sent"
        case "unset":
            reason = "it sent a password, but none that is known here"
        case _:
            reason = "wrong user name or password"
    return Refused(reason, needs_password=True)
