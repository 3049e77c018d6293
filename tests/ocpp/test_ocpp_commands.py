"""What we ask of stations: both directions cross, stations are slow, mute, refuse, or answer oddly."""

import asyncio

import pytest
from central_system_under_test import PATIENCE_S, central_system

from csms.errors import CallFailed, CallTimeout, InvalidInput
from csms.ocpp.link import QUEUE_LIMIT
from csms.storage import stations


async def test_calls_in_both_directions_cross(system):
    station = await system.station()
    system.answers.may_go_on.clear()
    await station.say([2, "theirs", "Heartbeat", {}])
    await asyncio.wait_for(system.answers.arrived.wait(), PATIENCE_S)
    asked = asyncio.create_task(system.commands.send("CP1", "Reset", {"type": "Soft"}))
    call = await station.hear()
    assert call[0::2] == [2, "Reset"]
    await station.say([3, call[1], {"status": "Accepted"}])
    assert await asyncio.wait_for(asked, PATIENCE_S) == {"status": "Accepted"}
    system.answers.may_go_on.set()
    assert (await station.hear())[:2] == [3, "theirs"]


async def test_a_handler_may_ask_the_station_and_wait_for_its_answer(system):
    async def ask_back(identity):
        await system.commands.send(identity, "TriggerMessage", {"requestedMessage": "StatusNotification"})

    system.answers.ask_first = ask_back
    station = await system.station()
    call = await station.ask([2, "1", "Heartbeat", {}])
    assert call[2] == "TriggerMessage"
    assert (await station.ask([3, call[1], {"status": "Accepted"}]))[:2] == [3, "1"]


async def test_our_calls_go_out_one_by_one_in_order(system):
    station = await system.station()
    asked = [
        asyncio.create_task(system.commands.send("CP1", "UnlockConnector", {"connectorId": n}))
        for n in (1, 2, 3)
    ]
    for connector_id in (1, 2, 3):
        call = await station.hear()
        assert call[3] == {"connectorId": connector_id}
        assert await station.is_served()  # an answer that overtook a second call of ours: none was sent
        await station.say([3, call[1], {"status": "Unlocked"}])
    assert await asyncio.gather(*asked) == [{"status": "Unlocked"}] * 3


async def test_a_call_not_answered_in_time_fails_and_its_late_answer_is_only_noted(system):
    station = await system.station()
    with pytest.raises(CallTimeout, match=r"'CP1' did not answer ClearCache within 0\.05 s"):
        await system.commands.send("CP1", "ClearCache", {}, timeout_s=0.05)
    call = await station.hear()
    await station.say([3, call[1], {"status": "Accepted"}])
    assert await station.is_served()
    notes = [row[4] for row in system.frames.rows if row[2] == call[1]]
    assert notes == [None, "too late: no longer waited for"]
    asked = asyncio.create_task(system.commands.send("CP1", "ClearCache", {}))
    second = await station.hear()
    await station.say([3, second[1], {"status": "Rejected"}])
    assert await asked == {"status": "Rejected"}


async def test_a_call_whose_time_was_over_in_the_queue_is_never_sent(system):
    station = await system.station()
    mute = asyncio.create_task(system.commands.send("CP1", "ClearCache", {}))
    first = await station.hear()
    with pytest.raises(CallTimeout):
        await system.commands.send("CP1", "Reset", {"type": "Hard"}, timeout_s=0.05)
    await station.say([3, first[1], {"status": "Accepted"}])
    await mute
    assert await station.is_served()  # nothing came before this answer


async def test_a_call_nobody_waits_for_any_more_blocks_the_next_only_for_its_time(system):
    station = await system.station()
    given_up = asyncio.create_task(system.commands.send("CP1", "ClearCache", {}, timeout_s=0.05))
    await station.hear()
    given_up.cancel()
    asked = asyncio.create_task(system.commands.send("CP1", "GetLocalListVersion", {}))
    call = await station.hear()
    assert call[2] == "GetLocalListVersion"
    await station.say([3, call[1], {"listVersion": 0}])
    assert await asked == {"listVersion": 0}


async def test_a_callerror_is_a_failed_call_with_its_code_and_description(system):
    station = await system.station()
    asked = asyncio.create_task(system.commands.send("CP1", "ClearCache", {}))
    call = await station.hear()
    await station.say([4, call[1], "OccurrenceConstraintViolation", "no cache", {"why": "small"}])
    with pytest.raises(CallFailed) as failed:
        await asked
    assert (failed.value.code, failed.value.description, failed.value.details) == (
        "OccurenceConstraintViolation",
        "no cache",
        {"why": "small"},
    )


async def test_an_answer_that_is_no_object_fails_the_call_instead_of_hanging_it(system):
    station = await system.station()
    asked = asyncio.create_task(system.commands.send("CP1", "ClearCache", {}))
    call = await station.hear()
    await station.say([3, call[1], "Accepted"])
    with pytest.raises(CallFailed, match="FormationViolation"):
        await asked


