"""The HTTP application: routes, errors as problems, and an OpenAPI document that tells all of it."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, FastAPI, HTTPException, Request
from fastapi.openapi.utils import get_openapi
from starlette.routing import BaseRoute, Match, Mount

from csms.api import (
    access,
    charge_points,
    events,
    files,
    health,
    id_tags,
    jobs,
    limits,
    local_list,
    reservations,
    security,
    site_check,
    site_parts,
    sites,
    transactions,
)
from csms.api.problems import BodyLimit, Problem, handle_problems
from csms.services.bundle import Services

DESCRIPTION = """OCPP 1.6 central system that makes charging stations and relay appliances follow a
building's photovoltaic surplus.

Powers are signed: + is drawn from the grid or consumed, − is exported or produced. Times are aware; a time
without an offset is refused. Every refusal is a problem (`application/problem+json`) naming the fields at
fault. Roles: *viewer* reads, *operator* also sets modes and commands stations, *admin* does everything."""

OPENAPI_URL = "/api/v1/openapi.json"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
BODY_LIMIT_BYTES = 4 * 1024 * 1024


def _routes() -> list[BaseRoute]:
    api = APIRouter(prefix="/api/v1")
    of_stations = (charge_points, limits, security, reservations, local_list, jobs)
    for part in (sites, site_parts, site_check, *of_stations, files, id_tags, transactions, events, access):
        api.include_router(part.router)
    return [*api.routes, *files.stations_router.routes, *health.router.routes]


# Shared by all applications of a process: what each route takes is worked out once, and including the whole
# in an application would have it worked out twice more.
ROUTES = _routes()


def create_api(services: Services) -> FastAPI:
    """The application that also carries the web page. Its interactive documentation pages would need the
    internet, so they are left out."""
    app = FastAPI(
        routes=[*ROUTES],
        title="Helianthus",
        version=services.version,
        description=DESCRIPTION,
        openapi_url=OPENAPI_URL,
        docs_url=None,
        redoc_url=None,
    )
    app.add_middleware(BodyLimit, limit_bytes=BODY_LIMIT_BYTES, own_limits=files.OWN_LIMITS)
    app.state.services = services
    app.state.created_at = services.clock.now()
    app.add_api_route("/api/{path:path}", _nothing_here, methods=list(METHODS), include_in_schema=False)
    handle_problems(app)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


async def _nothing_here(request: Request) -> None:
    """Unknown paths of the API; without it they would reach the web page's "not found"."""
    routes = [
        route
        for route in request.app.router.routes
        if not isinstance(route, Mount) and getattr(route, "endpoint", None) is not _nothing_here
    ]
    allowed = [
        method
        for method in METHODS
        for route in routes
        if route.matches({**request.scope, "method": method})[0] is Match.FULL
    ]
    if allowed:
        raise HTTPException(405, headers={"Allow": ", ".join(allowed)})
    raise HTTPException(404)


def _openapi(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(problem.pop("$defs", {}))
        schemas["Problem"] = problem
        app.openapi_schema = document
    return app.openapi_schema
