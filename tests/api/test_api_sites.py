"""An installer describes a site over the API, whole or part by part."""

from __future__ import annotations

import asyncio

from api_builders import Api, house

GRID = {"id": "grid", "role": "grid", "driver": "modbus", "model": "eastron_sdm630", "host": "192.0.2.9"}


async def test_a_site_reads_back_as_it_was_described(api: Api) -> None:
    described = (await api.viewer.get("/api/v1/sites/home")).json()
    assert described["appliance"][0]["windows"] == [{"days": "mon-sun", "from": "02:00", "to": "05:00"}]
    again = await api.admin.put("/api/v1/sites/home", json=described)
    assert again.status_code == 200
    assert again.json() == described
    assert [site["site"]["id"] for site in (await api.viewer.get("/api/v1/sites")).json()] == ["home"]


async def test_a_description_with_two_faults_is_refused_whole_and_names_both(api: Api) -> None:
    wrong = house(
        circuit=[
            {"id": "main", "limit_a": [40, 40, 40]},
            {"id": "garage", "parent": "man", "limit_a": [9] * 3},
        ],
        relay_module=[],
    )
    refused = await api.admin.put("/api/v1/sites/home", json=wrong)
    assert refused.status_code == 422
    assert refused.headers["content-type"] == "application/problem+json"
    problem = refused.json()
    assert (problem["title"], problem["status"]) == ("Unprocessable Entity", 422)
    assert [(e["field"], e["value"]) for e in problem["errors"]] == [
        ("circuit.1.parent", "man"),
        ("appliance.0.relays", "io1/1"),
        ("appliance.0.relays", "io1/2"),
    ]
    assert "garage" in problem["errors"][0]["expected"]
    assert len((await api.viewer.get("/api/v1/sites/home")).json()["relay_module"]) == 1


async def test_a_misspelt_key_and_a_wrong_type_are_named(api: Api) -> None:
    wrong = house(meter=[{**GRID, "prot": 502, "unit": "one"}])
    errors = (await api.admin.put("/api/v1/sites/home", json=wrong)).json()["errors"]
    assert {e["field"]: e["value"] for e in errors} == {"meter.0.prot": 502, "meter.0.unit": "one"}


async def test_a_body_that_is_no_json_is_told_so(api: Api) -> None:
    refused = await api.admin.put(
        "/api/v1/sites/home", content=b'{"site": ', headers={"Content-Type": "application/json"}
    )
    assert refused.status_code == 422
    assert "valid JSON expected" in refused.json()["detail"]


async def test_a_site_is_not_stored_under_another_id(api: Api) -> None:
    refused = await api.admin.put("/api/v1/sites/office", json=house())
    assert refused.json()["errors"] == [
        {"field": "site.id", "value": "home", "expected": "the id in the path (office)"}
    ]


async def test_a_charge_point_of_another_site_is_refused(api: Api) -> None:
    second = house(site={"id": "second", "name": "Next door", "timezone": "Europe/Zurich"})
    refused = await api.admin.put("/api/v1/sites/second", json=second)
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "charge_point.0.id"


async def test_a_removed_site_is_gone(api: Api) -> None:
    assert (await api.admin.delete("/api/v1/sites/home")).status_code == 204
    gone = await api.viewer.get("/api/v1/sites/home")
    assert gone.status_code == 404
    assert gone.json()["detail"] == "site 'home' does not exist"


async def test_parts_are_added_replaced_and_removed(api: Api) -> None:
    meters = "/api/v1/sites/home/meters"
    roof = {**GRID, "id": "roof", "role": "pv", "unit": 2}
    assert (await api.admin.put(f"{meters}/roof", json=roof)).status_code == 201
    assert (await api.admin.put(f"{meters}/grid", json=GRID)).status_code == 200
    assert [m["host"] for m in (await api.viewer.get(meters)).json()] == ["192.0.2.9", "192.0.2.9"]
    assert (await api.viewer.get(f"{meters}/roof")).json()["unit"] == 2
    assert (await api.admin.delete(f"{meters}/roof")).status_code == 204
    assert (await api.viewer.get(f"{meters}/roof")).json()["detail"] == "meter 'roof' does not exist"
    assert (await api.admin.delete(f"{meters}/roof")).status_code == 404


async def test_every_kind_of_part_can_be_read(api: Api) -> None:
    for kind, part_id in (
        ("circuits", "main"),
        ("meters", "grid"),
        ("relay-modules", "io1"),
        ("appliances", "boiler"),
        ("charge-points", "CP1"),
    ):
        assert (await api.viewer.get(f"/api/v1/sites/home/{kind}/{part_id}")).json()["id"] == part_id


