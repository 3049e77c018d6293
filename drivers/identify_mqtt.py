"""Which relays are on an MQTT broker? Told by what Tasmota and Zigbee2MQTT leave there for everybody.

Only listens. Sources: Tasmota's discovery and last will (tasmota.github.io, MQTT), Zigbee2MQTT's
`bridge/devices` (zigbee2mqtt.io, MQTT topics and messages).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from drivers.identify import Identified
from drivers.mqtt_broker import MqttBroker

_RELAY = 1  # of Tasmota's list of outputs; 2 is a light, 3 a shutter
ANNOUNCED = ("tele/+/LWT", "tasmota/discovery/+/config", "+/bridge/devices")


def announced(kept: Mapping[str, str]) -> list[Identified]:
    """kept: topic -> message, as the broker has kept them for who comes later."""
    tasmotas: dict[str, Identified] = {}
    found: list[Identified] = []
    for topic, payload in sorted(kept.items()):
        match topic.split("/"):
            case ["tele", name, "LWT"]:
                tasmotas.setdefault(name, _tasmota(name, f"Tasmota {name}", 1, payload))
            case ["tasmota", "discovery", _, "config"]:
                tasmotas |= {one.topic: one for one in _discovered(payload)}
            case [base, "bridge", "devices"]:
                found += _zigbee(base, payload)
    return [*tasmotas.values(), *found]


def _tasmota(topic: str, name: str, relays: int, detail: str) -> Identified:
    return Identified("relay_module", "tasmota", "", name, "likely", detail, topic=topic, relays=relays)


def _discovered(payload: str) -> Iterator[Identified]:
    told = _json(payload)
    if isinstance(told, dict) and isinstance(topic := told.get("t"), str):
        outputs = told.get("rl")
        relays = sum(kind == _RELAY for kind in outputs) if isinstance(outputs, list) else 1
        if relays:
            name = f"Tasmota {told.get('dn') or topic}"
            yield _tasmota(topic, name, relays, f"{told.get('md', '')}, {relays} relays".removeprefix(", "))


def _zigbee(base: str, payload: str) -> Iterator[Identified]:
    devices = _json(payload)
    for device in devices if isinstance(devices, list) else []:
        definition = device.get("definition") if isinstance(device, dict) else None
        if not isinstance(definition, dict):
            continue
        exposed = definition.get("exposes") or []
        switches = [part for part in exposed if isinstance(part, dict) and part.get("type") == "switch"]
        if switches:
            name = str(device.get("friendly_name"))
            detail = f"{definition.get('vendor', '')} {definition.get('model', '')}".strip()
            yield Identified(
                "relay_module", "zigbee2mqtt", "", f"Zigbee {name}", "sure", detail,
                topic=f"{base}/{name}", relays=len(switches),
            )  # fmt: skip


def _json(payload: str) -> Any:
    try:
        return json.loads(payload)
    except ValueError:
        return None


async def ask_broker(broker: MqttBroker, listen_s: float) -> list[Identified]:
    """What is announced on it, else that it is one. Raises DeviceError: no broker, or it wants a login."""
    await broker.watch(ANNOUNCED)
    await broker.sleep(listen_s)
    found = announced({topic: heard.payload for topic, heard in broker.all_heard().items()})
    return found or [Identified("unknown", "mqtt", "", "MQTT broker", "sure", "announces no relays")]
