"""Who may charge: the decision on an idTag, from what is stored of it.

Source: OCPP 1.6 ed. 2, sections 4.1, 4.8 and 7.2 (AuthorizationStatus), CiString20Type.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

AuthorizationStatus = Literal["Accepted", "Blocked", "Expired", "Invalid", "ConcurrentTx"]
UnknownTags = Literal["accept", "reject"]
LONGEST_ON_THE_WIRE = 20


@dataclass(frozen=True, slots=True)
class IdTag:
    """max_transactions: how many may run at once; None = no limit, 0 = it may start none.

    charge_points: identities where it may charge; None = everywhere. min_a: its vehicle needs that much.
    """

    id_tag: str
    parent_id_tag: str | None = None
    blocked: bool = False
    expires_at: datetime | None = None
    max_transactions: int | None = None
    charge_points: tuple[str, ...] | None = None
    min_a: float | None = None

    def is_welcome_at(self, identity: str) -> bool:
        """Letter case of identities does not matter."""
        named = self.charge_points
        return named is None or identity.casefold() in (name.casefold() for name in named)


def same_tag(one: str, other: str) -> bool:
    """An idTag is a CiString: letter case does not distinguish."""
    return one.strip().lower() == other.strip().lower()


def possible_spellings(text: str) -> list[str]:
    """The tag as sent, in lower case, and what it may be without what some stations add to it.

    Seen: bytes of garbage after 20 characters, which is as long as a tag may be; "_" and the serial number of
    one of several stations behind one identity (KEBA).
    """
    tag = text.strip().lower()
    spellings = [tag, tag[:LONGEST_ON_THE_WIRE].rstrip()]
    if (with_serial := re.fullmatch(r"(.{4,})_(?a:\d{6,})", tag)) is not None:
        spellings.append(with_serial[1])
    return [*dict.fromkeys(spellings)]


def authorize(
    tag: IdTag | None,
    now: datetime,
    unknown_tags: UnknownTags,
    open_transactions: int | None = None,
    *,
    parent: IdTag | None = None,
    identity: str | None = None,
) -> dict[str, Any]:
    """The idTagInfo to answer.

    tag: None = no such tag is known. open_transactions: how many others run on it; None = does not
    matter, as for Authorize and StopTransaction. parent: what is stored of its parent tag; one that is
    blocked or expired takes its children along. identity: where it is used; a tag that may not charge
    there is Invalid, for OCPP has no better word.
    """
    if tag is None:
        return {"status": "Accepted" if unknown_tags == "accept" else "Invalid"}
    family = [tag] if parent is None else [tag, parent]
    info: dict[str, Any] = {"status": _status(tag, family, now, open_transactions, identity)}
    ends = [member.expires_at for member in family if member.expires_at is not None]
    if ends:
        info["expiryDate"] = min(ends).strftime("%Y-%m-%dT%H:%M:%SZ")
    if tag.parent_id_tag:
        info["parentIdTag"] = tag.parent_id_tag
    return info


def _status(
    tag: IdTag, family: list[IdTag], now: datetime, open_transactions: int | None, identity: str | None
) -> AuthorizationStatus:
    limit = tag.max_transactions
    if any(member.blocked for member in family) or limit == 0:
        return "Blocked"
    if any(member.expires_at is not None and member.expires_at <= now for member in family):
        return "Expired"
    if identity is not None and not tag.is_welcome_at(identity):
        return "Invalid"
    if limit is not None and open_transactions is not None and open_transactions >= limit:
        return "ConcurrentTx"
    return "Accepted"
