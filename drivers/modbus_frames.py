"""Modbus requests and the answers that belong to them, as bytes on the wire. Pure.

Over TCP a transaction id ties an answer to its request. RTU has none: an answer is known by unit, function,
length and checksum alone, so one that comes late looks like that of the next request of the same kind.
`Query.probe` asks something whose answer cannot be mistaken for it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass

from pymodbus.framer.rtu import FramerRTU

from drivers.device import Framing

READ_COILS, READ_INPUTS, READ_HOLDING, READ_INPUT_REGISTERS = 1, 2, 3, 4
WRITE_COIL, WRITE_REGISTER = 5, 6
REFUSED = 0x80
_TCP_HEADER = 6
_CHECKSUM = 2
_EXCEPTION_BYTES = 2


@dataclass(frozen=True, slots=True)
class Query:
    """count: of registers or bits; of a write, its value."""

    unit: int
    function: int
    address: int
    count: int

    @property
    def is_write(self) -> bool:
        return self.function in (WRITE_COIL, WRITE_REGISTER)

    @property
    def pdu(self) -> bytes:
        return struct.pack(">BHH", self.function, self.address, self.count)

    @property
    def data_bytes(self) -> int:
        """Of a read's answer."""
        return (self.count + 7) // 8 if self.function in (READ_COILS, READ_INPUTS) else 2 * self.count

    @property
    def answer_bytes(self) -> int:
        """Of an answer that is no refusal, from its function code on."""
        return 5 if self.is_write else 2 + self.data_bytes

    def is_answered_by(self, pdu: bytes) -> bool:
        """Or refused by. A write is answered by its own address."""
        if len(pdu) == _EXCEPTION_BYTES and pdu[0] == self.function | REFUSED:
            return True
        if len(pdu) != self.answer_bytes or pdu[0] != self.function:
            return False
        return pdu[1:3] == self.pdu[1:3] if self.is_write else pdu[1] == self.data_bytes

    def looks_like(self, other: Query) -> bool:
        """Whether an answer to one could be taken for an answer to the other."""
        mine, its = (self.unit, self.function, self.answer_bytes), (other.unit, other.function)
        if mine != (*its, other.answer_bytes):
            return False
        return not self.is_write or self.address == other.address

    def probe(self, unlike: Iterable[Query]) -> Query:
        """A harmless question to the same unit whose answer looks like none of these."""
        function = READ_COILS if self.is_write else self.function
        step = 8 if function in (READ_COILS, READ_INPUTS) else 1
        taken = list(unlike)
        probes = (Query(self.unit, function, self.address, 1 + step * n) for n in range(len(taken) + 1))
        return next(p for p in probes if not any(p.looks_like(other) for other in taken))


def frame(query: Query, framing: Framing, transaction: int) -> bytes:
    """As it goes on the wire. transaction: 0 … 65535, only for TCP."""
    body = bytes([query.unit]) + query.pdu
    if framing == "tcp":
        return struct.pack(">HHH", transaction, 0, len(body)) + body
    return body + _checksum(body)


def find_answer(heard: bytes, query: Query, framing: Framing, transaction: int) -> bytes | None:
    """The answer's PDU wherever it stands in what was heard; None = not there, or not all of it yet."""
    find = _find_tcp if framing == "tcp" else _find_rtu
    return find(heard, query, transaction)


def _find_tcp(heard: bytes, query: Query, transaction: int) -> bytes | None:
    start = heard.find(struct.pack(">HH", transaction, 0))
    while start >= 0:
        body = heard[start + _TCP_HEADER :]
        length = int.from_bytes(heard[start + 4 : start + _TCP_HEADER], "big")
        if 2 <= length <= len(body) and body[0] == query.unit and query.is_answered_by(body[1:length]):
            return body[1:length]
        start = heard.find(struct.pack(">HH", transaction, 0), start + 1)
    return None


def _find_rtu(heard: bytes, query: Query, transaction: int) -> bytes | None:
    start = heard.find(query.unit)
    while start >= 0:
        for size in (_EXCEPTION_BYTES, query.answer_bytes):
            end = start + 1 + size
            body, checksum = heard[start:end], heard[end : end + _CHECKSUM]
            if query.is_answered_by(body[1:]) and checksum == _checksum(body):
                return body[1:]
        start = heard.find(query.unit, start + 1)
    return None


def contradicts(heard: bytes, query: Query, transaction: int) -> bool:
    """Over TCP: whether a whole frame with this request's transaction and unit answers something else."""
    start = heard.find(struct.pack(">HH", transaction, 0))
    if start < 0:
        return False
    length = int.from_bytes(heard[start + 4 : start + _TCP_HEADER], "big")
    body = heard[start + _TCP_HEADER :]
    return 2 <= length <= len(body) and body[0] == query.unit and not query.is_answered_by(body[1:length])


def line_bytes(query: Query) -> int:
    """Characters of request and answer on an RS485 line."""
    return (1 + len(query.pdu) + _CHECKSUM) + (1 + query.answer_bytes + _CHECKSUM)


def _checksum(body: bytes) -> bytes:
    return FramerRTU.compute_CRC(body).to_bytes(2, "big")
