"""Letting stations in, refusing them, and setting what is particular to one."""

from __future__ import annotations

from api_builders import Api

STATION = "/api/v1/charge-points/CP1"


async def test_a_station_is_refused_and_let_in_again(api: Api) -> None:
    await api.services.charge_points.admit("CP1")
    assert (await api.admin.post(f"{STATION}/reject")).status_code == 204
    assert (await api.viewer.get(STATION)).json()["registration"] == "Rejected"
    assert (await api.admin.post(f"{STATION}/accept")).status_code == 204
    assert (await api.viewer.get(STATION)).json()["registration"] == "Accepted"


async def test_options_are_set_one_by_one(api: Api) -> None:
    await api.services.charge_points.admit("CP1")
    first = await api.admin.patch(STATION, json={"conformance_mode": True})
    assert (first.status_code, first.json()["options"]) == (200, {"conformance_mode": True})
    second = await api.admin.patch("/api/v1/charge-points/cp1", json={"assume_subprotocol": True})
    assert second.json()["options"] == {"conformance_mode": True, "assume_subprotocol": True}
    assert (await api.viewer.get(STATION)).json()["options"] == second.json()["options"]


async def test_what_is_no_option_is_named(api: Api) -> None:
    await api.services.charge_points.admit("CP1")
    for body, field in (({"colour": 1}, "colour"), ({"conformance_mode": "perhaps"}, "conformance_mode")):
        refused = await api.admin.patch(STATION, json=body)
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, field)
    assert (await api.admin.patch("/api/v1/charge-points/CP7", json={})).status_code == 404
    assert (await api.admin.post("/api/v1/charge-points/CP7/reject")).status_code == 404
