"""How limits reach a station: the way it takes them, what it refused, and how often it is written to."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from csms.api.problems import responses
from csms.api.tokens import ServicesHere, operator, viewer
from csms.domain.following import in_words
from csms.domain.profile_ladder import Failure

router = APIRouter(prefix="/charge-points", tags=["charge points"])


class FollowingNow(BaseModel):
    connector_id: int
    state: Literal["unknown", "following", "late", "not_following"]
    words: str | None = Field(description="in a sentence; null = nothing was measured since the last limit")
    takes_a: float | None = Field(description="the most on a phase [A]")
    phases_used: int | None = Field(description="of the wired ones; null = cannot be told")
    spikes: int = Field(description="how often it took more for a moment after a limit was set")
    delay_s: float = Field(description="the longest it took to follow a reduction [s]")
    overruled: str | None = Field(description="which profile of an operator had to make way for a fuse")


class LimitsNow(BaseModel):
    identity: str
    state: Literal["untried", "accepted", "follows", "not_controllable"]
    way: str | None = Field(description="how limits are written; null = no way is left")
    failed: dict[str, Failure] = Field(description="way -> how it failed")
    retry_at: datetime | None = Field(description="when a station that is not controllable is tried again")
    writes_today: int = Field(description="charging profiles it has accepted on this day (UTC)")
    max_writes_per_day: int | None
    held_back: str | None = Field(description="why the last change was not written")
    clock_behind_s: float = Field(description="how far its clock is behind ours, ahead: negative [s]")
    connectors: list[FollowingNow]


@router.get(
    "/{identity}/limits",
    dependencies=[viewer],
    responses=responses(401, 404),
    summary="How limits reach the station, and whether its connectors follow",
)
async def get_limits(identity: str, services: ServicesHere) -> LimitsNow:
    station, now = services.charge_points.station(identity), services.clock.now()
    status = services.limits.status(identity)
    connectors = [
        FollowingNow(
            connector_id=number,
            state=connector.following.state,
            words=in_words(connector.following, now),
            takes_a=connector.following.takes_a,
            phases_used=connector.following.phases_used,
            spikes=connector.following.spikes,
            delay_s=connector.following.delay_s,
            overruled=connector.overruled,
        )
        for number, connector in sorted(station.connectors.items())
        if number > 0
    ]
    return LimitsNow(
        identity=station.identity,
        state=status.state,
        way=status.rung,
        failed=status.failed,
        retry_at=status.retry_at,
        writes_today=status.writes_today,
        max_writes_per_day=status.max_writes_per_day,
        held_back=status.held_back,
        clock_behind_s=status.clock_behind_s,
        connectors=connectors,
    )


@router.post(
    "/{identity}/limits/forget",
    dependencies=[operator],
    responses=responses(401, 403, 404),
    status_code=204,
    summary="Forget what was learnt of the station and write limits in the first way again",
)
async def forget_limits(identity: str, services: ServicesHere) -> None:
    await services.setpoints.try_anew(identity)
