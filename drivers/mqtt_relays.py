"""Relays switched over MQTT: Tasmota, Zigbee2MQTT, and any switch with a command and a state topic."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from drivers.device import (
    DeviceConfigError,
    DeviceUnreachable,
    Failsafe,
    ImplausibleReading,
    ReadbackMismatch,
)
from drivers.modbus import check_number
from drivers.mqtt_broker import MqttBroker
from drivers.mqtt_values import table, value_at

_WORDS = {True: "ON", False: "OFF"}
_TENTHS_UNTIL_S, _TENTHS_MAX = 11.0, 111
_LONGEST_PULSE_S = 64_800


class MqttRelays:
    """What the three kinds share: be connected, be there, command, read back.

    pulse_s: each ON opens by itself after this time unless `switch` repeats it.
    """

    failsafe: Failsafe = "pulse"

    def __init__(self, broker: MqttBroker, id: str, count: int, pulse_s: float | None = None) -> None:
        self.id = id
        self._broker, self._count, self._pulse_s = broker, count, pulse_s

    @property
    def needs_rearming(self) -> bool:
        return self._pulse_s is not None

    async def read_all(self) -> tuple[bool, ...]:
        """Raises DeviceError."""
        await self._be_there()
        states = []
        for number in range(1, self._count + 1):
            states.append(await self._asked_state(number))
        return tuple(states)

    async def read_inputs(self) -> tuple[bool, ...]:
        return ()

    async def switch(self, number: int, on: bool) -> None:
        """Command and read back. Raises ReadbackMismatch and the other DeviceErrors."""
        check_number("relay", number, self._count)
        await self._be_there()
        await self._command(number, on)
        if await self._asked_state(number) is not on:
            raise ReadbackMismatch(
                f"{self._name()}: relay {number} was switched {'on' if on else 'off'} but reads "
                f"{'off' if on else 'on'}. Check the device, and that nothing else commands it"
            )

    def _name(self) -> str:
        raise NotImplementedError

    async def _be_there(self) -> None:
        """Raises DeviceUnreachable: the device says that it is offline."""
        raise NotImplementedError

    async def _command(self, number: int, on: bool) -> None:
        raise NotImplementedError

    async def _asked_state(self, number: int) -> bool:
        raise NotImplementedError

    def _silent(self) -> DeviceUnreachable:
        return DeviceUnreachable(
            f"{self._name()}: no answer within {self._broker.timeout_s:g} s. Check its topic, its supply "
            "and its radio reception"
        )

    def _offline(self) -> DeviceUnreachable:
        return DeviceUnreachable(
            f"{self._name()}: the broker has it as offline. Check its supply and reception"
        )


class TasmotaRelays(MqttRelays):
    """topic: as set in the device; the full topic must be the usual %prefix%/%topic%/."""

    def __init__(
        self, broker: MqttBroker, topic: str, id: str, count: int = 1, pulse_s: float | None = None
    ) -> None:
        if pulse_s is not None and not 0.1 <= pulse_s <= _LONGEST_PULSE_S:
            raise DeviceConfigError("pulse_s", pulse_s, f"0.1 to {_LONGEST_PULSE_S} s")
        super().__init__(broker, id, count, pulse_s)
        self._topic = topic
        self._armed: dict[int, int] = {}

    def _name(self) -> str:
        return f"Tasmota {self._topic}"

    async def _be_there(self) -> None:
        await self._broker.watch([f"stat/{self._topic}/RESULT", f"tele/{self._topic}/LWT"])
        lwt = self._broker.heard(f"tele/{self._topic}/LWT")
        if lwt is not None and lwt.payload == "Offline":
            raise self._offline()

    async def _command(self, number: int, on: bool) -> None:
        if on and self._pulse_s is not None and self._armed.get(number) != self._broker.connections:
            await self._arm(number, pulse_time(self._pulse_s))
            self._armed[number] = self._broker.connections
        await self._ask(number, _WORDS[on])

    async def _asked_state(self, number: int) -> bool:
        return await self._ask(number, "")

    async def _ask(self, number: int, payload: str) -> bool:
        """A device with one relay calls it POWER, else POWER1 and so on."""
        keys = (f"POWER{number}", "POWER") if number == 1 else (f"POWER{number}",)
        answer = await self._broker.ask(
            f"cmnd/{self._topic}/POWER{number}",
            payload,
            f"stat/{self._topic}/RESULT",
            lambda text: any(key in table(text) for key in keys),
        )
        if answer is None:
            raise self._silent()
        told = table(answer)
        return any(told.get(key) == "ON" for key in keys)

    async def _arm(self, number: int, raw: int) -> None:
        """Written only where it differs: it is kept in flash. Raises ReadbackMismatch."""
        if await self._pulse_time(number, "") == raw:
            return
        if (reads := await self._pulse_time(number, str(raw))) != raw:
            raise ReadbackMismatch(
                f"{self._name()}: PulseTime{number} was set to {raw} but reads {reads}: it would not open "
                "by itself"
            )

    async def _pulse_time(self, number: int, payload: str) -> int | None:
        key = f"PulseTime{number}"
        answer = await self._broker.ask(
            f"cmnd/{self._topic}/{key}",
            payload,
            f"stat/{self._topic}/RESULT",
            lambda text: key in table(text),
        )
        if answer is None:
            raise self._silent()
        told = table(answer)[key]
        raw = told.get("Set") if isinstance(told, dict) else told
        return raw if isinstance(raw, int) else None


def pulse_time(seconds: float) -> int:
    """Tasmota's PulseTime: up to 11 s in tenths, then seconds + 100."""
    return round(seconds * 10) if seconds <= _TENTHS_UNTIL_S else round(seconds) + 100


