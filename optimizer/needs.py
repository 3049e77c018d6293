"""What loads must have got by a time: how far each is, and which must run now to get there.

The sun comes first, the latest sensible forced run makes up for what it left missing. What an appliance
got is counted here, from all that ran it; a vehicle's energy is told by its station, per session.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import cast
from zoneinfo import ZoneInfo

from optimizer.appliances import (
    IDLE_AFTER_S,
    TAKING_SHARE,
    nominal_current,
    nominal_power_w,
    rule_of,
)
from optimizer.connectors import TAKERS, TAKING_A
from optimizer.electrical import amps_from_watts, phase_currents, watts_from_amps
from optimizer.fuses import open_fuses, paths
from optimizer.latest_start import Job, LatestStart, latest_starts
from optimizer.model import (
    Appliance,
    ApplianceDemand,
    Connector,
    ConnectorDemand,
    ConnectorMemory,
    ConnectorState,
    Demands,
    Memory,
    Mode,
    Need,
    NeedMemory,
    NeedProgress,
    PhaseTriple,
    Readings,
    Site,
)
from optimizer.schedule import open_until
from optimizer.surplus import Freshness

ONE_DAY = timedelta(days=1)
MARGIN_S = 600.0
MARGIN_SHARE = 0.05
"""A forced run begins so much earlier than it would have to: fixed, and a part of its whole length."""

RELEASED_AFTER_S = 1800.0
"""A forced run ends early only when there is so much more time than was thought."""

COUNTED_AT_MOST_S = 900.0
"""The longest control interval; what ran while nobody looked for longer is not counted."""

LATE_DRIVER = timedelta(hours=1)
"""A vehicle that lacks energy goes on so long after the departure its driver told."""

CAUTIOUS_A = 10.0
"""What an unknown vehicle is believed to take, on one phase, until it has shown more."""

USUAL_SHARE = 1 / 30
"""Weight of the latest minute in what circuits usually carry."""

ENOUGH_WH = 10.0
APPLIANCE_MODES = (Mode.SOLAR_ONLY, Mode.SOLAR_AND_TIMER)
CONNECTOR_MODES = (*APPLIANCE_MODES, Mode.MIN_AND_SOLAR)
TIMER_MODES = (Mode.SOLAR_AND_TIMER, Mode.TIMER_ONLY)
MODES_BEFORE = (Mode.ON, Mode.FULL, Mode.MANUAL)
"""Modes of connectors that have a current whatever others need."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A load's need in this minute, and what to remember of it."""

    progress: NeedProgress
    memory: NeedMemory


@dataclass(frozen=True, slots=True)
class _Open:
    """A need that is not met: what must run for it, how much earlier than at the latest. unit: of progress,
    for one second at full power. whole_s: the run for all of it."""

    job: Job
    whole_s: float
    unit: float
    is_on: bool
    min_on_s: float
    min_off_s: float


