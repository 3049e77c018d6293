"""Thousands of idle stations on one process: what each costs, and how soon all are back after a crash."""

from __future__ import annotations

import asyncio
import json
import os
import random
import resource
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any

import uvloop

from benchmarks.figures import Figure, at_most
from benchmarks.server_process import ServerProcess, central_system
from benchmarks.station_socket import StationSocket

STATIONS = 10_000
CONNECTING_AT_ONCE = 100
STATIONS_PER_ADDRESS = 5000  # each has a source port of its own
HANDSHAKE_TIMEOUT_S = ANSWER_TIMEOUT_S = 30.0
SOONEST_RETRY_S, FIRST_RETRY_S, LONGEST_RETRY_S = 1.0, 8.0, 30.0
GIVE_UP_AFTER_S = 150.0
SHOW_EVERY_S = 5.0
QUIET_CPU, QUIET_FOR_S = 0.25, 4.0
SPARE_FILES = 200

CONFIGURATION = {
    "HeartbeatInterval": "300",
    "MeterValuesSampledData": "Energy.Active.Import.Register,Power.Active.Import,Current.Import,Voltage",
    "MeterValueSampleInterval": "30",
    "ClockAlignedDataInterval": "0",
    "SupportedFeatureProfiles": "Core,SmartCharging,RemoteTrigger",
    "ChargingScheduleAllowedChargingRateUnit": "Current,Power",
    "ChargeProfileMaxStackLevel": "8",
    "NumberOfConnectors": "1",
    "WebSocketPingInterval": "30",
}
BOOT = {
    "chargePointVendor": "Example",
    "chargePointModel": "Wallbox 22",
    "chargePointSerialNumber": "0123456789",
    "firmwareVersion": "1.2.3",
}
FREE = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
ON_ARRIVAL: tuple[tuple[str, dict[str, Any]], ...] = (
    ("BootNotification", BOOT),
    ("StatusNotification", FREE),
    ("Heartbeat", {}),
)
ANSWERS = {
    "GetConfiguration": {
        "configurationKey": [{"key": k, "readonly": False, "value": v} for k, v in CONFIGURATION.items()]
    },
    "ChangeConfiguration": {"status": "Accepted"},
    "TriggerMessage": {"status": "NotImplemented"},
}


class _Arrival(StationSocket):
    """One connection of a station: boots, tells that it is free, beats once, then stays silent."""

    def __init__(self, identity: str) -> None:
        super().__init__(identity)
        loop = asyncio.get_running_loop()
        self.handshake: asyncio.Future[None] = loop.create_future()
        self.served: asyncio.Future[None] = loop.create_future()
        self.over: asyncio.Future[None] = loop.create_future()
        self._said = 0

    def opened(self) -> None:
        self.handshake.set_result(None)
        self._say()

    def received(self, text: bytes) -> None:
        kind, id, *rest = json.loads(text)
        if kind == 2:
            self.send(json.dumps([3, id, ANSWERS.get(rest[0], {})]).encode())
        elif kind == 4 or rest[0].get("status", "Accepted") != "Accepted":
            self.abort()
        else:
            self._said += 1
            self._say()

    def lost(self, why: str) -> None:
        for step in (self.handshake, self.served):
            if not step.done():
                step.set_exception(ConnectionError(why))
                step.exception()  # whoever waits sees it; if nobody does, nothing is said
        if not self.over.done():
            self.over.set_result(None)

    def _say(self) -> None:
        if self._said < len(ON_ARRIVAL):
            action, payload = ON_ARRIVAL[self._said]
            self.send(json.dumps([2, f"{self.identity}-{self._said}", action, payload]).encode())
        elif not self.served.done():
            self.served.set_result(None)


class IdleStation:
    """Connects, and again whenever it is cut off or not served in time: after a few seconds, then later
    and later."""

    def __init__(self, identity: str, server: ServerProcess, source: str, rng: random.Random) -> None:
        self.identity, self.is_served = identity, False
        self._server, self._source, self._rng = server, source, rng

    async def stay_connected(self) -> None:
        latest_s = FIRST_RETRY_S
        while True:
            connection = _Arrival(self.identity)
            try:
                await self._arrive(connection)
                self.is_served, latest_s = True, FIRST_RETRY_S
                await connection.over
            except OSError:  # also TimeoutError
                latest_s = min(2 * latest_s, LONGEST_RETRY_S)
            finally:
                self.is_served = False
                connection.abort()
            await asyncio.sleep(self._rng.uniform(SOONEST_RETRY_S, latest_s))

    async def _arrive(self, connection: _Arrival) -> None:
        async with asyncio.timeout(HANDSHAKE_TIMEOUT_S):
            await asyncio.get_running_loop().create_connection(
                lambda: connection, "127.0.0.1", self._server.port, local_addr=(self._source, 0)
            )
            await connection.handshake
        async with asyncio.timeout(len(ON_ARRIVAL) * ANSWER_TIMEOUT_S):
            await connection.served


