"""The local authorisation list: sent in parts, kept up to date, refused in several ways."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from operated_station import CP1, CallError, House, Station, running_house

LIST = f"{CP1}/local-list"
ALL = {"entries": "all"}
ACCEPTED = {"status": "Accepted"}


def answers_lists(station: Station, most_at_once: str = "10", version: int = 0) -> None:
    """It tells its lengths, and takes what it is sent."""
    told = [
        {"key": "SendLocalListMaxLength", "readonly": True, "value": most_at_once},
        {"key": "LocalAuthListMaxLength", "readonly": True, "value": "5"},
    ]
    station.will_answer(
        "GetConfiguration", {"configurationKey": told, "unknownKey": ["LocalAuthListEnabled"]}
    )
    station.will_answer("GetLocalListVersion", {"listVersion": version})
    station.will_answer("SendLocalList", ACCEPTED)


def tags(*names: str) -> dict[str, Any]:
    return {"entries": [{"id_tag": name, "status": "Accepted"} for name in names]}


def sent(station: Station) -> list[tuple[int, str, list[str]]]:
    return [
        (r["listVersion"], r["updateType"], [e["idTag"] for e in r["localAuthorizationList"]])
        for r in station.asked("SendLocalList")
    ]


async def test_a_list_too_long_for_one_message_is_sent_in_parts(house: House, station: Station) -> None:
    answers_lists(station, most_at_once="2")
    put = await house.operator.put(LIST, json=tags("A", "B", "C", "D", "E"))
    assert (put.json()["version"], put.json()["status"]) == (3, "Accepted")
    assert sent(station) == [
        (1, "Full", ["A", "B"]),
        (2, "Differential", ["C", "D"]),
        (3, "Differential", ["E"]),
    ]
    assert list((await house.operator.get(LIST)).json()["entries"]) == ["A", "B", "C", "D", "E"]


async def test_all_badges_go_with_what_is_known_of_them(house: House, station: Station) -> None:
    answers_lists(station)
    await house.add_tag("FAMILY", blocked=True)
    await house.add_tag("CHILD", parent_id_tag="FAMILY", expires_at="2027-01-01T00:00:00Z")
    await house.add_tag("ELSEWHERE", charge_points=["CP2"])
    await house.operator.put(LIST, json=ALL)
    (request,) = station.asked("SendLocalList")
    assert request["localAuthorizationList"] == [
        {
            "idTag": "CHILD",
            "idTagInfo": {
                "status": "Blocked",
                "expiryDate": "2027-01-01T00:00:00Z",
                "parentIdTag": "FAMILY",
            },
        },
        {"idTag": "FAMILY", "idTagInfo": {"status": "Blocked"}},
    ]


async def test_a_list_that_is_looked_after_follows_the_badges(house: House, station: Station) -> None:
    answers_lists(station)
    await house.add_tag("ANNA")
    await house.add_tag("BERT")
    await house.operator.put(LIST, json=ALL)
    station.will_answer("GetLocalListVersion", {"listVersion": 1})
    await house.add_tag("ANNA", blocked=True)
    await station.is_asked("SendLocalList", 2)
    await house.services.local_lists.settle()
    station.will_answer("GetLocalListVersion", {"listVersion": 2})
    await house.admin.delete("/api/v1/id-tags/BERT")
    requests = await station.is_asked("SendLocalList", 3)
    assert sent(station)[1:] == [(2, "Differential", ["ANNA"]), (3, "Differential", ["BERT"])]
    assert "idTagInfo" not in requests[2]["localAuthorizationList"][0]
    await house.services.local_lists.settle()
    assert list((await house.operator.get(LIST)).json()["entries"]) == ["ANNA"]


async def test_a_list_of_ones_own_does_not_follow_the_badges(house: House, station: Station) -> None:
    answers_lists(station)
    await house.operator.put(LIST, json=tags("GUEST"))
    assert (await house.operator.get(LIST)).json()["looked_after"] is False
    await house.add_tag("ANNA")
    await house.services.local_lists.settle()
    assert len(station.asked("SendLocalList")) == 1


async def test_a_station_that_holds_another_version_gets_the_whole_list(
    house: House, station: Station
) -> None:
    answers_lists(station)
    await house.operator.put(LIST, json=tags("A"))
    station.will_answer("GetLocalListVersion", {"listVersion": 7})  # somebody else has written it
    put = await house.operator.put(LIST, json=tags("A", "B"))
    assert sent(station)[1:] == [(8, "Full", ["A", "B"])]
    assert put.json()["version"] == 8


@pytest.mark.parametrize("refusal", ["VersionMismatch", "Failed"])
async def test_a_difference_that_is_refused_is_followed_by_the_whole_list(
    house: House, station: Station, refusal: str
) -> None:
    answers_lists(station)
    await house.operator.put(LIST, json=tags("A"))
    station.will_answer("GetLocalListVersion", {"listVersion": 1})
    station.will_answer("SendLocalList", {"status": refusal}, ACCEPTED)
    put = await house.operator.put(LIST, json=tags("A", "B"))
    assert sent(station)[1:] == [(2, "Differential", ["B"]), (3, "Full", ["A", "B"])]
    assert (put.json()["version"], put.json()["status"]) == (3, "Accepted")


async def test_a_part_that_is_refused_begins_the_list_again_once(house: House, station: Station) -> None:
    answers_lists(station, most_at_once="1")
    failed = {"status": "Failed"}
    station.will_answer("SendLocalList", ACCEPTED, failed, ACCEPTED, failed, ACCEPTED)
    put = await house.operator.put(LIST, json=tags("A", "B"))
    assert [type for _, type, _ in sent(station)] == ["Full", "Differential", "Full", "Differential"]
    assert put.json()["status"] == "Failed"


@pytest.mark.parametrize("answer", [{"status": "NotSupported"}, CallError("NotImplemented")])
async def test_a_station_without_lists_is_told_apart_from_one_that_failed(
    house: House, station: Station, answer: Any
) -> None:
    answers_lists(station)
    station.will_answer("SendLocalList", answer)
    put = await house.operator.put(LIST, json=tags("A"))
    assert (put.status_code, put.json()["status"]) == (200, "NotSupported")
    assert len(station.asked("SendLocalList")) == 1


async def test_version_minus_one_says_that_there_is_no_list(house: House, station: Station) -> None:
    answers_lists(station, version=-1)
    put = await house.operator.put(LIST, json=tags("A"))
    assert (put.json()["version"], put.json()["status"]) == (-1, "NotSupported")
    assert station.asked("SendLocalList") == []


async def test_more_than_the_station_holds_is_refused_before_it_is_sent(
    house: House, station: Station
) -> None:
    answers_lists(station)
    put = await house.operator.put(LIST, json=tags(*"ABCDEF"))
    assert put.status_code == 422
    assert put.json()["errors"][0]["expected"] == "at most 5 (the station's LocalAuthListMaxLength)"
    assert station.asked("SendLocalList") == []


async def test_the_same_badge_twice_is_refused(house: House, station: Station) -> None:
    put = await house.operator.put(LIST, json=tags("a", "A"))
    assert put.json()["errors"][0]["expected"] == "each id tag once"


async def test_what_a_station_missed_is_sent_when_it_comes_back(house: House, station: Station) -> None:
    await house.add_tag("ANNA")
    await house.is_left_by(station)
    assert (await house.operator.put(LIST, json=tags("A"))).status_code == 409
    assert (await house.operator.put(LIST, json=ALL)).json()["status"] == "Waiting"
    station = await house.arrives(prepare=answers_lists)
    await station.is_asked("SendLocalList", 1)
    await house.services.local_lists.settle()
    assert (await house.operator.get(LIST)).json()["status"] == "Accepted"


async def test_a_station_that_has_lost_its_list_is_given_it_again(house: House, station: Station) -> None:
    answers_lists(station)
    await house.add_tag("ANNA")
    await house.operator.put(LIST, json=ALL)
    boot = {"chargePointVendor": "V", "chargePointModel": "M"}
    station.will_answer("GetLocalListVersion", {"listVersion": 1})
    await station.say("BootNotification", boot)
    await station.is_asked("GetLocalListVersion", 2)
    await house.services.local_lists.settle()
    assert sent(station) == [(1, "Full", ["ANNA"])]  # it has it still
    station.will_answer("GetLocalListVersion", {"listVersion": 0})
    await station.say("BootNotification", boot)
    await station.is_asked("SendLocalList", 2)
    await house.services.local_lists.settle()
    assert sent(station)[1:] == [(2, "Full", ["ANNA"])]


async def test_a_raw_list_is_recorded_and_survives_a_restart(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        station = await house.arrives()
        station.will_answer("SendLocalList", ACCEPTED)
        for version, type, entry in (
            (4, "Full", {"idTag": "A", "idTagInfo": {"status": "Accepted"}}),
            (5, "Differential", {"idTag": "B", "idTagInfo": {"status": "Blocked"}}),
            (6, "Differential", {"idTag": "a"}),
        ):
            raw = {"listVersion": version, "updateType": type, "localAuthorizationList": [entry]}
            assert (await house.operator.post(f"{CP1}/ocpp/SendLocalList", json=raw)).is_success
    async with running_house(tmp_path) as house:
        known = (await house.operator.get(LIST)).json()
        assert (known["version"], known["entries"]) == (6, {"B": {"status": "Blocked"}})


async def test_a_raw_version_that_is_not_ours_means_that_nothing_is_known(
    house: House, station: Station
) -> None:
    answers_lists(station)
    await house.operator.put(LIST, json=tags("A"))
    station.will_answer("GetLocalListVersion", {"listVersion": 0})
    await house.operator.post(f"{CP1}/ocpp/GetLocalListVersion", json={})
    known = (await house.operator.get(LIST)).json()
    assert (known["version"], known["entries"]) == (0, {})
