"""A charging station as the conformance tool plays it: it says exactly the frames of a case and checks every
frame of the server: its form, its payload against OCPP's schema, and that nothing comes unasked.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect

from csms.domain.ocpp_schemas import ACTIONS_TO_STATION, validate_request, validate_response

PATIENCE_S = 20
LONGEST_ID = 36
CLOCK_TOLERANCE = timedelta(seconds=30)
ERROR_CODES = frozenset(
    {
        "NotImplemented",
        "NotSupported",
        "InternalError",
        "ProtocolError",
        "SecurityError",
        "FormationViolation",
        "PropertyConstraintViolation",
        "OccurenceConstraintViolation",
        "TypeConstraintViolation",
        "GenericError",
    }
)
CONNECTORS = (1, 2)
VALID_TAG, COLLEAGUE_TAG, GROUP_TAG = "OCTT-VALID", "OCTT-COLLEAGUE", "OCTT-GROUP"
INVALID_TAG, EXPIRED_TAG, BLOCKED_TAG = "OCTT-NOBODY", "OCTT-EXPIRED", "OCTT-BLOCKED"
LAST_YEAR = (datetime.now(UTC) - timedelta(days=365)).isoformat()
ID_TAGS: dict[str, dict[str, Any]] = {
    VALID_TAG: {"parent_id_tag": GROUP_TAG},
    COLLEAGUE_TAG: {"parent_id_tag": GROUP_TAG},
    EXPIRED_TAG: {"expires_at": LAST_YEAR},
    BLOCKED_TAG: {"blocked": True},
}

Payload = dict[str, Any]


@dataclass(frozen=True)
class Command:
    """A CALL of the server."""

    id: str
    action: str
    payload: Payload


@dataclass(frozen=True)
class Refusal:
    """A CALLERROR: the station's answer to a command, or the server's to a message."""

    code: str
    description: str = ""


Answer = Payload | Refusal
Answers = Mapping[str, Answer | Callable[[Payload], Answer]]


def wire_time(at: datetime | None = None) -> str:
    return (at or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")


def ago(**span: float) -> str:
    return wire_time(datetime.now(UTC) - timedelta(**span))


def is_now(text: str) -> bool:
    at = datetime.fromisoformat(text)
    return at.utcoffset() == timedelta(0) and abs(datetime.now(UTC) - at) < CLOCK_TOLERANCE


class OcttStation:
    """One connection of a station. `expects_commands`: an operator is acting, so CALLs may come."""

    def __init__(self, identity: str, socket: ClientConnection) -> None:
        self.identity, self.socket = identity, socket
        self.serial_number = identity
        self.expects_commands = self.was_disturbed = False
        self._ids = (f"{identity}-{number}" for number in count(1))
        self._commands: deque[Command] = deque()
        self._seen_ids: set[str] = set()

    # --- frames ---

    async def say(self, frame: Any) -> None:
        await self.socket.send(frame if isinstance(frame, str) else json.dumps(frame))

    async def call(self, action: str, payload: Payload) -> Payload:
        """The server's CALLRESULT: checked, and nothing else came in between."""
        answer = await self.ask(action, payload)
        assert not isinstance(answer, Refusal), f"{action} was answered with {answer}"
        return answer

    async def ask(self, action: str, payload: Payload) -> Answer:
        id = next(self._ids)
        await self.say([2, id, action, payload])
        return await self.answer_to(id, action)

    async def answer_to(self, id: str, action: str) -> Answer:
        while True:
            frame = await self._hear()
            if frame[0] == 2:
                self._commands.append(self._command(frame))
                continue
            assert frame[1] == id, f"{frame} answers nothing that was asked, {action} {id} is waiting"
            return _answer(action, frame)

    async def command(self, action: str | None = None) -> Command:
        """The server's next CALL, which must be for this action."""
        command = self._commands.popleft() if self._commands else self._command(await self._hear())
        assert action in (None, command.action), f"{action} expected, {command} came"
        return command

    async def reply(self, command: Command, answer: Answer) -> None:
        if isinstance(answer, Refusal):
            await self.say([4, command.id, answer.code, answer.description, {}])
            return
        validate_response(command.action, answer)
        await self.say([3, command.id, answer])

    async def closed(self) -> int:
        """The close code, once the server has closed; what it says before is of no interest."""
        async with asyncio.timeout(PATIENCE_S):
            await self.socket.wait_closed()
        assert self.socket.close_code is not None
        return self.socket.close_code

    async def disconnect(self) -> None:
        await self.socket.close()

    async def lose_power(self) -> None:
        """The connection breaks without a word."""
        self.socket.transport.abort()
        await self.closed()

    async def finish(self) -> None:
        """The case is over: nothing came unasked, nothing is left unanswered."""
        if self.socket.close_code is not None:
            return
        if not self.was_disturbed:  # else the case has failed for that already
            await self.heartbeat()
        assert not self._commands, f"left unanswered: {list(self._commands)}"
        await self.socket.close()

    async def _hear(self) -> list[Any]:
        async with asyncio.timeout(PATIENCE_S):
            text = await self.socket.recv()
        assert isinstance(text, str), "OCPP-J uses text frames"
        frame = json.loads(text)
        assert isinstance(frame, list), text
        kind, id = frame[:2]
        assert kind in (2, 3, 4), text
        assert isinstance(id, str), text
        assert len(id) <= LONGEST_ID, text
        assert len(frame) == {2: 4, 3: 3, 4: 5}[kind], text
        return frame

    def _command(self, frame: list[Any]) -> Command:
        command = Command(*frame[1:])
        assert frame[0] == 2, f"a command was expected, {frame} came"
        self.was_disturbed = not self.expects_commands
        assert not self.was_disturbed, f"unsolicited: {command}"
        assert command.id not in self._seen_ids, f"this id was used before: {command}"
        assert command.action in ACTIONS_TO_STATION, command
        self._seen_ids.add(command.id)
        validate_request(command.action, command.payload)
        return command

    # --- what stations say, and what the server must answer ---

    async def boot(self, status: str = "Accepted", **more: Any) -> Payload:
        """BootNotification; once accepted, the status of the charge point and of every connector."""
        answer = await self.call(
            "BootNotification",
            {
                "chargePointVendor": "OCTT",
                "chargePointModel": "Story",
                "chargePointSerialNumber": self.serial_number,
                "firmwareVersion": "1.0.0",
                **more,
            },
        )
        assert answer["status"] == status
        assert is_now(answer["currentTime"])
        assert answer["interval"] > 0
        if status == "Accepted":
            for connector_id in (0, *CONNECTORS):
                await self.status("Available", connector_id)
        return answer

    async def heartbeat(self) -> None:
        assert is_now((await self.call("Heartbeat", {}))["currentTime"])

    async def status(self, status: str, connector_id: int = 1, error_code: str = "NoError") -> None:
        payload = {"connectorId": connector_id, "status": status, "errorCode": error_code}
        assert await self.call("StatusNotification", {**payload, "timestamp": wire_time()}) == {}

    async def authorize(self, id_tag: str = VALID_TAG, status: str = "Accepted") -> Payload:
        info: Payload = (await self.call("Authorize", {"idTag": id_tag}))["idTagInfo"]
        assert info["status"] == status
        return info

    async def start(
        self, id_tag: str = VALID_TAG, connector_id: int = 1, *, status: str = "Accepted", **more: Any
    ) -> int:
        """The transaction's id."""
        payload = {"connectorId": connector_id, "idTag": id_tag, "meterStart": 1000, "timestamp": wire_time()}
        answer = await self.call("StartTransaction", {**payload, **more})
        assert answer["idTagInfo"]["status"] == status
        assert answer["transactionId"] > 0
        return int(answer["transactionId"])

    async def charge(self, id_tag: str = VALID_TAG, connector_id: int = 1, **more: Any) -> int:
        """From a free connector to the state Charging, plug first."""
        await self.status("Preparing", connector_id)
        await self.authorize(id_tag)
        transaction_id = await self.start(id_tag, connector_id, **more)
        await self.status("Charging", connector_id)
        return transaction_id

    async def stop(self, transaction_id: int, reason: str | None = None, **more: Any) -> None:
        payload = {"transactionId": transaction_id, "meterStop": 4200, "timestamp": wire_time(), **more}
        answer = await self.call("StopTransaction", {**payload, **({"reason": reason} if reason else {})})
        if "idTag" in more:
            assert answer["idTagInfo"]["status"] == "Accepted"
        else:
            assert answer.get("idTagInfo", {"status": "Accepted"})["status"] == "Accepted"

    async def unplug(self, connector_id: int = 1) -> None:
        """The transaction is over, the cable goes."""
        await self.status("Finishing", connector_id)
        await self.status("Available", connector_id)

    async def meter_values(self, transaction_id: int | None, energy_wh: int, **more: Any) -> None:
        sampled = {"value": str(energy_wh), "measurand": "Energy.Active.Import.Register", "unit": "Wh"}
        payload: Payload = {
            "connectorId": 1,
            "meterValue": [{"timestamp": wire_time(), "sampledValue": [sampled]}],
            **more,
        }
        if transaction_id is not None:
            payload["transactionId"] = transaction_id
        assert await self.call("MeterValues", payload) == {}

    async def firmware_status(self, status: str) -> None:
        assert await self.call("FirmwareStatusNotification", {"status": status}) == {}

    async def diagnostics_status(self, status: str) -> None:
        assert await self.call("DiagnosticsStatusNotification", {"status": status}) == {}

    async def log_status(self, status: str, request_id: int) -> None:
        assert await self.call("LogStatusNotification", {"status": status, "requestId": request_id}) == {}

    async def signed_firmware_status(self, status: str, request_id: int) -> None:
        payload = {"status": status, "requestId": request_id}
        assert await self.call("SignedFirmwareStatusNotification", payload) == {}

    async def security_event(self, kind: str, tech_info: str | None = None) -> None:
        payload = {"type": kind, "timestamp": wire_time()}
        payload |= {"techInfo": tech_info} if tech_info else {}
        assert await self.call("SecurityEventNotification", payload) == {}