def claims_of(
    site: Site, readings: Readings, demands: Demands, memory: Memory, now: datetime
) -> dict[str, Claim]:
    """By load id, for those that need something. `progress.forced`: it must run from now on."""
    claims: dict[str, Claim] = {}
    opens: list[_Open] = []
    for appliance in site.appliances:
        if due := due_next(appliance.needs, site.timezone, now, days=1):
            demand = demands.appliances.get(appliance.id, ApplianceDemand(None))
            tally = _tally(appliance, demand, memory.needs.get(appliance.id), due[0], now)
            claims[appliance.id] = claim = _appliance_claim(due, tally)
            takes_power = any(element.power_w > 0 for element in appliance.elements)
            if not claim.progress.is_over and takes_power and appliance.mode in APPLIANCE_MODES:
                opens.append(_open_appliance(appliance, claim.progress, bool(demand.on)))
    silent: frozenset[str] | None = None
    for connector in site.connectors:
        vehicle = demands.connectors.get(connector.id)
        if vehicle is None or not (target := vehicle_target(connector, vehicle, site.timezone, now)):
            continue
        learnt = memory.connectors.get(connector.id)
        learnt = learnt if learnt is not None and learnt.session == vehicle.session else None
        seen = _seen(connector, vehicle, learnt, memory.needs.get(connector.id), site.voltage_v, now)
        claims[connector.id] = claim = _vehicle_claim(vehicle, target, seen, now)
        if not claim.progress.is_over and _may_force(connector, vehicle):
            if silent is None:
                silent = open_fuses(site, readings, (), memory.other_a, now).silent
            is_silent = not silent.isdisjoint(paths(site.circuits)[connector.circuit])
            opens.append(_open_vehicle(connector, claim, learnt, is_silent, site.voltage_v))
    if opens:
        before = _what_comes_before(site, demands, memory, now)
        starts = latest_starts([one.job for one in opens], site.circuits, memory.usual_a, before, now)
        for one in opens:
            claims[one.job.id] = _decided(claims[one.job.id], one, starts[one.job.id])
    return claims


def _decided(claim: Claim, one: _Open, start: LatestStart) -> Claim:
    margin_s = MARGIN_S + MARGIN_SHARE * one.whole_s
    if one.is_on:  # were it switched off now, its minimum off-time would delay the forced run
        margin_s += one.min_off_s
    if claim.memory.forced:
        margin_s += max(RELEASED_AFTER_S, one.min_on_s)
    forced = start.slack_s <= margin_s
    progress = replace(claim.progress, forced=forced, short=start.short_s * one.unit)
    return Claim(progress, replace(claim.memory, forced=forced))


def _what_comes_before(
    site: Site, demands: Demands, memory: Memory, now: datetime
) -> Iterator[tuple[str, PhaseTriple]]:
    """(circuit, current) of what runs by hand or by a timer now, and of stations that cannot be told to stop.

    Of a vehicle only its minimum: what it gets beyond that is left to those who must be ready first.
    """
    for appliance in site.appliances:
        wanted = rule_of(site, appliance, Freshness.FRESH, now).wanted
        if wanted:
            yield appliance.circuit, nominal_current(appliance, wanted)
    for connector in site.connectors:
        demand, known = demands.connectors.get(connector.id), memory.connectors.get(connector.id)
        if demand is None or known is None:
            continue
        by_timer = connector.mode in TIMER_MODES and open_until(connector.windows, site.timezone, now)
        if demand.state is ConnectorState.OFFLINE and known.taking_at is not None:
            yield connector.circuit, phase_currents(known.limit_a, known.phases or connector.phases)
        elif demand.state in TAKERS and (connector.mode in MODES_BEFORE or by_timer):
            yield connector.circuit, phase_currents(connector.min_a, known.phases or connector.phases)


def due_next(needs: Iterable[Need], timezone: str, now: datetime, days: int) -> tuple[datetime, Need] | None:
    """The need whose time comes first, within so many local days from now. The hour a spring night leaves
    out and the one an autumn night repeats are read as for windows."""
    zone = ZoneInfo(timezone)
    today = now.astimezone(zone).date()
    found: tuple[datetime, Need] | None = None
    for need in needs:
        for offset in range(days + 1):
            day = today + offset * ONE_DAY
            if day.weekday() not in need.days:
                continue
            due_at = datetime.combine(day, need.until, zone).astimezone(UTC)
            if due_at > now:
                in_time = datetime.combine(day - days * ONE_DAY, need.until, zone) <= now
                if in_time and (found is None or due_at < found[0]):
                    found = due_at, need
                break
    return found


# --- appliances ---


def _appliance_claim(due: tuple[datetime, Need], tally: NeedMemory) -> Claim:
    due_at, need = due
    is_energy = need.energy_wh is not None
    wanted = (need.energy_wh if is_energy else need.run_s) or 0.0
    got = tally.got_wh if is_energy else tally.ran_s
    is_over = got >= wanted or (is_energy and tally.has_enough)
    progress = NeedProgress(due_at, wanted, got, is_energy, is_over=is_over)
    return Claim(progress, replace(tally, forced=tally.forced and not is_over))


