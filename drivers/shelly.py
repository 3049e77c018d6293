"""Shelly meters and relays over HTTP: generation 1 with Basic, later ones as RPC with digest login."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Literal

import aiohttp

from drivers.access import Access
from drivers.device import (
    DeviceConfigError,
    DeviceRefused,
    DeviceUnreachable,
    Failsafe,
    ImplausibleReading,
    MeterReading,
    Now,
    ReadbackMismatch,
    Sleep,
)
from drivers.modbus import check_number
from drivers.shelly_status import (
    Status,
    as_status,
    plain_contacts,
    plain_reading,
    rpc_contacts,
    rpc_reading,
    timer_s,
)

_USER = "admin"
_BUSY = (429, 503)
_BUSY_PAUSE_S = 0.5
_MOST_RELAYS = 8
_LONGEST_TIMER_S = 86_400.0


class ShellyHost:
    """One Shelly on the network, whatever hangs on it; it is asked one thing at a time.

    timeout_s is of the wall clock; pauses are slept with `sleep`.
    """

    def __init__(self, access: Access, now: Now, sleep: Sleep, timeout_s: float = 3.0) -> None:
        self.access = access
        self.now, self.sleep = now, sleep
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._session: aiohttp.ClientSession | None = None
        self._digest: aiohttp.DigestAuthMiddleware | None = None
        self._generation: int | None = None
        self._lock = asyncio.Lock()

    def __str__(self) -> str:
        return f"Shelly {self.access.host}"

    @property
    def is_plain(self) -> bool:
        return self._generation == 1

    async def status(self) -> Status:
        """Everything it measures and switches. Raises DeviceError."""
        async with self._lock:
            await self._meet()
            path = "/status" if self.is_plain else "/rpc/Shelly.GetStatus"
            return as_status(await self._get(path), str(self))

    async def ask(self, plain: tuple[str, Mapping[str, str]], rpc: tuple[str, Mapping[str, str]]) -> Status:
        """One path and its query for generation 1, one for the others. Raises DeviceError."""
        async with self._lock:
            await self._meet()
            path, query = plain if self.is_plain else rpc
            return as_status(await self._get(path, query), str(self))

    async def stop(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _meet(self) -> None:
        """Which generation is it? Asked again after every loss: the device may have been exchanged."""
        if self._generation is None:
            info = as_status(await self._get("/shelly"), str(self))
            self._generation = int(info.get("gen", 1))

    async def _get(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        status, body = await self._request(path, query)
        if status in _BUSY:
            await self.sleep(_BUSY_PAUSE_S)
            status, body = await self._request(path, query)
        if status == 401:
            raise DeviceRefused(f"{self}: login refused. Check the password (user {self._user})", status)
        if status in _BUSY:
            raise DeviceRefused(f"{self}: busy (HTTP {status}). Check that few programs ask it", status)
        if status != 200:
            self._generation = None
            raise DeviceRefused(f"{self}: refused {path} with HTTP {status}: {body[:80]!r}", status)
        try:
            return json.loads(body)
        except ValueError:
            raise ImplausibleReading(f"{self}: answered {path} with something that is not JSON") from None

    async def _request(self, path: str, query: Mapping[str, str] | None) -> tuple[int, str]:
        session = self._opened()
        scheme, port = ("https", 443) if self.access.tls else ("http", 80)
        url = f"{scheme}://{self.access.host}:{self.access.port or port}{path}"
        try:
            async with session.get(url, params=query, **self._login(path)) as answer:
                return answer.status, (await answer.read()).decode("utf-8", "replace")
        except (aiohttp.ClientError, TimeoutError, OSError) as fault:
            self._generation = None
            why = "no answer in time" if isinstance(fault, TimeoutError) else "no connection"
            raise DeviceUnreachable(
                f"{self}: {why}. Check its address, its supply and the network (WLAN reception)"
            ) from None

    @property
    def _user(self) -> str:
        return self.access.user or _USER

    def _login(self, path: str) -> dict[str, Any]:
        """/shelly needs none. A generation 1 device does not know digest, a later one nothing else."""
        secret = self.access.secret()
        if secret is None or path == "/shelly":
            return {}
        if self.is_plain:
            return {"auth": aiohttp.BasicAuth(self._user, secret)}
        if self._digest is None:
            self._digest = aiohttp.DigestAuthMiddleware(self._user, secret)
        return {"middlewares": (self._digest,)}

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            # A Shelly that restarts leaves connections that look open: one for each request.
            connector = aiohttp.TCPConnector(limit=2, force_close=True)
            self._session = aiohttp.ClientSession(connector=connector, timeout=self._timeout)
        return self._session


class ShellyMeter:
    """A `Meter`. channel: as the device counts; None = its three-phase meter, or the only one it has."""

    def __init__(self, host: ShellyHost, channel: int | None, id: str) -> None:
        self.id = id
        self._host, self._channel = host, channel

    async def read(self) -> MeterReading:
        """Raises DeviceError."""
        status = await self._host.status()
        reading = plain_reading if self._host.is_plain else rpc_reading
        try:
            return reading(status, self._channel, self._host.now())
        except ImplausibleReading as fault:
            raise ImplausibleReading(f"{self._host}: {fault}") from None
        except (AttributeError, TypeError):
            raise ImplausibleReading(f"{self._host}: its status has another shape than a Shelly's") from None


class ShellyRelayModule:
    """All contacts of one Shelly; relay 1 is its channel 0.

    pulse_s: each ON carries its own end (`toggle_after`, `timer`), and opens unless `switch` repeats it.
    """

    failsafe: Failsafe = "pulse"

    def __init__(self, host: ShellyHost, id: str, pulse_s: float | None = None) -> None:
        if pulse_s is not None and not 1 <= pulse_s <= _LONGEST_TIMER_S:
            raise DeviceConfigError("pulse_s", pulse_s, f"1 to {_LONGEST_TIMER_S:g} s")
        self.id = id
        self._host, self._pulse_s = host, pulse_s

    @property
    def needs_rearming(self) -> bool:
        return self._pulse_s is not None

    async def read_all(self) -> tuple[bool, ...]:
        return await self._contacts("switch")

    async def read_inputs(self) -> tuple[bool, ...]:
        return await self._contacts("input")

    async def _contacts(self, kind: Literal["switch", "input"]) -> tuple[bool, ...]:
        status = await self._host.status()
        contacts = plain_contacts if self._host.is_plain else rpc_contacts
        try:
            return contacts(status, kind)
        except (AttributeError, TypeError, ValueError):
            raise ImplausibleReading(f"{self._host}: its status has another shape than a Shelly's") from None

    async def switch(self, number: int, on: bool) -> None:
        """Write and read back, with the timer. Raises ReadbackMismatch and the other DeviceErrors."""
        check_number("relay", number, _MOST_RELAYS)
        channel = str(number - 1)
        seconds = f"{self._pulse_s:g}" if on and self._pulse_s is not None else None
        timer = {} if seconds is None else {"timer": seconds}
        after = {} if seconds is None else {"toggle_after": seconds}
        await self._host.ask(
            (f"/relay/{channel}", {"turn": "on" if on else "off", **timer}),
            ("/rpc/Switch.Set", {"id": channel, "on": "true" if on else "false", **after}),
        )
        part = await self._host.ask((f"/relay/{channel}", {}), ("/rpc/Switch.GetStatus", {"id": channel}))
        self._check(part, number, on)

    def _check(self, part: Status, number: int, on: bool) -> None:
        reads = part.get("ison" if self._host.is_plain else "output")
        if reads is not on:
            raise ReadbackMismatch(
                f"{self._host}: relay {number} was switched {'on' if on else 'off'} but reads "
                f"{'on' if reads else 'off'}. Check its inputs, its protection and other programs"
            )
        if on and self._pulse_s is not None and timer_s(part) is None:
            raise ReadbackMismatch(
                f"{self._host}: relay {number} is on, but took no time after which it opens by itself. "
                "Update its firmware"
            )
