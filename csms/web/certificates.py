"""Certificates of a station: those this server's authority issued to it, and the roots installed on it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from csms.domain.certificate_authority import KeyKind, serial_hex
from csms.errors import InvalidInput
from csms.services.certificates import CENTRAL_SYSTEM_ROOT, RENEWED_BEFORE_END
from csms.web.elements import Tag
from csms.web.station_part import Line, Listing, Part, Refused, choice, folded, submit, text_field
from csms.web.station_words import CERTIFICATE_TYPES, ISSUED_STATES, spaced

Row = dict[str, Any]
PROFILES = (
    "Security profile 0: it connects without a password.",
    "Security profile 1: it connects with a password.",
    "Security profile 2: it connects with a password, over TLS.",
    "Security profile 3: it connects with its own certificate, over TLS.",
)
KINDS = {"rsa": "RSA", "ecdsa": "ECDSA"}
RENEW = (
    "The station makes a new key, asks for a certificate and may reconnect: whoever charges may be "
    "interrupted. Go on?"
)
REVOKE = (
    "The station cannot connect with this certificate any more; if that is how it connects, it is sent away "
    "now. It cannot be undone. Revoke it?"
)
DELETE = (
    "A station without the root of its central system cannot check it any more: it may not come back after "
    "its next restart. Delete it from the station?"
)

_DELETE_REFUSALS = {"Failed": "the station did not delete it: it may be in use"}
_RENEW_REFUSALS = {
    "Rejected": "the station refuses to ask for a new certificate",
    "NotImplemented": "the station cannot ask for certificates",
}
_INSTALL_REFUSALS = {
    "Rejected": "the station does not take this certificate",
    "Failed": "the station could not install it: it may have no room, or it cannot read it",
}


class IssuedLine(Line):
    def __init__(self, part: Certificates, row: Row) -> None:
        super().__init__()
        self._part, self._serial_number = part, row["serial_number"]
        with self.actions:
            if part.visitor.may_administer and row["status"] != "Revoked":
                part.button("Revoke", self._revoke, REVOKE)

    def show(self, row: Row) -> None:
        part = self._part
        state, colour = ISSUED_STATES[row["status"]]
        if row["status"] == "Accepted":
            state, colour = end_in_words(row["not_after"], part.services.clock.now())
        until = (
            f"issued {part.visitor.when(row['issued_at'])}, holds until {part.visitor.when(row['not_after'])}"
        )
        self.say(f"Its certificate {_short(self._serial_number)}", until, state, colour)

    async def _revoke(self) -> str:
        await self._part.services.certificates.revoke(self._part.identity, self._serial_number)
        return f"certificate {_short(self._serial_number)} is revoked"


class InstalledLine(Line):
    def __init__(self, part: Certificates, row: Row) -> None:
        super().__init__()
        self._part, self._row = part, row
        with self.actions:
            if part.visitor.may_operate:
                part.button("Delete", self._delete, DELETE)

    def show(self, row: Row) -> None:
        part, number = self._part, row["serial_number"]
        what = CERTIFICATE_TYPES.get(row["certificate_type"]) or spaced(row["certificate_type"])
        seen = f"told {part.visitor.when(row['seen_at'])}"
        own = part.own_roots.get(_plain(number))
        if own is None:
            self.say(f"{what} {_short(number)}", f"not of this server, {seen}")
            return
        kind, ends_at = own
        told = f"of this server ({kind}), holds until {part.visitor.when(ends_at)}, {seen}"
        self.say(f"{what} {_short(number)}", told, *end_in_words(ends_at, part.services.clock.now()))

    async def _delete(self) -> str:
        names = {"hash_algorithm": "hashAlgorithm", "issuer_name_hash": "issuerNameHash"}
        names |= {"issuer_key_hash": "issuerKeyHash", "serial_number": "serialNumber"}
        request = {"certificateHashData": {name: self._row[key] for key, name in names.items()}}
        answer = await self._part.services.commands.send(self._part.identity, "DeleteCertificate", request)
        if answer.get("status") == "NotFound":
            return "the station did not have it any more"
        return accepted(answer, "the station has deleted it", _DELETE_REFUSALS)


class Certificates(Part):
    def build(self) -> None:
        self.own_roots: dict[str, tuple[str, datetime]] = {}  # by serial number: kind, end
        self._profile = Tag("p", classes="quiet-line")
        self._issued = Listing[Row](
            "None was issued to it here.",
            lambda row: (row["serial_number"], row["status"]),
            lambda row: IssuedLine(self, row),
            "Issued to the station",
        )
        self._installed = Listing[Row](
            "No root is known to be installed on it.",
            lambda row: (row["certificate_type"], row["issuer_key_hash"], row["serial_number"]),
            lambda row: InstalledLine(self, row),
            "Roots installed on it",
        )
        if not self.visitor.may_operate:
            return
        with Tag("div", classes="entry-actions"):
            self.button("Ask what is installed", self._ask)
            self.button("Have its certificate renewed", self._renew, RENEW)
        with folded("Install a root …"):
            with self.form("Install this server's root", self._install_own):
                choice("Root of this server", "kind", KINDS)
                submit("Install it")
            with self.form("Install another root", self._install):
                text_field("Or another one (PEM)", "certificate", required="required")
                choice("As", "type", CERTIFICATE_TYPES)
                submit("Install")

    async def refresh(self) -> None:
        issued, installed = await self.services.certificates.of_station(self.identity)
        if installed and not self.own_roots:
            roots = await self.services.certificates.roots()
            self.own_roots = {
                serial_hex(root.certificate): (KINDS[kind], root.certificate.not_valid_after_utc)
                for kind, root in roots.items()
            }
        self._profile.say(PROFILES[self.visitor.station.security_profile])
        self._issued.show(issued)
        self._installed.show(installed)

    async def _ask(self) -> str:
        for kind in CERTIFICATE_TYPES:
            request = {"certificateType": kind}
            await self.services.commands.send(self.identity, "GetInstalledCertificateIds", request)
        return "the station has told its roots"

    async def _renew(self) -> str:
        answer = await self.services.certificates.ask_to_renew(self.identity)
        return accepted(answer, "the station asks for a new certificate", _RENEW_REFUSALS)

    async def _install_own(self, fields: Row) -> str:
        kind: KeyKind = "ecdsa" if fields.get("kind") == "ecdsa" else "rsa"
        answer = await self.services.certificates.install_root(self.identity, kind)
        return accepted(answer, "the station has taken it", _INSTALL_REFUSALS)

    async def _install(self, fields: Row) -> str:
        text, kind = str(fields.get("certificate", "")).strip(), str(fields.get("type", CENTRAL_SYSTEM_ROOT))
        if "-----BEGIN CERTIFICATE-----" not in text:
            raise InvalidInput(
                "certificate", text[:30], "one in PEM, beginning with -----BEGIN CERTIFICATE-----"
            )
        request = {"certificateType": kind, "certificate": text}
        answer = await self.services.commands.send(self.identity, "InstallCertificate", request)
        return accepted(answer, "the station has taken it", _INSTALL_REFUSALS)


def accepted(answer: Row, words: str, refusals: dict[str, str]) -> str:
    """words: of an answer Accepted. Raises Refused: another status, in words if they are known."""
    status = str(answer.get("status"))
    if status == "Accepted":
        return words
    raise Refused(refusals.get(status) or f"the station answered {status}")


def end_in_words(ends_at: datetime, now: datetime) -> tuple[str, str]:
    """(words, colour) of a certificate that holds, is about to end, or has ended."""
    days = (ends_at - now).days
    if ends_at <= now:
        return "Ended", "fault"
    if ends_at - now <= RENEWED_BEFORE_END:
        return f"Ends in {days} day{'' if days == 1 else 's'}", "waiting"
    return "Holds", "on"


def _plain(serial_number: str) -> str:
    """Stations write leading zeros, and capitals."""
    return serial_number.lower().lstrip("0")


def _short(serial_number: str) -> str:
    return serial_number if len(serial_number) <= 12 else f"{serial_number[:8]}…"
