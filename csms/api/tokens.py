"""Who is asking: bearer tokens and their roles. Viewers read, operators act, administrators describe."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, cast

from fastapi import Depends, HTTPException, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from csms.services.bundle import Services

RANKS = {"viewer": 0, "operator": 1, "admin": 2}

bearer = HTTPBearer(
    auto_error=False,
    scheme_name="token",
    description="A token printed by `csms token create --role admin|operator|viewer`.",
)


def services_of(request: Request) -> Services:
    return cast(Services, request.app.state.services)


ServicesHere = Annotated[Services, Depends(services_of)]


Bearer = Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]


async def token_name(services: ServicesHere, given: Bearer) -> str:
    """Who asks, for what is written down of it."""
    name = await services.accounts.token_name(given.credentials) if given else None
    return name or "nobody"


Asking = Annotated[str, Depends(token_name)]


def require(role: str) -> Callable[..., Awaitable[str]]:
    """A dependency that lets through tokens of at least this role: 401 without one, 403 with a lesser one.
    It gives the role held."""

    async def check(services: ServicesHere, given: Bearer) -> str:
        held = await services.accounts.token_role(given.credentials) if given else None
        if held is None:
            detail = "this token is not known" if given else "a bearer token is needed"
            raise HTTPException(401, detail, headers={"WWW-Authenticate": "Bearer"})
        if RANKS[held] < RANKS[role]:
            raise HTTPException(403, f"a token of role {role} is needed, this one is {held}")
        return held

    return check


viewer = Depends(require("viewer"))
operator = Depends(require("operator"))
admin = Depends(require("admin"))
