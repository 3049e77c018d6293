"""The grid operator sheds load: while the contact says so, charging is limited and some appliances are off.

An unreadable contact keeps its last word for a few minutes; then the signal counts as given, since a
limit nobody asked for costs some comfort, a signal that was missed breaks the connection contract.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from optimizer.model import Connector, ContactReading, LoadShedding, Mode, SheddingMemory, Site

STALE_AFTER_S = 90.0
KEPT_S = 300.0


@dataclass(frozen=True, slots=True)
class Shedding:
    """active: what holds now. readable: whether the contact says so itself. affected: load ids."""

    active: bool = False
    readable: bool = True
    limit_a: float = 0.0
    affected: frozenset[str] = frozenset()
    memory: SheddingMemory | None = None

    def text(self, limit_a: float | None = None) -> str:
        what = f"limited to {limit_a:g} A" if limit_a else "off" if limit_a is None else "paused"
        by = "by the grid operator" if self.readable else "assumed, its input is not readable"
        return f"{what}: load shedding {by}"


def listen_to_operator(
    site: Site, reading: ContactReading | None, known: SheddingMemory | None, now: datetime
) -> Shedding:
    """What the operator's signal means now. A contact that was never read is waited for as long."""
    rule = site.load_shedding
    if rule is None:
        return Shedding()
    readable = reading is not None and (now - reading.read_at).total_seconds() <= STALE_AFTER_S
    if readable and reading is not None:
        memory = SheddingMemory(reading.active, reading.read_at)
        active = reading.active
    else:
        memory = known or SheddingMemory(False, now)
        active = memory.active or (now - memory.heard_at).total_seconds() > KEPT_S
    affected = _affected(site, rule) if active else frozenset()
    return Shedding(active, readable, rule.limit_a, affected, memory)


def _affected(site: Site, rule: LoadShedding) -> frozenset[str]:
    """Those that would otherwise be free to run, or to take more."""
    off = {a.id for a in site.appliances if a.id in rule.off and a.mode is not Mode.OFF}
    capped = {c.id for c in site.connectors if c.mode is not Mode.OFF and c.max_a > rule.limit_a}
    return frozenset(off | capped)


def under_shedding(site: Site, shedding: Shedding) -> Site:
    """The site as it is while load is shed: a person's word, timers and minimum times give way."""
    if not shedding.affected:
        return site
    return replace(
        site,
        appliances=tuple(
            replace(a, mode=Mode.OFF) if a.id in shedding.affected else a for a in site.appliances
        ),
        connectors=tuple(
            _capped(c, shedding.limit_a) if c.id in shedding.affected else c for c in site.connectors
        ),
    )


def _capped(connector: Connector, limit_a: float) -> Connector:
    """A vehicle that cannot be modulated takes all or nothing."""
    if limit_a < connector.min_a or not connector.modulates:
        return replace(connector, mode=Mode.OFF)
    return replace(connector, max_a=limit_a, manual_a=min(connector.manual_a, limit_a))
