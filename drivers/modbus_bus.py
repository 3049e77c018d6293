"""One Modbus link, the one task that speaks on it, and whose turn it is.

A transparent RS485 converter mixes the replies if two clients ask at once, and an RS485 line carries one
request at a time: so every meter and relay module behind one address queues its requests here. Relays are
switched before anything else is asked; the rest is served unit by unit, the one that waited longest first.
Why so, and why not pymodbus' client: docs/adr/0014.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from drivers.bus_load import BusLoad, Traffic, UnitLoad
from drivers.device import DeviceConfigError, DeviceRefused, DeviceUnreachable, Framing, Now, Sleep
from drivers.modbus_frames import REFUSED, WRITE_COIL, WRITE_REGISTER, Query
from drivers.modbus_link import AnswerMissing, AnswersOther, LinkLost, ModbusLink

COIL_ON, COIL_OFF = 0xFF00, 0x0000

_DEFAULT_GAPS_S: dict[Framing, float] = {"tcp": 0.0, "rtu_over_tcp": 0.05}
_CHARACTER_BITS = 11
_SILENT_CHARACTERS = 3.5  # between two frames; Modbus over serial line V1.02, 2.5.1.1
_SILENT_AT_LEAST_S = 0.00175
_FIRST_RETRY_S, _LAST_RETRY_S = 0.5, 10.0
_MISSES_UNTIL_ABSENT = 3
_UNANSWERED_UNTIL_RECONNECT = 3
_FIRST_PROBE_S, _LAST_PROBE_S = 5.0, 30.0
_PROBES_SHARE = 0.2  # of the line's time, at most, is spent waiting for units that are absent
_LONGEST_TURN = 16
_BUSY_PAUSES_S = (0.1, 0.2, 0.4)
_BUSY = (0x05, 0x06)
_GATEWAY_GOT_NO_ANSWER = (0x0A, 0x0B)
_LINE_IS_TAKEN_S = 0.02
_EXCEPTIONS = {
    1: "illegal function",
    2: "illegal address",
    3: "illegal value",
    4: "device failure",
    5: "still working on it",
    6: "busy",
    7: "cannot do it",
    8: "memory error",
    10: "gateway has no path to it",
    11: "gateway got no answer from it",
}


class NoConnection(DeviceUnreachable):
    """Nothing can be said of any unit."""


@dataclass(slots=True)
class _Unit:
    """What is known of one address on the bus.

    owed: questions without an answer, which may still come. served: when its last turn ended, in turns.
    """

    misses: int = 0
    probe_at: datetime | None = None
    probe_pause_s: float = _FIRST_PROBE_S
    owed: list[Query] = field(default_factory=list)
    served: int = 0
    requests: int = 0
    errors: int = 0
    answered_at: datetime | None = None
    answer_s: float | None = None
    spread_s: float = 0.0

    @property
    def is_absent(self) -> bool:
        return self.misses >= _MISSES_UNTIL_ABSENT

    def timeout_s(self, longest_s: float) -> float:
        """Four spreads above what it usually takes (as RFC 6298 has it for TCP), longer after each miss."""
        if self.answer_s is None:
            return longest_s
        usual_s = max(self.answer_s + 4 * self.spread_s, longest_s / 3)
        return min(usual_s * (1 << min(self.misses, 4)), longest_s)

    def answered(self, took_s: float, now: datetime) -> None:
        if self.answer_s is None:
            self.answer_s, self.spread_s = took_s, took_s / 2
        else:
            self.spread_s += (abs(took_s - self.answer_s) - self.spread_s) / 4
            self.answer_s += (took_s - self.answer_s) / 8
        self.answered_at = now
        self.misses, self.probe_at, self.probe_pause_s = 0, None, _FIRST_PROBE_S


@dataclass(slots=True, eq=False)
class _Job:
    query: Query
    answer: asyncio.Future[bytes]
    tries: int = 0


class ModbusBus:
    """Connects when first asked, and again after a loss (`connections` counts).

    A unit that missed 3 times is absent: until its next probe its requests fail at once instead of
    stalling the others. Time-outs adapt to each unit, up to timeout_s, and are of the wall clock; pauses are
    slept with `sleep`. gap_s None: usual for the framing, or for the baud rate if that is told.
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
        self._units: dict[int, _Unit] = {}
        self._timeout_s = timeout_s
        self._line_gap_s = _DEFAULT_GAPS_S[framing] if gap_s is None else gap_s
        self._devices_gap_s = 0.0
        self._jobs: list[_Job] = []
        self._resting: set[_Job] = set()
        self._work = asyncio.Event()
        self._turn: list[Query] = []
        self._turns = 0
        self._task: asyncio.Task[None] | None = None
        self._stopped = False
        self._link: ModbusLink | None = None
        self._unanswered = self._unasked = 0
        self._last_exchange_at: datetime | None = None
        self._retry_at: datetime | None = None
        self._retry_pause_s = _FIRST_RETRY_S
        self._no_probe_before: datetime | None = None
        self._traffic = Traffic()

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    def require_gap(self, gap_s: float) -> None:
        """Keep at least this pause between two requests: the slowest device on the line decides."""
        self._devices_gap_s = max(self._devices_gap_s, gap_s)

    def run_at(self, baud: int) -> None:
        """Told how fast the line behind the converter is, the bus needs no more pause than its frames."""
        if self.framing == "tcp":
            raise DeviceConfigError("baud", baud, "none, since a Modbus TCP gateway paces its line itself,")
        self._line_gap_s = max(_SILENT_CHARACTERS * _CHARACTER_BITS / baud, _SILENT_AT_LEAST_S)

    async def read_registers(self, unit: int, function: int, address: int, count: int) -> list[int]:
        """function 3 or 4. Raises DeviceUnreachable, DeviceRefused."""
        data = (await self._ask(Query(unit, function, address, count)))[2:]
        return [int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2)]

    async def read_bits(self, unit: int, function: int, address: int, count: int) -> tuple[bool, ...]:
        """function 1 or 2. Raises DeviceUnreachable, DeviceRefused."""
        data = (await self._ask(Query(unit, function, address, count)))[2:]
        return tuple(bool(data[i // 8] >> i % 8 & 1) for i in range(count))

    async def write_coil(self, unit: int, address: int, value: int) -> None:
        """value: COIL_ON, COIL_OFF or a time. Raises DeviceUnreachable, DeviceRefused."""
        await self._ask(Query(unit, WRITE_COIL, address, value))

    async def write_register(self, unit: int, address: int, value: int) -> None:
        """Raises DeviceUnreachable, DeviceRefused."""
        await self._ask(Query(unit, WRITE_REGISTER, address, value))

    async def stop(self) -> None:
        self._stopped = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for job in (*self._jobs, *self._resting):
            self._settle(job, DeviceUnreachable(f"{self}: stopped"))
        self._jobs.clear()
        self._resting.clear()
        self._hang_up()

    def load(self) -> BusLoad:
        requests_per_s, errors_per_min, line_share = self._traffic.per_second(_loop_s())
        return BusLoad(
            bus=str(self),
            framing=self.framing,
            connected=self._link is not None and self._link.is_open,
            connections=self.connections,
            requests_per_s=requests_per_s,
            errors_per_min=errors_per_min,
            line_share=line_share,
            requests=self._traffic.requests,
            errors=self._traffic.errors,
            unasked_bytes=self._unasked + (self._link.unasked if self._link else 0),
            units=tuple(
                UnitLoad(
                    unit=id,
                    age_s=(self.now() - unit.answered_at).total_seconds() if unit.answered_at else None,
                    answer_s=unit.answer_s,
                    requests=unit.requests,
                    errors=unit.errors,
                    is_absent=unit.is_absent,
                )
                for id, unit in sorted(self._units.items())
            ),
        )

    # --- whose turn it is ---

    async def _ask(self, query: Query) -> bytes:
        if self._stopped:
            raise DeviceUnreachable(f"{self}: stopped")
        if self._task is None:
            self._task = asyncio.create_task(self._serve(), name=f"modbus {self}")
        job = _Job(query, asyncio.get_running_loop().create_future())
        self._put(job)
        return await job.answer

    def _put(self, job: _Job) -> None:
        self._resting.discard(job)
        self._jobs.append(job)
        self._work.set()

    async def _serve(self) -> None:
        while not self._stopped:  # a time-out of asyncio swallows a cancellation that comes with the answer
            while not self._jobs:
                self._work.clear()
                await self._work.wait()
            await self._keep_gap()
            await asyncio.sleep(0)  # who has just been answered asks on before the next is chosen
            if (job := self._next()) is None:
                continue
            try:
                self._settle(job, await self._exchange(job))
            except asyncio.CancelledError:
                self._settle(job, DeviceUnreachable(f"{self}: stopped"))
                raise
            except Exception as fault:  # the bus outlives any fault: who asked is told, the others go on
                self._settle(job, fault)

    def _next(self) -> _Job | None:
        """Relays first; then the rest of a turn; then the unit whose last turn is longest ago.

        A turn is what a unit is asked until it is asked the same again, so that the values of a reading
        are of one moment, and many meters on one line are each read equally often.
        """
        self._jobs = [job for job in self._jobs if not job.answer.done()]
        if not self._jobs:
            return None
        urgent = next((job for job in self._jobs if job.query.is_write), None)
        job = urgent or self._rest_of_turn()
        if job is None:
            self._end_turn()
            job = min(self._jobs, key=lambda job: self._unit(job.query.unit).served)
        if not self._turn or job.query.unit != self._turn[0].unit:
            self._turn = []  # a turn that a relay interrupts is not ended: it is still the longest ago
        self._turn.append(job.query)
        self._jobs.remove(job)
        return job

    def _rest_of_turn(self) -> _Job | None:
        if not self._turn or len(self._turn) >= _LONGEST_TURN:
            return None
        unit = self._turn[0].unit
        return next((j for j in self._jobs if j.query.unit == unit and j.query not in self._turn), None)

    def _end_turn(self) -> None:
        if self._turn:
            self._turns += 1
            self._unit(self._turn[0].unit).served = self._turns
            self._turn = []

    def _unit(self, id: int) -> _Unit:
        return self._units.setdefault(id, _Unit())

    @staticmethod
    def _settle(job: _Job, outcome: bytes | Exception | None) -> None:
        if outcome is None or job.answer.done():
            return
        if isinstance(outcome, Exception):
            job.answer.set_exception(outcome)
        else:
            job.answer.set_result(outcome)

    # --- one exchange ---

    async def _exchange(self, job: _Job) -> bytes | None:
        """The answer; None = the device is busy and is asked again later."""
        query, unit = job.query, self._unit(job.query.unit)
        if unit.is_absent and (
            self._waits_for(unit.probe_at, _LAST_PROBE_S)
            or self._waits_for(self._no_probe_before, self._timeout_s / _PROBES_SHARE)
        ):
            raise DeviceUnreachable(self._silence(query.unit, unit))
        link = await self._connected()
        if self.framing == "rtu_over_tcp" and any(query.looks_like(owed) for owed in unit.owed):
            await self._transact(link, query.probe([query, *unit.owed]), unit)
            await self._keep_gap()
        pdu = await self._transact(link, query, unit)
        if pdu[0] & REFUSED == 0:
            return pdu
        code = pdu[1]
        if code in _BUSY and job.tries < len(_BUSY_PAUSES_S):
            self._resting.add(job)
            asyncio.get_running_loop().call_later(_BUSY_PAUSES_S[job.tries], self._put, job)
            job.tries += 1
            return None
        raise self._refused(query, code)

    async def _transact(self, link: ModbusLink, query: Query, unit: _Unit) -> bytes:
        """Question and answer on the line, counted. Raises DeviceUnreachable."""
        await self._wait_for_silence(link)
        timeout_s = unit.timeout_s(self._timeout_s)
        start_s = _loop_s()
        unit.requests += 1
        answered = False
        try:
            pdu = await link.ask(query, timeout_s)
            answered = not (pdu[0] & REFUSED and pdu[1] in _GATEWAY_GOT_NO_ANSWER)
        except AnswerMissing as missing:
            unit.owed.append(query)
            raise self._missed(query.unit, unit, timeout_s, missing.heard) from None
        except AnswersOther:
            link.close()  # what is still on its way must not answer the next question
            raise DeviceUnreachable(f"{self} unit {query.unit}: {_ANSWERS_OTHER}") from None
        except LinkLost:
            raise NoConnection(
                f"{self}: the connection broke off. Check that no other program holds its only connection"
            ) from None
        finally:
            self._last_exchange_at = self.now()
            unit.errors += not answered
            self._traffic.count(start_s, _loop_s() + self._line_gap_s, answered)
        if not answered:
            raise self._missed(query.unit, unit, timeout_s, 0)
        self._note_answer(unit, _loop_s() - start_s)
        return pdu

    def _note_answer(self, unit: _Unit, took_s: float) -> None:
        if unit.is_absent:  # where one comes back, its neighbours may be back, too
            self._no_probe_before = None
            for other in self._units.values():
                other.probe_at = None
        unit.answered(took_s, self.now())
        unit.owed.clear()  # answers come in order: what is missing by now does not come any more
        self._unanswered = 0

    def _refused(self, query: Query, code: int) -> DeviceRefused:
        text = (
            f"{self} unit {query.unit}: refused function {query.function} at address "
            f"{query.address} with exception {code} ({_EXCEPTIONS.get(code, 'unknown')})"
        )
        return DeviceRefused(f"{text}. Check the model" if code <= 3 else text, code)

    def _missed(self, id: int, unit: _Unit, timeout_s: float, heard: int) -> DeviceUnreachable:
        unit.misses += 1
        self._unanswered += 1
        if self._unanswered >= _UNANSWERED_UNTIL_RECONNECT:
            self._hang_up()  # a converter that restarted leaves a connection that only looks open
            self._unanswered = 0
        if unit.is_absent:
            unit.probe_at = self.now() + timedelta(seconds=unit.probe_pause_s)
            unit.probe_pause_s = min(2 * unit.probe_pause_s, _LAST_PROBE_S)
            self._no_probe_before = self.now() + timedelta(seconds=timeout_s / _PROBES_SHARE)
        other = f". {heard} other bytes came instead: {_ANSWERS_OTHER}" if heard else ""
        return DeviceUnreachable(self._silence(id, unit, timeout_s) + other)

    def _silence(self, id: int, unit: _Unit, timeout_s: float | None = None) -> str:
        check = (
            "Check its supply, the unit address, A and B of the line, the converter's baud rate and parity"
            if self.framing == "rtu_over_tcp"
            else "Check its supply and the unit address"
        )
        often = f", {unit.misses} times in a row" if unit.misses > 1 else ""
        within_s = unit.timeout_s(self._timeout_s) if timeout_s is None else timeout_s
        return f"{self} unit {id}: no answer within {within_s:.2g} s{often}. {check}"

    # --- the connection ---

    async def _connected(self) -> ModbusLink:
        if self._link is not None and self._link.is_open:
            return self._link
        if self._waits_for(self._retry_at, _LAST_RETRY_S):
            raise NoConnection(self._no_connection())
        self._hang_up()
        try:
            self._link = await ModbusLink.connect(self.host, self.port, self.framing, self._timeout_s)
        except OSError:
            self._retry_at = self.now() + timedelta(seconds=self._retry_pause_s)
            self._retry_pause_s = min(2 * self._retry_pause_s, _LAST_RETRY_S)
            raise NoConnection(self._no_connection()) from None
        self.connections += 1
        self._retry_at, self._retry_pause_s = None, _FIRST_RETRY_S
        return self._link

    def _hang_up(self) -> None:
        if self._link is not None:
            self._unasked += self._link.unasked
            self._link.close()
            self._link = None

    def _no_connection(self) -> str:
        return (
            f"{self}: no connection. Check host and port, the device's supply and network cable, and that no "
            "other program holds its only connection"
        )

    async def _keep_gap(self) -> None:
        gap_s = max(self._line_gap_s, self._devices_gap_s)
        if gap_s and self._last_exchange_at is not None:
            passed_s = (self.now() - self._last_exchange_at).total_seconds()
            if 0 <= passed_s < gap_s:
                await self.sleep(gap_s - passed_s)

    async def _wait_for_silence(self, link: ModbusLink) -> None:
        """What comes unasked is a late answer or another master's: let it end, then forget it."""
        for _ in range(10):
            if not link.drain() or _loop_s() - link.heard_at_s > _LINE_IS_TAKEN_S:
                return
            await asyncio.sleep(_LINE_IS_TAKEN_S)

    def _waits_for(self, moment: datetime | None, longest_s: float) -> bool:
        """A moment further away than any pause means that the clock was set back: do not wait for it."""
        return moment is not None and 0 < (moment - self.now()).total_seconds() <= longest_s


_ANSWERS_OTHER = (
    "answered something else than was asked. Check that no other program polls the same converter and that "
    "no two devices have this unit address"
)


def _loop_s() -> float:
    return asyncio.get_running_loop().time()


class BusPool:
    """One `ModbusBus` for each host and port in a process, however many sites and devices hang on it."""

    def __init__(self, now: Now, sleep: Sleep) -> None:
        self._now, self._sleep = now, sleep
        self._buses: dict[tuple[str, int], ModbusBus] = {}
        self._users: dict[tuple[str, int], int] = {}

    def take(self, host: str, port: int, framing: Framing) -> ModbusBus:
        """Each `take` needs a `give_back`. Raises DeviceConfigError if others use it with another framing."""
        bus = self._buses.get((host, port)) or ModbusBus(
            host, port, framing, now=self._now, sleep=self._sleep
        )
        if bus.framing != framing:
            raise DeviceConfigError("framing", framing, f"{bus.framing}, as other devices at {bus},")
        self._buses[host, port] = bus
        self._users[host, port] = self._users.get((host, port), 0) + 1
        return bus

    async def give_back(self, bus: ModbusBus) -> None:
        """The last one to do so ends the connection."""
        self.take_back(bus)
        if self._buses.get((bus.host, bus.port)) is not bus:
            await bus.stop()

    def take_back(self, bus: ModbusBus) -> None:
        """As `give_back`, of a bus that whoever took it has not asked anything."""
        place = bus.host, bus.port
        self._users[place] -= 1
        if self._users[place] == 0:
            del self._users[place], self._buses[place]

    def loads(self) -> list[BusLoad]:
        return [bus.load() for _, bus in sorted(self._buses.items())]
