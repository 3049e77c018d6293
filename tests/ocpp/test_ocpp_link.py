"""The link without a network: its rules hold whatever is fed to it."""

import json
from datetime import UTC, datetime
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csms.errors import CallFailed, CallTimeout, NotConnected
from csms.ocpp.link import (
    INBOX_CHARACTERS,
    INBOX_LIMIT,
    QUEUE_LIMIT,
    HandleCall,
    Link,
    Received,
    ResolveCall,
    SendFrame,
    WaitingText,
)

NOW = datetime(2026, 6, 1, 10, 0, tzinfo=UTC)


def make_link(waiting=None):
    numbers = count(1)
    return Link("CP1", lambda: f"ours-{next(numbers)}", waiting=waiting)


def sent(effects):
    return [json.loads(e.text) for e in effects if isinstance(e, SendFrame)]


def resolved(effects):
    return [(e.id, e.result) for e in effects if isinstance(e, ResolveCall)]


def to_handle(effects):
    return [e.id for e in effects if isinstance(e, HandleCall)]


def test_calls_are_handed_out_one_after_the_other():
    link = make_link()
    assert to_handle(link.feed('[2,"1","Heartbeat",{}]', NOW)) == ["1"]
    assert to_handle(link.feed('[2,"2","Heartbeat",{}]', NOW)) == []
    effects = link.answer({"currentTime": "x"})
    assert (sent(effects), to_handle(effects)) == ([[3, "1", {"currentTime": "x"}]], ["2"])
    effects = link.refuse("InternalError", "why")
    assert (sent(effects), to_handle(effects)) == ([[4, "2", "InternalError", "why", {}]], [])


def test_the_same_id_with_another_content_is_another_call():
    """A station that counts from 1 again after its restart."""
    link = make_link()
    link.feed('[2,"1","Heartbeat",{}]', NOW)
    link.feed('[2,"1","Authorize",{"idTag":"A"}]', NOW)
    assert to_handle(link.answer({})) == ["1"]


def test_a_flood_of_calls_is_refused_so_that_they_are_repeated():
    link = make_link()
    for number in range(INBOX_LIMIT):
        assert sent(link.feed(f'[2,"{number}","Heartbeat",{{}}]', NOW)) == []
    assert sent(link.feed('[2,"more","Heartbeat",{}]', NOW))[0][:3] == [4, "more", "InternalError"]


def test_our_calls_wait_for_each_other_and_for_nothing_else():
    link = make_link()
    first, effects = link.call("ClearCache", {}, 0, 30)
    assert sent(effects) == [[2, first, "ClearCache", {}]]
    second, effects = link.call("Reset", {"type": "Soft"}, 1, 30)
    assert effects == []
    effects = link.feed(f'[3,"{first}",{{"status":"Accepted"}}]', NOW)
    assert resolved(effects) == [(first, {"status": "Accepted"})]
    assert sent(effects) == [[2, second, "Reset", {"type": "Soft"}]]


def test_time_runs_from_when_a_call_is_given():
    link = make_link()
    first, _ = link.call("ClearCache", {}, now_s=0, timeout_s=30)
    second, _ = link.call("ClearCache", {}, now_s=10, timeout_s=10)
    third, _ = link.call("ClearCache", {}, now_s=10, timeout_s=60)
    assert link.tick(19.9) == []
    (over,) = link.tick(20)
    assert (over.id, type(over.result)) == (second, CallTimeout)
    effects = link.tick(30)
    assert [id for id, _ in resolved(effects)] == [first]
    assert [frame[1] for frame in sent(effects)] == [third]


def test_a_late_answer_and_one_to_nothing_are_noted():
    link = make_link()
    first, _ = link.call("ClearCache", {}, 0, 30)
    link.tick(30)
    assert link.feed(f'[3,"{first}",{{}}]', NOW) == [
        Received("ClearCache", first, "too late: no longer waited for")
    ]
    assert link.feed('[4,"x","InternalError","",{}]', NOW) == [
        Received(None, "x", "answers nothing we asked")
    ]


@pytest.mark.parametrize("id", ["OURS-1", " ours-1 ", "Ours-1"])
def test_an_id_that_comes_back_in_another_spelling_is_understood(id):
    link = make_link()
    first, _ = link.call("ClearCache", {}, 0, 30)
    effects = link.feed(json.dumps([3, id, {"status": "Accepted"}]), NOW)
    assert resolved(effects) == [(first, {"status": "Accepted"})]


@pytest.mark.parametrize("depth", [500, 900, 960, 980, 990, 1000, 1010, 1020, 2000])
@pytest.mark.parametrize("field", ["configurationKey", "status", "data"])
def test_an_answer_however_deeply_nested_is_a_result_a_failure_or_nothing(field, depth):
    link = make_link()
    first, _ = link.call("GetConfiguration", {}, 0, 30)
    effects = link.feed(f'[3,"{first}",{{"{field}":{"[" * depth}{"]" * depth}}}]', NOW)
    outcomes = resolved(effects) or resolved(link.tick(30))
    assert [id for id, _ in outcomes] == [first]


def test_the_texts_of_waiting_calls_are_limited_but_one_is_always_taken():
    link = make_link()
    large = json.dumps([2, "1", "DataTransfer", {"vendorId": "v", "data": "x" * INBOX_CHARACTERS}])
    assert to_handle(link.feed(large, NOW)) == ["1"]
    assert sent(link.feed('[2,"2","Heartbeat",{}]', NOW))[0][:3] == [4, "2", "InternalError"]
    link.answer({"status": "Accepted"})
    assert to_handle(link.feed('[2,"2","Heartbeat",{}]', NOW)) == ["2"]


