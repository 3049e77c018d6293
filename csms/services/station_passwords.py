"""The passwords of Basic authentication, and how a station gets a new one.

Kept are keyed digests only, all in memory, so that ten thousand stations can come back at once. The keys are
random, so a fast hash protects them; its own key makes a stolen table useless without the rest.

A new key is kept before it is sent. From the station's Accepted on only the new one is good; while the
outcome is unknown, or a reboot is due, both are, until the new one is used. The old one being used settles
nothing: the station may have taken the new one for its next boot.
Source: OCPP 1.6 security whitepaper, A01.FR.03 and FR.04.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog

from csms.clock import Clock
from csms.domain.authorization_key import candidates, key_bytes
from csms.errors import CallFailed, CsmsError, InvalidInput
from csms.services.accounts import Accounts
from csms.services.charge_points import ChargePoints
from csms.services.command_effects import SECRET_KEYS, Command, CommandEffect, Payload
from csms.services.commands import Commands
from csms.storage import security
from csms.storage.database import STORAGE_FAULTS, Database

log = structlog.get_logger()

KEY_BYTES = 20
MOST_UNSETTLED = 8
_NO_DIGEST = "0" * 64  # compared with where there is no password, so that the answer takes as long


@dataclass(frozen=True, slots=True)
class _Digests:
    """next: of keys that the station may have taken, in the order they were sent."""

    current: str | None = None
    next: tuple[str, ...] = ()

    def all(self) -> list[str]:
        return [*(() if self.current is None else (self.current,)), *self.next]

    def slots(self) -> dict[str, str]:
        named = {f"next {n}": digest for n, digest in enumerate(self.next, 1)}
        return named if self.current is None else {"current": self.current, **named}

    def with_slot(self, slot: str, digest: str) -> _Digests:
        """In the order of the slots' names."""
        if slot == "current":
            return replace(self, current=digest)
        return replace(self, next=(*self.next, digest))

    def sent(self, digest: str) -> _Digests:
        unsettled = [*(other for other in self.next if other != digest), digest]
        return replace(self, next=tuple(unsettled[-MOST_UNSETTLED:]))

    def refused(self, digest: str) -> _Digests:
        return replace(self, next=tuple(other for other in self.next if other != digest))

    def settled(self, digest: str) -> _Digests:
        """The station uses it: whatever it had before is over, what it was sent later may follow."""
        if digest not in self.next:
            return _Digests(digest, self.next)
        return _Digests(digest, self.next[self.next.index(digest) + 1 :])


