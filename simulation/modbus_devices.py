"""Simulated Modbus meters and relay modules that answer on a real socket, and the faults they can have."""

from __future__ import annotations

import math
import struct
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from pymodbus.constants import ExcCodes
from pymodbus.framer import FramerType
from pymodbus.pdu import ExceptionResponse, ModbusPDU
from pymodbus.pdu.bit_message import WriteSingleCoilRequest
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from drivers.catalogue import meter_models, relay_models
from drivers.device import Framing, PhaseTriple
from drivers.registers import encode

_COIL_ON, _COIL_OFF = 0xFF00, 0x0000
_NEVER_ASKED = SimData(0xFFF0, values=0, datatype=DataType.REGISTERS)
_NEVER_ASKED_BITS = SimData(0xFFF0, values=[False] * 16, datatype=DataType.BITS)
_NOTHING = ([_NEVER_ASKED_BITS], [_NEVER_ASKED_BITS], [_NEVER_ASKED], [_NEVER_ASKED])


class SimulatedDevice:
    """unreachable: swallows requests. `refuse`: answers them with a Modbus exception."""

    def __init__(self) -> None:
        self.unreachable = False
        self._refused: tuple[int, range] | None = None

    def refuse(self, exception_code: int | None, addresses: range = range(0x10000)) -> None:
        """exception_code None: answer properly again. addresses: refuse only what touches them."""
        self._refused = None if exception_code is None else (exception_code, addresses)

    def sim_device(self, unit: int) -> SimDevice:
        raise NotImplementedError

    def _refusal(self, address: int, count: int) -> ExcCodes | None:
        if self._refused is None:
            return None
        code, addresses = self._refused
        touched = address < addresses.stop and addresses.start < address + count
        return ExcCodes(code) if touched else None


