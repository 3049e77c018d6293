"""The site as people see it now: last decision, latest measurements and device health in one record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import get_args

from csms.domain.charge_point import Station
from csms.domain.following import in_words
from csms.domain.site import (
    ApplianceConfig,
    ApplianceMode,
    ChargePointConfig,
    ConnectorConfig,
    ConnectorMode,
    SiteConfig,
)
from csms.domain.snapshot import (
    DeviceSnapshot,
    LineSnapshot,
    LoadSnapshot,
    LoadState,
    MeasuredPower,
    NeedSnapshot,
    SiteSnapshot,
)
from csms.site_devices import RelayFault
from optimizer.model import (
    Appliance,
    ApplianceDecision,
    ApplianceDemand,
    Connector,
    ConnectorDecision,
    ConnectorDemand,
    ConnectorState,
    Decision,
    Demands,
    Mode,
    NeedProgress,
    PhaseTriple,
    Site,
)
from optimizer.reasons import need_in_words

STATES: dict[ConnectorState, LoadState] = {
    ConnectorState.OFFLINE: "offline",
    ConnectorState.FREE: "free",
    ConnectorState.PLUGGED: "plugged",
    ConnectorState.CHARGING: "charging",
    ConnectorState.FINISHED: "finished",
    ConnectorState.FAULTED: "fault",
    ConnectorState.REFUSED: "refused",
}
STATES_BY_REASON: dict[str, LoadState] = {
    "asleep": "asleep",
    "waking": "waking",
    "has_enough": "full",
    "needs_hand": "needs_hand",
}
"""What a vehicle that takes nothing is doing, told by the reason for its limit."""
STOPPED = ("stopped", "not_begun_anew")  # reasons
CHARGED_WH = 50.0  # less is what contactors and meters make of nothing
OFF_MODES = (Mode.OFF, Mode.MANUAL, Mode.TIMER_ONLY)


def site_snapshot(
    config: SiteConfig,
    site: Site,
    decision: Decision,
    demands: Demands,
    measured: MeasuredPower,
    stations: Mapping[str, Station],
    devices: list[DeviceSnapshot],
    faults: list[RelayFault],
    now: datetime,
    lines: Sequence[LineSnapshot] = (),
    undescribed: Sequence[tuple[str, int]] = (),
) -> SiteSnapshot:
    """undescribed: (identity, connector) of those that charge and are not in the site's description."""
    loads = _without_idle_watts(_loads(config, site, decision, demands, stations, faults, now), measured)
    health = devices + [_station(point, stations.get(point.id), now) for point in config.charge_point]
    controlled_w = sum(load.power_w for load in loads)
    return SiteSnapshot(
        site_id=config.site.id,
        name=config.site.name,
        at=now,
        grid_w=measured.grid_w,
        pv_w=measured.pv_w,
        battery_w=measured.battery_w,
        house_w=_house_w(measured, controlled_w),
        controlled_w=controlled_w,
        surplus_w=None if measured.grid_w is None else -measured.grid_w,
        available_w=decision.available_w,
        loads=tuple(loads),
        devices=tuple(health),
        warnings=(
            *_shedding_words(config, decision),
            *_device_words(health),
            *_undescribed_words(undescribed),
            *_vehicle_words(loads),
        ),
        load_shedding=decision.load_shedding if config.load_shedding else None,
        lines=tuple(lines),
    )


def _loads(
    config: SiteConfig,
    site: Site,
    decision: Decision,
    demands: Demands,
    stations: Mapping[str, Station],
    faults: list[RelayFault],
    now: datetime,
) -> list[LoadSnapshot]:
    """All that is controlled, as the site's description lists it."""
    problems = {fault.appliance_id: fault.problem for fault in faults}
    appliances = {a.id: a for a in site.appliances}
    outlets = {connector.id: connector for connector in site.connectors}
    decided = {d.id: d for d in decision.appliances}
    limits = {d.id: d for d in decision.connectors}
    loads = [
        _appliance(a, appliances[a.id], demands.appliances[a.id], decided[a.id], problems.get(a.id))
        for a in config.appliance
    ]
    for point in config.charge_point:
        for connector in point.connectors:
            id = f"{point.id}/{connector.id}"
            station, demand = stations.get(point.id), demands.connectors[id]
            loads.append(_connector(point, connector, outlets[id], demand, limits[id], station, now))
    return [
        replace(load, need=_need((decided.get(load.id) or limits[load.id]).need, site, now)) for load in loads
    ]


