"""Simulated Modbus meters and relay modules that answer on a real socket, and the faults they can have."""

from __future__ import annotations

import math
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pymodbus.constants import ExcCodes
from pymodbus.framer import FramerType
from pymodbus.pdu import ExceptionResponse, ModbusPDU
from pymodbus.pdu.bit_message import WriteSingleCoilRequest
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from drivers.catalogue import meter_models, relay_models
from drivers.device import Framing
from drivers.registers import encode
from simulation.contacts import Contacts
from simulation.meter_face import MeterFace

_COIL_ON, _COIL_OFF = 0xFF00, 0x0000
_NEVER_ASKED = SimData(0xFFF0, values=0, datatype=DataType.REGISTERS)
_NEVER_ASKED_BITS = SimData(0xFFF0, values=[False] * 16, datatype=DataType.BITS)
_NOTHING = ([_NEVER_ASKED_BITS], [_NEVER_ASKED_BITS], [_NEVER_ASKED], [_NEVER_ASKED])


@dataclass(frozen=True, slots=True)
class Ask:
    """A request. registers: the server's words from `start` on, to be filled in; written: None = it reads."""

    function: int
    start: int
    address: int
    count: int
    registers: list[int]
    written: list[int] | list[bool] | None

    def fill(self, image: Mapping[int, int]) -> None:
        for address, word in image.items():
            self.registers[address - self.start] = word


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

    async def _answer(
        self,
        function: int,
        start: int,
        address: int,
        count: int,
        registers: list[int],
        written: list[int] | list[bool] | None,
    ) -> ExcCodes | None:
        """As pymodbus calls it for each request."""
        return self._obey(Ask(function, start, address, count, registers, written))

    def _obey(self, ask: Ask) -> ExcCodes | None:
        raise NotImplementedError

    def _refusal(self, ask: Ask) -> ExcCodes | None:
        if self._refused is None:
            return None
        code, addresses = self._refused
        touched = ask.address < addresses.stop and addresses.start < ask.address + ask.count
        return ExcCodes(code) if touched else None


