"""Firmware images for stations, and the one-time addresses at which stations fetch and leave files."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Request, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel, Field
from starlette.datastructures import UploadFile
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive

from csms.api.problems import responses
from csms.api.tokens import ServicesHere, admin, operator
from csms.errors import TooLarge
from csms.services.bundle import Services
from csms.services.files import WRITTEN_AT_ONCE

router = APIRouter(prefix="/files", tags=["files"])
stations_router = APIRouter(prefix="/station-files", include_in_schema=False)

OWN_LIMITS = ("/api/v1/files/", "/station-files/", "/page-files/")  # the last: the page's way to store them
MULTIPART_OVERHEAD_BYTES = 100_000
TRANSFER_TIMEOUT_S = 3600
BINARY = "application/octet-stream"
Name = Annotated[str, Path(description="letters, digits and `. _ + -`, at most 128")]


class FileRecord(BaseModel):
    name: str
    size_bytes: int
    stored_at: datetime = Field(description="when it was last replaced")


@router.get("", dependencies=[operator], responses=responses(401, 403), summary="The firmware images here")
async def list_files(services: ServicesHere) -> list[FileRecord]:
    return [FileRecord.model_validate(file, from_attributes=True) for file in services.files.images()]


@router.put(
    "/{name}",
    dependencies=[admin],
    responses=responses(401, 403, 413, 422, 507),
    status_code=201,
    summary="Store a firmware image, or replace it",
    description="The body is the file itself; its size is limited by the setting `CSMS_FILES_LIMIT_MB`.",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {BINARY: {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def put_file(name: Name, request: Request, services: ServicesHere) -> FileRecord:
    with _broken_off():
        stored = await services.files.save_image(name, request.stream())
    return FileRecord.model_validate(stored, from_attributes=True)


@router.get(
    "/{name}",
    dependencies=[operator],
    response_class=FileResponse,
    responses={**responses(401, 403, 404), 200: {"content": {BINARY: {}}}},
    summary="A firmware image",
)
async def get_file(name: Name, services: ServicesHere) -> FileResponse:
    return FileResponse(services.files.image(name), media_type=BINARY, filename=name)


@router.delete(
    "/{name}",
    dependencies=[admin],
    responses=responses(401, 403, 404),
    status_code=204,
    summary="Remove a firmware image",
)
async def delete_file(name: Name, services: ServicesHere) -> None:
    services.files.remove_image(name)


@stations_router.api_route("/{secret}/{name:path}", methods=["GET", "HEAD"])
async def fetch(secret: str, name: str, services: ServicesHere) -> FileResponse:
    """Also parts of it, for a station that goes on where it broke off."""
    path = await services.jobs.fetch(secret, name.strip("/"))
    return FileResponse(path, media_type=BINARY)


@stations_router.put("/{secret}")
@stations_router.post("/{secret}")
@stations_router.put("/{secret}/{name:path}")
@stations_router.post("/{secret}/{name:path}")
async def leave(request: Request, secret: str, services: ServicesHere, name: str = "") -> Response:
    """The body is the file, or a form with the file in it."""
    is_form = request.headers.get("content-type", "").startswith("multipart/form-data")
    with _broken_off():
        async with asyncio.timeout(TRANSFER_TIMEOUT_S):
            await (_leave_form if is_form else _leave_body)(request, secret, name, services)
    return Response(status_code=201)


async def _leave_body(request: Request, secret: str, name: str, services: Services) -> None:
    await services.jobs.leave(secret, name, request.stream())


async def _leave_form(request: Request, secret: str, name: str, services: Services) -> None:
    await services.jobs.is_expected(secret)  # before a form is taken in
    limited = Request(request.scope, _limited(request, services.files.upload_limit_bytes))
    async with limited.form(max_files=1, max_fields=20) as form:
        part = next((value for value in form.values() if isinstance(value, UploadFile)), None)
        if part is None:
            raise HTTPException(422, "the form has no file in it")
        await services.jobs.leave(secret, part.filename or name, _chunks(part))


@contextmanager
def _broken_off() -> Iterator[None]:
    """A transfer that ends too early is no fault of ours; nobody may be there to read the answer."""
    try:
        yield
    except ClientDisconnect:
        raise HTTPException(400, "the transfer broke off") from None
    except TimeoutError:
        raise HTTPException(408, f"the transfer took longer than {TRANSFER_TIMEOUT_S} s") from None


def _limited(request: Request, limit_bytes: int) -> Receive:
    taken_bytes = 0

    async def receive() -> Message:
        nonlocal taken_bytes
        message = await request.receive()
        taken_bytes += len(message.get("body", b""))
        if taken_bytes > limit_bytes + MULTIPART_OVERHEAD_BYTES:
            raise TooLarge(limit_bytes)
        return message

    return receive


async def _chunks(part: UploadFile) -> AsyncIterator[bytes]:
    while chunk := await part.read(WRITTEN_AT_ONCE):
        yield chunk
