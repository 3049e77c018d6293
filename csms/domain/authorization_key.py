"""The key of Basic authentication: what an operator may set, what a station sends.

Source: OCPP 1.6 security whitepaper, A00.FR.204 to 206 (key of 16 to 20 bytes, written as up to 40 hex
digits, sent as raw bytes). Real stations also send the hex digits themselves, or a plain text.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode

from csms.errors import InvalidInput

SHORTEST_KEY_BYTES, LONGEST_KEY_BYTES = 16, 20
_HEX = re.compile(rb"(?:[0-9A-Fa-f]{2})+")


def key_bytes(text: str) -> bytes:
    """The bytes of a key given as hex digits (32 to 40) or as a text of 16 to 20 bytes.

    Raises:
        InvalidInput: neither; the key itself is not in the message.
    """
    given = text.encode("utf-8", "replace")
    if SHORTEST_KEY_BYTES <= len(given) <= LONGEST_KEY_BYTES:
        return given
    if 2 * SHORTEST_KEY_BYTES <= len(given) <= 2 * LONGEST_KEY_BYTES and _HEX.fullmatch(given):
        return bytes.fromhex(text)
    raise InvalidInput("key", "•" * min(len(text), 50), "32 to 40 hex digits, or a text of 16 to 20 bytes")


def candidates(received: bytes) -> tuple[bytes, ...]:
    """The keys that a received password may stand for: its bytes, and what they spell if they are hex."""
    if len(received) >= 2 * SHORTEST_KEY_BYTES and _HEX.fullmatch(received):
        return received, bytes.fromhex(received.decode("ascii"))
    return (received,)


def password_in(header: str, identity: str) -> bytes | None:
    """The password that an Authorization header gives for the station; None: unreadable, or another's name.

    The name must be the station's identity, letter case aside. Names of OCPP have no colon; if one has,
    the name ends at the colon after it.
    """
    scheme, _, text = header.strip().partition(" ")
    if scheme.lower() != "basic":
        return None
    text = text.strip()
    try:
        decoded = b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
    parts = decoded.split(b":", identity.count(":") + 1)
    name, password = b":".join(parts[:-1]), parts[-1]
    if len(parts) < 2 or name.decode("utf-8", "replace").casefold() != identity.casefold():
        return None
    return password
