"""A simulated charging station: a real OCPP 1.6J client with connectors, a meter and charging profiles.

All waiting is done on its clock, so it works in accelerated and in virtual time. Its limit is what its
installed profiles say at clock.now(); the vehicle decides what it takes of it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from csms.clock import Clock
from drivers.device import PhaseTriple
from simulation.charging_schedule import (
    Profile,
    RunningTransaction,
    connector_limit_a,
    install,
    pilot_a,
    ruling_period,
    share_station_limit,
    station_limit_a,
)
from simulation.deviations import Deviations
from simulation.outlet import ConnectorHardware, Outlet, Transaction
from simulation.station_commands import answer_call
from simulation.station_configuration import Configuration, standard_keys
from simulation.station_link import Answer, CallRefused, LinkDown, NoAnswer, StationCallError, StationLink
from simulation.station_model import StationModel
from simulation.transaction_queue import TransactionMessage, TransactionQueue, timestamp
from simulation.vehicle import Vehicle

LONGEST_SLICE_S = 5.0
BOOT_RETRY_S = 60.0
POWER_OFF_S = 10.0
PROFILE_WRITES_KEPT = 1000


@dataclass(frozen=True, slots=True)
class ProfileWrite:
    """A SetChargingProfile that came. request: its payload."""

    at: datetime
    request: dict[str, Any]
    accepted: bool


class SimulatedChargePoint:
    """url: the central system's address without the identity. connectors: a number, or each one's hardware.

    tick_s: how often it looks at its meter and vehicles; `step` may be called in between.
    """

    def __init__(
        self,
        url: str,
        identity: str,
        connectors: int | Sequence[ConnectorHardware] = 1,
        *,
        clock: Clock,
        model: StationModel | None = None,
        tick_s: float = 1.0,
    ) -> None:
        self.identity, self.clock, self.model = identity, clock, model or StationModel()
        if isinstance(connectors, int):
            connectors = [ConnectorHardware(n + 1) for n in range(connectors)]
        self.deviations = Deviations(self.model.deviations)
        self.outlets = {
            c.id: Outlet(
                c,
                self.model.voltage_v,
                self.deviations,
                register_wh=self.model.meter_start_wh,
                is_free=self.model.starts_by == "free",
            )
            for c in connectors
        }
        self.profile_writes: deque[ProfileWrite] = deque(maxlen=PROFILE_WRITES_KEPT)
        self.profiles: tuple[Profile, ...] = ()
        self.is_operative = True
        self.configuration = self._standard_configuration()
        self.id_tag_cache: dict[str, dict[str, Any]] = {}
        self.registered = asyncio.Event()
        self._link = StationLink(url, identity, clock, self._answer, self.run_later, self._on_link_down)
        self._link.ping_interval_s = self.configuration.number("WebSocketPingInterval")
        self._tick_s = tick_s
        self._is_booted = False
        self._dark_until: datetime | None = None
        self._stepped_at = clock.now()
        self._next_clock_sample_at: datetime | None = None
        self._reported: dict[int, tuple[str, str]] = {}
        self._statuses: deque[dict[str, Any]] = deque()
        self._has_statuses = asyncio.Event()
        self._messages = TransactionQueue(self._link, clock, self.configuration, self.registered)
        self._tasks: asyncio.TaskGroup | None = None
        self._running: asyncio.Task[None] | None = None

    # --- life ---

    async def start(self) -> None:
        self._stepped_at = self.clock.now()
        self._running = asyncio.create_task(self._run(), name=f"simulated {self.identity}")

    async def stop(self) -> None:
        """Raises whatever went wrong inside meanwhile."""
        if self._running is not None:
            self._running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._running
            self._running = None

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as self._tasks:
            for life in (
                self._link.run(),
                self._keep_registered(),
                self._send_statuses(),
                self._messages.run(self._take_answer),
                self._send_heartbeats(),
                self._tick(),
            ):
                self._tasks.create_task(life)

    def run_later(self, work: Awaitable[None]) -> None:
        async def run() -> None:
            await work

        assert self._tasks is not None  # only a running station has a link that can ask for this
        self._tasks.create_task(run())

    # --- what people do ---

    def plug(self, connector_id: int, vehicle: Vehicle) -> None:
        outlet = self.outlets[connector_id]
        if outlet.vehicle is not None:
            raise ValueError(f"connector {connector_id} of {self.identity} is taken")
        self.step(self.clock.now())
        vehicle.plug()
        outlet.vehicle, outlet.is_finished = vehicle, False
        self.note_statuses()
        if outlet.awaited_id_tag is not None:
            self.begin(connector_id, outlet.awaited_id_tag, outlet.awaited_profile)
        elif self.model.starts_by == "plug" and self.is_available(connector_id):
            self.begin(connector_id, self.model.auto_start_tag)

    def unplug(self, connector_id: int) -> Vehicle | None:
        """Pull the cable at the vehicle's side; what was plugged in drives off."""
        self.step(self.clock.now())
        outlet = self.outlets[connector_id]
        vehicle, outlet.vehicle = outlet.vehicle, None
        if vehicle is not None:
            vehicle.unplug()
        if outlet.transaction is not None and self.configuration.flag("StopTransactionOnEVSideDisconnect"):
            self.end(connector_id, "EVDisconnected")
        outlet.is_finished = False
        self.deviations.unplugged(outlet)
        self.note_statuses()
        return vehicle

    async def badge(self, connector_id: int, id_tag: str) -> bool:
        """Hold a badge to the reader: starts, or stops what it or its group started. False = refused."""
        if self.model.starts_by != "badge":
            return False
        outlet = self.outlets[connector_id]
        running = outlet.transaction
        if running is not None and running.id_tag.lower() == id_tag.lower():
            self.end(connector_id, "Local", id_tag)
            return True
        info = await self.authorize(id_tag)
        if info.get("status") != "Accepted":
            return False
        if running is not None:
            group = self.id_tag_cache.get(running.id_tag.lower(), {}).get("parentIdTag")
            if group is None or group != info.get("parentIdTag"):
                return False
            self.end(connector_id, "Local", id_tag)
            return True
        return self.offer_start(connector_id, id_tag)

    def power_cycle(self, off_s: float = POWER_OFF_S) -> None:
        """The breaker off and on: the station boots anew; profiles and open transactions survive."""
        self._go_dark(off_s)
        self._link.drop(off_s)

    def drop_link(self, away_s: float | None = None) -> None:
        """Lose the network; it is back after away_s, or when the station's back-off tries again."""
        self._link.drop(away_s)

    # --- what can be seen ---

    def limit_a(self, connector_id: int) -> float:
        """What the pilot signal of this connector shows now: 0, or at least 6 A."""
        return self._offers(self.clock.now())[connector_id]

    def current_a(self, connector_id: int) -> PhaseTriple:
        """Drawn on the station's own phases, as of the last step."""
        return self.outlets[connector_id].current_a

    @property
    def is_connected(self) -> bool:
        return self._link.up.is_set()

    @property
    def frames(self) -> int:
        """How many have come and gone so far, but for answers."""
        return self._link.frames

    @property
    def unsent(self) -> list[TransactionMessage]:
        """Transaction messages that the central system has not taken yet, oldest first."""
        return self._messages.unsent

    @property
    def is_heard_out(self) -> bool:
        """Has the central system answered all that the station had to say?"""
        is_talking = bool(self._statuses) or self._link.is_asking
        return not self.unsent and not (self.registered.is_set() and is_talking)

    def running_transaction(self, connector_id: int) -> RunningTransaction | None:
        """Its start by the station's own clock."""
        transaction = self.outlets[connector_id].transaction if connector_id else None
        if transaction is None:
            return None
        return RunningTransaction(transaction.id, self.own_time(transaction.started_at))

    def own_time(self, at: datetime) -> datetime:
        """What the station's own clock shows then."""
        return at + timedelta(seconds=self.model.clock_error_s)

    def stamp(self, at: datetime) -> str:
        return timestamp(self.own_time(at), self.model.zone)

    # --- physics ---

    def step(self, now: datetime) -> None:
        """Live up to `now`: currents, meters, time-outs, samples that are due, changes of status."""
        dt_s = (now - self._stepped_at).total_seconds()
        while dt_s > 0:
            slice_s = min(dt_s, LONGEST_SLICE_S)
            offers = self._offers(self._stepped_at)
            for connector_id, outlet in self.outlets.items():
                outlet.flow(slice_s, offers[connector_id], self._phases(outlet))
            self._stepped_at += timedelta(seconds=slice_s)
            dt_s -= slice_s
        for outlet in self.outlets.values():
            if outlet.awaited_until is not None and now >= outlet.awaited_until:
                outlet.stop_awaiting()
        self._sample(now)
        self.deviations.live(self, now)
        self.note_statuses()

    def _offers(self, at: datetime) -> dict[int, float]:
        offers = {n: self._connector_offer_a(n, outlet, at) for n, outlet in self.outlets.items()}
        cap_a = station_limit_a(self.profiles, self.own_time(at), self.model.voltage_v)
        if cap_a is not None:
            shares = share_station_limit(offers, cap_a)
            offers = {
                n: pilot_a(shares[n], o.hardware.max_a, o.hardware.step_a) for n, o in self.outlets.items()
            }
        for n, outlet in self.outlets.items():
            if self._may_offer(outlet, at):
                offers[n] = self.deviations.offer(self, outlet, offers[n], at)
        return offers

    def _may_offer(self, outlet: Outlet, at: datetime) -> bool:
        is_dark = self._dark_until is not None and at < self._dark_until
        is_refused = outlet.transaction is not None and outlet.transaction.is_refused
        return outlet.has_session and not is_refused and not is_dark

    def _connector_offer_a(self, connector_id: int, outlet: Outlet, at: datetime) -> float:
        if not self._may_offer(outlet, at):
            return 0.0
        running, limit_a = self.running_transaction(connector_id), None
        if running is not None:  # profiles of connectors are for transactions
            voltage_v, at = self.model.voltage_v, self.own_time(at)
            limit_a = connector_limit_a(self.profiles, connector_id, at, running, voltage_v)
        return pilot_a(limit_a, outlet.hardware.max_a, outlet.hardware.step_a)

    def _phases(self, outlet: Outlet) -> int:
        """How many are switched on: as the profile in force asks for, if the station can."""
        wired, n = outlet.hardware.phases, outlet.hardware.id
        can_switch = outlet.hardware.phase_switching or self.model.switches_phases
        if not can_switch or outlet.transaction is None:
            return wired
        at = self.own_time(self._stepped_at)
        ruling = ruling_period(self.profiles, n, at, self.running_transaction(n))
        return wired if ruling is None else min(wired, ruling[0].phases or wired)

    def _sample(self, now: datetime) -> None:
        interval_s = self.configuration.number("MeterValueSampleInterval")
        for connector_id, outlet in self.outlets.items():
            if not outlet.has_session or interval_s <= 0:
                outlet.next_sample_at = None
            elif outlet.next_sample_at is None or now >= outlet.next_sample_at:
                if outlet.next_sample_at is not None:
                    self.send_meter_values(connector_id, "Sample.Periodic", "MeterValuesSampledData")
                outlet.next_sample_at = now + timedelta(seconds=interval_s)
        aligned_s = self.configuration.number("ClockAlignedDataInterval")
        if aligned_s == 0:
            self._next_clock_sample_at = None
            return
        if self._next_clock_sample_at is not None and now >= self._next_clock_sample_at:
            for connector_id in self.outlets:
                self.send_meter_values(connector_id, "Sample.Clock", "MeterValuesAlignedData")
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        turns = int((now - midnight).total_seconds() // aligned_s) + 1
        self._next_clock_sample_at = midnight + timedelta(seconds=turns * aligned_s)

    # --- transactions ---

    async def authorize(self, id_tag: str) -> dict[str, Any]:
        """The central system's idTagInfo; offline what the cache and the configuration allow."""
        cached = self.id_tag_cache.get(id_tag.lower())
        if (
            cached is not None
            and cached["status"] == "Accepted"
            and self.configuration.flag("LocalPreAuthorize")
        ):
            return cached
        if self.registered.is_set():
            try:
                info: dict[str, Any] = (await self._link.call("Authorize", {"idTag": id_tag}))["idTagInfo"]
            except CallRefused:
                return {"status": "Invalid"}
            except StationCallError:
                pass  # the link broke meanwhile: decided as offline
            else:
                self.remember(id_tag, info)
                return info
        if cached is not None and self.configuration.flag("LocalAuthorizeOffline"):
            return cached
        allowed = self.configuration.flag("AllowOfflineTxForUnknownId")
        return {"status": "Accepted" if allowed else "Invalid"}

    def remember(self, id_tag: str, info: dict[str, Any]) -> None:
        if self.configuration.flag("AuthorizationCacheEnabled"):
            self.id_tag_cache[id_tag.lower()] = info

    def offer_start(self, connector_id: int, id_tag: str, profile: Profile | None = None) -> bool:
        """Start for an accepted id tag, or wait for the cable. False = the connector is not to be had.

        profile: a TxProfile for the transaction to come.
        """
        outlet = self.outlets[connector_id]
        if not self.is_available(connector_id):
            return False
        if outlet.vehicle is not None:
            self.begin(connector_id, id_tag, profile)
        else:
            timeout = timedelta(seconds=self.configuration.number("ConnectionTimeOut"))
            outlet.await_vehicle(id_tag, self.clock.now() + timeout, profile)
            self.note_statuses()
        return True

    def is_available(self, connector_id: int) -> bool:
        outlet = self.outlets[connector_id]
        is_idle = not outlet.has_session and self.deviations.let_begin(outlet)
        return is_idle and outlet.is_operative and self.is_operative

    def begin(self, connector_id: int, id_tag: str, profile: Profile | None = None) -> None:
        now = self.clock.now()
        self.step(now)
        outlet = self.outlets[connector_id]
        outlet.stop_awaiting()
        transaction = Transaction(connector_id, id_tag, now, int(outlet.register_wh))
        if (interval_s := self.configuration.number("MeterValueSampleInterval")) > 0:
            outlet.next_sample_at = now + timedelta(seconds=interval_s)
        outlet.transaction, outlet.is_finished = transaction, False
        if profile is not None:
            self.profiles = install(self.profiles, replace(profile, transaction_id=None))
        payload = {
            "connectorId": connector_id,
            "idTag": id_tag,
            "meterStart": transaction.meter_start_wh,
            "timestamp": self.stamp(now),
        }
        self._tell("StartTransaction", payload, transaction)
        outlet.offered_a = self._offers(now)[connector_id]
        self.note_statuses()

    def end(self, connector_id: int, reason: str, id_tag: str | None = None) -> None:
        now = self.clock.now()
        self.step(now)
        outlet = self.outlets[connector_id]
        transaction = outlet.transaction
        if transaction is None:
            return
        payload: dict[str, Any] = {
            "meterStop": int(outlet.register_wh),
            "timestamp": self.stamp(now),
            "reason": reason,
        }
        if id_tag is not None:
            payload["idTag"] = id_tag
        if measurands := self.configuration.parts("StopTxnSampledData"):
            values = outlet.sampled_values(measurands, "Transaction.End")
            payload["transactionData"] = [{"timestamp": self.stamp(now), "sampledValue": values}]
        self._tell("StopTransaction", payload, transaction)
        outlet.transaction, outlet.is_finished = None, outlet.vehicle is not None
        outlet.open_contactor()
        self.profiles = tuple(
            p for p in self.profiles if p.purpose != "TxProfile" or p.connector_id != connector_id
        )
        if outlet.becomes_inoperative:
            outlet.is_operative = outlet.becomes_inoperative = False
        self.deviations.ended(outlet)
        self.note_statuses()

    def send_meter_values(self, connector_id: int, context: str, measurands_key: str) -> None:
        outlet = self.outlets[connector_id]
        values = outlet.sampled_values(self.configuration.parts(measurands_key), context)
        if not values:
            return
        payload = {
            "connectorId": connector_id,
            "meterValue": [{"timestamp": self.stamp(self.clock.now()), "sampledValue": values}],
        }
        self._tell("MeterValues", payload, outlet.transaction)

    def _tell(self, action: str, payload: dict[str, Any], transaction: Transaction | None) -> None:
        if (said := self.deviations.say(self, action, payload)) is not None:
            self._messages.put(action, said, transaction)

    def _take_answer(self, message: TransactionMessage, answer: dict[str, Any]) -> None:
        transaction = message.transaction
        if transaction is None or message.action != "StartTransaction":
            return
        transaction.id = answer["transactionId"]
        info = answer["idTagInfo"]
        self.remember(transaction.id_tag, info)
        is_running = self.outlets[transaction.connector_id].transaction is transaction
        if info["status"] == "Accepted" or not is_running:
            return
        transaction.is_refused = True
        if self.configuration.flag("StopTransactionOnInvalidId"):
            self.end(transaction.connector_id, "DeAuthorized")

    # --- link, registration, reports ---

    def _answer(self, action: str, payload: dict[str, Any]) -> Answer:
        accepted = False
        try:
            answer = self.deviations.answer(self, action, payload, lambda: answer_call(self, action, payload))
            accepted = answer.payload.get("status") == "Accepted"
            return answer
        finally:
            if action == "SetChargingProfile":
                self.profile_writes.append(ProfileWrite(self.clock.now(), payload, accepted))

    def _on_link_down(self) -> None:
        self.registered.clear()
        for report in self._statuses:
            self._reported.pop(report["connectorId"], None)
        self._statuses.clear()
        self._has_statuses.clear()

    async def _keep_registered(self) -> None:
        while True:
            await self._link.up.wait()
            has_booted = not self._is_booted
            self._is_booted = self._is_booted or not self.model.boots_unasked
            try:
                while not self._is_booted:
                    wait_s = await self.boot()
                    if not self._is_booted:
                        await self.clock.sleep(wait_s)
            except LinkDown:
                continue
            if not self._link.up.is_set():
                continue
            if has_booted:
                self._reported.clear()
            self.registered.set()
            self.note_statuses()
            await self._link.down.wait()

    async def boot(self) -> float:
        """Send BootNotification; when not accepted, how long to wait before the next one. [s]"""
        payload = {
            "chargePointVendor": self.model.vendor,
            "chargePointModel": self.model.model,
            "chargePointSerialNumber": self.identity[:25],
            "firmwareVersion": self.model.firmware,
        }
        said = self.deviations.say(self, "BootNotification", payload) or payload
        try:
            answer = await self._link.call("BootNotification", said)
        except (CallRefused, NoAnswer):
            return BOOT_RETRY_S
        interval_s = answer["interval"]
        if answer["status"] == "Accepted":
            self._is_booted = True
            if interval_s > 0:
                self.configuration.store("HeartbeatInterval", str(interval_s))
        return float(interval_s or BOOT_RETRY_S)

    def note_statuses(self) -> None:
        """Report each connector whose status is not what was reported last."""
        if not self.registered.is_set():
            return
        for connector_id in (0, *self.outlets):
            seen = self._seen(connector_id)
            if self._reported.get(connector_id) != seen:
                self._reported[connector_id] = seen
                self.report_status(connector_id)

    def _seen(self, connector_id: int) -> tuple[str, str]:
        """Status and error code."""
        if connector_id == 0:
            return "Available" if self.is_operative else "Unavailable", "NoError"
        outlet = self.outlets[connector_id]
        return outlet.status, outlet.error_code

    def report_status(self, connector_id: int) -> None:
        status, error_code = self._seen(connector_id)
        report = {
            "connectorId": connector_id,
            "errorCode": error_code,
            "status": status,
            "timestamp": self.stamp(self.clock.now()),
        }
        if (said := self.deviations.say(self, "StatusNotification", report)) is not None:
            self._statuses.append(said)
            self._has_statuses.set()

    async def _send_statuses(self) -> None:
        while True:
            await self._has_statuses.wait()
            await self.registered.wait()
            if not self._statuses:
                continue
            report = self._statuses.popleft()
            if not self._statuses:
                self._has_statuses.clear()
            try:
                await self._link.call("StatusNotification", report)
            except LinkDown:
                self._reported.pop(report["connectorId"], None)
            except StationCallError:
                pass  # a status is not worth a second attempt; the next change is reported anyway

    async def _send_heartbeats(self) -> None:
        while True:
            await self.registered.wait()
            await self.clock.sleep(max(1, self.configuration.number("HeartbeatInterval")))
            if self.registered.is_set():
                await self.send_heartbeat()

    async def send_heartbeat(self) -> None:
        with contextlib.suppress(StationCallError):  # the next one is due soon
            await self._link.call("Heartbeat", {})

    async def _tick(self) -> None:
        while True:
            await self.clock.sleep(self._tick_s)
            self.step(self.clock.now())

    async def restart(self, kind: str) -> None:
        """Reset: Soft ends transactions and delivers what is queued first; Hard does not wait for it."""
        for connector_id in self.outlets:
            self.end(connector_id, f"{kind}Reset")
        if kind == "Soft" and self.registered.is_set():
            await self._messages.is_empty.wait()
        self._go_dark(POWER_OFF_S)
        await self._link.leave(POWER_OFF_S)

    def _go_dark(self, off_s: float) -> None:
        now = self.clock.now()
        self.step(now)
        self._dark_until = now + timedelta(seconds=off_s)
        self._is_booted = False
        self.configuration.restart()
        self._link.ping_interval_s = self.configuration.number("WebSocketPingInterval")
        for outlet in self.outlets.values():
            outlet.stop_awaiting()
            outlet.open_contactor()

    def _standard_configuration(self) -> Configuration:
        limits = {
            "ChargeProfileMaxStackLevel": self.model.max_stack_level,
            "ChargingScheduleMaxPeriods": self.model.max_periods,
            "MaxChargingProfilesInstalled": self.model.max_profiles,
        }
        configuration = Configuration(standard_keys(len(self.outlets), self.model.rate_units, limits))
        for name, value in self.model.configuration.items():
            (configuration.store if name in configuration else configuration.add)(name, value)
        return configuration
