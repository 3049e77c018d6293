"""Every load as a card: what it does, why, and the switch for how it is to be run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from nicegui import events, ui

from csms.domain.site import ConnectorConfig, SiteConfig
from csms.domain.snapshot import LoadSnapshot, NeedSnapshot
from csms.errors import CsmsError, NotFound
from csms.services.bundle import Services
from csms.web.elements import Tag, icon
from csms.web.targets import TargetForm
from csms.web.wording import MODE_HINTS, MODE_WORDS, STATE_WORDS, amperes, kilowatt_hours, kilowatts, sentence


@dataclass(frozen=True, slots=True)
class Switching:
    """Who may switch, and through what."""

    services: Services
    site: SiteConfig
    allowed: bool

    def now(self, load_id: str) -> tuple[str, Any]:
        """(mode, manual) that holds now, before the next decision shows it."""
        try:
            return self.services.sites.effective_mode(self.site.site.id, load_id)
        except NotFound:  # taken out of the description, still in the last decision
            return "", None

    async def set(self, load: LoadSnapshot, mode: str, manual: Any) -> None:
        """manual: closed steps of an appliance, a current [A] of a connector; None outside mode "manual"."""
        sites = self.services.sites
        try:
            if load.kind == "connector":
                identity, _, connector_id = load.id.rpartition("/")
                await sites.set_connector_mode(identity, int(connector_id), mode, manual)
            else:
                await sites.set_appliance_mode(load.id, mode, manual, self.site.site.id)
        except CsmsError as refusal:
            ui.notify(sentence(str(refusal)), type="negative")
        else:
            ui.notify(f"{load.name}: {MODE_WORDS.get(mode, mode)}, with the next decision", type="positive")

    def connector(self, load_id: str) -> ConnectorConfig | None:
        identity, _, connector_id = load_id.rpartition("/")
        for point in self.site.charge_point:
            for connector in point.connectors:
                if (point.id, str(connector.id)) == (identity, connector_id):
                    return connector
        return None


Click = Callable[[events.GenericEventArguments], Awaitable[None]]


def _button(text: str, classes: str, on_click: Click | None, **attributes: Any) -> Tag:
    """Without `on_click` it shows something but does nothing: a viewer's."""
    button = Tag("button", text, classes, type="button", **attributes)
    if on_click is None:
        button.put(aria_disabled="true")
    else:
        button.on("click", on_click, args=[])
    return button


