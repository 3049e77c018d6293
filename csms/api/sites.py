"""Sites: their description, what happens now, what was measured and decided, and how each load is run."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from csms.api.problems import responses
from csms.api.schemas import (
    TIME_HINT,
    ApplianceModeBody,
    ConnectorModeBody,
    QueryTime,
    TargetBody,
    period,
)
from csms.api.tokens import ServicesHere, admin, operator, viewer
from csms.domain.site import SiteConfig
from csms.domain.snapshot import SiteSnapshot
from csms.errors import InvalidInput, NotFound

router = APIRouter()

HISTORY_POINTS_LIMIT = 3000  # a week by 5 minutes, a month by quarters of an hour
READ_ERRORS = responses(401, 403, 404)
PERIOD_ERRORS = responses(401, 403, 404, 422)

From = Annotated[QueryTime | None, Query(alias="from", description=f"start of the span, {TIME_HINT}")]
To = Annotated[QueryTime | None, Query(alias="to", description=f"end of the span (now), {TIME_HINT}")]


@router.get(
    "/sites",
    tags=["sites"],
    dependencies=[viewer],
    responses=responses(401),
    response_model_exclude_none=True,
    summary="All sites",
)
async def list_sites(services: ServicesHere) -> list[SiteConfig]:
    return services.sites.all()


@router.get(
    "/sites/{site_id}",
    tags=["sites"],
    dependencies=[viewer],
    responses=READ_ERRORS,
    response_model_exclude_none=True,
    summary="One site with all its parts",
)
async def get_site(site_id: str, services: ServicesHere) -> SiteConfig:
    return services.sites.get(site_id)


@router.put(
    "/sites/{site_id}",
    tags=["sites"],
    dependencies=[admin],
    responses=responses(401, 403, 422),
    response_model_exclude_none=True,
    summary="Replace a site, or add it (201)",
    description="The keys are those of the site file. A description with any fault is refused whole, "
    "with one entry in `errors` for each fault. Modes set by hand are kept for loads that still exist.",
)
async def put_site(site_id: str, site: SiteConfig, services: ServicesHere, response: Response) -> SiteConfig:
    if site.site.id != site_id:
        raise InvalidInput("site.id", site.site.id, f"the id in the path ({site_id})")
    known = any(s.site.id == site_id for s in services.sites.all())
    await services.sites.apply(site)
    response.status_code = 200 if known else 201
    return site


@router.delete(
    "/sites/{site_id}",
    tags=["sites"],
    dependencies=[admin],
    responses=READ_ERRORS,
    status_code=204,
    summary="Remove a site; what was measured there is kept",
)
async def delete_site(site_id: str, services: ServicesHere) -> None:
    await services.sites.remove(site_id)


@router.get(
    "/sites/{site_id}/live",
    tags=["what happens"],
    dependencies=[viewer],
    responses=READ_ERRORS,
    summary="The latest minute: powers, every load with its reason, every device",
    description="Powers in W: + is drawn or consumed, − is exported or produced.",
)
async def get_live(site_id: str, services: ServicesHere) -> SiteSnapshot:
    services.sites.get(site_id)
    snapshot = services.live.get(site_id)
    if snapshot is None:
        raise NotFound("a decision for site", site_id)
    return snapshot


@router.get(
    "/sites/{site_id}/history",
    tags=["what happens"],
    dependencies=[viewer],
    responses=PERIOD_ERRORS,
    summary="Mean powers per step (by default of the last 24 hours)",
)
async def get_history(
    site_id: str,
    services: ServicesHere,
    start: From = None,
    end: To = None,
    step: Annotated[int, Query(ge=60, le=86_400, description="length of a step [s]")] = 300,
) -> list[dict[str, Any]]:
    services.sites.get(site_id)
    since, until = period(start, end, services.clock.now(), timedelta(days=1))
    if (until - since).total_seconds() / step > HISTORY_POINTS_LIMIT:
        fitting = f"a step that makes at most {HISTORY_POINTS_LIMIT} points of the time from `from` to `to`"
        raise InvalidInput("step", step, fitting)
    return await services.reporting.history(site_id, since, until, step)


@router.get(
    "/sites/{site_id}/decisions",
    tags=["what happens"],
    dependencies=[viewer],
    responses=PERIOD_ERRORS,
    summary="What the controller saw and decided, minute by minute (by default the last hour)",
)
async def get_decisions(
    site_id: str,
    services: ServicesHere,
    start: From = None,
    end: To = None,
    limit: Annotated[int, Query(ge=1, le=1440)] = 60,
) -> list[dict[str, Any]]:
    services.sites.get(site_id)
    since, until = period(start, end, services.clock.now(), timedelta(hours=1))
    return await services.reporting.decisions(site_id, since, until, limit)


@router.put(
    "/appliances/{appliance_id}/mode",
    tags=["modes"],
    dependencies=[operator],
    responses=PERIOD_ERRORS,
    status_code=204,
    summary="Run an appliance in this mode from now on",
)
async def put_appliance_mode(
    appliance_id: str,
    body: ApplianceModeBody,
    services: ServicesHere,
    site: Annotated[str | None, Query(description="needed only if several sites use the id")] = None,
) -> None:
    await services.sites.set_appliance_mode(appliance_id, body.mode, body.steps_on, site)


@router.put(
    "/charge-points/{identity}/connectors/{connector_id}/mode",
    tags=["modes"],
    dependencies=[operator],
    responses=PERIOD_ERRORS,
    status_code=204,
    summary="Run a connector in this mode from now on",
)
async def put_connector_mode(
    identity: str, connector_id: int, body: ConnectorModeBody, services: ServicesHere
) -> None:
    until_unplugged = body.until == "unplugged"
    await services.sites.set_connector_mode(
        identity, connector_id, body.mode, body.current_a, until_unplugged
    )


@router.get(
    "/charge-points/{identity}/connectors/{connector_id}/target",
    tags=["modes"],
    dependencies=[viewer],
    responses=READ_ERRORS,
    summary="What the driver told: when the vehicle leaves, and what it needs by then",
)
async def get_connector_target(identity: str, connector_id: int, services: ServicesHere) -> TargetBody:
    wish = services.sites.target(identity, connector_id)
    requested_kwh = None if wish.requested_wh is None else wish.requested_wh / 1000
    return TargetBody(departs_at=wish.departs_at, requested_kwh=requested_kwh)


@router.put(
    "/charge-points/{identity}/connectors/{connector_id}/target",
    tags=["modes"],
    dependencies=[operator],
    responses=PERIOD_ERRORS,
    status_code=204,
    summary="Have a vehicle ready by a time",
    description="For the vehicle that is plugged in, or else the next one; forgotten when it is unplugged. "
    "The sun comes first, what it leaves missing is drawn at the latest sensible time. Without "
    "`requested_kwh` or without `departs_at` nothing is drawn for it. What is left out or null is cleared.",
)
async def put_connector_target(
    identity: str, connector_id: int, body: TargetBody, services: ServicesHere
) -> None:
    await services.sites.set_target(identity, connector_id, body.departs_at, body.requested_kwh)
