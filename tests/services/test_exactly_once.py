"""However a station's messages are lost, repeated, replayed and overtaken: each counts once.

A true history is made up, with charges on one or two connectors, and told as a station tells it: its queue is
chronological, a message whose answer it did not get is repeated, what was answered may be replayed as well,
statuses overtake the queue, and the server restarts now and then. Whatever was drawn, the records at the end
are the true history.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from central_backend import NOON, Backend, start, status, stop, values
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.empty_database import migrated

REASONS = ("Local", "Remote", "PowerLoss", "EVDisconnected")
IN_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # a commit to disk is another test's subject
IN_TRANSIT = timedelta(seconds=0.3)


@dataclass
class Charge:
    """What truly happened. readings: (time, register [Wh]). learns_id: False = no answer to its start ever
    comes through, so that the station names it −1. sends_stop: False = the station loses its stop."""

    connector_id: int
    id_tag: str
    start: tuple[datetime, int]
    readings: list[tuple[datetime, int]]
    stop: tuple[datetime, int]
    reason: str
    learns_id: bool
    sends_stop: bool
    has_data: bool

    @property
    def energy_wh(self) -> int:
        last = self.stop if self.sends_stop else [self.start, *self.readings][-1]
        return last[1] - self.start[1]


@dataclass
class Entry:
    """A message of the station's queue."""

    at: datetime
    action: str
    charge: Charge
    reading: tuple[datetime, int] | None = None
    payload: dict[str, Any] = field(default_factory=dict)
    answers: list[dict[str, Any]] = field(default_factory=list)


@st.composite
def histories(draw: st.DrawFn) -> list[Charge]:
    charges = []
    for connector_id in range(1, draw(st.integers(1, 2)) + 1):
        at, register_wh = NOON + timedelta(seconds=connector_id), draw(st.integers(0, 5)) * 1000
        for _ in range(draw(st.integers(1, 2))):
            at += timedelta(seconds=draw(st.sampled_from([1, 40, 3600])))
            begin = (at, register_wh)
            readings = []
            for _ in range(draw(st.integers(0, 3))):
                at += timedelta(seconds=draw(st.sampled_from([10, 60, 1200])))
                register_wh += draw(st.integers(0, 3)) * 100
                readings.append((at, register_wh))
            at += timedelta(seconds=draw(st.sampled_from([5, 900])))
            register_wh += draw(st.integers(0, 2)) * 50
            learns_id = draw(st.integers(0, 3)) > 0
            charges.append(
                Charge(
                    connector_id,
                    f"BADGE-{connector_id}",  # the other connector's stop must be told apart without an id
                    begin,
                    readings,
                    (at, register_wh),
                    draw(st.sampled_from(REASONS)),
                    learns_id,
                    sends_stop=not learns_id or draw(st.integers(0, 4)) > 0,
                    has_data=draw(st.booleans()),
                )
            )
    return charges


def queue_of(charges: list[Charge]) -> list[Entry]:
    def entries() -> Iterator[Entry]:
        for charge in charges:
            yield Entry(charge.start[0], "StartTransaction", charge)
            for reading in charge.readings:
                yield Entry(reading[0], "MeterValues", charge, reading)
            if charge.sends_stop:
                yield Entry(charge.stop[0], "StopTransaction", charge)

    return sorted(entries(), key=lambda entry: entry.at)