def run(stations: int = STATIONS) -> list[Figure]:
    possible = _raise_open_files(stations + SPARE_FILES) - SPARE_FILES
    if possible < stations:
        print(f"no more than {possible} open files here: {possible} instead of {stations} stations")
        stations = possible
    with TemporaryDirectory(prefix="csms-bench-") as name, central_system(Path(name)) as server:
        return uvloop.run(_measure(server, stations))


async def _measure(server: ServerProcess, stations: int) -> list[Figure]:
    rng = random.Random(1)
    fleet = [
        IdleStation(f"IDLE{n:05}", server, f"127.0.0.{2 + n // STATIONS_PER_ADDRESS}", rng)
        for n in range(stations)
    ]
    tasks: list[asyncio.Task[None]] = []
    before, began_s = server.memory_bytes(), monotonic()
    try:
        for first in range(0, stations, CONNECTING_AT_ONCE):
            some = fleet[first : first + CONNECTING_AT_ONCE]
            tasks += [asyncio.create_task(station.stay_connected()) for station in some]
            if await _all_served(some, monotonic()):
                raise RuntimeError(f"not even the first {len(tasks)} stations can connect")
        print(f"{stations} stations connected and booted for the first time in {monotonic() - began_s:.1f} s")
        idle_cpu = await _quiet(server)
        per_station_kb = (server.memory_bytes() - before) / stations / 1000
        print(f"memory {before / 1e6:.0f} MB + {per_station_kb:.1f} kB each; idle: {idle_cpu:.0%} of a core")
        return [
            at_most(f"memory per idle station, {stations} stations", per_station_kb, 60, " kB"),
            Figure(f"processor with {stations} idle stations", f"{idle_cpu:.0%} of a core"),
            await _restart(server, fleet),
        ]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _restart(server: ServerProcess, fleet: list[IdleStation]) -> Figure:
    server.kill()
    began_s = monotonic()
    await asyncio.to_thread(server.start)
    print(f"after kill -9: listening again after {monotonic() - began_s:.1f} s")
    away = await _all_served(fleet, began_s)
    back_s = monotonic() - began_s
    cost_ms = 1000 * server.cpu_s() / len(fleet)
    print(
        f"{len(fleet) - away} of {len(fleet)} back after {back_s:.1f} s; {cost_ms:.1f} ms of processor each"
    )
    what = f"{len(fleet)} stations booted again after kill -9"
    return at_most(what, back_s, 60, " s") if not away else Figure(what, f"{away} away", "≤ 60 s", False)


async def _all_served(stations: list[IdleStation], began_s: float) -> int:
    """Wait for all, and tell how it goes. Returns how many are not served in the end."""
    shown_s = monotonic()
    while waiting := [station for station in stations if not station.is_served]:
        now_s = monotonic()
        if now_s - shown_s > SHOW_EVERY_S:
            print(f"  after {now_s - began_s:3.0f} s: {len(waiting)} away", flush=True)
            shown_s = now_s
        if now_s - began_s > GIVE_UP_AFTER_S:
            return len(waiting)
        await asyncio.sleep(0.05)
    return 0


async def _quiet(server: ServerProcess) -> float:
    """Wait until what follows a connection is done too; returns the share of a core used from then on."""
    give_up_at_s = monotonic() + GIVE_UP_AFTER_S
    while True:
        before_s = server.cpu_s()
        await asyncio.sleep(QUIET_FOR_S)
        share = (server.cpu_s() - before_s) / QUIET_FOR_S
        if share < QUIET_CPU or monotonic() > give_up_at_s:
            return share


def _raise_open_files(wanted: int) -> int:
    """For this process and the server it starts. Returns how many files each may open."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
    if os.geteuid() == 0 and allowed < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
        except (OSError, ValueError):
            pass
        else:
            return wanted
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, most))
    return allowed
