"""Who is refused without a look, and for how long: tables of (elapsed, event, expected)."""

import tracemalloc

import pytest

from csms.domain.allowance import Allowance
from csms.ocpp.flood_limits import (
    HANDSHAKE_PATIENCE_S,
    HANDSHAKES,
    FloodLimits,
    Handshakes,
    site_of,
)

HOME, THIEF, GARAGE = "192.0.2.1", "198.51.100.7", "203.0.113.9"

# name: [(seconds since the step before, what happens, repeated)]: "refused address identity",
# "let in address identity", "may address identity", "429 address identity seconds"
STORIES = {
    "a typing error costs nothing": [
        (0, f"refused {HOME} CP1", 4),
        (1, f"may {HOME} CP1", 1),
        (0, f"may {HOME} CP2", 1),
    ],
    "an address that tries identities is stopped and its neighbour is not": [
        (0.125, f"refused {THIEF} *", 20),
        (0, f"429 {THIEF} CP1 30", 1),
        (0, f"may {HOME} CP1", 1),
        (29, f"429 {THIEF} CP1 1", 1),
        (1, f"may {THIEF} CP1", 1),
    ],
    "going on makes the wait longer, up to five minutes": [
        (0.125, f"refused {THIEF} *", 20),
        (30, f"refused {THIEF} *", 1),
        (0.125, f"refused {THIEF} *", 10),
        (0, f"429 {THIEF} x 60", 1),
        (60, f"refused {THIEF} *", 1),
        (0.0625, f"refused {THIEF} *", 19),
        (0, f"429 {THIEF} x 120", 1),
        (120, f"refused {THIEF} *", 1),
        (0.0625, f"refused {THIEF} *", 19),
        (0, f"429 {THIEF} x 240", 1),
        (240, f"refused {THIEF} *", 1),
        (0.0625, f"refused {THIEF} *", 19),
        (0, f"429 {THIEF} x 300", 1),
        (300, f"may {THIEF} x", 1),
    ],
    "after a quarter of an hour without fault the first wait is short again": [
        (0.125, f"refused {THIEF} *", 20),
        (30, f"refused {THIEF} *", 1),
        (0.125, f"refused {THIEF} *", 10),
        (0, f"429 {THIEF} x 60", 1),
        (901, f"refused {THIEF} *", 1),
        (0, f"refused {THIEF} *", 19),
        (0, f"429 {THIEF} x 30", 1),
    ],
    "slow attempts are no flood": [(10, f"refused {HOME} *", 100), (0, f"may {HOME} CP1", 1)],
    "one wrong station in a garage is refused alone": [
        (1, f"refused {GARAGE} wrong", 5),
        (0, f"429 {GARAGE} wrong 30", 1),
        (0, f"429 {GARAGE} WRONG 30", 1),
        (0, f"may {GARAGE} CP1", 1),
        (30, f"refused {GARAGE} wrong", 1),
        (0, f"refused {GARAGE} wrong", 1),
        (0, f"429 {GARAGE} wrong 60", 1),
        (0, f"may {GARAGE} CP1", 1),
    ],
    "a garage full of wrong stations locks none out that has been in before": [
        (0, f"let in {GARAGE} CP1", 1),
        (0.125, f"refused {GARAGE} *", 20),
        (0, f"429 {GARAGE} CP2 30", 1),
        (0, f"may {GARAGE} cp1", 1),
        (0, f"let in {GARAGE} CP1", 1),
    ],
    "a known station that has done nothing wrong comes in, one that has must wait": [
        (0.125, f"refused {GARAGE} *", 20),
        (0, f"may {GARAGE} KNOWN-1", 1),
        (0, f"may {GARAGE} known-2", 1),
        (0, f"refused {GARAGE} known-2", 1),
        (0, f"429 {GARAGE} KNOWN-2 60", 1),
        (0, f"may {GARAGE} KNOWN-1", 1),
        (0, f"let in {GARAGE} KNOWN-1", 1),
        (0, f"refused {GARAGE} KNOWN-1", 1),
        (0, f"may {GARAGE} KNOWN-1", 1),
    ],
    "passwords tried on many known stations: each once": [
        (0, f"refused {THIEF} known-1", 1),
        (0.125, f"refused {THIEF} *", 19),
        (0, f"429 {THIEF} known-1 30", 1),
        (0, f"may {THIEF} known-2", 1),
        (0, f"refused {THIEF} known-2", 1),
        (0, f"429 {THIEF} known-2 60", 1),
    ],
    "it has been in from there, not from elsewhere": [
        (0, f"let in {GARAGE} CP1", 1),
        (0.125, f"refused {THIEF} *", 20),
        (0, f"429 {THIEF} CP1 30", 1),
    ],
    "who has been in may not guess passwords for ever, and its neighbours do not suffer for it": [
        (0, f"let in {GARAGE} CP1", 1),
        (0.125, f"refused {GARAGE} CP1", 5),
        (0, f"429 {GARAGE} CP1 30", 1),
        (30, f"refused {GARAGE} CP1", 1),
        (0, f"refused {GARAGE} CP1", 1),
        (0, f"429 {GARAGE} CP1 60", 1),
        (0, f"may {GARAGE} CP2", 1),
    ],
    "the right password makes good what was wrong before": [
        (0.125, f"refused {HOME} CP1", 4),
        (0, f"let in {HOME} CP1", 1),
        (0.125, f"refused {HOME} CP1", 4),
        (0, f"may {HOME} CP1", 1),
    ],
    "without an identity the address alone counts": [
        (0, f"refused {HOME} -", 19),
        (0, f"may {HOME} -", 1),
        (0, f"refused {HOME} -", 1),
        (0, f"429 {HOME} - 30", 1),
    ],
    "an IPv6 household is one": [
        (0, "refused 2001:db8::1 *", 10),
        (0, "refused 2001:db8::2:1 *", 10),
        (0, "429 2001:db8::3 CP1 30", 1),
        (0, "may 2001:db8:0:1::3 CP1", 1),
    ],
}


