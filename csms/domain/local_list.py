"""A station's local authorisation list: what must be sent so that it holds what it should. Pure.

Id tags are compared without regard to letter case (CiString).

Source: OCPP 1.6 ed. 2, 3.5.2, 5.15 and 9.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

IdTagInfo = dict[str, Any]
Entries = dict[str, IdTagInfo]  # idTag -> idTagInfo
Entry = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ListUpdate:
    """One SendLocalList request. entries: as on the wire."""

    version: int
    type: Literal["Full", "Differential"]
    entries: list[Entry]

    def request(self) -> dict[str, Any]:
        """A Full update without entries empties the list."""
        return {
            "listVersion": self.version,
            "updateType": self.type,
            "localAuthorizationList": self.entries,
        }


def full_updates(wanted: Entries, last_version: int, most_at_once: int | None) -> list[ListUpdate]:
    """The whole list: one Full update, then Differential ones for what it has no room for.

    last_version: the highest that was used. most_at_once: SendLocalListMaxLength; None = not known.
    """
    entries = [{"idTag": tag, "idTagInfo": info} for tag, info in wanted.items()]
    size = max(1, most_at_once or len(entries) or 1)
    parts = [entries[at : at + size] for at in range(0, len(entries), size)] or [[]]
    version = max(last_version, 0)
    return [
        ListUpdate(version + n, "Full" if n == 1 else "Differential", part)
        for n, part in enumerate(parts, start=1)
    ]


def differential_update(
    held: Entries, wanted: Entries, last_version: int, most_at_once: int | None
) -> ListUpdate | None:
    """What turns the one into the other, if it fits into one message; None = send the whole list.

    held: what a station at `last_version` holds.
    """
    entries = difference(held, wanted)
    if last_version < 1 or len(entries) > (most_at_once or len(entries)):
        return None
    return ListUpdate(last_version + 1, "Differential", entries)


def difference(held: Entries, wanted: Entries) -> list[Entry]:
    """Changed and new tags with their idTagInfo, then those to be removed without."""
    before = {tag.lower(): info for tag, info in held.items()}
    after = {tag.lower() for tag in wanted}
    changed: list[Entry] = [
        {"idTag": tag, "idTagInfo": info} for tag, info in wanted.items() if before.get(tag.lower()) != info
    ]
    return changed + [{"idTag": tag} for tag in held if tag.lower() not in after]


def applied(held: Entries, request: Mapping[str, Any]) -> Entries:
    """What a station holds once it has accepted the SendLocalList request."""
    sent: list[Entry] = request.get("localAuthorizationList") or []
    if request["updateType"] == "Full":
        return {entry["idTag"]: entry.get("idTagInfo", {}) for entry in sent}
    changed = {entry["idTag"].lower() for entry in sent}
    kept = {tag: info for tag, info in held.items() if tag.lower() not in changed}
    return kept | {entry["idTag"]: entry["idTagInfo"] for entry in sent if entry.get("idTagInfo")}
