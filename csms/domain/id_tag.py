"""Who may charge: the decision on an idTag, from what is stored of it.

Source: OCPP 1.6 ed. 2, sections 4.1, 4.8 and 7.2 (AuthorizationStatus), CiString20Type.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

AuthorizationStatus = Literal["Accepted", "Blocked", "Expired", "Invalid", "ConcurrentTx"]
UnknownTags = Literal["accept", "reject"]


@dataclass(frozen=True, slots=True)
class IdTag:
    """max_transactions: how many may run at once; None = no limit."""

    id_tag: str
    parent_id_tag: str | None = None
    blocked: bool = False
    expires_at: datetime | None = None
    max_transactions: int | None = None


def same_tag(one: str, other: str) -> bool:
    """An idTag is a CiString: letter case does not distinguish."""
    return one.strip().lower() == other.strip().lower()


def authorize(
    tag: IdTag | None,
    now: datetime,
    unknown_tags: UnknownTags,
    open_transactions: int | None = None,
) -> dict[str, Any]:
    """The idTagInfo to answer.

    tag: None = no such tag is known. open_transactions: how many others run on it; None = does not
    matter, as for Authorize and StopTransaction.
    """
    if tag is None:
        return {"status": "Accepted" if unknown_tags == "accept" else "Invalid"}
    info: dict[str, Any] = {"status": _status(tag, now, open_transactions)}
    if tag.expires_at is not None:
        info["expiryDate"] = tag.expires_at.strftime("%Y-%m-%dT%H:%M:%SZ")
    if tag.parent_id_tag:
        info["parentIdTag"] = tag.parent_id_tag
    return info


def _status(tag: IdTag, now: datetime, open_transactions: int | None) -> AuthorizationStatus:
    if tag.blocked:
        return "Blocked"
    if tag.expires_at is not None and tag.expires_at <= now:
        return "Expired"
    limit = tag.max_transactions
    if limit is not None and open_transactions is not None and open_transactions >= limit:
        return "ConcurrentTx"
    return "Accepted"
