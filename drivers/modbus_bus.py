"""One Modbus link, and the one task that speaks on it.

A transparent RS485 converter mixes the replies if two clients ask at once, and an RS485 line carries one
request at a time: so every meter and relay module behind one address queues its requests here.
"""

from __future__ import annotations

import asyncio
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ConnectionException, ModbusException
from pymodbus.framer import FramerType
from pymodbus.pdu import ModbusPDU, ReadCoilsRequest, ReadHoldingRegistersRequest
from pymodbus.pdu.bit_message import ReadDiscreteInputsRequest
from pymodbus.pdu.register_message import ReadInputRegistersRequest, WriteSingleRegisterRequest

from drivers.device import DeviceRefused, DeviceUnreachable, Framing, Now, Sleep

COIL_ON, COIL_OFF = 0xFF00, 0x0000

_FRAMERS = {"tcp": FramerType.SOCKET, "rtu_over_tcp": FramerType.RTU}
_DEFAULT_GAPS_S: dict[Framing, float] = {"tcp": 0.0, "rtu_over_tcp": 0.05}
_FIRST_RETRY_S, _LAST_RETRY_S = 0.5, 10.0
_MISSES_UNTIL_ABSENT = 3
_UNANSWERED_UNTIL_RECONNECT = 3
_FIRST_PROBE_S, _LAST_PROBE_S = 5.0, 30.0
_GATEWAY_GOT_NO_ANSWER = (0x0A, 0x0B)
_EXCEPTIONS = {
    1: "illegal function",
    2: "illegal address",
    3: "illegal value",
    4: "device failure",
    5: "still working on it",
    6: "busy",
}


class WriteCoilRaw(ModbusPDU):
    """FC05 with any value: Waveshare's pulse puts a time where pymodbus only knows FF00 and 0000."""

    function_code = 5
    rtu_frame_size = 8

    def __init__(self, address: int, value: int, dev_id: int) -> None:
        super().__init__(dev_id=dev_id, address=address)
        self.value = value

    def encode(self) -> bytes:
        return struct.pack(">HH", self.address, self.value)


@dataclass(slots=True)
class Unit:
    """What is known of one address on the bus."""

    misses: int = 0
    probe_at: datetime | None = None
    probe_pause_s: float = _FIRST_PROBE_S


@dataclass(frozen=True, slots=True)
class _Job:
    unit: int
    request: ModbusPDU
    fits: Callable[[ModbusPDU], bool]
    answer: asyncio.Future[ModbusPDU]


