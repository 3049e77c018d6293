"""The whole server with ws and wss on free ports, stations with keys and certificates, a REST client."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from csms.app import App
from csms.clock import SystemClock
from csms.domain.certificate_authority import Authority, KeyKind, PrivateKey, key_pem, new_key, pem, sign_csr
from csms.settings import Settings
from csms.storage import stations
from csms.storage.database import Database
from tests.api.api_builders import rest_client, serving
from tests.empty_database import migrated

PATIENCE_S = 10
KEY = "0001020304050607FFFFFFFFFFFFFFFFFFFFFFFF"  # of the whitepaper's example, for the station AL1000
BOOT = {"chargePointVendor": "Vendor", "chargePointModel": "Model", "chargePointSerialNumber": "SN-42"}


class ClockAhead(SystemClock):
    """The real time, and as much as a test adds to it."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return super().now() + self.ahead


@dataclass
class Station:
    socket: ClientConnection

    async def hear(self) -> list[Any]:
        frame: list[Any] = json.loads(await asyncio.wait_for(self.socket.recv(), PATIENCE_S))
        return frame

    async def say(self, frame: list[Any]) -> None:
        await self.socket.send(json.dumps(frame))

    async def ask(self, action: str, payload: dict[str, Any]) -> dict[str, Any]:
        """Calls that come before the answer are refused."""
        await self.say([2, f"{action}-1", action, payload])
        while (frame := await self.hear())[0] == 2:
            await self.say([4, frame[1], "NotSupported", "", {}])
        assert frame[0] == 3
        return dict(frame[2])

    async def answer(self, answer: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Answer the next call with this; returns its action and payload."""
        _, id, action, payload = await self.hear()
        await self.say([3, id, answer])
        return action, payload

    async def answer_only(self, wanted: str, answer: dict[str, Any]) -> list[str]:
        """Answer the next call of this action, refuse those before it; returns what was refused."""
        refused = []
        while (frame := await self.hear())[2] != wanted:
            refused.append(frame[2])
            await self.say([4, frame[1], "NotSupported", "", {}])
        await self.say([3, frame[1], answer])
        return refused

    async def refuse(self, code: str) -> None:
        _, id, *_ = await self.hear()
        await self.say([4, id, code, "", {}])

    async def leave(self) -> None:
        await self.socket.close()


@dataclass
class System:
    app: App
    clock: ClockAhead
    api: httpx.AsyncClient
    stations: list[Station] = field(default_factory=list)

    async def station(
        self,
        password: bytes | str | None = None,
        *,
        tls: ssl.SSLContext | None = None,
        identity: str = "CP1",
        name: str | None = None,
    ) -> Station:
        """Connects over ws, or wss if there is a context. Raises InvalidStatus when refused."""
        port = self.app.ocpp.tls_port if tls is not None else self.app.ocpp.port
        scheme = "wss" if tls is not None else "ws"
        socket = await connect(
            f"{scheme}://localhost:{port}/{identity}",
            subprotocols=[Subprotocol("ocpp1.6")],
            additional_headers={} if password is None else basic(name or identity, password),
            ssl=tls,
            compression=None,
            ping_interval=None,
            proxy=None,
        )
        station = Station(socket)
        self.stations.append(station)
        beat = await station.ask("Heartbeat", {})  # from now on commands reach it
        assert "currentTime" in beat
        return station

    async def status_of(self, connecting: Awaitable[Station]) -> int:
        """The HTTP status of the handshake's answer; 101 = let in, and gone again."""
        try:
            station = await connecting
        except InvalidStatus as refused:
            return refused.response.status_code
        await station.leave()
        return 101

    async def put(self, path: str, body: dict[str, Any], identity: str = "CP1") -> httpx.Response:
        return await self.api.put(f"/api/v1/charge-points/{identity}/{path}", json=body)

    async def store(self, key: str | None = None, profile: int | None = None, identity: str = "CP1") -> None:
        """What an operator enters before a station first comes."""
        if key is not None:
            answer = await self.put("authorization-key", {"key": key, "send": False}, identity)
            assert answer.status_code == 200, answer.text
        if profile is not None:
            answer = await self.put("security-profile", {"profile": profile, "send": False}, identity)
            assert answer.status_code == 200, answer.text

    async def profile(self, identity: str = "CP1") -> int:
        return self.app.charge_points.station(identity).security_profile

    async def notes(self, identity: str = "CP1") -> list[str]:
        answer = await self.api.get(f"/api/v1/charge-points/{identity}/messages")
        return [frame["note"] for frame in answer.json() if frame["note"]]


@asynccontextmanager
async def secure_system(
    folder: Path, identities: tuple[str, ...] = ("CP1",), **settings: Any
) -> AsyncIterator[System]:
    """Run again on the same folder, it is the same server after a restart."""
    database = Database(migrated(f"sqlite+aiosqlite:///{folder / 'csms.db'}"))
    await database.start()
    for name in identities:
        await database.write(
            lambda conn, name=name: stations.ensure(conn, name, "Accepted", SystemClock().now())
        )
    await database.stop()
    given: dict[str, Any] = {"ocpp_tls_hostname": "localhost", "ocpp_tls_port": 0, "conformance_mode": True}
    given |= settings
    clock = ClockAhead()
    app = App(
        Settings(
            _env_file=None,
            data_dir=folder,
            ocpp_host="127.0.0.1",
            ocpp_port=0,
            **given,
        ),
        clock,
    )
    async with AsyncExitStack() as stack:
        await app.start(control=False, web=False)
        stack.push_async_callback(app.stop)
        token = await app.accounts.create_token("test", "admin")
        address = await stack.enter_async_context(serving(app.services()))
        api = await stack.enter_async_context(rest_client(address, token))
        system = System(app, clock, api)
        try:
            yield system
        finally:
            for station in system.stations:
                await station.leave()


def basic(name: str, password: bytes | str) -> dict[str, str]:
    raw = password if isinstance(password, bytes) else password.encode()
    return {"Authorization": "Basic " + base64.b64encode(name.encode() + b":" + raw).decode()}


def trusting(roots: str, *, suites: str | None = None) -> ssl.SSLContext:
    """A station that knows these roots; suites: of TLS 1.2, and nothing newer."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=roots)
    if suites is not None:
        context.set_ciphers(suites)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


def csr_for(
    key: PrivateKey, common_name: str, organisation: str | None = None
) -> x509.CertificateSigningRequest:
    names = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if organisation is not None:
        names.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation))
    return x509.CertificateSigningRequestBuilder().subject_name(x509.Name(names)).sign(key, hashes.SHA256())


def csr_text(csr: x509.CertificateSigningRequest) -> str:
    return csr.public_bytes(Encoding.PEM).decode()


def certified(context: ssl.SSLContext, folder: Path, certificate: str, key: PrivateKey) -> ssl.SSLContext:
    """The station shows this certificate from now on."""
    file = folder / "station.pem"
    file.write_text(key_pem(key) + certificate)
    context.load_cert_chain(file)
    return context


def certificate_of(
    authority: Authority,
    common_name: str,
    kind: KeyKind = "ecdsa",
    lasts: timedelta = timedelta(days=10),
    organisation: str | None = None,
) -> tuple[str, PrivateKey]:
    """(certificate, key) of a station."""
    key = new_key(kind)
    csr = csr_for(key, common_name, organisation)
    return pem(sign_csr(authority, csr, SystemClock().now(), lasts)), key
