"""Stops a session that no limit holds before its fuse blows, and has it begun anew when there is room.

Asked for by the events "connector.stop" and "connector.begin_anew" of the control loop, which asks again as
long as that has not come about. What comes of it is told by "connector.stopped_for_fuse" and
"connector.stop_failed".
"""

from __future__ import annotations

import asyncio
from typing import Any

import structlog

from csms.errors import CsmsError
from csms.services.charge_points import ChargePoints
from csms.services.commands import Commands
from csms.services.events import Event, EventBus, Listener
from csms.storage import transactions
from csms.storage.database import Database

log = structlog.get_logger()

ORIGIN = "fuse"
Place = tuple[str, int]


class FuseStops:
    def __init__(
        self, database: Database, charge_points: ChargePoints, commands: Commands, events: EventBus
    ) -> None:
        self._database, self._charge_points = database, charge_points
        self._commands = commands
        self._listener = Listener(
            events, "fuse stops", ("connector.stop", "connector.begin_anew"), self._asked
        )
        self._asking: dict[Place, asyncio.Task[None]] = {}

    async def start(self) -> None:
        self._listener.start()

    async def stop(self) -> None:
        await self._listener.stop()
        for task in self._asking.values():
            task.cancel()
        await asyncio.gather(*self._asking.values(), return_exceptions=True)

    async def _asked(self, event: Event) -> None:
        if event.kind in ("connector.stop", "connector.begin_anew"):  # not "connector.stop_failed" …
            self._begin(event)

    def _begin(self, event: Event) -> None:
        place = (str(event.data["identity"]), int(event.data["connector_id"]))
        running = self._asking.get(place)
        is_busy = running is not None and not running.done()
        if is_busy or not self._charge_points.may_send_unsolicited(place[0]):
            return
        work = self._end_session if event.kind == "connector.stop" else self._begin_anew
        self._asking[place] = asyncio.create_task(work(place, event.data), name=f"fuse stop {place}")

    async def _end_session(self, place: Place, data: dict[str, Any]) -> None:
        """The transaction must still be the one that was meant."""
        identity, connector_id = place
        live = self._charge_points.station(identity).connector(connector_id)
        if live.transaction is None or live.transaction.id != data["transaction_id"]:
            return
        ask = {"transactionId": live.transaction.id}
        why = await self._ask(identity, "RemoteStopTransaction", ask)
        kind = "connector.stopped_for_fuse" if why is None else "connector.stop_failed"
        log.error("session stopped for a fuse", charge_point=identity, connector=connector_id, why=why)
        self._charge_points.report(
            kind,
            identity,
            connector_id=connector_id,
            transaction_id=live.transaction.id if live.transaction else data["transaction_id"],
            words=data["words"] if why is None else f"{data['words']}; {why}",
        )

    async def _begin_anew(self, place: Place, data: dict[str, Any]) -> None:
        """With the tag of the session that was stopped."""
        identity, connector_id = place
        async with self._database.read() as conn:
            last = await transactions.last_stopped(conn, identity, connector_id)
        live = self._charge_points.station(identity).connector(connector_id)
        if last is None or not last["id_tag"] or live.transaction is not None:
            return
        ask = {"connectorId": connector_id, "idTag": last["id_tag"]}
        why = await self._ask(identity, "RemoteStartTransaction", ask)
        log.info("session to begin anew", charge_point=identity, connector=connector_id, why=why)

    async def _ask(self, identity: str, action: str, ask: dict[str, Any]) -> str | None:
        """Answers why it is not going to happen."""
        try:
            answer = await self._commands.send(identity, action, ask, origin=ORIGIN)
        except CsmsError as error:
            return str(error)
        return None if answer.get("status") == "Accepted" else f"{action} answered {answer.get('status')}"
