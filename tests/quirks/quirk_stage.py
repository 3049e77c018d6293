"""The whole server on a clock set by hand, and one scripted station for each frame of the corpus."""

from __future__ import annotations

import asyncio
import json
import re
import tomllib
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Table, select
from websockets.asyncio.client import connect

from csms.app import App
from csms.domain.ocpp_schemas import validate_response
from csms.errors import CallFailed
from csms.settings import Settings
from csms.storage import tables
from tests.empty_database import migrated

NOW = datetime(2026, 6, 1, 10, 0, tzinfo=UTC)
PATIENCE_S = 10
ANY = "*"
FOLDER = Path(__file__).parent
KEYS = {
    "name", "source", "given", "at", "frame", "answer", "ask", "path",
    "quirks", "later_quirks", "note", "transactions", "meter_values", "unmatched_stops",
    "connector", "station",
}  # fmt: skip


class SetClock:
    def __init__(self) -> None:
        self.at = NOW

    def now(self) -> datetime:
        return self.at

    async def sleep(self, seconds: float) -> None:
        await asyncio.Event().wait()


@dataclass(frozen=True)
class Quirk:
    """One entry of the corpus. See README.md in this folder for the keys."""

    topic: str
    name: str
    entry: dict[str, Any] = field(hash=False)

    @property
    def identity(self) -> str:
        return re.sub(r"\W+", "-", f"{self.topic}-{self.name}")[:100]


def corpus() -> list[Quirk]:
    quirks = []
    for path in sorted(FOLDER.glob("*.toml")):
        for entry in tomllib.loads(path.read_text(encoding="utf-8"))["quirk"]:
            assert entry.keys() <= KEYS, f"{path.name}: {entry['name']}: unknown {entry.keys() - KEYS}"
            quirks.append(Quirk(path.stem, entry["name"], entry))
    return quirks


class Station:
    """Says frames as they are, and hears the answers; what the server asks by itself goes to `asked`."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self.transaction_id = 0

    async def say(self, frame: str) -> None:
        await self._socket.send(frame.replace("$TRANSACTION", str(self.transaction_id)))

    async def hear(self) -> list[Any]:
        heard: list[Any] = json.loads(await asyncio.wait_for(self._socket.recv(), PATIENCE_S))
        if heard[0] == 3 and "transactionId" in heard[2]:
            self.transaction_id = heard[2]["transactionId"]
        return heard


class Stage:
    def __init__(self, app: App, clock: SetClock) -> None:
        self.app, self.clock = app, clock

    @asynccontextmanager
    async def station(self, quirk: Quirk) -> AsyncIterator[Station]:
        path = quirk.entry.get("path", "/$IDENTITY").replace("$IDENTITY", quirk.identity)
        url = f"ws://127.0.0.1:{self.app.ocpp.port}{path}"
        async with connect(url, subprotocols=["ocpp1.6"], compression=None, ping_interval=None) as socket:
            yield Station(socket)

    async def rows(self, table: Table, quirk: Quirk) -> list[dict[str, Any]]:
        identity = self.app.charge_points.station(quirk.identity).identity
        query = select(table).where(table.c.identity == identity)
        async with self.app.database.read() as conn:
            return [dict(row) for row in (await conn.execute(query)).mappings()]

    async def energies(self, quirk: Quirk) -> list[dict[str, Any]]:
        """Transactions with their energy, oldest first."""
        return (await self.app.reporting.transactions(identity=quirk.identity))[::-1]

    async def effects(self, quirk: Quirk) -> dict[str, Any]:
        """All that the entry's effect may be about."""
        station = self.app.charge_points.station(quirk.identity)
        connectors = {
            str(number): {
                "status": live.status,
                "error_code": live.error_code,
                "state": station.connector_state(number, self.clock.at),
                "transaction_wh": live.transaction and live.transaction.energy_wh,
                "reading": live.reading and {n: getattr(live.reading, n) for n in _READING},
            }
            for number, live in station.connectors.items()
        }
        for row in await self.rows(tables.connector_status, quirk):
            connectors[str(row["connector_id"])] |= {n: row[n] for n in ("info", "vendor_error_code")}
        return {
            "transactions": await self.energies(quirk),
            "meter_values": await self.rows(tables.meter_values, quirk),
            "unmatched_stops": await self.rows(tables.unmatched_stops, quirk),
            "station": {
                "registration": station.registration,
                "configuration": station.configuration,
                **(await self.rows(tables.charge_points, quirk))[0],
            },
            "connector": connectors,
        }


