"""Badges: which id tags may charge."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from csms.api.problems import responses
from csms.api.schemas import IdTagBody
from csms.api.tokens import ServicesHere, admin, viewer
from csms.domain.id_tag import IdTag
from csms.errors import NotFound

router = APIRouter(prefix="/id-tags", tags=["id tags"])


class IdTagRecord(BaseModel):
    id_tag: str
    name: str | None
    parent_id_tag: str | None
    blocked: bool
    expires_at: datetime | None
    max_transactions: int | None = Field(description="at once; null = no limit")


@router.get("", dependencies=[viewer], responses=responses(401), summary="All id tags")
async def list_id_tags(services: ServicesHere) -> list[IdTagRecord]:
    return [IdTagRecord.model_validate(row) for row in await services.accounts.id_tags()]


@router.get("/{id_tag}", dependencies=[viewer], responses=responses(401, 404), summary="One id tag")
async def get_id_tag(id_tag: str, services: ServicesHere) -> IdTagRecord:
    return IdTagRecord.model_validate(await services.accounts.id_tag(id_tag))


@router.put(
    "/{id_tag}",
    dependencies=[admin],
    responses=responses(401, 403, 422),
    summary="Replace an id tag, or add it (201)",
    description="Letter case does not distinguish id tags.",
)
async def put_id_tag(id_tag: str, body: IdTagBody, services: ServicesHere, response: Response) -> IdTagRecord:
    try:
        await services.accounts.id_tag(id_tag)
    except NotFound:
        response.status_code = 201
    tag = IdTag(id_tag, body.parent_id_tag, body.blocked, body.expires_at, body.max_transactions)
    await services.accounts.save_id_tag(tag, body.name)
    return IdTagRecord.model_validate(await services.accounts.id_tag(id_tag))


@router.delete(
    "/{id_tag}",
    dependencies=[admin],
    responses=responses(401, 403, 404),
    status_code=204,
    summary="Remove an id tag",
)
async def delete_id_tag(id_tag: str, services: ServicesHere) -> None:
    await services.accounts.remove_id_tag(id_tag)
