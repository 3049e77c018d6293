"""What a station is asked and told once it is accepted, so that it can be measured and limited.

Order of reference practice: read the keys we need by name (some stations restart when asked for all),
set measurands and sample interval only where they differ (these writes wear flash), then have it
report its connectors. A station that refuses any of it is used as it is.
"""

from __future__ import annotations

import asyncio
from typing import Any

import structlog

from csms.errors import CallFailed, CsmsError
from csms.services.charge_points import ChargePoints
from csms.services.commands import Commands
from csms.services.events import EventBus
from csms.services.setpoints import Setpoints

log = structlog.get_logger()

KEYS = (
    "NumberOfConnectors",
    "SupportedFeatureProfiles",
    "MeterValueSampleInterval",
    "MeterValuesSampledData",
    "ChargeProfileMaxStackLevel",
    "ChargingScheduleAllowedChargingRateUnit",
    "ChargingScheduleMaxPeriods",
    "MaxChargingProfilesInstalled",
    "ConnectorPhaseRotation",
    "ConnectorSwitch3to1PhaseSupported",
    "AuthorizeRemoteTxRequests",
    "WebSocketPingInterval",
)
SAMPLE_INTERVAL_S = 30  # two samples in each control minute
WANTED = ("Energy.Active.Import.Register", "Power.Active.Import", "Current.Import", "Voltage", "SoC")
NEEDED = WANTED[:3]


class Provisioning:
    """Listens for stations that connect or boot and brings each to a known state, one task per station."""

    def __init__(
        self, charge_points: ChargePoints, commands: Commands, setpoints: Setpoints, events: EventBus
    ) -> None:
        self._charge_points, self._commands, self._setpoints = charge_points, commands, setpoints
        self._events = events
        self._listener: asyncio.Task[None] | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._unfinished: set[str] = set()

    async def start(self) -> None:
        ready = asyncio.Event()
        self._listener = asyncio.create_task(self._listen(ready), name="provisioning")
        await ready.wait()

    async def stop(self) -> None:
        tasks = [t for t in (self._listener, *self._tasks.values()) if t is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def settle(self) -> None:
        """Wait until every station that is being asked has been asked everything."""
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _listen(self, ready: asyncio.Event) -> None:
        async with self._events.subscribe("station.") as queue:
            ready.set()
            while True:
                event = await queue.get()
                try:
                    self._on_event(event.kind, str(event.data.get("identity", "")))
                except Exception:  # supervisor: one station's trouble must not leave all others unprovisioned
                    log.exception("event not followed", kind=event.kind)

    def _on_event(self, kind: str, identity: str) -> None:
        if kind == "station.booted":
            self._begin(identity, afresh=True)
        elif kind == "station.connected":
            self._begin(identity, afresh=False)
        elif kind == "station.profiles_cleared":
            self._setpoints.renew(identity)

    def _begin(self, identity: str, *, afresh: bool) -> None:
        """A boot repeats the questions: firmware or settings may have changed. A mere reconnect does not."""
        station = self._charge_points.station(identity)
        is_known = station.configuration and identity not in self._unfinished
        if not self._charge_points.may_send_unsolicited(identity) or (is_known and not afresh):
            return
        if (running := self._tasks.get(identity)) is not None:
            running.cancel()
        self._tasks[identity] = asyncio.create_task(
            self._provision(identity, afresh), name=f"provision {identity}"
        )

    async def _provision(self, identity: str, has_booted: bool) -> None:
        self._unfinished.add(identity)
        try:
            if has_booted:  # not every station keeps its profiles over a restart
                await self._setpoints.forget(identity)
            await self._ask(identity, "GetConfiguration", {"key": list(KEYS)})
            self._setpoints.renew(identity)  # now that the unit it takes is known
            await self._set_measurands(identity)
            await self._set_sample_interval(identity)
            for message in ("StatusNotification", "MeterValues"):
                await self._ask(identity, "TriggerMessage", {"requestedMessage": message})
            self._unfinished.discard(identity)
        except CsmsError as error:
            log.warning("provisioning not finished", charge_point=identity, why=str(error))

    async def _ask(self, identity: str, action: str, payload: dict[str, Any]) -> dict[str, Any]:
        """What the station refuses does not keep us from asking the rest."""
        try:
            return await self._commands.send(identity, action, payload)
        except CallFailed as error:
            log.info("station refused", charge_point=identity, action=action, why=str(error))
            return {}

    async def _set_measurands(self, identity: str) -> None:
        """The whole wish first; if the station refuses it, what control cannot do without."""
        current = self._configuration(identity).get("MeterValuesSampledData") or ""
        have = {part.strip().lower() for part in current.replace("'", "").split(",")}
        if all(name.lower() in have for name in NEEDED):
            return
        for names in (WANTED, NEEDED):
            if await self._change(identity, "MeterValuesSampledData", ",".join(names)):
                return

    async def _set_sample_interval(self, identity: str) -> None:
        current = self._configuration(identity).get("MeterValueSampleInterval") or "0"
        if not current.isdigit() or not 0 < int(current) <= SAMPLE_INTERVAL_S:
            await self._change(identity, "MeterValueSampleInterval", str(SAMPLE_INTERVAL_S))

    async def _change(self, identity: str, key: str, value: str) -> bool:
        answer = await self._ask(identity, "ChangeConfiguration", {"key": key, "value": value})
        accepted = answer.get("status") in ("Accepted", "RebootRequired")
        if not accepted:
            log.info("setting refused", charge_point=identity, key=key, answer=answer.get("status"))
        return accepted

    def _configuration(self, identity: str) -> dict[str, str | None]:
        return self._charge_points.station(identity).configuration
