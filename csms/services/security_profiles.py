"""By which security profile each station must connect, and how it is moved up to a higher one.

A station that was told of a higher profile may use both until it first succeeds on the new one; then it is
never lower again. Only an operator can lower a profile, here, without OCPP: to let a locked-out station in.
"""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from csms.domain.authorization_key import password_in
from csms.domain.charge_point import Station
from csms.domain.security_profile import PROFILES, Means, Refused, profile_used
from csms.errors import CallFailed, CsmsError, InvalidInput
from csms.services.certificates import CENTRAL_SYSTEM_ROOT, Certificates
from csms.services.charge_points import ChargePoints
from csms.services.command_effects import Command, CommandEffect, Payload
from csms.services.commands import Commands
from csms.services.station_passwords import StationPasswords
from csms.storage import security
from csms.storage.database import STORAGE_FAULTS, Database

log = structlog.get_logger()

PENDING = "pending_security_profile"  # in the station's options


@dataclass(frozen=True, slots=True)
class Listeners:
    """What stations can connect to here."""

    plain: bool = True
    tls: bool = False


@dataclass(frozen=True, slots=True)
class ProfileChange:
    """status: the station's answer, None = it was not asked. warnings: what may keep it from coming back."""

    profile: int
    pending: int | None
    status: str | None
    warnings: list[str]


class SecurityProfiles:
    def __init__(
        self,
        database: Database,
        charge_points: ChargePoints,
        commands: Commands,
        passwords: StationPasswords,
        certificates: Certificates,
        listeners: Listeners,
    ) -> None:
        self._database, self._charge_points, self._commands = database, charge_points, commands
        self._passwords, self._certificates, self._listeners = passwords, certificates, listeners
        commands.on("ChangeConfiguration", _ProfileChange(self))

    # --- asked at every connection ---

    async def admit(
        self, identity: str, *, is_tls: bool, authorization: str | None, certificate: bytes | None
    ) -> Refused | None:
        """May the station connect like this? None = yes, and what that settles is remembered.

        authorization: the header, None = not sent. certificate: as DER, its signer checked.
        """
        station = self._charge_points.station(identity)
        digest, means = self._means(station, is_tls, authorization, certificate)
        pending = pending_profile(station)
        used = profile_used(station.security_profile, pending, means)
        if isinstance(used, Refused):
            return used
        if digest is not None:
            await self._passwords.used(station.identity, digest)
        if used == pending:
            await self._moved_up(station, used)
        return None

    def _means(
        self, station: Station, is_tls: bool, authorization: str | None, certificate: bytes | None
    ) -> tuple[str | None, Means]:
        """(digest of the password if it is right, the means)."""
        problem = None
        if certificate is None:
            problem = "no client certificate was sent"
        elif 3 in (station.security_profile, pending_profile(station)):
            problem = self._certificates.problem(station.identity, certificate)
        if authorization is None:
            return None, Means(is_tls, None, problem)
        sent = password_in(authorization, station.identity)
        digest = self._passwords.matched(station.identity, sent if sent is not None else b"")
        if sent is not None and digest is not None:
            return digest, Means(is_tls, "right", problem)
        is_known = self._passwords.is_known(station.identity)
        return None, Means(is_tls, "wrong" if is_known else "unset", problem)

    async def _moved_up(self, station: Station, profile: int) -> None:
        try:
            await self.keep(station, profile, None)
        except STORAGE_FAULTS as error:
            log.warning("security profile not stored", charge_point=station.identity, why=str(error))
        else:
            log.info("security profile raised", charge_point=station.identity, security_profile=profile)

    # --- set by an operator ---

    async def store(self, identity: str, profile: int) -> ProfileChange:
        """Ask the station to come by this profile from now on, without telling it. It may be a lower one.

        Raises: NotFound, InvalidInput
        """
        known = await self._charge_points.known(identity)
        station = self._charge_points.station(known)
        self._check("profile", profile, station)
        await self.keep(station, profile, None)
        log.info("security profile set by hand", charge_point=known, security_profile=profile)
        return ProfileChange(profile, None, None, await self._warnings(station, profile))

    async def send(self, identity: str, profile: int) -> ProfileChange:
        """Tell the station to move up. It does so when it next boots.

        Raises: as `Commands.send`; InvalidInput also: not higher, or something that it needs is missing.
        """
        station = self._charge_points.station(identity)
        try:
            answer = await self._commands.send(
                identity, "ChangeConfiguration", {"key": "SecurityProfile", "value": str(profile)}
            )
        except InvalidInput as fault:
            raise InvalidInput("profile", fault.value, fault.expected) from None
        warnings = await self._warnings(station, profile)
        status = str(answer.get("status"))
        return ProfileChange(station.security_profile, pending_profile(station), status, warnings)

    # --- on its way to the station ---

    async def sending(self, identity: str, value: str) -> None:
        """Both profiles are good from now on, for the station's answer may be lost. Raises: InvalidInput"""
        station = self._charge_points.station(identity)
        text = value.strip()
        profile = int(text) if text in {str(known) for known in PROFILES} else None
        if profile is None:
            raise InvalidInput("value", value, "one of 0, 1, 2, 3")
        if profile <= station.security_profile:
            expected = f"more than {station.security_profile}: a security profile is never lowered by OCPP"
            raise InvalidInput("value", value, expected)
        self._check("value", profile, station)
        await self.keep(station, station.security_profile, profile)

    async def refused(self, identity: str, value: str) -> None:
        station = self._charge_points.station(identity)
        if str(pending_profile(station)) == value.strip():
            await self.keep(station, station.security_profile, None)

    # --- inside ---

    async def keep(self, station: Station, profile: int, pending: int | None) -> None:
        """In memory first, so that what comes meanwhile builds on it; taken back if it is not stored."""
        before = station.security_profile, pending_profile(station)
        _set(station, profile, pending)
        try:
            await self._database.write(
                lambda conn: security.save_profile(conn, station.identity, profile, pending)
            )
        except BaseException:
            if (station.security_profile, pending_profile(station)) == (profile, pending):
                _set(station, *before)
            raise

    def _check(self, field: str, profile: int, station: Station) -> None:
        """Could the station come at all? Raises: InvalidInput"""
        if profile not in PROFILES:
            raise InvalidInput(field, profile, "one of 0, 1, 2, 3")
        if profile in (1, 2) and not self._passwords.is_set(station.identity):
            raise InvalidInput(field, profile, "an authorization key to be set first")
        if profile == 1 and not self._listeners.plain:
            raise InvalidInput(field, profile, "a port without TLS (set CSMS_OCPP_TLS_PORT to have both)")
        if profile >= 2 and not self._listeners.tls:
            raise InvalidInput(field, profile, "a TLS certificate (set CSMS_OCPP_TLS_HOSTNAME or _CERT)")

    async def _warnings(self, station: Station, profile: int) -> list[str]:
        if profile < 2:
            return []
        _, installed = await self._certificates.of_station(station.identity)
        warnings = []
        if not any(row["certificate_type"] == CENTRAL_SYSTEM_ROOT for row in installed):
            warnings.append("no root certificate of this server is known to be installed on the station")
        if profile == 3 and not self._certificates.has_certificate(station.identity):
            warnings.append("no certificate of the built-in authority is known to be on the station")
        return warnings


