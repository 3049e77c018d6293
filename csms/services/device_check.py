"""What a site says of its devices, held against what the drivers know. Opens nothing."""

from __future__ import annotations

from collections.abc import Iterator

from csms.domain.site import BusAddress, Fault, SiteConfig
from drivers.catalogue import Kind, check_config, check_input_number, check_relay_number, modbus_address
from drivers.device import DeviceConfigError


def device_faults(site: SiteConfig) -> list[Fault]:
    """Unknown models and framings, relays a module does not have, one line in two framings or speeds."""
    unknown = list(_unknown_devices(site))
    return unknown or [*_missing_relays(site), *_missing_inputs(site), *_shared_addresses(site)]


def _devices(site: SiteConfig) -> Iterator[tuple[Kind, int, BusAddress]]:
    yield from (("meter", i, meter) for i, meter in enumerate(site.meter))
    yield from (("relay_module", i, module) for i, module in enumerate(site.relay_module))


def _unknown_devices(site: SiteConfig) -> Iterator[Fault]:
    for kind, i, device in _devices(site):
        try:
            check_config(kind=kind, driver=device.driver, model=device.model, framing=device.framing)
        except DeviceConfigError as error:
            yield (kind, i, error.field), error.value, error.expected


def _missing_relays(site: SiteConfig) -> Iterator[Fault]:
    modules = {module.id: module for module in site.relay_module}
    for i, appliance in enumerate(site.appliance):
        for reference in appliance.relay_refs():
            id, number = reference.split("/")
            module = modules[id]
            try:
                check_relay_number(module.model, int(number), module.driver, module.relay_count())
            except DeviceConfigError as error:
                key = "steps" if appliance.steps else "relays"
                yield ("appliance", i, key), reference, f"{error.expected}"


def _missing_inputs(site: SiteConfig) -> Iterator[Fault]:
    if site.load_shedding is None:
        return
    module_id, number = site.load_shedding.input.split("/")
    module = next(m for m in site.relay_module if m.id == module_id)
    try:
        check_input_number(module.model, int(number), module.driver)
    except DeviceConfigError as error:
        yield ("load_shedding", "input"), site.load_shedding.input, error.expected


def _shared_addresses(site: SiteConfig) -> Iterator[Fault]:
    """Devices at one host and port hang on one converter, which speaks one framing at one speed."""
    first: dict[tuple[str, int], tuple[str, str]] = {}
    speeds: dict[tuple[str, int], tuple[int, str]] = {}
    for kind, i, device in _devices(site):
        address = modbus_address(
            kind=kind, driver=device.driver, model=device.model, port=device.port, framing=device.framing
        )
        if address is None:
            continue
        port, framing = address
        place = f"{device.host}:{port}"
        taken, by = first.setdefault((device.host, port), (framing, device.id))
        if framing != taken:
            yield (kind, i, "framing"), framing, f"{taken}, as {by!r} at the same {place} has it,"
        if device.baud is None:
            continue
        if framing == "tcp":
            yield (kind, i, "baud"), device.baud, "none, since a Modbus TCP gateway paces its line itself,"
        speed, by = speeds.setdefault((device.host, port), (device.baud, device.id))
        if device.baud != speed:
            yield (kind, i, "baud"), device.baud, f"{speed}, as {by!r} at the same {place} has it,"