class LoadCard:
    def __init__(self, load: LoadSnapshot, switching: Switching) -> None:
        self._load = load
        self._switching = switching
        self._facts: dict[str, tuple[Tag, Tag]] = {}
        self._modes: dict[str, Tag] = {}
        self._steps: dict[str, Tag] = {}
        self._card = Tag("article", classes="card load", data_load=load.id)
        with self._card:
            self._build_head()
            self._reason = Tag("p", classes="reason")
            self._build_need()
            if load.kind == "connector":
                self._build_facts()
            self._build_steps()
            self._build_modes()
            if load.kind == "connector":
                self._build_current()
            self._target: TargetForm | None = None
            if load.kind == "connector" and switching.allowed:
                self._target = TargetForm(load, switching.services, switching.site)
            if load.kind == "connector":
                identity = load.id.rpartition("/")[0]
                Tag("a", "Station", classes="quiet-link", href=f"/stations/{quote(identity, safe='')}")
        self.show(load)

    def _build_head(self) -> None:
        with Tag("header", classes="load-head"):
            with Tag("span", classes="load-icon"):
                icon(self._load.kind)
            with Tag("div", classes="load-name"):
                self._name = Tag("h3", self._load.name)
                self._state = Tag("span", classes="state")
            with Tag("div", classes="load-power"):
                self._power = Tag("span", classes="big")
                self._unit = Tag("span", "kW", classes="unit-word")

    def _build_need(self) -> None:
        with Tag("div", classes="need") as self._need:
            self._need_text = Tag("p")
            with Tag("div", classes="need-track"):
                self._need_bar = Tag("div", classes="need-bar")

    def _show_need(self, need: NeedSnapshot | None) -> None:
        self._need.show(need is not None)
        if need is not None:
            self._need_text.say(need.text)
            self._need_bar.put(style=f"width: {100 * min(1.0, need.got / need.wanted):.0f}%")
            self._need.be(forced=need.forced)

    def _build_facts(self) -> None:
        with Tag("dl", classes="facts") as self._fact_list:
            for fact in ("Limit", "Measured", "Station", "Session", "Badge"):
                with Tag("div"):
                    self._facts[fact] = (Tag("dt", fact), Tag("dd"))

    def _build_steps(self) -> None:
        with Tag("div", classes="steps", role="group", aria_label="Steps") as self._step_group:
            Tag("span", "Steps", classes="legend")
            for step in self._load.steps:
                on_click = self._toggler(step) if self._switching.allowed else None
                self._steps[step] = _button(_step_word(step), "step", on_click, data_step=step)

    def _toggler(self, step: str) -> Click:
        async def toggle(_: events.GenericEventArguments) -> None:
            mode, manual = self._switching.now(self._load.id)
            if mode != "manual":
                return
            wanted = set(manual or ()) ^ {step}
            await self._switching.set(self._load, "manual", [s for s in self._load.steps if s in wanted])
            self.show(self._load)

        return toggle

    def _build_modes(self) -> None:
        with Tag("div", classes="modes", role="group", aria_label=f"How {self._load.name} is run"):
            for mode in self._load.modes:
                on_click = self._chooser(mode) if self._switching.allowed else None
                hint = MODE_HINTS.get(mode, mode)
                self._modes[mode] = _button(
                    MODE_WORDS.get(mode, mode), "mode", on_click, data_mode=mode, title=hint
                )

    def _chooser(self, mode: str) -> Click:
        async def choose(_: events.GenericEventArguments) -> None:
            await self._switching.set(self._load, mode, self._manual_start() if mode == "manual" else None)
            self.show(self._load)

        return choose

    def _manual_start(self) -> Any:
        """Going over to manual changes nothing by itself."""
        if self._load.kind == "connector":
            return self._load.setpoint_a or 0.0
        return list(self._load.steps_on)

    def _build_current(self) -> None:
        with Tag("div", classes="current gone", role="group", aria_label="Current by hand") as self._current:
            down, up = (self._stepper(d) if self._switching.allowed else None for d in (-1, 1))
            _button("−", "round", down, aria_label="less")
            self._current_value = Tag("output", classes="current-value")
            _button("+", "round", up, aria_label="more")

    def _stepper(self, direction: int) -> Click:
        async def step(_: events.GenericEventArguments) -> None:
            connector = self._switching.connector(self._load.id)
            mode, manual = self._switching.now(self._load.id)
            if connector is not None and mode == "manual":
                wanted = next_current(connector, float(manual or 0), direction)
                await self._switching.set(self._load, "manual", wanted)
                self.show(self._load)

        return step

    def show(self, load: LoadSnapshot) -> None:
        self._load = load
        self._name.say(load.name)
        self._state.say(STATE_WORDS.get(load.state, load.state))
        self._state.put(data_state=load.state)
        self._power.say(kilowatts(load.power_w))
        self._unit.say("kW" if load.power_is_measured or load.power_w == 0 else "kW expected")
        self._reason.say(sentence(load.reason))
        self._show_need(load.need)
        self._card.be(drawing=load.power_w >= 20, broken=load.state in ("fault", "offline"))
        self._show_choice()
        if load.kind == "connector":
            self._show_connector(load)
        if self._target is not None:
            self._target.show()

    def _show_choice(self) -> None:
        mode, manual = self._switching.now(self._load.id)
        for name, button in self._modes.items():
            button.be(chosen=name == mode)
            button.put(aria_pressed="true" if name == mode else "false")
        several = len(self._steps) > 1
        self._step_group.show(several or (mode == "manual" and bool(self._steps)))
        for step, button in self._steps.items():
            chosen = mode == "manual" and step in (manual or ())
            button.be(closed=step in self._load.steps_on, chosen=chosen)
            button.put(aria_pressed="true" if chosen else "false")
            button.put(aria_disabled=None if mode == "manual" and self._switching.allowed else "true")
        if self._load.kind == "connector":
            self._current.show(mode == "manual")
            self._current_value.say(amperes(float(manual or 0)))

    def _show_connector(self, load: LoadSnapshot) -> None:
        limit_a = load.offered_a if load.offered_a is not None else load.setpoint_a
        measured = None if load.current_a is None else " · ".join(f"{a:.1f}" for a in _carrying(load)) + " A"
        on_one = ", one phase" if load.phase_count == 1 else ""
        self._fact("Limit", None if limit_a is None else amperes(limit_a) + on_one)
        self._fact("Measured", measured)
        self._fact("Station", None if load.limit_words is None else sentence(load.limit_words))
        self._fact("Session", None if load.session_wh is None else f"{kilowatt_hours(load.session_wh)} kWh")
        self._fact("Badge", load.id_tag)
        self._fact_list.show(any((limit_a is not None, measured, load.session_wh is not None, load.id_tag)))

    def _fact(self, name: str, value: str | None) -> None:
        term, description = self._facts[name]
        term.show(value is not None)
        description.say(value or "")
        description.show(value is not None)


def _carrying(load: LoadSnapshot) -> list[float]:
    """The phases that carry current; the first one if none does."""
    currents = list(load.current_a or ())
    return [a for a in currents if abs(a) >= 0.05] or currents[:1]


def _step_word(step: str) -> str:
    return step.upper().replace("_", "–")  # "l1_l3" of a heater without a neutral: "L1–L3"


def next_current(connector: ConnectorConfig, current_a: float, direction: int) -> float:
    """The next legal current up or down: 0, or from the minimum to the maximum in steps."""
    if direction > 0:
        wanted = connector.min_a if current_a < connector.min_a else current_a + connector.step_a
        return round(min(wanted, connector.max_a), 1)
    wanted = current_a - connector.step_a
    return 0.0 if wanted < connector.min_a else round(wanted, 1)
