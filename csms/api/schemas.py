"""What the API takes and gives where the domain has no record of its own."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from csms.api.problems import A_TIME
from csms.domain.site import ApplianceMode, ConnectorMode
from csms.domain.site_fields import Amps
from csms.errors import InvalidInput


def _as_time(value: Any) -> Any:
    """In a query an unescaped "+02:00" arrives as " 02:00". A mere number would be seconds since 1970."""
    if isinstance(value, str) and re.fullmatch(r"-?[\d.]+", value):
        raise ValueError(A_TIME)
    return re.sub(r" (?=\d\d:?\d\d$)", "+", value) if isinstance(value, str) else value


QueryTime = Annotated[AwareDatetime, BeforeValidator(_as_time)]

TIME_HINT = "with its offset, e.g. `2026-06-01T00:00:00Z`"


def period(
    start: datetime | None, end: datetime | None, now: datetime, default: timedelta
) -> tuple[datetime, datetime]:
    """The asked span; by default the last `default` before `end`, and `end` is now.

    Raises:
        InvalidInput: the span is empty.
    """
    end = end or now
    start = start or end - default
    if start >= end:
        raise InvalidInput("from", start.isoformat(), f"a time before `to` ({end.isoformat()})")
    return start, end


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class ApplianceModeBody(Body):
    mode: ApplianceMode
    steps_on: list[str] | None = Field(
        default=None, description='for mode `manual`: the steps to be closed, e.g. `["1", "3"]`'
    )


class ConnectorModeBody(Body):
    mode: ConnectorMode
    current_a: Amps | None = Field(
        default=None, description="for mode `manual`: 0, or at least the connector's minimum. [A]"
    )
    until: Literal["unplugged"] | None = Field(
        default=None,
        description="`unplugged`: for the vehicle that is there, or the next one; null = for good",
    )


class TargetBody(Body):
    departs_at: AwareDatetime | None = Field(default=None, description=f"when it leaves, {TIME_HINT}")
    requested_kwh: float | None = Field(
        default=None, gt=0, le=1000, description="what it is to have got by then, counted from plug-in [kWh]"
    )


class IdTagBody(Body):
    name: str | None = Field(default=None, max_length=200)
    parent_id_tag: str | None = Field(default=None, max_length=64)
    blocked: bool = False
    expires_at: AwareDatetime | None = None
    max_transactions: int | None = Field(
        default=None, ge=0, description="at once; null = no limit, 0 = it may start none"
    )
    charge_points: list[Annotated[str, Field(min_length=1, max_length=255)]] | None = Field(
        default=None, description="identities where it may charge; null = everywhere"
    )
    min_a: float | None = Field(
        default=None, ge=6, le=80, description="its vehicle needs at least this much [A per phase]"
    )


class TokenBody(Body):
    name: str = Field(min_length=1, max_length=200, description="who or what uses it")
    role: Literal["admin", "operator", "viewer"]


class NewToken(BaseModel):
    token: str = Field(description="shown once, here; only its hash is kept")


class Health(BaseModel):
    status: Literal["ok"]
    version: str