async def test_a_part_in_use_is_not_removed(api: Api) -> None:
    refused = await api.admin.delete("/api/v1/sites/home/relay-modules/io1")
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "appliance.0.relays"
    assert (await api.viewer.get("/api/v1/sites/home/relay-modules/io1")).status_code == 200


async def test_connectors_are_added_replaced_and_removed(api: Api) -> None:
    connectors = "/api/v1/sites/home/charge-points/CP1/connectors"
    second = {"id": 2, "phases": ["L1"], "max_a": 32}
    assert (await api.admin.put(f"{connectors}/2", json=second)).status_code == 201
    assert (await api.admin.put(f"{connectors}/2", json={**second, "max_a": 20})).status_code == 200
    assert [c["max_a"] for c in (await api.viewer.get(connectors)).json()] == [16, 20]
    assert (await api.viewer.get(f"{connectors}/2")).json()["phases"] == ["L1"]
    too_low = await api.admin.put(f"{connectors}/2", json={**second, "min_a": 4})
    assert "at least 6 A" in too_low.json()["errors"][0]["expected"]
    assert (await api.admin.delete(f"{connectors}/2")).status_code == 204
    last = await api.admin.delete(f"{connectors}/1")
    assert last.status_code == 422  # a charge point has at least one


async def test_two_installers_at_once_lose_nothing_of_each_other(api: Api) -> None:
    def add(n: int) -> dict[str, object]:
        return {**GRID, "id": f"flat-{n}", "role": "load", "unit": n}

    answers = await asyncio.gather(
        *(api.admin.put(f"/api/v1/sites/home/meters/flat-{n}", json=add(n)) for n in range(1, 9))
    )
    assert {answer.status_code for answer in answers} == {201}
    assert len((await api.viewer.get("/api/v1/sites/home/meters")).json()) == 9


async def test_the_owner_switches_the_boiler_and_the_car_by_hand(api: Api) -> None:
    boiler = await api.operator.put(
        "/api/v1/appliances/boiler/mode", json={"mode": "manual", "steps_on": ["2"]}
    )
    car = await api.operator.put(
        "/api/v1/charge-points/CP1/connectors/1/mode", json={"mode": "manual", "current_a": 10}
    )
    assert (boiler.status_code, car.status_code) == (204, 204)
    assert api.services.sites.effective_mode("home", "boiler") == ("manual", ["2"])
    assert api.services.sites.effective_mode("home", "CP1/1") == ("manual", 10)


async def test_modes_that_cannot_be_are_refused(api: Api) -> None:
    car = "/api/v1/charge-points/CP1/connectors/1/mode"
    below = await api.operator.put(car, json={"mode": "manual", "current_a": 3})
    assert below.json()["errors"] == [{"field": "current_a", "value": 3.0, "expected": "0, or from 6 to 16"}]
    unknown = await api.operator.put(car, json={"mode": "turbo"})
    assert (unknown.status_code, unknown.json()["errors"][0]["field"]) == (422, "mode")
    no_windows = await api.operator.put(car, json={"mode": "timer_only"})
    assert (no_windows.status_code, no_windows.json()["errors"][0]["field"]) == (422, "mode")
    assert (await api.operator.put("/api/v1/appliances/sauna/mode", json={"mode": "on"})).status_code == 404


async def test_battery_policy_and_load_shedding_are_parts_of_which_there_is_one(api: Api) -> None:
    at, battery = "/api/v1/sites/home/battery", {"policy": "by_soc", "soc_pct": 80}
    assert (await api.viewer.get(at)).status_code == 404
    refused = await api.admin.put(at, json=battery)
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "battery"
    accu = {**GRID, "id": "accu", "role": "battery"}
    assert (await api.admin.put("/api/v1/sites/home/meters/accu", json=accu)).status_code == 201
    assert (await api.admin.put(at, json=battery)).status_code == 201
    assert (await api.viewer.get(at)).json() == battery
    assert (await api.operator.delete(at)).status_code == 403
    shedding, at_input = "/api/v1/sites/home/load-shedding", {"input": "io1/1", "limit_a": 6}
    assert (await api.admin.put(shedding, json={"input": "io9/1"})).status_code == 422
    assert (await api.admin.put(shedding, json=at_input)).status_code == 201
    site = (await api.viewer.get("/api/v1/sites/home")).json()
    assert (site["battery"], site["load_shedding"]["input"]) == (battery, "io1/1")
    assert (await api.admin.delete(at)).status_code == 204
    assert (await api.admin.delete(at)).status_code == 404
    assert "battery" not in (await api.viewer.get("/api/v1/sites/home")).json()


