"""Files that a person at the page stores here, or saves: for those who have signed in."""

from __future__ import annotations

from fastapi import Request
from fastapi.responses import FileResponse, JSONResponse, Response
from nicegui import app as page_app
from starlette.requests import ClientDisconnect

from csms.errors import CsmsError, InvalidInput, NoSpace, NotFound, TooLarge
from csms.services.bundle import Services
from csms.web.jobs import UPLOAD_PATH
from csms.web.login import session_role

STATUSES: dict[type[CsmsError], int] = {NotFound: 404, TooLarge: 413, InvalidInput: 422, NoSpace: 507}


def mount_page_files(services: Services) -> None:
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

    @page_app.get("/stations/{identity}/jobs/{id}/file", include_in_schema=False)
    async def save_log(request: Request, identity: str, id: int) -> Response:
        if await session_role(services, request.session) not in ("operator", "admin"):
            return _refused("only an operator reads what stations leave", 403)
        try:
            path = await services.jobs.file(identity, id)
        except CsmsError as fault:
            return _refused(str(fault), STATUSES.get(type(fault), 500))
        return FileResponse(path, media_type="application/octet-stream", filename=path.name)


def _refused(why: str, status: int) -> JSONResponse:
    return JSONResponse({"detail": why}, status)
