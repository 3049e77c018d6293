"""What an installer writes into the site file, right and wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from csms.domain.site import SiteConfig, parse_days, safe_currents
from csms.domain.write_pace import WritePace
from csms.site_file import SiteFileError, read_site, write_site

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.toml"))
HOUSE = (Path(__file__).parents[2] / "examples" / "house.toml").read_text()


def faults(text: str) -> list[str]:
    with pytest.raises(SiteFileError) as refused:
        read_site(text)
    return [str(fault) for fault in refused.value.faults]


def line_of(text: str, part: str) -> int:
    return next(n for n, line in enumerate(text.splitlines(), 1) if part in line)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_examples_read_and_write_back_to_the_same_site(path: Path) -> None:
    site = read_site(path.read_text())
    assert read_site(write_site(site)) == site


@pytest.mark.parametrize(
    ("written", "instead", "message"),
    [
        ('timezone = "Europe/Zurich"', 'timezone = "Europe/Bern"', "an IANA time zone"),
        (
            "control_interval_s = 60",
            "control_interval_s = 900",
            "control_interval_s = 900: at most 225 s expected",
        ),
        (
            "control_interval_s = 60",
            "control_interval_s = 225.5",
            "control_interval_s = 225.5: at most 225 s",
        ),
        ("control_interval_s = 60", "control_interval_s = inf", "finite number"),
        ("control_interval_s = 60", "control_interval_s = 0", "greater than or equal to 1"),
        ("limit_a = [40, 40, 40]", "limit_a = [40, 40]", "at least 3 items"),
        ("limit_a = [40, 40, 40]", 'limit_a = [40, 40, "much"]', "valid number"),
        ("limit_a = [40, 40, 40]", "limit_a = [40, 40, nan]", "finite number"),
        ('model = "eastron_sdm630"', 'model = "eastron_630"', "eastron_630"),
        ('role = "grid"', 'role = "net"', "'grid', 'pv'"),
        ("unit = 1\n\n[[meter]]", "unti = 1\n\n[[meter]]", "unknown key"),
        ("min_on_min = 10", "min_on_min = -1", "greater than or equal to 0"),
        ('mode = "solar_and_timer"', 'mode = "sun"', "'off', 'on', 'solar_only'"),
        ("windows = [{days", "windos = [{days", "unknown key"),
        ('from = "02:00"', 'from = "2 am"', 'a time such as "02:30" expected'),
        ('days = "mon-sun"', 'days = "mon-son"', 'days such as "mon-fri,sun" expected'),
        ('{relays = ["io1/2"]', '{relays = ["io1/1"]', "a relay that 'boiler' does not use already"),
        ('{relays = ["io1/2"]', '{relays = ["io9/2"]', "a relay of one of the modules"),
        ('id = "CP1"\nname = "Garage"\ncircuit = "main"', 'id = "CP1"\ncircuit = "cellar"', "cellar"),
        ("min_a = 6", "min_a = 5", "min_a of at least 6 A expected"),
        ("max_a = 16", "max_a = 5", "max_a of at least min_a (6 A) expected"),
        ("port = 15021", "port = 70000", "65535"),
        ("voltage_v = 230", 'response = "brisk"', "'calm', 'balanced' or 'eager'"),
        ("min_on_min = 10", "max_starts_per_hour = 0", "greater than or equal to 1"),
        ("min_on_min = 10", "max_starts_per_day = 2.5", "valid integer"),
        ("min_a = 6", "min_a = 6, max_starts_per_hour = true", "valid integer"),
        ("voltage_v = 230", 'voltage_v = "230"', "valid number"),
        ("limit_a = [40, 40, 40]", 'limit_a = [40, "40", 40]', "valid number"),
        ("port = 15021", 'port = "15021"', "valid integer"),
        ("unit = 1\n\n[[meter]]", "unit = 1.0\n\n[[meter]]", "valid integer"),
        ('role = "grid"', 'role = "grid"\ninvert = "no"', "valid boolean"),
        ('role = "grid"', 'role = "grid"\ninvert = 1', "valid boolean"),
    ],
)
def test_a_fault_is_told_with_its_line(written: str, instead: str, message: str) -> None:
    assert written in HOUSE
    text = HOUSE.replace(written, instead, 1)
    told = faults(text)
    assert any(message in fault for fault in told), told
    assert all(fault.startswith("line ") for fault in told), told


def test_the_longest_interval_renews_a_limit_twice_before_its_dead_man_is_over() -> None:
    site = read_site(HOUSE.replace("control_interval_s = 60", "control_interval_s = 225"))
    interval_s, dead_man_s = site.site.control_interval_s, WritePace().dead_man_s
    decisions_s = [n * interval_s for n in range(1, 10)]
    assert len([at_s for at_s in decisions_s if dead_man_s / 2 <= at_s < dead_man_s]) == 2


def test_a_table_that_there_is_not_is_told_with_its_line() -> None:
    text = HOUSE + '\n[[charger]]\nid = "CP2"\n\n[weather]\nplace = "Bern"\n'
    assert faults(text) == [
        f'line {line_of(text, "[[charger]]")}: charger = [{{"id": "CP2"}}]: unknown key',
        f'line {line_of(text, "[weather]")}: weather = {{"place": "Bern"}}: unknown key',
    ]


def test_the_line_is_the_one_of_the_key() -> None:
    text = HOUSE.replace('model = "wellpro_wp8024adam"', 'modell = "wellpro_wp8024adam"')
    told = faults(text)
    assert f"line {line_of(text, 'modell')}: relay_module.0.modell" in told[-1]
    assert any("relay_module.0.model = missing" in fault for fault in told)


def test_every_fault_is_told_at_once_and_nothing_is_taken() -> None:
    text = HOUSE.replace('timezone = "Europe/Zurich"', 'timezone = "Mars"').replace("min_a = 6", "min_a = 2")
    assert len(faults(text)) == 2


def test_toml_that_cannot_be_read_names_the_line() -> None:
    text = HOUSE.replace("limit_a = [40, 40, 40]", "limit_a = [40, 40, 40")
    assert faults(text)[0].startswith("line ")


def test_circuits_that_hang_on_each_other_are_refused() -> None:
    text = HOUSE.replace(
        '[[circuit]]\nid = "main"',
        '[[circuit]]\nid = "a"\nparent = "b"\nlimit_a = [1, 1, 1]\n\n'
        '[[circuit]]\nid = "b"\nparent = "a"\nlimit_a = [1, 1, 1]\n\n[[circuit]]\nid = "main"',
    )
    assert sum("a parent that is not below this circuit" in fault for fault in faults(text)) == 2


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("mon-sun", range(7)),
        ("sat,sun", [5, 6]),
        ("sat-mon", [5, 6, 0]),
        ("wed", [2]),
        ("Mon - Fri", range(5)),
    ],
)
def test_days(text: str, days: list[int]) -> None:
    assert parse_days(text) == frozenset(days)


def test_two_devices_at_one_address_have_one_framing() -> None:
    wrong = HOUSE.replace("port = 15021", "port = 15020")
    (fault,) = faults(wrong)
    relay_module = line_of(wrong, "rtu_over_tcp")
    assert fault.startswith(f"line {relay_module}: relay_module.0.framing")
    assert "tcp, as 'grid' at the same 127.0.0.1:15020 has it" in fault


def test_framings_and_ports_that_a_model_has_by_itself_count_too() -> None:
    """A module that names no framing speaks its model's first, at the port that is usual for it."""
    bare = HOUSE.replace('port = 15021\nframing = "rtu_over_tcp"\n', "port = 15020\n")
    (fault,) = faults(bare)
    assert "as 'grid' at the same 127.0.0.1:15020" in fault


