"""Meters, relay modules and stations in one line, and what needs attention at the top of the page."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from csms.domain.snapshot import DeviceSnapshot, LineSnapshot, SiteSnapshot
from csms.web.elements import Tag
from csms.web.wording import age, ago, kilowatts, sentence

STALE_METER_S = 90.0
INTERVALS_TO_BE_LATE = 3
GRADE_WORDS = {
    "B": " (its register table comes from other drivers: compare it with its display)",
    "C": " (its register table is not confirmed on hardware: compare it with its display)",
}
KIND_WORDS = {"meter": "Meter", "relay_module": "Relays", "charge_point": "Station"}


def device_age_s(device: DeviceSnapshot, snapshot: SiteSnapshot, now: datetime) -> float | None:
    """The snapshot's ages grow on while nothing new arrives."""
    if device.age_s is None:
        return None
    return device.age_s + max((now - snapshot.at).total_seconds(), 0.0)


def attention(snapshot: SiteSnapshot, now: datetime, interval_s: float) -> list[str]:
    """What is broken, in clear words, the worst first."""
    lines = []
    late_s = (now - snapshot.at).total_seconds()
    if late_s > INTERVALS_TO_BE_LATE * interval_s:
        lines.append(f"The controller has decided nothing for {age(late_s)}: what you see is old.")
    for device in snapshot.devices:
        what = f"{KIND_WORDS[device.kind]} {device.label}"
        if not device.ok:
            problem = device.problem or "no answer"
            lines.append(f"{what}: {problem} (last good answer: {ago(device_age_s(device, snapshot, now))})")
        elif device.kind == "meter" and (device.age_s or 0) > STALE_METER_S:
            lines.append(f"{what}: no reading for {age(device_age_s(device, snapshot, now))}")
    lines += [f"{load.name}: {load.reason}" for load in snapshot.loads if load.state == "fault"]
    lines += [warning for warning in snapshot.warnings if warning not in lines]
    return [sentence(line) for line in lines]


def hint(device: DeviceSnapshot) -> str:
    """What a chip says when pointed at."""
    well = f"{KIND_WORDS[device.kind]} {device.id} is well"
    return device.problem or well + GRADE_WORDS.get(device.confidence or "", "")


class Attention:
    def __init__(self) -> None:
        self._box = Tag("section", classes="attention gone", role="status", aria_live="polite")
        self._shown: list[str] = []

    def show(self, lines: list[str]) -> None:
        if lines == self._shown:
            return
        self._shown = lines
        self._box.show(bool(lines))
        self._box.clear()
        with self._box:
            for line in lines:
                with Tag("p"):
                    Tag("span", "!", classes="mark", aria_hidden="true")
                    Tag("span", line)


class DeviceChip:
    def __init__(self, device: DeviceSnapshot) -> None:
        self._chip = Tag("li", classes="device", data_device=device.id)
        with self._chip:
            Tag("i", classes="lamp")
            self._label = Tag("span", classes="device-label")
            self._power = Tag("span", classes="device-power")
            self._age = Tag("span", classes="device-age")

    def show(self, device: DeviceSnapshot, age_s: float | None) -> None:
        stale = device.kind == "meter" and device.ok and (age_s or 0) > STALE_METER_S
        self._chip.be(broken=not device.ok, stale=stale)
        self._chip.put(title=hint(device))
        self._label.say(device.label)
        sign = "−" if (device.power_w or 0) <= -5 else ""
        self._power.say("" if device.power_w is None else f"{sign}{kilowatts(device.power_w)} kW")
        self._age.say(ago(age_s))


def line_in_words(line: LineSnapshot) -> str:
    """ "192.0.2.11:4196: 34 % busy, 5.2 questions a second, 2 errors a minute; unit 7 absent" """
    if not line.connected:
        return f"{line.address}: no connection"
    errors = f", {line.errors_per_min:.0f} errors a minute" if line.errors_per_min >= 0.5 else ""
    words = f"{line.address}: {line.share:.0%} busy, {line.requests_per_s:.1f} questions a second{errors}"
    absent = [str(unit.unit) for unit in line.units if unit.is_absent]
    if absent:
        words += f"; unit{'s' if len(absent) > 1 else ''} {', '.join(absent)} absent"
    return f"{words}; another master speaks on it" if line.unasked_bytes else words


class LineList:
    """How busy each Modbus line is."""

    def __init__(self) -> None:
        self._list = Tag("ul", classes="lines", aria_label="Modbus lines")
        self._items: list[Tag] = []

    def show(self, lines: Sequence[LineSnapshot]) -> None:
        if len(lines) != len(self._items):
            self._list.clear()
            with self._list:
                self._items = [Tag("li", classes="quiet-line") for _ in lines]
        for item, line in zip(self._items, lines, strict=True):
            item.say(line_in_words(line))


class DeviceLine:
    def __init__(self, snapshot: SiteSnapshot) -> None:
        with Tag("section", classes="card devices", aria_label="Devices") as self.card:
            Tag("h2", "Devices")
            with Tag("ul"):
                self._chips = {(d.kind, d.id): DeviceChip(d) for d in snapshot.devices}
            self._lines = LineList()

    def show(self, snapshot: SiteSnapshot, now: datetime) -> None:
        for device in snapshot.devices:
            self._chips[device.kind, device.id].show(device, device_age_s(device, snapshot, now))
        self._lines.show(snapshot.lines)
