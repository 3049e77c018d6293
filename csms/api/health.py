"""For the machines that watch the server: is the process alive, can it do its work, how is it doing."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from sqlalchemy.exc import SQLAlchemyError

from csms.api.metrics import ServicesCollector
from csms.api.problems import problem, responses
from csms.api.schemas import Health
from csms.api.tokens import ServicesHere
from csms.errors import CsmsError
from csms.services.bundle import Services

router = APIRouter(tags=["health"])

INTERVALS_TO_BE_LATE = 3


@router.get("/healthz", summary="The process answers")
async def get_health(services: ServicesHere) -> Health:
    return Health(status="ok", version=services.version)


@router.get("/readyz", summary="Database, migrations and control loops are well", responses=responses(503))
async def get_readiness(request: Request, services: ServicesHere) -> Response:
    reasons = await database_faults(services) + late_loops(
        services, request.app.state.created_at, services.clock.now()
    )
    if reasons:
        return problem(503, "; ".join(reasons), reasons=reasons)
    return JSONResponse({"status": "ok", "version": services.version})


async def database_faults(services: Services) -> list[str]:
    try:
        await services.database.check()
    except (CsmsError, SQLAlchemyError, OSError) as error:
        return [f"database: {error}"]
    return []


def late_loops(services: Services, created_at: datetime, now: datetime) -> list[str]:
    """Sites without a decision for three intervals; a fresh server is given that long for its first one."""
    late = []
    for site in services.sites.all():
        snapshot = services.live.get(site.site.id)
        age_s = (now - (snapshot.at if snapshot else created_at)).total_seconds()
        if age_s > INTERVALS_TO_BE_LATE * site.site.control_interval_s:
            what = "last decision" if snapshot else "no decision"
            late.append(f"site {site.site.id}: {what} for {age_s:.0f} s")
    return late


@router.get("/metrics", summary="Prometheus metrics", response_class=Response)
async def get_metrics(services: ServicesHere) -> Response:
    registry = CollectorRegistry()
    registry.register(ServicesCollector(services))
    return Response(generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})
