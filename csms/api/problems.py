"""Every refusal is an `application/problem+json` (RFC 9457) that names the fields at fault."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from csms.domain.site import ReferenceFaults
from csms.errors import (
    AlreadyRunning,
    CallFailed,
    CallTimeout,
    CsmsError,
    InvalidInput,
    NoSpace,
    NotConnected,
    NotFound,
    NotPossible,
    TooLarge,
)

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
SHOWN_VALUE_LENGTH = 200
A_TIME = "a time with its offset expected, such as 2026-06-01T12:00:00Z"


class FieldProblem(BaseModel):
    field: str = Field(description="dotted path of the field at fault, e.g. `circuit.1.parent`")
    value: Any = Field(description="what was given")
    expected: str = Field(description="what would have been right")


class Problem(BaseModel):
    """What went wrong (RFC 9457). `errors` names each field at fault."""

    model_config = ConfigDict(extra="allow")
    type: str = Field(default="about:blank")
    title: str
    status: int
    detail: str
    errors: list[FieldProblem] = []


def problem(
    status: int,
    detail: str,
    *,
    errors: Iterable[FieldProblem] = (),
    headers: Mapping[str, str] | None = None,
    **extra: Any,
) -> JSONResponse:
    body = Problem(
        title=HTTPStatus(status).phrase, status=status, detail=detail, errors=list(errors), **extra
    )
    return JSONResponse(jsonable_encoder(body), status, headers=headers, media_type=MEDIA_TYPE)


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI entries of a route's refusals."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: {"schema": schema}}}
        for status in statuses
    }


class BodyLimit:
    """Refuse a large body: by its announced length before it is read, else when it has grown too large.

    own_limits: how the paths of files begin, which are stored as they come and have limits of their own.
    """

    def __init__(self, app: ASGIApp, limit_bytes: int, own_limits: tuple[str, ...] = ()) -> None:
        self._app, self._limit_bytes, self._own_limits = app, limit_bytes, own_limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(self._own_limits):
            await self._app(scope, receive, send)
            return
        detail = f"at most {self._limit_bytes} bytes are taken"
        announced = Headers(scope=scope).get("content-length", "0")
        if announced.isdigit() and int(announced) > self._limit_bytes:
            await problem(413, detail)(scope, receive, send)
            return
        taken_bytes = 0

        async def receive_within_limit() -> Message:
            nonlocal taken_bytes
            message = await receive()
            taken_bytes += len(message.get("body", b""))
            if taken_bytes > self._limit_bytes:
                raise HTTPException(413, detail)
            return message

        await self._app(scope, receive_within_limit, send)


def handle_problems(app: FastAPI) -> None:
    """Make `app` answer every error as a problem."""
    app.add_exception_handler(CsmsError, _csms_error)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _unexpected)


async def _csms_error(request: Request, error: Exception) -> JSONResponse:
    match error:
        case NotFound():
            return problem(404, str(error))
        case InvalidInput(field=field, value=value, expected=expected):
            shown = FieldProblem(field=field, value=_shown(value), expected=expected)
            return problem(422, str(error), errors=[shown])
        case TooLarge():
            return problem(413, str(error))
        case NoSpace():
            return problem(507, str(error))
        case NotConnected() | AlreadyRunning() | NotPossible():
            return problem(409, str(error))
        case CallFailed(code=code, description=description, details=details):
            return problem(502, str(error), code=code, description=description, details=details)
        case CallTimeout():
            return problem(504, str(error))
    log.error("unmapped fault: %s", error)
    return problem(500, str(error))


async def _invalid_request(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    errors = [shown for fault in error.errors() for shown in _field_problems(fault)]
    detail = "; ".join(f"{e.field}: {e.expected}" if e.field else e.expected for e in errors)
    return problem(422, detail, errors=errors)


def _field_problems(fault: Mapping[str, Any]) -> list[FieldProblem]:
    where = tuple(fault["loc"])[1:]  # without "body", "query" or "path"
    cause = fault.get("ctx", {}).get("error")
    if isinstance(cause, ReferenceFaults):
        return [
            FieldProblem(
                field=".".join(map(str, (*where, *path))),
                value=_shown(value),
                expected=f"{expected} expected",
            )
            for path, value, expected in cause.faults
        ]
    expected = str(cause) if cause is not None else str(fault["msg"])
    if fault["type"] == "json_invalid":
        where, expected = (), f"valid JSON expected: {fault['ctx']['error']}"
    if fault["type"] == "timezone_aware" or fault["type"].startswith("datetime_"):
        expected = A_TIME
    if isinstance(fault["input"], bytes):  # a body that was not said to be JSON
        expected = "a JSON body with the header `Content-Type: application/json`"
    return [FieldProblem(field=".".join(map(str, where)), value=_shown(fault["input"]), expected=expected)]


def _shown(value: Any) -> Any:
    """A large value is cut: the answer must stay readable."""
    shown = jsonable_encoder(value, custom_encoder={bytes: repr})
    text = str(shown)
    return shown if len(text) <= SHOWN_VALUE_LENGTH else text[:SHOWN_VALUE_LENGTH] + "…"


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    detail = error.detail
    if error.status_code == 404 and detail == HTTPStatus.NOT_FOUND.phrase:
        detail = f"there is nothing at {request.url.path}"
    if error.status_code == 405:
        detail = f"{request.method} is not possible at {request.url.path}"
    return problem(error.status_code, detail, headers=error.headers)


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return problem(500, "the server failed to answer this; its log says why")