def _open_appliance(appliance: Appliance, need: NeedProgress, is_on: bool) -> _Open:
    everything = frozenset(element.id for element in appliance.elements)
    full_w = nominal_power_w(appliance, everything)
    unit = full_w / 3600 if need.is_energy else 1.0
    job = Job(
        appliance.id,
        appliance.circuit,
        need.due_at,
        (need.wanted - need.got) / unit,
        nominal_current(appliance, everything),
        _possible_parts(appliance, full_w),
    )
    return _Open(job, need.wanted / unit, unit, is_on, appliance.min_on_s, appliance.min_off_s)


def _tally(
    appliance: Appliance, demand: ApplianceDemand, known: NeedMemory | None, due_at: datetime, now: datetime
) -> NeedMemory:
    """What it has got by now. A count begins when the last need was due, not when a need is rewritten."""
    if known is None:
        return NeedMemory(due_at, now)
    passed_s = min(max(0.0, (now - known.counted_at).total_seconds()), COUNTED_AT_MOST_S)
    if known.due_at <= now:
        known = NeedMemory(known.due_at, known.counted_at)
        passed_s = min(passed_s, (now - known.due_at).total_seconds())
    if not demand.on:
        return replace(known, due_at=due_at, counted_at=now, idle_s=0.0)
    nominal_w = nominal_power_w(appliance, demand.on)
    power_w = nominal_w if demand.power_w is None else max(0.0, demand.power_w)
    idle_s = known.idle_s + passed_s if power_w < TAKING_SHARE * nominal_w else 0.0
    return replace(
        known,
        due_at=due_at,
        counted_at=now,
        got_wh=known.got_wh + power_w * passed_s / 3600,
        ran_s=known.ran_s + passed_s,
        idle_s=idle_s,
        has_enough=known.has_enough or idle_s >= IDLE_AFTER_S,
    )


def _possible_parts(appliance: Appliance, full_w: float) -> tuple[float, ...]:
    """Of its full power: its joint states, else one element more at a time, the smallest first."""
    if appliance.joint_states:
        parts = {state.power_w / full_w for state in appliance.joint_states}
        return tuple(sorted(part for part in parts if part > 0))
    powers_w = sorted(element.power_w for element in appliance.elements if element.power_w > 0)
    return (*(sum(powers_w[: n + 1]) / full_w for n in range(len(powers_w) - 1)), 1.0)


# --- vehicles ---


def vehicle_target(
    connector: Connector, demand: ConnectorDemand, timezone: str, now: datetime
) -> tuple[datetime, float] | None:
    """(due at, energy [Wh] in this session). What the driver told wins over what is described for all; an
    energy without a time, or a time without an energy, forces nothing."""
    if demand.state not in TAKERS or not demand.controllable:
        return None
    due_at, wanted_wh = demand.departs_at, demand.requested_wh
    if due_at is not None and due_at + LATE_DRIVER <= now:
        due_at = None
    if (due_at is None or wanted_wh is None) and (standing := due_next(connector.needs, timezone, now, 7)):
        due_at, wanted_wh = due_at or standing[0], wanted_wh or standing[1].energy_wh
    return None if due_at is None or wanted_wh is None else (due_at, wanted_wh)


def _may_force(connector: Connector, demand: ConnectorDemand) -> bool:
    if connector.mode is Mode.SOLAR_ONLY:
        return demand.from_grid or bool(connector.needs)
    return connector.mode in CONNECTOR_MODES


