"""Who may connect: decided on the HTTP request, before the websocket handshake.

404 for an identity that nobody knows, 401 for a missing or wrong password, 403 for another transport or
certificate than the station's security profile asks for, 429 for an address that has been refused too often.
Source: OCPP-J 1.6, section 3.1 (identity in the URL); security whitepaper, section 3.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Protocol
from urllib.parse import unquote

import structlog
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from csms.domain.security_profile import Refused
from csms.ocpp.station_socket import Socket
from csms.ocpp.tls import peer_certificate
from csms.services.charge_points import ChargePoints

log = structlog.get_logger()

CHALLENGE = 'Basic realm="charging stations"'


class Gate(Protocol):
    """Whoever knows by what each station must show that it is the one it says."""

    async def admit(
        self, identity: str, *, is_tls: bool, authorization: str | None, certificate: bytes | None
    ) -> Refused | None: ...


class Limits(Protocol):
    """Counts refusals. retry_after_s: how long the address must wait before it may try again; 0 = it may."""

    def retry_after_s(self, address: str, identity: str) -> int: ...

    def refused(self, address: str, identity: str) -> None: ...

    def succeeded(self, address: str, identity: str) -> None: ...


class Admission:
    """gate: None = every known station is let in. note: told (identity, request line, reason) of refusals."""

    def __init__(
        self,
        charge_points: ChargePoints,
        limits: Limits | None = None,
        gate: Gate | None = None,
        note: Callable[[str, str, str], None] = lambda identity, line, reason: None,
    ) -> None:
        self._charge_points, self._limits, self._gate, self._note = charge_points, limits, gate, note

    async def on_request(self, socket: ServerConnection, request: Request) -> Response | None:
        """Refuse stations we do not know before the handshake. Anything but a websocket is refused after.

        None = it may come in; its identity is noted on the socket.
        """
        assert isinstance(socket, Socket)
        if not any("websocket" in value.lower() for value in request.headers.get_all("Upgrade")):
            return None
        given, address = identity_in(request.path), socket.address
        if self._limits is not None and (wait_s := self._limits.retry_after_s(address, given)) > 0:
            limited = socket.respond(HTTPStatus.TOO_MANY_REQUESTS, "too many refused attempts\n")
            limited.headers["Retry-After"] = str(wait_s)
            return limited
        identity = await self._charge_points.admit(given) if given else None
        response: Response | None
        if identity is None:
            log.warning("unknown charge point refused", charge_point=given[:255], address=address)
            response = socket.respond(HTTPStatus.NOT_FOUND, "unknown charge point\n")
        else:
            response = await self._show(socket, request, identity)
        if self._limits is not None:
            count = self._limits.succeeded if response is None else self._limits.refused
            count(address, identity or given)
        if response is None and identity is not None:
            socket.identity = identity
        return response

    async def _show(self, socket: Socket, request: Request, identity: str) -> Response | None:
        """None: it is the station it says to be, by the means of its security profile."""
        if self._gate is None:
            return None
        is_tls, certificate = peer_certificate(socket.transport)
        sent = request.headers.get_all("Authorization")
        refused = await self._gate.admit(
            identity,
            is_tls=is_tls,
            authorization=", ".join(sent) if sent else None,
            certificate=certificate,
        )
        if refused is None:
            return None
        log.warning("station refused", charge_point=identity, address=socket.address, why=refused.reason)
        self._note(identity, f"GET {request.path}", f"connection refused: {refused.reason}")
        if not refused.needs_password:
            return socket.respond(HTTPStatus.FORBIDDEN, f"{refused.reason}\n")
        response = socket.respond(HTTPStatus.UNAUTHORIZED, f"{refused.reason}\n")
        response.headers["WWW-Authenticate"] = CHALLENGE
        return response


def identity_in(path: str) -> str:
    """The last segment of the URL's path that is not empty, decoded; "" if there is none."""
    segments = [part for part in path.partition("?")[0].split("/") if part]
    return unquote(segments[-1]) if segments else ""
