"""Reservations of one station's connectors."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, Field, model_validator

from csms.api.problems import responses
from csms.api.schemas import Body
from csms.api.tokens import ServicesHere, operator, viewer

router = APIRouter(prefix="/charge-points/{identity}/reservations", tags=["reservations"])

REFUSALS = (401, 403, 404, 409, 422, 502, 504)
YEAR_S = 366 * 86_400


class ReservationRecord(BaseModel):
    reservation_id: int
    connector_id: int = Field(description="0 = any")
    id_tag: str
    parent_id_tag: str | None = Field(description="its group, which may use it, too")
    expires_at: datetime
    status: Literal["Asked", "Accepted", "Refused", "Cancelled", "Used", "Expired"] = Field(
        description="`Asked`: no answer (yet), it may stand or not"
    )
    answer: str | None = Field(description="the station's last word on it, or the code of its CALLERROR")
    transaction_id: int | None = Field(description="that used it")
    created_at: datetime
    ended_at: datetime | None


class ReservationBody(Body):
    connector_id: int = Field(ge=0, description="0 = any, where the station can do so")
    id_tag: str = Field(min_length=1, max_length=20)
    expires_at: AwareDatetime | None = None
    expires_in_s: int | None = Field(default=None, gt=0, le=YEAR_S)

    @model_validator(mode="after")
    def _ends(self) -> ReservationBody:
        if (self.expires_at is None) == (self.expires_in_s is None):
            raise ValueError("either `expires_at` or `expires_in_s` is needed")
        return self


@router.get("", dependencies=[viewer], responses=responses(401, 404, 422), summary="All, newest first")
async def list_reservations(
    identity: str, services: ServicesHere, limit: Annotated[int, Query(ge=1, le=1000)] = 100
) -> list[ReservationRecord]:
    rows = await services.reservations.of_station(identity, limit)
    return [ReservationRecord.model_validate(row) for row in rows]


@router.post(
    "",
    dependencies=[operator],
    responses=responses(*REFUSALS),
    status_code=201,
    summary="Reserve a connector for an id tag and its group",
    description="`status` tells whether the station has taken it.",
)
async def reserve(identity: str, body: ReservationBody, services: ServicesHere) -> ReservationRecord:
    expires_at = body.expires_at or services.clock.now() + timedelta(seconds=body.expires_in_s or 0)
    row = await services.reservations.reserve(identity, body.connector_id, body.id_tag, expires_at)
    return ReservationRecord.model_validate(row)


@router.delete(
    "/{reservation_id}",
    dependencies=[operator],
    responses=responses(*REFUSALS),
    summary="Cancel a reservation",
    description="`status` tells whether the station has let go of it; `answer` is what it said.",
)
async def cancel(identity: str, reservation_id: int, services: ServicesHere) -> ReservationRecord:
    return ReservationRecord.model_validate(await services.reservations.cancel(identity, reservation_id))