class SimulatedMeter(MeterFace, SimulatedDevice):
    """A meter of the catalogue with its register image. Power + is drawn. frozen: it no longer lives.

    Phase powers default to equal shares, currents follow from power and voltage. refresh_s: as real meters
    do, it shows a new set of values only so often (real seconds), so that one reading is of one moment even
    where simulated time flies.
    """

    def __init__(self, model: str, refresh_s: float = 0.0) -> None:
        MeterFace.__init__(self)
        SimulatedDevice.__init__(self)
        self.frozen = False
        self._refresh_s, self._shown_at_s = refresh_s, -math.inf
        self._shown: dict[int, int] = {}
        self.model = meter_models()[model]
        self._points = {point.key: point for point in self.model.points}
        self._image: dict[int, int] = {}
        self._answers = 0
        self.show()
        if self.model.setting is not None:
            self.set_setting(self.model.setting.expected[0])

    def show(self) -> None:
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
        shares_w = self.shares_w(self.model.phases("p") or self.model.phases("i") or 3)
        values = {
            "p_tot": self.model.sign * self.power_w,
            "p_import": max(self.power_w, 0.0),
            "p_export": max(-self.power_w, 0.0),
            "f": 50.0,
            "e_imp": self.import_wh,
            "e_exp": self.export_wh,
        }
        for phase, (power_w, volt) in enumerate(zip(shares_w, self.voltage_v, strict=True), 1):
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
        if not self.frozen and "v1" in self._points and self.voltage_v[0] > 1:
            self.set_register("v1", self.voltage_v[0] + 0.1 * (self._answers // 6 % 2))

    def _obey(self, ask: Ask) -> ExcCodes | None:
        if ask.written is not None or ask.function not in {point.function for point in self.model.points}:
            return ExcCodes.ILLEGAL_FUNCTION
        if ask.count > self.model.max_registers:
            return ExcCodes.ILLEGAL_ADDRESS
        if time.monotonic() - self._shown_at_s >= self._refresh_s:
            self._tremble()
            self._shown, self._shown_at_s = dict(self._image), time.monotonic()
        ask.fill(self._shown)
        return self._refusal(ask)


class SimulatedRelayModule(SimulatedDevice, Contacts):
    """A relay module of the catalogue, with its pulse and its watchdog if it has them."""

    def __init__(
        self,
        model: str,
        now: Callable[[], datetime],
        on_change: Callable[[int, bool], None] | None = None,
    ) -> None:
        SimulatedDevice.__init__(self)
        self.model = relay_models()[model]
        Contacts.__init__(self, self.model.relays, now, on_change)
        self._inputs = [False] * (self.model.inputs.count if self.model.inputs else 0)
        self._holding: dict[int, int] = {}
        if watchdog := self.model.watchdog:
            self._holding = {a: 0 for a in (watchdog.time_address, watchdog.enable_address) if a is not None}
        self._heard_at = now()

    @property
    def coils(self) -> tuple[bool, ...]:
        watchdog_s = self._watchdog_s()
        if watchdog_s is not None and (self._now() - self._heard_at).total_seconds() > watchdog_s:
            self.open_all()
        return super().coils

    def set_input(self, number: int, active: bool) -> None:
        """number: 1 is the first."""
        self._inputs[number - 1] = active

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

    def _obey(self, ask: Ask) -> ExcCodes | None:
        coils = self.coils
        self._heard_at = self._now()
        if (refusal := self._refusal(ask)) is not None:
            return refusal
        written = ask.written
        if ask.function in (3, 6, 16):
            for offset, value in enumerate(written or ()):
                self._holding[ask.address + offset] = int(value)
            return None
        if not (self._can_read(ask) if written is None else self._write(ask.address, written)):
            return ExcCodes.ILLEGAL_ADDRESS
        self._show(ask, coils if written is None else self.coils)
        if written is not None:
            # The server writes these after us: give it what the contacts really do.
            written[:] = [_bit(ask.registers, ask.start, ask.address + i) for i in range(len(written))]
        return None

    def _can_read(self, ask: Ask) -> bool:
        """Its count is of 16 bits each."""
        blocks = [b for b in (self.model.readback, self.model.inputs) if b and b.function == ask.function]
        last = ask.address + 16 * (ask.count - 1)
        return any(b.address <= ask.address and last < b.address + b.count for b in blocks)

    def _write(self, address: int, values: list[int] | list[bool]) -> bool:
        pulse = self.model.pulse
        for offset, value in enumerate(values):
            number = address + offset - self.model.coil + 1
            if 1 <= number <= self.model.relays:
                self.move(number, bool(value))
            elif pulse and 0 <= address - pulse.address < self.model.relays:
                self.move(address - pulse.address + 1, True, int(value) * pulse.unit_s)
            else:
                return False
        return True

    def _show(self, ask: Ask, coils: Sequence[bool]) -> None:
        """Copy contacts and inputs into the server's words, 16 bits each."""
        inputs, readback = self.model.inputs, self.model.readback
        if ask.function != 2:
            _set_bits(ask.registers, ask.start, readback.address, coils)
        if inputs and (ask.function == inputs.function or ask.function == 2):
            _set_bits(ask.registers, ask.start, inputs.address, self._inputs)


def _bit(registers: list[int], start: int, address: int) -> bool:
    return bool(registers[address // 16 - start] >> (address % 16) & 1)


def _set_bits(registers: list[int], start: int, address: int, bits: Sequence[bool]) -> None:
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
        """Raises OSError if the port cannot be listened on."""
        devices = [device.sim_device(unit) for unit, device in self.units.items()]
        self._server = ModbusTcpServer(
            [*devices, SimDevice(0, simdata=_NOTHING)],
            framer=FramerType.RTU if self.framing == "rtu_over_tcp" else FramerType.SOCKET,
            address=(self.host, self.port),
            trace_packet=self._swallow,
            custom_pdu=[_RawCoilRequest],
        )
        try:
            await self._server.serve_forever(background=True)
        except RuntimeError as fault:
            raise OSError(f"{self.host}:{self.port} cannot be listened on: {fault}") from fault
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
