"""A station on a real websocket that answers as a story tells it, and an operator's API over real HTTP."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from csms.ocpp.server import OcppServer
from csms.services.bundle import Services
from csms.services.station_messages import StationMessages
from tests.api.api_builders import rest_client, serving
from tests.services_on_file import SetClock, running_services

PATIENCE_S = 20
CP1 = "/api/v1/charge-points/CP1"
SITE = {
    "site": {"id": "home", "name": "Home", "timezone": "Europe/Zurich"},
    "circuit": [{"id": "main", "limit_a": [40, 40, 40]}],
    "charge_point": [
        {"id": id, "circuit": "main", "connectors": [{"id": 1}, {"id": 2}]} for id in ("CP1", "CP2")
    ],
}
NO_ANSWER = object()


@dataclass
class CallError:
    code: str


class Station:
    """answers: what it says to an action next, the last for ever; may be a CallError or NO_ANSWER."""

    def __init__(self, link: ClientConnection) -> None:
        self.answers: defaultdict[str, deque[Any]] = defaultdict(deque)
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self._link = link
        self._ids = (str(n) for n in itertools.count(1))
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._changed = asyncio.Condition()

    def will_answer(self, action: str, *answers: Any) -> None:
        self.answers[action] = deque(answers)

    async def say(self, action: str, payload: dict[str, Any]) -> dict[str, Any]:
        id = next(self._ids)
        self._waiting[id] = asyncio.get_running_loop().create_future()
        await self._link.send(json.dumps([2, id, action, payload]))
        return await asyncio.wait_for(self._waiting[id], PATIENCE_S)

    def asked(self, action: str) -> list[dict[str, Any]]:
        return [payload for asked, payload in self.requests if asked == action]

    async def is_asked(self, action: str, times: int) -> list[dict[str, Any]]:
        """Wait until it has been asked that often."""
        async with asyncio.timeout(PATIENCE_S), self._changed:
            await self._changed.wait_for(lambda: len(self.asked(action)) >= times)
        return self.asked(action)

    async def leave(self) -> None:
        await self._link.close()

    async def live(self) -> None:
        try:
            async for frame in self._link:
                await self._receive(json.loads(frame))
        except ConnectionClosed:
            return

    async def _receive(self, message: list[Any]) -> None:
        if message[0] != 2:
            result = message[2] if message[0] == 3 else {"refused": message[2]}
            self._waiting.pop(message[1]).set_result(result)
            return
        _, id, action, payload = message
        async with self._changed:
            self.requests.append((action, payload))
            self._changed.notify_all()
        told = self.answers[action]
        answer = told.popleft() if len(told) > 1 else told[0] if told else CallError("NotImplemented")
        if isinstance(answer, CallError):
            await self._link.send(json.dumps([4, id, answer.code, "", {}]))
        elif answer is not NO_ANSWER:
            await self._link.send(json.dumps([3, id, answer]))


class House:
    """admin, operator, nobody: clients of the API by role; nobody is also how stations fetch files."""

    def __init__(
        self, services: Services, clock: SetClock, server: OcppServer, stack: AsyncExitStack
    ) -> None:
        self.services, self.clock, self._server, self._stack = services, clock, server, stack
        self.admin: httpx.AsyncClient
        self.operator: httpx.AsyncClient
        self.nobody: httpx.AsyncClient

    async def arrives(
        self, identity: str = "CP1", prepare: Callable[[Station], None] = lambda station: None
    ) -> Station:
        """The station connects and boots. prepare: what it must know before it hears anything."""
        address = f"ws://127.0.0.1:{self._server.port}/{identity}"
        link = await self._stack.enter_async_context(
            connect(address, subprotocols=[Subprotocol("ocpp1.6")], proxy=None)
        )
        station = Station(link)
        prepare(station)
        living = asyncio.create_task(station.live())
        self._stack.push_async_callback(asyncio.wait, [living])
        self._stack.push_async_callback(link.close)
        boot = {"chargePointVendor": "V", "chargePointModel": "M"}
        assert (await station.say("BootNotification", boot))["status"] == "Accepted"
        return station

    async def is_left_by(self, station: Station) -> None:
        async with self.services.events.subscribe("station.disconnected") as gone:
            await station.leave()
            await asyncio.wait_for(gone.get(), PATIENCE_S)

    async def add_tag(self, id_tag: str, **more: Any) -> None:
        put = await self.admin.put(f"/api/v1/id-tags/{id_tag}", json=more)
        assert put.is_success, put.text


@asynccontextmanager
async def running_house(folder: Path, clock: SetClock | None = None) -> AsyncIterator[House]:
    """Stations CP1 and CP2 are known; a second one on the same folder is the server restarted."""
    clock = clock or SetClock()
    async with AsyncExitStack() as stack:
        services = await stack.enter_async_context(running_services(folder, clock))
        messages = StationMessages(services.database, services.charge_points, clock)
        server = OcppServer(
            services.charge_points,
            messages,
            clock,
            "127.0.0.1",
            0,
            frame_log=services.frames,
            supported=messages.actions,
        )
        await server.start()
        stack.push_async_callback(server.stop)
        house = House(services, clock, server, stack)
        address = await stack.enter_async_context(serving(services))
        for role in ("admin", "operator", "nobody"):
            token = None if role == "nobody" else await services.accounts.create_token("test", role)
            setattr(house, role, await stack.enter_async_context(rest_client(address, token)))
        assert (await house.admin.put("/api/v1/sites/home", json=SITE)).is_success
        yield house
