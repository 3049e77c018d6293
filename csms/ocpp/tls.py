"""TLS towards stations: versions, suites, whose certificates are taken, and why a handshake failed.

Source: OCPP 1.6 security whitepaper, section 3: TLS 1.2 at least, no compression, the four suites of
`MANDATORY_SUITES`, for which the server needs an RSA and an ECDSA certificate.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Sequence
from pathlib import Path

import structlog

from csms.domain.allowance import Allowance
from csms.errors import StartupError
from csms.services.certificates import Certificates

log = structlog.get_logger()

HANDSHAKES_LOGGED, HANDSHAKES_REFILL_S = 20, 60.0
_NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME, which the ssl module does not name
MANDATORY_SUITES = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "AES128-GCM-SHA256",
    "AES256-GCM-SHA384",
)
SUITES = (
    *MANDATORY_SUITES[:2],
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES256-GCM-SHA384",
    *MANDATORY_SUITES[2:],
)


class _Context(ssl.SSLContext):
    """logged: how many failed handshakes are told of; others come from scanners, and by the thousand."""

    logged: Allowance


class _LoggedHandshake(ssl.SSLObject):
    """A handshake that fails leaves no connection to complain about: the reason is told here."""

    def do_handshake(self) -> None:
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as fault:
            logged = self.context.logged if isinstance(self.context, _Context) else None
            if logged is not None and logged.take(time.monotonic()):
                log.info("TLS handshake failed", why=fault.reason or str(fault), not_logged=logged.missed)
                logged.missed = 0
            raise


class StationTls:
    """The context that stations' listener uses, and what is loaded into it.

    files: (chain, key) of the operator's own certificates; without them the built-in authority makes some
    for `names` and keeps them in `folder`. client_ca: more authorities whose client certificates are taken.
    """

    def __init__(
        self,
        certificates: Certificates,
        files: Sequence[tuple[Path, Path]],
        names: list[str],
        folder: Path,
        client_ca: Path | None,
    ) -> None:
        self.context = server_context()
        self._certificates, self._files, self._names = certificates, files, names
        self._folder, self._client_ca = folder, client_ca

    async def start(self) -> None:
        """Raises: StartupError"""
        trust(self.context, await self._certificates.root_pem())
        if self._client_ca is not None:
            try:
                trust(self.context, self._client_ca.read_text(encoding="ascii"))
            except (OSError, ValueError) as error:
                raise StartupError(f"CSMS_OCPP_CLIENT_CA {self._client_ca}: {error}") from None
        await self.load()
        self._certificates.every_hour(self.load)

    async def load(self) -> None:
        """The server's certificates as they are now, renewed where it is time. Raises: StartupError"""
        for chain, key in self._files:
            load_server_certificate(self.context, chain, key)
        if not self._files:
            for file in await self._certificates.server_files(self._names, self._folder):
                load_server_certificate(self.context, file)


def server_context() -> ssl.SSLContext:
    """It asks for a client certificate without insisting, and takes one that has ended.

    Both are judged later, when the station has said its identity: a failed handshake tells nobody whose.
    """
    context = _Context(ssl.PROTOCOL_TLS_SERVER)
    context.logged = Allowance(HANDSHAKES_LOGGED, HANDSHAKES_REFILL_S)
    context.sslobject_class = _LoggedHandshake
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_ciphers(":".join(SUITES))
    context.verify_mode = ssl.CERT_OPTIONAL
    context.verify_flags |= _NO_CHECK_TIME
    return context


def load_server_certificate(context: ssl.SSLContext, chain: Path, key: Path | None = None) -> None:
    """In place of one with the same kind of key; open connections keep theirs. key: None = in `chain`.

    Raises: StartupError
    """
    try:
        context.load_cert_chain(chain, key, password=_no_password)
    except (OSError, ssl.SSLError, ValueError) as error:
        raise StartupError(f"TLS certificate {chain} with key {key or chain}: {error}") from None


def trust(context: ssl.SSLContext, authorities: str) -> None:
    """Take client certificates of these authorities (PEM). Raises: ValueError"""
    try:
        context.load_verify_locations(cadata=authorities)
    except ssl.SSLError as error:
        raise ValueError(f"no certificates in PEM: {error}") from None


def peer_certificate(transport: object) -> tuple[bool, bytes | None]:
    """(does the transport use TLS, the client's certificate as DER, its signer checked by TLS)."""
    get_extra_info = getattr(transport, "get_extra_info", None)
    ssl_object = get_extra_info("ssl_object") if get_extra_info is not None else None
    if ssl_object is None:
        return False, None
    return True, ssl_object.getpeercert(binary_form=True)


def _no_password() -> str:
    raise ValueError("the key is encrypted, a plain one is needed")
