"""A site's latest minute as people and programs see it: made by the control loop, read by API and page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

LoadState = Literal[
    "off",
    "on",
    "waiting",
    "charging",
    "paused",
    "plugged",
    "free",
    "finished",
    "offline",
    "fault",
    "offered",
    "asleep",
    "waking",
    "full",
    "refused",
    "needs_hand",
]


@dataclass(frozen=True, slots=True)
class NeedSnapshot:
    """What a load is to have got by due_at. unit: of wanted, got and short (what will be missing then).

    forced: it runs because of it, whatever the sun does. text: all of it in words.
    """

    text: str
    due_at: datetime
    unit: Literal["kWh", "h"]
    wanted: float
    got: float
    short: float
    forced: bool


@dataclass(frozen=True, slots=True)
class LoadSnapshot:
    """An appliance or a connector.

    kind: "connector" or the appliance's kind. setpoint_a: for connectors, the limit decided; steps_on /
    steps: for appliances, closed steps of all. phase_count: of a station that can choose. power_w: measured
    where there is a measurement, else expected. limit_state, limit_words: whether a connector follows its
    limit.
    """

    id: str
    name: str
    kind: str
    mode: str
    modes: tuple[str, ...]
    state: LoadState
    power_w: float
    power_is_measured: bool
    reason: str
    reason_code: str
    figures: Mapping[str, float] = field(default_factory=dict)
    setpoint_a: float | None = None
    offered_a: float | None = None
    limit_state: str | None = None
    limit_words: str | None = None
    current_a: tuple[float, float, float] | None = None
    steps_on: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    session_wh: float | None = None
    id_tag: str | None = None
    transaction_id: int | None = None
    phase_count: int | None = None
    need: NeedSnapshot | None = None


@dataclass(frozen=True, slots=True)
class DeviceSnapshot:
    """A meter, relay module or charge point: is it well? age_s: since its last good answer, None = never.

    problem: also of a device that answers, where something in it is to be put right. confidence: how sure its
    model's facts are, A to C; None = it speaks for itself.
    """

    id: str
    kind: Literal["meter", "relay_module", "charge_point"]
    label: str
    ok: bool
    age_s: float | None
    problem: str | None = None
    power_w: float | None = None
    confidence: str | None = None


@dataclass(frozen=True, slots=True)
class LineUnitSnapshot:
    """A Modbus unit. age_s: since its last answer; answer_s: how long one usually takes; None = never."""

    unit: int
    age_s: float | None
    answer_s: float | None
    requests: int
    errors: int
    is_absent: bool


@dataclass(frozen=True, slots=True)
class LineSnapshot:
    """A Modbus line: one host and port, all units behind it, also those of other sites.

    requests_per_s, errors_per_min and share (0 … 1, of the line's time) are of the last minute; requests
    and errors since the start. unasked_bytes: came without a question, as from a second master.
    """

    address: str
    connected: bool
    requests_per_s: float
    errors_per_min: float
    share: float
    requests: int
    errors: int
    unasked_bytes: int
    units: tuple[LineUnitSnapshot, ...]


@dataclass(frozen=True, slots=True)
class MeasuredPower:
    """Of a site's meters by role, signed [W]; None = no such meter, or no fresh reading."""

    grid_w: float | None
    pv_w: float | None
    battery_w: float | None


@dataclass(frozen=True, slots=True)
class SiteSnapshot:
    """All powers [W], signed: grid_w + drawn − exported, pv_w <= 0 while producing, battery_w + charging.

    house_w: what is consumed and not controlled by this system. None = not known. load_shedding: whether
    the grid operator sheds load now; None = the site has no input for it.
    """

    site_id: str
    name: str
    at: datetime
    grid_w: float | None
    pv_w: float | None
    battery_w: float | None
    house_w: float | None
    controlled_w: float
    surplus_w: float | None
    available_w: float | None
    loads: tuple[LoadSnapshot, ...]
    devices: tuple[DeviceSnapshot, ...]
    warnings: tuple[str, ...] = ()
    load_shedding: bool | None = None
    lines: tuple[LineSnapshot, ...] = ()
