"""The real page on a real SQLite file, served from a thread of its own; its clock is set by hand."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import uvicorn
from playwright.sync_api import Page
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from csms.api.application import create_api
from csms.domain.site import SiteConfig
from csms.domain.snapshot import DeviceSnapshot, LoadSnapshot, SiteSnapshot
from csms.ocpp.server import OcppServer
from csms.services.bundle import Services
from csms.services.station_messages import StationMessages
from csms.web.pages import mount_pages
from tests.messages.operated_station import Station
from tests.services_on_file import NOON, SetClock, running_services

T = TypeVar("T")
Visit = Callable[..., Page]
LAPTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
PATIENCE_S = 20
PASSWORD = "sunflower-2026"

SITE = SiteConfig.model_validate(
    {
        "site": {"id": "home", "name": "Sonnenweg 4", "timezone": "Europe/Zurich"},
        "circuit": [{"id": "main", "limit_a": [40, 40, 40]}],
        "relay_module": [{"id": "io1", "driver": "modbus", "model": "wellpro_wp8024adam", "host": "r"}],
        "appliance": [
            {
                "id": "boiler",
                "kind": "water_heater",
                "circuit": "main",
                "steps": [{"relays": [f"io1/{n}"], "power_w": 1000} for n in (1, 2, 3)],
            }
        ],
        "charge_point": [{"id": "CP1", "circuit": "main", "connectors": [{"id": 1, "max_a": 16}]}],
    }
)
APPLIANCE_MODES = ("off", "on", "solar_only", "manual")
BOILER = LoadSnapshot(
    "boiler", "Boiler", "water_heater", "solar_only", APPLIANCE_MODES, "on", 2000.0, True,
    "on: 2840 W surplus covers 2000 W", "on", steps_on=("1", "2"), steps=("1", "2", "3"),
)  # fmt: skip
CAR = LoadSnapshot(
    "CP1/1", "Garage", "connector", "solar_only", (*APPLIANCE_MODES, "min_and_solar", "full"), "charging",
    4170.0, True, "charging with 6 A of sun", "charging", setpoint_a=6.0, offered_a=6.0,
    current_a=(6.02, 6.05, 6.04), session_wh=7340.0, id_tag="04A2B91C", transaction_id=4,
)  # fmt: skip
METER = DeviceSnapshot("grid", "meter", "Grid meter", True, 2.0, None, -640.0)
SNAPSHOT = SiteSnapshot(
    "home", "Sonnenweg 4", NOON, -640.0, -7420.0, None, 610.0, 6170.0, 640.0, 6810.0, (BOILER, CAR), (METER,)
)  # fmt: skip


class ServedPage:
    """NiceGUI serves one application per process, so there is one of these for all tests of a process."""

    services: Services
    clock: SetClock

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._listening = socket.socket()
        self._listening.bind(("127.0.0.1", 0))
        self._listening.listen()
        self.address = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._loop = asyncio.new_event_loop()
        self._ready: Future[None] = Future()
        self._living: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._main()))

    def start(self) -> None:
        self._thread.start()
        self._ready.result(PATIENCE_S)

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(PATIENCE_S)

    def run(self, job: Coroutine[Any, Any, T]) -> T:
        """Do `job` where the server runs."""
        return asyncio.run_coroutine_threadsafe(job, self._loop).result(PATIENCE_S)

    def publish(self, **changes: Any) -> None:
        """Let the controller have decided this, now."""

        async def publish() -> None:
            self.services.live.publish(replace(SNAPSHOT, at=self.clock.at, **changes))

        self.run(publish())

    def arrives(self, identity: str) -> Station:
        """A station connects over a real websocket, is accepted and boots."""
        return self.run(self._arrives(identity))

    async def _arrives(self, identity: str) -> Station:
        await self.services.charge_points.admit(identity)
        await self.services.charge_points.accept(identity)
        address = f"ws://127.0.0.1:{self._ocpp.port}/{identity}"
        link = await connect(address, subprotocols=[Subprotocol("ocpp1.6")], proxy=None)
        station = Station(link)
        self._living.add(asyncio.create_task(station.live()))
        await station.say("BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"})
        await station.say(
            "StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
        )
        return station

    def leaves(self, station: Station) -> None:
        async def leave() -> None:
            async with self.services.events.subscribe("station.disconnected") as gone:
                await station.leave()
                await asyncio.wait_for(gone.get(), PATIENCE_S)

        self.run(leave())

    def mode(self, load_id: str) -> tuple[str, Any]:
        return self.services.sites.effective_mode("home", load_id)

    async def _main(self) -> None:
        async with AsyncExitStack() as stack:
            await self._build(stack)
            app = create_api(self.services)
            mount_pages(app, self.services, await self.services.accounts.signing_key("page"))
            config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
            self._server = uvicorn.Server(config)
            self._ready.set_result(None)
            await self._server.serve(sockets=[self._listening])

    async def _build(self, stack: AsyncExitStack) -> None:
        self.clock = SetClock()
        self.services = await stack.enter_async_context(
            running_services(self._folder, self.clock, unknown="pending")
        )
        await self.services.sites.apply(SITE)
        for role in ("admin", "operator", "viewer"):
            await self.services.accounts.add_user(role, PASSWORD, role)
        await self._record_morning()
        await self._serve_stations(stack)

    async def _serve_stations(self, stack: AsyncExitStack) -> None:
        services, signing = self.services, {"SignCertificate": self.services.certificates.sign_certificate}
        messages = StationMessages(services.database, services.charge_points, self.clock, handlers=signing)
        self._ocpp = OcppServer(
            services.charge_points,
            messages,
            self.clock,
            "127.0.0.1",
            0,
            frame_log=services.frames,
            supported=messages.actions,
        )
        await self._ocpp.start()
        stack.push_async_callback(self._ocpp.stop)

    async def _record_morning(self) -> None:
        for minute in range(0, 240, 4):
            sun_w = 30.0 * minute
            powers = {
                "pv_w": -sun_w, "house_w": 500.0, "controlled_w": sun_w / 2, "grid_w": 500 - sun_w / 2,
                "loads_w": {},
            }  # fmt: skip
            at = NOON - timedelta(minutes=240 - minute)
            await self.services.reporting.record_minute("home", at, powers, {}, {}, {})