def _shedding_words(config: SiteConfig, decision: Decision) -> list[str]:
    if not decision.load_shedding or config.load_shedding is None:
        return []
    limit_a = config.load_shedding.limit_a
    return [f"Load shedding: charging is {f'limited to {limit_a:g} A' if limit_a else 'paused'}"]


def _device_words(health: list[DeviceSnapshot]) -> list[str]:
    return [f"{d.label}: {d.problem}" for d in health if d.problem and d.kind != "charge_point"]


def _undescribed_words(undescribed: Sequence[tuple[str, int]]) -> list[str]:
    return [
        f"{identity}: connector {number} charges and is not in the site's description: it is not limited"
        for identity, number in undescribed
    ]


def _vehicle_words(loads: list[LoadSnapshot]) -> list[str]:
    telling = [load for load in loads if load.state == "needs_hand" or load.reason_code in STOPPED]
    return [f"{load.name}: {load.reason}" for load in telling]


def _without_idle_watts(loads: list[LoadSnapshot], measured: MeasuredPower) -> list[LoadSnapshot]:
    """Take back expected watts that the meters rule out: a boiler that is hot is on and draws nothing.

    With a meter on the roof the house cannot consume less than nothing. What is missing is taken from the
    loads whose power is only expected, in proportion.
    """
    house_w = _house_w(measured, sum(load.power_w for load in loads))
    expected_w = sum(load.power_w for load in loads if not load.power_is_measured)
    if house_w is None or house_w >= 0 or measured.pv_w is None or expected_w <= 0:
        return loads
    share = max(0.0, 1 + house_w / expected_w)
    return [load if load.power_is_measured else replace(load, power_w=load.power_w * share) for load in loads]


def _house_w(measured: MeasuredPower, controlled_w: float) -> float | None:
    """What is consumed and not controlled: the balance at the grid connection point. [W]"""
    if measured.grid_w is None:
        return None
    return measured.grid_w - controlled_w - (measured.pv_w or 0.0) - (measured.battery_w or 0.0)


def _need(need: NeedProgress | None, site: Site, now: datetime) -> NeedSnapshot | None:
    if need is None:
        return None
    scale = 1000 if need.is_energy else 3600
    return NeedSnapshot(
        text=need_in_words(need, now, site.timezone),
        due_at=need.due_at,
        unit="kWh" if need.is_energy else "h",
        wanted=need.wanted / scale,
        got=need.got / scale,
        short=need.short / scale,
        forced=need.forced,
    )


def _appliance(
    config: ApplianceConfig,
    appliance: Appliance,
    demand: ApplianceDemand,
    decision: ApplianceDecision,
    problem: str | None,
) -> LoadSnapshot:
    on = demand.on or frozenset()
    state: LoadState
    if problem is not None or demand.on is None:
        state = "fault"
    elif on:
        state = "on"
    else:
        state = "off" if appliance.mode in OFF_MODES else "waiting"
    return LoadSnapshot(
        id=config.id,
        name=config.name or config.id,
        kind=config.kind,
        mode=appliance.mode.value,
        modes=get_args(ApplianceMode),
        state=state,
        power_w=_power_w(appliance, demand, decision),
        power_is_measured=demand.power_w is not None,
        reason=problem or decision.reason.text,
        reason_code="relay_fault" if problem else decision.reason.code,
        figures=decision.reason.figures,
        steps_on=tuple(e.id for e in appliance.elements if e.id in on),
        steps=tuple(e.id for e in appliance.elements),
    )


