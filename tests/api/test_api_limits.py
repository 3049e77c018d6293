"""How limits reach a station, for programs."""

from __future__ import annotations

from api_builders import Api

from csms.domain.profile_ladder import FIRST

LIMITS = "/api/v1/charge-points/CP1/limits"


async def test_what_was_learnt_is_told_and_forgotten(api: Api) -> None:
    await api.services.charge_points.admit("CP1")
    api.services.limits.limit_writes("CP1", 25)
    api.services.limits.fails("CP1", FIRST, "refused", "answered Rejected")
    second = api.services.limits.rung("CP1")
    assert second is not None
    api.services.limits.accepted("CP1", second)
    told = (await api.viewer.get(LIMITS)).json()
    assert (told["state"], told["way"]) == ("accepted", second.key)
    assert told["failed"] == {FIRST.key: "refused"}
    assert (told["writes_today"], told["max_writes_per_day"]) == (1, 25)
    metrics = (await api.viewer.get("/metrics")).text
    assert "csms_profile_writes_today" in metrics

    assert (await api.viewer.post(f"{LIMITS}/forget")).status_code == 403
    assert (await api.operator.post(f"{LIMITS}/forget")).status_code == 204
    told = (await api.viewer.get(LIMITS)).json()
    assert (told["state"], told["way"], told["failed"]) == ("untried", FIRST.key, {})


async def test_a_station_that_never_came_has_none(api: Api) -> None:
    assert (await api.viewer.get("/api/v1/charge-points/CP7/limits")).status_code == 404
    assert (await api.operator.post("/api/v1/charge-points/CP7/limits/forget")).status_code == 404
