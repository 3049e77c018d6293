"""Sites and their loads' modes: the database is the truth, this is its copy in memory."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any, get_args

from pydantic import ValidationError

from csms.clock import Clock
from csms.domain.plug_in_wish import PlugInWish
from csms.domain.site import (
    ApplianceConfig,
    ApplianceMode,
    ConnectorConfig,
    ConnectorMode,
    NoNeutralRelays,
    SiteConfig,
)
from csms.errors import InvalidInput, NotFound
from csms.services.device_check import device_faults
from csms.services.events import EventBus
from csms.services.plug_in_wishes import PlugInWishes
from csms.storage import sites as storage
from csms.storage.database import Database

TIMER_MODES = ("solar_and_timer", "timer_only")
FURTHEST_DEPARTURE = timedelta(days=14)


class Sites:
    """Each change is committed first, then seen here, then told: events "site.changed" and "load.mode".

    unfit: by id, what is wrong with stored sites that this version does not take; until they are replaced.
    """

    def __init__(self, database: Database, clock: Clock, events: EventBus) -> None:
        self._database, self._clock, self._events = database, clock, events
        self._sites: dict[str, SiteConfig] = {}
        self.unfit: dict[str, ValidationError] = {}
        self._modes: dict[tuple[str, str], tuple[str, Any]] = {}
        self._site_of: dict[str, SiteConfig] = {}  # charge points by identity, casefolded
        self._change = asyncio.Lock()
        self.wishes = PlugInWishes(database, clock, events)

    async def start(self) -> None:
        async with self._database.read() as conn:
            fit, self.unfit = await storage.load_all(conn)
            self._sites = {site.site.id: site for site in fit}
            self._modes = await storage.load_modes_set(conn)
        await self.wishes.start()
        self._index()

    def all(self) -> list[SiteConfig]:
        return list(self._sites.values())

    def get(self, site_id: str) -> SiteConfig:
        """Raises NotFound."""
        if (site := self._sites.get(site_id)) is None:
            raise NotFound("site", site_id)
        return site

    async def apply(self, site: SiteConfig) -> None:
        """Replace the site's whole description, or add it; modes set by hand stay for loads it still has.

        Raises:
            InvalidInput: a device that no driver knows, or another site has one of its charge points.
        """
        for path, value, expected in device_faults(site):
            raise InvalidInput(".".join(map(str, path)), value, expected)
        async with self._change:
            self._check_charge_points(site)
            site_id = site.site.id
            await self._database.write(lambda conn: storage.save(conn, site))
            self._sites[site_id] = site
            self.unfit.pop(site_id, None)
            kept = set(storage.load_ids(site))
            self._modes = {
                key: mode for key, mode in self._modes.items() if key[0] != site_id or key[1] in kept
            }
            self.wishes.forget(site_id, kept)
            self._changed(site_id)

    async def remove(self, site_id: str) -> None:
        """Forget the site's description; what was recorded of it stays. Raises NotFound."""
        async with self._change:
            self.get(site_id)
            await self._database.write(lambda conn: storage.remove(conn, site_id))
            del self._sites[site_id]
            self._modes = {key: mode for key, mode in self._modes.items() if key[0] != site_id}
            self.wishes.forget(site_id)
            self._changed(site_id)

    def effective_mode(self, site_id: str, load_id: str) -> tuple[str, Any]:
        """(mode, manual): wished until unplugged, else set by hand, else as described. manual: steps that
        are on, or a current [A].

        Raises NotFound.
        """
        wish = self.wishes.of(site_id, load_id)
        if wish.mode is not None:
            return wish.mode, wish.manual
        if (by_hand := self._modes.get((site_id, load_id))) is not None:
            return by_hand
        site = self.get(site_id)
        for appliance in site.appliance:
            if appliance.id == load_id:
                return appliance.mode, None
        identity, _, number = load_id.rpartition("/")
        return _connector(site, identity, number).mode, None

    async def set_appliance_mode(
        self, appliance_id: str, mode: str, steps_on: list[str] | None = None, site_id: str | None = None
    ) -> None:
        """Set by hand. steps_on: for mode "manual", which steps: "1", "2" …, or "l1_l2", "l1_l3".

        Raises:
            NotFound: no such appliance.
            InvalidInput: a mode or step it cannot have; or several sites have one of this id.
        """
        site, appliance = self._appliance(appliance_id, site_id)
        _check_mode(mode, get_args(ApplianceMode), appliance)
        manual = (steps_on or []) if mode == "manual" else None
        if manual:
            _check_steps(manual, appliance)
        await self._set_mode(site.site.id, appliance_id, mode, manual)

    async def set_connector_mode(
        self,
        identity: str,
        connector_id: int,
        mode: str,
        current_a: float | None = None,
        until_unplugged: bool = False,
    ) -> None:
        """Set by hand, for good or until the vehicle that is there, or the next one, is unplugged.

        current_a: for mode "manual", 0 or between the connector's minimum and maximum. [A]

        Raises:
            NotFound: no site has this connector. InvalidInput: a mode or current it cannot have.
        """
        site, load_id, connector = self._find_connector(identity, connector_id)
        _check_mode(mode, get_args(ConnectorMode), connector)
        manual = None
        if mode == "manual":
            manual = current_a
            if manual is None or (manual != 0 and not connector.min_a <= manual <= connector.max_a):
                fitting = f"0, or from {connector.min_a:g} to {connector.max_a:g}"
                raise InvalidInput("current_a", manual, fitting)
        if until_unplugged:
            await self.wishes.set_mode(site.site.id, load_id, mode, manual)
        else:
            await self.wishes.set_mode(site.site.id, load_id, None)
            await self._set_mode(site.site.id, load_id, mode, manual)

    async def set_target(
        self,
        identity: str,
        connector_id: int,
        departs_at: datetime | None,
        requested_kwh: float | None,
    ) -> None:
        """When the vehicle that is there, or the next one, leaves, and what it is to have got in this stay.
        Both None: no target.

        Raises:
            NotFound: no site has this connector. InvalidInput: a departure that has passed, or is too far.
        """
        site, load_id, _ = self._find_connector(identity, connector_id)
        now = self._clock.now()
        if departs_at is not None and not now < departs_at <= now + FURTHEST_DEPARTURE:
            at_most = f"a time from now on, at most {FURTHEST_DEPARTURE.days} days ahead"
            raise InvalidInput("departs_at", departs_at.isoformat(), at_most)
        requested_wh = None if requested_kwh is None else requested_kwh * 1000
        await self.wishes.set_target(site.site.id, load_id, departs_at, requested_wh)

    def target(self, identity: str, connector_id: int) -> PlugInWish:
        """Raises NotFound."""
        site, load_id, _ = self._find_connector(identity, connector_id)
        return self.wishes.of(site.site.id, load_id)

    def site_of_charge_point(self, identity: str) -> SiteConfig | None:
        """Letter case does not matter."""
        return self._site_of.get(identity.casefold())

    def _find_connector(self, identity: str, connector_id: int) -> tuple[SiteConfig, str, ConnectorConfig]:
        """With its load id. Raises NotFound."""
        if (site := self.site_of_charge_point(identity)) is None:
            raise NotFound("charge point", identity)
        point = next(p for p in site.charge_point if p.id.casefold() == identity.casefold())
        return site, f"{point.id}/{connector_id}", _connector(site, point.id, str(connector_id))

    def _appliance(self, appliance_id: str, site_id: str | None) -> tuple[SiteConfig, ApplianceConfig]:
        searched = self.all() if site_id is None else [self.get(site_id)]
        found = [(site, a) for site in searched for a in site.appliance if a.id == appliance_id]
        if not found:
            raise NotFound("appliance", appliance_id)
        if len(found) > 1:
            named = ", ".join(site.site.id for site, _ in found)
            raise InvalidInput("site", None, f"one of {named}, which all have an appliance {appliance_id!r}")
        return found[0]

    async def _set_mode(self, site_id: str, load_id: str, mode: str, manual: Any) -> None:
        async with self._change:
            now = self._clock.now()
            await self._database.write(
                lambda conn: storage.save_load_mode(conn, site_id, load_id, mode, manual, now)
            )
            self._modes[site_id, load_id] = (mode, manual)
            self._events.publish("load.mode", now, site_id=site_id, load_id=load_id, mode=mode, manual=manual)

    def _check_charge_points(self, site: SiteConfig) -> None:
        for i, point in enumerate(site.charge_point):
            other = self.site_of_charge_point(point.id)
            if other is not None and other.site.id != site.site.id:
                unused = f"a charge point that site {other.site.id!r} does not have"
                raise InvalidInput(f"charge_point.{i}.id", point.id, unused)

    def _index(self) -> None:
        self._site_of = {
            point.id.casefold(): site for site in self._sites.values() for point in site.charge_point
        }

    def _changed(self, site_id: str) -> None:
        self._index()
        self._events.publish("site.changed", self._clock.now(), site_id=site_id)


def _connector(site: SiteConfig, identity: str, number: str) -> ConnectorConfig:
    for point in site.charge_point:
        for connector in point.connectors:
            if point.id == identity and str(connector.id) == number:
                return connector
    raise NotFound("load", f"{identity}/{number}".strip("/"))


def _check_mode(mode: str, known: tuple[str, ...], load: ApplianceConfig | ConnectorConfig) -> None:
    if mode not in known:
        raise InvalidInput("mode", mode, f"one of {', '.join(known)}")
    if mode in TIMER_MODES and not load.windows:
        raise InvalidInput("mode", mode, "a load with windows: this one has none")


def _check_steps(steps_on: list[str], appliance: ApplianceConfig) -> None:
    if isinstance(appliance.relays, NoNeutralRelays):
        steps = ["l1_l2", "l1_l3"]
    else:
        steps = [str(n) for n in range(1, len(appliance.relays or appliance.steps) + 1)]
    if not set(steps_on) <= set(steps):
        raise InvalidInput("steps_on", steps_on, f"some of {', '.join(steps)}")
    if appliance.kind == "sg_ready" and set(steps_on) == {"2"}:
        raise InvalidInput("steps_on", steps_on, "step 1 with step 2: 2 alone would block the heat pump")
