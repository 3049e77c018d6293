"""What was: minutes of a site, decisions, transactions. And the writing of each minute."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from csms.storage import history, transactions
from csms.storage.database import Database
from csms.storage.transactions import Wanted as Wanted


class Reporting:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def record_minute(
        self,
        site_id: str,
        at: datetime,
        snapshot_powers: dict[str, Any],
        inputs: dict[str, Any],
        outcome: dict[str, Any],
        memory: dict[str, Any],
    ) -> None:
        """Store powers, decision and memory in one commit: after a crash they belong together."""

        async def record(conn: AsyncConnection) -> None:
            await history.save_minute(conn, site_id, at, snapshot_powers)
            await history.save_decision(conn, site_id, at, inputs, outcome)
            await history.save_memory(conn, site_id, at, memory)

        await self._database.write(record)

    async def load_memory(self, site_id: str) -> tuple[datetime, dict[str, Any]] | None:
        async with self._database.read() as conn:
            return await history.load_memory(conn, site_id)

    async def history(
        self, site_id: str, start: datetime, end: datetime, step_s: int
    ) -> list[dict[str, Any]]:
        """Means per step that has values: at, grid_w, pv_w, battery_w, house_w, controlled_w, loads_w.

        The first step begins at `start`; steps of whole quarters of an hour at the whole one before.
        """
        async with self._database.read() as conn:
            return await history.means(conn, site_id, start, end, step_s)

    async def decisions(
        self, site_id: str, start: datetime, end: datetime, limit: int
    ) -> list[dict[str, Any]]:
        """Newest first: at, surplus_w, available_w, inputs, outcome."""
        async with self._database.read() as conn:
            return await history.load_decisions(conn, site_id, start, end, limit)

    async def transactions(
        self,
        *,
        identity: str | None = None,
        connector_id: int | None = None,
        id_tag: str | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        open_only: bool = False,
        limit: int = 100,
        before_id: int | None = None,
    ) -> list[dict[str, Any]]:
        """As `sessions`."""
        wanted = Wanted(identity, connector_id, id_tag, start, end, open_only)
        return await self.sessions(wanted, limit, before_id)

    async def sessions(
        self, wanted: Wanted, limit: int, before_id: int | None = None
    ) -> list[dict[str, Any]]:
        """Transactions, newest first: the table's columns, energy_wh and energy_kwh.

        before_id: the last id of the page before.
        """
        async with self._database.read() as conn:
            rows = await transactions.search(conn, wanted, limit, before_id)
        return [with_energy(row) for row in rows]

    async def totals(self, wanted: Wanted) -> dict[str, Any]:
        """sessions, energy_wh, running and lost, of all transactions that are wanted."""
        async with self._database.read() as conn:
            return await transactions.totals(conn, wanted)

    async def use_of_badges(self, since: datetime) -> dict[str, dict[str, Any]]:
        """By id tag in lower case: energy_wh of what began since, identity and started_at of the last"""
        async with self._database.read() as conn:
            return {row["id_tag"]: row for row in await transactions.use_of_tags(conn, since)}


def with_energy(transaction: dict[str, Any]) -> dict[str, Any]:
    """What was charged in it, so far or in all."""
    energy_wh = transactions.best_register_wh(transaction) - transaction["meter_start_wh"]
    return {**transaction, "energy_wh": energy_wh, "energy_kwh": energy_wh / 1000}
