"""A station has more connectors than its site's description: their current burdens the fuse all the same."""

from __future__ import annotations

from pathlib import Path

from running_site import RunningSite, car, running, site, until

CIRCUITS = [
    {"id": "main", "limit_a": [100, 100, 100]},
    {"id": "garage", "parent": "main", "limit_a": [20, 20, 20]},
]
LEFT, RIGHT = ({"id": n, "phases": ["L1"], "max_a": 16, "mode": "full", "safe_a": 0} for n in (1, 2))


def garage_a(home: RunningSite) -> float:
    return sum(home.building.connector_w("CP1", n)[0] for n in (1, 2)) / 230


async def test_what_charges_at_a_connector_that_is_not_in_the_file_leaves_less_for_the_other(
    folder: Path,
) -> None:
    """The right one delivers 16 A, and nothing here can lower it."""
    built = site(
        charge_points=[{"id": "CP1", "circuit": "garage", "connectors": [LEFT, RIGHT]}], circuits=CIRCUITS
    )
    left_only = built.charge_point[0].model_copy(update={"connectors": built.charge_point[0].connectors[:1]})
    described = built.model_copy(update={"charge_point": [left_only]})
    async with running(built, folder) as home:
        await home.stop_server()
        home.config = described
        await home.start_server()
        await home.app.sites.apply(described)
        await home.pass_time(60)
        await until(lambda: home.app.charge_points.is_connected("CP1"), "the station is back")
        await home.arrive(vehicle=car(phases=1))
        await home.minute(2)
        assert home.points["CP1"].limit_a(1) == 16
        point = home.points["CP1"]
        point.profiles = tuple(profile for profile in point.profiles if profile.connector_id != 2)
        point.plug(2, car(phases=1))
        await home.pass_time(5)
        assert await point.badge(2, "b")
        await home.minute(2)
        for _ in range(3):
            await home.minute()
            assert garage_a(home) <= 20.1
        assert any("connector 2 charges and is not in" in text for text in home.snapshot.warnings)
        point.unplug(2)
        await home.minute(5)
        assert home.points["CP1"].limit_a(1) == 16
        assert not any("connector 2" in text for text in home.snapshot.warnings)
