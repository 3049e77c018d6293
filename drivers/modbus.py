"""Meters and relay modules on a Modbus bus, driven by their register tables."""

from __future__ import annotations

from datetime import datetime, timedelta

from drivers.device import (
    DeviceConfigError,
    DeviceRefused,
    DeviceUnreachable,
    Failsafe,
    ImplausibleReading,
    MeterReading,
    ReadbackMismatch,
)
from drivers.modbus_bus import COIL_OFF, COIL_ON, ModbusBus
from drivers.reading import PHASE_VOLTAGE_V, assemble
from drivers.registers import MeterModel, RelayModel, Request, Watchdog, counted_from_one, decode, plan

_REFUSES_FOR_GOOD = (1, 2, 3)  # illegal function, address, value; the others pass
_ASK_AGAIN_AFTER = timedelta(minutes=10)
_SETTLING_S = 0.1


class ModbusMeter:
    """A `Meter`. What the device refuses to tell, except its power, is left out of the reading."""

    def __init__(self, bus: ModbusBus, unit: int, model: MeterModel, id: str) -> None:
        self.id = id
        self.model = model
        self.bus, self.unit = bus, unit
        self.warning: str | None = None
        self._requests = _all_requests(model)
        self._refused_at: datetime | None = None
        self._checked_on_connection = 0
        self._knows_counting = not model.may_count_from_one
        bus.require_gap(model.gap_s)

    async def read(self) -> MeterReading:
        """Raises DeviceUnreachable, DeviceRefused, ImplausibleReading."""
        if not self._knows_counting:
            await self._find_counting()
        try:
            reading = await self._sample()
            await self._check_setting()
            return reading
        except ImplausibleReading:
            pass  # a load that switches between two requests makes phases and total differ: once
        try:
            return await self._sample()
        except ImplausibleReading as fault:
            raise ImplausibleReading(f"{self.bus} unit {self.unit} ({self.model.name}): {fault}") from None

    async def _find_counting(self) -> None:
        """Where the voltage of L1 is one of a phase. Nothing is decided while it is 0 at both places."""
        for model in (self.model, counted_from_one(self.model)):
            shifted = model.point("v1")
            assert shifted is not None
            try:
                volt_v = decode(
                    shifted,
                    await self.bus.read_registers(
                        self.unit, shifted.function, shifted.address, shifted.count
                    ),
                )
            except DeviceRefused:
                continue
            if volt_v is not None and PHASE_VOLTAGE_V[0] <= volt_v <= PHASE_VOLTAGE_V[1]:
                self.model, self._requests, self._knows_counting = model, _all_requests(model), True
                return

    async def _check_setting(self) -> None:
        """After each connect, as somebody may have been at the meter. Silence is asked again, later."""
        setting = self.model.setting
        if setting is None or self._checked_on_connection == self.bus.connections:
            return
        try:
            words = await self.bus.read_registers(self.unit, setting.function, setting.address, 1)
        except DeviceRefused:
            words = [setting.expected[0]]
        except DeviceUnreachable:
            return
        self.warning = None if words[0] in setting.expected else setting.warning
        self._checked_on_connection = self.bus.connections

    async def _sample(self) -> MeterReading:
        values: dict[str, float | None] = {}
        read_at = self.bus.now()
        if self._refused_at is not None and read_at - self._refused_at > _ASK_AGAIN_AFTER:
            self._requests, self._refused_at = _all_requests(self.model), None
        for request in self._requests:
            values |= await self._read(request)
            if request.is_essential:
                read_at = self.bus.now()
        return assemble(self.model, values, read_at)

    async def _read(self, request: Request) -> dict[str, float | None]:
        try:
            words = await self.bus.read_registers(self.unit, request.function, request.address, request.count)
        except DeviceRefused as fault:
            return await self._after_refusal(request, fault)
        return request.decode(words)

    async def _after_refusal(self, request: Request, fault: DeviceRefused) -> dict[str, float | None]:
        """Some variants lack single values, or answer fewer registers at once than their manual says."""
        for_good = fault.code in _REFUSES_FOR_GOOD
        parts = request.split()
        if request.is_essential and not (for_good and len(parts) > 1):
            raise fault
        if not for_good:
            return {}
        self._refused_at = self._refused_at or self.bus.now()
        kept = [r for r in self._requests if r != request]
        if len(parts) == 1:
            self._requests = tuple(kept)
            return {}
        self._requests = _power_first((*kept, *parts))
        values: dict[str, float | None] = {}
        for part in parts:
            values |= await self._read(part)
        return values


def _all_requests(model: MeterModel) -> tuple[Request, ...]:
    return _power_first(plan(model.points, model.max_registers))


def _power_first(requests: tuple[Request, ...]) -> tuple[Request, ...]:
    """The reading's time is that of its power: what is only nice to know is read after it."""
    return tuple(sorted(requests, key=lambda r: not r.is_essential))


