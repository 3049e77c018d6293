"""Restarts stations of makes that do not leave Finishing by themselves, so that the next driver can charge.

Only when nothing is charged there, a minute after the session's end, and once for each session: with the
cable still in, some go on saying Finishing.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import structlog

from csms.clock import Clock
from csms.domain.charge_point import Station
from csms.domain.station_vendors import make_of
from csms.errors import CsmsError
from csms.services.charge_points import ChargePoints
from csms.services.commands import Commands

log = structlog.get_logger()

LOOK_EVERY_S = 10.0
STUCK_AFTER = timedelta(seconds=60)
ORIGIN = "stuck connector"


class StuckConnectors:
    def __init__(self, charge_points: ChargePoints, commands: Commands, clock: Clock) -> None:
        self._charge_points, self._commands, self._clock = charge_points, commands, clock
        self._watcher: asyncio.Task[None] | None = None
        self._freed: set[tuple[str, int]] = set()  # since their last session
        self._used_at: dict[str, datetime] = {}  # station -> when a session was last seen to run

    async def start(self) -> None:
        self._watcher = asyncio.create_task(self._watch(), name="stuck connectors")

    async def stop(self) -> None:
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)

    async def _watch(self) -> None:
        while True:
            for station in self._charge_points.stations():
                try:
                    if make_of(station.vendor, station.model).stays_finishing:
                        await self._look(station)
                except Exception:  # supervisor: one station's trouble must not leave all others stuck
                    log.exception("station not looked at", charge_point=station.identity)
            await self._clock.sleep(LOOK_EVERY_S)

    async def _look(self, station: Station) -> None:
        identity, now = station.identity, self._clock.now()
        in_use = {(identity, n) for n, live in station.connectors.items() if live.transaction is not None}
        if in_use:
            self._freed -= in_use
            self._used_at[identity] = now
            return
        stuck = {
            (identity, number): live.status_at
            for number, live in station.connectors.items()
            if live.status == "Finishing" and live.status_at is not None
        }
        # By then all connectors have told how their sessions left them, and one restart frees them all.
        is_at_rest = now - self._used_at.get(identity, now - STUCK_AFTER) >= STUCK_AFTER
        is_due = any(now - at >= STUCK_AFTER for place, at in stuck.items() if place not in self._freed)
        if not is_due or not is_at_rest or not station.connected:
            return
        if not self._charge_points.may_send_unsolicited(identity):
            return
        self._freed.update(stuck)
        try:
            answer = await self._commands.send(identity, "Reset", {"type": "Soft"}, origin=ORIGIN)
        except CsmsError as error:
            log.warning("stuck connector not freed", charge_point=identity, why=str(error))
            return
        log.info("stuck connector freed by a restart", charge_point=identity, answer=answer.get("status"))
        connectors = sorted(number for _, number in stuck)
        self._charge_points.report("station.restarted_to_free_it", identity, connectors=connectors)
