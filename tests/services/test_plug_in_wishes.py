"""Ready by seven, full until unplugged: what holds for one stay of a vehicle."""

from __future__ import annotations

from datetime import timedelta

import pytest
from central_backend import HandClock
from described_home import home, reloaded

from csms.domain.plug_in_wish import NO_WISH
from csms.errors import InvalidInput, NotFound
from csms.services.events import EventBus
from csms.services.sites import Sites
from csms.storage.database import Database

CP = ("home", "CP1/1")


async def see(sites: Sites, *states: str) -> None:
    for state in states:
        await sites.wishes.see(*CP, state)


async def test_full_until_unplugged_gives_way_to_what_was_before(sites: Sites, database: Database) -> None:
    await sites.set_connector_mode("CP1", 1, "min_and_solar")
    await sites.set_connector_mode("cp1", 1, "full", until_unplugged=True)
    assert sites.effective_mode(*CP) == ("full", None)
    await see(sites, "ready", "charging", "offline", "faulted", "finished")
    assert (await reloaded(database)).effective_mode(*CP) == ("full", None)
    await see(sites, "free")
    assert sites.effective_mode(*CP) == ("min_and_solar", None)
    assert (await reloaded(database)).effective_mode(*CP) == ("min_and_solar", None)


async def test_what_is_told_before_plugging_in_holds_for_the_next_vehicle(
    sites: Sites, database: Database
) -> None:
    leaves_at = HandClock().now() + timedelta(hours=9)
    await see(sites, "free")
    await sites.set_target("CP1", 1, leaves_at, 20)
    await see(sites, "free", "offline", "free", "plugged", "charging")
    for known in (sites, await reloaded(database)):
        wish = known.target("CP1", 1)
        assert (wish.departs_at, wish.requested_wh, wish.was_plugged) == (leaves_at, 20_000, True)
    await see(sites, "finished", "free")
    assert sites.target("CP1", 1) == (await reloaded(database)).target("CP1", 1) == NO_WISH


async def test_a_later_mode_for_good_ends_the_one_until_unplugged_but_not_the_target(sites: Sites) -> None:
    await sites.set_target("CP1", 1, None, 12)
    await sites.set_connector_mode("CP1", 1, "full", until_unplugged=True)
    await sites.set_connector_mode("CP1", 1, "off")
    assert sites.effective_mode(*CP) == ("off", None)
    assert sites.target("CP1", 1).requested_wh == 12_000


async def test_a_target_can_be_taken_back(sites: Sites, database: Database) -> None:
    await sites.set_target("CP1", 1, HandClock().now() + timedelta(hours=1), None)
    await sites.set_target("CP1", 1, None, None)
    assert sites.target("CP1", 1).is_empty()
    assert (await reloaded(database)).target("CP1", 1) == NO_WISH


async def test_wishes_stay_with_a_new_description_and_go_with_their_connector(
    sites: Sites, database: Database
) -> None:
    await sites.set_target("CP1", 1, None, 12)
    await sites.set_target("CP1", 2, None, 13)
    await sites.apply(home(charge_point=[{"id": "CP1", "circuit": "garage", "connectors": [{"id": 1}]}]))
    await sites.apply(home())
    for known in (sites, await reloaded(database)):
        assert known.target("CP1", 1).requested_wh == 12_000
        assert known.target("CP1", 2) == NO_WISH


async def test_it_is_told(sites: Sites, events: EventBus) -> None:
    async with events.subscribe("load.") as heard:
        await sites.set_target("CP1", 1, None, 12)
        await sites.set_connector_mode("CP1", 1, "full", until_unplugged=True)
        await see(sites, "ready", "free")
        told = [heard.get_nowait() for _ in range(heard.qsize())]
    assert [(event.kind, event.data["load_id"]) for event in told] == [
        ("load.target", "CP1/1"),
        ("load.mode", "CP1/1"),
        ("load.unplugged", "CP1/1"),
    ]
    assert told[1].data["until"] == "unplugged"


@pytest.mark.parametrize("ahead", [timedelta(0), timedelta(hours=-1), timedelta(days=15)])
async def test_a_departure_that_has_passed_or_is_too_far_is_refused(sites: Sites, ahead: timedelta) -> None:
    with pytest.raises(InvalidInput, match="departs_at"):
        await sites.set_target("CP1", 1, HandClock().now() + ahead, 12)


async def test_only_connectors_have_targets(sites: Sites) -> None:
    for identity, connector_id in (("CP1", 3), ("CP9", 1), ("boiler", 1)):
        with pytest.raises(NotFound):
            await sites.set_target(identity, connector_id, None, 12)
