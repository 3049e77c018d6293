"""Local authorisation list: cases 042 and 043."""

from __future__ import annotations

from typing import Any

from octt_station import (
    COLLEAGUE_TAG,
    GROUP_TAG,
    ID_TAGS,
    VALID_TAG,
    Answer,
    Command,
    OcttStation,
    Operator,
    Payload,
)

LIMITS = [
    {"key": "SendLocalListMaxLength", "readonly": True, "value": "20"},
    {"key": "LocalAuthListMaxLength", "readonly": True, "value": "100"},
    {"key": "SupportedFeatureProfiles", "readonly": True, "value": "Core,LocalAuthListManagement"},
]


async def test_tc_042_1_the_station_has_no_list(station: OcttStation, operator: Operator) -> None:
    await operator.command(station, "GetLocalListVersion", {}, {"listVersion": -1})
    assert (await known(station, operator))["version"] == -1


async def test_tc_042_2_the_list_is_empty(station: OcttStation, operator: Operator) -> None:
    await operator.command(station, "GetLocalListVersion", {}, {"listVersion": 0})
    assert (await known(station, operator))["version"] == 0


async def test_tc_043_1_lists_are_not_supported(station: OcttStation, operator: Operator) -> None:
    told, commands = await send_list(station, operator, [VALID_TAG], "NotSupported")
    assert len(commands) == 1
    assert told["status"] == "NotSupported"


async def test_tc_043_3_the_update_fails(station: OcttStation, operator: Operator) -> None:
    told, commands = await send_list(station, operator, [VALID_TAG], "Failed")
    assert {command.payload["updateType"] for command in commands} == {"Full"}
    assert told["status"] == "Failed"


async def test_tc_043_4_full_update(station: OcttStation, operator: Operator) -> None:
    told, (command,) = await send_list(station, operator, "all")
    sent = command.payload
    assert sent["updateType"] == "Full"
    assert sent["listVersion"] > 0
    entries = {entry["idTag"]: entry["idTagInfo"] for entry in sent["localAuthorizationList"]}
    assert entries[VALID_TAG]["status"] == entries[COLLEAGUE_TAG]["status"] == "Accepted"
    assert entries[VALID_TAG]["parentIdTag"] == GROUP_TAG
    assert entries.keys() <= ID_TAGS.keys()
    assert (told["status"], told["version"]) == ("Accepted", sent["listVersion"])


async def test_tc_043_5_differential_update(station: OcttStation, operator: Operator) -> None:
    _, (full,) = await send_list(station, operator, [VALID_TAG])
    told, commands = await send_list(
        station, operator, [VALID_TAG, COLLEAGUE_TAG], version=full.payload["listVersion"]
    )
    (command,) = commands
    sent = command.payload
    assert sent["updateType"] == "Differential"
    assert sent["listVersion"] > full.payload["listVersion"]
    (entry,) = sent["localAuthorizationList"]
    assert (entry["idTag"], entry["idTagInfo"]["status"]) == (COLLEAGUE_TAG, "Accepted")
    assert told["version"] == sent["listVersion"]


async def send_list(
    station: OcttStation,
    operator: Operator,
    id_tags: list[str] | str,
    status: str = "Accepted",
    version: int = 0,
) -> tuple[dict[str, Any], list[Command]]:
    """What the operator is told, and the SendLocalList requests; questions before them are answered."""

    def limits(asked: Payload) -> Answer:
        keys = asked.get("key") or [entry["key"] for entry in LIMITS]
        return {
            "configurationKey": [entry for entry in LIMITS if entry["key"] in keys],
            "unknownKey": [key for key in keys if key not in [entry["key"] for entry in LIMITS]],
        }

    entries = id_tags if isinstance(id_tags, str) else [{"id_tag": id_tag} for id_tag in id_tags]
    response, commands = await operator.act(
        station,
        "PUT",
        f"/charge-points/{station.identity}/local-list",
        {"entries": entries},
        {
            "SendLocalList": {"status": status},
            "GetLocalListVersion": {"listVersion": version},
            "GetConfiguration": limits,
        },
    )
    assert response.status_code == 200, response.text
    return response.json(), [command for command in commands if command.action == "SendLocalList"]


async def known(station: OcttStation, operator: Operator) -> dict[str, Any]:
    told: dict[str, Any] = await operator.get(f"/charge-points/{station.identity}/local-list")
    return told
