"""The charging profiles known to be on each station, whoever had them written.

Known is what the station has accepted since it last booted and what has not been replaced, cleared or
ended since. After a command whose outcome is unknown (no answer), what it may have replaced or cleared
does not count as installed any more: control then writes its own anew.

Source: OCPP 1.6 ed. 2, 5.5, 5.11 and 5.16.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import structlog

from csms.clock import Clock
from csms.domain.installed_profile import OURS, InstalledProfile
from csms.errors import CallFailed, CsmsError
from csms.services.charge_points import ChargePoints
from csms.services.command_effects import Command, CommandEffect
from csms.services.commands import Commands
from csms.services.events import Event, EventBus, Listener
from csms.storage import profiles
from csms.storage.database import STORAGE_FAULTS, Database

log = structlog.get_logger()

Payload = dict[str, Any]
NUMBERS_APART = 10_000  # more than any station has connectors


@dataclass(slots=True)
class _Known:
    """forgotten: how often all was forgotten; what was asked before then says nothing of what is there."""

    installed: list[InstalledProfile] = field(default_factory=list)
    forgotten: int = 0


class ChargingProfiles:
    """In memory, loaded at start. Identities are compared without regard to case."""

    def __init__(
        self,
        database: Database,
        charge_points: ChargePoints,
        commands: Commands,
        events: EventBus,
        clock: Clock,
    ) -> None:
        self._database, self._charge_points = database, charge_points
        self._clock = clock
        self._stations: dict[str, _Known] = {}
        self._stops = Listener(events, "charging profiles", ("transaction.stopped",), self._transaction_ended)
        commands.on("SetChargingProfile", _Set(self, charge_points, clock))
        commands.on("ClearChargingProfile", _Cleared(self, charge_points))
        commands.on("RemoteStartTransaction", _RemoteStart(self, clock))

    async def start(self) -> None:
        """Take up what was installed before a restart, but for profiles of transactions that are over."""
        async with self._database.read() as conn:
            rows = await profiles.load_all(conn)
        for identity, installed in rows:
            if installed.purpose != "TxProfile" or "transactionId" in installed.profile:
                self.known(identity).installed.append(installed)
        self._stops.start()

    async def stop(self) -> None:
        await self._stops.stop()

    def of_station(self, identity: str) -> list[InstalledProfile]:
        """By connector, purpose and stack level; without those whose time or transaction is over.

        Raises NotFound.
        """
        station, now = self._charge_points.station(identity), self._clock.now()
        valid = []
        for one in self.known(identity).installed:
            connector = station.connectors.get(one.connector_id)
            if not one.is_over(connector.transaction if connector else None, now):
                valid.append(one)
        return sorted(valid, key=lambda one: one.slot)

    def ours(self, identity: str) -> list[InstalledProfile]:
        """What control has had written and is installed still, the newest first."""
        found = [one for one in self.known(identity).installed if one.is_ours]
        return sorted(found, key=lambda one: one.accepted_at, reverse=True)

    def outranking(self, identity: str, connector_id: int, purpose: str) -> InstalledProfile | None:
        """The operator's profile that rules instead of the one that control would write there."""
        found = [one for one in self.of_station(identity) if one.outranks_ours(connector_id, purpose)]
        return max(found, key=lambda one: one.slot[2], default=None)

    def free_number(self, identity: str, wanted: int) -> int:
        """A chargingProfileId for one of ours that takes no operator's profile away."""
        taken = {one.number for one in self.known(identity).installed if not one.is_ours}
        while wanted in taken:
            wanted += NUMBERS_APART
        return wanted

    async def forget(self, identity: str) -> None:
        """Nothing counts as installed: the station has booted, and not every one keeps its profiles."""
        self.known(identity).forgotten += 1
        await self.keep(identity, lambda one: False)

    # --- for the effects ---

    def known(self, identity: str) -> _Known:
        return self._stations.setdefault(identity.casefold(), _Known())

    async def keep(
        self, identity: str, stays: Callable[[InstalledProfile], bool], new: InstalledProfile | None = None
    ) -> None:
        """Control counts on memory at once; without a database it is written anew after a restart."""
        known = self.known(identity)
        known.installed = [one for one in known.installed if stays(one)] + ([new] if new else [])
        installed, spelled = list(known.installed), self._charge_points.station(identity).identity
        try:
            await self._database.write(lambda conn: profiles.replace(conn, spelled, installed))
        except STORAGE_FAULTS as error:
            log.error("charging profiles not recorded", charge_point=identity, why=str(error))

    async def settle(self) -> None:
        """Wait until the profiles of all transactions that have ended are gone."""
        await self._stops.settle()

    async def _transaction_ended(self, event: Event) -> None:
        identity, connector_id = event.data["identity"], event.data["connector_id"]

        def stays(one: InstalledProfile) -> bool:
            return one.purpose != "TxProfile" or one.connector_id != connector_id

        if not all(stays(one) for one in self.known(identity).installed):
            await self.keep(identity, stays)


