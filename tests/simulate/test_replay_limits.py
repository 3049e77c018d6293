"""Battery, load shedding, import limit and phases in a replay of measurements."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from replay_builders import Replay, boiler, make_site, station

from csms.domain.site import SiteConfig
from csms.errors import InvalidInput

ACCU = {"id": "accu", "role": "battery", "driver": "modbus", "model": "eastron_sdm630", "host": "192.0.2.7"}


def site_with(base: SiteConfig, **changes: Any) -> SiteConfig:
    return SiteConfig.model_validate({**base.model_dump(by_alias=True), **changes})


def house_with_battery(**battery: Any) -> SiteConfig:
    base = make_site([boiler(min_on_min=0)])
    return site_with(base, meter=[ACCU], battery=battery)


def test_loads_first_or_battery_first_makes_the_difference(replayed: Replay) -> None:
    sun_w = [2700.0] * 120
    size = {"capacity_kwh": 10, "max_w": 3000}
    loads = replayed(house_with_battery(policy="loads_first", **size), sun_w)
    assert sum(loads.column("boiler_w")) == pytest.approx(2000 * 119, rel=0.02)
    assert loads.column("battery_w")[-1] == pytest.approx(500)
    battery = replayed(house_with_battery(policy="battery_first", **size), sun_w)
    assert sum(battery.column("boiler_w")) == 0
    assert battery.column("battery_w")[-1] == pytest.approx(2500)


def test_the_boiler_is_not_fed_from_the_battery_through_clouds(replayed: Replay) -> None:
    """Each cloud takes it by surprise for a minute, never for two."""
    sun_w = [3300.0 if (minute // 10) % 2 == 0 else 400.0 for minute in range(200)]
    house = house_with_battery(policy="loads_first", capacity_kwh=10, max_w=5000)
    run = replayed(house, sun_w)
    fed = [b > 0 and a < -200 for a, b in zip(run.column("battery_w"), run.column("boiler_w"), strict=True)]
    assert any(fed)
    assert not any(one and other for one, other in pairwise(fed))


def test_a_battery_of_unknown_size_is_left_out_and_that_is_said(replayed: Replay) -> None:
    run = replayed(house_with_battery(policy="loads_first"), [1300.0] * 10)
    assert "The battery is left out: [battery] does not tell capacity_kwh and max_w." in run.result.notes
    assert run.column("boiler_w")[-1] == 1000


SHEDDING = {"input": "io1/4", "limit_a": 6, "off": ["water_heater"]}


def test_the_operator_sheds_load_from_noon_for_half_an_hour(replayed: Replay) -> None:
    base = make_site([boiler(mode="on")], [station(mode="full")])
    site = site_with(base, load_shedding=SHEDDING)
    sessions = [("CP1", 0, 100, 30.0, 16.0, 1)]
    run = replayed(site, [0.0] * 90, sessions=sessions, load_shedding="12:10-12:40")
    offered = run.column("CP1/1_offered_a")
    assert (offered[9], offered[10], offered[39], offered[40]) == (16, 6, 6, 16)
    heating = run.column("boiler_w")
    assert (heating[9], heating[10], heating[39], heating[40]) == (3000, 0, 0, 3000)


@pytest.mark.parametrize("text", ["noon", "12:00", "12:00-25:00"])
def test_a_span_that_is_none_is_refused(replayed: Replay, text: str) -> None:
    site = site_with(make_site([boiler()]), load_shedding=SHEDDING)
    with pytest.raises(InvalidInput, match="17:00-18:30"):
        replayed(site, [0.0] * 5, load_shedding=text)


def test_a_site_without_the_input_sheds_nothing(replayed: Replay) -> None:
    with pytest.raises(InvalidInput, match="load_shedding"):
        replayed(make_site([boiler()]), [0.0] * 5, load_shedding="12:00-13:00")


def test_from_three_phases_to_one_as_the_sun_sinks(replayed: Replay) -> None:
    cp = station(phases=["L1", "L2", "L3"], phase_switching=True)
    sun_w = [8000.0 - 45 * minute for minute in range(170)]
    run = replayed(make_site([], [cp]), sun_w, sessions=[("CP1", 0, 170, 60.0, 16.0, 3)])
    watts, offered = run.column("CP1/1_w"), run.column("CP1/1_offered_a")
    per_a = [round(w / a / 230) for w, a in zip(watts, offered, strict=True) if w > 0 and a > 0]
    changes = sum(a != b for a, b in pairwise(per_a))
    assert (per_a[0], per_a[-1], changes) == (3, 1, 1)


def test_an_import_limit_binds_a_full_car(replayed: Replay) -> None:
    base = make_site([], [station(mode="full")])
    site = site_with(base, site={**base.site.model_dump(), "import_limit_w": 3000})
    run = replayed(site, [0.0] * 30, 1000, sessions=[("CP1", 0, 30, 30.0, 16.0, 1)])
    assert set(run.column("CP1/1_offered_a")[2:]) == {8}


def test_a_hot_boiler_gives_its_watts_away(replayed: Replay) -> None:
    """It has no meter of its own: its missing step tells."""
    one = boiler(steps=[{"relays": ["io1/1"], "power_w": 2000, "phases": ["L1"]}], min_on_min=0)
    site = make_site([one], [station(phases=["L2"])])
    run = replayed(
        site, [3700.0] * 120, 200, sessions=[("CP1", 10, 120, 30.0, 16.0, 1)], daily_kwh={"boiler": 1.0}
    )
    assert run.column("CP1/1_w")[-1] == 3450
    assert run.column("grid_w")[-1] <= 0
