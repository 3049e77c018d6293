"""Files that a person at the page stores here, or saves: for those who have signed in."""

from __future__ import annotations

from collections.abc import AsyncIterator

from fastapi import Request
from fastapi.responses import FileResponse, JSONResponse, Response, StreamingResponse
from nicegui import app as page_app
from starlette.requests import ClientDisconnect

from csms.domain.id_tag_table import write_table
from csms.domain.transaction_table import HEAD, table_lines
from csms.errors import CsmsError, InvalidInput, NoSpace, NotFound, TooLarge
from csms.services.bundle import Services
from csms.services.reporting import Wanted
from csms.web.badges import TABLE_PATH
from csms.web.jobs import UPLOAD_PATH
from csms.web.login import session_role
from csms.web.past_sessions import asked

ROWS_AT_ONCE = 2000

STATUSES: dict[type[CsmsError], int] = {NotFound: 404, TooLarge: 413, InvalidInput: 422, NoSpace: 507}


def mount_page_files(services: Services) -> None:
    _mount_badge_table(services)

    @page_app.put(UPLOAD_PATH + "{name}", include_in_schema=False)
    async def store_image(request: Request, name: str) -> Response:
        if await session_role(services, request.session) != "admin":
            return _refused("only an administrator stores firmware", 403)
        try:
            await services.files.save_image(name, request.stream())
        except CsmsError as fault:
            return _refused(str(fault), STATUSES.get(type(fault), 500))
        except ClientDisconnect:
            return _refused("the transfer broke off", 400)
        return Response(status_code=201)

    @page_app.get("/sessions.csv", include_in_schema=False)
    async def save_sessions(request: Request) -> Response:
        if await session_role(services, request.session) not in ("operator", "admin"):
            return _refused("only an operator reads who charged", 403)
        try:
            wanted = asked(services, request.query_params).wanted
        except CsmsError as fault:
            return _refused(str(fault), STATUSES.get(type(fault), 500))
        return StreamingResponse(_session_table(services, wanted), headers=_as_file("sessions.csv"))

    @page_app.get("/stations/{identity}/jobs/{id}/file", include_in_schema=False)
    async def save_log(request: Request, identity: str, id: int) -> Response:
        if await session_role(services, request.session) not in ("operator", "admin"):
            return _refused("only an operator reads what stations leave", 403)
        try:
            path = await services.jobs.file(identity, id)
        except CsmsError as fault:
            return _refused(str(fault), STATUSES.get(type(fault), 500))
        return FileResponse(path, media_type="application/octet-stream", filename=path.name)


def _mount_badge_table(services: Services) -> None:
    @page_app.get(TABLE_PATH, include_in_schema=False)
    async def save_badges(request: Request) -> Response:
        if await session_role(services, request.session) is None:
            return _refused("sign in first", 403)
        return Response(write_table(await services.accounts.id_tags()), headers=_as_file("badges.csv"))

    @page_app.put(TABLE_PATH, include_in_schema=False)
    async def take_in_badges(request: Request) -> Response:
        if await session_role(services, request.session) != "admin":
            return _refused("only an administrator changes badges", 403)
        try:
            await services.accounts.import_id_tags((await request.body()).decode("utf-8"))
        except UnicodeDecodeError:
            return _refused("a text in UTF-8 is expected", 422)
        except InvalidInput as fault:
            return _refused(str(fault), 422)
        return Response(status_code=204)


async def _session_table(services: Services, wanted: Wanted) -> AsyncIterator[str]:
    """All of them, in parts, so that years of sessions fit."""
    yield HEAD
    before_id = None
    while rows := await services.reporting.sessions(wanted, ROWS_AT_ONCE, before_id):
        yield table_lines(rows)
        before_id = rows[-1]["id"]


def _as_file(name: str) -> dict[str, str]:
    return {
        "Content-Type": "text/csv; charset=utf-8",
        "Content-Disposition": f'attachment; filename="{name}"',
    }


def _refused(why: str, status: int) -> JSONResponse:
    return JSONResponse({"detail": why}, status)