def _answer(action: str, frame: list[Any]) -> Answer:
    if frame[0] == 3:
        validate_response(action, frame[2])
        return frame[2]  # type: ignore[no-any-return]
    _, _, code, description, details = frame
    assert code in ERROR_CODES, frame
    assert isinstance(description, str), frame
    assert len(description) <= 255, frame
    assert isinstance(details, dict), frame
    return Refusal(code, description)


async def dial(
    url: str,
    *,
    authorization: str | None = None,
    tls: ssl.SSLContext | None = None,
    subprotocols: tuple[str, ...] = ("ocpp1.6",),
) -> ClientConnection:
    """Raises what `websockets` raises when the server refuses."""
    return await connect(
        url,
        subprotocols=list(subprotocols),  # type: ignore[arg-type]
        additional_headers={"Authorization": authorization} if authorization else None,
        compression=None,
        ping_interval=None,
        ssl=tls,
        proxy=None,
        open_timeout=PATIENCE_S,
    )


Connect = Callable[..., Awaitable[OcttStation]]


class Operator:
    """A person at the REST interface, and the station that answers what comes of it."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def get(self, path: str, **params: Any) -> Any:
        answer = await self._client.get(f"/api/v1{path}", params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def download(self, path: str) -> bytes:
        answer = await self._client.get(f"/api/v1{path}")
        assert answer.status_code == 200, answer.text
        return answer.content

    @asynccontextmanager
    async def event(self, kind: str, identity: str) -> AsyncIterator[asyncio.Task[None]]:
        """Within the block, an awaitable for the next such event of the station."""
        async with self._client.stream("GET", "/api/v1/events") as events:
            lines = events.aiter_lines()
            assert await anext(lines) == ": listening"

            async def wait() -> None:
                found = False
                async for line in lines:
                    found = line == f"event: {kind}" or (found and bool(line))
                    if found and line.startswith("data:") and identity in line:
                        return

            waiting = asyncio.create_task(wait())
            try:
                yield waiting
            finally:
                waiting.cancel()
                await asyncio.wait({waiting})

    async def request(self, method: str, path: str, body: Any = None) -> httpx.Response:
        """Something that asks nothing of the station."""
        return await self._client.request(method, f"/api/v1{path}", json=body)

    async def set_up(self, identity: str, *, profile: int, key: bytes | None = None) -> None:
        """Tell the server how the station connects: by what it has been set to already."""
        path = f"/charge-points/{identity}"
        if key is not None:
            body = {"key": key.hex(), "send": False}
            stored = await self.request("PUT", f"{path}/authorization-key", body)
            assert stored.status_code == 200, stored.text
        stored = await self.request("PUT", f"{path}/security-profile", {"profile": profile, "send": False})
        assert stored.status_code == 200, stored.text

    async def put_file(self, path: str, content: bytes) -> None:
        answer = await self._client.put(f"/api/v1{path}", content=content)
        assert answer.status_code in (200, 201, 204), answer.text

    async def command(
        self, station: OcttStation, action: str, payload: Payload, answer: Answer, status: int = 200
    ) -> httpx.Response:
        """A plain OCPP request: it must reach the station unchanged, and the answer must come back."""
        path = f"/charge-points/{station.identity}/ocpp/{action}"
        response, commands = await self.act(station, "POST", path, payload, {action: answer})
        assert response.status_code == status, response.text
        assert [(c.action, c.payload) for c in commands] == [(action, payload)]
        if status == 200:
            assert response.json() == answer
        return response

    async def act(
        self, station: OcttStation, method: str, path: str, body: Any, answers: Answers
    ) -> tuple[httpx.Response, list[Command]]:
        """What an operator asks for, and the CALLs that the station gets and answers because of it."""
        asking = asyncio.create_task(self.request(method, path, body))
        commands: list[Command] = []
        station.expects_commands = True
        try:
            while True:
                hearing = asyncio.create_task(station.command())
                done, _ = await asyncio.wait({asking, hearing}, return_when=asyncio.FIRST_COMPLETED)
                if hearing not in done:
                    hearing.cancel()
                    await asyncio.wait({hearing})
                    return await asking, commands
                command = hearing.result()
                assert command.action in answers, f"nobody asked for {command}"
                commands.append(command)
                answer = answers[command.action]
                await station.reply(command, answer(command.payload) if callable(answer) else answer)
        finally:
            station.expects_commands = False
            asking.cancel()

    async def connector(self, identity: str, connector_id: int = 1) -> Any:
        shown = await self.get(f"/charge-points/{identity}")
        return next(c for c in shown["connectors"] if c["connector_id"] == connector_id)

    async def transactions(self, identity: str) -> list[Any]:
        """Newest first."""
        listed: list[Any] = await self.get("/transactions", charge_point=identity)
        return listed