class ModbusRelayModule:
    """Several contacts behind one address.

    pulse_s: each ON opens by itself after this time unless `switch` repeats it.
    watchdog_s: the device opens all relays when it hears nothing for this time; written after each connect.

    Raises:
        DeviceConfigError: the model has no pulse or watchdog, or the time does not fit it.
    """

    def __init__(
        self,
        bus: ModbusBus,
        unit: int,
        model: RelayModel,
        id: str,
        *,
        pulse_s: float | None = None,
        watchdog_s: float | None = None,
    ) -> None:
        self.id = id
        self.model = model
        self.failsafe: Failsafe = model.failsafe
        self.bus, self.unit = bus, unit
        self._pulse_raw = _pulse_raw(model, pulse_s)
        self._watchdog_raw = _watchdog_raw(model, watchdog_s)
        self._armed_on_connection = 0

    @property
    def needs_rearming(self) -> bool:
        """Whether a closed relay opens by itself unless `switch` repeats the command."""
        return self._pulse_raw is not None

    def relay(self, number: int) -> ModbusRelay:
        """number: 1 is the first. Raises DeviceConfigError."""
        check_number("relay", number, self.model.relays)
        return ModbusRelay(self, number)

    def input(self, number: int) -> ModbusInput:
        """number: 1 is the first. Raises DeviceConfigError."""
        check_number("input", number, self.model.inputs.count if self.model.inputs else 0)
        return ModbusInput(self, number)

    async def read_all(self) -> tuple[bool, ...]:
        """What each relay reads back, from relay 1 on. Raises DeviceError."""
        block = self.model.readback
        states = await self.bus.read_bits(self.unit, block.function, block.address, block.count)
        await self._arm_watchdog()
        return states

    async def read_inputs(self) -> tuple[bool, ...]:
        """True = active, from input 1 on; empty if the model has none. Raises DeviceError."""
        block = self.model.inputs
        if block is None:
            return ()
        return await self.bus.read_bits(self.unit, block.function, block.address, block.count)

    async def switch(self, number: int, on: bool) -> None:
        """Write and read back. Raises ReadbackMismatch and the other DeviceErrors."""
        check_number("relay", number, self.model.relays)
        if on and self._pulse_raw is not None and self.model.pulse is not None:
            await self.bus.write_coil(self.unit, self.model.pulse.address + number - 1, self._pulse_raw)
        else:
            address = self.model.coil + number - 1
            await self.bus.write_coil(self.unit, address, COIL_ON if on else COIL_OFF)
        if (await self.read_all())[number - 1] != on:
            await self.bus.sleep(_SETTLING_S)
            if (await self.read_all())[number - 1] != on:
                raise ReadbackMismatch(
                    f"{self.bus} unit {self.unit}: relay {number} was switched {'on' if on else 'off'} but "
                    f"reads {'off' if on else 'on'}. Check the module, and that nothing else commands it"
                )

    async def _arm_watchdog(self) -> None:
        """After each connect, since the device may have restarted."""
        watchdog = self.model.watchdog
        if watchdog is None or self._watchdog_raw is None:
            return
        if self._armed_on_connection == self.bus.connections:
            return
        # The WAGO refuses a new time while its watchdog runs, so one that is right already is left alone.
        if await self._watchdog_time(watchdog) != self._watchdog_raw:
            await self.bus.write_register(self.unit, watchdog.time_address, self._watchdog_raw)
            reads = await self._watchdog_time(watchdog)
            if reads != self._watchdog_raw:
                raise ReadbackMismatch(
                    f"{self.bus} unit {self.unit}: watchdog time was set to "
                    f"{self._watchdog_raw * watchdog.unit_s:g} s but reads {reads * watchdog.unit_s:g} s"
                )
        if watchdog.enable_address is not None:
            await self.bus.write_register(self.unit, watchdog.enable_address, 1)
        self._armed_on_connection = self.bus.connections

    async def _watchdog_time(self, watchdog: Watchdog) -> int:
        return (await self.bus.read_registers(self.unit, 3, watchdog.time_address, 1))[0]


class ModbusRelay:
    """A `Relay`."""

    def __init__(self, module: ModbusRelayModule, number: int) -> None:
        self.id = f"{module.id}/{number}"
        self._module, self._number = module, number

    async def read(self) -> bool:
        return (await self._module.read_all())[self._number - 1]

    async def switch(self, on: bool) -> None:
        await self._module.switch(self._number, on)


class ModbusInput:
    """A `DigitalInput`."""

    def __init__(self, module: ModbusRelayModule, number: int) -> None:
        self.id = f"{module.id}/input{number}"
        self._module, self._number = module, number

    async def read(self) -> bool:
        return (await self._module.read_inputs())[self._number - 1]


def check_number(field: str, number: int, count: int) -> None:
    if not 1 <= number <= count:
        expected = f"a number from 1 to {count}" if count else f"a model that has one ({field}s: none)"
        raise DeviceConfigError(field, number, expected)


def _pulse_raw(model: RelayModel, pulse_s: float | None) -> int | None:
    if pulse_s is None:
        return None
    if model.pulse is None:
        raise DeviceConfigError("pulse_s", pulse_s, f"none, since {model.key} has no pulse,")
    return _raw_time("pulse_s", pulse_s, model.pulse.unit_s, model.pulse.max_raw)


def _watchdog_raw(model: RelayModel, watchdog_s: float | None) -> int | None:
    if watchdog_s is None:
        return None
    if model.watchdog is None:
        raise DeviceConfigError("watchdog_s", watchdog_s, f"none, since {model.key} has no watchdog to set,")
    return _raw_time("watchdog_s", watchdog_s, model.watchdog.unit_s, 0xFFFF)


def _raw_time(field: str, time_s: float, unit_s: float, max_raw: int) -> int:
    raw = round(time_s / unit_s)
    if not 1 <= raw <= max_raw:
        raise DeviceConfigError(field, time_s, f"{unit_s:g} to {unit_s * max_raw:g} s")
    return raw