def transfer(id, characters):
    frame = json.dumps([2, id, "DataTransfer", {"vendorId": "v", "data": ""}])
    return json.dumps([2, id, "DataTransfer", {"vendorId": "v", "data": "x" * (characters - len(frame))}])


def test_a_thousand_stations_together_hold_no_more_text_than_a_few():
    """While the database stands still each tells all it has; what is too much they are asked to repeat."""
    waiting = WaitingText(most_characters=100_000)
    links = [make_link(waiting) for _ in range(1000)]
    for link in links:
        assert to_handle(link.feed(transfer("first", 60), NOW)) == ["first"]
    taken, refused = 0, []
    for link in links:
        answers = sent(link.feed(transfer("second", 1000), NOW))
        taken += not answers
        refused += answers
    assert (taken, len(refused)) == (40, 960)
    assert {(kind, code) for kind, _, code, *_ in refused} == {(4, "InternalError")}
    assert all("repeat" in description for _, _, _, description, _ in refused)
    assert waiting.characters == 100_000


def test_a_station_comes_to_word_with_one_call_however_full_the_others_make_it():
    waiting = WaitingText(most_characters=1000)
    flood, quiet = make_link(waiting), make_link(waiting)
    flood.feed(transfer("1", 900), NOW)
    flood.feed(transfer("2", 100), NOW)
    assert to_handle(quiet.feed(transfer("1", 600), NOW)) == ["1"]
    assert sent(quiet.feed('[2,"2","Heartbeat",{}]', NOW))[0][:3] == [4, "2", "InternalError"]
    quiet.answer({"status": "Accepted"})
    assert to_handle(quiet.feed('[2,"2","Heartbeat",{}]', NOW)) == ["2"]


@pytest.mark.parametrize("closed_first", [True, False])
def test_connections_that_end_leave_the_room_to_others(closed_first):
    waiting = WaitingText(most_characters=1000)
    gone = make_link(waiting)
    gone.feed(transfer("1", 300), NOW)
    gone.feed(transfer("2", 300), NOW)
    if closed_first:
        gone.close()
        assert waiting.characters == 300  # still being handled
        gone.answer({"status": "Accepted"})
    else:
        gone.answer({"status": "Accepted"})
        gone.refuse("InternalError", "not stored")
        gone.close()
    assert waiting.characters == 0


def test_a_withdrawn_call_is_not_sent():
    link = make_link()
    first, _ = link.call("ClearCache", {}, 0, 30)
    second, _ = link.call("ClearCache", {}, 0, 30)
    link.withdraw(second)
    assert sent(link.feed(f'[3,"{first}",{{}}]', NOW)) == []


def test_the_queue_is_limited():
    link = make_link()
    for _ in range(QUEUE_LIMIT + 1):
        link.call("ClearCache", {}, 0, 30)
    with pytest.raises(CallFailed):
        link.call("ClearCache", {}, 0, 30)


def test_when_the_connection_is_over_our_calls_fail_and_nothing_more_is_handed_out():
    link = make_link()
    link.feed('[2,"1","Heartbeat",{}]', NOW)
    link.feed('[2,"2","Heartbeat",{}]', NOW)
    first, _ = link.call("ClearCache", {}, 0, 30)
    second, _ = link.call("ClearCache", {}, 0, 30)
    outcomes = resolved(link.close())
    assert [(id, type(fault)) for id, fault in outcomes] == [(first, NotConnected), (second, NotConnected)]
    assert to_handle(link.answer({})) == []
    with pytest.raises(NotConnected):
        link.call("ClearCache", {}, 0, 30)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
KINDS = st.sampled_from([2, 2, 2, 3, 4, "2", 5, None, True]) | VALUES
IDS = st.sampled_from(["1", "ours-1", "ours-2", 7]) | VALUES
ACTIONS = st.sampled_from(["Heartbeat", "MeterValues", "stoptransaction", "Reset", "Nonsense"]) | VALUES
FRAMES = st.tuples(KINDS, IDS, ACTIONS, VALUES).map(list) | st.lists(VALUES, max_size=6) | VALUES
TEXTS = (
    st.text(max_size=60)
    | FRAMES.map(json.dumps)
    | FRAMES.map(lambda frame: json.dumps(frame).replace("null", ""))
    | st.tuples(FRAMES, st.integers(0, 60)).map(lambda pair: json.dumps(pair[0])[: pair[1]])
)


def begins_like_a_call(text):
    return text.replace(" ", "").lstrip("\ufeff\x00\t\n\r\x0b\x0c")[:3] in ("[2,", '["2', "[2.")


@given(texts=st.lists(TEXTS, max_size=12))
def test_it_never_fails_answers_calls_only_and_each_once(texts):
    link = make_link()
    link.call("ClearCache", {}, 0, 30)
    handed_out = None
    for text in texts:
        effects = link.feed(text, NOW)
        assert isinstance(effects[0], Received)
        answers = [frame for frame in sent(effects) if frame[0] in (3, 4)]
        assert len(answers) <= 1
        if answers:
            assert begins_like_a_call(text)
        for effect in effects:
            if isinstance(effect, HandleCall):
                assert handed_out is None  # one at a time
                handed_out = effect
    while handed_out is not None:
        effects = link.answer({})
        assert sent(effects)[0] == [3, handed_out.id, {}]
        handed_out = next((e for e in effects if isinstance(e, HandleCall)), None)
