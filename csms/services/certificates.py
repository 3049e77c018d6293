"""The built-in authority at work: its roots, the server's certificates, and those of stations.

Roots are made when first needed and kept in the database with their keys. A station's request is answered at
once and signed after that; what came of it is kept with the certificate. Which certificates were revoked is
held in memory, so that ten thousand stations can come back at once.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import structlog
from cryptography import x509

from csms.clock import Clock
from csms.domain.allowance import Allowance
from csms.domain.certificate_authority import (
    KEY_KINDS,
    Authority,
    KeyKind,
    authority,
    cross_signed,
    hash_data,
    key_pem,
    kind_of,
    new_key,
    new_root,
    pem,
    read_csr,
    serial_hex,
    sign_csr,
    sign_server,
    subject_problem,
)
from csms.errors import CsmsError, InvalidInput, NotFound, StartupError
from csms.services.charge_points import ChargePoints
from csms.services.command_effects import Command, CommandEffect, Payload
from csms.services.commands import Commands
from csms.storage import access, security
from csms.storage.database import STORAGE_FAULTS, Database

log = structlog.get_logger()

RENEWED_BEFORE_END = timedelta(days=30)
ASKED_AGAIN_AFTER = timedelta(days=1)
FORGOTTEN_AFTER_END = timedelta(days=30)  # till then the station may be asked to renew it
SIGNED_AT_ONCE, SIGNED_REFILL_S = 10, 86_400.0  # for each station: one may ask for ever
LOOK_EVERY_S = 3600.0
POLICY_VIOLATION = 1008
CENTRAL_SYSTEM_ROOT = "CentralSystemRootCertificate"


@dataclass(frozen=True, slots=True)
class Issued:
    identity: str
    not_after: datetime
    status: str


class Certificates:
    """cpo_name: the O that stations' certificates must have; "" = not checked."""

    def __init__(
        self,
        database: Database,
        charge_points: ChargePoints,
        commands: Commands,
        clock: Clock,
        cpo_name: str = "",
    ) -> None:
        self._database, self._charge_points, self._commands = database, charge_points, commands
        self._clock, self._cpo_name = clock, cpo_name
        self._roots: dict[KeyKind, Authority] = {}
        self._making_roots = asyncio.Lock()
        self._issued: dict[str, Issued] = {}  # by serial number
        self._allowances: dict[str, Allowance] = {}
        self._asked_at: dict[str, datetime] = {}
        self._signing: dict[str, asyncio.Task[None]] = {}
        self._task: asyncio.Task[None] | None = None
        self._chores: list[Callable[[], Awaitable[None]]] = []
        for action, effect in (
            ("InstallCertificate", _Installed(self)),
            ("DeleteCertificate", _Deleted(self)),
            ("GetInstalledCertificateIds", _Listed(self)),
        ):
            commands.on(action, effect)

    async def start(self) -> None:
        async with self._database.read() as conn:
            rows = await security.issued_until(conn, self._clock.now() - FORGOTTEN_AFTER_END)
        for row in rows:
            self._issued[row["serial_number"]] = Issued(row["identity"], row["not_after"], row["status"])
        self._task = asyncio.create_task(self._run(), name="certificates")

    async def stop(self) -> None:
        tasks = [task for task in (self._task, *self._signing.values()) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._task = None

    # --- the authority ---

    async def roots(self) -> dict[KeyKind, Authority]:
        """Made at the first call, then always the same."""
        async with self._making_roots:
            for kind in KEY_KINDS:
                if kind not in self._roots:
                    self._roots[kind] = await self._root(kind)
        return dict(self._roots)

    async def root_pem(self, kind: KeyKind | None = None) -> str:
        """One root certificate, or both."""
        roots = await self.roots()
        return "".join(root.pem for name, root in roots.items() if kind in (None, name))

    async def _root(self, kind: KeyKind) -> Authority:
        purpose = f"authority {kind}"
        async with self._database.read() as conn:
            kept = await access.kept_key(conn, purpose)
        if kept is None:
            made = await asyncio.to_thread(new_root, kind, os.urandom(4).hex(), self._clock.now())
            text = made.to_text()
            kept = await self._database.write(lambda conn: access.keep_key(conn, purpose, text))
        return await asyncio.to_thread(authority, kept)

    async def server_files(self, names: list[str], folder: Path) -> list[Path]:
        """The server's key and certificate chain for these names: a file with RSA, one with ECDSA.

        Made, or made anew when less than 30 days are left, the names have changed or the root has.

        Raises:
            StartupError: the folder cannot be written.
        """
        roots, now = await self.roots(), self._clock.now()
        files = []
        for kind, root in roots.items():
            file = folder / f"server_{kind}.pem"
            if not _is_good(file, root, names, now):
                key = await asyncio.to_thread(new_key, kind)
                other = next(r for k, r in roots.items() if k != kind)
                chain = pem(sign_server(root, key, names, now)) + pem(cross_signed(root, other, now))
                try:
                    _write(file, key_pem(key) + chain)
                except OSError as fault:
                    raise StartupError(f"the server's certificate cannot be kept: {fault}") from None
                log.info("server certificate made", names=", ".join(names), file=str(file))
            files.append(file)
        return files

    # --- stations' certificates ---

    def problem(self, identity: str, der: bytes) -> str | None:
        """Why a station's certificate is not taken; None = it is. TLS has checked its signer.

        One that we have signed is that station's and no other's, whatever is written in it.
        """
        try:
            certificate = x509.load_der_x509_certificate(der)
            serial_number, subject = serial_hex(certificate), certificate.subject
            begins_at, ends_at = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        except ValueError as fault:
            return f"its certificate cannot be read: {fault}"
        now = self._clock.now()
        if not begins_at <= now <= ends_at:
            return f"its certificate holds from {begins_at:%Y-%m-%d %H:%M} to {ends_at:%Y-%m-%d %H:%M} UTC"
        issued = self._issued.get(serial_number)
        if issued is not None and self._is_ours(certificate):
            if issued.status == "Revoked":
                return "its certificate was revoked"
            if issued.identity.casefold() != identity.casefold():
                return f"its certificate is that of {issued.identity!r}"
            return None
        station = self._charge_points.station(identity)
        wrong = subject_problem(subject, station.identity, station.serial_number, self._cpo_name)
        return None if wrong is None else f"its certificate: {wrong}"

    def _is_ours(self, certificate: x509.Certificate) -> bool:
        return any(certificate.issuer == root.certificate.subject for root in self._roots.values())

    async def sign_certificate(self, identity: str, payload: Payload, received_at: datetime) -> Payload:
        """A station's SignCertificate. While one is being signed and sent, others are refused."""
        station = self._charge_points.station(identity)
        try:
            csr = read_csr(payload["csr"])
            problem = subject_problem(
                csr.subject,
                station.identity,
                station.serial_number,
                self._cpo_name,
                may_contain_identity=True,
            )
        except InvalidInput as fault:
            problem = str(fault)
        running = self._signing.get(station.identity)
        if running is not None and not running.done():
            problem = "its last request is still being signed"
        allowance = self._allowances.setdefault(station.identity, Allowance(SIGNED_AT_ONCE, SIGNED_REFILL_S))
        if problem is None and not allowance.take(self._clock.now().timestamp()):
            problem = f"more than {SIGNED_AT_ONCE} requests in a day"
        if problem is not None:
            log.warning("certificate request refused", charge_point=station.identity, why=problem)
            return {"status": "Rejected"}
        task = asyncio.create_task(self._sign_and_send(station.identity, csr), name="sign certificate")
        self._signing[station.identity] = task
        task.add_done_callback(lambda done: self._signed(station.identity, done))
        return {"status": "Accepted"}

    def _signed(self, identity: str, done: asyncio.Task[None]) -> None:
        if self._signing.get(identity) is done:
            del self._signing[identity]
        if not done.cancelled() and (fault := done.exception()) is not None:
            log.error("certificate not signed", charge_point=identity, exc_info=fault)

    async def _sign_and_send(self, identity: str, csr: x509.CertificateSigningRequest) -> None:
        """The answer to SignCertificate leaves first: it is queued before this begins."""
        roots, now = await self.roots(), self._clock.now()
        certificate = sign_csr(roots[kind_of(csr)], csr, now)
        serial_number, not_after = serial_hex(certificate), certificate.not_valid_after_utc
        row = {
            "serial_number": serial_number,
            "identity": identity,
            "pem": pem(certificate),
            "not_after": not_after,
            "issued_at": now,
            "status": "Sent",
        }
        await self._database.write(lambda conn: security.add_issued(conn, row))
        self._issued[serial_number] = Issued(identity, not_after, "Sent")
        try:
            answer = await self._commands.send(
                identity, "CertificateSigned", {"certificateChain": row["pem"]}
            )
            status = "Accepted" if answer.get("status") == "Accepted" else "Rejected"
        except CsmsError as fault:
            log.warning("certificate not delivered", charge_point=identity, why=str(fault))
            status = "Failed"
        await self._set_status(serial_number, status)
        log.info("certificate signed", charge_point=identity, serial_number=serial_number, outcome=status)

    async def _set_status(self, serial_number: str, status: str) -> None:
        await self._database.write(lambda conn: security.set_issued_status(conn, serial_number, status))
        issued = self._issued[serial_number]
        if issued.status != "Revoked":
            self._issued[serial_number] = replace(issued, status=status)

    async def revoke(self, identity: str, serial_number: str) -> None:
        """From now on it is not taken any more; a station of security profile 3 is sent away.

        Raises: NotFound
        """
        station, number = self._charge_points.station(identity), serial_number.lower().lstrip("0")
        issued = self._issued.get(number)
        if issued is None or issued.identity != station.identity:
            raise NotFound("certificate", serial_number)
        await self._set_status(number, "Revoked")
        log.info("certificate revoked", charge_point=station.identity, serial_number=number)
        if station.security_profile == 3 and station.connected:
            await self._charge_points.link(station.identity).close(POLICY_VIOLATION, "certificate revoked")

    async def of_station(self, identity: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """(issued to it, newest first; root certificates installed on it). Raises: NotFound"""
        station = self._charge_points.station(identity)
        async with self._database.read() as conn:
            return (
                await security.issued_to(conn, station.identity),
                await security.installed_on(conn, station.identity),
            )

    def has_certificate(self, identity: str) -> bool:
        """Has it one of ours that it took and that still holds?"""
        return any(
            issued.status == "Accepted" and issued.not_after > self._clock.now()
            for issued in self._issued.values()
            if issued.identity == identity
        )

    # --- asked of stations ---

    async def ask_to_renew(self, identity: str) -> Payload:
        """Have the station send a new request, as it would for its first one. Raises: as `Commands.send`."""
        wanted = {"requestedMessage": "SignChargePointCertificate"}
        return await self._commands.send(identity, "ExtendedTriggerMessage", wanted)

    async def install_root(self, identity: str, kind: KeyKind) -> Payload:
        """Give the station a root to know this server by. Raises: as `Commands.send`."""
        request = {"certificateType": CENTRAL_SYSTEM_ROOT, "certificate": await self.root_pem(kind)}
        return await self._commands.send(identity, "InstallCertificate", request)

    async def renew_due(self) -> None:
        """Ask the stations of security profile 3 whose newest certificate ends soon, each once a day."""
        now = self._clock.now()
        newest: dict[str, datetime] = {}
        for issued in self._issued.values():
            if issued.status in ("Accepted", "Sent"):
                newest[issued.identity] = max(issued.not_after, newest.get(issued.identity, issued.not_after))
        for station in self._charge_points.stations():
            ends_at = newest.get(station.identity)
            is_due = ends_at is not None and ends_at - now <= RENEWED_BEFORE_END
            asked_at = self._asked_at.get(station.identity)
            is_asked = asked_at is not None and now - asked_at < ASKED_AGAIN_AFTER
            if not is_due or is_asked or not station.connected or station.security_profile != 3:
                continue
            if not self._charge_points.may_send_unsolicited(station.identity):
                continue
            self._asked_at[station.identity] = now
            try:
                await self.ask_to_renew(station.identity)
            except CsmsError as fault:
                log.warning(
                    "station does not renew its certificate", charge_point=station.identity, why=str(fault)
                )

    async def forget_ended(self) -> None:
        now = self._clock.now()
        for number, issued in list(self._issued.items()):
            if now - issued.not_after > FORGOTTEN_AFTER_END:
                del self._issued[number]

    def every_hour(self, chore: Callable[[], Awaitable[None]]) -> None:
        """Also done, and awaited, whenever renewals are looked for: the server's own certificates."""
        self._chores.append(chore)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            for chore in (*self._chores, self.renew_due, self.forget_ended):
                try:
                    await chore()
                except (*STORAGE_FAULTS, CsmsError) as fault:
                    log.warning("certificates not renewed", why=str(fault))

    # --- what stations say they have ---

    async def installed(self, identity: str, certificate_type: str, text: str) -> None:
        """It has taken this root certificate."""
        try:
            certificate = x509.load_pem_x509_certificate(text.encode())
            told = hash_data(certificate, certificate, "SHA256")
        except ValueError as fault:
            log.info("installed certificate cannot be read", charge_point=identity, why=str(fault))
            return
        row = self._installed_row(identity, certificate_type, told)
        await self._database.write(lambda conn: security.add_installed(conn, row))

    async def listed(self, identity: str, certificate_type: str, told: list[dict[str, Any]]) -> None:
        """It has these root certificates of that type, and no others."""
        rows = [self._installed_row(identity, certificate_type, one) for one in told]
        await self._database.write(
            lambda conn: security.replace_installed(conn, identity, certificate_type, rows)
        )

    async def deleted(self, identity: str, told: dict[str, Any]) -> None:
        row = self._installed_row(identity, "", told)
        await self._database.write(
            lambda conn: security.remove_installed(
                conn, identity, row["issuer_key_hash"], row["serial_number"]
            )
        )

    def _installed_row(self, identity: str, certificate_type: str, told: dict[str, Any]) -> dict[str, Any]:
        """As the station spells it: so it will know it again."""
        return {
            "identity": identity,
            "certificate_type": certificate_type,
            "issuer_key_hash": str(told["issuerKeyHash"]),
            "serial_number": str(told["serialNumber"]),
            "hash_algorithm": str(told["hashAlgorithm"]),
            "issuer_name_hash": str(told["issuerNameHash"]),
            "seen_at": self._clock.now(),
        }


class _Effect(CommandEffect):
    def __init__(self, certificates: Certificates) -> None:
        self._certificates = certificates


class _Installed(_Effect):
    async def answered(self, command: Command, answer: Payload) -> None:
        if answer.get("status") == "Accepted":
            told = command.payload
            await self._certificates.installed(command.identity, told["certificateType"], told["certificate"])


class _Deleted(_Effect):
    async def answered(self, command: Command, answer: Payload) -> None:
        if answer.get("status") in ("Accepted", "NotFound"):
            await self._certificates.deleted(command.identity, command.payload["certificateHashData"])


class _Listed(_Effect):
    async def answered(self, command: Command, answer: Payload) -> None:
        """An answer that leaves out what it should tell changes nothing."""
        told = answer.get("certificateHashData") or []
        if answer.get("status") == "NotFound":
            told = []
        elif answer.get("status") != "Accepted" or not told:
            return
        await self._certificates.listed(command.identity, command.payload["certificateType"], told)


def _is_good(file: Path, root: Authority, names: list[str], now: datetime) -> bool:
    """Is there a certificate of this root for these names that holds for a while?"""
    try:
        certificate = x509.load_pem_x509_certificate(file.read_bytes())
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, x509.ExtensionNotFound):
        return False
    named = sorted(str(name.value) for name in found)
    return (
        certificate.issuer == root.certificate.subject
        and named == sorted(names)
        and certificate.not_valid_after_utc - now > RENEWED_BEFORE_END
    )


def _write(path: Path, text: str) -> None:
    """A file that only its owner can read, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = path.with_suffix(path.suffix + ".new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    new.replace(path)
