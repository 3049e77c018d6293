"""Keys of Basic authentication: what may be set, and the forms in which stations send them."""

from __future__ import annotations

import base64
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csms.domain.authorization_key import candidates, key_bytes, password_in
from csms.errors import InvalidInput

KEY = "0001020304050607FFFFFFFFFFFFFFFFFFFFFFFF"


def header(raw: bytes) -> str:
    return "Basic " + base64.b64encode(raw).decode()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (KEY, bytes(range(8)) + b"\xff" * 12),
        (KEY.lower(), bytes(range(8)) + b"\xff" * 12),
        ("00" * 16, bytes(16)),
        ("sixteen letters!", b"sixteen letters!"),
        ("0123456789abcdef", b"0123456789abcdef"),  # as hex it would be too short for a key
        ("twenty letters here!", b"twenty letters here!"),
        ("zwölf Bäume grün", "zwölf Bäume grün".encode()),
    ],
)
def test_a_key_is_hex_digits_or_a_text(text: str, expected: bytes) -> None:
    assert key_bytes(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "short",
        "fifteen letters",
        "twenty-one letters !!",
        "0" * 31,
        "0" * 33,
        "0" * 42,
        "g" * 40,
        "\ud800",
    ],
)
def test_anything_else_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        key_bytes(text)
    assert refused.value.field == "key"
    assert not text or text not in str(refused.value)


def test_the_example_of_the_whitepaper() -> None:
    password = password_in("Basic QUwxMDAwOgABAgMEBQYH////////////////", "AL1000")
    assert password == key_bytes(KEY)


@pytest.mark.parametrize(
    ("sent", "identity", "password"),
    [
        (header(b"CP1:a:b::"), "CP1", b"a:b::"),  # a password may have colons
        (header(b"cp1:secret"), "CP1", b"secret"),
        ("basic " + base64.b64encode(b"CP1:secret").decode(), "CP1", b"secret"),
        ("Basic   " + base64.b64encode(b"CP1:secret").decode() + " ", "CP1", b"secret"),
        ("Basic " + base64.b64encode(b"CP1:secret!!").decode().rstrip("="), "CP1", b"secret!!"),
        (header("Straße 4:x".encode()), "STRASSE 4", b"x"),
        (header(b"a:b:c"), "a:b", b"c"),
        (header(b"CP1:"), "CP1", b""),
        (header(b"CP2:secret"), "CP1", None),
        (header(b"CP1"), "CP1", None),
        (header(b":secret"), "CP1", None),
        (header(b"\xff\xfe:secret"), "CP1", None),
        ("Basic", "CP1", None),
        ("Basic !!!!", "CP1", None),
        ("Basic häder", "CP1", None),
        ("Bearer " + base64.b64encode(b"CP1:secret").decode(), "CP1", None),
        ("", "CP1", None),
    ],
)
def test_the_password_in_a_header(sent: str, identity: str, password: bytes | None) -> None:
    assert password_in(sent, identity) == password


@given(st.from_regex(re.compile(r"[^:/\x00-\x1f]{1,30}"), fullmatch=True), st.binary(max_size=40))
def test_any_bytes_arrive_as_they_were_sent(identity: str, password: bytes) -> None:
    assert password_in(header(identity.encode() + b":" + password), identity) == password


@given(st.text() | st.text().map(lambda text: f"Basic {text}"), st.text(min_size=1))
def test_no_header_is_too_strange(text: str, identity: str) -> None:
    password = password_in(text, identity)
    assert password is None or header(identity.encode() + b":" + password).lower()[:6] == text.lower()[:6]


@given(st.binary(min_size=16, max_size=20))
def test_a_key_is_found_in_each_form_a_station_may_send(key: bytes) -> None:
    for sent in (key, key.hex().encode(), key.hex().upper().encode()):
        assert key in candidates(sent)


@given(st.binary(max_size=60))
def test_what_is_sent_stands_for_itself(sent: bytes) -> None:
    assert candidates(sent)[0] == sent
    assert len(candidates(sent)) <= 2
