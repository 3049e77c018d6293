"""New tokens for programs that use this API."""

from __future__ import annotations

from fastapi import APIRouter

from csms.api.problems import responses
from csms.api.schemas import NewToken, TokenBody
from csms.api.tokens import ServicesHere, admin

router = APIRouter(tags=["access"])


@router.post(
    "/tokens",
    dependencies=[admin],
    responses=responses(401, 403, 422),
    status_code=201,
    summary="Create a bearer token; it is shown this once",
)
async def create_token(body: TokenBody, services: ServicesHere) -> NewToken:
    return NewToken(token=await services.accounts.create_token(body.name, body.role))
