"""Charging transactions, as JSON or as a table for a spreadsheet."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query
from fastapi.responses import Response
from pydantic import BaseModel, Field

from csms.api.problems import responses
from csms.api.schemas import TIME_HINT, Body, QueryTime, period
from csms.api.tokens import Asking, ServicesHere, operator
from csms.domain.transaction_table import HEAD, table_lines
from csms.services.transaction_closing import LONGEST_REASON

router = APIRouter(prefix="/transactions", tags=["transactions"])


class TransactionRecord(BaseModel):
    id: int
    identity: str = Field(description="the charge point")
    connector_id: int
    id_tag: str
    started_at: datetime
    stopped_at: datetime | None = Field(description="null = it runs")
    energy_wh: float | None = Field(description="charged, so far or in all [Wh]")
    meter_start_wh: float = Field(description="−1 = not known until a register is read [Wh]")
    meter_stop_wh: float | None
    stop_reason: str | None = Field(description="`Lost`: closed without a stop of the station")
    close_note: str | None = Field(description="who closed it without a stop, and why; null = nobody did")


class CloseBody(Body):
    reason: str = Field(min_length=1, max_length=LONGEST_REASON, description="for the records")
    even_if_charging: bool = Field(
        default=False, description="close it although the station says that the session goes on"
    )


@router.get(
    "",
    dependencies=[operator],
    response_model=list[TransactionRecord],
    responses={
        200: {"content": {"text/csv": {"schema": {"type": "string"}}}},
        **responses(401, 403, 404, 422),
    },
    summary="Transactions, newest first",
    description="The next page: `before` = the last id of this one. As CSV with `format=csv` or "
    "`Accept: text/csv`.",
)
async def list_transactions(
    services: ServicesHere,
    charge_point: Annotated[str | None, Query(description="identity")] = None,
    connector: Annotated[int | None, Query(ge=1)] = None,
    id_tag: Annotated[str | None, Query()] = None,
    start: Annotated[QueryTime | None, Query(alias="from", description=f"started from, {TIME_HINT}")] = None,
    end: Annotated[QueryTime | None, Query(alias="to", description=f"started before, {TIME_HINT}")] = None,
    open_only: Annotated[bool, Query(alias="open", description="only those that run")] = False,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 100,
    before: Annotated[int | None, Query(description="only ids below this one")] = None,
    format: Annotated[Literal["json", "csv"] | None, Query()] = None,
    accept: Annotated[str, Header(include_in_schema=False)] = "",
) -> Any:
    if start is not None and end is not None:
        period(start, end, end, end - start)
    identity = services.charge_points.station(charge_point).identity if charge_point else None
    rows = await services.reporting.transactions(
        identity=identity,
        connector_id=connector,
        id_tag=id_tag,
        start=start,
        end=end,
        open_only=open_only,
        limit=limit,
        before_id=before,
    )
    if format == "csv" or (format is None and "text/csv" in accept):
        return Response(
            HEAD + table_lines(rows),
            media_type="text/csv",
            headers={"Content-Disposition": 'attachment; filename="transactions.csv"'},
        )
    return rows


@router.post(
    "/{id}/close",
    dependencies=[operator],
    responses=responses(401, 403, 404, 409, 422),
    summary="Close a transaction that never ends: its station was lost, swapped or reset",
    description="It ends as `Lost` with its best known register. A StopTransaction that comes after all is"
    " answered and puts the end right; if the station goes on with it, it runs again. 409: it has ended, or"
    " the station says that it charges.",
)
async def close_transaction(
    id: int, body: CloseBody, services: ServicesHere, asking: Asking
) -> TransactionRecord:
    row = await services.closing.close(id, body.reason, asking, body.even_if_charging)
    return TransactionRecord.model_validate(row)
