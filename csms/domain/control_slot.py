"""What is wanted of connectors -> what is to be written where, by the way the station takes limits. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from csms.domain.charge_point import LiveConnector, OpenTransaction, Station
from csms.domain.charging_profile import ConnectorWiring, ControlLimit
from csms.domain.profile_ladder import Rung
from csms.domain.site import SiteConfig, safe_currents


@dataclass(frozen=True, slots=True)
class Wish:
    """What a connector should be held to. [A] safe_a: what it falls back to when nobody speaks to it.

    step_a: less of a change is not worth a write. is_urgent: a fuse, a contract or the grid operator needs it
    lower. is_asked_for: a person, a timer or a need wants it so, not the sun. overrules: a fuse needs it
    even against an operator's own profile. number_phases: 1 or 3, for a station that switches. pauses: it
    bears a limit of 0.
    """

    wiring: ConnectorWiring
    limit_a: float
    safe_a: float
    step_a: float = 1.0
    is_urgent: bool = False
    is_asked_for: bool = False
    overrules: bool = False
    number_phases: int | None = None
    pauses: bool = True


def safe_wishes(site: SiteConfig | None, identity: str) -> dict[int, Wish]:
    """What the connectors of a station should be held to as long as nobody decides; none of a station that
    no site names."""
    if site is None:
        return {}
    found = {}
    safe_a = safe_currents(site)
    for point in site.charge_point:
        for connector in point.connectors if point.id.casefold() == identity.casefold() else ():
            wiring = ConnectorWiring(connector.id, len(connector.phases), site.site.voltage_v)
            amps = safe_a[point.id, connector.id]
            found[connector.id] = Wish(wiring, amps, amps)
    return found


@dataclass(frozen=True, slots=True)
class ControlSlot:
    """One control profile to be written. connectors: those it limits. transaction: that runs there.

    is_taken: somebody charges there, with or without one.
    """

    wish: Wish
    connectors: tuple[int, ...]
    transaction: OpenTransaction | None
    phases_used: int | None
    is_taken: bool

    @property
    def connector_id(self) -> int:
        return self.wish.wiring.connector_id

    def limit(self, dead_man_s: int) -> ControlLimit:
        return ControlLimit(
            self.wish.limit_a,
            self.wish.safe_a,
            dead_man_s,
            transaction_id=self.transaction.id if self.transaction else None,
            began_at=self.transaction.started_at if self.transaction else None,
            number_phases=self.wish.number_phases,
            phases_used=self.phases_used,
        )


def control_slots(rung: Rung, wishes: Mapping[int, Wish], station: Station) -> list[ControlSlot]:
    """A TxProfile is written where a transaction runs. What outlives a transaction offers the safe value
    between two of them, for nobody knows what the next one may take."""
    found = []
    for connector_id, wish in sorted(wishes.items()):
        live = station.connectors.get(connector_id) or LiveConnector()
        is_taken = station.is_limited_at(connector_id)
        if not is_taken:
            wish = replace(wish, limit_a=wish.safe_a, is_urgent=False, is_asked_for=False, overrules=False)
        used = live.following.phases_used
        found.append(ControlSlot(wish, (connector_id,), live.transaction, used, is_taken))
    if rung.on_station:
        return [_of_station(rung, found)] if found else []
    return [slot for slot in found if slot.transaction is not None or not rung.needs_transaction]


def _of_station(rung: Rung, slots: list[ControlSlot]) -> ControlSlot:
    """One limit for all connectors: a default holds for each, so the least; a cap for all, so the sum."""
    running = [slot for slot in slots if slot.is_taken] or slots
    join = min if rung.purpose == "TxDefaultProfile" else sum
    first = running[0]
    wiring = replace(
        first.wish.wiring, connector_id=0, phases=max(slot.wish.wiring.phases for slot in running)
    )

    def joined(values: Iterable[float]) -> float:
        return float(join(values))

    wish = replace(
        first.wish,
        wiring=wiring,
        limit_a=joined(slot.wish.limit_a for slot in running),
        safe_a=joined(slot.wish.safe_a for slot in slots),
        step_a=min(slot.wish.step_a for slot in running),
        is_urgent=any(slot.wish.is_urgent for slot in running),
        is_asked_for=any(slot.wish.is_asked_for for slot in running),
        overrules=any(slot.wish.overrules for slot in running),
    )
    used = [slot.phases_used for slot in running if slot.phases_used is not None]
    connectors = tuple(number for slot in slots for number in slot.connectors)
    return ControlSlot(wish, connectors, first.transaction, max(used, default=None), first.is_taken)
