"""The check of a site's devices and wiring: start it, follow it, read the record."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

from fastapi import APIRouter, Depends
from fastapi.responses import HTMLResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel, Field

from csms.api.problems import responses
from csms.api.schemas import Body
from csms.api.tokens import ServicesHere, operator, viewer
from csms.domain.check_report import report_to_dict, report_to_html
from csms.errors import NotFound
from csms.services.site_checks import SiteCheckState, State

router = APIRouter(tags=["site check"])

READ_ERRORS = responses(401, 403, 404)


class CheckBody(Body):
    switching: bool = Field(
        default=True, description="false: only read devices; directions, phases and relays stay unchecked"
    )


class CheckShown(BaseModel):
    id: str
    site_id: str
    state: State
    switching: bool
    started_at: datetime
    done: int = Field(description="steps, of `total`")
    total: int
    doing: str
    problem: str | None = None
    report: dict[str, Any] | None = Field(default=None, description="when it is done: what was found")


def _shown(state: SiteCheckState) -> CheckShown:
    return CheckShown(
        id=state.id,
        site_id=state.site_id,
        state=state.state,
        switching=state.switching,
        started_at=state.started_at,
        done=state.done,
        total=state.total,
        doing=state.doing,
        problem=state.problem,
        report=report_to_dict(state.report) if state.report is not None else None,
    )


@router.post(
    "/sites/{site_id}/check",
    dependencies=[operator],
    responses=responses(401, 403, 404, 409, 422),
    status_code=202,
    summary="Check devices and wiring of a site; loads are switched on and off",
    description="Meanwhile the controller leaves these loads alone. Afterwards every relay is as before. "
    "409 while another check of the site runs.",
)
async def start_check(site_id: str, services: ServicesHere, body: CheckBody | None = None) -> CheckShown:
    services.sites.get(site_id)
    return _shown(services.checks.start(site_id, (body or CheckBody()).switching))


@router.get(
    "/sites/{site_id}/check",
    dependencies=[viewer],
    responses=READ_ERRORS,
    summary="The latest check of a site",
)
async def get_latest_check(site_id: str, services: ServicesHere) -> CheckShown:
    services.sites.get(site_id)
    state = services.checks.latest(site_id)
    if state is None:
        raise NotFound("a check of site", site_id)
    return _shown(state)


@router.get(
    "/sites/{site_id}/check/{check_id}",
    dependencies=[viewer],
    responses=READ_ERRORS,
    summary="How far a check is, and what it found",
)
async def get_check(site_id: str, check_id: str, services: ServicesHere) -> CheckShown:
    return _shown(services.checks.get(site_id, check_id))


@router.delete(
    "/sites/{site_id}/check/{check_id}",
    dependencies=[operator],
    responses=READ_ERRORS,
    status_code=204,
    summary="Break a check off; answers when every relay is as before",
)
async def end_check(site_id: str, check_id: str, services: ServicesHere) -> None:
    await services.checks.end(site_id, check_id)


@router.get(
    "/sites/{site_id}/check/{check_id}/record",
    dependencies=[viewer],
    responses=READ_ERRORS,
    response_class=HTMLResponse,
    summary="The commissioning record as a page to print and sign",
)
async def get_check_record(site_id: str, check_id: str, services: ServicesHere) -> HTMLResponse:
    report = services.checks.get(site_id, check_id).report
    if report is None:
        raise NotFound("a record of check", check_id)
    return HTMLResponse(report_to_html(report))


async def _exists(site_id: str, check_id: str, services: ServicesHere) -> None:
    """Before the answer begins: afterwards it is too late for a 404."""
    services.checks.get(site_id, check_id)


@router.get(
    "/sites/{site_id}/check/{check_id}/events",
    dependencies=[viewer, Depends(_exists)],
    responses=READ_ERRORS,
    response_class=EventSourceResponse,
    summary="Server-sent events of a check: its state with each step, until it ends",
)
async def stream_check(site_id: str, check_id: str, services: ServicesHere) -> AsyncIterator[ServerSentEvent]:
    async with services.events.subscribe("site.check") as queue:
        while True:
            state = services.checks.get(site_id, check_id)
            yield ServerSentEvent(event="check", data=_shown(state).model_dump(mode="json"))
            if state.state != "running":
                return
            while (await queue.get()).data["check"] != check_id:
                pass
