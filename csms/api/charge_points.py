"""Charging stations as they present themselves, their frames, and OCPP commands to them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Query
from fastapi import Body as JsonBody
from pydantic import BaseModel, Field

from csms.api.problems import responses
from csms.api.schemas import TIME_HINT, Body, QueryTime, period
from csms.api.tokens import ServicesHere, admin, operator, viewer
from csms.domain.charge_point import LiveConnector, Station
from csms.domain.ocpp_schemas import ACTIONS_TO_STATION
from csms.domain.quirk_words import in_words
from csms.services.bundle import Services
from csms.services.frame_log import Wanted

router = APIRouter(prefix="/charge-points", tags=["charge points"])

KNOWN_ACTIONS = ", ".join(sorted(ACTIONS_TO_STATION))
ADMINS_KEYS = ("authorizationkey", "securityprofile")  # as at their paths in security.py


class TransactionNow(BaseModel):
    id: int
    id_tag: str
    started_at: datetime
    energy_wh: float = Field(description="charged so far [Wh]")


class ReadingNow(BaseModel):
    at: datetime
    power_w: float | None
    current_a: tuple[float, float, float] | None = Field(description="(L1, L2, L3) [A]")
    energy_wh: float | None = Field(description="the meter's register [Wh]")
    soc_percent: float | None


class ConnectorNow(BaseModel):
    connector_id: int
    state: Literal["offline", "free", "plugged", "ready", "charging", "finished", "faulted", "refused"]
    status: str | None = Field(description="OCPP status as last reported")
    error_code: str
    status_at: datetime | None
    transaction: TransactionNow | None
    reading: ReadingNow | None
    offered_a: float | None = Field(description="the limit the station last accepted [A per phase]")
    offered_at: datetime | None
    setpoint_problem: str | None = Field(description="why it does not follow its limit")


class ChargePointNow(BaseModel):
    identity: str
    site: str | None = Field(description="the site that names it")
    registration: Literal["Accepted", "Pending", "Rejected"]
    vendor: str | None
    model: str | None
    serial_number: str | None
    firmware_version: str | None
    security_profile: int = Field(description="0 to 3: by which it must connect")
    connected: bool
    connected_at: datetime | None
    last_seen_at: datetime | None
    configuration: dict[str, str | None]
    options: dict[str, Any] = Field(
        description="set by an operator: `conformance_mode`, `assume_subprotocol`"
    )
    quirks: dict[str, int] = Field(description="how often which deviation from OCPP was repaired")
    connectors: list[ConnectorNow]


class QuirkCount(BaseModel):
    kind: str
    words: str = Field(description="the kind in words")
    count: int
    last_at: datetime | None


class LoggedFrame(BaseModel):
    id: int
    identity: str
    at: datetime
    direction: Literal["in", "out", "log"] = Field(description="in = from the station; log = no frame")
    action: str | None
    message_id: str | None
    text: str
    note: str | None = Field(description="why it was repaired or refused")


class ChargePointOptions(Body):
    conformance_mode: bool | None = Field(
        default=None, description="it is sent nothing but answers and what operators ask for"
    )
    assume_subprotocol: bool | None = Field(
        default=None, description="it may connect without offering the subprotocol ocpp1.6"
    )


def _connector_now(connector_id: int, connector: LiveConnector, state: str) -> ConnectorNow:
    transaction, reading = connector.transaction, connector.reading
    return ConnectorNow.model_validate(
        {
            "connector_id": connector_id,
            "state": state,
            "status": connector.status,
            "error_code": connector.error_code,
            "status_at": connector.status_at,
            "transaction": transaction and TransactionNow.model_validate(transaction, from_attributes=True),
            "reading": reading and ReadingNow.model_validate(reading, from_attributes=True),
            "offered_a": connector.offered_a,
            "offered_at": connector.offered_at,
            "setpoint_problem": connector.setpoint_problem,
        }
    )


def _charge_point_now(services: Services, station: Station) -> ChargePointNow:
    site = services.sites.site_of_charge_point(station.identity)
    now = services.clock.now()
    return ChargePointNow(
        identity=station.identity,
        site=site.site.id if site else None,
        registration=station.registration,
        vendor=station.vendor,
        model=station.model,
        serial_number=station.serial_number,
        firmware_version=station.firmware_version,
        security_profile=station.security_profile,
        connected=station.connected,
        connected_at=station.connected_at,
        last_seen_at=station.last_seen_at,
        configuration=station.configuration,
        options=station.options,
        quirks=dict(station.quirks),
        connectors=[
            _connector_now(n, connector, station.connector_state(n, now))
            for n, connector in sorted(station.connectors.items())
        ],
    )


@router.get("", dependencies=[viewer], responses=responses(401), summary="All stations that ever came")
async def list_charge_points(services: ServicesHere) -> list[ChargePointNow]:
    return [_charge_point_now(services, station) for station in services.charge_points.stations()]


@router.get(
    "/{identity}",
    dependencies=[viewer],
    responses=responses(401, 404),
    summary="One station with the live state of its connectors",
)
async def get_charge_point(identity: str, services: ServicesHere) -> ChargePointNow:
    return _charge_point_now(services, services.charge_points.station(identity))


@router.post(
    "/{identity}/accept",
    dependencies=[admin],
    responses=responses(401, 403, 404),
    status_code=204,
    summary="Let a pending or rejected station in",
)
async def accept_charge_point(identity: str, services: ServicesHere) -> None:
    await services.charge_points.accept(identity)


@router.post(
    "/{identity}/reject",
    dependencies=[admin],
    responses=responses(401, 403, 404),
    status_code=204,
    summary="Refuse a station: only its BootNotification is still answered, with Rejected",
)
async def reject_charge_point(identity: str, services: ServicesHere) -> None:
    await services.charge_points.reject(identity)


@router.patch(
    "/{identity}",
    dependencies=[admin],
    responses=responses(401, 403, 404, 422),
    summary="Set options of a station; those not named stay as they are",
)
async def patch_charge_point(
    identity: str, body: ChargePointOptions, services: ServicesHere
) -> ChargePointNow:
    changes = body.model_dump(exclude_unset=True, exclude_none=True)
    await services.charge_points.set_options(identity, changes)
    return _charge_point_now(services, services.charge_points.station(identity))


@router.get(
    "/{identity}/quirks",
    dependencies=[viewer],
    responses=responses(401, 404),
    summary="Deviations from OCPP that were repaired or refused, since ever, the most frequent first",
)
async def get_quirks(identity: str, services: ServicesHere) -> list[QuirkCount]:
    station = services.charge_points.station(identity)
    return [
        QuirkCount(kind=kind, words=in_words(kind), count=count, last_at=station.quirks_at.get(kind))
        for kind, count in station.quirks.most_common()
    ]


@router.get(
    "/{identity}/messages",
    dependencies=[operator],
    responses=responses(401, 403, 404, 422),
    summary="Every frame in both directions, newest first (by default of the last 24 hours)",
    description="The next page: `before` = the last id of this one. `note` says why a frame was repaired or "
    "refused. Direction `log`: no frame, something happened to the connection.",
)
async def get_messages(
    identity: str,
    services: ServicesHere,
    start: Annotated[QueryTime | None, Query(alias="from", description=TIME_HINT)] = None,
    end: Annotated[QueryTime | None, Query(alias="to", description=TIME_HINT)] = None,
    action: Annotated[str | None, Query(description="only this OCPP action")] = None,
    refused: Annotated[bool, Query(description="only what was refused or repaired")] = False,
    contains: Annotated[str | None, Query(max_length=200, description="in the frame or its note")] = None,
    before: Annotated[int | None, Query(description="only ids below this one")] = None,
    limit: Annotated[int, Query(ge=1, le=5000)] = 200,
) -> list[LoggedFrame]:
    station = services.charge_points.station(identity)
    since, until = period(start, end, services.clock.now(), timedelta(days=1))
    wanted = Wanted(since, until, action, refused, contains, before)
    rows = await services.frames.messages(station.identity, wanted, limit)
    return [LoggedFrame.model_validate(row) for row in rows]


class InstalledProfileRecord(BaseModel):
    connector_id: int
    accepted_at: datetime
    ours: bool = Field(description="written by control, not by a person or a program")
    profile: dict[str, Any] = Field(description="csChargingProfiles as accepted (OCPP)")


class SecurityEventRecord(BaseModel):
    type: str
    critical: bool
    happened_at: datetime = Field(description="by the station's clock")
    received_at: datetime
    tech_info: str | None


@router.get(
    "/{identity}/charging-profiles",
    dependencies=[viewer],
    responses=responses(401, 404),
    summary="The charging profiles known to be on the station",
    description="Those it has accepted since it last booted, and that have not been replaced, cleared or"
    " ended since.",
)
async def get_charging_profiles(identity: str, services: ServicesHere) -> list[InstalledProfileRecord]:
    return [
        InstalledProfileRecord(
            connector_id=one.connector_id, accepted_at=one.accepted_at, ours=one.is_ours, profile=one.profile
        )
        for one in services.profiles.of_station(identity)
    ]


@router.get(
    "/{identity}/security-events",
    dependencies=[viewer],
    responses=responses(401, 404, 422),
    summary="What it reported of its security, newest first",
)
async def get_security_events(
    identity: str,
    services: ServicesHere,
    start: Annotated[QueryTime | None, Query(alias="from", description=TIME_HINT)] = None,
    end: Annotated[QueryTime | None, Query(alias="to", description=TIME_HINT)] = None,
    type: Annotated[str | None, Query(description="only this type")] = None,
    limit: Annotated[int, Query(ge=1, le=5000)] = 200,
) -> list[SecurityEventRecord]:
    rows = await services.security_events.events(identity, start, end, type, limit)
    return [SecurityEventRecord.model_validate(row) for row in rows]


@router.post(
    "/{identity}/ocpp/{action}",
    dependencies=[operator],
    responses=responses(401, 403, 404, 409, 422, 502, 504),
    summary="Send an OCPP request to the station and return its answer",
    description="The body is the request's payload as in OCPP 1.6 (camelCase), checked against its schema; "
    "the answer is the station's payload. 404: unknown station or action. 409: not connected. 422: the "
    "payload breaks the schema. 502: the station answered with a CALLERROR, told in `code` and "
    "`description`. 504: no answer in time. AuthorizationKey and SecurityProfile are for "
    f"admins to change. Actions: {KNOWN_ACTIONS}.",
)
async def send_command(
    identity: str,
    action: str,
    services: ServicesHere,
    payload: Annotated[dict[str, Any], JsonBody(default_factory=dict)],
    role: Annotated[str, operator],
    timeout_s: Annotated[float, Query(gt=0, le=300, description="how long to wait for the answer [s]")] = 30,
) -> dict[str, Any]:
    station = services.charge_points.station(identity)
    if action not in ACTIONS_TO_STATION:
        raise HTTPException(404, f"action {action!r} does not exist; there are: {KNOWN_ACTIONS}")
    key = str(payload.get("key")).strip()
    if action == "ChangeConfiguration" and key.lower() in ADMINS_KEYS and role != "admin":
        raise HTTPException(403, f"a token of role admin is needed to change {key}, this one is {role}")
    return await services.commands.send(station.identity, action, payload, timeout_s)
