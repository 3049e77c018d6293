"""Battery policy, load shedding, import limit, priorities and phases in the site file."""

from __future__ import annotations

from typing import Any

import pytest

from csms.control_model import control_site
from csms.domain.site import SiteConfig
from csms.site_file import SiteFileError, read_site, write_site
from optimizer import BatteryPolicy, BatteryRule, LoadShedding

HOUSE = """
[site]
id = "home"
name = "Home"
timezone = "Europe/Zurich"
{site}
[[circuit]]
id = "main"
limit_a = [40, 40, 40]
{parts}
[[meter]]
id = "grid"
role = "grid"
driver = "modbus"
model = "eastron_sdm630"
host = "192.0.2.1"
[[meter]]
id = "accu"
role = "{role}"
driver = "modbus"
model = "eastron_sdm630"
host = "192.0.2.2"
[[relay_module]]
id = "io1"
driver = "modbus"
model = "{module}"
host = "192.0.2.3"
[[appliance]]
id = "pump"
kind = "heat_pump"
circuit = "main"
steps = [{{relays = ["io1/1"], power_w = 2000}}]
priority = 3
[[charge_point]]
id = "CP1"
circuit = "main"
connectors = [{{id = 1, {connector}}}]
"""
BATTERY = '[battery]\npolicy = "by_soc"\nsoc_pct = 70\n'
SHEDDING = '[load_shedding]\ninput = "io1/2"\nactive = "open"\nlimit_a = 6\noff = ["heat_pump"]\n'


def house(**parts: str) -> SiteConfig:
    return read_site(text(**parts))


def text(**parts: str) -> str:
    usual = {
        "site": "",
        "parts": "",
        "role": "battery",
        "module": "wellpro_wp8024adam",
        "connector": 'phases = ["L2"]',
    }
    return HOUSE.format(**usual | parts)


def faults(**parts: str) -> list[str]:
    with pytest.raises(SiteFileError) as refused:
        house(**parts)
    return [f"{fault.key}: {fault.expected}" for fault in refused.value.faults]


def test_everything_is_written_out_and_read_back() -> None:
    connector = 'phase_rotation = "STR", phase_switching = true, priority = 9'
    site = house(site="import_limit_w = 9000", parts=BATTERY + SHEDDING, connector=connector)
    assert read_site(write_site(site)) == site


def test_the_optimizer_is_told() -> None:
    connector = 'phase_rotation = "STR", phase_switching = true, priority = 9'
    config = house(site="import_limit_w = 9000", parts=BATTERY + SHEDDING, connector=connector)
    site = control_site(config)
    assert site.battery == BatteryRule(BatteryPolicy.BY_SOC, 70)
    assert site.load_shedding == LoadShedding(6, frozenset({"pump"}))
    assert site.import_limit_w == 9000
    assert site.appliances[0].priority == 3
    outlet = site.connectors[0]
    assert (outlet.phases, outlet.phase_switching, outlet.priority) == ((1, 2, 0), True, 9)


def test_a_battery_that_is_only_measured_comes_first() -> None:
    assert control_site(house()).battery == BatteryRule(BatteryPolicy.BATTERY_FIRST, 0)
    assert control_site(house(role="load")).battery is None


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"parts": "[battery]\n", "role": "load"}, "battery: a meter with role battery"),
        ({"parts": '[battery]\npolicy = "by_soc"\n'}, "battery: soc_pct and policy by_soc"),
        ({"parts": "[battery]\nmax_w = 3000\n"}, "battery: capacity_kwh and max_w only"),
        ({"parts": '[battery]\npolicy = "mine"\n'}, "battery.policy: "),
        ({"parts": '[load_shedding]\ninput = "io2/1"\n'}, "load_shedding.input: an input of one of"),
        ({"parts": '[load_shedding]\ninput = "io1/9"\n'}, "load_shedding.input: "),
        ({"parts": '[load_shedding]\ninput = "io1/1"\noff = ["cars"]\n'}, "load_shedding.off.0: "),
        ({"site": "import_limit_w = -5"}, "site.import_limit_w: "),
        ({"connector": "priority = 10"}, "charge_point.0.connectors.0.priority: "),
        ({"connector": 'phase_rotation = "RSU"'}, "charge_point.0.connectors.0.phase_rotation: "),
        (
            {"connector": 'phase_rotation = "STR", phases = ["L1"]'},
            "charge_point.0.connectors.0: phases = [L2, L3, L1], or none, expected",
        ),
        (
            {"connector": 'phases = ["L1"], phase_switching = true'},
            "charge_point.0.connectors.0: three phases expected",
        ),
    ],
)
def test_what_is_wrong_is_named(parts: dict[str, Any], expected: str) -> None:
    found = faults(**parts)
    assert any(fault.startswith(expected) for fault in found), found
