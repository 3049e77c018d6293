"""The least that answers a station: a real websocket that records what comes and says what it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import Callable
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

PATIENCE_S = 10.0
NOW = "2026-06-21T10:00:00Z"


class CentralSystem:
    """refuse: actions answered with a CALLERROR. answers: action -> payload, or a function of the request."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.refuse: set[str] = set()
        self.answers: dict[str, dict[str, Any] | Callable[[dict[str, Any]], dict[str, Any]]] = {
            "BootNotification": {"status": "Accepted", "currentTime": NOW, "interval": 300},
            "Authorize": {"idTagInfo": {"status": "Accepted"}},
            "StartTransaction": lambda _: {
                "transactionId": next(self._transaction_ids),
                "idTagInfo": {"status": "Accepted"},
            },
            "Heartbeat": {"currentTime": NOW},
        }
        self._transaction_ids = itertools.count(1)
        self._message_ids = itertools.count(1)
        self._read = 0
        self._news = asyncio.Condition()
        self._waiting: dict[str, asyncio.Future[list[Any]]] = {}
        self._server: Server | None = None
        self._connection: ServerConnection | None = None
        self.port = 0
        self.path = ""
        self.connected, self.gone = asyncio.Event(), asyncio.Event()

    async def start(self) -> None:
        self._server = await serve(
            self._serve,
            "127.0.0.1",
            self.port,
            select_subprotocol=lambda c, offered: "ocpp1.6",
            compression=None,
        )
        self.port = next(iter(self._server.sockets)).getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    async def _serve(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        self._connection, self.path = connection, connection.request.path
        self.gone.clear()
        self.connected.set()
        with contextlib.suppress(ConnectionClosed):
            await self._answer_all(connection)
        self.connected.clear()
        self.gone.set()

    async def _answer_all(self, connection: ServerConnection) -> None:
        async for frame in connection:
            kind, message_id, *rest = json.loads(frame)
            if kind != 2:
                self._waiting.pop(message_id).set_result([kind, *rest])
                continue
            action, payload = rest
            if action in self.refuse:
                await connection.send(json.dumps([4, message_id, "InternalError", "", {}]))
            else:
                answer = self.answers.get(action, {})
                body = answer(payload) if callable(answer) else answer
                await connection.send(json.dumps([3, message_id, body]))
            async with self._news:
                self.calls.append((action, payload))
                self._news.notify_all()

    async def next(self, action: str, **fields: Any) -> dict[str, Any]:
        """The next call not yet looked at with this action and these fields; earlier ones are passed over."""

        def position() -> int | None:
            for i in range(self._read, len(self.calls)):
                name, payload = self.calls[i]
                if name == action and fields.items() <= payload.items():
                    return i
            return None

        async with asyncio.timeout(PATIENCE_S), self._news:
            await self._news.wait_for(lambda: position() is not None)
        found = position()
        assert found is not None
        self._read = found + 1
        return self.calls[found][1]

    async def call(self, action: str, payload: dict[str, Any]) -> dict[str, Any]:
        kind, *rest = await self.raw_call(action, payload)
        assert kind == 3, rest
        return dict(rest[0])

    async def raw_call(self, action: str, payload: dict[str, Any]) -> list[Any]:
        answer = await self.send(action, payload)
        async with asyncio.timeout(PATIENCE_S):
            return await answer

    async def send(self, action: str, payload: dict[str, Any]) -> asyncio.Future[list[Any]]:
        """Its answer, whenever it comes."""
        assert self._connection is not None
        message_id = f"cs-{next(self._message_ids)}"
        answer = self._waiting[message_id] = asyncio.get_running_loop().create_future()
        await self._connection.send(json.dumps([2, message_id, action, payload]))
        return answer