class StationPasswords:
    def __init__(
        self,
        database: Database,
        charge_points: ChargePoints,
        commands: Commands,
        accounts: Accounts,
        clock: Clock,
        new_key: Callable[[], str] = lambda: secrets.token_hex(KEY_BYTES),
    ) -> None:
        self._database, self._charge_points, self._commands = database, charge_points, commands
        self._accounts, self._clock, self._new_key = accounts, clock, new_key
        self._secret = b""
        self._digests: dict[str, _Digests] = {}  # by identity, letter case aside
        commands.on("ChangeConfiguration", _KeyChange(self))

    async def start(self) -> None:
        self._secret = (await self._accounts.signing_key("station passwords")).encode()
        async with self._database.read() as conn:
            rows = await security.all_passwords(conn)
        for row in sorted(rows, key=lambda row: str(row["slot"])):
            kept = self._of(row["identity"])
            self._digests[row["identity"].casefold()] = kept.with_slot(row["slot"], row["digest"])

    # --- asked at every connection ---

    def is_set(self, identity: str) -> bool:
        return bool(self._of(identity).all())

    def is_known(self, identity: str) -> bool:
        """Do we know the one it has now? Not if the first is still on its way: it may have one of its own."""
        return self._of(identity).current is not None

    def matched(self, identity: str, received: bytes) -> str | None:
        """The digest of the password if it is right. Each kept one is compared, whatever matches."""
        kept = self._of(identity).all() or [_NO_DIGEST]
        found = None
        for candidate in candidates(received):
            digest = self._digest(identity, candidate)
            for known in kept:
                if hmac.compare_digest(digest, known):
                    found = digest
        return found

    async def used(self, identity: str, digest: str) -> None:
        """The station has come with it. What cannot be stored of it is settled next time."""
        kept = self._of(identity)
        if digest not in kept.next:
            return
        try:
            await self._keep(identity, kept.settled(digest))
        except STORAGE_FAULTS as error:
            log.warning("password in use not stored", charge_point=identity, why=str(error))

    # --- set by an operator ---

    async def store(self, identity: str, key: str | None) -> str:
        """Keep a key that the station has already; None = make one up. Nothing is sent.

        Raises:
            NotFound: no such station, and no site that names it.
            InvalidInput: not a key.
        """
        key = self._new_key() if key is None else key
        raw = key_bytes(key)
        known = await self._charge_points.known(identity)
        await self._keep(known, _Digests(current=self._digest(known, raw)))
        return key

    async def send(self, identity: str, key: str | None) -> tuple[str, str]:
        """Give the station a key, as hex digits; returns the key and the station's answer.

        Raises: as `Commands.send`.
        """
        key = self._new_key() if key is None else key
        value = key_bytes(key).hex().upper()
        answer = await self._commands.send(
            identity, "ChangeConfiguration", {"key": "AuthorizationKey", "value": value}
        )
        return key, str(answer.get("status"))

    async def remove(self, identity: str) -> None:
        """Raises: NotFound"""
        await self._keep(self._charge_points.station(identity).identity, _Digests())

    # --- on its way to the station ---

    async def sending(self, identity: str, key: str) -> None:
        """It is good from now on, for the station's answer may be lost."""
        await self._keep(identity, self._of(identity).sent(self._digest(identity, key_bytes(key))))

    async def taken(self, identity: str, key: str) -> None:
        await self._keep(identity, self._of(identity).settled(self._digest(identity, key_bytes(key))))
        log.info("password changed", charge_point=identity)

    async def refused(self, identity: str, key: str) -> None:
        await self._keep(identity, self._of(identity).refused(self._digest(identity, key_bytes(key))))

    # --- inside ---

    def _of(self, identity: str) -> _Digests:
        return self._digests.get(identity.casefold(), _Digests())

    def _digest(self, identity: str, key: bytes) -> str:
        told = identity.casefold().encode() + b"\x00" + key
        return hmac.new(self._secret, told, hashlib.sha256).hexdigest()

    async def _keep(self, identity: str, digests: _Digests) -> None:
        """In memory first, so that what comes meanwhile builds on it; taken back if it is not stored."""
        name, slots, now = identity.casefold(), digests.slots(), self._clock.now()
        before, self._digests[name] = self._of(identity), digests
        try:
            await self._database.write(lambda conn: security.replace_passwords(conn, identity, slots, now))
        except BaseException:
            if self._digests[name] is digests:
                self._digests[name] = before
            raise


class _KeyChange(CommandEffect):
    """ChangeConfiguration of AuthorizationKey, whoever sends it."""

    def __init__(self, passwords: StationPasswords) -> None:
        self._passwords = passwords

    async def before(self, command: Command) -> None:
        if (key := _key_in(command)) is None:
            return
        try:
            await self._passwords.sending(command.identity, key)
        except InvalidInput as fault:
            raise InvalidInput("value", fault.value, fault.expected) from None

    async def answered(self, command: Command, answer: Payload) -> None:
        """RebootRequired: both stay good until the new one is used."""
        if (key := _key_in(command)) is None:
            return
        match answer.get("status"):
            case "Accepted":
                await self._passwords.taken(command.identity, key)
            case "Rejected" | "NotSupported":
                await self._passwords.refused(command.identity, key)

    async def failed(self, command: Command, error: CsmsError) -> None:
        """An answer that cannot be read may have been a yes: the outcome stays unknown."""
        was_refused = isinstance(error, CallFailed) and error.code != "FormationViolation"
        if was_refused and (key := _key_in(command)) is not None:
            await self._passwords.refused(command.identity, key)


def _key_in(command: Command) -> str | None:
    is_key = str(command.payload.get("key")).strip().lower() in SECRET_KEYS
    return str(command.payload["value"]) if is_key else None
