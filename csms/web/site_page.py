"""One site on one page: what needs attention, the power flow, the loads, the day, the devices."""

from __future__ import annotations

from nicegui import ui

from csms.domain.site import SiteConfig
from csms.domain.snapshot import SiteSnapshot
from csms.errors import NotFound
from csms.services.bundle import Services
from csms.web.devices import Attention, DeviceLine, attention
from csms.web.elements import Tag
from csms.web.loads import LoadCard, Switching
from csms.web.power_flow import PowerFlow
from csms.web.site_check import CheckCard
from csms.web.today import DayChart, Days, SunSummary

REFRESH_S = 1.0


class SitePage:
    """Built once per visitor; `refresh` runs every second and touches only what has changed."""

    def __init__(self, services: Services, days: Days, site: SiteConfig, may_switch: bool) -> None:
        self._services, self._days, self._site = services, days, site
        self._may_switch = may_switch
        self._shape: object = None
        self._attention = Attention()
        self._body = Tag("div", classes="body")
        with self._body:
            Tag("p", "Waiting for the first decision of the controller …", classes="empty")
        ui.timer(REFRESH_S, self.refresh)

    async def refresh(self) -> None:
        now = self._services.clock.now()
        snapshot = self._services.live.get(self._site.site.id)
        try:
            self._site = self._services.sites.get(self._site.site.id)
        except NotFound:
            self._attention.show(["This site has been removed."])
            return
        if snapshot is None:
            return
        if _shape(snapshot) != self._shape:
            self._build(snapshot)
        self._attention.show(attention(snapshot, now, self._site.site.control_interval_s))
        self._flow.show(snapshot)
        for load in snapshot.loads:
            self._cards[load.id].show(load)
        self._devices.show(snapshot, now)
        self._check.show()
        site = self._site.site
        timezone = site.timezone
        day = await self._days.today(site.id, timezone, now, site.control_interval_s)
        self._summary.show(snapshot, day.sun)
        self._chart.show(day, timezone)

    def _build(self, snapshot: SiteSnapshot) -> None:
        """The whole body again: at first sight, and when loads or devices came or went."""
        self._shape = _shape(snapshot)
        switching = Switching(self._services, self._site, self._may_switch)
        self._body.clear()
        with self._body:
            with Tag("section", classes="card hero", aria_label="Power now"):
                self._flow = PowerFlow(with_battery=snapshot.battery_w is not None)
                self._summary = SunSummary()
            with Tag("section", classes="loads", aria_label="Loads"):
                self._cards = {load.id: LoadCard(load, switching) for load in snapshot.loads}
            self._chart = DayChart()
            self._devices = DeviceLine(snapshot)
            with self._devices.card:
                self._check = CheckCard(self._services, self._site.site, self._may_switch)


def _shape(snapshot: SiteSnapshot) -> object:
    return (
        [(load.id, load.kind, load.modes, load.steps) for load in snapshot.loads],
        [(device.kind, device.id) for device in snapshot.devices],
        snapshot.battery_w is None,
    )