def _vehicle_claim(
    demand: ConnectorDemand, target: tuple[datetime, float], seen: NeedMemory, now: datetime
) -> Claim:
    due_at, wanted_wh = target
    is_over = wanted_wh - demand.delivered_wh <= ENOUGH_WH
    progress = NeedProgress(due_at, wanted_wh, demand.delivered_wh, is_energy=True, is_over=is_over)
    forced = seen.forced and not is_over
    return Claim(progress, replace(seen, due_at=due_at, counted_at=now, forced=forced))


def _open_vehicle(
    connector: Connector, claim: Claim, learnt: ConnectorMemory | None, is_silent: bool, voltage_v: float
) -> _Open:
    """is_silent: a meter above it is, so that it would get its minimum only."""
    need = claim.progress
    full_a = connector.min_a if is_silent else _believed_a(connector, learnt, claim.memory)
    full_w = watts_from_amps(full_a, claim.memory.phase_count or 1, voltage_v)
    phases = learnt.phases if learnt is not None and learnt.phases else connector.phases
    job = Job(
        connector.id,
        connector.circuit,
        need.due_at,
        (need.wanted - need.got) * 3600 / full_w,
        phase_currents(full_a, phases),
        (connector.min_a / full_a if connector.modulates else 1.0,),
        connector.modulates,
    )
    is_on = learnt is not None and learnt.limit_a > 0
    whole_s = need.wanted * 3600 / full_w
    return _Open(job, whole_s, full_w / 3600, is_on, connector.min_on_s, connector.min_off_s)


def _seen(
    connector: Connector,
    demand: ConnectorDemand,
    learnt: ConnectorMemory | None,
    known: NeedMemory | None,
    voltage_v: float,
    now: datetime,
) -> NeedMemory:
    """With what the vehicle has shown: on how many phases it charges, which current it has taken."""
    if known is None or known.session != demand.session:
        known = NeedMemory(now, now, session=demand.session)
    count = known.phase_count
    if learnt is not None and learnt.phases is not None:
        count = len(learnt.phases)
    elif demand.power_w is not None and learnt is not None and learnt.limit_a > 0:
        offered_a = min(learnt.limit_a, demand.offered_a or learnt.limit_a)
        by_power = round(amps_from_watts(demand.power_w, 1, voltage_v) / offered_a) if offered_a else 0
        count = max(count or 0, min(by_power, len(connector.phases))) or None
    takes_a = 0.0
    if demand.current_a is not None:
        takes_a = max(demand.current_a)
    elif demand.power_w is not None:
        takes_a = amps_from_watts(demand.power_w, count or 1, voltage_v)
    if takes_a < TAKING_A:
        return replace(known, phase_count=count)
    return replace(known, phase_count=count, proven_a=max(known.proven_a, takes_a))


def _believed_a(connector: Connector, learnt: ConnectorMemory | None, known: NeedMemory) -> float:
    """What the vehicle is believed to take at most: as learnt, else as shown, else little."""
    if not connector.modulates:
        return connector.max_a
    if learnt is not None and learnt.most_a is not None:
        believed_a = learnt.most_a - connector.step_a  # the offer ends one step above what it takes
    else:
        believed_a = max(known.proven_a, CAUTIOUS_A)
    return min(connector.max_a, max(connector.min_a, believed_a))


# --- what is remembered ---


def remember_needs(claims: Mapping[str, Claim]) -> dict[str, NeedMemory]:
    return {id: claim.memory for id, claim in claims.items()}


def usual_currents(
    usual_a: Mapping[str, PhaseTriple], metered_a: Mapping[str, PhaseTriple]
) -> dict[str, PhaseTriple]:
    """What circuits carry besides the loads, as a mean that forgets: one kettle changes no plan."""
    result = {}
    for circuit, latest in metered_a.items():
        before = usual_a.get(circuit, latest)
        mixed = (a + USUAL_SHARE * (b - a) for a, b in zip(before, latest, strict=True))
        result[circuit] = cast(PhaseTriple, tuple(round(amps, 3) for amps in mixed))
    return result
