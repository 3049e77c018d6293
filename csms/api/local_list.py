"""The local authorisation list of one station."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel, Field

from csms.api.problems import responses
from csms.api.schemas import Body
from csms.api.tokens import ServicesHere, operator, viewer
from csms.errors import InvalidInput

router = APIRouter(prefix="/charge-points/{identity}/local-list", tags=["local list"])


class ListEntry(Body):
    """Only with `status` the other fields count; without it, what is stored of the tag is sent."""

    id_tag: str = Field(min_length=1, max_length=20)
    status: Literal["Accepted", "Blocked", "Expired", "Invalid", "ConcurrentTx"] | None = None
    parent_id_tag: str | None = Field(default=None, max_length=20)
    expires_at: AwareDatetime | None = None

    def id_tag_info(self) -> dict[str, Any]:
        if self.status is None:
            return {}
        info: dict[str, Any] = {"status": self.status}
        if self.expires_at is not None:
            info["expiryDate"] = self.expires_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        if self.parent_id_tag:
            info["parentIdTag"] = self.parent_id_tag
        return info


class LocalListBody(Body):
    entries: list[ListEntry] | Literal["all"] = Field(
        description='`"all"`: every id tag stored that may charge there; the list then follows their changes'
    )


class LocalListRecord(BaseModel):
    version: int | None = Field(description="0 = empty, −1 = the station has no list, null = not known")
    status: str | None = Field(
        description="of what was last sent: the station's word, or `Waiting` (for its connection),"
        " `Unanswered`, `TooLong`; `VersionMismatch` also: it holds a list that is not ours"
    )
    looked_after: bool = Field(description="whether it follows the id tags stored here")
    entries: dict[str, dict[str, Any]] = Field(description="what it holds: id tag → idTagInfo (OCPP)")
    updated_at: datetime | None


@router.get("", dependencies=[viewer], responses=responses(401, 404), summary="What the station holds")
async def get_local_list(identity: str, services: ServicesHere) -> LocalListRecord:
    return _record(await services.local_lists.of_station(identity))


@router.put(
    "",
    dependencies=[operator],
    responses=responses(401, 403, 404, 409, 422, 502, 504),
    summary="Send it a list",
    description="In parts where the station takes no more at once, and only what has changed where that"
    " suffices. `status` tells what became of it.",
)
async def put_local_list(identity: str, body: LocalListBody, services: ServicesHere) -> LocalListRecord:
    if body.entries == "all":
        return _record(await services.local_lists.put(identity, "all"))
    entries = {entry.id_tag: entry.id_tag_info() for entry in body.entries}
    if len({tag.lower() for tag in entries}) < len(body.entries):
        raise InvalidInput("entries", [entry.id_tag for entry in body.entries], "each id tag once")
    return _record(await services.local_lists.put(identity, entries))


def _record(row: dict[str, Any] | None) -> LocalListRecord:
    if row is None:
        return LocalListRecord(version=None, status=None, looked_after=False, entries={}, updated_at=None)
    return LocalListRecord.model_validate({**row, "looked_after": row["wanted"] is not None})
