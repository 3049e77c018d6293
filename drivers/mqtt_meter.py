"""A meter whose values arrive on MQTT topics, in any shape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from drivers.device import DeviceConfigError, DeviceUnreachable, ImplausibleReading, MeterReading, PhaseTriple
from drivers.mqtt_broker import Heard, MqttBroker
from drivers.mqtt_values import UNITS, number_at
from drivers.reading import checked_soc_pct
from drivers.values import with_direction

_PHASED = ("power", "current", "voltage")
QUANTITIES = (
    "power", "power_import", "power_export", "frequency", "import", "export", "soc",
    *(f"{kind}_l{n}" for kind in _PHASED for n in (1, 2, 3)),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class MqttTopic:
    """path: where in a JSON message, "" = the message is the number. scale: −1 turns the sign."""

    topic: str
    path: str = ""
    unit: str = "W"
    scale: float = 1.0


def check_topics(topics: Mapping[str, MqttTopic]) -> None:
    """Raises DeviceConfigError."""
    for name, told in topics.items():
        if name not in QUANTITIES:
            raise DeviceConfigError("topics", name, f"one of {', '.join(QUANTITIES)}")
        if told.unit not in UNITS:
            raise DeviceConfigError("topics", told.unit, f"one of the units {', '.join(UNITS)}")
    if not _tells_power(topics):
        raise DeviceConfigError(
            "topics", sorted(topics), "power, or power_import and power_export, or power_l1, _l2 and _l3"
        )


def _tells_power(topics: Mapping[str, MqttTopic]) -> bool:
    ways = ({"power"}, {"power_import", "power_export"}, {f"power_l{n}" for n in (1, 2, 3)})
    return any(way <= set(topics) for way in ways)


class MqttMeter:
    """A `Meter`. The reading is as old as the message that told its power.

    max_age_s: an older power is none. A retained message does not count: nobody knows how old it is.
    """

    def __init__(
        self, broker: MqttBroker, topics: Mapping[str, MqttTopic], id: str, max_age_s: float = 60.0
    ) -> None:
        check_topics(topics)
        self.id = id
        self._broker, self._topics, self._max_age_s = broker, topics, max_age_s

    async def read(self) -> MeterReading:
        """Raises DeviceError."""
        await self._broker.watch({told.topic for told in self._topics.values()})
        powers = self._power_parts()
        heard = {name: self._heard(name) for name in self._topics}
        told_at = [h.at for name in powers if (h := heard[name]) is not None]
        missing = [self._topics[name].topic for name in powers if heard[name] is None]
        if missing:
            raise DeviceUnreachable(f"{self._broker}: no message on {missing[0]} yet")
        age_s = (self._broker.now() - max(told_at)).total_seconds()
        if age_s > self._max_age_s:
            raise DeviceUnreachable(
                f"{self._broker}: no message on {self._topics[powers[0]].topic} for {age_s:.0f} s"
            )
        values = {name: self._value(name, h) for name, h in heard.items() if h is not None}
        phase_power_w = _phases(values, "power")
        return MeterReading(
            power_w=_power_w(values, powers),
            read_at=max(told_at),
            phase_power_w=phase_power_w,
            current_a=with_direction(_phases(values, "current"), phase_power_w),
            voltage_v=_phases(values, "voltage"),
            frequency_hz=values.get("frequency"),
            import_wh=values.get("import"),
            export_wh=values.get("export"),
            soc_pct=checked_soc_pct(values.get("soc")),
        )

    def _power_parts(self) -> tuple[str, ...]:
        if "power" in self._topics:
            return ("power",)
        if "power_import" in self._topics and "power_export" in self._topics:
            return "power_import", "power_export"
        return "power_l1", "power_l2", "power_l3"

    def _heard(self, name: str) -> Heard | None:
        heard = self._broker.heard(self._topics[name].topic)
        return None if heard is None or heard.is_retained else heard

    def _value(self, name: str, heard: Heard) -> float:
        told = self._topics[name]
        try:
            return number_at(heard.payload, told.path) * UNITS[told.unit] * told.scale
        except ImplausibleReading as fault:
            raise ImplausibleReading(f"{self._broker}: on {told.topic}, {fault}") from None


def _power_w(values: Mapping[str, float], parts: tuple[str, ...]) -> float:
    if parts == ("power_import", "power_export"):
        return values["power_import"] - values["power_export"]
    return sum(values[name] for name in parts)


def _phases(values: Mapping[str, float], kind: str) -> PhaseTriple | None:
    """A single phase stands where its topic says; None if none or only two are told."""
    told = {n: values[f"{kind}_l{n}"] for n in (1, 2, 3) if f"{kind}_l{n}" in values}
    if len(told) not in (1, 3):
        return None
    return told.get(1, 0.0), told.get(2, 0.0), told.get(3, 0.0)
