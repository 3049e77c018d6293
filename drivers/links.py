"""Connections other than Modbus, each made once for all that hang on it."""

from __future__ import annotations

from drivers.access import Access
from drivers.device import Now, Sleep
from drivers.mqtt_broker import MqttBroker
from drivers.shelly import ShellyHost
from drivers.speedwire import SpeedwireListener


class Links:
    def __init__(self, now: Now, sleep: Sleep) -> None:
        self._now, self._sleep = now, sleep
        self._shellys: dict[Access, ShellyHost] = {}
        self._brokers: dict[Access, MqttBroker] = {}
        self.speedwire = SpeedwireListener(now)

    def shelly(self, access: Access) -> ShellyHost:
        if access not in self._shellys:
            self._shellys[access] = ShellyHost(access, self._now, self._sleep)
        return self._shellys[access]

    def broker(self, access: Access) -> MqttBroker:
        if access not in self._brokers:
            self._brokers[access] = MqttBroker(access, self._now, self._sleep)
        return self._brokers[access]

    async def stop(self) -> None:
        for host in self._shellys.values():
            await host.stop()
        for broker in self._brokers.values():
            await broker.stop()
        await self.speedwire.stop()
        self._shellys.clear()
        self._brokers.clear()
