"""Connections other than Modbus, each made once for all that hang on it."""

from __future__ import annotations

from drivers.access import Access
from drivers.device import Now, Sleep
from drivers.mbus import MbusLine
from drivers.mqtt_broker import MqttBroker
from drivers.p1 import P1Meter
from drivers.shelly import ShellyHost
from drivers.speedwire import SpeedwireListener


class Links:
    def __init__(self, now: Now, sleep: Sleep) -> None:
        self._now, self._sleep = now, sleep
        self._shellys: dict[Access, ShellyHost] = {}
        self._brokers: dict[Access, MqttBroker] = {}
        self._lines: dict[Access, MbusLine] = {}
        self._p1: list[P1Meter] = []
        self.speedwire = SpeedwireListener(now)

    def shelly(self, access: Access) -> ShellyHost:
        if access not in self._shellys:
            self._shellys[access] = ShellyHost(access, self._now, self._sleep)
        return self._shellys[access]

    def broker(self, access: Access) -> MqttBroker:
        if access not in self._brokers:
            self._brokers[access] = MqttBroker(access, self._now, self._sleep)
        return self._brokers[access]

    def mbus(self, access: Access) -> MbusLine:
        if access not in self._lines:
            self._lines[access] = MbusLine(access, self._now)
        return self._lines[access]

    def p1(self, access: Access, model: str, id: str) -> P1Meter:
        meter = P1Meter(access, model, id, self._now, self._sleep)
        self._p1.append(meter)
        return meter

    async def stop(self) -> None:
        for host in self._shellys.values():
            await host.stop()
        for broker in self._brokers.values():
            await broker.stop()
        for meter in self._p1:
            await meter.stop()
        self._p1.clear()
        await self.speedwire.stop()
        self._shellys.clear()
        self._brokers.clear()