async def test_response_and_limits_of_starts_are_set_and_read_back(api: Api) -> None:
    site = (await api.viewer.get("/api/v1/sites/home")).json()
    assert site["site"]["response"] == "balanced"
    calm = {**site, "site": {**site["site"], "response": "calm"}}
    assert (await api.admin.put("/api/v1/sites/home", json=calm)).status_code == 200
    boiler = (await api.viewer.get("/api/v1/sites/home/appliances/boiler")).json()
    limited = {**boiler, "max_starts_per_hour": 2, "max_starts_per_day": 12}
    assert (await api.admin.put("/api/v1/sites/home/appliances/boiler", json=limited)).status_code == 200

    stored = api.services.sites.get("home")
    assert (stored.site.response, stored.appliance[0].max_starts_per_day) == ("calm", 12)
    assert (await api.viewer.get("/api/v1/sites/home/appliances/boiler")).json() == limited


async def test_a_response_or_a_number_of_starts_that_cannot_be_is_refused(api: Api) -> None:
    site = (await api.viewer.get("/api/v1/sites/home")).json()
    wild = {**site, "site": {**site["site"], "response": "wild"}}
    refused = await api.admin.put("/api/v1/sites/home", json=wild)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "site.response")
    none = {**site["appliance"][0], "max_starts_per_hour": 0}
    refused = await api.admin.put("/api/v1/sites/home/appliances/boiler", json=none)
    assert refused.status_code == 422
    assert "max_starts_per_hour" in refused.json()["errors"][0]["field"]


TARGET = "/api/v1/charge-points/CP1/connectors/1/target"


async def test_a_driver_tells_when_the_car_is_to_be_ready(api: Api) -> None:
    told = {"departs_at": "2026-06-02T05:00:00Z", "requested_kwh": 20}
    assert (await api.operator.put(TARGET, json=told)).status_code == 204
    assert (await api.viewer.get(TARGET)).json() == told
    assert (await api.operator.put(TARGET, json={"departs_at": None})).status_code == 204
    assert (await api.viewer.get(TARGET)).json() == {"departs_at": None, "requested_kwh": None}


async def test_targets_that_cannot_be_are_refused(api: Api) -> None:
    for wrong, field in (
        ({"departs_at": "2026-06-01T11:59:00Z"}, "departs_at"),
        ({"departs_at": "2026-06-02T05:00:00"}, "departs_at"),
        ({"requested_kwh": 0}, "requested_kwh"),
        ({"requested_kwh": 5000}, "requested_kwh"),
        ({"leaves": "07:00"}, "leaves"),
    ):
        refused = await api.operator.put(TARGET, json=wrong)
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, field)
    assert (await api.viewer.put(TARGET, json={})).status_code == 403
    nowhere = "/api/v1/charge-points/CP1/connectors/7/target"
    assert (await api.operator.put(nowhere, json={})).status_code == 404
    assert (await api.viewer.get(nowhere)).status_code == 404


async def test_charge_now_until_unplugged(api: Api) -> None:
    car = "/api/v1/charge-points/CP1/connectors/1/mode"
    assert (await api.operator.put(car, json={"mode": "full", "until": "unplugged"})).status_code == 204
    assert api.services.sites.effective_mode("home", "CP1/1") == ("full", None)
    assert api.services.sites.target("CP1", 1).mode == "full"
    wrong = await api.operator.put(car, json={"mode": "full", "until": "tomorrow"})
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "until")


async def test_needs_are_part_of_an_appliance_and_of_a_connector(api: Api) -> None:
    boiler = (await api.viewer.get("/api/v1/sites/home/appliances/boiler")).json()
    path = "/api/v1/sites/home/appliances/boiler"
    boiler["need"] = {"until": "18:00", "energy_kwh": 6}
    assert (await api.admin.put(path, json=boiler)).status_code == 200
    assert (await api.viewer.get(path)).json()["need"] == [
        {"days": "mon-sun", "until": "18:00", "energy_kwh": 6}
    ]
    refused = await api.admin.put(path, json={**boiler, "need": [{"until": "18:00"}]})
    assert "one of energy_kwh, run_h and run_min expected" in refused.json()["errors"][0]["expected"]
    connector = "/api/v1/sites/home/charge-points/CP1/connectors/1"
    standing = {"id": 1, "need": {"days": "mon-fri", "until": "07:00", "energy_kwh": 20}}
    assert (await api.admin.put(connector, json=standing)).status_code == 200
    assert (await api.viewer.get(connector)).json()["need"][0]["days"] == "mon-fri"