_READING = ("at", "power_w", "current_a", "energy_wh", "soc_percent")


@asynccontextmanager
async def open_stage(folder: Path, **more: Any) -> AsyncIterator[Stage]:
    settings = Settings(
        data_dir=folder,
        ocpp_host="127.0.0.1",
        ocpp_port=0,
        unknown_charge_points="accept",
        site_file=None,
        database_url=None,
        nats_url=None,
        **more,
    )
    clock = SetClock()
    app = App(settings, clock)
    migrated(settings.effective_database_url())
    await app.start(control=False, web=False)
    await app.provisioning.stop()  # what the server asks by itself is not what is tested here
    try:
        yield Stage(app, clock)
    finally:
        await app.stop()


async def play(stage: Stage, quirk: Quirk) -> tuple[Any, Counter[str]]:
    """Say what was given, then the frame; returns its answer (None: none is due) and what was counted."""
    entry = quirk.entry
    stage.clock.at = NOW
    async with stage.station(quirk) as station:
        for frame in entry.get("given", []):
            await station.say(frame)
            assert (await station.hear())[0] == 3, f"given frame refused: {frame}"
        counted_before = Counter(stage.app.charge_points.station(quirk.identity).quirks)
        stage.clock.at = entry.get("at", NOW)
        if "ask" in entry:
            answer = await _ask(stage, quirk, station)
        else:
            await station.say(entry["frame"])
            answer = None if entry["answer"] == "none" else await station.hear()
        await station.say('[2,"still there","Heartbeat",{}]')
        assert (await station.hear())[1] == "still there", "the link lives on, and nothing else is answered"
        counted = stage.app.charge_points.station(quirk.identity).quirks
        return answer, Counter(counted) - counted_before


async def _ask(stage: Stage, quirk: Quirk, station: Station) -> Any:
    """The server asks, the station answers with the frame; returns what the server made of it."""
    action, payload = quirk.entry["ask"]
    asking = asyncio.create_task(stage.app.commands.send(quirk.identity, action, payload))
    asked = await station.hear()
    frame = quirk.entry["frame"].replace("$ID", asked[1]).replace("$UPPER_ID", asked[1].upper())
    await station.say(frame)
    try:
        return await asyncio.wait_for(asking, PATIENCE_S)
    except CallFailed as failure:
        return {"code": failure.code, "description": failure.description}


def check_answer(quirk: Quirk, answer: Any) -> None:
    expected = quirk.entry["answer"]
    if expected == "none":
        return
    assert_like(answer, expected, "answer")
    action = re.search(r'^\s*\[\s*"?2"?\s*,\s*[^,]+,\s*"(\w+)"', quirk.entry["frame"])
    if isinstance(answer, list) and answer[0] == 3 and action:
        known = {name.lower(): name for name in ACTION_NAMES}
        validate_response(known[action[1].lower()], answer[2])


ACTION_NAMES = (
    "Authorize", "BootNotification", "DataTransfer", "DiagnosticsStatusNotification",
    "FirmwareStatusNotification", "Heartbeat", "MeterValues", "StartTransaction", "StatusNotification",
    "StopTransaction",
)  # fmt: skip


def assert_like(actual: Any, expected: Any, path: str) -> None:
    """`expected` names what matters: further fields of a record do not, further items of a list do."""
    if expected == ANY:
        return
    if isinstance(expected, dict):
        assert isinstance(actual, dict), f"{path}: {actual!r} is no record"
        for key, wanted in expected.items():
            assert_like(actual.get(key), None if wanted == "null" else wanted, f"{path}.{key}")
    elif isinstance(expected, list):
        assert isinstance(actual, list | tuple), f"{path}: {actual!r} is no list"
        assert len(actual) == len(expected), f"{path}: {len(actual)} instead of {len(expected)}: {actual!r}"
        for number, (item, wanted) in enumerate(zip(actual, expected, strict=True)):
            assert_like(item, wanted, f"{path}[{number}]")
    else:
        assert actual == expected, f"{path}: {actual!r}, expected {expected!r}"
