"""The whole server without page and control, and a station on a raw websocket that answers as it is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from csms.app import App
from csms.domain.charge_point import Station
from csms.settings import Settings
from simulation.clock import VirtualClock
from tests.empty_database import migrated

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
PATIENCE_S = 10
BOOT = {"chargePointVendor": "Vendor", "chargePointModel": "Model"}
GOOD = {
    "NumberOfConnectors": "1",
    "SupportedFeatureProfiles": "Core, RemoteTrigger,SmartCharging",
    "GetConfigurationMaxKeys": "20",
    "MeterValueSampleInterval": "10",
    "MeterValuesSampledData": "Energy.Active.Import.Register,Power.Active.Import,Current.Import",
    "WebSocketPingInterval": "30",
    "Colour": "green",
}


@dataclass
class AskedStation:
    """keys: its configuration. read_only: keys that cannot be written. refused: values it does not take.
    heard: all that it was asked, as (action, payload). mute: actions that it does not answer."""

    keys: dict[str, str] = field(default_factory=lambda: dict(GOOD))
    read_only: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    most_keys: int = 100
    triggers: str = "Accepted"
    mute: set[str] = field(default_factory=set)
    hangs_up_on_all: bool = False
    heard: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    socket: ClientConnection | None = None
    answers: dict[str, asyncio.Future[list[Any]]] = field(default_factory=dict)
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self) -> None:
        assert self.socket is not None
        with suppress(ConnectionClosed):
            async for text in self.socket:
                frame = json.loads(text)
                if frame[0] != 2:
                    self.answers.pop(frame[1]).set_result(frame)
                    continue
                _, id, action, payload = frame
                self.heard.append((action, payload))
                if action == "GetConfiguration" and not payload and self.hangs_up_on_all:
                    await self.socket.close()
                elif action not in self.mute:
                    await self.socket.send(json.dumps([3, id, self.answer(action, payload)]))
                self.asked.set()

    def answer(self, action: str, payload: dict[str, Any]) -> dict[str, Any]:
        match action:
            case "GetConfiguration":
                return self.configuration(payload.get("key") or list(self.keys))
            case "ChangeConfiguration":
                key, value = payload["key"], payload["value"]
                if value in self.refused or key in self.read_only:
                    return {"status": "Rejected"}
                key = next((known for known in self.keys if known.casefold() == key.casefold()), key)
                self.keys[key] = value
                return {"status": "Accepted"}
            case "TriggerMessage":
                return {"status": self.triggers}
        return {"status": "Accepted"}

    def configuration(self, asked: list[str]) -> dict[str, Any]:
        asked = asked[: self.most_keys]
        names = {name.casefold(): name for name in self.keys}
        found = [names[key.casefold()] for key in asked if key.casefold() in names]
        return {
            "configurationKey": [
                {"key": key, "readonly": key in self.read_only, "value": self.keys[key]} for key in found
            ],
            "unknownKey": [key for key in asked if key.casefold() not in names],
        }

    async def say(self, action: str, payload: dict[str, Any], id: str | None = None) -> list[Any]:
        """The frame of the answer."""
        assert self.socket is not None
        id = id or f"{action}-{len(self.heard)}-{len(self.answers)}"
        answered = self.answers[id] = asyncio.get_running_loop().create_future()
        await self.socket.send(json.dumps([2, id, action, payload]))
        return await asyncio.wait_for(answered, PATIENCE_S)

    def heard_of(self, action: str) -> list[dict[str, Any]]:
        return [payload for asked, payload in self.heard if asked == action]

    @property
    def written(self) -> dict[str, str]:
        return {payload["key"]: payload["value"] for payload in self.heard_of("ChangeConfiguration")}

    @property
    def triggered(self) -> list[str]:
        return [payload["requestedMessage"] for payload in self.heard_of("TriggerMessage")]


@dataclass
class Server:
    app: App
    clock: VirtualClock
    url: str
    stack: AsyncExitStack

    async def connect(self, station: AskedStation, identity: str = "CP1") -> None:
        station.socket = await connect(f"{self.url}/{identity}", subprotocols=["ocpp1.6"], compression=None)
        serving = asyncio.create_task(station.serve())
        self.stack.push_async_callback(station.socket.close)
        self.stack.callback(serving.cancel)

    async def boot(self, station: AskedStation, **more: str) -> dict[str, Any]:
        """Boot, and let it be asked whatever it is asked then."""
        async with self.app.events.subscribe("station.booted") as booted:
            answer = await station.say("BootNotification", {**BOOT, **more})
            await asyncio.wait_for(booted.get(), PATIENCE_S)
        await self.settle()
        return dict(answer[2])

    async def settle(self) -> None:
        """Until nobody asks anything any more."""
        await self.clock.advance(0)
        async with asyncio.timeout(PATIENCE_S):
            await self.app.provisioning.settle()

    def station(self, identity: str = "CP1") -> Station:
        return self.app.charge_points.station(identity)


@asynccontextmanager
async def running_server(folder: Path, **settings: Any) -> AsyncIterator[Server]:
    async with AsyncExitStack() as stack:
        yield await start_server(folder, stack, **settings)


async def start_server(folder: Path, stack: AsyncExitStack, **settings: Any) -> Server:
    chosen = {"unknown_charge_points": "accept", **settings}
    clock = VirtualClock(NOON)
    settings = Settings(_env_file=None, data_dir=folder, ocpp_host="127.0.0.1", ocpp_port=0, **chosen)  # type: ignore[call-arg]
    migrated(settings.effective_database_url())
    app = App(settings, clock)
    await app.start(control=False, web=False)
    stack.push_async_callback(app.stop)
    return Server(app, clock, f"ws://127.0.0.1:{app.ocpp.port}", stack)
