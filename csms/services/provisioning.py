"""What a station is asked and told once it is accepted, so that it can be measured and limited.

Order of reference practice: read the keys we need by name, write the fail-safe floor, set measurands, sample
interval and ping interval only where they do not do as they are (these writes wear flash), have it report its
connectors, and at last read the rest of its configuration, unless its make is known not to bear that. A
station that refuses any of it is used as it is. In conformance mode nothing of this is sent.

Source: OCPP 1.6 sections 5.8 (GetConfigurationMaxKeys) and 9; errata 3.40: a station is not triggered to boot
after it was accepted, so only one that never introduced itself is, once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog

from csms.clock import Clock
from csms.domain.charge_point import Station
from csms.domain.control_slot import safe_wishes
from csms.domain.station_vendors import Make, make_of
from csms.errors import CallFailed, CallTimeout, CsmsError
from csms.services.charge_points import ChargePoints
from csms.services.commands import Commands
from csms.services.events import Event, EventBus, Listener
from csms.services.setpoints import Setpoints
from csms.services.sites import Sites

log = structlog.get_logger()

KEYS = (
    "NumberOfConnectors",
    "SupportedFeatureProfiles",
    "GetConfigurationMaxKeys",
    "MeterValueSampleInterval",
    "MeterValuesSampledData",
    "MeterValuesSampledDataMaxLength",
    "ChargeProfileMaxStackLevel",
    "ChargingScheduleAllowedChargingRateUnit",
    "ChargingScheduleMaxPeriods",
    "MaxChargingProfilesInstalled",
    "ConnectorPhaseRotation",
    "ConnectorSwitch3to1PhaseSupported",
    "ACPhaseSwitchingSupported",
    "AuthorizeRemoteTxRequests",
    "PlugAndChargeIdentifier",
    "WebSocketPingInterval",
)
AT_ONCE = 50  # stations asked at the same time: after a power cut all boot, and the others want to come in
SAMPLE_INTERVAL_S = 30  # two samples in each control minute
PING_INTERVAL_S, LONGEST_PING_INTERVAL_S = 30, 60
BOOT_GRACE_S = 5.0  # a station that connects anew or is told to boot does so within this
ALL_AGAIN_AFTER = timedelta(days=1)
WANTED = (
    "Energy.Active.Import.Register",
    "Power.Active.Import",
    "Current.Import",
    "Voltage",
    "Current.Offered",
    "SoC",
)
NEEDED = WANTED[:3]
LISTS = (WANTED, WANTED[:5], WANTED[:4], NEEDED, NEEDED[:2], NEEDED[:1])


class Provisioning:
    """Listens for stations that connect or boot and brings each to a known state, one task per station."""

    def __init__(
        self,
        charge_points: ChargePoints,
        commands: Commands,
        setpoints: Setpoints,
        sites: Sites,
        events: EventBus,
        clock: Clock,
    ) -> None:
        self._charge_points, self._commands, self._setpoints = charge_points, commands, setpoints
        self._sites, self._clock = sites, clock
        self._listener = Listener(events, "provisioning", ("station.",), self._on_event)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._places = asyncio.Semaphore(AT_ONCE)
        self._unfinished: set[str] = set()
        self._asked_to_boot: set[str] = set()
        self._asked_for_all: dict[str, datetime] = {}
        self._all_untold: set[str] = set()  # asked for all, and have not answered (yet)
        self._refused: set[tuple[str, str, str]] = set()  # identity, key, value

    async def start(self) -> None:
        self._listener.start()

    async def stop(self) -> None:
        await self._listener.stop()
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def settle(self) -> None:
        """Wait until every station that is being asked has been asked everything."""
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _on_event(self, event: Event) -> None:
        kind, identity = event.kind, str(event.data.get("identity", ""))
        if kind == "station.booted":
            self._begin(identity, has_booted=True)
        elif kind in ("station.connected", "station.options", "station.rejected"):
            self._begin(identity, has_booted=False)
        elif kind == "station.accepted":  # and told to boot
            self._asked_to_boot.add(identity)
            self._begin(identity, has_booted=False)
        elif kind == "station.profiles_cleared":
            self._setpoints.renew(identity)

    def _begin(self, identity: str, *, has_booted: bool) -> None:
        """A boot repeats the questions: firmware or settings may have changed. A mere reconnect does not."""
        station, running = self._charge_points.station(identity), self._tasks.get(identity)
        if not self._charge_points.may_send_unsolicited(identity):
            if running is not None:
                running.cancel()  # it was refused, or conformance mode was switched on
            return
        is_known = station.configuration and identity not in self._unfinished
        if not station.connected or (is_known and not has_booted):
            return
        if running is not None:
            running.cancel()
        self._tasks[identity] = asyncio.create_task(
            self._provision(station, has_booted), name=f"provision {identity}"
        )

    async def _provision(self, station: Station, has_booted: bool) -> None:
        identity = station.identity
        self._unfinished.add(identity)
        try:
            if has_booted:  # not every station keeps its profiles over a restart
                await self._setpoints.booted(identity)
            else:
                await self._let_introduce_itself(station)  # its boot begins all this anew
            async with self._places:
                await self._ask_and_set(station)
        except CsmsError as error:
            log.warning("provisioning not finished", charge_point=identity, why=str(error))

    async def _ask_and_set(self, station: Station) -> None:
        identity, make = station.identity, make_of(station.vendor, station.model)
        await self._read(station, KEYS)
        # now that the unit it takes is known
        await self._setpoints.begin(
            identity, safe_wishes(self._sites.site_of_charge_point(identity), identity)
        )
        await self._set_measurands(station, make)
        await self._set_intervals(station)
        if may_be_triggered(station):
            for message in ("StatusNotification", "MeterValues"):
                await self._ask(identity, "TriggerMessage", {"requestedMessage": message})
        self._unfinished.discard(identity)
        if make.may_ask_all:
            await self._read_all(station)

    async def _let_introduce_itself(self, station: Station) -> None:
        """Wait for its BootNotification; trigger it, once, if nobody has yet and it does not come."""
        was_asked = station.identity in self._asked_to_boot
        if station.vendor is not None and not was_asked:
            return
        await self._clock.sleep(BOOT_GRACE_S)
        self._asked_to_boot.add(station.identity)
        if not was_asked:
            await self._ask(station.identity, "TriggerMessage", {"requestedMessage": "BootNotification"})

    async def _ask(self, identity: str, action: str, payload: dict[str, Any]) -> dict[str, Any]:
        """What the station refuses does not keep us from asking the rest."""
        try:
            return await self._commands.send(identity, action, payload, origin="provisioning")
        except CallFailed as error:
            log.info("station refused", charge_point=identity, action=action, why=str(error))
            return {}

    async def _read(self, station: Station, keys: Sequence[str]) -> None:
        """As many keys in one request as it takes; those it passed over are asked for again, once."""
        most = _number(setting(station, "GetConfigurationMaxKeys")) or len(keys)
        answered = await self._read_in_parts(station, keys, most)
        passed_over = [key for key in keys if key.casefold() not in answered]
        most = _number(setting(station, "GetConfigurationMaxKeys")) or 1
        if answered and passed_over:
            await self._read_in_parts(station, passed_over, most)

    async def _read_in_parts(self, station: Station, keys: Sequence[str], most: int) -> set[str]:
        """The keys that it said something about, in lower case."""
        answered: set[str] = set()
        for first in range(0, len(keys), most):
            part = list(keys[first : first + most])
            answer = await self._ask(station.identity, "GetConfiguration", {"key": part})
            for entry in answer.get("configurationKey") or []:
                answered.add(str(entry.get("key")).casefold() if isinstance(entry, dict) else "")
            answered.update(str(key).casefold() for key in answer.get("unknownKey") or [])
        return answered

    async def _read_all(self, station: Station) -> None:
        """The whole configuration, for people to see. A station that boots again because of the question, or
        does not answer it, is not drawn into a circle."""
        now, asked_at = self._clock.now(), self._asked_for_all.get(station.identity)
        is_recent = asked_at is not None and now - asked_at < ALL_AGAIN_AFTER
        if is_recent or station.identity in self._all_untold:
            return
        self._asked_for_all[station.identity] = now
        self._all_untold.add(station.identity)
        by_name = dict(station.configuration)
        try:
            answer = await self._ask(station.identity, "GetConfiguration", {})
        except CallTimeout as error:
            log.info("whole configuration not told", charge_point=station.identity, why=str(error))
            return
        if answer:
            self._all_untold.discard(station.identity)
        if hidden := [key for key in by_name if setting(station, key) is None and by_name[key] is not None]:
            await self._read(station, hidden)  # it lists fewer than it has

    async def _set_measurands(self, station: Station, make: Make) -> None:
        """The whole wish first; if the station refuses it, ever less, down to what control needs."""
        key = "MeterValuesSampledData"
        have = split_list(setting(station, key))
        if have.issuperset(name.casefold() for name in NEEDED) or is_read_only(station, key):
            return
        most = _number(setting(station, f"{key}MaxLength")) or make.most_measurands or len(WANTED)
        tried: list[str] = []
        for names in LISTS:
            allowed = [name for name in names if make.measurands is None or name in make.measurands]
            value = ",".join(allowed[:most])
            if split_list(value) <= have:
                return  # it samples at least that already
            if value not in tried and await self._change(station, key, value):
                return
            tried.append(value)

    async def _set_intervals(self, station: Station) -> None:
        """Samples twice a minute, unless the station's own interval is finer. Pings once a minute at least;
        a station whose pings are off keeps them off, for it is pinged from here."""
        sample_s = _number(setting(station, "MeterValueSampleInterval"))
        if sample_s is None or not 0 < sample_s <= SAMPLE_INTERVAL_S:
            await self._change(station, "MeterValueSampleInterval", str(SAMPLE_INTERVAL_S))
        ping_s = _number(setting(station, "WebSocketPingInterval"))
        if ping_s is not None and ping_s > LONGEST_PING_INTERVAL_S:
            await self._change(station, "WebSocketPingInterval", str(PING_INTERVAL_S))

    async def _change(self, station: Station, key: str, value: str) -> bool:
        """Not if it is read-only, nor if the station has refused the same before."""
        attempt = (station.identity, key, value)
        if is_read_only(station, key) or attempt in self._refused:
            return False
        answer = await self._ask(station.identity, "ChangeConfiguration", {"key": key, "value": value})
        accepted = answer.get("status") in ("Accepted", "RebootRequired")
        if not accepted:
            self._refused.add(attempt)
            log.info("setting refused", charge_point=station.identity, key=key, answer=answer.get("status"))
        return accepted


def setting(station: Station, key: str) -> str | None:
    """The value last read; letter case of keys does not matter. None: it has none, or does not tell."""
    if key in station.configuration:
        return station.configuration[key]
    wanted = key.casefold()
    return next((v for k, v in station.configuration.items() if k.casefold() == wanted), None)


def is_read_only(station: Station, key: str) -> bool:
    return key.casefold() in (name.casefold() for name in station.read_only_keys)


def split_list(value: str | None) -> set[str]:
    """A comma-separated list whatever its order, letter case, blanks and quotes."""
    parts = (part.strip(" \t'\"").casefold() for part in (value or "").split(","))
    return {part for part in parts if part}


def may_be_triggered(station: Station) -> bool:
    """Unless its list of profiles says otherwise."""
    profiles = split_list(setting(station, "SupportedFeatureProfiles"))
    return not profiles or "remotetrigger" in profiles


def _number(value: str | None) -> int | None:
    """Whole and not negative; None if it is anything else."""
    text = (value or "").strip()
    return int(text) if text.isascii() and text.isdigit() else None
