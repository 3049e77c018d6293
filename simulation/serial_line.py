"""An RS485 line behind a transparent converter: it takes its time, and can err in all ways such lines do."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from simulation.modbus_devices import ModbusConverter

CHARACTER_BITS = 11
SILENT_CHARACTERS = 3.5
_LONGEST_FRAME = 256

Fault = Callable[[bytes, bytes], list[bytes]]
"""From a request and its answer to what comes back instead, piece by piece."""


class SerialLine:
    """Stands before a `ModbusConverter` with rtu_over_tcp framing, whose units hang on this line.

    baud None: the line takes no time; else each request and answer takes its characters, a unit its
    turnaround_s, and between two exchanges there is silence.
    fault: changes what comes back. busy_s: how long the line was taken, silence included.
    requests: what was asked, in order; asked: whether anything was. port: free one, known after `start`.
    """

    def __init__(
        self,
        units: ModbusConverter,
        baud: int | None = None,
        turnaround_s: float = 0.0,
        fault: Fault | None = None,
    ) -> None:
        self.host, self.port = units.host, 0
        self.fault = fault
        self.busy_s = 0.0
        self.requests: list[bytes] = []
        self.asked = asyncio.Event()
        self._units, self._baud, self._turnaround_s = units, baud, turnaround_s
        self._free_at_s = 0.0
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._carry, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for client in list(self._clients):
            client.close()

    def say(self, unasked: bytes) -> None:
        """Put bytes on the line that nobody asked for, as another master and its meters do."""
        for client in self._clients:
            client.write(unasked)

    def exchange_s(self, characters: int) -> float:
        """What request and answer of so many characters take of the line, with the silence after them."""
        return 0.0 if self._baud is None else self._carrying_s(characters) + self._silence_s

    @property
    def _silence_s(self) -> float:
        return SILENT_CHARACTERS * CHARACTER_BITS / self._baud if self._baud else 0.0

    def _carrying_s(self, characters: int) -> float:
        return characters * CHARACTER_BITS / self._baud + self._turnaround_s if self._baud else 0.0

    async def _carry(self, client: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
        self._clients.add(out)
        units, to_units = await asyncio.open_connection(self._units.host, self._units.port)
        loop = asyncio.get_running_loop()
        try:
            while request := await client.read(_LONGEST_FRAME):
                start_s = max(loop.time(), self._free_at_s)
                self.requests.append(request)
                self.asked.set()
                answer = await self._answer(request, units, to_units)
                end_s = start_s + self._carrying_s(len(request) + len(answer))
                self._free_at_s = end_s + self._silence_s
                self.busy_s += self._free_at_s - start_s
                await asyncio.sleep(end_s - loop.time())
                for piece in self.fault(request, answer) if self.fault else [answer]:
                    out.write(piece)
                    await asyncio.sleep(0)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._clients.discard(out)
            to_units.close()
            out.close()

    async def _answer(
        self, request: bytes, units: asyncio.StreamReader, to_units: asyncio.StreamWriter
    ) -> bytes:
        """Nothing if the unit is silent."""
        to_units.write(request)
        device = self._units.units.get(request[0])
        if device is None or device.unreachable:
            return b""
        with contextlib.suppress(asyncio.IncompleteReadError):
            head = await units.readexactly(3)
            if head[1] & 0x80:
                return head + await units.readexactly(2)
            return head + await units.readexactly(5 if head[1] in (5, 6) else head[2] + 2)
        return b""
