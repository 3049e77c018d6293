"""One decision a minute for each site: read, decide, apply, record.

    meters, relays, stations -> Readings, Demands -> optimizer.decide -> relays, setpoints
                                                                     -> history, live snapshot

A tick never waits for a station, never dies of a broken device and goes on when the database does not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.metadata import version
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError

from csms.clock import Clock
from csms.control_model import control_site, with_undescribed
from csms.decide_at_fuses import decide_at_fuses
from csms.domain.check_report import CheckReport
from csms.domain.control_slot import Wish
from csms.domain.site import SiteConfig
from csms.domain.snapshot import MeasuredPower, SiteSnapshot
from csms.domain.wiring import Finding
from csms.errors import CsmsError, NotFound
from csms.held_limits import HeldLimits
from csms.services.charge_points import ChargePoints
from csms.services.events import Event, EventBus
from csms.services.live import LiveSites
from csms.services.reporting import Reporting
from csms.services.setpoints import Setpoints
from csms.services.site_checks import Tell
from csms.services.sites import Sites
from csms.site_check import SETTLE_S as CHECK_SETTLE_S
from csms.site_check import Progress, SiteCheck, appliances_under_test
from csms.site_devices import STALE_S, RelayFault, SiteDevices, relay_places
from csms.site_snapshot import site_snapshot
from csms.station_check import StationsOfServer
from csms.station_demands import SETTLE_S, WIRE_RESOLUTION_A, StationDemands
from csms.vehicle_events import tell_of_vehicles
from drivers.device import DeviceConfigError
from drivers.modbus_bus import BusPool
from optimizer.memory import decision_to_dict, inputs_to_dict, memory_from_dict, memory_to_dict, set_back
from optimizer.model import ConnectorDemand, ConnectorState, Decision, Demands, Memory, Mode, Site
from optimizer.schedule import open_until

log = structlog.get_logger()

LIVE_INTERVAL_S = 5.0
WOKEN_AT_MOST_EVERY_S = 2.0
MAY_NOT_WAIT = ("limited", "import_limit", "load_shedding")
"""Reasons of reductions: a fuse, a contract, the grid operator."""
BY_HAND = (Mode.OFF, Mode.ON, Mode.FULL, Mode.MANUAL)
ASKED_FOR = ("timer", "need")
WAKING_EVENTS = {
    "load.mode",
    "load.target",
    "load.unplugged",
    "transaction.started",
    "transaction.stopped",
    "station.connected",
    "station.profiles_cleared",
    "station.charges_freely",
}


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
        lines: BusPool | None = None,
    ) -> None:
        self._config = config
        self._sites, self._charge_points = sites, charge_points
        self._reporting, self._live, self._clock = reporting, live, clock
        self.devices = SiteDevices(config, clock.now, clock.sleep, lines)
        self._limits = HeldLimits(setpoints)
        self._stations = StationsOfServer(config, charge_points, setpoints, self._limits, clock)
        self._appliances = {a.id: a for a in config.appliance}
        self._asking = StationDemands(config, sites, charge_points, setpoints)
        self._memory = Memory()
        self._remembered_at: datetime | None = None
        self._site: Site | None = None
        self._decision: Decision | None = None
        self._faults: list[RelayFault] = []
        self._changed_at: datetime | None = None
        self._wake = asyncio.Event()
        self._switching = asyncio.Lock()
        self._under_test: frozenset[str] = frozenset()
        self._check: asyncio.Task[Any] | None = None

    @property
    def interval_s(self) -> float:
        return self._config.site.control_interval_s

    def wake(self) -> None:
        """Decide soon, not only with the next minute: a person or a vehicle waits."""
        self._wake.set()

    async def run(self) -> None:
        try:
            await self.recall()
            await self.devices.start()
            while True:
                await self.tick()
                await self.pause()
        finally:
            await self._end_check()
            await self.devices.stop()

    async def check(
        self, switching: bool, tell: Callable[[Progress], None], settle_s: float = CHECK_SETTLE_S
    ) -> list[Finding]:
        """Look at devices and wiring. Meanwhile nothing here switches the loads that are switched there."""
        self._check = asyncio.current_task()
        try:
            async with self._switching:
                self._under_test = appliances_under_test(self._config) if switching else frozenset()
            check = SiteCheck(
                self._config,
                self.devices,
                self._clock.now,
                self._clock.sleep,
                tell,
                self._stations,
                settle_s,
            )
            return await check.run(switching)
        finally:
            self._check, self._under_test = None, frozenset()
            self.wake()

    async def _end_check(self) -> None:
        """While devices still answer, so that relays get back to what they were."""
        if self._check is not None:
            self._check.cancel()
            await asyncio.gather(self._check, return_exceptions=True)

    async def recall(self) -> None:
        """Take up the memory that the last decision before a restart left. Without it control goes on."""
        site_id = self._config.site.id
        try:
            if (stored := await self._reporting.load_memory(site_id)) is not None:
                self._remembered_at, self._memory = stored[0], memory_from_dict(stored[1])
        except (SQLAlchemyError, OSError, CsmsError, KeyError, TypeError, ValueError) as error:
            log.error("memory of the last minute not readable", site=site_id, why=repr(error))

    async def pause(self) -> None:
        """Until the next full interval, or until woken; but not before meters show the last change.

        Meanwhile the live picture is kept fresh. A clock that is set back ends the pause. After one that is
        set forward, or a machine that slept, devices are asked anew: what they told before looks old.
        """
        now = self._clock.now()
        until = now + timedelta(seconds=self.interval_s - now.timestamp() % self.interval_s)
        if self._changed_at is not None:
            until = max(until, self._changed_at + timedelta(seconds=SETTLE_S))
        longest_s = (until - now).total_seconds()
        while 0 < (left_s := (until - self._clock.now()).total_seconds()) <= longest_s:
            if self._wake.is_set() and self._is_settled():
                break
            await self._sleep(min(left_s, LIVE_INTERVAL_S))
            self._publish()
            if self._operator_speaks():
                self.wake()
        self._wake.clear()
        if (self._clock.now() - until).total_seconds() > STALE_S:
            await self.devices.poll()

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

    def _operator_speaks(self) -> bool:
        """Whether the grid operator's contact is given and not obeyed yet."""
        contact = self.devices.contact()
        return (
            contact is not None and contact.active and not (self._decision and self._decision.load_shedding)
        )

    def _is_settled(self) -> bool:
        now = self._clock.now()
        if self._decision is not None and (now - self._decision.at).total_seconds() < WOKEN_AT_MOST_EVERY_S:
            return False
        return self._changed_at is None or (now - self._changed_at).total_seconds() >= SETTLE_S

    async def tick(self) -> Decision:
        """Read, decide, apply, record: one minute."""
        now = self._clock.now()
        self._live_by(now)
        asking = self._asking
        site = control_site(self._config, self._modes(), asking.vehicle_min_a(), asking.facts())
        self._site = with_undescribed(site, asking.undescribed(now))
        window_s = self._window_s(now)
        readings = self.devices.readings(window_s, now, self._changed_at)
        demands, outranked = self._demands(now), asking.outranked()
        decision, memory, demands = decide_at_fuses(
            self._site, readings, demands, self._memory, now, outranked
        )
        overruled = {id for id in outranked if demands.connectors[id].controllable}
        inputs = inputs_to_dict(self._site, readings, demands, self._memory, now)
        tell_of_vehicles(self._charge_points.report, self._memory, memory, demands, decision)
        if _changes(decision, demands) or _changes_phases(decision, self._decision):
            self._changed_at = now
        self._memory, self._decision, self._remembered_at = memory, decision, now
        minute = self._snapshot(demands, self.devices.measured(now, window_s), now)
        self._faults = await self._apply(decision, demands, overruled, now)
        self._publish()
        await self._record(minute, decision, inputs)
        return decision

    def _live_by(self, now: datetime) -> None:
        """By a clock that was set back the last minute is still to come: what is remembered moves with it."""
        if self._remembered_at is None or now >= self._remembered_at:
            return
        ahead = self._remembered_at - now
        log.warning("clock set back", site=self._config.site.id, by_s=ahead.total_seconds())
        self._memory = set_back(self._memory, ahead)
        self._asking.forget_absences()
        if self._changed_at is not None:
            self._changed_at -= ahead

    def _publish(self) -> None:
        """Show the newest measurements under the last decision."""
        now = self._clock.now()
        self._live.publish(self._snapshot(self._demands(now), self.devices.measured(now), now))

    def _snapshot(self, demands: Demands, measured: MeasuredPower, now: datetime) -> SiteSnapshot:
        assert self._site is not None
        assert self._decision is not None
        return site_snapshot(
            self._config,
            self._site,
            self._decision,
            demands,
            measured,
            self._asking.stations(),
            self.devices.snapshots(now),
            self._faults,
            now,
            self.devices.lines(),
            self._asking.undescribed(now),
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
        appliances = {a.id: self.devices.appliance(a, now) for a in self._config.appliance}
        return Demands(appliances, self._asking.of_connectors(self._memory, now, self._limits.held))

    async def _apply(
        self, decision: Decision, demands: Demands, overruled: set[str], now: datetime
    ) -> list[RelayFault]:
        assert self._site is not None
        decided = {c.id: c for c in decision.connectors}
        pauses = {c.id: c.pauses for c in self._site.connectors}
        modes = {c.id: c.mode for c in self._site.connectors}
        for point in self._config.charge_point:
            wishes = {}
            for connector in point.connectors:
                id = f"{point.id}/{connector.id}"
                safe_a = self._asking.safe_a[point.id, connector.id]
                wishes[connector.id] = Wish(
                    self._asking.wiring(connector),
                    decided[id].limit_a if demands.connectors[id].controllable else safe_a,
                    safe_a,
                    step_a=connector.step_a,
                    number_phases=decided[id].phase_count,
                    pauses=pauses[id],
                    is_urgent=decided[id].is_urgent or decided[id].reason.code in MAY_NOT_WAIT,
                    is_asked_for=modes[id] in BY_HAND or decided[id].reason.code in ASKED_FOR,
                    overrules=id in overruled,
                )
            self._limits.want(point.id, wishes, point.max_profile_writes_per_day)
        wanted = {a.id: a.on for a in decision.appliances}
        lost = {id for id in wanted if demands.appliances[id].on is None}
        for id in lost:
            wanted[id] = self._left_on(id, wanted[id], now)
        async with self._switching:
            wanted = {id: on for id, on in wanted.items() if id not in self._under_test}
            return await self.devices.switch(self._appliances, wanted, lost, now)

    def _left_on(self, appliance_id: str, decided: frozenset[str], now: datetime) -> frozenset[str]:
        """What may stay closed of an appliance that does not answer on all its relays.

        Nobody can tell any more whether the sun covers it, so nothing stays closed for the sun.
        """
        assert self._site is not None
        appliance = next(a for a in self._site.appliances if a.id == appliance_id)
        in_window = appliance.mode is Mode.SOLAR_AND_TIMER and open_until(
            appliance.windows, self._site.timezone, now
        )
        need = self._memory.needs.get(appliance_id)
        must_run = in_window or (need is not None and need.forced)
        follows_sun = appliance.mode in (Mode.SOLAR_ONLY, Mode.SOLAR_AND_TIMER) and not must_run
        return frozenset() if follows_sun else decided

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
    if any(demands.appliances[a.id].on not in (None, a.on) for a in decision.appliances):
        return True
    return any(_is_new_limit(demands.connectors[c.id], c.limit_a) for c in decision.connectors)


def _changes_phases(decision: Decision, before: Decision | None) -> bool:
    counts = {} if before is None else {c.id: c.phase_count for c in before.connectors}
    return any(c.phase_count != counts.get(c.id, c.phase_count) for c in decision.connectors if c.limit_a > 0)


def _is_new_limit(demand: ConnectorDemand, limit_a: float) -> bool:
    if demand.session is None or demand.state is ConnectorState.OFFLINE:
        return False
    return demand.offered_a is None or abs(demand.offered_a - limit_a) >= WIRE_RESOLUTION_A


@dataclass(slots=True)
class _Loop:
    """identities: of the site's stations, in lower case."""

    config: SiteConfig
    identities: frozenset[str]
    control: SiteControl | None = None
    task: asyncio.Task[None] | None = None


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
        self.check_settle_s = CHECK_SETTLE_S  # longer where the site's clock runs faster than its meters
        self._lines = BusPool(clock.now, asyncio.sleep)
        self._loops: dict[str, _Loop] = {}
        self._changed: asyncio.Queue[str] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        ready = asyncio.Event()
        self._tasks = [
            asyncio.create_task(self._listen(ready), name="control loops"),
            asyncio.create_task(self._follow_changes(), name="changed sites"),
        ]
        await ready.wait()
        for config in self._sites.all():
            self._begin(config)

    async def stop(self) -> None:
        """Relays stay as they are and stations keep their limits: a restart must not be noticed."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for site_id in list(self._loops):
            await self._end(site_id)

    async def check(self, site_id: str, switching: bool, tell: Tell) -> CheckReport:
        """Raises NotFound: nobody controls the site."""
        loop = self._loops.get(site_id)
        if loop is None or loop.control is None:
            raise NotFound("a controller of site", site_id)
        started_at = self._clock.now()
        findings = await loop.control.check(
            switching, lambda p: tell(p.done, p.total, p.doing), self.check_settle_s
        )
        return CheckReport(
            config=loop.config,
            started_at=started_at,
            ended_at=self._clock.now(),
            version=version("helianthus"),
            switched=switching,
            findings=tuple(findings),
        )

    async def _listen(self, ready: asyncio.Event) -> None:
        async with self._events.subscribe("site.changed", *WAKING_EVENTS) as queue:
            ready.set()
            while True:
                event = await queue.get()
                if event.kind == "site.changed":
                    self._changed.put_nowait(str(event.data.get("site_id")))
                elif event.kind in WAKING_EVENTS:
                    self._wake(event)

    def _wake(self, event: Event) -> None:
        identity = str(event.data.get("identity", "")).casefold()
        for site_id, loop in self._loops.items():
            if loop.control is not None and (
                event.data.get("site_id") == site_id or identity in loop.identities
            ):
                loop.control.wake()

    async def _follow_changes(self) -> None:
        """Apart from the listener: ending a loop takes time, in which no event may be lost."""
        while True:
            site_id = await self._changed.get()
            try:
                before = await self._end(site_id)
                after = next((c for c in self._sites.all() if c.site.id == site_id), None)
                if before is not None:
                    await self._open_what_is_given_up(before, after)
                if after is not None:
                    self._begin(after)
            except Exception:  # supervisor: the next change must still be followed
                log.exception("changed site not taken up", site=site_id)

    def _begin(self, config: SiteConfig) -> None:
        loop = _Loop(config, frozenset(point.id.casefold() for point in config.charge_point))
        loop.task = asyncio.create_task(self._supervise(loop), name=f"control {config.site.id}")
        self._loops[config.site.id] = loop

    async def _end(self, site_id: str) -> SiteConfig | None:
        """Answers the description that was in force."""
        loop = self._loops.pop(site_id, None)
        if loop is None or loop.task is None:
            return None
        loop.task.cancel()
        await asyncio.gather(loop.task, return_exceptions=True)
        return loop.config

    async def _open_what_is_given_up(self, before: SiteConfig, after: SiteConfig | None) -> None:
        """Relays that the site no longer has: nobody is going to switch them any more."""
        kept = set(relay_places(after).values()) if after else set()
        given_up = {relay for relay, place in relay_places(before).items() if place not in kept}
        if given_up:
            devices = SiteDevices(before, self._clock.now, self._clock.sleep, self._lines)
            try:
                await devices.open_relays(given_up)
            finally:
                await devices.stop()

    async def _supervise(self, loop: _Loop) -> None:
        """A fault in our own code must not leave a building uncontrolled: log it whole and begin anew.

        Until then stations fall back by their dead-man time and relays by their fail-safe.
        """
        site_id = loop.config.site.id
        while True:
            try:
                loop.control = self._control(loop.config)
                await loop.control.run()
            except DeviceConfigError as error:
                log.error("site not controlled", site=site_id, why=str(error))
                return
            except Exception:
                log.exception("control loop failed, starts anew with the next interval", site=site_id)
                await self._clock.sleep(loop.config.site.control_interval_s)

    def _control(self, config: SiteConfig) -> SiteControl:
        return SiteControl(
            config,
            self._sites,
            self._charge_points,
            self._setpoints,
            self._reporting,
            self._live,
            self._clock,
            self._lines,
        )
