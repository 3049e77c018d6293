"""What stations send that they should not: every frame gets the answer it deserves, and the link lives on."""

import asyncio
import json

import pytest
from central_system_under_test import HEARTBEAT, PATIENCE_S

METER_VALUE = '{"timestamp":"2026-06-01T10:00:00Z","sampledValue":[{"value":"1"}]}'

# name: (frame, the beginning of the answer; None: no answer is due)
NONSENSE = {
    "empty": ("", None),
    "a word": ("hello", None),
    "malformed JSON": ('{"a":', None),
    "an object": ('{"action":"Heartbeat"}', None),
    "an empty list": ("[]", None),
    "no id": ("[2]", None),
    "id is null": ('[2,null,"Heartbeat",{}]', None),
    "id is a list": ('[2,["1"],"Heartbeat",{}]', None),
    "unknown message type": ('[7,"1","Heartbeat",{}]', None),
    "type is true": ('[true,"1","Heartbeat",{}]', None),
    "deeply nested": ("[" * 100_000, None),
    "answer to nothing": ('[3,"1",{}]', None),
    "error to nothing": ('[4,"1","InternalError","",{}]', None),
    "short error": ('[4,"1"]', None),
    "malformed call": ('[2,"1","Heartbeat",{', [4, "1", "FormationViolation"]),
    "deeply nested call": ('[2,"1","Heartbeat",' + "[" * 100_000, [4, "1", "FormationViolation"]),
    "escapes without end": ('[2,"1","Heartbeat",{"x":"' + r"\"" * 30_000, [4, "1", "FormationViolation"]),
    "half a megabyte of escapes": ('["' + r"\"" * 250_000, None),
    "a secret over and over": ('{"key":' + '"AuthorizationKey",' * 20_000, None),
    "no action": ('[2,"1"]', [4, "1", "ProtocolError"]),
    "list action": ('[2,"1",["Heartbeat"],{}]', [4, "1", "FormationViolation"]),
    "action and payload swapped": ('[2,"1",{},"Heartbeat"]', [4, "1", "FormationViolation"]),
    "payload is text": ('[2,"1","Heartbeat","{}"]', [4, "1", "FormationViolation"]),
    "payload is a list": ('[2,"1","MeterValues",[1]]', [4, "1", "FormationViolation"]),
    "huge id": (f'[2,"{"x" * 300}","Heartbeat",{{}}]', [4, "x" * 300, "FormationViolation"]),
    "an id of half a megabyte": (f'[2,"{"ä" * 250_000}","Heartbeat",{{}}]', None),
    "unknown action": ('[2,"1","Teleport",{}]', [4, "1", "NotImplemented"]),
    "central system's action": ('[2,"1","RemoteStartTransaction",{"idTag":"A"}]', [4, "1", "NotSupported"]),
    "status without status": (
        '[2,"1","StatusNotification",{"connectorId":1}]',
        [4, "1", "OccurenceConstraintViolation"],
    ),
    "connector is a word": (
        '[2,"1","StatusNotification",{"connectorId":"one","errorCode":"NoError","status":"Available"}]',
        [4, "1", "OccurenceConstraintViolation"],
    ),
    "unknown firmware status": (
        '[2,"1","FirmwareStatusNotification",{"status":"DownloadScheduled"}]',
        [3, "1"],
    ),
    "security extension": ('[2,"1","SignCertificate",{"csr":"x"}]', [4, "1", "NotSupported"]),
    "nested as deeply as can be read": (
        f'[2,"1","DataTransfer",{{"vendorId":"v","data":{"[" * 900}{"]" * 900}}}]',
        [3, "1"],
    ),
    "sixty thousand fields": (
        json.dumps([2, "1", "Authorize", {"idTag": "A", **{f"k{n}": 1 for n in range(60_000)}}]),
        [3, "1"],
    ),
    "null payload": ('[2,"1","Heartbeat",null]', [3, "1"]),
    "empty list as payload": ('[2,"1","Heartbeat",[]]', [3, "1"]),
    "no payload": ('[2,"1","Heartbeat"]', [3, "1"]),
    "surplus elements": ('[2,"1","Heartbeat",{},{},1]', [3, "1"]),
    "lower-case action": ('[2,"1","heartbeat",{}]', [3, "1"]),
    "type as text": ('["2","1","Heartbeat",{}]', [3, "1"]),
    "id is a number": ('[2,17,"Heartbeat",{}]', [3, 17]),
    "id in braces": (
        '[2,"{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}","Heartbeat",{}]',
        [3, "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}"],
    ),
    "byte order mark": ('\ufeff[2,"1","Heartbeat",{}]', [3, "1"]),
    "trailing comma": (
        f'[2,"1","MeterValues",{{"connectorId":1,"meterValue":[{METER_VALUE},],}},]',
        [3, "1", {}],
    ),
    "missing value": (
        f'[2,"1","MeterValues",{{"connectorId":1,"transactionId":,"meterValue":[{METER_VALUE}]}}]',
        [3, "1", {}],
    ),
    "leading comma in a list": (
        f'[2,"1","MeterValues",{{"connectorId":1,"meterValue":[,{METER_VALUE}]}}]',
        [3, "1", {}],
    ),
    "lone backslash": (r'[2,"1","Authorize",{"idTag":"AB\CD"}]', [3, "1"]),
    "a line break in a text": ('[2,"1","Authorize",{"idTag":"AB\nCD"}]', [3, "1"]),
    "half a surrogate pair": (r'[2,"1","Authorize",{"idTag":"A\ud800"}]', [3, "1"]),
    "empty authorize": ('[2,"1","Authorize",{}]', [3, "1"]),
    "start without anything": ('[2,"1","StartTransaction",{}]', [3, "1"]),
    "stop with words for numbers": (
        '[2,"1","StopTransaction",{"transactionId":"none","meterStop":"much","timestamp":"yesterday"}]',
        [3, "1", {}],
    ),
    "meter values without values": (
        '[2,"1","MeterValues",{"connectorId":1,"meterValue":[{"sampledValue":[]}]}]',
        [3, "1", {}],
    ),
    "NaN for a number": (
        '[2,"1","StartTransaction",{"connectorId":1,"idTag":"A","meterStart":NaN}]',
        [3, "1"],
    ),
}