def test_a_line_has_one_speed_and_a_gateway_none() -> None:
    module = 'port = 15021\nframing = "rtu_over_tcp"\n'
    slow = HOUSE.replace(module, module + "baud = 9600\n")
    assert [m.baud for m in read_site(slow).relay_module] == [9600]
    (fault,) = faults(HOUSE.replace('framing = "tcp"\n', 'framing = "tcp"\nbaud = 9600\n', 1))
    assert "meter.0.baud" in fault
    assert "a Modbus TCP gateway paces its line itself" in fault
    second = slow + (
        '[[relay_module]]\nid = "io2"\ndriver = "modbus"\nmodel = "wellpro_wp8024adam"\nhost = "127.0.0.1"\n'
        + 'port = 15021\nframing = "rtu_over_tcp"\nunit = 2\nbaud = 19200\n'
    )
    (fault,) = faults(second)
    assert "relay_module.1.baud" in fault
    assert "9600, as 'io1' at the same 127.0.0.1:15021 has it" in fault


def _garage(stations: int, limit_a: float, **connector: object) -> SiteConfig:
    return SiteConfig.model_validate(
        {
            "site": {"id": "s", "name": "s", "timezone": "UTC"},
            "circuit": [{"id": "main", "limit_a": [limit_a] * 3}],
            "charge_point": [
                {"id": f"CP{n}", "circuit": "main", "connectors": [{"id": 1, **connector}]}
                for n in range(stations)
            ],
        }
    )


