"""Thousands of idle stations on one process: what each costs, and how soon all are back after a crash."""

from __future__ import annotations

import asyncio
import json
import os
import random
import resource
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

import uvloop

from benchmarks.figures import Figure, at_most
from benchmarks.server_process import ServerProcess, central_system
from benchmarks.station_socket import StationSocket

STATIONS = 10_000
CONNECTING_AT_ONCE = 100
STATIONS_PER_ADDRESS = 5000  # each has a source port of its own
HANDSHAKE_TIMEOUT_S = 20.0
FIRST_RETRY_S, LONGEST_RETRY_S = (1.0, 8.0), 30.0
GIVE_UP_AFTER_S = 240.0
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
ON_ARRIVAL = (("BootNotification", BOOT), ("StatusNotification", FREE), ("Heartbeat", {}))
ANSWERS = {
    "GetConfiguration": {
        "configurationKey": [{"key": k, "readonly": False, "value": v} for k, v in CONFIGURATION.items()]
    },
    "ChangeConfiguration": {"status": "Accepted"},
    "TriggerMessage": {"status": "NotImplemented"},
}


class IdleStation(StationSocket):
    """Boots, tells that it is free, beats once; and connects again by itself, later and later."""

    def __init__(self, identity: str, server: Callable[[], int], source: str, rng: random.Random) -> None:
        super().__init__(identity)
        self.is_served = asyncio.Event()
        self._port_of_server, self._source, self._rng = server, source, rng
        self._retry_s = 0.0
        self._said = 0
        self._overdue: asyncio.TimerHandle | None = None
        self._connecting: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        loop = asyncio.get_running_loop()
        self._overdue = loop.call_later(HANDSHAKE_TIMEOUT_S, self.abort)
        try:
            await loop.create_connection(
                lambda: self, "127.0.0.1", self._port_of_server(), local_addr=(self._source, 0)
            )
        except OSError as error:
            self.lost(str(error))

    def opened(self) -> None:
        self._said = 0
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
        self.is_served.clear()
        if self._overdue is not None:
            self._overdue.cancel()
        longest = min(LONGEST_RETRY_S, max(FIRST_RETRY_S[1], 2 * self._retry_s))
        self._retry_s = self._rng.uniform(FIRST_RETRY_S[0], longest)
        asyncio.get_running_loop().call_later(self._retry_s, self._try_again)

    def _try_again(self) -> None:
        self._connecting = asyncio.create_task(self.connect())

    def _say(self) -> None:
        if self._said < len(ON_ARRIVAL):
            action, payload = ON_ARRIVAL[self._said]
            self.send(json.dumps([2, f"{self.identity}-{self._said}", action, payload]).encode())
            return
        self._retry_s = 0.0
        if self._overdue is not None:
            self._overdue.cancel()
        self.is_served.set()


def run(stations: int = STATIONS) -> list[Figure]:
    possible = _raise_open_files(stations + SPARE_FILES) - SPARE_FILES
    if possible < stations:
        print(f"no more than {possible} open files here: {possible} instead of {stations} stations")
        stations = possible
    with TemporaryDirectory(prefix="csms-bench-") as name, central_system(Path(name)) as server:
        return uvloop.run(_measure(server, stations))


async def _measure(server: ServerProcess, stations: int) -> list[Figure]:
    rng = random.Random(1)
    before = server.memory_bytes()
    fleet = [
        IdleStation(f"IDLE{n:05}", lambda: server.port, f"127.0.0.{2 + n // STATIONS_PER_ADDRESS}", rng)
        for n in range(stations)
    ]
    began_s = monotonic()
    for first in range(0, stations, CONNECTING_AT_ONCE):
        some = fleet[first : first + CONNECTING_AT_ONCE]
        await asyncio.gather(*(station.connect() for station in some))
        await _all_served(some)
    print(f"{stations} stations connected and booted for the first time in {monotonic() - began_s:.1f} s")
    idle_cpu = await _quiet(server)
    per_station_kb = (server.memory_bytes() - before) / stations / 1000
    print(f"memory {before / 1e6:.0f} MB + {per_station_kb:.1f} kB a station; idle: {idle_cpu:.0%} of a core")

    server.kill()
    began_s = monotonic()
    await asyncio.to_thread(server.start)
    listening_s = monotonic() - began_s
    await _all_served(fleet)
    back_s = monotonic() - began_s
    print(f"after kill -9: listening again after {listening_s:.1f} s, all stations back after {back_s:.1f} s")
    return [
        at_most(f"memory per idle station, {stations} stations", per_station_kb, 60, " kB"),
        at_most(f"{stations} stations booted again after kill -9 and restart", back_s, 60, " s"),
        Figure(f"processor with {stations} idle stations", f"{idle_cpu:.0%} of a core"),
    ]


async def _all_served(stations: list[IdleStation]) -> None:
    async with asyncio.timeout(GIVE_UP_AFTER_S):
        while waiting := [station for station in stations if not station.is_served.is_set()]:
            await asyncio.gather(*(station.is_served.wait() for station in waiting))


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
