"""A site in words, as a commissioning record lists it: fuses, devices, loads and stations. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from csms.domain.device_config import BusAddress, MeterConfig
from csms.domain.site import (
    ApplianceConfig,
    ChargePointConfig,
    CircuitConfig,
    NoNeutralRelays,
    SiteConfig,
    safe_currents,
)


@dataclass(frozen=True, slots=True)
class Part:
    """kind: "circuit", "meter", …; described: what the site file says of it."""

    kind: str
    id: str
    name: str
    described: str


def installation(site: SiteConfig) -> tuple[Part, ...]:
    """Every part of the site, from the house's fuse to its stations. Holds no secret."""
    return tuple(_parts(site))


def _parts(site: SiteConfig) -> Iterator[Part]:
    for circuit in site.circuit:
        yield Part("circuit", circuit.id, "", _circuit(circuit))
    for meter in site.meter:
        yield Part("meter", meter.id, meter.name or "", _meter(meter))
    for module in site.relay_module:
        yield Part("relay module", module.id, module.name or "", _address(module))
    if (shedding := site.load_shedding) is not None:
        paused = "charging pauses" if shedding.limit_a == 0 else f"at most {shedding.limit_a:g} A charge"
        off = f", off: {', '.join(shedding.off)}" if shedding.off else ""
        yield Part("input", shedding.input, "", f"load shedding when {shedding.active}: {paused}{off}")
    for appliance in site.appliance:
        described = f"{_contacts(appliance)}; behind {appliance.circuit}; {_words(appliance.mode)}"
        yield Part("appliance", appliance.id, appliance.name or "", described)
    safe_a = safe_currents(site)
    for point in site.charge_point:
        yield Part("station", point.id, point.name or "", _station(point, safe_a))


def _words(key: str) -> str:
    return key.replace("_", " ")


def _fuse(limit_a: Sequence[float]) -> str:
    if len(set(limit_a)) == 1:
        return f"3 × {limit_a[0]:g} A"
    return ", ".join(f"L{n} {a:g} A" for n, a in enumerate(limit_a, 1))


def _circuit(circuit: CircuitConfig) -> str:
    fuse = _fuse(circuit.limit_a)
    return fuse if circuit.parent is None else f"{fuse}, behind {circuit.parent}"


def _address(device: BusAddress) -> str:
    at = device.host if device.port is None else f"{device.host}:{device.port}"
    unit = "" if device.unit is None else f" unit {device.unit}"
    return f"{device.model or device.driver}, {at}{unit}"


def _meter(meter: MeterConfig) -> str:
    role = f"{meter.role} of {meter.circuit}" if meter.circuit else meter.role
    turned = ", sign inverted" if meter.invert else ""
    phases = f", on {', '.join(meter.phases)}" if meter.phases else ""
    return f"{role}; {_address(meter)}{turned}{phases}"


def _contacts(appliance: ApplianceConfig) -> str:
    if isinstance(appliance.relays, NoNeutralRelays):
        pair = f"{appliance.relays.l1_l2} L1 to L2, {appliance.relays.l1_l3} L1 to L3"
        return f"{pair}, {appliance.full_power_w():g} W in all"
    if appliance.relays is not None:
        contacts = " and ".join(appliance.relays)
        return f"{contacts}: {appliance.full_power_w():g} W on {', '.join(appliance.phases)}"
    steps = (f"{' and '.join(s.relays)}: {s.power_w:g} W on {', '.join(s.phases)}" for s in appliance.steps)
    return "; ".join(steps)


def _station(point: ChargePointConfig, safe_a: dict[tuple[str, int], float]) -> str:
    told = []
    for connector in point.connectors:
        alone = safe_a[point.id, connector.id]
        silent = f"{alone:g} A" if alone else "nothing"
        told.append(
            f"connector {connector.id}: {', '.join(connector.phases)}, {connector.min_a:g} to "
            f"{connector.max_a:g} A, {silent} while the central system is silent; {_words(connector.mode)}"
        )
    return f"behind {point.circuit}; {'; '.join(told)}"