async def test_the_queue_of_calls_to_a_mute_station_is_limited(system):
    station = await system.station()
    waiting = [
        asyncio.create_task(system.commands.send("CP1", "ClearCache", {})) for _ in range(QUEUE_LIMIT + 1)
    ]
    await station.hear()
    with pytest.raises(CallFailed, match="already waiting"):
        await system.commands.send("CP1", "ClearCache", {})
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


@pytest.mark.parametrize(
    ("action", "payload", "field"),
    [
        ("Heartbeat", {}, "action"),
        ("reset", {"type": "Soft"}, "action"),
        ("Reset", {}, "type"),
        ("Reset", {"type": "Gentle"}, "type"),
        ("Reset", {"type": "Soft", "now": True}, "now"),
        ("ChangeConfiguration", {"key": "k" * 51, "value": "1"}, "key"),
        ("SendLocalList", {"listVersion": "1", "updateType": "Full"}, "listVersion"),
    ],
)
async def test_a_wrong_request_is_not_sent_and_the_field_is_named(system, action, payload, field):
    station = await system.station()
    with pytest.raises(InvalidInput) as refused:
        await system.commands.send("CP1", action, payload)
    assert refused.value.field == field
    assert await station.is_served()  # and nothing came before


async def answer_next(station, payload):
    call = await station.hear()
    await station.say([3, call[1], payload])
    return call


async def test_the_configuration_a_station_tells_is_kept_and_survives_a_restart(tmp_path):
    async with central_system(tmp_path) as system:
        station = await system.station()
        told = [
            {"key": "MeterValueSampleInterval", "readonly": False, "value": 60},
            {"key": "NumberOfConnectors", "readonly": "true", "value": "2"},
            {"key": "AuthorizationKey", "readonly": False, "value": "0011223344"},
        ]
        asked = asyncio.create_task(system.commands.send("CP1", "GetConfiguration", {}))
        await answer_next(station, {"configurationKey": told, "unknownKey": None})
        assert (await asked)["configurationKey"][0]["value"] == "60"
        changed = asyncio.create_task(
            system.commands.send(
                "CP1", "ChangeConfiguration", {"key": "MeterValueSampleInterval", "value": "10"}
            )
        )
        await answer_next(station, {"status": "accepted"})
        assert await changed == {"status": "Accepted"}
        some = asyncio.create_task(
            system.commands.send("CP1", "GetConfiguration", {"key": ["Old", "HeartbeatInterval"]})
        )
        await answer_next(
            station,
            {
                "configurationKey": [{"key": "HeartbeatInterval", "readonly": False, "value": "300"}],
                "unknownKey": ["Old"],
            },
        )
        await some
        quirks = system.charge_points.station("CP1").quirks
        assert quirks["ChangeConfiguration answer, status: 'accepted' for Accepted"] == 1
    async with central_system(tmp_path, known=()) as system:
        station = system.charge_points.station("CP1")
        assert station.configuration == {
            "MeterValueSampleInterval": "10",
            "NumberOfConnectors": "2",
            "AuthorizationKey": None,
            "HeartbeatInterval": "300",
        }
        assert station.read_only_keys == {"NumberOfConnectors"}


async def test_a_refused_setting_is_not_remembered(system):
    station = await system.station()
    asked = asyncio.create_task(
        system.commands.send("CP1", "ChangeConfiguration", {"key": "Colour", "value": "red"})
    )
    await answer_next(station, {"status": "NotSupported"})
    await asked
    assert system.charge_points.station("CP1").configuration == {}


async def test_a_password_sent_to_a_station_is_in_no_log(system):
    station = await system.station()
    password = "00112233445566778899AABBCCDDEEFF"
    asked = asyncio.create_task(
        system.commands.send("CP1", "ChangeConfiguration", {"key": "AuthorizationKey", "value": password})
    )
    call = await answer_next(station, {"status": "Accepted"})
    await asked
    assert call[3]["value"] == password
    assert all(password not in text for _, _, _, text, _ in system.frames.rows)
    assert any('"value":"***"' in text for _, _, _, text, _ in system.frames.rows)


@pytest.mark.parametrize("odd", [5, True, "keys", {"key": "A"}])
async def test_an_odd_list_of_settings_is_no_fault_of_ours(system, odd):
    station = await system.station()
    asked = asyncio.create_task(system.commands.send("CP1", "GetConfiguration", {}))
    call = await station.hear()
    await station.say([3, call[1], {"configurationKey": odd, "unknownKey": odd}])
    await asyncio.wait_for(asked, PATIENCE_S)
    assert system.charge_points.station("CP1").configuration in ({}, {"A": None})


async def test_two_settings_changed_at_once_are_both_remembered(system):
    station = await system.station()
    keys = ("MeterValueSampleInterval", "HeartbeatInterval")
    asked = [
        asyncio.create_task(system.commands.send("CP1", "ChangeConfiguration", {"key": key, "value": "30"}))
        for key in keys
    ]
    for _ in keys:
        call = await station.hear()
        await station.say([3, call[1], {"status": "Accepted"}])
    await asyncio.gather(*asked)
    (row,) = await stored_stations(system)
    assert set(row["configuration"]) == set(keys)


async def stored_stations(system):
    async with system.database.read() as conn:
        return await stations.load_all(conn)