class Station:
    """Tells its queue. `ids`: what it has learnt, by charge."""

    def __init__(self, backend: Backend, charges: list[Charge], draw: Any) -> None:
        self.backend, self.charges, self.draw = backend, charges, draw
        self.queue = queue_of(charges)
        self.told: list[Entry] = []
        self.ids: dict[int, int] = {}
        self.free_at: dict[int, datetime] = {}
        self.now = NOON

    def toss(self, one_in: int) -> bool:
        return bool(self.draw(st.integers(0, one_in - 1)) == 0)

    async def tell_all(self) -> None:
        for entry in self.queue:
            if self.toss(6):  # the link was down: what happens meanwhile waits in the queue
                self.now += timedelta(seconds=self.draw(st.sampled_from([30, 1800, 90_000])))
            self.now = max(self.now, entry.at + IN_TRANSIT)
            await self.disturb()
            entry.payload = self.compose(entry)
            is_start = entry.action == "StartTransaction"
            for _ in range(self.draw(st.sampled_from([1, 1, 1, 2, 3]))):  # but the last, answers are lost
                await self.say(entry)
                if self.toss(8):
                    await self.disturb()
            if is_start and entry.charge.learns_id:
                self.ids[id(entry.charge)] = entry.answers[-1]["transactionId"]
            self.told.append(entry)
            if self.toss(8):
                await self.say(self.draw(st.sampled_from(self.told)))  # replayed although answered
        for entry in self.told if self.toss(3) else []:  # the whole history, once more
            await self.say(entry)

    async def disturb(self) -> None:
        if self.toss(8):
            await self.backend.restart()
        if self.toss(4):
            await self.report_statuses()

    async def report_statuses(self) -> None:
        """The present state overtakes the queue."""
        for connector_id in {charge.connector_id for charge in self.charges}:
            busy = any(
                c.connector_id == connector_id and c.start[0] <= self.now <= c.stop[0] for c in self.charges
            )
            message = status("Charging" if busy else "Available", self.now, connector_id)
            await self.backend.say("StatusNotification", message, self.now)
            if not busy:
                self.free_at[connector_id] = self.now

    def compose(self, entry: Entry) -> dict[str, Any]:
        charge = entry.charge
        transaction_id = self.ids.get(id(charge), -1)
        match entry.action:
            case "StartTransaction":
                return start(*charge.start, charge.id_tag, charge.connector_id)
            case "MeterValues":
                assert entry.reading is not None
                return values(transaction_id, *entry.reading, charge.connector_id)
        more: dict[str, Any] = {"reason": charge.reason, "idTag": charge.id_tag}
        if charge.has_data:
            more["transactionData"] = values(None, *charge.stop)["meterValue"]
        return stop(transaction_id, *charge.stop, **more)

    async def say(self, entry: Entry) -> None:
        self.now += timedelta(seconds=1)
        entry.answers.append(await self.backend.say(entry.action, entry.payload, self.now))
        self.check_live()

    def check_live(self) -> None:
        """Nothing looks alive that ended before its connector was last reported free."""
        for charge in self.charges:
            live = self.backend.live(charge.connector_id).transaction
            if live is not None and live.started_at == charge.start[0]:
                free_at = self.free_at.get(charge.connector_id)
                assert free_at is None or free_at < charge.start[0], (charge, free_at)


async def tell(charges: list[Charge], draw: Any, folder: Path) -> None:
    backend = Backend(migrated(f"sqlite+aiosqlite:///{folder / 'csms.db'}"), commit_window_s=0)
    await backend.start()
    try:
        for number in {charge.connector_id for charge in charges}:
            await backend.add_tag(f"badge-{number}", max_transactions=1)
        station = Station(backend, charges, draw)
        await station.tell_all()
        station.now = max([station.now, *(charge.stop[0] for charge in charges)]) + timedelta(minutes=1)
        await station.report_statuses()
        await check(backend, station)
    finally:
        await backend.stop()


async def check(backend: Backend, station: Station) -> None:
    for entry in station.told:
        assert all(answer == entry.answers[0] for answer in entry.answers), entry.action
    rows = {(row["connector_id"], row["started_at"]): row for row in await backend.transactions()}
    assert len(rows) == len(await backend.transactions()) == len(station.charges)
    for entry in station.told:
        if entry.action == "StartTransaction":
            row = rows[entry.charge.connector_id, entry.charge.start[0]]
            assert entry.answers[0] == {"transactionId": row["id"], "idTagInfo": {"status": "Accepted"}}
    for charge in station.charges:
        row = rows[charge.connector_id, charge.start[0]]
        assert row["energy_wh"] == charge.energy_wh
        assert row["stop_reason"] == (charge.reason if charge.sends_stop else "Lost")
        if charge.sends_stop:
            assert (row["stopped_at"], row["meter_stop_wh"]) == charge.stop
    assert backend.rows("unmatched_stops") == []
    check_meter_values(backend, station.charges, rows)
    await backend.restart()
    assert all(backend.live(charge.connector_id).transaction is None for charge in station.charges)


def check_meter_values(
    backend: Backend, charges: list[Charge], rows: dict[tuple[int, datetime], dict[str, Any]]
) -> None:
    true = []
    for charge in charges:
        row_id = rows[charge.connector_id, charge.start[0]]["id"]
        data = [charge.stop] if charge.has_data and charge.sends_stop else []
        true += [(row_id, at.replace(tzinfo=None), wh) for at, wh in {*charge.readings, *data}]
    stored = [
        (row["transaction_id"], datetime.fromisoformat(row["measured_at"]), row["energy_wh"])
        for row in backend.rows("meter_values")
    ]
    assert sorted(stored) == sorted(true)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(charges=histories(), data=st.data())
def test_however_it_is_told_the_records_are_the_true_history(charges: list[Charge], data: Any) -> None:
    with tempfile.TemporaryDirectory(dir=IN_MEMORY) as folder:
        asyncio.run(tell(charges, data.draw, Path(folder)))
