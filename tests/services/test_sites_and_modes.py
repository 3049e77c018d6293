"""A site described, stored and changed by hand."""

from __future__ import annotations

import pytest
from described_home import home, reloaded
from pydantic import ValidationError

from csms.domain.site import SiteConfig
from csms.errors import InvalidInput, NotFound
from csms.services.events import EventBus
from csms.services.sites import Sites
from csms.storage.database import Database


async def test_a_site_is_the_same_after_a_restart(sites: Sites, database: Database) -> None:
    second = home(site={"id": "a-cabin", "name": "Cabin", "timezone": "Europe/Oslo"}, charge_point=[])
    await sites.apply(second)
    again = await reloaded(database)
    assert again.all() == sites.all() == [home(), second]
    assert again.get("home").model_dump(by_alias=True, exclude_unset=True) == home().model_dump(
        by_alias=True, exclude_unset=True
    )


async def test_a_mode_set_by_hand_wins_and_survives_restart_and_a_new_description(
    sites: Sites, database: Database
) -> None:
    assert sites.effective_mode("home", "boiler") == ("solar_only", None)
    await sites.set_appliance_mode("boiler", "manual", ["2"])
    await sites.set_connector_mode("cp1", 2, "manual", 10)
    await sites.set_connector_mode("CP1", 1, "full", None)
    await sites.apply(home(site={"id": "home", "name": "New name", "timezone": "Europe/Zurich"}))
    for known in (sites, await reloaded(database)):
        assert known.get("home").site.name == "New name"
        assert known.effective_mode("home", "boiler") == ("manual", ["2"])
        assert known.effective_mode("home", "CP1/2") == ("manual", 10)
        assert known.effective_mode("home", "CP1/1") == ("full", None)


async def test_the_mode_of_a_load_that_is_gone_is_forgotten(sites: Sites, database: Database) -> None:
    await sites.set_connector_mode("CP1", 2, "off", None)
    await sites.apply(home(charge_point=[]))
    await sites.apply(home())
    assert sites.effective_mode("home", "CP1/2") == ("solar_only", None)
    assert (await reloaded(database)).effective_mode("home", "CP1/2") == ("solar_only", None)


async def test_changes_are_told(sites: Sites, events: EventBus) -> None:
    async with events.subscribe() as heard:
        await sites.set_appliance_mode("boiler", "off", None)
        await sites.apply(home())
        await sites.remove("home")
        told = [heard.get_nowait() for _ in range(3)]
    assert [(event.kind, event.data["site_id"]) for event in told] == [
        ("load.mode", "home"),
        ("site.changed", "home"),
        ("site.changed", "home"),
    ]
    assert sites.all() == []


async def test_a_removed_site_is_gone_after_a_restart(sites: Sites, database: Database) -> None:
    await sites.set_appliance_mode("boiler", "off", None)
    await sites.remove("home")
    with pytest.raises(NotFound):
        (await reloaded(database)).get("home")


async def test_a_station_belongs_to_one_site(sites: Sites) -> None:
    rival = home(
        site={"id": "rival", "name": "R", "timezone": "Europe/Zurich"},
        charge_point=[{"id": "cp1", "circuit": "main", "connectors": [{"id": 1}]}],
    )
    with pytest.raises(InvalidInput, match=r"charge_point\.0\.id.*home"):
        await sites.apply(rival)
    found = sites.site_of_charge_point("cP1")
    assert found is not None
    assert found.site.id == "home"
    assert sites.site_of_charge_point("CP2") is None


@pytest.mark.parametrize(
    ("appliance", "mode", "steps", "field"),
    [
        ("boiler", "full", None, "mode"),
        ("boiler", "sunny", None, "mode"),
        ("pump", "timer_only", None, "mode"),
        ("boiler", "manual", ["3"], "steps_on"),
        ("old-boiler", "manual", ["1"], "steps_on"),
        ("pump", "manual", ["2"], "steps_on"),
    ],
)
async def test_a_mode_an_appliance_cannot_have_is_refused(
    sites: Sites, appliance: str, mode: str, steps: list[str] | None, field: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        await sites.set_appliance_mode(appliance, mode, steps)
    assert refused.value.field == field
    assert sites.effective_mode("home", appliance) == ("solar_only", None)


@pytest.mark.parametrize("current_a", [None, 5, 17, -6])
async def test_a_current_a_connector_cannot_have_is_refused(sites: Sites, current_a: float | None) -> None:
    with pytest.raises(InvalidInput, match=r"current_a.*0, or from 6 to 16"):
        await sites.set_connector_mode("CP1", 1, "manual", current_a)


@pytest.mark.parametrize("current_a", [0, 6, 16])
async def test_a_connector_is_set_by_hand(sites: Sites, current_a: float) -> None:
    await sites.set_connector_mode("CP1", 1, "manual", current_a)
    assert sites.effective_mode("home", "CP1/1") == ("manual", current_a)


async def test_loads_nobody_described_are_not_found(sites: Sites) -> None:
    with pytest.raises(NotFound):
        await sites.set_appliance_mode("sauna", "off", None)
    with pytest.raises(NotFound):
        await sites.set_connector_mode("CP1", 3, "off", None)
    with pytest.raises(NotFound):
        await sites.set_connector_mode("CP9", 1, "off", None)
    with pytest.raises(NotFound):
        sites.effective_mode("home", "sauna")


async def test_an_appliance_that_two_sites_have_needs_its_site_named(sites: Sites) -> None:
    await sites.apply(home(site={"id": "cabin", "name": "C", "timezone": "Europe/Oslo"}, charge_point=[]))
    with pytest.raises(InvalidInput, match="site"):
        await sites.set_appliance_mode("boiler", "off", None)
    await sites.set_appliance_mode("boiler", "off", None, "cabin")
    assert sites.effective_mode("cabin", "boiler")[0] == "off"
    assert sites.effective_mode("home", "boiler")[0] == "solar_only"


@pytest.mark.parametrize("identity", ["RDAM 123", "a*b|c", "Säule-1"])
async def test_a_station_may_have_the_name_it_has(sites: Sites, identity: str) -> None:
    point = {"id": identity, "circuit": "garage", "connectors": [{"id": 1}]}
    await sites.apply(home(charge_point=[point]))
    await sites.set_connector_mode(identity.upper(), 1, "full")
    assert sites.effective_mode("home", f"{identity}/1") == ("full", None)


@pytest.mark.parametrize("identity", [" CP1", "CP1 ", "a/b", "a:b", 'a"b', "a\x00b", "a\tb", ""])
def test_a_name_no_station_can_have_is_refused(identity: str) -> None:
    with pytest.raises(ValidationError):
        home(charge_point=[{"id": identity, "circuit": "garage", "connectors": [{"id": 1}]}])


def test_letter_case_does_not_make_two_stations() -> None:
    points = [{"id": id, "circuit": "garage", "connectors": [{"id": 1}]} for id in ("CP1", "cp1")]
    with pytest.raises(ValidationError, match="an id that is used once"):
        home(charge_point=points)


async def test_a_relay_that_its_module_does_not_have_is_refused_and_nothing_changes(sites: Sites) -> None:
    data = home().model_dump(by_alias=True)
    data["appliance"][0]["steps"][0]["relays"] = ["io1/44"]
    with pytest.raises(InvalidInput, match=r"appliance\.0\.steps: 'io1/44' given, a number from 1 to 8"):
        await sites.apply(SiteConfig.model_validate(data))
    assert sites.get("home") == home()
