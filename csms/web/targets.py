"""On a connector's card: ready by a time with so much energy, and full until unplugged."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from nicegui import events, ui

from csms.domain.plug_in_wish import PlugInWish
from csms.domain.site import SiteConfig
from csms.domain.snapshot import LoadSnapshot
from csms.errors import CsmsError
from csms.services.bundle import Services
from csms.web.elements import Tag
from csms.web.wording import sentence

EMIT_FIELDS = "(e) => { const f = new FormData(e.target); emit([f.get('time'), f.get('energy')]) }"
ONE_DAY = timedelta(days=1)


class TargetForm:
    """For those who may switch. It shows what holds now and is refreshed with the card."""

    def __init__(self, load: LoadSnapshot, services: Services, site: SiteConfig) -> None:
        self._services, self._site, self._load_id, self._name = services, site, load.id, load.name
        self._identity, _, connector_id = load.id.rpartition("/")
        self._connector_id = int(connector_id)
        with Tag("details", classes="target"):
            self._summary = Tag("summary")
            with Tag("form", onsubmit="return false", aria_label=f"When {load.name} is to be ready") as form:
                with Tag("label"):
                    Tag("span", "Leaves at")
                    Tag("input", type="time", name="time", required="required")
                with Tag("label"):
                    Tag("span", "Needs, in kWh")
                    Tag("input", type="number", name="energy", min="0.5", max="1000", step="0.5")
                Tag("button", "Set", classes="action", type="submit")
                self._clear = Tag("button", "Clear", classes="quiet-button", type="button")
            form.on("submit", self._set, js_handler=EMIT_FIELDS)
            self._clear.on("click", self._forget, args=[])
            self._now = Tag("button", "Full until unplugged", classes="mode", type="button")
            self._now.on("click", self._toggle_full, args=[])
        self.show()

    def show(self) -> None:
        wish, now = self._wish(), self._services.clock.now()
        self._summary.say(target_in_words(wish, now, self._site.site.timezone) or "Ready by a time …")
        self._clear.show(wish.departs_at is not None or wish.requested_wh is not None)
        is_full = wish.mode == "full"
        self._now.be(chosen=is_full)
        self._now.put(aria_pressed="true" if is_full else "false")

    def _wish(self) -> PlugInWish:
        return self._services.sites.wishes.of(self._site.site.id, self._load_id)

    async def _set(self, event: events.GenericEventArguments) -> None:
        now, timezone = self._services.clock.now(), self._site.site.timezone
        try:
            departs_at = next_time(str(event.args[0]), now, timezone)
            requested_kwh = float(event.args[1]) if event.args[1] else None
        except (ValueError, IndexError, TypeError):
            ui.notify("A time such as 07:00 expected, and an energy in kWh", type="negative")
            return
        if requested_kwh is not None and not 0 < requested_kwh <= 1000:
            ui.notify("An energy of up to 1000 kWh expected", type="negative")
            return
        await self._target(departs_at, requested_kwh)

    async def _forget(self, _: events.GenericEventArguments) -> None:
        await self._target(None, None)

    async def _target(self, departs_at: datetime | None, requested_kwh: float | None) -> None:
        sites = self._services.sites
        try:
            await sites.set_target(self._identity, self._connector_id, departs_at, requested_kwh)
        except CsmsError as refusal:
            ui.notify(sentence(str(refusal)), type="negative")
        else:
            told = target_in_words(self._wish(), self._services.clock.now(), self._site.site.timezone)
            ui.notify(f"{self._name}: {told or 'no target'}, until unplugged", type="positive")
        self.show()

    async def _toggle_full(self, _: events.GenericEventArguments) -> None:
        sites = self._services.sites
        try:
            if self._wish().mode == "full":
                await sites.wishes.set_mode(self._site.site.id, self._load_id, None)
            else:
                await sites.set_connector_mode(
                    self._identity, self._connector_id, "full", until_unplugged=True
                )
        except CsmsError as refusal:
            ui.notify(sentence(str(refusal)), type="negative")
        self.show()


def next_time(text: str, now: datetime, timezone: str) -> datetime:
    """The next time the clock on the wall shows "07:00". Raises ValueError."""
    zone = ZoneInfo(timezone)
    local = datetime.combine(now.astimezone(zone).date(), time.fromisoformat(text), zone)
    if local.astimezone(now.tzinfo) <= now:
        local = datetime.combine(local.date() + ONE_DAY, local.time(), zone)
    return local.astimezone(now.tzinfo)


def target_in_words(wish: PlugInWish, now: datetime, timezone: str) -> str | None:
    """ "20 kWh by 07:00", "leaves Sat 07:00", "20 kWh, no departure told"; None without a target."""
    energy = None if wish.requested_wh is None else f"{wish.requested_wh / 1000:g} kWh"
    if wish.departs_at is None:
        return None if energy is None else f"{energy}, no departure told"
    local = wish.departs_at.astimezone(ZoneInfo(timezone))
    at = f"{local:%H:%M}" if wish.departs_at - now < ONE_DAY else f"{local:%a %H:%M}"
    return f"leaves {at}" if energy is None else f"{energy} by {at}"