class ZigbeeRelays(MqttRelays):
    """topic: "zigbee2mqtt/NAME". A device with several relays has the endpoints l1, l2, …

    The timed off (`on_time`) is carried out by the device; whether its firmware can is not told.
    """

    def __init__(
        self, broker: MqttBroker, topic: str, id: str, count: int = 1, pulse_s: float | None = None
    ) -> None:
        super().__init__(broker, id, count, pulse_s)
        self._topic = topic

    def _name(self) -> str:
        return f"Zigbee device {self._topic}"

    async def _be_there(self) -> None:
        bridge = f"{self._topic.partition('/')[0]}/bridge/state"
        availability = f"{self._topic}/availability"
        await self._broker.watch([self._topic, availability, bridge])
        for topic in (bridge, availability):
            heard = self._broker.heard(topic)
            if heard and "offline" in (heard.payload, table(heard.payload).get("state")):
                raise self._offline()

    async def _command(self, number: int, on: bool) -> None:
        key = self._key(number)
        wish: dict[str, object] = {"state": _WORDS[on]}
        if on and self._pulse_s is not None:
            wish |= {"on_time": round(self._pulse_s), "off_wait_time": 0}
        target = self._topic if self._count == 1 else f"{self._topic}/l{number}"
        answer = await self._broker.ask(
            f"{target}/set", json.dumps(wish), self._topic, lambda text: table(text).get(key) == _WORDS[on]
        )
        if answer is None and self._broker.heard(self._topic) is None:
            raise self._silent()

    async def _asked_state(self, number: int) -> bool:
        key = self._key(number)
        answer = await self._broker.ask(
            f"{self._topic}/get", json.dumps({key: ""}), self._topic, lambda text: key in table(text)
        )
        if answer is None:
            raise self._silent()
        return bool(table(answer)[key] == "ON")

    def _key(self, number: int) -> str:
        return "state" if self._count == 1 else f"state_l{number}"


@dataclass(frozen=True, slots=True)
class MqttSwitch:
    """A switch of Home Assistant, Node-RED or another program. path: where in a JSON state."""

    command: str
    state: str
    on: str = "ON"
    off: str = "OFF"
    path: str = ""


class SwitchRelays(MqttRelays):
    """Their state topics must be kept by the broker (retained), or told again after each command."""

    failsafe: Failsafe = "none"

    def __init__(self, broker: MqttBroker, switches: Sequence[MqttSwitch], id: str) -> None:
        super().__init__(broker, id, len(switches))
        self._switches = switches

    def _name(self) -> str:
        return f"{self._broker}, switches of {self.id}"

    async def _be_there(self) -> None:
        await self._broker.watch([switch.state for switch in self._switches])

    async def _command(self, number: int, on: bool) -> None:
        switch = self._switches[number - 1]
        wanted = switch.on if on else switch.off
        await self._broker.ask(
            switch.command, wanted, switch.state, lambda text: self._is_on(switch, text) is on
        )

    async def _asked_state(self, number: int) -> bool:
        switch = self._switches[number - 1]
        heard = await self._broker.first(switch.state)
        if heard is None:
            raise DeviceUnreachable(
                f"{self._broker}: no message on {switch.state} yet. It must be retained, so that its "
                "state is known"
            )
        state = self._is_on(switch, heard.payload)
        if state is None:
            raise ImplausibleReading(
                f"{self._broker}: {heard.payload[:40]!r} on {switch.state}, {switch.on} or {switch.off} "
                "expected"
            )
        return state

    @staticmethod
    def _is_on(switch: MqttSwitch, payload: str) -> bool | None:
        try:
            value = value_at(payload, switch.path)
        except ImplausibleReading:
            return None
        word = value if isinstance(value, str) else json.dumps(value)
        return {switch.on: True, switch.off: False}.get(word)
