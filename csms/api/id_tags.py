"""Badges: which id tags may charge."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import BaseModel, Field

from csms.api.problems import responses
from csms.api.schemas import IdTagBody
from csms.api.tokens import ServicesHere, admin, viewer
from csms.domain.id_tag import IdTag
from csms.domain.id_tag_table import COLUMNS, SEPARATOR, write_table
from csms.errors import InvalidInput, NotFound

router = APIRouter(prefix="/id-tags", tags=["id tags"])


class IdTagRecord(BaseModel):
    id_tag: str
    name: str | None
    parent_id_tag: str | None
    blocked: bool
    expires_at: datetime | None
    max_transactions: int | None = Field(description="at once; null = no limit")
    charge_points: list[str] | None = Field(description="where it may charge; null = everywhere")
    min_a: float | None = Field(description="its vehicle needs at least this much [A per phase]")


class Imported(BaseModel):
    imported: int


@router.get(
    "",
    dependencies=[viewer],
    response_model=list[IdTagRecord],
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}, **responses(401, 422)},
    summary="All id tags",
    description="As CSV with `format=csv` or `Accept: text/csv`: the table that `import` takes.",
)
async def list_id_tags(
    services: ServicesHere,
    format: Annotated[Literal["json", "csv"] | None, Query()] = None,
    accept: Annotated[str, Header(include_in_schema=False)] = "",
) -> Any:
    rows = await services.accounts.id_tags()
    if format == "csv" or (format is None and "text/csv" in accept):
        return Response(
            write_table(rows),
            media_type="text/csv",
            headers={"Content-Disposition": 'attachment; filename="id-tags.csv"'},
        )
    return rows


@router.post(
    "/import",
    dependencies=[admin],
    responses=responses(401, 403, 422),
    summary="Add or replace the id tags of a CSV table, all or nothing",
    description=f"The first line names the columns, out of {', '.join(COLUMNS)}; only id_tag must be there. "
    f"`charge_points` are separated by `{SEPARATOR}`. Id tags that are not listed stay as they are.",
    openapi_extra={
        "requestBody": {"required": True, "content": {"text/csv": {"schema": {"type": "string"}}}}
    },
)
async def import_id_tags(request: Request, services: ServicesHere) -> Imported:
    try:
        table = (await request.body()).decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidInput("body", "bytes", "text in UTF-8") from None
    return Imported(imported=await services.accounts.import_id_tags(table))


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
    tag = IdTag(
        id_tag,
        body.parent_id_tag,
        body.blocked,
        body.expires_at,
        body.max_transactions,
        None if body.charge_points is None else tuple(body.charge_points),
        body.min_a,
    )
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
