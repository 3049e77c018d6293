"""Asks stations for meter values when those of a running transaction have become old.

Control needs two samples a minute. A station that samples rarely, or has stopped to, may still tell when it
is asked; one that answers that it cannot is not asked again until it boots.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import structlog

from csms.clock import Clock
from csms.domain.charge_point import LiveConnector, Station
from csms.errors import CallFailed, CsmsError
from csms.services.charge_points import ChargePoints
from csms.services.commands import Commands
from csms.services.events import Event, EventBus, Listener
from csms.services.provisioning import may_be_triggered

log = structlog.get_logger()

STALE_AFTER = timedelta(minutes=2)
LOOK_EVERY_S = 60.0


class StaleReadings:
    def __init__(
        self, charge_points: ChargePoints, commands: Commands, events: EventBus, clock: Clock
    ) -> None:
        self._charge_points, self._commands = charge_points, commands
        self._clock = clock
        self._boots = Listener(events, "stale readings", ("station.booted",), self._booted)
        self._watch: asyncio.Task[None] | None = None
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._cannot: set[str] = set()

    async def start(self) -> None:
        self._boots.start()
        self._watch = asyncio.create_task(self._look(), name="stale readings")

    async def stop(self) -> None:
        await self._boots.stop()
        tasks = [task for task in (self._watch, *self._asking.values()) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _booted(self, event: Event) -> None:
        self._cannot.discard(str(event.data.get("identity")))

    async def _look(self) -> None:
        while True:
            await self._clock.sleep(LOOK_EVERY_S)
            for station in self._charge_points.stations():
                if self._may_ask(station) and (stale := self._stale(station)):
                    task = asyncio.create_task(self._ask(station.identity, stale))
                    self._asking[station.identity] = task

    def _may_ask(self, station: Station) -> bool:
        asking = self._asking.get(station.identity)
        return (
            station.connected
            and station.identity not in self._cannot
            and (asking is None or asking.done())
            and self._charge_points.may_send_unsolicited(station.identity)
            and may_be_triggered(station)
        )

    def _stale(self, station: Station) -> list[int]:
        now = self._clock.now()
        return [number for number, live in station.connectors.items() if is_stale(live, now)]

    async def _ask(self, identity: str, connector_ids: list[int]) -> None:
        try:
            for connector_id in connector_ids:
                message = {"requestedMessage": "MeterValues", "connectorId": connector_id}
                answer = await self._commands.send(
                    identity, "TriggerMessage", message, origin="stale readings"
                )
                if answer.get("status") in ("NotImplemented", "Rejected"):
                    self._give_up(identity, str(answer.get("status")))
                    return
        except CallFailed as error:
            self._give_up(identity, str(error))
        except CsmsError as error:
            log.info("meter values not asked for", charge_point=identity, why=str(error))

    def _give_up(self, identity: str, why: str) -> None:
        self._cannot.add(identity)
        log.info("does not tell meter values when asked", charge_point=identity, why=why)


def is_stale(live: LiveConnector, now: datetime) -> bool:
    """A transaction runs, and what was measured last is old, or nothing was since it began."""
    if live.transaction is None:
        return False
    moments = [live.transaction.started_at] + ([live.reading.at] if live.reading is not None else [])
    past = [moment for moment in moments if moment <= now]  # a station's clock may be ahead
    return bool(past) and now - max(past) > STALE_AFTER
