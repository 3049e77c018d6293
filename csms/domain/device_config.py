"""The devices of a site as its owner describes them: where each answers, and how it is wired."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from csms.domain.site_fields import Id, Phase, Phases, SecretPlace, SiteModel


class BusAddress(SiteModel):
    """Where a device answers, and how to be let in. What is absent is usual for the model or driver.

    framing rtu_over_tcp: behind a transparent RS485-Ethernet converter. baud: of the line behind it; told
    that, the line is used without needless pauses.
    unit: of a Shelly its channel. password: where it is, "env:DEVICE_NAME" or "file:NAME" in /run/secrets.
    """

    id: Id
    name: str | None = None
    driver: str
    model: str = Field(default="", validate_default=True)
    host: str = Field(min_length=1)
    port: int | None = Field(default=None, ge=1, le=65535)
    unit: int | None = Field(default=None, ge=0, le=255)
    framing: Literal["tcp", "rtu_over_tcp"] | None = None
    baud: int | None = Field(default=None, ge=300, le=1_000_000)
    user: str | None = None
    password: SecretPlace | None = None
    tls: bool = False

    @field_validator("model")
    @classmethod
    def _modbus_needs_a_model(cls, value: str, info: ValidationInfo) -> str:
        if not value and info.data.get("driver") == "modbus":
            raise PydanticCustomError("missing", "Field required")
        return value


Topic = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^+#\x00]+$")]
Quantity = Literal[
    "power", "power_import", "power_export", "power_l1", "power_l2", "power_l3", "current_l1", "current_l2",
    "current_l3", "voltage_l1", "voltage_l2", "voltage_l3", "frequency", "import", "export", "soc",
]  # fmt: skip


POWER_TOPICS = ({"power"}, {"power_import", "power_export"}, {"power_l1", "power_l2", "power_l3"})


class TopicConfig(SiteModel):
    """Where a value is told over MQTT. path: in a JSON message, "" = all of it. scale: −1 turns the sign."""

    topic: Topic
    path: str = ""
    unit: Literal["W", "kW", "V", "A", "mA", "Hz", "Wh", "kWh", "%"] = "W"
    scale: float = 1.0


class SwitchConfig(SiteModel):
    """A switch of another program over MQTT. path: where its state is in a JSON message."""

    command: Topic
    state: Topic
    on: str = "ON"
    off: str = "OFF"
    path: str = ""


class InputConfig(SiteModel):
    """A contact that another program tells over MQTT: on = closed. path: where it is in a JSON message.

    max_age_s: it is told at least so often, and an older word is none; None = the broker keeps the last one.
    """

    state: Topic
    on: str = "ON"
    off: str = "OFF"
    path: str = ""
    max_age_s: float | None = Field(default=None, gt=0, le=86_400)


class MeterConfig(BusAddress):
    """circuit: for role "zone", the circuit whose whole current the meter sees.

    phases: on which phase of the site each phase of the meter hangs, from its L1 on. topics, max_age_s: of
    driver mqtt, and how old a power may be.
    """

    driver: Literal["modbus", "sunspec", "shelly", "mqtt", "sma_speedwire", "p1", "mbus"]
    role: Literal["grid", "pv", "battery", "load", "zone"]
    circuit: Id | None = None
    invert: bool = False
    phases: Phases | None = None
    topics: dict[Quantity, TopicConfig] = {}
    max_age_s: float = Field(default=60, gt=0, le=3600)

    @model_validator(mode="after")
    def _adapters_have_a_port(self) -> Self:
        if self.driver in ("p1", "mbus") and self.port is None:
            raise ValueError(f"{self.driver} needs port = …, of the adapter")
        return self

    @model_validator(mode="after")
    def _topics_tell_power(self) -> Self:
        if self.driver != "mqtt":
            if self.topics:
                raise ValueError(f"no topics expected with driver {self.driver}")
            return self
        names = set(self.topics)
        if not any(way <= names for way in POWER_TOPICS):
            raise ValueError(
                "mqtt needs topics = {power = …}, or power_import and power_export, or power_l1, _l2 and _l3"
            )
        return self

    @field_validator("phases")
    @classmethod
    def _phases_differ(cls, value: list[Phase] | None) -> list[Phase] | None:
        if value is not None and len(set(value)) != len(value):
            raise ValueError("each phase at most once expected")
        return value


class RelayModuleConfig(BusAddress):
    """topic, relays: of a Tasmota or Zigbee device, and how many relays it has. switches, inputs: of driver
    mqtt, one of them at least."""

    driver: Literal["modbus", "shelly", "tasmota", "zigbee2mqtt", "mqtt"]
    topic: Topic | None = None
    relays: int | None = Field(default=None, ge=1, le=32)
    switches: Annotated[list[SwitchConfig], Field(max_length=32)] = []
    inputs: Annotated[list[InputConfig], Field(max_length=32)] = []

    @model_validator(mode="after")
    def _keys_fit_the_driver(self) -> Self:
        has_topic = self.driver in ("tasmota", "zigbee2mqtt")
        if has_topic and self.topic is None:
            raise ValueError(f"{self.driver} needs topic = …, the device's")
        if not has_topic and (self.topic is not None or self.relays is not None):
            raise ValueError(f"no topic and no relays expected with driver {self.driver}")
        if (self.driver == "mqtt") != bool(self.switches or self.inputs):
            raise ValueError(
                "mqtt, and only mqtt, needs switches = [{command = …, state = …}] or inputs = [{state = …}]"
            )
        return self

    def relay_count(self) -> int | None:
        """As far as the site says it; None = the model or the device knows."""
        if self.driver in ("tasmota", "zigbee2mqtt"):
            return self.relays or 1
        return len(self.switches) if self.driver == "mqtt" else None
