"""The passwords of Basic authentication, and how a station gets a new one.

Kept are keyed digests only, all in memory, so that ten thousand stations can come back at once. The keys are
random, so a fast hash protects them; its own key makes a stolen table useless without the rest.

A new key is kept before it is sent. While the outcome is unknown, the old one and the new one are both good,
until one is used: that one stays. Source: OCPP 1.6 security whitepaper, A01.FR.03 and FR.04.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

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
_NO_DIGEST = "0" * 64  # compared with where there is no password, so that the answer takes as long


@dataclass(frozen=True, slots=True)
class _Digests:
    """next: a key the station may have taken. after_reboot: one it has taken and will use after a boot."""

    current: str | None = None
    next: str | None = None
    after_reboot: str | None = None

    def slots(self) -> dict[str, str]:
        names = ("current", "next", "after_reboot")
        return {name: digest for name in names if (digest := getattr(self, name)) is not None}


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
        for row in rows:
            kept = self._of(row["identity"])
            self._digests[row["identity"].casefold()] = replace(kept, **{row["slot"]: row["digest"]})

    # --- asked at every connection ---

    def is_set(self, identity: str) -> bool:
        return bool(self._of(identity).slots())

    def matched(self, identity: str, received: bytes) -> str | None:
        """The digest of the password if it is right. Each kept one is compared, whatever matches."""
        kept = list(self._of(identity).slots().values()) or [_NO_DIGEST]
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
        if digest in (kept.next, kept.after_reboot):
            settled = _Digests(current=digest)
        elif kept.next is not None:
            settled = replace(kept, next=None)
        else:
            return
        try:
            await self._keep(identity, settled)
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
        digest_of = key_bytes(key)
        known = await self._charge_points.known(identity)
        await self._keep(known, _Digests(current=self._digest(known, digest_of)))
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
        await self._keep(identity, replace(self._of(identity), next=self._digest(identity, key_bytes(key))))

    async def outcome(self, identity: str, key: str, outcome: Literal["taken", "later", "refused"]) -> None:
        digest, kept = self._digest(identity, key_bytes(key)), self._of(identity)
        left = None if kept.next == digest else kept.next
        match outcome:
            case "taken":
                await self._keep(identity, _Digests(current=digest, next=left))
                log.info("password changed", charge_point=identity)
            case "later":
                await self._keep(identity, replace(kept, next=left, after_reboot=digest))
            case "refused":
                await self._keep(identity, replace(kept, next=left))

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
        outcome = {
            "Accepted": "taken",
            "RebootRequired": "later",
            "Rejected": "refused",
            "NotSupported": "refused",
        }.get(str(answer.get("status")))
        await self._settle(command, outcome)

    async def failed(self, command: Command, error: CsmsError) -> None:
        """An answer that cannot be read may have been a yes: the outcome stays unknown."""
        was_refused = isinstance(error, CallFailed) and error.code != "FormationViolation"
        await self._settle(command, "refused" if was_refused else None)

    async def _settle(self, command: Command, outcome: Any) -> None:
        if (key := _key_in(command)) is not None and outcome is not None:
            await self._passwords.outcome(command.identity, key, outcome)


def _key_in(command: Command) -> str | None:
    is_key = str(command.payload.get("key")).strip().lower() in SECRET_KEYS
    return str(command.payload["value"]) if is_key else None
