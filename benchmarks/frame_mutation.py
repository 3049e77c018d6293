"""Valid OCPP frames, and what can be made of them: mutations of JSON, of bytes, of the websocket protocol."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

NOW = "2026-06-01T10:00:00Z"
PEM = "-----BEGIN CERTIFICATE REQUEST-----\nMIIB\n-----END CERTIFICATE REQUEST-----\n"
SAMPLES = [
    {
        "value": "1234.5",
        "measurand": "Energy.Active.Import.Register",
        "unit": "Wh",
        "context": "Sample.Periodic",
    },
    {"value": "16.0", "measurand": "Current.Import", "unit": "A", "phase": "L1", "location": "Outlet"},
    {"value": "230", "measurand": "Voltage", "unit": "V", "phase": "L1-N", "format": "Raw"},
    {"value": "3.6", "measurand": "Power.Active.Import", "unit": "kW"},
    {"value": "55", "measurand": "SoC", "unit": "Percent", "location": "EV"},
]
CORPUS: list[tuple[str, dict[str, Any]]] = [
    (
        "BootNotification",
        {
            "chargePointVendor": "Vendor",
            "chargePointModel": "Model",
            "chargePointSerialNumber": "S-1",
            "firmwareVersion": "1.0",
            "iccid": "8944",
            "meterType": "M",
        },
    ),
    ("Heartbeat", {}),
    ("Authorize", {"idTag": "04A2B3C4"}),
    (
        "StartTransaction",
        {"connectorId": 1, "idTag": "A", "meterStart": 100, "timestamp": NOW, "reservationId": 3},
    ),
    (
        "StopTransaction",
        {
            "transactionId": 1,
            "meterStop": 5000,
            "timestamp": NOW,
            "idTag": "A",
            "reason": "Local",
            "transactionData": [{"timestamp": NOW, "sampledValue": SAMPLES[:2]}],
        },
    ),
    (
        "MeterValues",
        {"connectorId": 1, "transactionId": 1, "meterValue": [{"timestamp": NOW, "sampledValue": SAMPLES}]},
    ),
    ("MeterValues", {"connectorId": 0, "meterValue": [{"timestamp": NOW, "sampledValue": SAMPLES[:1]}]}),
    (
        "StatusNotification",
        {
            "connectorId": 1,
            "errorCode": "NoError",
            "status": "Available",
            "timestamp": NOW,
            "info": "i",
            "vendorId": "v",
            "vendorErrorCode": "0",
        },
    ),
    ("DataTransfer", {"vendorId": "com.vendor", "messageId": "m", "data": "{}"}),
    ("DiagnosticsStatusNotification", {"status": "Uploading"}),
    ("FirmwareStatusNotification", {"status": "Downloaded"}),
    ("LogStatusNotification", {"status": "Uploaded", "requestId": 1}),
    ("SecurityEventNotification", {"type": "TamperDetectionActivated", "timestamp": NOW, "techInfo": "t"}),
    ("SignCertificate", {"csr": PEM}),
    ("SignedFirmwareStatusNotification", {"status": "Installed", "requestId": 1}),
    ("RemoteStartTransaction", {"idTag": "A"}),
    ("Teleport", {"to": "Mars"}),
]
LONGEST_FRAME = 2**20  # longer ones rightly end the connection
NESTED = "@nested@"
ODD_VALUES: list[Any] = [
    *(
        None,
        True,
        False,
        0,
        -1,
        1,
        2**31,
        -(2**31),
        2**63,
        -(2**63),
        10**30,
        10**300,
        1e308,
        -0.0,
        0.1,
        1e-320,
    ),
    *(
        "",
        " ",
        "0",
        "-1",
        "NaN",
        "1e400",
        "null",
        "true",
        "A" * 21,
        "x" * 600,
        "x" * 20_000,
        "ä€🚗",
        "\x00",
        "\ud800",
    ),
    *("' OR 1=1 --", "../../etc/passwd", "%s%n{}", "<b>", "2026-13-45T99:99:99Z", "0001-01-01T00:00:00Z"),
    *("9999-12-31T23:59:59.999999+14:00", "2026-06-01", "1717236000", "12,5", "0x10", "Infinity", "٣"),
    *([], {}, [[]], [None], {"": None}, [{}], {"value": "1"}, {"a": {"b": {"c": [1, [2, [3]]]}}}),
]
IDS: list[Any] = [
    *("1", "", "x" * 36, "x" * 300, "ä", "\ud800", "a\nb", "ours"),
    *(7, -1, 2**70, 1.5, None, [], {}, True),
]
ERROR_CODES = {  # those a central system may answer with
    "FormationViolation",
    "GenericError",
    "InternalError",
    "NotImplemented",
    "NotSupported",
    "OccurenceConstraintViolation",
    "PropertyConstraintViolation",
    "ProtocolError",
    "SecurityError",
    "TypeConstraintViolation",
}
SLIPS = [
    b",",
    b"null",
    b"}",
    b"]",
    b"[",
    b"{",
    b'"',
    b"\\",
    b"\x00",
    b"\xff",
    b"\xed\xa0\x80",
    b"NaN",
    b"-",
    b"1e999",
]


class Mutation:
    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._number = 0

    def frame(self) -> bytes:
        """A frame that is sometimes still a proper one."""
        rng = self._rng
        action, payload = rng.choice(CORPUS)
        self._number += 1
        frame: Any = [2, str(self._number), action, json.loads(json.dumps(payload))]
        for _ in range(rng.choice([0, 1, 1, 1, 2, 3])):
            frame[3] = self._changed(frame[3]) if isinstance(frame[3], dict | list) else frame[3]
        if rng.random() < 0.15:
            frame = self._reshaped(frame)
        text = self._written(frame)
        if rng.random() < 0.25:
            text = self._damaged(text)
        return text[:LONGEST_FRAME]

    def _changed(self, payload: Any) -> Any:
        """One field somewhere in it is other than it was."""
        rng = self._rng
        places = list(_places(payload))
        if not places or rng.random() < 0.02:
            return self._odd()
        holder, key = rng.choice(places)
        match rng.randrange(8):
            case 0 if isinstance(holder, dict):
                del holder[key]
            case 1 if isinstance(holder, dict):
                holder[rng.choice([key.upper(), key.lower(), key[:-1], key + "s", "", "x" * 100])] = holder[
                    key
                ]
            case 2:
                holder[key] = [deepcopy(holder[key]) for _ in range(rng.choice([1, 2, 50]))]
            case 3:
                holder[key] = str(holder[key]) + rng.choice(["", " ", "x", "é" * 30])
            case 4 if rng.random() < 0.05:
                holder[key] = NESTED
            case 5 if isinstance(holder[key], dict):
                holder[key] = list(holder[key].items())
            case 6 if isinstance(holder[key], int | float):
                holder[key] = holder[key] * rng.choice([-1, 0.5, 10**6, 10**12, 10**25])
            case _:
                holder[key] = self._odd()
        return payload

    def _odd(self) -> Any:
        return deepcopy(self._rng.choice(ODD_VALUES))

    def _nested(self) -> str:
        depth = self._rng.choice([10, 100, 900, 5000])
        opening, closing = self._rng.choice([("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")])
        return opening * depth + "1" + closing * depth

    def _reshaped(self, frame: list[Any]) -> Any:
        rng = self._rng
        match rng.randrange(7):
            case 0:
                frame[0] = rng.choice([3, 4, "2", 5, 0, -1, 2.0, None, True, [], "CALL"])
            case 1:
                frame[1] = rng.choice(IDS)
            case 2:
                frame[2] = rng.choice(
                    [frame[2].lower(), frame[2] + " ", "", "x" * 5000, None, 7, ["Heartbeat"], {}]
                )
            case 3:
                return frame[: rng.randrange(4)]
            case 4:
                rng.shuffle(frame)
            case 5:
                return [*frame, *rng.choices(ODD_VALUES, k=rng.randrange(1, 4))]
            case _:
                return rng.choice([frame[3], {"0": frame}, [frame], "x", 1, None, frame * 20])
        return frame

    def _written(self, frame: Any) -> bytes:
        rng = self._rng
        text = json.dumps(frame, ensure_ascii=rng.random() < 0.5, indent=rng.choice([None, None, 1]))
        if NESTED in text:
            text = text.replace(f'"{NESTED}"', self._nested())
        if rng.random() < 0.001:
            text = text[:-1] + " " * rng.choice([70_000, 900_000]) + text[-1:]
        return text.encode("utf-8", "surrogatepass")

    def _damaged(self, text: bytes) -> bytes:
        rng = self._rng
        data = bytearray(text)
        for _ in range(rng.choice([1, 1, 2, 8])):
            at = rng.randrange(len(data) + 1)
            match rng.randrange(5):
                case 0 if at < len(data):
                    data[at] ^= 1 << rng.randrange(8)
                case 1:
                    del data[at : at + rng.choice([1, 1, 5, 50])]
                case 2:
                    data[at:at] = rng.choice(SLIPS)
                case 3:
                    data[at:at] = data[at : at + rng.choice([1, 10, 100])]
                case _ if rng.random() < 0.2:
                    data[at:at] = rng.choice(SLIPS) * rng.choice([100, 5000, 50_000])
        return bytes(data)


def mutated_answers(rng: random.Random, id: str) -> Iterator[str]:
    """What a station may say to a call of the central system: none, one or several answers."""
    answers = [
        [3, id, {}],
        [3, id, {"status": rng.choice(["Accepted", "Rejected", "accepted", "Odd", "", None, 1])}],
        [3, id, {"configurationKey": rng.choice(ODD_VALUES), "unknownKey": rng.choice(ODD_VALUES)}],
        [3, id, {"configurationKey": [{"key": rng.choice(ODD_VALUES), "readonly": rng.choice(ODD_VALUES)}]}],
        [3, id, rng.choice(ODD_VALUES)],
        [3, rng.choice(IDS), {}],
        [4, id, rng.choice(ODD_VALUES), rng.choice(ODD_VALUES), rng.choice(ODD_VALUES)],
        [4, id],
    ]
    for answer in rng.choices(answers, k=rng.choice([0, 1, 1, 1, 2])):
        yield json.dumps(answer)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (holder, key) of a JSON value."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else []
    for key in keys:
        yield value, key
        yield from _places(value[key])


# --- below the frames ---


def handshake_of(identity: str, extra: str = "") -> bytes:
    key = base64.b64encode(b"0" * 16).decode()
    return (
        f"GET /{identity} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: ocpp1.6\r\n"
        f"{extra}\r\n"
    ).encode()


def raw(first: int, data: bytes, masked: bool = True, length: int | None = None) -> bytes:
    """A websocket frame with this first byte; length: what its header claims."""
    claimed = len(data) if length is None else length
    mask = 0x80 if masked else 0
    if claimed < 126:
        head = bytes([first, mask | claimed])
    elif claimed < 2**16:
        head = bytes([first, mask | 126]) + claimed.to_bytes(2, "big")
    else:
        head = bytes([first, mask | 127]) + claimed.to_bytes(8, "big")
    return head + (b"\x00" * 4 if masked else b"") + data


TEXT = b'[2,"1","Heartbeat",{}]'
VIOLATIONS: dict[str, Callable[[random.Random], bytes]] = {
    "not masked": lambda rng: raw(0x81, TEXT, masked=False),
    "reserved bit": lambda rng: raw(0x81 | rng.choice([0x40, 0x20, 0x10]), TEXT),
    "unknown opcode": lambda rng: raw(0x80 | rng.choice([3, 7, 0xB, 0xF]), TEXT),
    "fragmented ping": lambda rng: raw(0x09, b"x"),
    "long ping": lambda rng: raw(0x89, b"x" * 200),
    "continuation of nothing": lambda rng: raw(0x80, TEXT),
    "text within a text": lambda rng: raw(0x01, TEXT) + raw(0x81, TEXT),
    "never finished": lambda rng: raw(0x01, TEXT) + raw(0x00, b"x") * 300,
    "too many fragments": lambda rng: raw(0x01, b"[") + raw(0x00, b"") * 70_000,
    "a claim of eight exabytes": lambda rng: raw(0x81, b"x", length=2**63 - 1),
    "a claim of too much": lambda rng: raw(0x81, b"x", length=2**64 - 1),
    "over one mebibyte": lambda rng: raw(0x81, b"x" * (2**20 + 1)),
    "over one mebibyte in fragments": lambda rng: raw(0x01, b"x" * 2**19) + raw(0x00, b"x" * 2**19) * 3,
    "close with a bad code": lambda rng: raw(
        0x88, rng.choice([0, 999, 1005, 2999, 65535]).to_bytes(2, "big")
    ),
    "close with half a code": lambda rng: raw(0x88, b"\x03"),
    "close with bad text": lambda rng: raw(0x88, b"\x03\xe8\xff\xfe"),
    "cut in the header": lambda rng: raw(0x81, TEXT)[: rng.randrange(1, 6)],
    "cut in the frame": lambda rng: raw(0x81, TEXT)[:-3],
    "bytes at random": lambda rng: rng.randbytes(rng.randrange(1, 4096)),
    "a good call, then bytes at random": lambda rng: raw(0x81, TEXT) + rng.randbytes(64),
    "http garbage": lambda rng: rng.randbytes(200),
    "http long line": lambda rng: b"GET /" + b"x" * 100_000,
    "http many headers": lambda rng: b"GET /RAW1 HTTP/1.1\r\n" + b"A: b\r\n" * 500 + b"\r\n",
    "http with a body": lambda rng: handshake_of("RAW1", "Content-Length: 5\r\n") + b"hello",
    "http half a request": lambda rng: handshake_of("RAW1")[:40],
    "http bad key": lambda rng: handshake_of("RAW1").replace(b"MDAw", b"!!!!"),
    "http odd path": lambda rng: handshake_of(
        rng.choice(["%00", "%ff", "a/../b", "x" * 3000, "%2e%2e%2f", "?"])
    ),
}
