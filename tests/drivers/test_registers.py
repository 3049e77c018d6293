"""Register tables: what the words on the wire mean, for every supported meter."""

from __future__ import annotations

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.catalogue import meter_models, relay_models
from drivers.registers import Point, decode, encode, plan

METERS = sorted(meter_models())
POINTS = [pytest.param(p, id=f"{m}.{p.key}") for m in METERS for p in meter_models()[m].points]


def make_point(
    type_: str, factor: float = 1.0, words: str = "big", not_available: int | None = None
) -> Point:
    return Point("p_tot", 4, 0x28, type_, factor, words, not_available)


@pytest.mark.parametrize(
    ("point", "words", "value"),
    [
        pytest.param(make_point("float32"), [0x435C, 0x8000], 220.5, id="IEEE float"),
        pytest.param(make_point("float32", 1000.0), [0x3FC0, 0x0000], 1500.0, id="kW shown in W"),
        pytest.param(make_point("float64"), [0x4093, 0x4A00, 0, 0], 1234.5, id="double"),
        pytest.param(
            make_point("int32", 0.1, "little"), [0xD8F0, 0xFFFF], -1000.0, id="Carlo Gavazzi export"
        ),
        pytest.param(make_point("int32", 0.1, "little"), [2305, 0], 230.5, id="no 230.50000000000003"),
        pytest.param(make_point("uint64", 10.0), [0, 0, 1, 0], 655360.0, id="ABB energy in 0.01 kWh"),
        pytest.param(make_point("int64", 1.0, "little"), [5, 1, 0, 0], 65541.0, id="EM540 energy"),
        pytest.param(make_point("int16", 10.0), [0xFFFF], -10.0, id="Saia power in 0.01 kW"),
        pytest.param(make_point("uint16", 0.01), [5000], 50.0, id="frequency"),
        pytest.param(make_point("float32"), [0x7FC0, 0x0000], None, id="NaN"),
        pytest.param(make_point("float32"), [0x7F80, 0x0000], None, id="infinity"),
    ],
)
def test_words_on_the_wire_mean_this_value(point, words, value):
    assert decode(point, words) == value
    if value is not None:
        assert encode(point, value) == words


@pytest.mark.parametrize(
    ("model", "key", "words"),
    [
        pytest.param("cg_em300", "p_tot", [0xFFFF, 0x7FFF], id="Carlo Gavazzi overflow"),
        pytest.param("abb_a_b", "p1", [0x7FFF, 0xFFFF], id="ABB, signed"),
        pytest.param("abb_a_b", "e_exp", [0xFFFF] * 4, id="ABB, unsigned"),
        pytest.param("sma_inverter", "p_tot", [0x8000, 0x0000], id="SMA inverter at night"),
        pytest.param("sma_inverter", "e_exp", [0xFFFF] * 4, id="SMA inverter energy at night"),
    ],
)
def test_not_available_is_no_value(model, key, words):
    point = meter_models()[model].point(key)
    assert decode(point, words) is None
    assert encode(point, None) == words


@pytest.mark.parametrize("point", POINTS)
@given(data=st.data())
def test_decode_undoes_encode(point, data):
    limit = min(2 ** (16 * point.count - 1) - 2, 2**50)  # beyond it a float no longer counts every unit
    raw = data.draw(st.integers(0, limit) if point.type[0] == "u" else st.integers(-limit, limit))
    if "float" in point.type:
        raw = struct.unpack(">f", struct.pack(">f", raw % 1e6))[0]
    value = raw * point.factor
    decoded = decode(point, encode(point, value))
    assert decoded == pytest.approx(value, rel=1e-6, abs=1e-9)
    assert encode(point, decoded) == encode(point, value)


def test_value_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="does not fit int16"):
        encode(make_point("int16"), 40_000)
    with pytest.raises(ValueError, match="no pattern for a missing value"):
        encode(make_point("int16"), None)


@pytest.mark.parametrize("model", METERS)
def test_requests_cover_every_point_once_and_obey_the_meter(model):
    meter = meter_models()[model]
    requests = plan(meter.points, meter.max_registers)
    assert sorted(p.key for r in requests for p in r.points) == sorted(p.key for p in meter.points)
    for request in requests:
        assert request.count <= meter.max_registers
        read = {a for p in request.points for a in range(p.address, p.address + p.count)}
        assert read == set(range(request.address, request.address + request.count)), "read across a gap"


def test_the_em24_is_asked_at_most_11_registers_at_once():
    meter = meter_models()["cg_em24_rs485"]
    requests = plan(meter.points, meter.max_registers)
    assert [(r.address, r.count) for r in requests] == [
        (0x00, 6), (0x0C, 10), (0x16, 2), (0x28, 2), (0x37, 1), (0x3E, 2), (0x5C, 2)
    ]  # fmt: skip


def test_a_one_phase_meter_asks_its_power_register_once():
    requests = plan(meter_models()["eastron_sdm120_230"].points, 80)
    assert [(r.address, r.count) for r in requests] == [(0x00, 2), (0x06, 2), (0x0C, 2), (0x46, 6)]


def test_the_em540_is_an_em340_with_other_energies():
    em540, em340 = meter_models()["cg_em500"], meter_models()["cg_em300"]
    differing = {p.key for p, q in zip(em540.points, em340.points, strict=True) if p != q}
    assert differing == {"e_imp", "e_exp"}
    assert (em540.point("e_imp").address, em540.point("e_imp").type) == (0x500, "int64")


@pytest.mark.parametrize("model", METERS)
def test_every_meter_tells_power_and_is_documented(model):
    meter = meter_models()[model]
    keys = {p.key for p in meter.points}
    assert "p_tot" in keys or {"p_import", "p_export"} <= keys
    assert meter.confidence in ("A", "B", "C")
    assert meter.source
    assert all(math.isfinite(p.factor) for p in meter.points)


@pytest.mark.parametrize("model", sorted(relay_models()))
def test_every_relay_profile_is_consistent(model):
    relays = relay_models()[model]
    assert relays.failsafe in ("pulse", "pulse_short", "watchdog", "watchdog_in_device", "none")
    assert (relays.failsafe == "pulse") == (relays.pulse is not None)
    assert (relays.failsafe == "watchdog") == (relays.watchdog is not None)
    assert relays.readback.count == relays.relays
