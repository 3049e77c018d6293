"""The services behind the stations' socket, on a real database file, on a clock that is set by hand."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from csms.domain.charge_point import LiveConnector
from csms.domain.id_tag import IdTag, UnknownTags
from csms.domain.normalise import normalise
from csms.services.charge_points import ChargePoints
from csms.services.events import EventBus
from csms.services.reporting import Reporting
from csms.services.station_messages import StationMessages
from csms.storage import access
from csms.storage.database import Database
from tests.empty_database import migrated

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


@dataclass
class HandClock:
    at: datetime = NOON

    def now(self) -> datetime:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@dataclass
class Backend:
    """`restart` is a new process on the same file: nothing but the database is carried over."""

    url: str
    unknown_tags: UnknownTags | None = None
    clock: HandClock = field(default_factory=HandClock)
    events: EventBus = field(default_factory=EventBus)
    commit_window_s: float = 0.003

    async def start(self) -> None:
        self.database = Database(self.url, self.commit_window_s)
        await self.database.start()
        self.charge_points = ChargePoints(self.database, self.clock, self.events, "accept")
        await self.charge_points.start()
        self.messages = StationMessages(
            self.database, self.charge_points, self.clock, unknown_tags=self.unknown_tags
        )
        self.reporting = Reporting(self.database)

    async def stop(self) -> None:
        await self.database.stop()

    async def restart(self) -> None:
        await self.stop()
        await self.start()

    async def say(
        self, action: str, payload: dict[str, Any], at: datetime | None = None, identity: str = "CP1"
    ) -> dict[str, Any]:
        """A station's message, as it reaches us through the normaliser. at: when it arrives."""
        self.clock.at = at or self.clock.at
        await self.charge_points.admit(identity)
        normalised, _ = normalise(action, payload, self.clock.at)
        return await self.messages.handle(identity, action, normalised, self.clock.at)

    async def add_tag(self, id_tag: str, **more: Any) -> None:
        tag = IdTag(id_tag, **more)
        await self.database.write(lambda conn: access.save_id_tag(conn, tag, None))

    async def transactions(self) -> list[dict[str, Any]]:
        """Oldest first."""
        return (await self.reporting.transactions())[::-1]

    def live(self, connector_id: int = 1, identity: str = "CP1") -> LiveConnector:
        return self.charge_points.station(identity).connector(connector_id)

    def rows(self, table: str) -> list[dict[str, Any]]:
        """As another program sees the file right now."""
        with sqlite3.connect(self.url.removeprefix("sqlite+aiosqlite:///")) as conn:
            conn.row_factory = sqlite3.Row
            return [dict(row) for row in conn.execute(f"SELECT * FROM {table}")]


async def open_backend(url: str, unknown_tags: UnknownTags | None = None) -> Backend:
    backend = Backend(migrated(url), unknown_tags)
    await backend.start()
    return backend


def stamp(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def later(**parts: float) -> datetime:
    return NOON + timedelta(**parts)


def start(
    at: datetime = NOON, meter_wh: int = 1000, tag: str = "BADGE1", connector_id: int = 1
) -> dict[str, Any]:
    return {"connectorId": connector_id, "idTag": tag, "meterStart": meter_wh, "timestamp": stamp(at)}


AN_HOUR_ON = later(hours=1)


def stop(transaction_id: int, at: datetime = AN_HOUR_ON, meter_wh: int = 8000, **more: Any) -> dict[str, Any]:
    return {"transactionId": transaction_id, "meterStop": meter_wh, "timestamp": stamp(at), **more}


def values(
    transaction_id: int | None,
    at: datetime,
    register_wh: float | None,
    connector_id: int = 1,
    power_w: float | None = None,
) -> dict[str, Any]:
    samples: list[dict[str, Any]] = []
    if register_wh is not None:
        samples.append({"value": str(register_wh)})
    if power_w is not None:
        samples.append({"value": str(power_w), "measurand": "Power.Active.Import", "unit": "W"})
    message = {
        "connectorId": connector_id,
        "meterValue": [{"timestamp": stamp(at), "sampledValue": samples}],
    }
    return message if transaction_id is None else {**message, "transactionId": transaction_id}


def status(
    status: str, at: datetime | None = None, connector_id: int = 1, error_code: str = "NoError"
) -> dict[str, Any]:
    message = {"connectorId": connector_id, "status": status, "errorCode": error_code}
    return message if at is None else {**message, "timestamp": stamp(at)}