class _Set(CommandEffect):
    def __init__(self, installed: ChargingProfiles, charge_points: ChargePoints, clock: Clock) -> None:
        self._installed, self._charge_points, self._clock = installed, charge_points, clock

    async def before(self, command: Command) -> None:
        command.notes["forgotten"] = self._installed.known(command.identity).forgotten
        command.notes["sent_at"] = self._clock.now()

    async def answered(self, command: Command, answer: Payload) -> None:
        if answer.get("status") != "Accepted":
            return
        new = self._named(command)
        if command.notes["forgotten"] != self._installed.known(command.identity).forgotten:
            return  # the station has booted meanwhile
        await self._installed.keep(command.identity, lambda one: not one.is_replaced_by(new), new)
        if not new.is_ours:
            self._charge_points.report(
                "station.profiles_changed",
                command.identity,
                connector_id=new.connector_id,
                purpose=new.purpose,
                charging_profile_id=new.profile["chargingProfileId"],
            )

    async def failed(self, command: Command, error: CsmsError) -> None:
        if not isinstance(error, CallFailed):
            new = self._named(command)
            await self._installed.keep(command.identity, lambda one: not one.is_replaced_by(new))

    def _named(self, command: Command) -> InstalledProfile:
        """A TxProfile without a transaction is for the one that runs."""
        request, profile = command.payload, command.payload["csChargingProfiles"]
        connector = self._charge_points.station(command.identity).connectors.get(request["connectorId"])
        running = connector.transaction if connector is not None else None
        is_nameless = profile["chargingProfilePurpose"] == "TxProfile" and "transactionId" not in profile
        if is_nameless and running is not None:
            request = {**request, "csChargingProfiles": {**profile, "transactionId": running.id}}
        return InstalledProfile(request, command.notes["sent_at"], command.origin)


class _Cleared(CommandEffect):
    """Whatever was cleared, ours are written anew: stations take the conditions more or less exactly."""

    def __init__(self, installed: ChargingProfiles, charge_points: ChargePoints) -> None:
        self._installed, self._charge_points = installed, charge_points

    async def answered(self, command: Command, answer: Payload) -> None:
        if answer.get("status") in ("Accepted", "Unknown"):
            await self._clear(command)

    async def failed(self, command: Command, error: CsmsError) -> None:
        if not isinstance(error, CallFailed):
            await self._clear(command)

    async def _clear(self, command: Command) -> None:
        known, request = self._installed.known(command.identity), command.payload
        if command.origin == OURS:  # one of ours, by its id
            await self._installed.keep(command.identity, lambda one: not one.is_cleared_by(request))
            return
        known.forgotten += 1
        await self._installed.keep(
            command.identity, lambda one: not (one.is_ours or one.is_cleared_by(request))
        )
        self._charge_points.profiles_cleared(command.identity)


class _RemoteStart(CommandEffect):
    """Its profile waits for the transaction; control's own takes its place when that begins."""

    def __init__(self, installed: ChargingProfiles, clock: Clock) -> None:
        self._installed, self._clock = installed, clock

    async def answered(self, command: Command, answer: Payload) -> None:
        payload = command.payload
        profile, connector_id = payload.get("chargingProfile"), payload.get("connectorId")
        if answer.get("status") != "Accepted" or profile is None or connector_id is None:
            return
        request = {"connectorId": connector_id, "csChargingProfiles": profile}
        new = InstalledProfile(request, self._clock.now(), command.origin)
        await self._installed.keep(command.identity, lambda one: not one.is_replaced_by(new), new)