class ModbusBus:
    """Connects when first asked, and again after a loss (`connections` counts).

    A unit that missed 3 times is absent: until its next probe its requests fail at once instead of
    stalling the others. timeout_s is of the wall clock; pauses are slept with `sleep`.
    """

    def __init__(
        self,
        host: str,
        port: int,
        framing: Framing,
        *,
        now: Now,
        sleep: Sleep,
        timeout_s: float = 1.5,
        gap_s: float | None = None,
    ) -> None:
        self.host, self.port, self.framing = host, port, framing
        self.now, self.sleep = now, sleep
        self.connections = 0
        self._units: dict[int, Unit] = {}
        self._timeout_s = timeout_s
        self._gap_s = _DEFAULT_GAPS_S[framing] if gap_s is None else gap_s
        self._queue: asyncio.Queue[_Job] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self._stopped = False
        self._client: AsyncModbusTcpClient | None = None
        self._unanswered = 0
        self._last_exchange_at: datetime | None = None
        self._retry_at: datetime | None = None
        self._retry_pause_s = _FIRST_RETRY_S

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    def require_gap(self, gap_s: float) -> None:
        """Keep at least this pause between two requests: the slowest device on the line decides."""
        self._gap_s = max(self._gap_s, gap_s)

    async def read_registers(self, unit: int, function: int, address: int, count: int) -> list[int]:
        """function 3 or 4. Raises DeviceUnreachable, DeviceRefused."""
        kind = ReadHoldingRegistersRequest if function == 3 else ReadInputRegistersRequest
        request = kind(dev_id=unit, address=address, count=count)
        reply = await self._ask(unit, request, lambda r: len(r.registers) == count)
        return list(reply.registers)

    async def read_bits(self, unit: int, function: int, address: int, count: int) -> tuple[bool, ...]:
        """function 1 or 2. Raises DeviceUnreachable, DeviceRefused."""
        kind = ReadCoilsRequest if function == 1 else ReadDiscreteInputsRequest
        request = kind(dev_id=unit, address=address, count=count)
        reply = await self._ask(unit, request, lambda r: len(r.bits) == (count + 7) // 8 * 8)
        return tuple(reply.bits[:count])

    async def write_coil(self, unit: int, address: int, value: int) -> None:
        """value: COIL_ON, COIL_OFF or a time. Raises DeviceUnreachable, DeviceRefused."""
        await self._ask(unit, WriteCoilRaw(address, value, unit), lambda r: r.address == address)

    async def write_register(self, unit: int, address: int, value: int) -> None:
        """Raises DeviceUnreachable, DeviceRefused."""
        request = WriteSingleRegisterRequest(dev_id=unit, address=address, registers=[value])
        await self._ask(unit, request, lambda r: r.address == address)

    async def stop(self) -> None:
        self._stopped = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        while not self._queue.empty():
            self._settle(self._queue.get_nowait(), DeviceUnreachable(f"{self}: stopped"))
        if self._client is not None:
            self._client.close()

    async def _ask(self, unit: int, request: ModbusPDU, fits: Callable[[ModbusPDU], bool]) -> ModbusPDU:
        if self._stopped:
            raise DeviceUnreachable(f"{self}: stopped")
        if self._task is None:
            self._task = asyncio.create_task(self._serve(), name=f"modbus {self}")
        job = _Job(unit, request, fits, asyncio.get_running_loop().create_future())
        self._queue.put_nowait(job)
        return await job.answer

    async def _serve(self) -> None:
        while not self._stopped:  # a time-out of asyncio swallows a cancellation that comes with the answer
            job = await self._queue.get()
            if job.answer.cancelled():
                continue
            try:
                self._settle(job, await self._exchange(job))
            except asyncio.CancelledError:
                self._settle(job, DeviceUnreachable(f"{self}: stopped"))
                raise
            except Exception as fault:  # the bus outlives any fault: who asked is told, the others go on
                self._settle(job, fault)

    @staticmethod
    def _settle(job: _Job, outcome: ModbusPDU | Exception) -> None:
        if job.answer.done():
            return
        if isinstance(outcome, Exception):
            job.answer.set_exception(outcome)
        else:
            job.answer.set_result(outcome)

    async def _exchange(self, job: _Job) -> ModbusPDU:
        unit_id = job.unit
        unit = self._units.setdefault(unit_id, Unit())
        if self._waits_for(unit.probe_at, _LAST_PROBE_S):
            raise DeviceUnreachable(self._silence(unit_id, unit))
        client = await self._connected()
        await self._keep_gap()
        try:
            reply: ModbusPDU = await client.execute(False, job.request)
        except ConnectionException:
            raise DeviceUnreachable(self._no_connection()) from None
        except ModbusException:
            if not client.connected:
                raise DeviceUnreachable(
                    f"{self}: the connection broke off. Check that no other program holds its only connection"
                ) from None
            raise self._missed(unit_id, unit) from None
        finally:
            self._last_exchange_at = self.now()
        if reply.isError() and reply.exception_code in _GATEWAY_GOT_NO_ANSWER:
            raise self._missed(unit_id, unit)
        self._units[unit_id] = Unit()
        self._unanswered = 0
        if reply.isError():
            raise self._refused(job, reply.exception_code)
        if not job.fits(reply):
            client.close()  # what is still on its way must not answer the next question
            raise DeviceUnreachable(
                f"{self} unit {unit_id}: answered something else than was asked. Check that no other program "
                "polls the same converter and that no two devices have this unit address"
            )
        return reply

    def _refused(self, job: _Job, code: int) -> DeviceRefused:
        text = (
            f"{self} unit {job.unit}: refused function {job.request.function_code} at address "
            f"{job.request.address} with exception {code} ({_EXCEPTIONS.get(code, 'unknown')})"
        )
        return DeviceRefused(f"{text}. Check the model" if code <= 3 else text, code)

    def _missed(self, unit_id: int, unit: Unit) -> DeviceUnreachable:
        unit.misses += 1
        self._unanswered += 1
        if self._unanswered >= _UNANSWERED_UNTIL_RECONNECT and self._client is not None:
            # A converter that restarted leaves a connection that looks open and carries nothing.
            self._client.close()
            self._unanswered = 0
        if unit.misses >= _MISSES_UNTIL_ABSENT:
            unit.probe_at = self.now() + timedelta(seconds=unit.probe_pause_s)
            unit.probe_pause_s = min(2 * unit.probe_pause_s, _LAST_PROBE_S)
        return DeviceUnreachable(self._silence(unit_id, unit))

    def _silence(self, unit_id: int, unit: Unit) -> str:
        check = (
            "Check its supply, the unit address, A and B of the line, the converter's baud rate and parity"
            if self.framing == "rtu_over_tcp"
            else "Check its supply and the unit address"
        )
        often = f", {unit.misses} times in a row" if unit.misses > 1 else ""
        return f"{self} unit {unit_id}: no answer within {self._timeout_s:g} s{often}. {check}"

    def _no_connection(self) -> str:
        return (
            f"{self}: no connection. Check host and port, the device's supply and network cable, and that no "
            "other program holds its only connection"
        )

    async def _connected(self) -> AsyncModbusTcpClient:
        if self._client is not None and self._client.connected:
            return self._client
        if self._waits_for(self._retry_at, _LAST_RETRY_S):
            raise DeviceUnreachable(self._no_connection())
        if self._client is not None:
            self._client.close()
        # pymodbus' own reconnecting is off: a request must not race it for the one connection.
        self._client = AsyncModbusTcpClient(
            self.host,
            port=self.port,
            framer=_FRAMERS[self.framing],
            timeout=self._timeout_s,
            retries=0,
            reconnect_delay=0,
        )
        self._client.set_max_no_responses(sys.maxsize)  # misses are counted per unit here
        if not await self._client.connect():
            self._retry_at = self.now() + timedelta(seconds=self._retry_pause_s)
            self._retry_pause_s = min(2 * self._retry_pause_s, _LAST_RETRY_S)
            raise DeviceUnreachable(self._no_connection())
        self.connections += 1
        self._retry_at, self._retry_pause_s = None, _FIRST_RETRY_S
        return self._client

    async def _keep_gap(self) -> None:
        if self._gap_s and self._last_exchange_at is not None:
            passed_s = (self.now() - self._last_exchange_at).total_seconds()
            if 0 <= passed_s < self._gap_s:
                await self.sleep(self._gap_s - passed_s)

    def _waits_for(self, moment: datetime | None, longest_s: float) -> bool:
        """A moment further away than any pause means that the clock was set back: do not wait for it."""
        return moment is not None and 0 < (moment - self.now()).total_seconds() <= longest_s
