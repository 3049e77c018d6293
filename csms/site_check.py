"""The check of a site: does every device answer, and is everything wired as the site file says?

Loads are switched on and off two to four times each, and the step is looked for on the grid meter. Whatever
happens, every relay is left as it was found.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

import structlog

from csms.control_model import control_site, element_relays
from csms.domain.site import ApplianceConfig, MeterConfig, SiteConfig
from csms.domain.wiring import Finding, Phases3, Sample, Step, SwitchedLoad, agreed, change, diagnose, mean
from csms.site_devices import SiteDevices
from drivers.catalogue import meter_models
from drivers.device import DeviceError, MeterReading

log = structlog.get_logger()

SETTLE_S = 6.0  # a contactor closes, a meter averages, a heater warms up
SAMPLES, SAMPLE_EVERY_S = 3, 1.0
FEWEST_CYCLES, MOST_CYCLES = 2, 4
STEPLESS_KINDS = ("sg_ready", "heat_pump")
DARK_W = 50.0
HIDDEN_SHARE = 0.2
FREQUENCY_HZ = (49.0, 51.0)
FAILSAFE_WORDS = {
    "pulse": "each ON opens by itself when the central system is silent",
    "watchdog": "a watchdog opens its relays when the central system is silent",
}


@dataclass(frozen=True, slots=True)
class Progress:
    """done of total steps; doing: what is going on."""

    done: int
    total: int
    doing: str


Tell = Callable[[Progress], None]
Stations = Callable[[str], bool | None]
"""Charge point -> is it connected; None = only a running server knows."""


class SiteCheck:
    """devices: opened, and polled by nobody or by a running site. stations: who is connected.

    settle_s: how long after a switching the meters show it, on the clock that `sleep` belongs to.
    """

    def __init__(
        self,
        config: SiteConfig,
        devices: SiteDevices,
        now: Callable[[], datetime],
        sleep: Callable[[float], Awaitable[None]],
        tell: Tell,
        stations: Stations = lambda identity: None,
        settle_s: float = SETTLE_S,
    ) -> None:
        self._config, self._devices, self._settle_s = config, devices, settle_s
        self._now, self._sleep, self._tell, self._stations = now, sleep, tell, stations
        self._loads = list(switched_loads(config))
        self._done, self._total = 0, len(config.meter) + len(config.relay_module)
        self._before: dict[str, bool] = {}
        self._grid = next((m for m in config.meter if m.role == "grid"), None)
        self._batteries = [m.id for m in config.meter if m.role == "battery"]
        self._readings: dict[str, MeterReading] = {}

    async def run(self, switching: bool) -> list[Finding]:
        """Everything that was found. Relays are as before, even when this is cancelled."""
        findings = [*self._description()]
        self._total += len(self._loads) if switching else 0
        for meter in self._config.meter:
            findings += await self._meter(meter)
        for module in self._config.relay_module:
            findings += await self._module(module.id)
        findings += self._charge_points()
        if not switching:
            text = "nothing was switched: directions, phases and relays are unchecked"
            return [*findings, Finding("wiring", "switching", "inconclusive", text, "Check with switching")]
        try:
            findings += await self._wiring()
        finally:
            # Shielded: a second Ctrl-C must not leave a load on that nobody asked for.
            findings += await asyncio.shield(asyncio.ensure_future(self._restore()))
        return findings

    def _begin(self, doing: str) -> None:
        self._tell(Progress(self._done, self._total, doing))
        self._done += 1

    def _description(self) -> Iterator[Finding]:
        if self._grid is None:
            yield Finding(
                "site",
                "grid meter",
                "fault",
                "there is no grid meter: nothing can follow the sun",
                'Add a meter with role = "grid"',
            )

    # --- devices ---

    async def _meter(self, meter: MeterConfig) -> list[Finding]:
        self._begin(f"reading meter {meter.id}")
        subject = f"meter {meter.id}"
        reading = await self._devices.read_meter(meter.id)
        if reading is None:
            problem = self._devices.problem(meter.id) or "no answer"
            return [Finding(subject, "answers", "fault", problem, "Without it the rest cannot be checked")]
        self._readings[meter.id] = reading
        findings = [Finding(subject, "answers", "ok", f"{meter.role}: {_reading_words(reading)}")]
        findings += _plausible(meter, reading)
        model = meter_models().get(meter.model)
        if model is not None and model.confidence != "A":
            text = f"the register table is not confirmed by its maker (confidence {model.confidence})"
            advice = "Compare this reading with the meter's display"
            findings.append(Finding(subject, "register table", "note", text, advice))
        return findings

    async def _module(self, id: str) -> list[Finding]:
        self._begin(f"reading relay module {id}")
        subject = f"relay module {id}"
        states = await self._devices.read_relays(id)
        if states is None:
            problem = self._devices.problem(id) or "no answer"
            return [Finding(subject, "answers", "fault", problem, "Its loads cannot be checked")]
        for number, closed in enumerate(states, 1):
            self._before[f"{id}/{number}"] = closed
        on = [str(n) for n, closed in enumerate(states, 1) if closed]
        said = f"{len(states)} relays, {'on: ' + ', '.join(on) if on else 'all off'}"
        findings = [Finding(subject, "answers", "ok", said)]
        failsafe = self._devices.failsafe(id)
        if failsafe in FAILSAFE_WORDS:
            findings.append(Finding(subject, "fail-safe", "ok", FAILSAFE_WORDS[failsafe]))
        else:
            findings.append(_no_failsafe(subject, failsafe))
        return findings

    def _charge_points(self) -> Iterator[Finding]:
        for point in self._config.charge_point:
            connected, subject = self._stations(point.id), f"station {point.id}"
            if connected is None:
                text = "not looked at: only a running server knows its stations"
                yield Finding(subject, "connected", "note", text, "Repeat the check on the server's page")
            elif connected:
                yield Finding(subject, "connected", "ok", "connected")
            else:
                advice = "Check its network and that its address of the central system ends in its identity"
                yield Finding(subject, "connected", "warning", "not connected", advice)

    # --- wiring ---

    async def _wiring(self) -> list[Finding]:
        findings: list[Finding] = [*_not_switched(self._config)]
        if self._grid is None or self._grid.id not in self._readings:
            text = "no grid meter answers: what loads do cannot be seen"
            return [*findings, Finding("wiring", "switching", "inconclusive", text)]
        ready = [load for load in self._loads if all(relay in self._before for relay in load.relays)]
        for load in ready:
            for relay in load.relays:
                if self._before[relay]:
                    await self._devices.switch_relay(relay, False)
        steps: list[Step] = []
        unclear: list[SwitchedLoad] = []
        for load in ready:
            self._begin(f"switching {load.name}")
            try:
                step = await self._step(load)
            except DeviceError as fault:
                findings.append(Finding(f"relay {load.contact}", "load", "fault", str(fault)))
            except _NoRoom as fault:
                findings.append(Finding(f"relay {load.contact}", "load", "inconclusive", str(fault)))
            else:
                if step is None:
                    unclear.append(load)
                elif self._is_hidden(step):
                    findings.append(_hidden(load))
                else:
                    steps.append(step)
        if not (steps or unclear):
            return findings
        return [*findings, *diagnose(steps, self._grid.id, self._grid.invert, unclear)]

    async def _step(self, load: SwitchedLoad) -> Step | None:
        """Raises DeviceError, _NoRoom."""
        changes: list[Sample] = []
        before = await self._window()
        for _ in range(MOST_CYCLES):
            self._refuse_overload(load, before)
            try:
                for relay in load.relays:
                    await self._devices.switch_relay(relay, True)
                on = await self._window()
            finally:
                for relay in reversed(load.relays):
                    await self._devices.switch_relay(relay, False)
            after = await self._window()
            changes.append(change(before, on, after))
            before = after
            step = agreed(load, changes)
            if step is not None and len(changes) >= FEWEST_CYCLES:
                return step
        return None

    def _is_hidden(self, step: Step) -> bool:
        """A home battery gives what the load takes: nothing of it shows at the grid, or half of it."""
        answer_w = sum(step.meters_w.get(id, 0.0) for id in self._batteries)
        return abs(answer_w) >= HIDDEN_SHARE * step.load.power_w

    def _refuse_overload(self, load: SwitchedLoad, now: Sample) -> None:
        """Whatever the meter's direction is: what flows and what is added must fit every root's fuse."""
        third_w = now.total_w / 3
        flowing_w = now.phases_w or (third_w, third_w, third_w)
        most_w = max(abs(w) for w in flowing_w)  # its phases may be exchanged, too
        volt = self._config.site.voltage_v
        for circuit in self._config.circuit:
            if circuit.parent is not None:
                continue
            for limit_a, added_w in zip(circuit.limit_a, load.expected_w, strict=True):
                if added_w and most_w + added_w > limit_a * volt:
                    raise _NoRoom(
                        f"{load.name}: not switched, since {most_w / volt:.0f} A flow on one phase "
                        f"already and {circuit.id} allows {limit_a:g} A"
                    )

    async def _window(self) -> Sample:
        """The mean of a few seconds, once what was switched has settled. Raises DeviceError."""
        await self._sleep(self._settle_s)
        samples = []
        for _ in range(2 * SAMPLES):
            if (sample := await self._sample()) is not None:
                samples.append(sample)
            if len(samples) == SAMPLES:
                return mean(samples)
            await self._sleep(SAMPLE_EVERY_S)
        if not samples:
            raise DeviceError(
                f"meter {self._grid.id if self._grid else ''} fell silent while loads were switched"
            )
        return mean(samples)

    async def _sample(self) -> Sample | None:
        """None = the grid meter gave no answer."""
        assert self._grid is not None
        ids = [self._grid.id, *self._batteries, *{load.meter for load in self._loads if load.meter}]
        readings = dict(zip(ids, await asyncio.gather(*map(self._devices.read_meter, ids)), strict=True))
        grid = readings[self._grid.id]
        if grid is None:
            return None
        powers_w = {id: r.power_w for id, r in readings.items() if r is not None}
        return Sample(grid.power_w, grid.phase_power_w, powers_w)

    async def _restore(self) -> list[Finding]:
        """Every relay of a load back to what it was, and a fault for each that does not obey."""
        findings = []
        for load in self._loads:
            for relay in load.relays:
                if relay not in self._before:
                    continue
                try:
                    await self._devices.switch_relay(relay, self._before[relay])
                except DeviceError as fault:
                    was = "on" if self._before[relay] else "off"
                    text = f"could not be brought back to {was}: {fault}"
                    findings.append(Finding(f"relay {relay}", "restored", "fault", text, "Look at it now"))
                    log.error("relay not restored after a check", relay=relay, on=self._before[relay])
        return findings


class _NoRoom(Exception):
    pass


def switched_loads(config: SiteConfig) -> Iterator[SwitchedLoad]:
    """Every element whose relays may be switched for a few seconds: no compressors."""
    watts = {a.id: {e.id: e for e in a.elements} for a in control_site(config).appliances}
    volt = config.site.voltage_v
    for appliance in config.appliance:
        if appliance.kind in STEPLESS_KINDS:
            continue
        relays = element_relays(appliance)
        for element, contacts in relays.items():
            described = watts[appliance.id][element]
            amps = described.current_a
            share_w = described.power_w / sum(amps) if sum(amps) else volt
            expected_w: Phases3 = (amps[0] * share_w, amps[1] * share_w, amps[2] * share_w)
            yield SwitchedLoad(
                id=f"{appliance.id}/{element}",
                name=_element_name(appliance, element, len(relays)),
                relays=contacts,
                expected_w=expected_w,
                meter=appliance.meter,
            )


def _element_name(appliance: ApplianceConfig, element: str, count: int) -> str:
    name = appliance.name or appliance.id
    if count == 1:
        return name
    lines = element.upper().split("_")  # of a heater without a neutral
    return f"{name}, {' to '.join(lines)}" if len(lines) > 1 else f"{name}, step {element}"


def appliances_under_test(config: SiteConfig) -> frozenset[str]:
    return frozenset(load.id.split("/")[0] for load in switched_loads(config))


def _not_switched(config: SiteConfig) -> Iterator[Finding]:
    for appliance in config.appliance:
        if appliance.kind in STEPLESS_KINDS:
            yield Finding(
                f"relay {_contacts(appliance)}",
                "load",
                "note",
                f"{appliance.name or appliance.id}: not switched, since compressors do not bear it",
                "Switch it by hand for half an hour and look at the heat pump's display",
            )


def _contacts(appliance: ApplianceConfig) -> str:
    return " and ".join(relay for relays in element_relays(appliance).values() for relay in relays)


def _hidden(load: SwitchedLoad) -> Finding:
    text = f"{load.name}: the battery gave what was switched on, so that the grid meter could not show it"
    advice = "Put the battery on standby and repeat the check"
    return Finding(f"relay {load.contact}", "load", "inconclusive", text, advice)


def _no_failsafe(subject: str, failsafe: str) -> Finding:
    if failsafe in ("watchdog_in_device", "pulse_short"):
        text = "opens its relays by itself only if that is set in the device with its maker's tool"
        return Finding(
            subject, "fail-safe", "warning", text, "Set it there, and pull the network cable to try it"
        )
    return Finding(
        subject,
        "fail-safe",
        "warning",
        "its relays stay as they are when the central system is silent",
        "Put only loads behind it that may stay on, such as heaters with a thermostat",
    )


def _reading_words(reading: MeterReading) -> str:
    words = f"{reading.power_w:.0f} W"
    if reading.phase_power_w is not None:
        words += f" ({', '.join(f'{w:.0f}' for w in reading.phase_power_w)})"
    if reading.voltage_v is not None:
        words += f", {'/'.join(f'{v:.0f}' for v in reading.voltage_v)} V"
    return words


def _plausible(meter: MeterConfig, reading: MeterReading) -> Iterator[Finding]:
    subject = f"meter {meter.id}"
    phases = meter_models()[meter.model].phases("v") if meter.model in meter_models() else 0
    for name, volt in zip(("L1", "L2", "L3")[:phases], reading.voltage_v or (), strict=False):
        if volt == 0:
            text = f"{name} has no voltage"
            yield Finding(
                subject, "voltage", "warning", text, "Check this phase's fuse and its voltage input"
            )
    hertz = reading.frequency_hz
    if hertz is not None and not FREQUENCY_HZ[0] <= hertz <= FREQUENCY_HZ[1]:
        text = f"the frequency reads {hertz:.1f} Hz"
        yield Finding(subject, "frequency", "warning", text, "Check the model: these may be other registers")
    if meter.role == "grid" and reading.phase_power_w is None and reading.current_a is None:
        text = "tells no phases: it cannot guard a fuse, and the order of phases cannot be checked"
        yield Finding(subject, "phases", "warning", text, "Use a meter that tells each phase")
    if meter.role == "pv":
        yield _sun(meter, reading)


def _sun(meter: MeterConfig, reading: MeterReading) -> Finding:
    subject = f"meter {meter.id}"
    if abs(reading.power_w) < DARK_W:
        text = f"{reading.power_w:.0f} W: too dark to tell the direction"
        return Finding(subject, "direction", "inconclusive", text, "Repeat the check in sunshine")
    if reading.power_w < 0:
        return Finding(subject, "direction", "ok", f"produces {-reading.power_w:.0f} W")
    setting = "take `invert` out of" if meter.invert else "set `invert = true` at"
    text = f"the direction is reversed: production shows as {reading.power_w:.0f} W of draw"
    return Finding(subject, "direction", "fault", text, f"Turn it round, or {setting} this meter")
