"""Who may connect: decided on the HTTP request, before the websocket handshake.

Source: OCPP-J 1.6, section 3.1 (identity in the URL); reference of refusals: 404 for unknown identities.
"""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import unquote

import structlog
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from csms.ocpp.flood_limits import FloodLimits
from csms.ocpp.station_socket import Socket
from csms.services.charge_points import ChargePoints

log = structlog.get_logger()


class Admission:
    def __init__(self, charge_points: ChargePoints, limits: FloodLimits) -> None:
        self._charge_points, self._limits = charge_points, limits

    async def on_request(self, socket: ServerConnection, request: Request) -> Response | None:
        """Refuse stations we do not know before the handshake. Anything but a websocket is refused after.

        None = it may come in; its identity is noted on the socket.
        """
        assert isinstance(socket, Socket)
        if not any("websocket" in value.lower() for value in request.headers.get_all("Upgrade")):
            return None
        given = identity_in(request.path)
        if (seconds := self._limits.retry_after_s(socket.address, given)) > 0:
            response = socket.respond(HTTPStatus.TOO_MANY_REQUESTS, "too many refused attempts\n")
            response.headers["Retry-After"] = str(seconds)
            return response
        identity = await self._charge_points.admit(given) if given else None
        if identity is None:
            self._limits.refused(socket.address, given)
            log.warning("unknown charge point refused", charge_point=given[:255], address=socket.address)
            return socket.respond(HTTPStatus.NOT_FOUND, "unknown charge point\n")
        self._limits.succeeded(socket.address, identity)
        socket.identity = identity
        return None


def identity_in(path: str) -> str:
    """The last segment of the URL's path that is not empty, decoded; "" if there is none."""
    segments = [part for part in path.partition("?")[0].split("/") if part]
    return unquote(segments[-1]) if segments else ""
