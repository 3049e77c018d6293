"""One decision a minute for each site: read, decide, apply, record.

    meters, relays, stations -> Readings, Demands -> optimizer.decide -> relays, setpoints
                                                                     -> history, live snapshot

A tick never waits for a station, never dies of a broken device and goes on when the database does not.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError

from csms.clock import Clock
from csms.control_model import control_site
from csms.domain.charging_profile import ConnectorWiring
from csms.domain.site import ChargePointConfig, ConnectorConfig, SiteConfig, safe_currents
from csms.domain.snapshot import MeasuredPower, SiteSnapshot
from csms.errors import CsmsError, NotFound
from csms.services.charge_points import ChargePoints
from csms.services.events import Event, EventBus
from csms.services.live import LiveSites
from csms.services.reporting import Reporting
from csms.services.setpoints import Setpoints, Wish
from csms.services.sites import Sites
from csms.site_devices import RelayFault, SiteDevices
from csms.site_snapshot import site_snapshot
from drivers.device import DeviceConfigError
from optimizer import decide
from optimizer.memory import decision_to_dict, inputs_to_dict, memory_from_dict, memory_to_dict
from optimizer.model import (
    ConnectorDemand,
    ConnectorState,
    Decision,
    Demands,
    Memory,
    Site,
)

log = structlog.get_logger()

LIVE_INTERVAL_S = 5.0
SETTLE_S = 10.0  # after a change, samples younger than this still show the old state
WAKING_EVENTS = {"load.mode", "transaction.started", "transaction.stopped", "station.connected"}


class SiteControl:
    """Controls one site. Built anew when the site's description changes."""

    def __init__(
        self,
        config: SiteConfig,
        sites: Sites,
        charge_points: ChargePoints,
        setpoints: Setpoints,
        reporting: Reporting,
        live: LiveSites,
        clock: Clock,
    ) -> None:
        self._config = config
        self._sites, self._charge_points, self._setpoints = sites, charge_points, setpoints
        self._reporting, self._live, self._clock = reporting, live, clock
        self.devices = SiteDevices(config, clock.now, clock.sleep)
        self._appliances = {a.id: a for a in config.appliance}
        self._safe_a = safe_currents(config)
        self._memory = Memory()
        self._site: Site | None = None
        self._decision: Decision | None = None
        self._faults: list[RelayFault] = []
        self._changed_at: datetime | None = None
        self._wake = asyncio.Event()

    @property
    def interval_s(self) -> float:
        return self._config.site.control_interval_s

    def wake(self) -> None:
        """Decide soon, not only with the next minute: a person or a vehicle waits."""
        self._wake.set()

    async def run(self) -> None:
        await self.recall()
        await self.devices.start()
        try:
            while True:
                await self.tick()
                await self._pause()
        finally:
            await self.devices.stop()

    async def recall(self) -> None:
        """Take up the memory that the last decision before a restart left."""
        if (stored := await self._reporting.load_memory(self._config.site.id)) is not None:
            self._memory = memory_from_dict(stored[1])

    async def _pause(self) -> None:
        """Until the next full interval, or until woken and the last change has settled on the meters.

        Meanwhile the live picture is kept fresh.
        """
        now = self._clock.now()
        until = now + timedelta(seconds=self.interval_s - now.timestamp() % self.interval_s)
        while (left_s := (until - self._clock.now()).total_seconds()) > 0:
            if self._wake.is_set() and self._is_settled():
                break
            await self._sleep(min(left_s, LIVE_INTERVAL_S))
            self._publish()
        self._wake.clear()

    async def _sleep(self, seconds: float) -> None:
        """Sleep by the site's clock, or until woken."""
        if self._wake.is_set():
            await self._clock.sleep(min(seconds, 1.0))
            return
        timer = asyncio.ensure_future(self._clock.sleep(seconds))
        woken = asyncio.ensure_future(self._wake.wait())
        try:
            await asyncio.wait({timer, woken}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()
            woken.cancel()

    def _is_settled(self) -> bool:
        if self._changed_at is None:
            return True
        return (self._clock.now() - self._changed_at).total_seconds() >= SETTLE_S

    async def tick(self) -> Decision:
        """Read, decide, apply, record: one minute."""
        now = self._clock.now()
        self._site = control_site(self._config, self._modes())
        window_s = self._window_s(now)
        readings = self.devices.readings(window_s, now)
        demands = self._demands(now)
        decision, memory = decide(self._site, readings, demands, self._memory, now)
        inputs = inputs_to_dict(self._site, readings, demands, self._memory, now)
        self._memory, self._decision = memory, decision
        if _changes(decision, demands):
            self._changed_at = now
        minute = self._snapshot(demands, self.devices.measured(now, window_s), now)
        self._faults = await self._apply(decision, demands, now)
        self._publish()
        await self._record(minute, decision, inputs)
        return decision

    def _publish(self) -> None:
        """Show the newest measurements under the last decision."""
        now = self._clock.now()
        self._live.publish(self._snapshot(self._demands(now), self.devices.measured(now), now))

    def _snapshot(self, demands: Demands, measured: MeasuredPower, now: datetime) -> SiteSnapshot:
        assert self._site is not None
        assert self._decision is not None
        points = {point.id for point in self._config.charge_point}
        stations = {s.identity: s for s in self._charge_points.stations() if s.identity in points}
        return site_snapshot(
            self._config,
            self._site,
            self._decision,
            demands,
            measured,
            stations,
            self.devices.snapshots(now),
            self._faults,
            now,
        )

    def _modes(self) -> dict[str, tuple[str, object]]:
        site_id = self._config.site.id
        loads = [a.id for a in self._config.appliance]
        loads += [f"{p.id}/{c.id}" for p in self._config.charge_point for c in p.connectors]
        return {load: self._sites.effective_mode(site_id, load) for load in loads}

    def _window_s(self, now: datetime) -> float:
        """Mean over the interval, but only of samples taken after the last change has settled."""
        if self._changed_at is None:
            return self.interval_s
        since_s = (now - self._changed_at).total_seconds() - SETTLE_S / 2
        return max(1.0, min(self.interval_s, since_s))

    def _demands(self, now: datetime) -> Demands:
        return Demands(
            appliances={a.id: self.devices.appliance(a, now) for a in self._config.appliance},
            connectors={
                f"{point.id}/{connector.id}": self._connector_demand(point, connector)
                for point in self._config.charge_point
                for connector in point.connectors
            },
        )

    def _connector_demand(self, point: ChargePointConfig, connector: ConnectorConfig) -> ConnectorDemand:
        try:
            station = self._charge_points.station(point.id)
        except NotFound:
            return ConnectorDemand(ConnectorState.OFFLINE)
        live = station.connectors.get(connector.id)
        if live is None:
            state = ConnectorState.FREE if station.connected else ConnectorState.OFFLINE
            return ConnectorDemand(state)
        transaction, reading = live.transaction, live.reading
        offered_a = None
        if transaction is not None:
            offered_a = self._setpoints.offered_a(point.id, self._wiring(connector), transaction.id)
            offered_a = self._safe_a[point.id, connector.id] if offered_a is None else offered_a
        return ConnectorDemand(
            state=ConnectorState(live.state(self._clock.now(), connected=station.connected)),
            power_w=reading.power_w if reading else None,
            current_a=reading.current_a if reading else None,
            offered_a=offered_a,
            session=str(transaction.id) if transaction else None,
            delivered_wh=transaction.energy_wh if transaction else 0.0,
        )

    def _wiring(self, connector: ConnectorConfig) -> ConnectorWiring:
        return ConnectorWiring(connector.id, len(connector.phases), self._config.site.voltage_v)

    async def _apply(self, decision: Decision, demands: Demands, now: datetime) -> list[RelayFault]:
        limits = {c.id: c.limit_a for c in decision.connectors}
        for point in self._config.charge_point:
            wishes = {
                c.id: Wish(self._wiring(c), limits[f"{point.id}/{c.id}"], self._safe_a[point.id, c.id])
                for c in point.connectors
            }
            self._setpoints.want(point.id, wishes)
        reachable = {a.id: a.on for a in decision.appliances if demands.appliances[a.id].on is not None}
        return await self.devices.switch(self._appliances, reachable, now)

    async def _record(self, minute: SiteSnapshot, decision: Decision, inputs: dict[str, Any]) -> None:
        """History, decision and memory in one write. Without a database control goes on."""
        powers = {
            "grid_w": minute.grid_w,
            "pv_w": minute.pv_w,
            "battery_w": minute.battery_w,
            "house_w": minute.house_w,
            "controlled_w": minute.controlled_w,
            "loads_w": {load.id: load.power_w for load in minute.loads},
        }
        outcome, memory = decision_to_dict(decision), memory_to_dict(self._memory)
        site_id = self._config.site.id
        try:
            await self._reporting.record_minute(site_id, decision.at, powers, inputs, outcome, memory)
        except (SQLAlchemyError, OSError, CsmsError) as error:
            log.error("minute not recorded, control goes on", site=site_id, why=str(error))


def _changes(decision: Decision, demands: Demands) -> bool:
    """Whether anything will flow differently because of this decision."""
    return any(demands.appliances[a.id].on not in (None, a.on) for a in decision.appliances) or any(
        demands.connectors[c.id].session is not None and demands.connectors[c.id].offered_a != c.limit_a
        for c in decision.connectors
    )


class ControlLoops:
    """One SiteControl per site, started, restarted and woken by what happens."""

    def __init__(
        self,
        sites: Sites,
        charge_points: ChargePoints,
        setpoints: Setpoints,
        reporting: Reporting,
        live: LiveSites,
        clock: Clock,
        events: EventBus,
    ) -> None:
        self._sites, self._charge_points, self._setpoints = sites, charge_points, setpoints
        self._reporting, self._live, self._clock, self._events = reporting, live, clock, events
        self._controls: dict[str, tuple[SiteControl, asyncio.Task[None]]] = {}
        self._listener: asyncio.Task[None] | None = None

    async def start(self) -> None:
        ready = asyncio.Event()
        self._listener = asyncio.create_task(self._listen(ready), name="control loops")
        await ready.wait()
        for config in self._sites.all():
            self._begin(config)

    async def stop(self) -> None:
        if self._listener is not None:
            self._listener.cancel()
            await asyncio.gather(self._listener, return_exceptions=True)
        for site_id in list(self._controls):
            await self._end(site_id)

    async def _listen(self, ready: asyncio.Event) -> None:
        async with self._events.subscribe() as queue:
            ready.set()
            while True:
                await self._on_event(await queue.get())

    async def _on_event(self, event: Event) -> None:
        if event.kind == "site.changed":
            site_id = str(event.data["site_id"])
            await self._end(site_id)
            if any(config.site.id == site_id for config in self._sites.all()):
                self._begin(self._sites.get(site_id))
        elif event.kind in WAKING_EVENTS:
            for control, _ in self._controls.values():
                control.wake()

    def _begin(self, config: SiteConfig) -> None:
        try:
            control = SiteControl(
                config,
                self._sites,
                self._charge_points,
                self._setpoints,
                self._reporting,
                self._live,
                self._clock,
            )
        except DeviceConfigError as error:
            log.error("site not controlled", site=config.site.id, why=str(error))
            return
        task = asyncio.create_task(self._supervise(control, config.site.id), name=f"control {config.site.id}")
        self._controls[config.site.id] = (control, task)

    async def _end(self, site_id: str) -> None:
        if (entry := self._controls.pop(site_id, None)) is not None:
            entry[1].cancel()
            await asyncio.gather(entry[1], return_exceptions=True)

    async def _supervise(self, control: SiteControl, site_id: str) -> None:
        """A fault in our own code must not leave a building uncontrolled: log it whole and begin again.

        Until then stations fall back by their dead-man time and relays by their fail-safe.
        """
        while True:
            try:
                await control.run()
            except Exception:
                log.exception("control loop failed, starts again with the next interval", site=site_id)
                await self._clock.sleep(control.interval_s)
