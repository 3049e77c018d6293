"""What a station is asked to do for a vehicle that no offer wakes, where its owner allows it.

restart: the session is stopped and begun anew with the same tag. availability: in between the connector is
out of service for a moment, which drops the pilot signal. reset: the station restarts, unless another vehicle
is in a session there; then the session is begun anew. Asked for by the event "connector.wake"; the
transaction must still be the one that was meant. What comes of it is told: "connector.woken", or
"connector.wake_failed" with the words for people.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import structlog

from csms.clock import Clock
from csms.domain.charge_point import LiveConnector, OpenTransaction
from csms.errors import CsmsError
from csms.services.charge_points import ChargePoints
from csms.services.commands import Commands
from csms.services.events import Event, EventBus

log = structlog.get_logger()

ORIGIN = "wake up"
LOOK_EVERY_S = 1.0
STOPS_WITHIN_S, RESTARTS_WITHIN_S, STARTS_WITHIN_S = 60.0, 300.0, 90.0
SETTLE_S = 5.0  # a station that has just ended a session is not ready for the next at once
OUT_OF_SERVICE_S = 10.0
START_TRIES = 3


class WakeUp:
    def __init__(
        self, charge_points: ChargePoints, commands: Commands, events: EventBus, clock: Clock
    ) -> None:
        self._charge_points, self._commands = charge_points, commands
        self._events, self._clock = events, clock
        self._listener: asyncio.Task[None] | None = None
        self._tasks: dict[tuple[str, int], asyncio.Task[None]] = {}

    async def start(self) -> None:
        ready = asyncio.Event()
        self._listener = asyncio.create_task(self._listen(ready), name="wake up")
        await ready.wait()

    async def stop(self) -> None:
        tasks = [task for task in (self._listener, *self._tasks.values()) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def is_at_work(self, identity: str, connector_id: int) -> bool:
        """Between a stop and the start that follows: nobody else need start anything."""
        task = self._tasks.get((identity, connector_id))
        return task is not None and not task.done()

    async def _listen(self, ready: asyncio.Event) -> None:
        async with self._events.subscribe("connector.wake") as queue:
            ready.set()
            while True:
                event = await queue.get()
                if event.kind == "connector.wake":
                    self._begin(event)

    def _begin(self, event: Event) -> None:
        identity, connector_id = str(event.data["identity"]), int(event.data["connector_id"])
        running = self._charge_points.station(identity).connector(connector_id).transaction
        is_meant = running is not None and running.id == event.data["transaction_id"]
        if not is_meant or running is None or not running.id_tag or self.is_at_work(identity, connector_id):
            return
        if not self._charge_points.may_send_unsolicited(identity):
            return
        self._tasks[identity, connector_id] = asyncio.create_task(
            self._wake(identity, connector_id, running, str(event.data["step"])),
            name=f"wake {identity}/{connector_id}",
        )

    async def _wake(self, identity: str, connector_id: int, running: OpenTransaction, step: str) -> None:
        log.info("vehicle to be woken", charge_point=identity, connector=connector_id, step=step)
        try:
            why = await self._end_session(identity, connector_id, running, step)
            why = why or await self._begin_anew(identity, connector_id, running.id_tag)
        except CsmsError as error:
            why = str(error)
        kind = "connector.woken" if why is None else "connector.wake_failed"
        self._charge_points.report(kind, identity, connector_id=connector_id, step=step, words=why)
        if why is not None:
            log.warning("vehicle not woken", charge_point=identity, connector=connector_id, why=why)

    async def _end_session(
        self, identity: str, connector_id: int, running: OpenTransaction, step: str
    ) -> str | None:
        """Answers why it could not be ended; then it goes on."""
        live = self._charge_points.station(identity).connector(connector_id)
        ask: dict[str, Any] = {"transactionId": running.id}
        action, within_s = "RemoteStopTransaction", STOPS_WITHIN_S
        if step == "reset":
            if self._others_charge(identity, connector_id):
                return "another vehicle is in a session at this station"
            ask, action, within_s = {"type": "Soft"}, "Reset", RESTARTS_WITHIN_S
        answer = await self._commands.send(identity, action, ask, origin=ORIGIN)
        if answer.get("status") != "Accepted":
            return f"{action}: answered {answer.get('status')}"
        if not await self._until(lambda: _is_over(live, running), within_s):
            return f"{action}: accepted, but the session goes on"
        if step == "reset" and not await self._until(
            lambda: self._charge_points.is_connected(identity), within_s
        ):
            return "the station did not come back"
        await self._clock.sleep(SETTLE_S)
        if step == "availability":
            await self._out_of_service(identity, connector_id)
        return None

    async def _out_of_service(self, identity: str, connector_id: int) -> None:
        """For a moment; back in service whatever happens in between."""
        ask = {"connectorId": connector_id, "type": "Inoperative"}
        await self._commands.send(identity, "ChangeAvailability", ask, origin=ORIGIN)
        try:
            await self._clock.sleep(OUT_OF_SERVICE_S)
        finally:
            ask = {"connectorId": connector_id, "type": "Operative"}
            await self._commands.send(identity, "ChangeAvailability", ask, origin=ORIGIN)
        await self._clock.sleep(SETTLE_S)

    async def _begin_anew(self, identity: str, connector_id: int, id_tag: str) -> str | None:
        """Answers why not. Whoever pulls the cable meanwhile ends it."""
        live = self._charge_points.station(identity).connector(connector_id)
        why: str | None = None
        for _ in range(START_TRIES):
            if live.transaction is not None or live.status == "Available":
                return None
            ask = {"connectorId": connector_id, "idTag": id_tag}
            answer = await self._commands.send(identity, "RemoteStartTransaction", ask, origin=ORIGIN)
            why = f"RemoteStartTransaction: answered {answer.get('status')}"
            if answer.get("status") == "Accepted":
                why = "RemoteStartTransaction: accepted, but no session began"
                if await self._until(lambda: live.transaction is not None, STARTS_WITHIN_S):
                    return None
            await self._clock.sleep(SETTLE_S)
        return why

    def _others_charge(self, identity: str, connector_id: int) -> bool:
        connectors = self._charge_points.station(identity).connectors
        return any(
            other.transaction is not None for number, other in connectors.items() if number != connector_id
        )

    async def _until(self, is_so: Callable[[], bool], within_s: float) -> bool:
        began_at = self._clock.now()
        while not is_so():
            if not 0 <= (self._clock.now() - began_at).total_seconds() < within_s:
                return False
            await self._clock.sleep(LOOK_EVERY_S)
        return True


def _is_over(live: LiveConnector, running: OpenTransaction) -> bool:
    return live.transaction is None or live.transaction.id != running.id
