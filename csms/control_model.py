"""A described site as the optimizer sees it: elements with watts and amperes, modes, windows, dwell times.

Element ids: steps are "1", "2", … in the order of the site file; a heater without a neutral has
"l1_l2" and "l1_l3"; SG-Ready contacts are "1" (recommendation) and "2" (forced).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from csms.domain.phase_rotation import phase_order
from csms.domain.site import (
    ApplianceConfig,
    ChargePointConfig,
    ConnectorConfig,
    NeedConfig,
    NoNeutralRelays,
    SiteConfig,
    VehicleNeedConfig,
    WindowConfig,
    parse_days,
    parse_time,
)
from csms.domain.station_facts import NOTHING_TOLD, StationFacts
from csms.response import PRESETS, Preset
from optimizer import model

PHASE_INDEX = {"L1": 0, "L2": 1, "L3": 2}
SG_READY_DWELL_S = 20 * 60  # heat pump controllers allow about three starts an hour

Modes = Mapping[str, tuple[str, Any]]
"""load id -> (mode, manual): element ids for an appliance, a current [A] for a connector."""


def control_site(
    config: SiteConfig,
    modes: Modes | None = None,
    vehicle_min_a: Mapping[str, float] | None = None,
    stations: Mapping[str, StationFacts] | None = None,
) -> model.Site:
    """Translate a site. `modes` are those set by hand; they win over the description.

    vehicle_min_a: what the vehicle at a connector needs, where that is known. [A] stations: by identity.
    """
    modes, vehicle_min_a, stations = modes or {}, vehicle_min_a or {}, stations or {}
    preset = PRESETS[config.site.response]
    return model.Site(
        id=config.site.id,
        timezone=config.site.timezone,
        voltage_v=config.site.voltage_v,
        circuits=tuple(
            model.Circuit(c.id, c.parent, _triple(c.limit_a), metered=c.id in _metered_circuits(config))
            for c in config.circuit
        ),
        battery=_battery(config),
        load_shedding=_load_shedding(config),
        import_limit_w=config.site.import_limit_w,
        appliances=tuple(
            _appliance(a, config.site.voltage_v, modes.get(a.id), preset) for a in config.appliance
        ),
        connectors=tuple(
            _connector(
                point,
                connector,
                modes.get(f"{point.id}/{connector.id}"),
                vehicle_min_a.get(f"{point.id}/{connector.id}", 0.0),
                stations.get(point.id, NOTHING_TOLD),
                preset,
            )
            for point in config.charge_point
            for connector in point.connectors
        ),
        response=preset.response,
    )


def with_undescribed(site: model.Site, seen: Collection[tuple[str, int]]) -> model.Site:
    """The site with connectors that its description leaves out. seen: (identity, connector).

    Nobody limits them: each is thought to take as much as the largest that is described of its station.
    """
    found = []
    for identity, number in seen:
        of_station = [c for c in site.connectors if c.id.rpartition("/")[0] == identity]
        largest = max(of_station, key=lambda c: (len(c.phases), c.max_a))
        found.append(replace(largest, id=f"{identity}/{number}", min_a=largest.max_a, needs=()))
    return replace(site, connectors=(*site.connectors, *found))


def _battery(config: SiteConfig) -> model.BatteryRule | None:
    """A battery that is measured and not spoken of comes first, as it does by itself."""
    if (battery := config.battery) is not None:
        policy = model.BatteryPolicy(battery.policy)
        return model.BatteryRule(policy, battery.soc_pct or 0.0)
    measured = any(meter.role == "battery" for meter in config.meter)
    return model.BatteryRule(model.BatteryPolicy.BATTERY_FIRST, 0.0) if measured else None


def _load_shedding(config: SiteConfig) -> model.LoadShedding | None:
    if (shedding := config.load_shedding) is None:
        return None
    off = frozenset(a.id for a in config.appliance if a.kind in shedding.off)
    return model.LoadShedding(shedding.limit_a, off)


def _metered_circuits(config: SiteConfig) -> set[str]:
    """The only root if there is a grid meter, and the circuits that have a zone meter."""
    roots = [c.id for c in config.circuit if c.parent is None]
    metered = {m.circuit for m in config.meter if m.role == "zone" and m.circuit is not None}
    if len(roots) == 1 and any(m.role == "grid" for m in config.meter):
        metered.add(roots[0])
    return metered


def element_relays(appliance: ApplianceConfig) -> dict[str, tuple[str, ...]]:
    """Which relays close for each element: {"1": ("io1/1",), …}."""
    if isinstance(appliance.relays, NoNeutralRelays):
        return {"l1_l2": (appliance.relays.l1_l2,), "l1_l3": (appliance.relays.l1_l3,)}
    if appliance.relays is not None:
        return {str(n): (relay,) for n, relay in enumerate(appliance.relays, 1)}
    return {str(n): tuple(step.relays) for n, step in enumerate(appliance.steps, 1)}


def _appliance(
    a: ApplianceConfig, voltage_v: float, by_hand: tuple[str, Any] | None, preset: Preset
) -> model.Appliance:
    mode, manual = by_hand or (a.mode, None)
    elements, joint_states = _states(a, voltage_v)
    dwell_s = SG_READY_DWELL_S if a.kind == "sg_ready" else 0
    min_on_s = preset.min_on_s(a.kind) if a.min_on_min is None else a.min_on_min * 60
    return model.Appliance(
        id=a.id,
        circuit=a.circuit,
        mode=model.Mode(mode),
        elements=elements,
        joint_states=joint_states,
        windows=_windows(a.windows),
        min_on_s=max(min_on_s, dwell_s),
        min_off_s=max(a.min_off_min * 60, dwell_s),
        switching_cost_w=preset.appliance_cost_w,
        manual_on=frozenset(manual or ()),
        priority=a.priority,
        needs=_needs(a.need),
        max_starts_per_hour=a.max_starts_per_hour,
        max_starts_per_day=a.max_starts_per_day,
    )


def _states(
    a: ApplianceConfig, voltage_v: float
) -> tuple[tuple[model.Element, ...], tuple[model.JointState, ...]]:
    if a.kind == "water_heater_no_neutral":
        return _no_neutral_states(a.rated_power_w or 0.0, voltage_v)
    if a.kind == "sg_ready":
        return _sg_ready_states(a, voltage_v)
    elements = tuple(
        model.Element(str(n), step.power_w, _currents(step.power_w, step.phases, voltage_v))
        for n, step in enumerate(a.steps, 1)
    )
    return elements, ()


def _no_neutral_states(
    rated_w: float, voltage_v: float
) -> tuple[tuple[model.Element, ...], tuple[model.JointState, ...]]:
    """Two lines in series see 400 V: half the rated power at √3/2 of the rated line current."""
    full_a = rated_w / 3 / voltage_v
    half_a = full_a * 3**0.5 / 2
    pairs = {"l1_l2": (half_a, half_a, 0.0), "l1_l3": (half_a, 0.0, half_a)}
    elements = tuple(model.Element(name, rated_w / 2, amps) for name, amps in pairs.items())
    joint_states = (
        model.JointState(frozenset(), 0.0, model.NO_CURRENT),
        *(model.JointState(frozenset({e.id}), e.power_w, e.current_a) for e in elements),
        model.JointState(frozenset(pairs), rated_w, (full_a, full_a, full_a)),
    )
    return elements, joint_states


def _sg_ready_states(
    a: ApplianceConfig, voltage_v: float
) -> tuple[tuple[model.Element, ...], tuple[model.JointState, ...]]:
    """Contacts (second, first): 00 normal, 01 recommended, 11 forced. 10 would block the heat pump."""
    power_w = a.power_w or 0.0
    amps = _currents(power_w, a.phases, voltage_v)
    first = model.Element("1", power_w, amps)
    if len(a.relay_refs()) == 1:
        return (first,), ()
    second = model.Element("2", 0.0, model.NO_CURRENT)
    return (first, second), (
        model.JointState(frozenset(), 0.0, model.NO_CURRENT),
        model.JointState(frozenset({"1"}), power_w, amps),
        model.JointState(frozenset({"1", "2"}), power_w, amps),
    )


def _connector(
    point: ChargePointConfig,
    c: ConnectorConfig,
    by_hand: tuple[str, Any] | None,
    vehicle_min_a: float,
    facts: StationFacts,
    preset: Preset,
) -> model.Connector:
    mode, manual = by_hand or (c.mode, None)
    return model.Connector(
        id=f"{point.id}/{c.id}",
        circuit=point.circuit,
        phases=tuple(
            PHASE_INDEX[p]
            for p in phase_order(c.phases, None if c.phase_rotation else facts.rotation.get(c.id))
        ),
        min_a=min(max(c.min_a, vehicle_min_a), c.max_a),
        max_a=c.max_a,
        step_a=c.step_a,
        mode=model.Mode(mode),
        windows=_windows(c.windows),
        modulates=c.modulates,
        min_on_s=preset.connector_min_on_s,
        min_off_s=preset.connector_min_off_s,
        switching_cost_w=preset.connector_cost_w,
        manual_a=float(manual or 0.0),
        priority=c.priority,
        phase_switching=c.phase_switching,
        needs=_needs(c.need),
        start_s=c.start_at_plug_in_min * 60,
        wake_by=tuple(step for step in point.wake_by if step not in facts.never_wake_by),
        pauses=facts.pauses,
        max_starts_per_hour=c.max_starts_per_hour,
        max_starts_per_day=c.max_starts_per_day,
    )


def _windows(windows: Sequence[WindowConfig]) -> tuple[model.Window, ...]:
    return tuple(model.Window(parse_days(w.days), parse_time(w.start), parse_time(w.end)) for w in windows)


def _needs(needs: Sequence[VehicleNeedConfig]) -> tuple[model.Need, ...]:
    return tuple(
        model.Need(
            parse_time(need.until),
            need.due_days(),
            None if need.energy_kwh is None else need.energy_kwh * 1000,
            need.run_s() if isinstance(need, NeedConfig) else None,
        )
        for need in needs
    )


def _currents(power_w: float, phases: Sequence[str], voltage_v: float) -> model.PhaseTriple:
    amps = power_w / len(phases) / voltage_v
    return _triple([amps if name in phases else 0.0 for name in PHASE_INDEX])


def _triple(values: Sequence[float]) -> model.PhaseTriple:
    first, second, third = values
    return first, second, third
