"""Passwords, security profiles and certificates of charging stations."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, Field

from csms.api.problems import responses
from csms.api.schemas import Body
from csms.api.tokens import ServicesHere, admin, operator, viewer

router = APIRouter(tags=["security"])

STATION = "/charge-points/{identity}"
SENT = (401, 403, 404, 409, 422, 502, 504)
SEND_HINT = "true: the station is told too; false: only set here, the station has it already"


class AuthorizationKeyBody(Body):
    key: str | None = Field(
        default=None, description="32 to 40 hex digits, or a text of 16 to 20 bytes; null = make one up"
    )
    send: bool = Field(default=True, description=SEND_HINT)


class AuthorizationKey(BaseModel):
    key: str = Field(description="shown once, here; only a keyed hash of it is kept")
    status: str | None = Field(
        description="the station's answer to ChangeConfiguration; null = it was not told"
    )


class SecurityProfileBody(Body):
    profile: int = Field(ge=0, le=3, description="0 none, 1 password, 2 password over TLS, 3 certificate")
    send: bool = Field(default=True, description=f"{SEND_HINT}. Only without telling may it be lowered.")


class SecurityProfile(BaseModel):
    profile: int = Field(description="what the station must connect by")
    pending: int | None = Field(description="what it may connect by as well, until it first does")
    status: str | None = Field(description="the station's answer; null = it was not told")
    warnings: list[str] = Field(description="what may keep the station from coming back")


class RootBody(Body):
    kind: Literal["rsa", "ecdsa"] = Field(
        default="rsa", description="either lets the station check both of the server's certificates"
    )


class IssuedCertificate(BaseModel):
    serial_number: str = Field(description="hexadecimal")
    status: Literal["Sent", "Accepted", "Rejected", "Failed", "Revoked"] = Field(
        description="what the station answered; Failed = it could not be delivered"
    )
    issued_at: datetime
    not_after: datetime
    pem: str


class InstalledCertificate(BaseModel):
    certificate_type: str
    hash_algorithm: str
    issuer_name_hash: str
    issuer_key_hash: str
    serial_number: str
    seen_at: datetime


class StationCertificates(BaseModel):
    issued: list[IssuedCertificate] = Field(description="by the built-in authority, newest first")
    installed: list[InstalledCertificate] = Field(
        description="roots on the station, as it last told or took them"
    )


@router.put(
    f"{STATION}/authorization-key",
    dependencies=[admin],
    responses=responses(*SENT),
    summary="Set the password the station authenticates with (AuthorizationKey)",
)
async def put_authorization_key(
    identity: str, body: AuthorizationKeyBody, services: ServicesHere
) -> AuthorizationKey:
    if not body.send:
        return AuthorizationKey(key=await services.passwords.store(identity, body.key), status=None)
    key, status = await services.passwords.send(identity, body.key)
    return AuthorizationKey(key=key, status=status)


@router.delete(
    f"{STATION}/authorization-key",
    dependencies=[admin],
    responses=responses(401, 403, 404),
    status_code=204,
    summary="Forget the station's password; the station is not told",
)
async def delete_authorization_key(identity: str, services: ServicesHere) -> None:
    await services.passwords.remove(identity)


@router.put(
    f"{STATION}/security-profile",
    dependencies=[admin],
    responses=responses(*SENT),
    summary="Move the station up to a higher security profile, or set by which it must connect",
)
async def put_security_profile(
    identity: str, body: SecurityProfileBody, services: ServicesHere
) -> SecurityProfile:
    profiles = services.security_profiles
    change = await (profiles.send if body.send else profiles.store)(identity, body.profile)
    return SecurityProfile.model_validate(change, from_attributes=True)


@router.get(
    f"{STATION}/certificates",
    dependencies=[viewer],
    responses=responses(401, 404),
    summary="Certificates issued to the station, and root certificates installed on it",
)
async def get_certificates(identity: str, services: ServicesHere) -> StationCertificates:
    issued, installed = await services.certificates.of_station(identity)
    return StationCertificates.model_validate({"issued": issued, "installed": installed})


@router.post(
    f"{STATION}/certificates/install-root",
    dependencies=[operator],
    responses=responses(*SENT),
    summary="Send the station a root certificate of the built-in authority, to know this server by",
)
async def install_root(identity: str, body: RootBody, services: ServicesHere) -> dict[str, Any]:
    return await services.certificates.install_root(identity, body.kind)


@router.post(
    f"{STATION}/certificates/renew",
    dependencies=[operator],
    responses=responses(*SENT),
    summary="Ask the station for a new certificate request",
)
async def renew_certificate(identity: str, services: ServicesHere) -> dict[str, Any]:
    return await services.certificates.ask_to_renew(identity)


@router.delete(
    f"{STATION}/certificates/{{serial_number}}",
    dependencies=[admin],
    responses=responses(401, 403, 404),
    status_code=204,
    summary="Revoke a certificate of the built-in authority: the station may not connect with it any more",
)
async def revoke_certificate(identity: str, serial_number: str, services: ServicesHere) -> None:
    await services.certificates.revoke(identity, serial_number)


@router.get(
    "/certificates/authority.pem",
    dependencies=[viewer],
    responses=responses(401, 422) | {200: {"content": {"application/x-pem-file": {}}}},
    response_class=PlainTextResponse,
    summary="The root certificates of the built-in authority, to be installed on stations",
)
async def get_authority(
    services: ServicesHere,
    kind: Annotated[Literal["rsa", "ecdsa"] | None, Query(description="one of them; default: both")] = None,
) -> PlainTextResponse:
    return PlainTextResponse(await services.certificates.root_pem(kind), media_type="application/x-pem-file")
