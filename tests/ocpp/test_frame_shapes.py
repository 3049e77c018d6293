"""A MeterValues read by its shape is the very one that the ordinary way reads."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csms.domain.normalise import normalise
from csms.ocpp.frame_shapes import MeterFrame, MeterFrames
from csms.ocpp.messages import Call, parse
from csms.services.transaction_records import elements

NOW = datetime(2026, 6, 1, 10, 0, tzinfo=UTC)
SEASONED = MeterFrames()  # has sent all that was checked before
TIME = "2026-06-01T09:59:50Z"

NUMBERS = st.one_of(
    st.integers(-10, 2**31).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(str),
    st.sampled_from(["0", "-0", "1e3", "007.50", "2147483647", "1e400", "nan", "1_0", " 5", "5,5", "", "½"]),
)
SAMPLES = st.fixed_dictionaries(
    {"value": NUMBERS},
    optional={
        "measurand": st.sampled_from(
            ["Energy.Active.Import.Register", "Power.Active.Import", "Current.Import", "Voltage", "SoC", "x"]
        ),
        "phase": st.sampled_from(["L1", "L2", "L3", "N", "L1-N", "L1-L2", "l1"]),
        "unit": st.sampled_from(["Wh", "kWh", "W", "kW", "A", "V", "Percent", "Celsius", "%s"]),
        "context": st.sampled_from(["Sample.Periodic", "Sample.Clock", "value"]),
        "location": st.sampled_from(["Outlet", "Inlet"]),
        "format": st.sampled_from(["Raw", "Raw", "SignedData"]),
    },
)
TIMES = st.one_of(
    st.just(TIME),
    st.integers(1262131200, 1780358400).map(
        lambda at: f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"
    ),
    st.sampled_from(
        ["2026-06-01T11:59:50+02:00", "1970-01-01T00:00:00Z", "2010-01-01T00:00:00+02:00", "", "now"]
    ),
)
ELEMENTS = st.fixed_dictionaries(
    {"timestamp": TIMES, "sampledValue": st.lists(SAMPLES, min_size=1, max_size=4)}
)
PAYLOADS = st.fixed_dictionaries(
    {"connectorId": st.integers(-1, 3), "meterValue": st.lists(ELEMENTS, min_size=1, max_size=3)},
    optional={"transactionId": st.sampled_from([1, 7, 0, -1, 2**31, None]), "value": st.just("1")},
)
WRITTEN = st.sampled_from([(",", ":"), (", ", ": "), (",", ": "), (" , ", " : ")])


@st.composite
def frames(draw):
    """Texts that are nearly alike: another order or way of writing, one character more or less."""
    payload = draw(PAYLOADS)
    names = draw(st.permutations(list(payload)))
    frame = [
        2,
        draw(st.sampled_from(["a", "b-1", "x" * 37, 7])),
        "MeterValues",
        {n: payload[n] for n in names},
    ]
    text = json.dumps(frame, separators=draw(WRITTEN), ensure_ascii=draw(st.booleans()))
    if draw(st.integers(0, 3)) == 0:
        at = draw(st.integers(0, len(text)))
        text = (
            text[:at]
            + draw(st.sampled_from(["", '"', "\\", ",", "0", "}", '"value":"7",']))
            + text[at + draw(st.integers(0, 2)) :]
        )
    return text


def frame(*samples: dict, connector_id: int = 1, at: str = TIME, **more) -> str:
    payload = {
        "connectorId": connector_id,
        **more,
        "meterValue": [{"timestamp": at, "sampledValue": samples}],
    }
    return json.dumps([2, "1", "MeterValues", payload], separators=(",", ":"))


def check(text: str) -> None:
    """If it is read by its shape at all, it is read as by the ordinary way, whatever came before."""
    for station in (MeterFrames(), SEASONED):
        if (quickly := station.read(text, NOW)) is not None:
            check_read(text, quickly)


def check_read(text: str, quickly: MeterFrame) -> None:
    call = parse(text)
    assert isinstance(call, Call)
    payload, repairs = normalise(call.action, call.payload, NOW)
    assert (quickly.id, quickly.repairs, call.notes) == (call.id, tuple(repairs), ())
    read = [{**e, "sampledValue": [*e["sampledValue"]]} for e in quickly.payload["meterValue"]]
    assert {**quickly.payload, "meterValue": read} == payload
    stored = elements("CP1", payload["connectorId"], payload["meterValue"], NOW)
    for one, other in zip(
        elements("CP1", payload["connectorId"], quickly.payload["meterValue"], NOW), stored, strict=True
    ):
        others = one.row["other"]
        one.row["other"] = None if others is None else json.loads(others)
        assert (one.row, one.reading) == (other.row, other.reading)
        assert [*one.samples] == other.samples


@settings(deadline=None)  # the first one compiles the schemas
@given(frames())
def test_whatever_the_frame_its_shape_says_the_same(text: str) -> None:
    check(text)


@given(st.lists(SAMPLES, min_size=1, max_size=12), st.data())
def test_the_same_samples_with_other_numbers(samples, data) -> None:
    """A station sends the next values of the same kinds; some number among them may be odd."""
    check(frame(*samples))
    for sample in samples:
        sample["value"] = data.draw(NUMBERS)
    check(frame(*samples, transactionId=data.draw(st.integers(0, 2**31))))


POWER = {"value": "1400.5", "measurand": "Power.Active.Import", "unit": "W"}
REGISTER = {"value": "1000"}


@pytest.mark.parametrize("style", [(",", ":"), (", ", ": ")])
def test_plain_values_are_read_by_their_shape(style: tuple[str, str]) -> None:
    text = json.dumps(json.loads(frame(POWER, REGISTER, transactionId=9)), separators=style)
    read = MeterFrames().read(text, NOW)
    assert read is not None
    assert read.payload["transactionId"] == 9
    assert [*read.payload["meterValue"][0]["sampledValue"]] == [POWER, REGISTER]
    check(text)


@pytest.mark.parametrize(
    "text",
    [
        frame({**REGISTER, "value": "-5"}),
        frame({**REGISTER, "value": "2147483647"}),
        frame({**POWER, "value": "1e16"}),
        frame({**POWER, "value": "1,5"}),
        frame({**POWER, "phase": "L1N"}),
        frame({"value": "OCMF|{}", "format": "SignedData"}),
        frame(POWER, at="1970-01-01T00:00:00Z"),
        frame(POWER, at=f"{NOW + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"),
        frame(POWER, transactionId=0),
        frame(POWER, transactionId=2**31),
        frame(POWER).replace('"1"', '"1\\u0041"', 1),
        frame(POWER).replace('"value"', '"value":"5","value"'),
        frame(POWER, POWER).replace('"value"', '"v\\u0061lue"', 1),
        frame(POWER).replace('"connectorId":1', '"connectorId":1,"connectorId":2'),
        frame(POWER)[:-2] + ',"connectorId":2}]',
        frame(POWER)[:-1] + ',"more"]',
        frame(POWER)[:-1],
        frame(*[POWER] * 1000),
        frame(*[REGISTER] * 100),  # short, but its shape would take much memory
    ],
)
def test_what_is_unusual_is_read_the_ordinary_way(text: str) -> None:
    assert MeterFrames().read(text, NOW) is None