@pytest.mark.parametrize("name", STORIES)
def test_the_limits_as_told(name):
    now_s, strangers = 1000.0, 0
    limits = FloodLimits(lambda: now_s, lambda identity: identity.casefold().startswith("known"))
    for elapsed_s, event, times in STORIES[name]:
        for _ in range(times):
            now_s += elapsed_s
            strangers += 1
            what, address, identity, *seconds = event.replace("let in", "let-in").split(" ")
            identity = {"*": f"stranger-{strangers}", "-": ""}.get(identity, identity)
            match what:
                case "refused":
                    limits.refused(address, identity)
                case "let-in":
                    limits.succeeded(address, identity)
                case "may":
                    assert limits.allows(address, identity), event
                case "429":
                    assert limits.retry_after_s(address, identity) == int(seconds[0]), event
                    assert not limits.allows(address, identity)


def test_what_is_remembered_is_bounded_and_the_latest_stay():
    limits = FloodLimits(lambda: 0.0, remembered=100)
    for number in range(1000):
        limits.succeeded(GARAGE, f"CP{number}")
        for _ in range(20):
            limits.refused(f"10.0.{number // 250}.{number % 250}", f"id-{number}")
    assert [len(kept) for kept in (limits._addresses, limits._identities, limits._came_in)] == [100, 100, 200]
    assert not limits.allows("10.0.3.249", "CP1")
    assert limits.allows("10.0.0.0", "CP1")


def test_made_up_names_as_long_as_a_url_may_be_fill_no_memory():
    limits = FloodLimits(lambda: 0.0)
    tracemalloc.start()
    try:
        for number in range(500):
            limits.refused(THIEF, f"{number}" + "x" * 8000)
        assert tracemalloc.get_traced_memory()[0] < 1_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("address", "site"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("None", "None"),
    ],
)
def test_who_is_behind_an_address(address, site):
    assert site_of(address) == site


def test_a_crowd_after_a_restart_is_let_in_and_silent_sockets_are_cut_one_for_one():
    now_s = 0.0
    handshakes = Handshakes(lambda: now_s)
    assert not any(handshakes.begin(GARAGE, f"station {n}") for n in range(5000))
    for number in range(5000):
        handshakes.end(GARAGE, f"station {number}")
    assert not any(handshakes.begin(THIEF, f"silent {n}") for n in range(HANDSHAKES))
    now_s = HANDSHAKE_PATIENCE_S
    assert handshakes.begin(GARAGE, "station") is None
    assert [handshakes.begin(THIEF, f"more {n}") for n in range(3)] == ["silent 0", "silent 1", "silent 2"]


def test_an_allowance_fills_again_and_counts_what_was_missed():
    allowance = Allowance(burst=2, refill_s=60)
    assert [allowance.take(now_s) for now_s in (0, 0, 0, 29, 30)] == [True, True, False, False, True]
    assert allowance.missed == 2
