"""Whatever is fed to a link in whatever order, its promises hold."""

import json
from collections import deque
from datetime import UTC, datetime
from itertools import count

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    precondition,
    rule,
)

from csms.errors import CallFailed, NotConnected
from csms.ocpp import link as link_module
from csms.ocpp.link import HandleCall, Link, Received, ResolveCall, SendFrame, WaitingText
from csms.ocpp.messages import BadCall, Call, parse

NOW = datetime(2026, 6, 1, 10, 0, tzinfo=UTC)
INBOX, CHARACTERS, ALL_CHARACTERS, QUEUE = 4, 400, 600, 3

CALLS = st.builds(
    lambda id, content: [2, id, *content],
    st.sampled_from(["1", "2", "3", "", 4, "{5}"]),
    st.sampled_from(
        [
            ("Heartbeat", {}),
            ("heartbeat", None),
            ("Authorize", {"idTag": "A"}),
            ("Authorize", {"idTag": "B"}),
            ("DataTransfer", {"vendorId": "v", "data": "x" * 150}),
            ("StatusNotification", {"connectorId": 1}),
            ("MeterValues", {"connectorId": 1, "meterValue": [{"sampledValue": [{"value": "1"}]}]}),
            ("Reset", {"type": "Soft"}),
            ("Nonsense", {}),
        ]
    ),
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
ANSWERS = st.builds(
    lambda kind, id, rest: [kind, id, *rest],
    st.sampled_from([3, 4, "3"]),
    st.sampled_from(["ours-1", "ours-2", "OURS-3", "1", 7]),
    st.lists(VALUES, max_size=4),
)


@st.composite
def mutated(draw, frames=CALLS | ANSWERS):
    """A frame with something swapped, cut out, doubled or put in, in its structure or its text."""
    frame = draw(frames)
    match draw(st.sampled_from(["element", "length", "text", "cut", "none"])):
        case "element":
            frame[draw(st.integers(0, len(frame) - 1))] = draw(VALUES)
        case "length":
            frame = draw(st.permutations(frame))[: draw(st.integers(0, len(frame)))]
        case "text":
            text = json.dumps(frame)
            at = draw(st.integers(0, len(text)))
            return text[:at] + draw(st.text(max_size=3)) + text[at + draw(st.integers(0, 3)) :]
        case "cut":
            return json.dumps(frame)[: draw(st.integers(0, 60))]
    return json.dumps(frame)


class LinkMachine(RuleBasedStateMachine):
    """owed: the ids of calls that are taken and not answered yet, in order."""

    calls = Bundle("calls")

    def __init__(self):
        super().__init__()
        self._patch = pytest.MonkeyPatch()
        self._patch.setattr(link_module, "INBOX_LIMIT", INBOX)
        self._patch.setattr(link_module, "INBOX_CHARACTERS", CHARACTERS)
        self._patch.setattr(link_module, "QUEUE_LIMIT", QUEUE)
        numbers = count(1)
        self.waiting, self.of_others = WaitingText(ALL_CHARACTERS), 0
        self.link = Link("CP1", lambda: f"ours-{next(numbers)}", waiting=self.waiting)
        self.now_s, self.closed = 0.0, False
        self.owed: deque[str] = deque()
        self.handling: HandleCall | None = None
        self.asked: set[str] = set()
        self.sent: list[str] = []
        self.resolved: list[str] = []
        self.withdrawn: set[str] = set()

    def teardown(self):
        if not self.closed:
            self.close()
        assert sorted(self.resolved) == sorted(set(self.resolved))
        assert set(self.resolved) | self.withdrawn >= self.asked
        self._patch.undo()

    # --- what other stations do ---

    @rule(characters=st.integers(0, ALL_CHARACTERS))
    def the_others_have_waiting(self, characters):
        self.waiting.characters += characters - self.of_others
        self.of_others = characters

    # --- what the station does ---

    @rule(text=CALLS.map(json.dumps) | mutated() | st.text(max_size=40))
    def the_station_says(self, text):
        message, waited, effects = parse(text), len(self.owed), self.feed(text)
        answers = [e for e in effects if isinstance(e, SendFrame) and json.loads(e.text)[0] != 2]
        match message:
            case BadCall():
                assert len(answers) == 1
            case Call():
                assert len(answers) <= 1
                note = effects[0].note or ""
                if not answers and not note.startswith(("repeated", "the connection is over")):
                    self.owed.append(str(message.id))
                    assert not waited or self.waiting.characters <= ALL_CHARACTERS
            case _:
                assert answers == []
        for answer in answers:
            kind, id, code, *_ = json.loads(answer.text)
            assert (kind, id) == (4, message.id)
            assert code
        self.take(effects)

    @precondition(lambda self: self.pending is not None)
    @rule(data=st.data())
    def the_station_answers(self, data):
        payload = data.draw(st.sampled_from([{}, {"status": "Accepted"}, None, [], "odd"]))
        kind = data.draw(st.sampled_from([3, 4]))
        frame = [3, self.pending, payload] if kind == 3 else [4, self.pending, "InternalError", "", {}]
        pending = self.pending
        effects = self.feed(json.dumps(frame))
        self.take(effects)
        assert self.resolved.count(pending) == 1

    # --- what we do ---

    @precondition(lambda self: self.handling is not None)
    @rule(is_refused=st.booleans())
    def it_is_handled(self, is_refused):
        call, self.handling = self.handling, None
        effects = self.link.refuse("InternalError", "why") if is_refused else self.link.answer({})
        assert json.loads(effects[0].text)[:2] == [4 if is_refused else 3, call.id]
        assert str(call.id) == self.owed.popleft()
        self.take(effects[1:])

    @precondition(lambda self: self.handling is not None)
    @rule()
    def its_answer_cannot_be_written(self):
        """Then the call is still being handled, and may be refused."""
        with pytest.raises(TypeError):
            self.link.answer({"odd": object()})

    @rule(target=calls, timeout_s=st.sampled_from([5, 30]))
    def we_ask(self, timeout_s):
        if self.closed:
            with pytest.raises(NotConnected):
                self.link.call("ClearCache", {}, self.now_s, timeout_s)
            return multiple()
        waiting = self.asked - set(self.resolved) - self.withdrawn - {self.pending}
        try:
            id, effects = self.link.call("ClearCache", {}, self.now_s, timeout_s)
        except CallFailed:
            assert len(waiting) == QUEUE
            return multiple()
        assert len(waiting) < QUEUE
        self.asked.add(id)
        self.take(effects)
        return id

    @rule(id=consumes(calls))
    def nobody_waits_any_more(self, id):
        self.link.withdraw(id)
        if id not in self.sent:
            self.withdrawn.add(id)

    @rule(seconds=st.sampled_from([1, 4, 30]))
    def time_passes(self, seconds):
        self.now_s += seconds
        self.take(self.link.tick(self.now_s))

    @precondition(lambda self: not self.closed)
    @rule()
    def close(self):
        self.closed = True
        while len(self.owed) > (self.handling is not None):
            self.owed.pop()
        self.take(self.link.close())
        assert self.pending is None

    # --- what always holds ---

    @property
    def pending(self) -> str | None:
        return next((id for id in self.sent if id not in self.resolved), None)

    def feed(self, text):
        effects = self.link.feed(text, NOW)
        assert isinstance(effects[0], Received)
        assert not any(isinstance(e, Received) for e in effects[1:])
        return effects

    def take(self, effects):
        for effect in effects:
            match effect:
                case SendFrame(text) if json.loads(text)[0] == 2:
                    assert self.pending is None, "two of our calls are under way"
                    assert not self.closed
                    self.sent.append(json.loads(text)[1])
                    assert self.sent[-1] not in self.withdrawn
                case HandleCall():
                    assert self.handling is None, "two calls are handled at once"
                    assert not self.closed
                    assert str(effect.id) == self.owed[0]
                    self.handling = effect
                case ResolveCall(id):
                    assert id in self.asked
                    self.resolved.append(id)

    @invariant()
    def limits_hold(self):
        assert len(self.owed) <= INBOX
        assert len(self.link._inbox) == len(self.owed)
        assert sum(call.length for call in self.link._inbox) == self.link._inbox_characters
        assert self.waiting.characters == self.of_others + self.link._inbox_characters
        if len(self.owed) > 1:
            assert self.link._inbox_characters <= CHARACTERS

    @invariant()
    def what_is_owed_is_being_handled(self):
        assert (self.handling is not None) == bool(self.owed)


LinkMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestLink = LinkMachine.TestCase
