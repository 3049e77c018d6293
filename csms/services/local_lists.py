"""Local authorisation lists: what stations hold, and what they should hold.

A list that is looked after ("all") follows the id tags stored here: it is sent again when they change,
when a station that missed it comes back, and when one that boots holds another version. Any other list is
sent once.

Source: OCPP 1.6 ed. 2, 3.5.2, 5.10 and 5.15.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Any, Literal

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from csms.clock import Clock
from csms.domain.id_tag import authorize
from csms.domain.local_list import (
    Entries,
    Entry,
    ListUpdate,
    applied,
    difference,
    differential_update,
    full_updates,
)
from csms.errors import CallFailed, CallTimeout, CsmsError, InvalidInput, NotConnected
from csms.services.charge_points import ChargePoints
from csms.services.command_effects import Command, CommandEffect
from csms.services.commands import Commands
from csms.services.events import EventBus
from csms.services.transaction_records import id_tag_info
from csms.storage import access, local_lists
from csms.storage.database import STORAGE_FAULTS, Database

log = structlog.get_logger()

Row = dict[str, Any]
KEYS = ("SendLocalListMaxLength", "LocalAuthListMaxLength", "LocalAuthListEnabled")
NO_LIST = -1  # the version of a station that has none
GIVEN_UP = ("NotSupported", "TooLong")  # not tried again by itself before something else is wanted


class LocalLists:
    def __init__(
        self,
        database: Database,
        charge_points: ChargePoints,
        commands: Commands,
        events: EventBus,
        clock: Clock,
    ) -> None:
        self._database, self._charge_points, self._commands = database, charge_points, commands
        self._events, self._clock = events, clock
        self._busy: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._listener: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        commands.on("SendLocalList", _Sent(database, clock))
        commands.on("GetLocalListVersion", _VersionTold(database, clock))

    async def start(self) -> None:
        ready = asyncio.Event()
        self._listener = asyncio.create_task(self._listen(ready), name="local lists")
        await ready.wait()

    async def stop(self) -> None:
        tasks = [task for task in (self._listener, *self._tasks) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def settle(self) -> None:
        """Wait until every list on its way has been taken or refused."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def of_station(self, identity: str) -> Row | None:
        """None: nothing is known of its list. Raises NotFound."""
        station = self._charge_points.station(identity)
        async with self._database.read() as conn:
            return await local_lists.load(conn, station.identity)

    async def differences(self, identity: str) -> list[Entry]:
        """What would have to be sent so that it holds every badge that may charge there; those without
        idTagInfo it would have to forget. Raises NotFound."""
        station = self._charge_points.station(identity)
        async with self._database.read() as conn:
            row = await local_lists.load(conn, station.identity)
            wanted = await self._all_tags(conn, station.identity)
        return difference(row["entries"] if row is not None else {}, wanted)

    async def put(self, identity: str, entries: Entries | Literal["all"]) -> Row:
        """Make this the station's list. "all": every id tag stored that may charge there, from now on.

        An entry without idTagInfo gets what is stored of its tag. The row's status says what became of it;
        "Waiting": all will be sent when the station connects.

        Raises: NotFound, InvalidInput (more than it holds), NotConnected, CallTimeout
        """
        station = self._charge_points.station(identity)
        is_connected = self._charge_points.is_connected(identity)
        if entries != "all" and not is_connected:
            raise NotConnected(station.identity)
        async with self._database.read() as conn:
            if entries == "all":
                wanted = await self._all_tags(conn, station.identity)
            else:
                wanted = await self._completed(conn, station.identity, entries)
        kept = wanted if entries == "all" else None
        waiting = {} if is_connected else {"status": "Waiting"}
        await self._save(station.identity, wanted=kept, **waiting)
        if is_connected:
            await self._send(station.identity, wanted)
        return await self.of_station(identity) or {}

    # --- sending ---

    async def _send(self, identity: str, wanted: Entries) -> None:
        async with self._busy[identity]:
            await self._ask_for_keys(identity)
            most = self._number(identity, "LocalAuthListMaxLength")
            if most is not None and len(wanted) > most:
                await self._save(identity, status="TooLong")
                expected = f"at most {most} (the station's LocalAuthListMaxLength)"
                raise InvalidInput("entries", len(wanted), expected)
            known = await self.of_station(identity)
            told = await self._version(identity)
            if told == NO_LIST:
                return  # recorded with the answer
            is_known = known is not None and known["status"] == "Accepted" and known["version"] == told
            highest = max(told or 0, known["version"] if known else 0)
            at_once = self._number(identity, "SendLocalListMaxLength")
            if is_known and known is not None:
                if not difference(known["entries"], wanted):
                    return
                update = differential_update(known["entries"], wanted, highest, at_once)
                if update is not None:
                    answer = await self._send_update(identity, update)
                    if answer not in ("Failed", "VersionMismatch"):
                        return
                    highest = update.version
            await self._send_whole(identity, wanted, highest, at_once)

    async def _send_whole(self, identity: str, wanted: Entries, highest: int, at_once: int | None) -> None:
        """A part that is refused means that the station holds something else: once more from the start."""
        for _ in range(2):
            updates = full_updates(wanted, highest, at_once)
            for update in updates:
                answer = await self._send_update(identity, update)
                highest = update.version
                if answer != "Accepted":
                    break
            else:
                return
            if update.type == "Full" or answer == "NotSupported":
                return  # the same would be refused again

    async def _send_update(self, identity: str, update: ListUpdate) -> str:
        try:
            answer = await self._commands.send(identity, "SendLocalList", update.request())
        except CallFailed as error:
            return _status_of_error(error)
        return str(answer.get("status"))

    async def _version(self, identity: str) -> int | None:
        """None: it does not say."""
        try:
            answer = await self._commands.send(identity, "GetLocalListVersion", {})
        except CallFailed:
            return None
        version = answer.get("listVersion")
        return version if isinstance(version, int) else None

    async def _ask_for_keys(self, identity: str) -> None:
        known = self._charge_points.station(identity).configuration
        missing = [key for key in KEYS if key.lower() not in {name.lower() for name in known}]
        if not missing:
            return
        try:
            await self._commands.send(identity, "GetConfiguration", {"key": missing})
        except CallFailed as error:
            log.info("list lengths not told", charge_point=identity, why=str(error))

    def _number(self, identity: str, key: str) -> int | None:
        told = self._charge_points.station(identity).configuration
        value = next((told[name] for name in told if name.lower() == key.lower()), None) or ""
        return int(value) if value.isdigit() and int(value) > 0 else None

    # --- what it should hold ---

    async def _all_tags(self, conn: AsyncConnection, identity: str) -> Entries:
        now, stored = self._clock.now(), await access.tags(conn)
        named = {tag.id_tag.lower(): tag for tag in stored}
        return {
            tag.id_tag: authorize(tag, now, "reject", parent=named.get((tag.parent_id_tag or "").lower()))
            for tag in stored
            if tag.is_welcome_at(identity)
        }

    async def _completed(self, conn: AsyncConnection, identity: str, entries: Entries) -> Entries:
        now = self._clock.now()
        return {
            tag: info or await id_tag_info(conn, tag, now, "accept", identity)
            for tag, info in entries.items()
        }

    async def _save(self, identity: str, **values: Any) -> None:
        now = self._clock.now()
        await self._database.write(lambda conn: local_lists.save(conn, identity, now, **values))

    # --- lists that are looked after ---

    async def _listen(self, ready: asyncio.Event) -> None:
        kinds = ("station.connected", "station.booted", "id_tags.changed")
        async with self._events.subscribe(*kinds) as queue:
            ready.set()
            while True:
                happened = [await queue.get()]
                while not queue.empty():  # many tags changed at once are one change
                    happened.append(queue.get_nowait())
                concerns_all = any(event.kind == "id_tags.changed" for event in happened)
                named = {event.data["identity"] for event in happened if "identity" in event.data}
                booted = {e.data["identity"] for e in happened if e.kind == "station.booted"}
                try:
                    await self._follow(None if concerns_all else named, booted)
                except STORAGE_FAULTS as error:
                    log.warning("local lists not brought up to date", why=str(error))

    async def _follow(self, identities: set[str] | None, booted: set[str]) -> None:
        """Bring the lists of stations that came back up to date, or all (None) since id tags have changed.

        booted: these may have lost their list, or learnt to keep one.
        """
        async with self._database.read() as conn:
            rows = await local_lists.looked_after(conn, identities)
            wanted = {row["identity"]: await self._all_tags(conn, row["identity"]) for row in rows}
        for row in rows:
            identity, entries = row["identity"], wanted[row["identity"]]
            has_changed = entries != row["wanted"]
            if has_changed:
                await self._save(identity, wanted=entries)
            differs = difference(row["entries"], entries) or row["status"] != "Accepted"
            has_given_up = row["status"] in GIVEN_UP and not has_changed
            is_due = identity in booted or (differs and not has_given_up)
            if is_due and self._may_be_sent(identity):
                self._spawn(identity, entries)

    def _may_be_sent(self, identity: str) -> bool:
        stations = self._charge_points
        return stations.is_connected(identity) and stations.may_send_unsolicited(identity)

    def _spawn(self, identity: str, wanted: Entries) -> None:
        task = asyncio.create_task(self._send_quietly(identity, wanted), name=f"local list {identity}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send_quietly(self, identity: str, wanted: Entries) -> None:
        try:
            await self._send(identity, wanted)
        except (CsmsError, *STORAGE_FAULTS) as error:
            log.warning("local list not sent", charge_point=identity, why=str(error))


class _Sent(CommandEffect):
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    async def answered(self, command: Command, answer: Row) -> None:
        word, request, now = str(answer.get("status"))[:32], command.payload, self._clock.now()

        async def job(conn: AsyncConnection) -> None:
            values: Row = {"status": word}
            if word == "Accepted":
                row = await local_lists.load(conn, command.identity)
                held = row["entries"] if row is not None else {}
                values |= {"version": request["listVersion"], "entries": applied(held, request)}
            await local_lists.save(conn, command.identity, now, **values)

        await self._database.write(job)

    async def failed(self, command: Command, error: CsmsError) -> None:
        """Without an answer it holds the old list or the new one: its version will tell which."""
        if isinstance(error, CallFailed):
            status = _status_of_error(error)
        else:
            status = "Unanswered" if isinstance(error, CallTimeout) else "Waiting"
        now = self._clock.now()
        await self._database.write(lambda conn: local_lists.save(conn, command.identity, now, status=status))


class _VersionTold(CommandEffect):
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    async def answered(self, command: Command, answer: Row) -> None:
        version, now = answer.get("listVersion"), self._clock.now()
        if not isinstance(version, int):
            return

        async def job(conn: AsyncConnection) -> None:
            row = await local_lists.load(conn, command.identity)
            if row is None or row["version"] != version:
                values = {"version": version, "entries": {}, "status": _status_of_version(version)}
                await local_lists.save(conn, command.identity, now, **values)

        await self._database.write(job)


def _status_of_version(version: int) -> str | None:
    """Of a list that is not the one we sent: another's, none, or an empty one."""
    if version == NO_LIST:
        return "NotSupported"
    return "VersionMismatch" if version > 0 else None


def _status_of_error(error: CallFailed) -> str:
    return "NotSupported" if error.code in ("NotSupported", "NotImplemented") else "Failed"