class _ProfileChange(CommandEffect):
    """ChangeConfiguration of SecurityProfile, whoever sends it."""

    def __init__(self, profiles: SecurityProfiles) -> None:
        self._profiles = profiles

    async def before(self, command: Command) -> None:
        if (value := _value_in(command)) is not None:
            await self._profiles.sending(command.identity, value)

    async def answered(self, command: Command, answer: Payload) -> None:
        if answer.get("status") in ("Rejected", "NotSupported"):
            await self._refused(command)

    async def failed(self, command: Command, error: CsmsError) -> None:
        if isinstance(error, CallFailed) and error.code != "FormationViolation":
            await self._refused(command)

    async def _refused(self, command: Command) -> None:
        if (value := _value_in(command)) is not None:
            await self._profiles.refused(command.identity, value)


def pending_profile(station: Station) -> int | None:
    pending = station.options.get(PENDING)
    return pending if isinstance(pending, int) else None


def _set(station: Station, profile: int, pending: int | None) -> None:
    station.security_profile = profile
    options = {name: value for name, value in station.options.items() if name != PENDING}
    station.options = options if pending is None else {**options, PENDING: pending}


def _value_in(command: Command) -> str | None:
    is_profile = str(command.payload.get("key")).strip().lower() == "securityprofile"
    return str(command.payload["value"]) if is_profile else None