@pytest.mark.parametrize("name", NONSENSE)
async def test_nonsense_is_answered_as_it_deserves_and_the_link_lives(system, name):
    frame, expected = NONSENSE[name]
    station = await system.station()
    await station.say(frame)
    if expected is not None:
        assert (await station.hear())[: len(expected)] == expected
    assert await station.is_served()


async def test_bytes_that_are_no_text_do_not_end_the_connection(system):
    station = await system.station()
    await station.socket.send(b"\xff\xfe\x00[2")
    assert await station.is_served()
    await station.socket.send(HEARTBEAT.encode())  # a binary frame that holds a proper call
    assert (await station.hear())[:2] == [3, "hb"]


async def test_a_frame_over_one_mebibyte_ends_the_connection_and_the_station_may_come_back(system):
    station = await system.station()
    await station.say(HEARTBEAT.replace("{}", json.dumps({"x": "y" * 2**20})))
    assert await station.closed() == 1009
    assert await (await system.station()).is_served()


async def test_no_answer_to_what_the_handler_could_not_store_but_an_error_so_that_it_is_repeated(system):
    station = await system.station()
    start = {"connectorId": 1, "idTag": "A", "meterStart": 0, "timestamp": "2026-06-01T10:00:00Z"}
    system.answers.fault = OSError("disk full")
    assert (await station.ask([2, "1", "StartTransaction", start]))[:3] == [4, "1", "InternalError"]
    system.answers.fault = None
    assert (await station.ask([2, "1", "StartTransaction", start]))[2]["transactionId"] == 1


async def test_frames_are_handled_one_at_a_time_in_the_order_they_came(system):
    station = await system.station()
    for number in range(50):
        await station.say([2, str(number), "DataTransfer", {"vendorId": str(number)}])
    assert [(await station.hear())[1] for _ in range(50)] == [str(n) for n in range(50)]
    assert [payload["vendorId"] for _, _, payload in system.answers.handled] == [str(n) for n in range(50)]
    assert system.answers.most_at_once == 1


async def test_a_call_repeated_while_it_is_handled_is_handled_once_and_answered_once(system):
    system.answers.may_go_on.clear()
    station = await system.station()
    await station.say(HEARTBEAT)
    await asyncio.wait_for(system.answers.arrived.wait(), PATIENCE_S)
    await station.say(HEARTBEAT)
    await station.say([2, "end", "Heartbeat", {}])
    await station.say([2, "read", "Nonsense", {}])
    assert (await station.hear())[1] == "read"
    system.answers.may_go_on.set()
    assert [(await station.hear())[1], (await station.hear())[1]] == ["hb", "end"]
    assert len(system.answers.handled) == 2


async def test_what_was_mended_is_counted_and_in_the_frame_log(system):
    station = await system.station()
    status = {
        "connectorId": 1,
        "errorCode": "Error",
        "status": "charging",
        "timestamp": "2026-06-01 10:00:00",
    }
    await station.ask([2, "1", "statusnotification", status])
    assert system.answers.handled[0][1:] == (
        "StatusNotification",
        {
            "connectorId": 1,
            "errorCode": "OtherError",
            "vendorErrorCode": "Error",
            "status": "Charging",
            "timestamp": "2026-06-01T10:00:00Z",
        },
    )
    assert dict(system.charge_points.station("CP1").quirks) == {
        "StatusNotification.action 'statusnotification'": 1,
        "StatusNotification.errorCode: 'Error' unknown": 1,
        "StatusNotification.status: 'charging' for Charging": 1,
        "StatusNotification.timestamp: time format": 1,
    }
    (direction, action, message_id, text, note), answer = system.frames.rows
    assert (direction, action, message_id) == ("in", "StatusNotification", "1")
    assert "statusnotification" in text
    assert note.startswith("mended: action 'statusnotification', errorCode")
    assert answer == ("out", "StatusNotification", "1", '[3,"1",{}]', None)


async def test_why_a_frame_was_refused_is_in_the_frame_log(system):
    station = await system.station()
    await station.ask([2, "1", "StatusNotification", {"connectorId": 1}])
    (_, _, _, _, why), (_, _, _, _, refusal) = system.frames.rows
    assert "status" in why
    assert why == refusal