@pytest.mark.parametrize(
    ("stations", "limit_a", "connector", "expected_a"),
    [
        (10, 63, {}, 6),  # ten times 6 A fit a 63 A breaker
        (11, 63, {}, 0),  # eleven do not: nobody charges while the server is away
        (2, 63, {"min_a": 8}, 8),
        (30, 63, {"safe_a": 0}, 0),
        (2, 63, {"safe_a": 10}, 10),
    ],
)
def test_a_dead_server_neither_overloads_a_fuse_nor_strands_a_driver(
    stations: int, limit_a: float, connector: dict[str, object], expected_a: float
) -> None:
    assert set(safe_currents(_garage(stations, limit_a, **connector)).values()) == {expected_a}


def test_safe_currents_that_a_fuse_cannot_carry_are_refused() -> None:
    with pytest.raises(ValueError, match="safe_a that every circuit can carry at once"):
        _garage(11, 63, safe_a=6)


def with_need(need: str) -> str:
    return HOUSE.replace("min_on_min = 10", f"min_on_min = 10\nneed = {need}", 1)


@pytest.mark.parametrize(
    "need",
    [
        '{until = "18:00", energy_kwh = 6}',
        '{until = "22:00", run_h = 4}',
        '[{days = "mon-fri", until = "06:00", run_min = 90}, {days = "sat,sun", until = "24:00", run_h = 2}]',
    ],
)
def test_needs_are_written_back(need: str) -> None:
    site = read_site(with_need(need))
    assert any(appliance.need for appliance in site.appliance)
    assert read_site(write_site(site)) == site


@pytest.mark.parametrize(
    ("need", "message"),
    [
        ('{until = "18:00"}', "one of energy_kwh, run_h and run_min expected"),
        ('{until = "18:00", energy_kwh = 6, run_h = 2}', "one of energy_kwh, run_h and run_min expected"),
        ('{until = "6 pm", energy_kwh = 6}', 'a time such as "02:30" expected'),
        ('{until = "18:00", energy_kwh = -1}', "greater than 0"),
        ('{until = "18:00", energy_kwh = 500}', "what it takes in a day"),
        ('{until = "18:00", run_h = 25}', "less than or equal to 24"),
        ('{until = "18:00", kwh = 6}', "unknown key"),
        ("6", "valid list"),
        (
            '[{until = "18:00", run_h = 1}, {days = "sun", until = "18:00", run_h = 2}]',
            "one need for 18:00 on each day expected",
        ),
    ],
)
def test_a_wrong_need_is_told_with_its_line(need: str, message: str) -> None:
    text = with_need(need)
    told = faults(text)
    assert any(message in fault for fault in told), told
    assert all(fault.startswith("line ") for fault in told), told


def test_a_vehicle_needs_an_energy() -> None:
    text = HOUSE.replace("max_a = 16", 'max_a = 16, need = {until = "07:00", run_h = 2}', 1)
    told = "\n".join(faults(text))
    assert "run_h" in told
    assert "unknown key" in told


def with_charging(station: str = "", of_connector: str = "") -> str:
    """The house, with more about its charge point."""
    head, _, connectors = HOUSE.partition("connectors = [{")
    return f"{head}{station}\nconnectors = [{{{of_connector}{connectors}"


def test_waking_and_free_start_are_written_back() -> None:
    text = with_charging(
        'start_tag = "HOUSE"\nwake_by = ["restart", "reset"]', "free_start = true, start_at_plug_in_min = 2, "
    )
    site = read_site(text)
    assert read_site(write_site(site)) == site
    (point,) = site.charge_point
    assert (point.start_tag, point.wake_by) == ("HOUSE", ["restart", "reset"])
    assert (point.connectors[0].free_start, point.connectors[0].start_at_plug_in_min) == (True, 2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (with_charging('start_tag = "a tag of more than twenty"'), "start_tag"),
        (with_charging('start_tag = "two words"'), "start_tag"),
        (with_charging('wake_by = ["kick"]'), "'restart', 'availability' or 'reset'"),
        (with_charging('wake_by = ["reset", "reset"]'), "each step at most once expected"),
        (with_charging("", "start_at_plug_in_min = 90, "), "less than or equal to 60"),
        (with_charging("", 'free_start = "perhaps", '), "free_start"),
    ],
)
def test_what_is_wrong_about_charging_is_told(text: str, message: str) -> None:
    (fault,) = faults(text)
    assert message in fault
