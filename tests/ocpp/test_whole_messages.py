"""Messages are the same ones, in the same order, in whatever pieces their bytes come."""

import asyncio
import time
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

from csms.ocpp.flood_limits import Handshakes
from csms.ocpp.station_socket import Socket, text_frame, whole_message


def frame(content: bytes, opcode: Opcode = Opcode.TEXT, fin: bool = True) -> bytes:
    return Frame(opcode, content, fin).serialize(mask=True)


CONTENTS = st.binary(max_size=300) | st.sampled_from(
    [b"", b"x" * 125, b"x" * 126, b"x" * 65535, b"x" * 65536]
)
WHOLE = CONTENTS.map(lambda content: ([content], frame(content)))
BYTES = CONTENTS.map(lambda content: ([content], frame(content, Opcode.BINARY)))
PINGS = st.sampled_from([([], frame(b"", Opcode.PING)), ([], frame(b"p" * 125, Opcode.PONG))])
IN_PIECES = st.tuples(CONTENTS, CONTENTS, PINGS).map(
    lambda parts: (
        [parts[0] + parts[1]],
        frame(parts[0], fin=False) + parts[2][1] + frame(parts[1], Opcode.CONT),
    )
)


class Wire(asyncio.Transport):
    """Takes what is written and is never full."""

    def write(self, data: bytes) -> None:
        pass

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def is_closing(self) -> bool:
        return False

    def can_write_eof(self) -> bool:
        return False

    def close(self) -> None:
        pass


class NoServer:
    """The socket is fed by hand: nobody serves it."""

    def __init__(self) -> None:
        self.handler_tasks: set[object] = set()

    async def handler(self, socket: Socket) -> None:
        pass


async def heard(chunks: list[bytes], yields: list[bool]) -> list[bytes]:
    """What a socket makes of these chunks of bytes; in between, the loop may turn or not."""
    messages: list[bytes] = []
    handshakes, protocol = Handshakes(time.monotonic), ServerProtocol(state=State.OPEN)
    socket = Socket(protocol, NoServer(), handshakes=handshakes, probe_interval_s=20.0)
    socket.request = Request("/CP1", Headers())
    socket.connection_made(Wire())
    socket.take = messages.append

    async def read() -> None:
        try:
            while True:
                messages.append(await socket.recv(decode=False))
        except ConnectionClosed:
            pass

    reading = asyncio.create_task(read())
    for chunk, turns in zip(chunks, yields, strict=True):
        socket.data_received(chunk)
        if turns:
            await asyncio.sleep(0)
    for _ in range(3):
        await asyncio.sleep(0)
    socket.connection_lost(None)
    await reading
    return messages


@given(st.lists(st.one_of(WHOLE, WHOLE, BYTES, PINGS, IN_PIECES), max_size=8), st.data())
def test_in_whatever_pieces_they_come(sent: list[tuple[list[bytes], bytes]], data: st.DataObject) -> None:
    chunks: list[bytes] = []
    for _, text in sent:
        cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=2))
        borders = [0, *sorted(cuts), len(text)]
        parts = [text[begin:end] for begin, end in pairwise(borders)]
        if chunks and data.draw(st.booleans()):
            chunks[-1] += parts.pop(0)  # together with the end of the one before
        chunks += parts
    chunks = [chunk for chunk in chunks if chunk]
    yields = data.draw(st.lists(st.booleans(), min_size=len(chunks), max_size=len(chunks)))
    expected = [message for messages, _ in sent for message in messages]
    assert asyncio.run(heard(chunks, yields)) == expected


@given(CONTENTS)
def test_only_a_whole_masked_text_frame_is_taken_as_one(content: bytes) -> None:
    whole = frame(content)
    assert whole_message(whole) == (content if len(content) < 65536 else None)
    unmasked = Frame(Opcode.TEXT, content).serialize(mask=False)
    others = [whole[:-1], whole + b"x", frame(content, Opcode.BINARY), frame(content, fin=False), unmasked]
    compressed = bytes([whole[0] | 0x40]) + whole[1:]
    assert [whole_message(other) for other in [*others, compressed]] == [None] * 6


@given(CONTENTS)
def test_what_is_sent_is_one_text_frame(content: bytes) -> None:
    assert text_frame(content) == Frame(Opcode.TEXT, content).serialize(mask=False)


async def test_no_message_comes_between_the_pieces_of_another() -> None:
    """A whole message there is a fault of the station: its connection ends, neither is taken."""
    chunks = [frame(b"[2,", fin=False), frame(b"[3]"), frame(b"4]", Opcode.CONT)]
    assert await heard(chunks, [True, True, True]) == []
