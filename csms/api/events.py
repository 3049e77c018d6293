"""What happens, as it happens: server-sent events."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.encoders import jsonable_encoder
from fastapi.sse import EventSourceResponse, ServerSentEvent

from csms.api.problems import responses
from csms.api.tokens import ServicesHere, viewer

router = APIRouter(tags=["what happens"])


@router.get(
    "/events",
    dependencies=[viewer],
    responses=responses(401),
    response_class=EventSourceResponse,
    summary="Server-sent events: stations, transactions, modes, decisions",
    description="A comment every 15 s keeps the connection open. A reader too slow to keep up loses the "
    "oldest events. Nothing is repeated after a reconnect: read the state first, then listen.",
)
async def stream_events(
    services: ServicesHere,
    kind: Annotated[
        list[str] | None, Query(description="only kinds that start so, e.g. `connector.`; repeatable")
    ] = None,
) -> AsyncIterator[ServerSentEvent]:
    async with services.events.subscribe(*kind or ()) as queue:
        yield ServerSentEvent(comment="listening")
        while True:
            event = await queue.get()
            data = jsonable_encoder({"at": event.at, **event.data})
            yield ServerSentEvent(event=event.kind, data=data)
