"""Devices in the site file that are not Modbus: what an installer may write, and what is refused."""

from __future__ import annotations

import pytest

from csms.site_file import SiteFileError, read_site, write_site

SITE = """
[site]
id = "home"
name = "Sonnenweg 4"
timezone = "Europe/Zurich"

[[circuit]]
id = "main"
limit_a = [40, 40, 40]

[[meter]]
id = "grid"
role = "grid"
driver = "mqtt"
host = "192.0.2.5"
user = "csms"
password = "env:DEVICE_BROKER"
tls = true
topics = {power = {topic = "tele/grid", path = "ENERGY.Power"}, import = {topic = "t", unit = "kWh"}}

[[meter]]
id = "sun"
role = "pv"
driver = "sunspec"
model = "inverter"
host = "192.0.2.6"
port = 1502

[[meter]]
id = "flat"
role = "load"
driver = "shelly"
host = "192.0.2.7"
phases = ["L3", "L1", "L2"]

[[relay_module]]
id = "boiler"
driver = "tasmota"
host = "192.0.2.5"
topic = "boiler"
relays = 2

[[relay_module]]
id = "home"
driver = "mqtt"
host = "192.0.2.5"
switches = [{command = "heater/set", state = "heater/state"}]

[[appliance]]
id = "boiler"
kind = "water_heater"
circuit = "main"
steps = [{relays = ["boiler/2"], power_w = 1000}, {relays = ["home/1"], power_w = 2000}]
"""


def test_every_kind_of_device_is_read_and_written_back() -> None:
    site = read_site(SITE)
    assert read_site(write_site(site)) == site


@pytest.mark.parametrize(
    ("written", "instead", "message"),
    [
        ('"env:DEVICE_BROKER"', '"sunny side"', "should match pattern"),
        ('"env:DEVICE_BROKER"', '"env:CSMS_DATABASE_URL"', "should match pattern"),
        ('"env:DEVICE_BROKER"', '"file:../../etc/shadow"', "should match pattern"),
        ('path = "ENERGY.Power"', 'unit = "MW"', "'W', 'kW'"),
        ("{power = {topic", "{frequency = {topic", "needs topics = {power"),
        ('topic = "tele/grid"', 'topic = "tele/+"', "should match pattern"),
        ('model = "inverter"', 'model = "eastron_sdm630"', '"meter", "inverter", "dc"'),
        ('host = "192.0.2.7"', 'host = "192.0.2.7"\nmodel = "pro_3em"', "finds it out itself"),
        ('phases = ["L3", "L1", "L2"]', 'phases = ["L3", "L3"]', "each phase at most once"),
        ('topic = "boiler"\n', "", "tasmota needs topic"),
        ('"boiler/2"', '"boiler/3"', "a number from 1 to 2"),
        ('"home/1"', '"home/2"', "a number from 1 to 1"),
        ('driver = "shelly"', 'driver = "knx"', "'modbus'"),
        ('switches = [{command = "heater/set", state = "heater/state"}]\n', "", "needs switches"),
    ],
)
def test_a_fault_is_told_with_its_line(written: str, instead: str, message: str) -> None:
    assert written in SITE
    with pytest.raises(SiteFileError) as refused:
        read_site(SITE.replace(written, instead, 1))
    told = [str(fault) for fault in refused.value.faults]
    assert any(message in fault for fault in told), told
    assert all(fault.startswith("line ") for fault in told), told
