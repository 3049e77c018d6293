"""Frames on the wire: what is asked, and which answer belongs to it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.framer.rtu import FramerRTU

from drivers.modbus_frames import Query, contradicts, find_answer, frame, line_bytes

reads = st.builds(
    Query,
    unit=st.integers(1, 247),
    function=st.sampled_from([1, 2, 3, 4]),
    address=st.integers(0, 0xFF00),
    count=st.integers(1, 100),
)
writes = st.builds(
    Query,
    unit=st.integers(1, 247),
    function=st.sampled_from([5, 6]),
    address=st.integers(0, 0xFFFF),
    count=st.integers(0, 0xFFFF),
)
queries = st.one_of(reads, writes)


def answer_pdu(query: Query, fill: int = 0x11) -> bytes:
    return (
        query.pdu
        if query.is_write
        else bytes([query.function, query.data_bytes]) + bytes([fill] * query.data_bytes)
    )


def rtu(unit: int, pdu: bytes) -> bytes:
    body = bytes([unit]) + pdu
    return body + FramerRTU.compute_CRC(body).to_bytes(2, "big")


def tcp(transaction: int, unit: int, pdu: bytes) -> bytes:
    return transaction.to_bytes(2, "big") + b"\0\0" + (len(pdu) + 1).to_bytes(2, "big") + bytes([unit]) + pdu


@pytest.mark.parametrize(
    ("query", "wire"),
    [
        pytest.param(Query(1, 5, 0, 0xFF00), "01 05 00 00 FF 00 8C 3A", id="Wellpro: RY1 on"),
        pytest.param(Query(1, 1, 0, 4), "01 01 00 00 00 04 3D C9", id="Wellpro: relays"),
        pytest.param(Query(1, 2, 0, 8), "01 02 00 00 00 08 79 CC", id="Wellpro: inputs"),
        pytest.param(Query(1, 5, 0x200, 7), "01 05 02 00 00 07 8D B0", id="Waveshare: on for 700 ms"),
    ],
)
def test_frames_are_those_of_the_manuals(query, wire):
    assert frame(query, "rtu_over_tcp", 0) == bytes.fromhex(wire)


@given(queries, st.binary(max_size=20), st.binary(max_size=20))
def test_an_rtu_answer_is_found_between_garbage(query, before, after):
    pdu = answer_pdu(query)
    heard = before + rtu(query.unit, pdu) + after
    found = find_answer(heard, query, "rtu_over_tcp", 0)
    assert found is not None
    assert query.is_answered_by(found)
    if find_answer(before, query, "rtu_over_tcp", 0) is None and len(before) < 4:
        assert found == pdu


@given(queries, st.integers(1, 0xFFFF), st.data())
def test_nothing_is_taken_before_it_is_whole(query, transaction, data):
    for framing, whole in (
        ("rtu_over_tcp", rtu(query.unit, answer_pdu(query))),
        ("tcp", tcp(transaction, query.unit, answer_pdu(query))),
    ):
        cut = data.draw(st.integers(0, len(whole) - 1))
        assert find_answer(whole[:cut], query, framing, transaction) is None
        assert find_answer(whole, query, framing, transaction) == answer_pdu(query)


@given(queries, st.data())
def test_a_bit_that_fell_over_on_the_line_is_noticed(query, data):
    whole = bytearray(rtu(query.unit, answer_pdu(query)))
    place = data.draw(st.integers(0, 8 * len(whole) - 1))
    whole[place // 8] ^= 1 << place % 8
    assert find_answer(bytes(whole), query, "rtu_over_tcp", 0) is None


@given(queries, queries)
def test_an_answer_to_something_else_is_taken_only_where_it_looks_alike(asked, other):
    heard = rtu(other.unit, answer_pdu(other))
    assert (find_answer(heard, asked, "rtu_over_tcp", 0) is not None) == asked.looks_like(other)


@given(queries, st.lists(queries, max_size=4))
def test_the_answer_to_a_probe_looks_like_none_that_may_still_come(query, owed):
    probe = query.probe([query, *owed])
    assert not probe.is_write
    assert probe.unit == query.unit
    assert not any(probe.looks_like(other) for other in (query, *owed))


@given(reads, st.integers(1, 0xFFFF))
def test_over_tcp_only_the_same_transaction_answers(query, transaction):
    late = tcp(transaction % 0xFFFF + 1, query.unit, answer_pdu(query))
    assert find_answer(late, query, "tcp", transaction) is None
    assert not contradicts(late, query, transaction)
    shorter = tcp(transaction, query.unit, bytes([query.function, 0]))
    assert contradicts(shorter, query, transaction)
    assert find_answer(late + tcp(transaction, query.unit, b"\x84\x02"), query, "tcp", transaction) == (
        b"\x84\x02" if query.function == 4 else None
    )


def test_what_an_exchange_takes_of_the_line():
    assert line_bytes(Query(1, 4, 0x34, 2)) == 8 + 9
    assert line_bytes(Query(1, 1, 0, 4)) == 8 + 6
    assert line_bytes(Query(1, 5, 0, 0xFF00)) == 8 + 8