def _power_w(appliance: Appliance, demand: ApplianceDemand, decision: ApplianceDecision) -> float:
    """Measured; else what was learnt of the steps that are on; else what the description says. [W]"""
    if demand.power_w is not None:
        return demand.power_w
    if demand.on is not None and demand.on == decision.on:
        return decision.power_w
    return expected_power_w(appliance, demand.on or frozenset())


def expected_power_w(appliance: Appliance, on: frozenset[str]) -> float:
    """What flows when exactly these elements are closed, by the description. [W]"""
    for joint in appliance.joint_states:
        if joint.elements == on:
            return joint.power_w
    return sum(e.power_w for e in appliance.elements if e.id in on)


def _connector(
    point: ChargePointConfig,
    connector: ConnectorConfig,
    outlet: Connector,
    demand: ConnectorDemand,
    decision: ConnectorDecision,
    station: Station | None,
    now: datetime,
) -> LoadSnapshot:
    live = station.connectors.get(connector.id) if station else None
    name = point.name or point.id
    state = STATES.get(demand.state) or _at_rest(demand, decision)
    if decision.reason.code == "not_begun_anew":
        state = "needs_hand"
    charging = demand.state is ConnectorState.CHARGING
    power_w = demand.power_w if demand.power_w is not None else (decision.power_w if charging else 0.0)
    starting = live.starting if live and demand.state is ConnectorState.PLUGGED else None
    if starting is not None and starting.endswith("needs a hand"):
        state = "needs_hand"
    problem = live.setpoint_problem if live and decision.reason.code not in STOPPED else None
    transaction = live.transaction if live else None
    return LoadSnapshot(
        id=f"{point.id}/{connector.id}",
        name=name if len(point.connectors) == 1 else f"{name} {connector.id}",
        kind="connector",
        mode=outlet.mode.value,
        modes=get_args(ConnectorMode),
        state=state,
        power_w=power_w,
        power_is_measured=demand.power_w is not None,
        reason=starting or (f"limit not accepted: {problem}" if problem else decision.reason.text),
        reason_code="starting" if starting else "limit_refused" if problem else decision.reason.code,
        figures=decision.reason.figures,
        setpoint_a=decision.limit_a,
        offered_a=demand.offered_a,
        limit_state=live.following.state if live and transaction else None,
        limit_words=(live.overruled or in_words(live.following, now)) if live and transaction else None,
        current_a=_site_phases(demand.current_a, outlet),
        session_wh=transaction.energy_wh if transaction else None,
        id_tag=transaction.id_tag if transaction else None,
        transaction_id=transaction.id if transaction else None,
        phase_count=decision.phase_count,
    )


def _at_rest(demand: ConnectorDemand, decision: ConnectorDecision) -> LoadState:
    """Of a vehicle with a transaction that takes nothing."""
    if (state := STATES_BY_REASON.get(decision.reason.code)) is not None:
        return state
    if decision.limit_a > 0:
        return "offered"
    return "paused" if demand.delivered_wh >= CHARGED_WH else "waiting"


def _site_phases(current_a: PhaseTriple | None, outlet: Connector) -> PhaseTriple | None:
    """The station's own L1, L2, L3 are the site's phases in the order the connector is wired to."""
    if current_a is None:
        return None
    wired = dict(zip(outlet.phases, current_a, strict=False))
    return wired.get(0, 0.0), wired.get(1, 0.0), wired.get(2, 0.0)


def _station(point: ChargePointConfig, station: Station | None, now: datetime) -> DeviceSnapshot:
    connected = station is not None and station.connected
    seen_at = station.last_seen_at if station else None
    return DeviceSnapshot(
        id=point.id,
        kind="charge_point",
        label=point.name or point.id,
        ok=connected,
        age_s=(now - seen_at).total_seconds() if seen_at else None,
        problem=None if connected else "not connected",
    )
