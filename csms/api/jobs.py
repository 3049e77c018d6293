"""Firmware updates and log uploads of one station."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse
from pydantic import AwareDatetime, BaseModel, Field, model_validator

from csms.api.files import BINARY
from csms.api.problems import responses
from csms.api.schemas import Body
from csms.api.tokens import ServicesHere, operator, viewer
from csms.services.bundle import Services
from csms.services.station_jobs import Retries, Signature

router = APIRouter(prefix="/charge-points/{identity}/jobs", tags=["jobs"])

REFUSALS = (401, 403, 404, 409, 422, 502, 504)


class JobStatus(BaseModel):
    status: str
    at: datetime


class JobRecord(BaseModel):
    id: int = Field(description="also the requestId, where the action has one")
    action: Literal["UpdateFirmware", "SignedUpdateFirmware", "GetDiagnostics", "GetLog"]
    request: dict[str, Any] = Field(description="as sent, without the secret of a one-time address")
    answer: dict[str, Any] | None = Field(description="the station's; `error`: it answered a CALLERROR")
    status: str = Field(
        description="as the station last reported; or `Asked`, `Accepted`, `Refused`, `Unanswered` (outcome"
        " unknown), `NothingToUpload`, `FileReceived`, `Canceled` (gave way to another), `NoNews`"
    )
    history: list[JobStatus]
    file_name: str | None
    created_at: datetime
    updated_at: datetime
    ended_at: datetime | None


class _Retried(Body):
    retries: int | None = Field(default=None, ge=0, le=100)
    retry_interval_s: int | None = Field(default=None, ge=0, le=86_400)

    def tries(self) -> Retries:
        return Retries(self.retries, self.retry_interval_s)


Location = Annotated[str, Field(max_length=512, pattern=r"^[A-Za-z][A-Za-z0-9+.-]*://\S+$")]


class FirmwareBody(_Retried):
    file: str | None = Field(default=None, description="an image stored here (`PUT /files/{name}`)")
    location: Location | None = Field(default=None, description="or its URL elsewhere")
    retrieve_at: AwareDatetime | None = Field(default=None, description="not before; null = now")
    install_at: AwareDatetime | None = Field(default=None, description="not before; only with a signature")
    signature: str | None = Field(
        default=None, max_length=800, description="Base64; with `signing_certificate`: SignedUpdateFirmware"
    )
    signing_certificate: str | None = Field(default=None, max_length=5500, description="PEM")

    @model_validator(mode="after")
    def _is_whole(self) -> FirmwareBody:
        if (self.file is None) == (self.location is None):
            raise ValueError("either `file` or `location` is needed")
        if (self.signature is None) != (self.signing_certificate is None):
            raise ValueError("`signature` and `signing_certificate` go together")
        return self


class DiagnosticsBody(_Retried):
    location: Location | None = Field(default=None, description="null = it is left here")
    start_at: AwareDatetime | None = None
    stop_at: AwareDatetime | None = None


class LogBody(_Retried):
    log_type: Literal["DiagnosticsLog", "SecurityLog"] = "DiagnosticsLog"
    location: Location | None = Field(default=None, description="null = it is left here")
    oldest_at: AwareDatetime | None = None
    latest_at: AwareDatetime | None = None


@router.get("", dependencies=[viewer], responses=responses(401, 404, 422), summary="Its jobs, newest first")
async def list_jobs(
    identity: str, services: ServicesHere, limit: Annotated[int, Query(ge=1, le=1000)] = 100
) -> list[JobRecord]:
    return [JobRecord.model_validate(row) for row in await services.jobs.jobs(identity, limit)]


@router.get("/{id}", dependencies=[viewer], responses=responses(401, 404, 422), summary="One job")
async def get_job(identity: str, id: int, services: ServicesHere) -> JobRecord:
    return JobRecord.model_validate(await services.jobs.job(identity, id))


@router.get(
    "/{id}/file",
    dependencies=[operator],
    response_class=FileResponse,
    responses={**responses(401, 403, 404, 422), 200: {"content": {BINARY: {}}}},
    summary="The log that the station left",
)
async def get_job_file(identity: str, id: int, services: ServicesHere) -> FileResponse:
    path = await services.jobs.file(identity, id)
    return FileResponse(path, media_type=BINARY, filename=path.name)


@router.post(
    "/firmware",
    dependencies=[operator],
    responses=responses(*REFUSALS),
    status_code=201,
    summary="Have it update its firmware",
)
async def update_firmware(
    identity: str, body: FirmwareBody, request: Request, services: ServicesHere
) -> JobRecord:
    signed = body.signature and body.signing_certificate
    signature = Signature(body.signing_certificate or "", body.signature or "") if signed else None
    row = await services.jobs.update_firmware(
        identity,
        body.file or body.location or "",
        _public_url(request, services),
        body.retrieve_at,
        body.install_at,
        body.tries(),
        signature,
    )
    return JobRecord.model_validate(row)


@router.post(
    "/diagnostics",
    dependencies=[operator],
    responses=responses(*REFUSALS),
    status_code=201,
    summary="Have it upload its diagnostics (GetDiagnostics)",
)
async def get_diagnostics(
    identity: str, body: DiagnosticsBody, request: Request, services: ServicesHere
) -> JobRecord:
    row = await services.jobs.get_diagnostics(
        identity, _public_url(request, services), body.location, body.start_at, body.stop_at, body.tries()
    )
    return JobRecord.model_validate(row)


@router.post(
    "/log",
    dependencies=[operator],
    responses=responses(*REFUSALS),
    status_code=201,
    summary="Have it upload a log (GetLog, security extension)",
)
async def get_log(identity: str, body: LogBody, request: Request, services: ServicesHere) -> JobRecord:
    row = await services.jobs.get_log(
        identity,
        body.log_type,
        _public_url(request, services),
        body.location,
        body.oldest_at,
        body.latest_at,
        body.tries(),
    )
    return JobRecord.model_validate(row)


def _public_url(request: Request, services: Services) -> str:
    return services.public_url or str(request.base_url)
