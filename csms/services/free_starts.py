"""Starts sessions for vehicles at connectors that charge whoever plugs in (`free_start`), without a badge."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

import structlog

from csms.clock import Clock
from csms.domain.charge_point import Station
from csms.domain.free_start import Starting, next_move, seen
from csms.domain.id_tag import same_tag
from csms.domain.site import ChargePointConfig
from csms.errors import CsmsError, NotFound
from csms.services.charge_points import ChargePoints
from csms.services.commands import Commands
from csms.services.events import Event, EventBus
from csms.services.provisioning import setting
from csms.services.sites import Sites
from csms.storage import transactions
from csms.storage.database import Database

log = structlog.get_logger()

LOOK_EVERY_S = 5.0
ORIGIN = "free start"
STOPPED_JUST_BEFORE = timedelta(minutes=1)
Place = tuple[str, int]


class FreeStarts:
    """is_busy: somebody else stops and starts sessions at this connector just now."""

    def __init__(
        self,
        database: Database,
        sites: Sites,
        charge_points: ChargePoints,
        commands: Commands,
        events: EventBus,
        clock: Clock,
        is_busy: Callable[[str, int], bool],
    ) -> None:
        self._database, self._sites, self._charge_points = database, sites, charge_points
        self._commands, self._events, self._clock, self._is_busy = commands, events, clock, is_busy
        self._starting: dict[Place, Starting] = {}
        self._asking: dict[Place, asyncio.Task[None]] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        await self._recall()
        ready = asyncio.Event()
        self._tasks = [
            asyncio.create_task(self._listen(ready), name="free starts, events"),
            asyncio.create_task(self._watch(), name="free starts"),
        ]
        await ready.wait()

    async def stop(self) -> None:
        tasks = [*self._tasks, *self._asking.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _recall(self) -> None:
        """A vehicle that is still there since its session was stopped is not started by our own restart."""
        async with self._database.read() as conn:
            for _, point, number in self._places():
                if (station := self._station(point)) is None:
                    continue
                live = station.connector(number)
                last = await transactions.last_stopped(conn, station.identity, number)
                if last is None or live.status_at is None or live.status not in ("Preparing", "Finishing"):
                    continue
                if live.status_at - last["stopped_at"] <= STOPPED_JUST_BEFORE:
                    self._starting[station.identity, number] = Starting().stopped(last["stop_reason"])

    async def _listen(self, ready: asyncio.Event) -> None:
        async with self._events.subscribe("transaction.stopped", "connector.status", "load.mode") as queue:
            ready.set()
            while True:
                self._note(await queue.get())

    def _note(self, event: Event) -> None:
        """The cable is out; a session was ended; or a person has chosen how a connector is run, and waits."""
        if event.kind != "load.mode":
            place = (str(event.data["identity"]), int(event.data["connector_id"]))
            if event.data.get("status") == "Available":
                self._starting.pop(place, None)
            elif event.kind == "transaction.stopped" and not self._is_busy(*place):
                self._starting[place] = Starting().stopped(event.data.get("reason"))
            return
        for site_id, point, number in self._places():
            is_meant = (site_id, f"{point.id}/{number}") == (event.data["site_id"], event.data["load_id"])
            if is_meant and (station := self._station(point)) is not None:
                place = (station.identity, number)
                self._starting[place] = self._starting.get(place, Starting()).insisted()

    async def _watch(self) -> None:
        while True:
            for site_id, point, number in self._places():
                try:
                    self._look(site_id, point, number)
                except Exception:  # supervisor: one connector's trouble must not leave all others waiting
                    log.exception("connector not looked at", charge_point=point.id, connector=number)
            await self._clock.sleep(LOOK_EVERY_S)

    def _places(self) -> Iterator[tuple[str, ChargePointConfig, int]]:
        for site in self._sites.all():
            for point in site.charge_point:
                for connector in point.connectors:
                    if connector.free_start:
                        yield site.site.id, point, connector.id

    def _station(self, point: ChargePointConfig) -> Station | None:
        try:
            return self._charge_points.station(point.id)
        except NotFound:  # it has never called
            return None

    def _look(self, site_id: str, point: ChargePointConfig, number: int) -> None:
        station = self._station(point)
        if station is None or not station.connected:
            return
        place, now = (station.identity, number), self._clock.now()
        asking = self._asking.get(place)
        if (asking is not None and not asking.done()) or self._is_busy(*place):
            return
        live = station.connector(number)
        known = seen(self._starting.get(place, Starting()), live.status, live.transaction is not None, now)
        mode, _ = self._sites.effective_mode(site_id, f"{point.id}/{number}")
        move = next_move(known, live.status, now) if mode != "off" else "wait"
        if move == "give up":
            known = replace(known, is_told=True)
            self._charge_points.report(
                "connector.start_failed", station.identity, connector_id=number, words=known.words()
            )
        self._starting[place], live.starting = known, known.words() if mode != "off" else None
        if move == "ask" and self._charge_points.may_send_unsolicited(station.identity):
            self._asking[place] = asyncio.create_task(
                self._ask(place, start_tag(point, station)), name=f"free start {station.identity}/{number}"
            )

    async def _ask(self, place: Place, id_tag: str) -> None:
        identity, number = place
        why: str | None = None
        try:
            ask = {"connectorId": number, "idTag": id_tag}
            answer = await self._commands.send(identity, "RemoteStartTransaction", ask, origin=ORIGIN)
            if answer.get("status") != "Accepted":
                why = f"RemoteStartTransaction answered {answer.get('status')}"
        except CsmsError as error:
            why = str(error)
        log.info("session without a badge", charge_point=identity, connector=number, why=why)
        live = self._charge_points.station(identity).connector(number)
        if live.transaction is None:
            known = self._starting.get(place, Starting()).asked(self._clock.now(), why)
            self._starting[place], live.starting = known, known.words()


def start_tag(point: ChargePointConfig, station: Station) -> str:
    """A station in its own plug-and-charge mode takes the tag it is set to only (Alfen; evcc issue 5021)."""
    return (setting(station, "PlugAndChargeIdentifier") or "").strip() or point.start_tag


def is_start_tag(sites: Sites, charge_points: ChargePoints, identity: str, id_tag: str) -> bool:
    """Is it the tag that starts sessions at a connector of this station that needs no badge?"""
    site = sites.site_of_charge_point(identity)
    if site is None:
        return False
    point = next(p for p in site.charge_point if p.id.casefold() == identity.casefold())
    is_free = any(connector.free_start for connector in point.connectors)
    return is_free and same_tag(id_tag, start_tag(point, charge_points.station(identity)))