class SimulatedMeter(SimulatedDevice):
    """A meter of the catalogue with its register image. Power + is drawn. frozen: it no longer lives.

    Phase powers default to equal shares, currents follow from power and voltage. refresh_s: as real meters
    do, it shows a new set of values only so often (real seconds), so that one reading is of one moment even
    where simulated time flies.
    """

    def __init__(self, model: str, refresh_s: float = 0.0) -> None:
        super().__init__()
        self.frozen = False
        self._refresh_s, self._shown_at_s = refresh_s, -math.inf
        self._shown: dict[int, int] = {}
        self.model = meter_models()[model]
        self._points = {point.key: point for point in self.model.points}
        self._image: dict[int, int] = {}
        self._voltage_v: PhaseTriple = (230.0, 230.0, 230.0)
        self._power_w = 0.0
        self._phase_power_w: PhaseTriple | None = None
        self._wh = {"e_imp": 0.0, "e_exp": 0.0}
        self._answers = 0
        self.set()
        if self.model.setting is not None:
            self.set_setting(self.model.setting.expected[0])

    def set(
        self,
        *,
        power_w: float | None = None,
        phase_power_w: PhaseTriple | None = None,
        voltage_v: PhaseTriple | None = None,
        import_wh: float | None = None,
        export_wh: float | None = None,
    ) -> None:
        """What is None stays as it is; phase powers without power_w add up to it."""
        if phase_power_w is not None:
            self._phase_power_w = phase_power_w
            self._power_w = sum(phase_power_w) if power_w is None else power_w
        elif power_w is not None:
            self._power_w, self._phase_power_w = power_w, None
        self._voltage_v = voltage_v or self._voltage_v
        self._wh["e_imp"] = self._wh["e_imp"] if import_wh is None else import_wh
        self._wh["e_exp"] = self._wh["e_exp"] if export_wh is None else export_wh
        for key, value in self._values().items():
            if key in self._points:
                self.set_register(key, value)

    def set_setting(self, value: int) -> None:
        """What the meter's own setting is, where its model has one."""
        assert self.model.setting is not None
        self._image[self.model.setting.address] = value

    def count_from_one(self) -> None:
        """As some units do."""
        self._image = {address + 1: word for address, word in self._image.items()}
        self._points = {key: replace(p, address=p.address + 1) for key, p in self._points.items()}

    def set_register(self, key: str, value: float | None) -> None:
        """One point of the model's table as the device counts it; None = "not available". ValueError."""
        point = self._points[key]
        for offset, word in enumerate(encode(point, value)):
            self._image[point.address + offset] = word

    def _values(self) -> dict[str, float]:
        phases = self.model.phases("p") or self.model.phases("i") or 3
        shares = self._phase_power_w or tuple(self._power_w / phases if p < phases else 0.0 for p in range(3))
        values = {
            "p_tot": self.model.sign * self._power_w,
            "p_import": max(self._power_w, 0.0),
            "p_export": max(-self._power_w, 0.0),
            "f": 50.0,
            **self._wh,
        }
        for phase, (power_w, volt) in enumerate(zip(shares, self._voltage_v, strict=True), 1):
            values[f"p{phase}"] = self.model.sign * power_w
            values[f"v{phase}"] = volt
            values[f"i{phase}"] = abs(power_w / volt) if volt else 0.0
        return values

    def sim_device(self, unit: int) -> SimDevice:
        registers = [
            SimData(address, values=self._image[address], datatype=DataType.REGISTERS)
            for address in sorted(self._image)
        ]
        return SimDevice(unit, simdata=registers, action=self._answer)

    def _tremble(self) -> None:
        """The voltage of a living meter never stands still for long, were it by its last digit."""
        self._answers += 1
        if not self.frozen and "v1" in self._points and self._voltage_v[0] > 1:
            self.set_register("v1", self._voltage_v[0] + 0.1 * (self._answers // 6 % 2))

    async def _answer(
        self,
        function: int,
        start: int,
        address: int,
        count: int,
        registers: list[int],
        written: list[int] | list[bool] | None,
    ) -> ExcCodes | None:
        if written is not None or function not in {point.function for point in self.model.points}:
            return ExcCodes.ILLEGAL_FUNCTION
        if count > self.model.max_registers:
            return ExcCodes.ILLEGAL_ADDRESS
        if time.monotonic() - self._shown_at_s >= self._refresh_s:
            self._tremble()
            self._shown, self._shown_at_s = dict(self._image), time.monotonic()
        for known, word in self._shown.items():
            registers[known - start] = word
        return self._refusal(address, count)


class SimulatedRelayModule(SimulatedDevice):
    """A relay module of the catalogue, with its pulse and its watchdog if it has them.

    now: the clock for both. on_change(relay number, closed) is called when a contact moves; one that opens
    by time is noticed when next looked at. stuck: numbers of relays whose contact no longer moves.
    """

    def __init__(
        self,
        model: str,
        now: Callable[[], datetime],
        on_change: Callable[[int, bool], None] | None = None,
    ) -> None:
        super().__init__()
        self.model = relay_models()[model]
        self.on_change = on_change
        self.stuck: set[int] = set()
        self._now = now
        self._coils = [False] * self.model.relays
        self._inputs = [False] * (self.model.inputs.count if self.model.inputs else 0)
        self._opens_at: dict[int, datetime] = {}
        self._holding: dict[int, int] = {}
        if watchdog := self.model.watchdog:
            self._holding = {a: 0 for a in (watchdog.time_address, watchdog.enable_address) if a is not None}
        self._heard_at = now()

    @property
    def coils(self) -> tuple[bool, ...]:
        self._let_time_act()
        return tuple(self._coils)

    def set_input(self, number: int, active: bool) -> None:
        """number: 1 is the first."""
        self._inputs[number - 1] = active

    def _switch(self, number: int, on: bool) -> None:
        self._opens_at.pop(number, None)
        if number in self.stuck or self._coils[number - 1] == on:
            return
        self._coils[number - 1] = on
        if self.on_change:
            self.on_change(number, on)

    def _let_time_act(self) -> None:
        now = self._now()
        for number in [n for n, at in self._opens_at.items() if at <= now]:
            self._switch(number, False)
        silent_s = (now - self._heard_at).total_seconds()
        watchdog_s = self._watchdog_s()
        if watchdog_s is not None and silent_s > watchdog_s:
            for number in range(1, self.model.relays + 1):
                self._switch(number, False)

    def _watchdog_s(self) -> float | None:
        watchdog = self.model.watchdog
        if watchdog is None or not self._holding[watchdog.time_address]:
            return None
        if watchdog.enable_address is not None and not self._holding[watchdog.enable_address]:
            return None
        return self._holding[watchdog.time_address] * watchdog.unit_s

    def sim_device(self, unit: int) -> SimDevice:
        bits = SimData(0, values=[False] * 0x300, datatype=DataType.BITS)
        holding = [SimData(a, values=0, datatype=DataType.REGISTERS) for a in sorted(self._holding)] or [
            _NEVER_ASKED
        ]
        return SimDevice(unit, simdata=([bits], [bits], holding, [_NEVER_ASKED]), action=self._answer)

    async def _answer(
        self,
        function: int,
        start: int,
        address: int,
        count: int,
        registers: list[int],
        written: list[int] | list[bool] | None,
    ) -> ExcCodes | None:
        self._let_time_act()
        self._heard_at = self._now()
        if (refusal := self._refusal(address, count)) is not None:
            return refusal
        if function in (3, 6, 16):
            for offset, value in enumerate(written or ()):
                self._holding[address + offset] = int(value)
            return None
        if not (
            self._can_read(function, address, count) if written is None else self._write(address, written)
        ):
            return ExcCodes.ILLEGAL_ADDRESS
        self._show(function, start, registers)
        if written is not None:
            # The server writes these after us: give it what the contacts really do.
            written[:] = [_bit(registers, start, address + i) for i in range(len(written))]
        return None

    def _can_read(self, function: int, address: int, count: int) -> bool:
        """count: of 16 bits each."""
        blocks = [b for b in (self.model.readback, self.model.inputs) if b and b.function == function]
        return any(b.address <= address and address + 16 * (count - 1) < b.address + b.count for b in blocks)

    def _write(self, address: int, values: list[int] | list[bool]) -> bool:
        pulse = self.model.pulse
        for offset, value in enumerate(values):
            number = address + offset - self.model.coil + 1
            if 1 <= number <= self.model.relays:
                self._switch(number, bool(value))
            elif pulse and 0 <= address - pulse.address < self.model.relays:
                number = address - pulse.address + 1
                self._switch(number, True)
                self._opens_at[number] = self._now() + timedelta(seconds=int(value) * pulse.unit_s)
            else:
                return False
        return True

    def _show(self, function: int, start: int, registers: list[int]) -> None:
        """Copy contacts and inputs into the server's words, 16 bits each."""
        inputs, readback = self.model.inputs, self.model.readback
        if function != 2:
            _set_bits(registers, start, readback.address, self._coils)
        if inputs and (function == inputs.function or function == 2):
            _set_bits(registers, start, inputs.address, self._inputs)


def _bit(registers: list[int], start: int, address: int) -> bool:
    return bool(registers[address // 16 - start] >> (address % 16) & 1)


def _set_bits(registers: list[int], start: int, address: int, bits: list[bool]) -> None:
    for position, bit in enumerate(bits, address):
        word, mask = position // 16 - start, 1 << (position % 16)
        registers[word] = registers[word] | mask if bit else registers[word] & ~mask


class _RawCoilRequest(WriteSingleCoilRequest):
    """pymodbus reads any FC05 value as on or off; a pulse's time must get through, and be echoed."""

    value = _COIL_OFF

    def decode(self, data: bytes) -> None:
        self.address, self.value = struct.unpack(">HH", data[:4])
        bits: list[Any] = [self.value == _COIL_ON if self.value in (_COIL_ON, _COIL_OFF) else self.value]
        self.bits = bits

    def encode(self) -> bytes:
        return struct.pack(">HH", self.address, self.value)

    async def datastore_update(self, context: Any, device_id: int) -> ModbusPDU:
        refusal = await context.async_setValues(device_id, self.function_code, self.address, self.bits)
        return ExceptionResponse(self.function_code, refusal) if refusal else self


class ModbusConverter:
    """One TCP address with several units behind it, as on an RS485 line: an unknown unit is silent.

    port 0 takes a free one; `port` tells which. Stopping and starting again keeps the port.
    """

    def __init__(self, host: str, port: int, framing: Framing, units: Mapping[int, SimulatedDevice]) -> None:
        self.host, self.port, self.framing = host, port, framing
        self.units = dict(units)
        self._server: ModbusTcpServer | None = None

    async def start(self) -> None:
        """Raises RuntimeError if the port cannot be listened on."""
        devices = [device.sim_device(unit) for unit, device in self.units.items()]
        self._server = ModbusTcpServer(
            [*devices, SimDevice(0, simdata=_NOTHING)],
            framer=FramerType.RTU if self.framing == "rtu_over_tcp" else FramerType.SOCKET,
            address=(self.host, self.port),
            trace_packet=self._swallow,
            custom_pdu=[_RawCoilRequest],
        )
        await self._server.serve_forever(background=True)
        listener: Any = self._server.transport
        self.port = listener.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.shutdown()  # type: ignore[no-untyped-call]
            self._server = None

    def _swallow(self, sending: bool, packet: bytes) -> bytes:
        """An answer of a silent unit becomes nothing. The unit follows the 6-byte header of Modbus TCP."""
        if not sending:
            return packet
        device = self.units.get(packet[0 if self.framing == "rtu_over_tcp" else 6])
        return b"" if device is None or device.unreachable else packet
